"""Write svcnorm/sounds.txt: each Chinese character of data/train, its reading and how often it occurs there, for svcnorm/noise.py.

python scripts/make_sounds.py        # make generated
"""

from collections import Counter
from pathlib import Path

from pypinyin import Style, lazy_pinyin

from svcnorm.examples import read_rows

ROOT = Path(__file__).parents[1]


def main() -> None:
    texts = (row["text"] for path in sorted((ROOT / "data" / "train").rglob("*.jsonl")) for _, row in read_rows(path))
    counts = Counter(c for text in texts for c in text if "\u4e00" <= c <= "\u9fff")
    lines = [f"{c} {lazy_pinyin(c, style=Style.TONE3)[0]} {n}" for c, n in sorted(counts.items())]
    (ROOT / "svcnorm" / "sounds.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Generate svcnorm/t2s.txt, the one-to-one table of traditional to simplified characters, from OpenCC's TSCharacters.

    python scripts/make_t2s.py          # needs the package opencc-python-reimplemented, which carries OpenCC's table (Apache-2.0)

A character is mapped only if OpenCC gives a simplified form and the character is not itself among the forms: 乾 and 著 are good
simplified characters too, so they stay as they are.
"""

from importlib.resources import files
from pathlib import Path


def table() -> dict[str, str]:
    pairs = {}
    for line in (files("opencc") / "dictionary" / "TSCharacters.txt").read_text(encoding="utf-8").splitlines():
        source, forms = line.split("\t")
        options = forms.split(" ")
        if len(source) == len(options[0]) == 1 and source not in options:
            pairs[source] = options[0]
    return {source: pairs.get(target, target) for source, target in pairs.items()}  # straight to the end of a chain


if __name__ == "__main__":
    pairs = table()
    target = Path(__file__).parents[1] / "svcnorm" / "t2s.txt"
    target.write_text("".join(pairs) + "\n" + "".join(pairs.values()) + "\n", encoding="utf-8")
    print(f"{target.name}: {len(pairs)} characters")

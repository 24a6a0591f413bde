"""Print what represents each catalogue item (data/norms/*.jsonl) in the norm of its document; exit with 1 if one is left out.

    python scripts/norm_coverage.py [--all] [DOCUMENT …]        # --all prints every item, not only the summary and the gaps

Items about conduct (voice, posture, seconds, records) are no business of a transcript and are not asked for.
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path

from svcnorm.examples import read_rows
from svcnorm.norms import Norm, covered

CATALOGUE = Path(__file__).parents[1] / "data" / "norms"


def coverage(document: str) -> list[tuple[dict, list[str]]]:
    """Each sentence or call item of a document with what represents it."""
    how = defaultdict(list)
    for clause, what in covered(Norm.load(document)):
        how[clause].append(what)
    items = read_rows(CATALOGUE / f"{document}.jsonl")
    return [(item, how[item["id"]]) for _, item in items if item["applies_to"] != "conduct"]


def main() -> int:
    everything = "--all" in sys.argv
    documents = [a for a in sys.argv[1:] if a != "--all"] or sorted(p.stem for p in CATALOGUE.glob("*.jsonl") if p.stem != "instead_of")
    gaps = 0
    for document in documents:
        rows = coverage(document)
        kinds = Counter(hows[0].split(" ")[0] if hows else "MISSING" for _, hows in rows)
        print(f"{document}: {len(rows)} items:", ", ".join(f"{n} {k}" for k, n in kinds.most_common()).replace(" not", " not in text"))
        for item, hows in rows:
            if everything or not hows:
                print(f"  {item['id']:16} {item['text']}  ->  {'; '.join(hows) or 'MISSING'}")
            gaps += not hows
    return int(gaps > 0)


if __name__ == "__main__":
    sys.exit(main())

"""How many phrases of the norm catalogue get all their expected labels: rules alone, model alone, both.

    python scripts/norm_phrases.py [--misses]

Phrases are the standard and forbidden phrases, the professional rewrites, and the habitual wordings that these replace
(data/norms/instead_of.jsonl). Each is judged as one sentence, under its own document's norm and under `base`. A phrase without labels counts as found
if nothing is found in it that its norm forbids.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from svcnorm import Classifier, Norm, Prediction
from svcnorm.classifier import ways
from svcnorm.examples import read_rows
from svcnorm.model import Scorer

CATALOGUE = Path(__file__).parents[1] / "data" / "norms"
KINDS = ("standard_phrase", "forbidden_phrase", "professional_rewrite")
FILL = {"××": "临江", "……": "", "先生/小姐": "先生", "先生/女士": "先生", "女士/先生": "女士"}


Phrase = tuple[str, str, str, frozenset[str]]


def phrases() -> Iterator[Phrase]:
    """(document, id, text, labels) of every phrase, its blanks filled."""
    documents = {}
    for path in sorted(
        CATALOGUE.glob("*.jsonl"), key=lambda p: (p.stem == "instead_of", p.stem)
    ):  # the rewrites last: their ids are known then
        for _, item in read_rows(path):
            document = documents.setdefault(item["id"].split("-")[0], path.stem)
            if path.stem == "instead_of" or item["kind"] in KINDS:
                text = item["text"]
                for blank, words in FILL.items():
                    text = text.replace(blank, words)
                yield document, item["id"], text, frozenset(item["labels"])


def judged(classifier: Classifier, rows: list[Phrase]) -> list[tuple[bool, Prediction]]:
    """For each phrase whether all its labels are found (or, if it has none, nothing forbidden), and what was."""
    predictions = classifier.predict_many((text for _, _, text, _ in rows), split=False)
    return [(labels <= set(p.labels) if labels else not p.breaches, p) for (*_, labels), p in zip(rows, predictions, strict=True)]


def found_labels(scorer: Scorer, rows: list[Phrase]) -> list[bool]:
    """Rules and model together under each document's own norm."""
    documents = sorted({d for d, *_ in rows})
    return [good for d in documents for good, _ in judged(Classifier(scorer, Norm.load(d)), [r for r in rows if r[0] == d])]


def main() -> None:
    rows = list(phrases())
    documents = sorted({d for d, *_ in rows})
    scorer = Classifier.load().scorer
    for scheme in ("own norm", "base norm"):
        found: dict[str, dict[str, list[bool]]] = {}
        misses = []
        for document in documents:
            own = [r for r in rows if r[0] == document]
            for way, classifier in ways(scorer, Norm.load(document if scheme == "own norm" else "base")).items():
                results = judged(classifier, own)
                found.setdefault(way, {})[document] = [good for good, _ in results]
                if way == "both":
                    misses += [
                        f"  {item:16} {text}  expected {', '.join(sorted(labels)) or 'nothing forbidden'}; found {', '.join(p.labels) or 'none'}"
                        for (_, item, text, labels), (good, p) in zip(own, results, strict=True)
                        if not good
                    ]
        print(f"\n{scheme}: share of phrases whose expected labels are all found")
        print(f"{'':22}{'phrases':>8}" + "".join(f"{way:>8}" for way in found))
        for document in documents:
            print(
                f"{document:22}{len(found['both'][document]):>8}"
                + "".join(f"{sum(f[document]) / len(f[document]):>8.3f}" for f in found.values())
            )
        print(f"{'all':22}{len(rows):>8}" + "".join(f"{sum(sum(x) for x in f.values()) / len(rows):>8.3f}" for f in found.values()))
        if scheme == "own norm" or "--misses" in sys.argv:
            print("misses of both:", *misses or ["  none"], sep="\n")


if __name__ == "__main__":
    main()

"""How many phrases of the norm catalogue get all their expected labels: rules alone, model alone, both.

    python scripts/norm_phrases.py [--misses]

Phrases are the standard and forbidden phrases, the professional rewrites, and the habitual wordings that these replace
(data/norms/instead_of.jsonl). Each is judged as one sentence, under its own document's norm and under `base`. A phrase without labels counts as found
if nothing is found in it that its norm forbids.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from svcnorm import Classifier, Norm

CATALOGUE = Path(__file__).parents[1] / "data" / "norms"
KINDS = ("standard_phrase", "forbidden_phrase", "professional_rewrite")
FILL = {"××": "临江", "……": "", "先生/小姐": "先生", "先生/女士": "先生", "女士/先生": "女士"}


def phrases() -> Iterator[tuple[str, str, str, frozenset[str]]]:
    """(document, id, text, labels) of every phrase, its blanks filled."""
    documents = {}
    for path in sorted(CATALOGUE.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            document = documents.setdefault(item["id"].split("-")[0], path.stem)
            if path.stem == "instead_of" or item["kind"] in KINDS:
                text = item["text"]
                for blank, words in FILL.items():
                    text = text.replace(blank, words)
                yield document, item["id"], text, frozenset(item["labels"])


def main() -> None:
    rows = list(phrases())
    documents = sorted({d for d, *_ in rows})
    shipped = Classifier.load()
    for scheme in ("own norm", "base norm"):
        found: dict[str, dict[str, list[bool]]] = {}
        misses = []
        for document in documents:
            own = [r for r in rows if r[0] == document]
            norm = Norm.load(document if scheme == "own norm" else "base")
            bare = Norm(norm.name, norm.title, norm.source, None, norm.judgements, (), ())
            ways = {
                "rules": Classifier.from_rules(norm=norm),
                "model": Classifier(shipped.scorer, bare),
                "both": Classifier(shipped.scorer, norm),
            }
            for way, classifier in ways.items():
                for (_, item, text, labels), p in zip(own, classifier.predict_many((t for _, _, t, _ in own), split=False), strict=True):
                    good = labels <= set(p.labels) if labels else not p.breaches
                    found.setdefault(way, {}).setdefault(document, []).append(good)
                    if way == "both" and not good:
                        misses.append(
                            f"  {item:16} {text}  expected {', '.join(sorted(labels)) or 'nothing forbidden'}; found {', '.join(p.labels) or 'none'}"
                        )
        print(f"\n{scheme}: share of phrases whose expected labels are all found")
        print(f"{'':22}{'phrases':>8}" + "".join(f"{way:>8}" for way in found))
        for document in documents:
            print(
                f"{document:22}{len(found['both'][document]):>8}"
                + "".join(f"{sum(f[document]) / len(f[document]):>8.3f}" for f in found.values())
            )
        n = len(rows)
        print(f"{'all':22}{n:>8}" + "".join(f"{sum(sum(x) for x in f.values()) / n:>8.3f}" for f in found.values()))
        if scheme == "own norm" or "--misses" in sys.argv:
            print("misses of both:", *misses or ["  none"], sep="\n")


if __name__ == "__main__":
    main()

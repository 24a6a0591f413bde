"""Labelled sentences looked over before they train: duplicates, conflicts, leakage, agreement, probable errors, personal data.

Needs the extra `[data]`: counts of n-grams and kappa are scikit-learn's, probable label errors cleanlab's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svcnorm.errors import optional
from svcnorm.evaluation import indicator
from svcnorm.examples import Example
from svcnorm.labels import NAMES
from svcnorm.privacy import find_personal_data
from svcnorm.text import bare, normalise

FORMAT = 1  # of `check`'s answer; raised when a field changes its meaning or goes away
SIMILAR = 0.7  # share of character trigrams that two sentences have in common
FEW = 20  # a label with fewer sentences has next to nothing to learn from


@lru_cache(1 << 17)
def grams(text: str) -> frozenset[str]:
    """The character trigrams; of up to six characters none, since short sentences repeat by nature."""
    plain = bare(text)
    return frozenset(plain[i : i + 3] for i in range(len(plain) - 2)) if len(plain) > 6 else frozenset()


def near(texts: dict[str, str], others: dict[str, str], similar: float = SIMILAR) -> list[tuple[str, str]]:
    """Ids of `texts` and of `others` whose sentences have `similar` of their trigrams in common (Jaccard)."""
    if not any(map(grams, others.values())):
        return []
    count = _sklearn("feature_extraction.text").CountVectorizer(analyzer=grams, binary=True)
    there = count.fit_transform(others.values())
    common = (count.transform(texts.values()) @ there.T).tocoo()
    own, known = (np.array([len(grams(t)) for t in some.values()]) for some in (texts, others))
    alike = common.data >= similar * (own[common.row] + known[common.col] - common.data)
    ids = list(texts), list(others)
    return [(ids[0][i], ids[1][j]) for i, j in zip(common.row[alike], common.col[alike], strict=True)]


def check(examples: Sequence[Example], held_out: Sequence[Example] = (), probabilities: NDArray | None = None) -> dict[str, Any]:
    """What is wrong, or may be, with labelled sentences, as plain data: ids, labels and counts, no text.

    `held_out`: sentences that a model will be tested on. `probabilities`: shape (len(examples), len(LABELS)), of a model that has not
    seen the examples; they give the probable errors, the surest first. Sentences without an id go by their number, `#1` and so on.
    """
    ids = [e.id or f"#{i}" for i, e in enumerate(examples, 1)]
    by_text: dict[str, list[int]] = defaultdict(list)
    for i, e in enumerate(examples):
        by_text[bare(e.text)].append(i)
    groups = [group for group in by_text.values() if len(group) > 1]
    counts = Counter(label for e in examples for label in e.labels)
    personal = [{"id": ids[i], "kind": p.kind, "start": p.span.start, "end": p.span.end}
                for i, e in enumerate(examples) for p in find_personal_data(e.text)]  # fmt: skip
    return {
        "format": FORMAT,
        "sentences": len(examples),
        "labels": {name: counts[name] for name in NAMES},
        "few": [name for name in NAMES if counts[name] < FEW],
        "repeated_ids": [i for i, n in Counter(ids).items() if n > 1],
        "duplicates": [[ids[i] for i in g] for g in groups if len({examples[i].labels for i in g}) == 1],
        "conflicts": [{"ids": [ids[i] for i in g], "labels": [list(examples[i].labels) for i in g]}
                      for g in groups if len({examples[i].labels for i in g}) > 1],
        "leakage": leakage(examples, held_out),
        "agreement": agreement(examples),
        "probable_errors": [] if probabilities is None else probable_errors(examples, probabilities),
        "personal_data": personal,
    }  # fmt: skip


def leakage(examples: Sequence[Example], held_out: Sequence[Example]) -> list[list[str]]:
    """Pairs of ids, of an example and a held-out sentence, that are the same but for marks, or nearly so. Up to six characters may repeat."""
    names = [{e.id or f"#{i}": e.text for i, e in enumerate(some, 1)} for some in (examples, held_out)]
    return [list(pair) for pair in near(*names)] if all(names) else []


def agreement(examples: Iterable[Example]) -> dict[str, dict[str, Any]]:
    """Per label, Cohen's kappa of each two annotators, averaged by the sentences that both labelled; `None`: no two, or nothing varies.

    Reads the field `annotators`, {name: [labels]}, which `svcnorm data import` writes.
    """
    pairs: dict[tuple[str, str], list[tuple[set[str], set[str]]]] = defaultdict(list)
    for e in examples:
        said = {who: set(labels) for who, labels in (e.fields.get("annotators") or {}).items()}
        for a, b in combinations(sorted(said), 2):
            pairs[a, b].append((said[a], said[b]))
    if not pairs:
        return {}
    kappa, found = _sklearn("metrics").cohen_kappa_score, {}
    for name in NAMES:
        columns = [([name in a for a, _ in rows], [name in b for _, b in rows]) for rows in pairs.values()]
        known = [(kappa(a, b), len(a)) for a, b in columns if len({*a, *b}) > 1]
        found[name] = {
            "sentences": sum(n for _, n in known),
            "kappa": float(np.average([k for k, _ in known], weights=[n for _, n in known])) if known else None,
        }
    return found


def out_of_fold(examples: Sequence[Example], folds: int = 5, seed: int = 0) -> NDArray[np.float64]:
    """Probabilities by a logistic regression on n-grams of characters that was fitted without the sentence's own call, or author.

    Shape: (len(examples), len(LABELS)). Weaker than the model, but it has not seen the labels that it judges.
    """
    linear, text, select = (_sklearn(m) for m in ("linear_model", "feature_extraction.text", "model_selection"))
    x = text.HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << 17, binary=True).transform(
        normalise(e.text) for e in examples
    )
    true = indicator(e.labels for e in examples)
    groups = [str(e.fields.get("call_id") or e.fields.get("author") or i) for i, e in enumerate(examples)]
    folds = min(folds, len(set(groups)))
    p = np.zeros(true.shape)
    for train, test in select.GroupKFold(folds, shuffle=True, random_state=seed).split(x, groups=groups):
        for j, column in enumerate(true[train].T):
            if column.any() and not column.all():
                p[test, j] = linear.LogisticRegression(C=10, solver="liblinear").fit(x[train], column).predict_proba(x[test])[:, 1]
            else:
                p[test, j] = column.mean()
    return p


def probable_errors(examples: Sequence[Example], probabilities: NDArray) -> list[dict[str, Any]]:
    """Labels that are probably wrong or missing (confident learning, Northcutt et al. 2021), the surest first, each for a second look."""
    cleanlab = optional("cleanlab.multilabel_classification.filter", "probable label errors need cleanlab; install svcnorm[data]")
    true = indicator(e.labels for e in examples)
    sets = [np.flatnonzero(row).tolist() for row in true]
    flagged = cleanlab.find_multilabel_issues_per_class(sets, np.clip(probabilities, 1e-6, 1 - 1e-6), n_jobs=1)
    places = [(abs(float(probabilities[i, j]) - true[i, j]), i, j) for i, j in np.argwhere(flagged)]
    return [{"id": examples[i].id or f"#{i + 1}", "label": NAMES[j], "given": bool(true[i, j]), "probability": round(float(probabilities[i, j]), 4)}
            for _, i, j in sorted(places, reverse=True)]  # fmt: skip


def _sklearn(module: str) -> Any:
    return optional(f"sklearn.{module}", "checking data needs scikit-learn; install svcnorm[data]")

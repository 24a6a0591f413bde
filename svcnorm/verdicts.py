"""What reviewers say of predictions, as labelled sentences: each verdict names a sentence by its id, a label, and whether the decision was right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svcnorm.errors import DataError, LabelError
from svcnorm.examples import Example, check_choice, raise_problem, read_rows
from svcnorm.labels import find, ordered
from svcnorm.tables import SUFFIXES, read_table

VERDICTS = ("right", "wrong")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence`: the id in `Sentence.to_dict`. `right`: of the decision on the label, given or not; so a wrong one turns it round."""

    sentence: str
    label: str
    right: bool
    comment: str = ""

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Verdict:
        """Raises `DataError` or `LabelError` that says what is wrong with the row."""
        if not isinstance(row.get("sentence"), str) or not row["sentence"]:
            raise DataError(f"'sentence' must be the id of a predicted sentence, got {row.get('sentence')!r}")
        check_choice({"verdict": None, **row}, "verdict", VERDICTS)
        return cls(row["sentence"], find(row.get("label")).name, row["verdict"] == "right", str(row.get("comment") or ""))


def read_verdicts(path: Path, on_problem: Callable[[str], object] = raise_problem) -> Iterator[Verdict]:
    """The verdicts of a JSONL file or a table (CSV, TSV, Excel) with sentence, label, verdict (right or wrong) and, if wanted, comment. Bad lines as in `read_rows`."""
    for number, row in read_table(path, on_problem) if path.suffix.lower() in SUFFIXES else read_rows(path, on_problem):
        try:
            yield Verdict.from_dict(row)
        except (DataError, LabelError) as e:
            on_problem(f"{path}:{number}: {e}")


def apply_verdicts(
    predictions: Iterable[dict[str, Any]], verdicts: Iterable[Verdict], on_problem: Callable[[str], object] = raise_problem
) -> list[Example]:
    """The sentences with a verdict, labelled as predicted but for what was found wrong; `fields` trace each back.

    `predictions`: objects of `Prediction.to_dict` or `CallAudit.to_dict`. Labels without a verdict are the model's own: the field `reviewed` names those
    that a person has seen. A verdict on an unknown sentence, or two that contradict each other, go to `on_problem`; the latter's sentence is left out.
    """
    by_sentence: dict[str, dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for v in verdicts:
        by_sentence[v.sentence][v.label].append(v)
    examples = []
    for prediction in predictions:
        parts = prediction.get("turns", [prediction])
        for sentence in (s for part in parts for s in part.get("sentences", ())):
            said = by_sentence.pop(sentence["id"], None)
            if said is None:
                continue
            if disputed := [label for label, vs in said.items() if len({v.right for v in vs}) > 1]:
                on_problem(
                    f"sentence {sentence['id']}: verdicts contradict each other on {', '.join(disputed)}; it is left out until they are settled"
                )
                continue
            given = set(sentence["labels"])
            turned = {label for label, vs in said.items() if not vs[0].right}
            comments = [v.comment for vs in said.values() for v in vs if v.comment]
            examples.append(Example(sentence["id"], sentence["text"], ordered(given ^ turned), {
                "reviewed": list(ordered(said)), "model": prediction["model"], "norm": prediction["norm"], "norm_version": prediction["norm_version"],
                **({"comments": comments} if comments else {})}))  # fmt: skip
    for unknown in by_sentence:
        on_problem(f"sentence {unknown}: not among the predictions; give the file that the reviewers worked from")
    return examples

import numpy as np
import pytest
from fakes import FLAT

from svcnorm.fusion import fuse
from svcnorm.labels import NAMES
from svcnorm.norms import Hit, Judgement, Pattern, Rule
from svcnorm.results import Span


def hit(decides: bool = False) -> Hit:
    return Hit(Rule("r", ("pushback",), Pattern("x"), None, decides, Judgement(), (), (), "test", 1), Span(0, 1))


def probabilities(p: float) -> np.ndarray:
    row = np.zeros(len(NAMES), np.float32)
    row[NAMES.index("pushback")] = p
    return row


# FLAT: threshold 0.5, with a rule 0.2, unsure from 0.3 to 0.7
@pytest.mark.parametrize(
    ("p", "hits", "source", "unsure"),
    [
        (0.9, [], "model", False),
        (0.9, [hit()], "both", False),
        (0.6, [], "model", True),
        (0.6, [hit()], "both", False),
        (0.4, [], None, True),
        (0.4, [hit()], "rule", False),
        (0.4, [hit(decides=True)], "rule", False),
        (0.25, [], None, False),
        (0.25, [hit()], "rule", False),
        (0.1, [], None, False),
        (0.1, [hit()], None, False),
        (0.1, [hit(decides=True)], "rule", False),
        (0.1, [hit(), hit(decides=True)], "rule", False),
        (None, [], None, False),
        (None, [hit()], "rule", False),
    ],
)
def test_the_truth_table(p, hits, source, unsure):
    decisions, open_ = fuse(None if p is None else probabilities(p), None if p is None else FLAT, hits)
    assert [d.source for d in decisions] == ([source] if source else [])
    assert open_ == (("pushback",) if unsure else ())
    if source:
        (decision,) = decisions
        assert decision.probability == (None if p is None else pytest.approx(p))
        assert bool(decision.hits) == (source != "model")


def test_below_the_band_only_the_hits_that_decide_are_the_evidence():
    (decision,), _ = fuse(probabilities(0.1), FLAT, [hit(), hit(decides=True)])
    assert [h.rule.decides for h in decision.hits] == [True]


def test_decisions_come_in_the_order_of_the_labels():
    row = np.full(len(NAMES), 0.9, np.float32)
    assert tuple(d.label for d in fuse(row, FLAT, [])[0]) == NAMES

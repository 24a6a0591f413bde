"""No pattern that matches is missed: what the index leaves out could not have matched."""

import random
from pathlib import Path

import pytest
import re2

from svcnorm.examples import read_rows
from svcnorm.literals import MOST, Index, required
from svcnorm.norms import Norm
from svcnorm.text import normalise


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [
        ("稍等", [{"稍等"}]),
        ("(请|您)?稍等", [{"请稍等", "您稍等", "稍等"}]),
        ("稍?等", [{"稍等", "等"}]),
        ("没[办有]法", [{"没办法", "没有法"}]),
        ("我.{0,3}不知道[啊呀]*$", [{"我"}, {"不知道"}]),
        ("(不知道|.清楚)吗", [{"不知道", "清楚"}, {"吗"}]),
        ("(?:好的)+", [{"好的"}]),
        ("(?P<who>您|你)姓", [{"您姓", "你姓"}]),
        ("对不起对不起", [{"对不起对"}]),  # sought by its first characters
        (r"a\.b", [{"a.b"}]),
        (r"小\p{Han}|x{0}", []),
        ("(?:好的)+?吗", [{"好的"}, {"吗"}]),
        ("(?:好的){00,2}", []),
        ("好|", []),
        ("[^好]", []),
        ("(?i)OK", []),
        (r"\Q(好\E", []),
        ("好{,2}", []),
    ],
)
def test_what_a_pattern_needs(pattern, clauses):
    assert sorted(map(sorted, required(pattern))) == sorted(map(sorted, clauses))


def test_what_is_too_much_to_spell_out_is_taken_in_pieces():
    assert [len(clause) for clause in required("[一二三四五六七八九十]{1}" + "[甲乙丙丁戊己庚辛壬癸]" * 3)] == [10, 10, 10, 10]
    assert max(map(len, required("(" + "|".join(f"第{i}" for i in range(2 * MOST)) + ")"))) == 2 * MOST


def _made(draw: random.Random, depth: int) -> str:
    """A pattern in RE2 syntax on few characters, so that texts of these often match."""
    kind = draw.randrange(10 if depth else 4)
    if kind < 3:
        return "".join(draw.choices("天地人_", k=draw.randint(1, 6)))
    if kind == 3:
        return draw.choice(["[天地]", "[^人]", ".", "[天-龥]", "^", "$", r"\p{Han}", r"\_", "[人_]"])
    if kind < 6:
        return "".join(_made(draw, depth - 1) for _ in range(draw.randint(1, 3)))
    if kind < 8:
        return "(" + "|".join(_made(draw, depth - 1) for _ in range(draw.randint(1, 3))) + draw.choice([")", "|)"])
    return f"(?:{_made(draw, depth - 1)})" + draw.choice(["*", "+", "?", "{0,1}", "{1,2}", "{2}", "{0,3}", "*?", "{2,}"])


def test_every_pattern_that_matches_is_a_candidate_whatever_it_looks_like():
    draw, matched = random.Random(0), 0
    patterns = [_made(draw, 4) for _ in range(400)]
    index, compiled = Index(patterns), [re2.compile(p) for p in patterns]
    for _ in range(200):
        text = "".join(draw.choices("天地人_龙", k=draw.randint(0, 12)))
        found = {i for i, p in enumerate(compiled) if p.search(text)}
        assert found <= set(index.candidates(text)), [patterns[i] for i in found - set(index.candidates(text))]
        matched += len(found)
    assert matched > 10_000
    assert sum(bool(required(p)) for p in patterns) > 100


def test_every_rule_of_the_shipped_norm_that_matches_is_a_candidate_and_few_others_are():
    paths = sorted((Path(__file__).parents[1] / "data" / "gold").glob("*.jsonl"))
    texts = [normalise(t) for t in random.Random(0).sample([row["text"] for path in paths for _, row in read_rows(path)], 400)]
    rules = Norm.load("base").rules
    index = Index([rule.pattern.source for rule in rules])
    candidates = [index.candidates(text) for text in texts]
    for text, chosen in zip(texts, candidates, strict=True):
        assert {i for i, rule in enumerate(rules) if rule.pattern.matches(text)} <= set(chosen), text
    assert sum(map(len, candidates)) < 10 * len(texts)

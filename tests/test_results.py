import json
from dataclasses import FrozenInstanceError, replace

import pytest

import svcnorm
from svcnorm import Evidence, Finding, Prediction, Sentence, Span

PREDICTION = Prediction(
    "您好。没办法",
    (
        Sentence("您好。", Span(0, 3), (Finding("greeting", "model", 0.98765),)),
        Sentence(
            "没办法",
            Span(3, 6),
            (Finding("pushback", "both", 0.5, (Evidence("r", Span(3, 6), "没办法", "c-1"),), "forbidden", "c-1", "我帮您想办法"),),
            ("hold",),
        ),
    ),
    "base",
    "base-1",
    "0a1b2c3d",
)


def test_the_json_of_a_prediction_is_what_it_was():
    assert PREDICTION.to_dict() == {
        "format": 1, "text": "您好。没办法", "norm": "base", "norm_version": "0a1b2c3d", "model": "base-1", "needs_review": True,
        "sentences": [
            {"id": "6932767caf2d955e", "text": "您好。", "start": 0, "end": 3, "labels": ["greeting"], "unsure": [], "needs_review": False,
             "findings": [{"label": "greeting", "group": "courtesy", "source": "model", "probability": 0.9877, "severity": None, "clause": None, "say_instead": None, "evidence": []}]},
            {"id": "e1da09f4d5d0201e", "text": "没办法", "start": 3, "end": 6, "labels": ["pushback"], "unsure": ["hold"], "needs_review": True,
             "findings": [{"label": "pushback", "group": "taboo", "source": "both", "probability": 0.5, "severity": "forbidden", "clause": "c-1", "say_instead": "我帮您想办法",
                           "evidence": [{"rule": "r", "start": 3, "end": 6, "text": "没办法", "clause": "c-1"}]}]},
        ],
    }  # fmt: skip
    assert json.loads(json.dumps(PREDICTION.to_dict())) == PREDICTION.to_dict()


def test_a_sentence_keeps_its_id_until_text_place_model_or_norm_change():
    first, second = PREDICTION
    assert PREDICTION.sentence_id(first) == replace(PREDICTION, sentences=()).sentence_id(first)
    others = [replace(PREDICTION, **{field: "other"}) for field in ("text", "norm", "model", "norm_version")]
    ids = [PREDICTION.sentence_id(first), PREDICTION.sentence_id(second), *(p.sentence_id(first) for p in others)]
    assert len(set(ids)) == len(ids)
    assert replace(PREDICTION, text="\ud800").sentence_id(first)  # a lone surrogate has an id too


def test_what_can_be_derived_is():
    assert PREDICTION.labels == ("greeting", "pushback")
    assert [f.label for f in PREDICTION.breaches] == ["pushback"]
    assert [s.span.of(PREDICTION.text) for s in PREDICTION] == ["您好。", "没办法"]
    assert [f.taboo for s in PREDICTION for f in s.findings] == [False, True]


def test_results_are_frozen():
    with pytest.raises(FrozenInstanceError):
        PREDICTION.text = "x"


def test_the_front_door_is_all_that_is_exported():
    public = {name for name in vars(svcnorm) if not name.startswith("_")}
    modules = {name for name in public if getattr(getattr(svcnorm, name), "__spec__", None)}
    assert public - modules == set(svcnorm.__all__)
    assert sorted(svcnorm.__all__, key=str.lower) == sorted(set(svcnorm.__all__), key=str.lower)

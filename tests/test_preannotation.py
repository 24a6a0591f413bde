import json
from xml.etree import ElementTree

import pytest
from fakes import FakeScorer
from test_cli import run

from svcnorm import Classifier, Norm
from svcnorm.labelling import digest, read_labelled
from svcnorm.labels import LABELS, NAMES
from svcnorm.preannotation import doccano_labels, doccano_rows, label_studio_config, label_studio_tasks, suggest
from svcnorm.results import Span

CALL = {
    "call_id": "c1",
    "turns": [
        {"role": "agent", "text": "您好。没办法，😀你投诉也没用"},
        {"role": "customer", "text": "什么态度"},
        {"role": "坐席", "text": "对不起"},
    ],
}


def suggestions(*rows, **kwargs):
    scorer = FakeScorer({"您好": {"greeting": 0.9}, "投诉": {"pushback": 0.8, "hedging": 0.4}})
    return list(suggest(iter(rows), Classifier(scorer, Norm.load("base")), **kwargs))


def write(path, *rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def exported(tmp_path, source, tool, *options):
    out = tmp_path / f"{tool}.out"
    result = run("data", "export", source, "--to", tool, "--out", out, "--rules-only", *options)
    assert result.exit_code == 0, result.stderr
    text = out.read_text(encoding="utf-8")
    return json.loads(text) if tool == "label-studio" else [json.loads(line) for line in text.splitlines()]


def annotated(tasks):
    """What Label Studio exports after somebody accepted the suggestions: its own task numbers, the results as annotations."""
    return [
        {"id": 70 + n, "data": t["data"], "predictions": [],
         "annotations": [{"id": n, "completed_by": 1, "was_cancelled": False, "result": t["predictions"][0]["result"]}]}
        for n, t in enumerate(tasks)
    ]  # fmt: skip


def test_a_sentence_has_its_rows_id_with_its_number_or_a_digest_of_its_own():
    found = suggestions({"id": 7, "text": "您好。再见！", "shift": "早"}, {"text": "您好。再见！"}, {"text": "再见！"}, {"text": "……"})
    assert [(s.id, s.sentence.text) for s in found] == [
        ("7#0", "您好。"), ("7#1", "再见！"), (digest("您好。"), "您好。"), (digest("再见！"), "再见！"),
    ]  # fmt: skip
    assert found[1].fields == {"shift": "早"}
    (whole,) = suggestions({"id": 7, "text": "您好。再见！"}, split=False)
    assert (whole.id, whole.sentence.text) == ("7", "您好。再见！")


def test_certainty_is_that_of_the_least_certain_label():
    sure, unsure = suggestions({"text": "您好。你投诉啊"})
    assert sure.certainty == pytest.approx(0.9)
    assert unsure.certainty == pytest.approx(0.6)
    (by_rules,) = suggest([{"text": "您好"}], Classifier.from_rules())
    assert by_rules.certainty is None


def test_label_studio_gets_labels_as_choices_and_evidence_as_spans_of_the_sentence_in_code_points():
    first, second = label_studio_tasks(suggestions({"id": "x", "text": "您好，请讲。没办法，😀你投诉也没用", "shift": "早"}))
    assert second["data"] == {"shift": "早", "text": "没办法，😀你投诉也没用", "sentence_id": "x#1"}
    (prediction,) = second["predictions"]
    assert prediction["model_version"] == "fake"
    assert prediction["score"] == 0.6
    choices, *spans = prediction["result"]
    assert (choices["from_name"], choices["type"], choices["value"]) == ("labels", "choices", {"choices": ["pushback"]})
    assert "你投诉也没用" in [r["value"]["text"] for r in spans]
    for r in spans:
        assert (r["from_name"], r["to_name"], r["type"], r["value"]["labels"]) == ("evidence", "text", "labels", ["pushback"])
        assert Span(r["value"]["start"], r["value"]["end"]).of(second["data"]["text"]) == r["value"]["text"]
    ids = [r["id"] for task in (first, second) for r in task["predictions"][0]["result"]]
    assert len(set(ids)) == len(ids)


def test_a_sentence_without_findings_is_a_task_without_results():
    (task,) = label_studio_tasks(suggest([{"text": "嗯哪嘛"}], Classifier.from_rules()))
    assert task["predictions"] == [{"model_version": "rules", "result": []}]


def test_the_interface_shows_chinese_names_in_groups_and_stores_english_ones():
    """`alias` takes the place of `value` in results and is not shown: docs/source/tags/choice.md and Choice.jsx (`_resultValue`),
    SelectedModel.js (`selectedValues`, `findLabel`) of HumanSignal/label-studio. Choices may hold headers: Choices.jsx (`children`)."""
    view = ElementTree.fromstring(label_studio_config())
    choices = view.find("Choices")
    assert [c.get("alias") for c in choices.iter("Choice")] == list(NAMES)
    assert [c.get("value") for c in choices.iter("Choice")] == [x.zh for x in LABELS]
    assert [h.get("value") for h in choices.iter("Header")] == ["礼貌用语", "业务处理", "服务忌语"]
    assert [c.get("alias") for c in view.find("Labels")] == list(NAMES)


def test_label_studios_own_checks_accept_interface_and_suggestions():
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(label_studio_config())
    interface.validate()
    assert set(interface.get_control("labels").labels) == set(interface.get_control("evidence").labels) == set(NAMES)
    tasks = list(label_studio_tasks(suggestions({"id": "x", "text": "您好，请讲。没办法，你投诉也没用"})))
    for task in tasks:
        assert interface.validate_prediction(task["predictions"][0], return_errors=True) == []
    tasks[0]["predictions"][0]["result"][0]["value"]["choices"] = ["问候"]  # the name that is shown is not the one that is stored
    assert interface.validate_prediction(tasks[0]["predictions"][0], return_errors=True)


def test_doccano_gets_chinese_names_and_all_labels_to_set_up_its_project():
    """Line form after backend/data_import/pipeline/builders.py (further columns become the example's meta, which the export writes
    beside the text: `ExportedExample.to_dict`); label types after backend/label_types/tests/data/valid_labels.json of doccano/doccano."""
    rows = list(doccano_rows(suggestions({"id": "x", "text": "您好，请讲。没办法，你投诉也没用", "label": ["old"], "shift": "早"})))
    assert rows == [
        {"shift": "早", "text": "您好，请讲。", "label": ["问候"], "sentence_id": "x#0"},
        {"shift": "早", "text": "没办法，你投诉也没用", "label": ["推诿"], "sentence_id": "x#1"},
    ]
    assert [x["text"] for x in doccano_labels()] == [x.zh for x in LABELS]


def test_what_label_studio_gives_back_has_the_ids_and_texts_that_went_out(tmp_path):
    tasks = exported(tmp_path, write(tmp_path / "calls.jsonl", CALL), "label-studio")
    assert [t["data"]["sentence_id"] for t in tasks] == ["c1-00#0", "c1-00#1", "c1-02#0"]
    back = tmp_path / "back.json"
    back.write_text(json.dumps(annotated(tasks)), encoding="utf-8")
    examples = read_labelled(back)
    assert [(e.id, e.text) for e in examples] == [(t["data"]["sentence_id"], t["data"]["text"]) for t in tasks]
    assert [e.labels for e in examples] == [("greeting",), ("pushback",), ("apology",)]
    assert examples[1].fields == {"call_id": "c1", "turn": 0, "role": "agent", "tool_id": 71, "annotators": {"1": ["pushback"]}}
    assert (tmp_path / "label-studio.out.config.xml").read_text(encoding="utf-8") == label_studio_config()


def test_so_has_label_studios_json_min(tmp_path):
    converter = pytest.importorskip("label_studio_sdk.converter").Converter(label_studio_config(), str(tmp_path), download_resources=False)
    tasks = exported(tmp_path, write(tmp_path / "calls.jsonl", CALL), "label-studio")
    (tmp_path / "back.json").write_text(json.dumps(annotated(tasks)), encoding="utf-8")
    converter.convert_to_json_min(str(tmp_path / "back.json"), str(tmp_path), is_dir=False)
    found = read_labelled(tmp_path / "result.json")
    assert [(e.id, e.text) for e in found] == [(t["data"]["sentence_id"], t["data"]["text"]) for t in tasks]
    assert [e.labels for e in found] == [("greeting",), ("pushback",), ("apology",)]


def test_what_doccano_gives_back_has_the_ids_and_texts_that_went_out(tmp_path):
    rows = exported(tmp_path, write(tmp_path / "calls.jsonl", CALL), "doccano")
    back = [{"id": 90 + n, "text": r.pop("text"), **{k: v for k, v in r.items() if k != "label"}, "label": sorted(r["label"]), "Comments": []}
            for n, r in enumerate([dict(r) for r in rows])]  # fmt: skip
    examples = read_labelled(write(tmp_path / "all.jsonl", *back))
    assert [(e.id, e.text) for e in examples] == [(r["sentence_id"], r["text"]) for r in rows]
    assert [e.labels for e in examples] == [("greeting",), ("pushback",), ("apology",)]
    assert len(json.loads((tmp_path / "doccano.out.labels.json").read_text(encoding="utf-8"))) == len(LABELS)


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("x.txt", "您好。请讲\n\n再见\n您好。\n", [digest("您好。"), digest("请讲"), digest("再见")]),
        ("x.jsonl", '{"id": "a", "text": "您好。请讲"}\n{"text": "再见"}\n', ["a#0", "a#1", digest("再见")]),
        ("x.jsonl", '{"call_id": "c", "role": "agent", "text": "您好"}\n{"call_id": "c", "role": "customer", "text": "嗯嗯"}\n', ["c-00#0"]),
        ("x.jsonl", '{"id": "c-00", "call_id": "c", "role": "agent", "text": "您好"}\n{"id": "c-01", "call_id": "c", "role": "customer", "text": "嗯嗯"}\n', ["c-00#0"]),
        ("x.csv", "call_id,role,text\nc,客服,您好\nc,客户,嗯嗯\n", ["c-00#0"]),
    ],
)  # fmt: skip
def test_sentences_come_from_lines_rows_and_calls(tmp_path, name, content, ids):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert [row["sentence_id"] for row in exported(tmp_path, tmp_path / name, "doccano")] == ids


def test_whole_texts_keep_their_ids(tmp_path):
    source = write(tmp_path / "x.jsonl", {"id": "a", "text": "您好。请讲"})
    (row,) = exported(tmp_path, source, "doccano", "--whole")
    assert (row["sentence_id"], row["text"]) == ("a", "您好。请讲")


def test_a_bad_line_is_reported_the_rest_is_exported_and_the_exit_code_is_2(tmp_path):
    source = tmp_path / "x.jsonl"
    source.write_text('{"text": "您好"}\n{bad\n', encoding="utf-8")
    result = run("data", "export", source, "--to", "doccano", "--out", tmp_path / "out", "--rules-only")
    assert result.exit_code == 2
    assert result.stdout.startswith("1 sentences: ")
    assert f"{source}:2: not JSON" in result.stderr
    result = run("data", "export", tmp_path / "none", "--to", "doccano", "--out", tmp_path / "out", "--rules-only")
    assert (result.exit_code, "no such file" in result.stderr) == (2, True)

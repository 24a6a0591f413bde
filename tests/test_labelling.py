import json
import re
import zipfile
from pathlib import Path

import pytest
from test_cli import run

from svcnorm.errors import DataError
from svcnorm.examples import Example, read_examples
from svcnorm.forms import FORMS
from svcnorm.labelling import digest, read_labelled
from svcnorm.mapping import Mapping

DATA = Path(__file__).parent / "data" / "labelling"
LIN = "lin@example.com"


def labels(examples):
    return {e.id: list(e.labels) for e in examples}


def write(path, *rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


LABEL_STUDIO = [
    Example("c9-02#0", "让您多等了，真不好意思", ("gratitude", "apology"),
            {"call_id": "c9", "turn": 2, "role": "agent", "tool_id": 41,
             "annotators": {"1": ["apology"], LIN: ["gratitude", "apology"], "3": ["gratitude", "apology"]}}),
    Example("c9-04#0", "这块不归我管，你爱找谁找谁", ("pushback",),
            {"call_id": "c9", "turn": 4, "role": "agent", "tool_id": 42, "annotators": {"1": ["impatience", "pushback"], LIN: ["pushback"]}}),
    Example("c9-06#0", "工单给您提上去了", ("commitment",), {"call_id": "c9", "turn": 6, "role": "agent", "tool_id": 43, "annotators": {"1": ["commitment"]}}),
    Example("c9-08#0", "那个那个", (), {"call_id": "c9", "turn": 8, "role": "agent", "tool_id": 44, "annotators": {"1": []}}),
]  # fmt: skip


def test_label_studio_counts_the_majority_of_several_annotators_and_keeps_each_answer():
    """label_studio.json has the form of label_studio/data_export/serializers.py and docs/source/guide/export.md of HumanSignal/label-studio
    (`completed_by` as number and as object, `was_cancelled`), written for a project with the configuration of svcnorm.preannotation.

    Of two annotators both must agree, of three two; a cancelled answer does not count, the later answer of one annotator does, a span
    beside choices is evidence and no label, and an answer without a result is one without labels."""
    skipped = []
    assert read_labelled(DATA / "label_studio.json", on_skip=skipped.append) == LABEL_STUDIO
    assert sorted(skipped) == ["answered twice by one annotator (the later answer counts)", "cancelled", "cancelled"]


@pytest.mark.parametrize("name", ["label_studio_min.json", "label_studio.csv"])
def test_the_other_exports_of_label_studio_say_the_same(name):
    """Both files were written by `label_studio_sdk.converter.Converter` 2.0.19 (convert_to_json_min, convert_to_csv) from label_studio.json."""
    found = read_labelled(DATA / name)
    assert [(e.id, e.text, e.labels, e.fields["annotators"]) for e in found] == [
        (e.id, e.text, e.labels, e.fields["annotators"]) for e in LABEL_STUDIO
    ]


def test_label_studios_own_converter_still_writes_what_we_read(tmp_path):
    converter = pytest.importorskip("label_studio_sdk.converter")
    from svcnorm.preannotation import label_studio_config

    made = converter.Converter(label_studio_config(), str(DATA), download_resources=False)
    made.convert_to_json_min(str(DATA / "label_studio.json"), str(tmp_path), is_dir=False)
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == json.loads(
        (DATA / "label_studio_min.json").read_text(encoding="utf-8")
    )


def test_spans_are_labels_where_a_project_has_no_choices(tmp_path):
    tasks = json.loads((DATA / "label_studio.json").read_text(encoding="utf-8"))[1:2]
    for a in tasks[0]["annotations"]:
        a["result"] = [r for r in a["result"] if r["type"] == "labels"]
    path = tmp_path / "spans.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    assert read_labelled(path)[0].fields["annotators"] == {"1": ["command", "pushback"], LIN: []}


def test_a_single_choice_in_json_min_is_found_by_its_labels_or_by_the_mapping(tmp_path):
    """It is plain text there, as the data is (`prettify_result` of label_studio_sdk.converter.utils)."""
    path = tmp_path / "min.json"
    row = {"id": 3, "text": "您稍坐", "mood": "好", "act": "hold", "taboo": "推诿", "annotator": 1, "annotation_id": 8, "created_at": "x"}
    path.write_text(json.dumps([row]))
    assert read_labelled(path) == [Example("3", "您稍坐", ("hold", "pushback"), {"mood": "好", "annotators": {"1": ["hold", "pushback"]}})]
    path.write_text(json.dumps([{**row, "act": "稍等", "taboo": None}]))
    with pytest.raises(DataError, match=r"which field holds the labels\? .* id, text, mood, act"):
        read_labelled(path)
    with pytest.raises(DataError, match="'稍等': 1 times"):
        read_labelled(path, mapping=Mapping({"labels": "act"}))


def test_argilla_folders_are_read_and_what_is_pending_is_passed_over():
    """argilla/records.json was written by `JsonIO.to_json` of argilla 2.8.0 (argilla/records/_io/_json.py), as `Dataset.to_disk` does. It
    holds no status of a response: the discarded answer to call-7-1 cannot be told from the other, and there is no majority."""
    skipped = []
    found = read_labelled(DATA / "argilla", on_skip=skipped.append)
    assert labels(found) == {"call-7-0": ["apology", "hold"], "call-7-1": []}
    assert found[0].fields["shift"] == "夜班"
    assert len(found[0].fields["annotators"]) == 3
    assert skipped == ["pending", "not labelled"]


def test_flat_argilla_records_show_what_was_discarded_or_is_a_draft():
    """argilla_flat.json was written by `GenericIO.to_list(records, flatten=True)` of argilla 2.8.0 (argilla/records/_io/_generic.py)."""
    skipped = []
    found = read_labelled(DATA / "argilla_flat.json", on_skip=skipped.append)
    assert labels(found) == {"call-7-0": ["apology", "hold"], "call-7-1": ["pushback"]}
    assert found[1].fields == {"shift": "夜班", "annotators": {"00000000-0000-0000-0000-0000000000a1": ["pushback"]}}
    assert skipped == ["discarded", "draft", "not labelled"]


@pytest.mark.slow  # the import of argilla
@pytest.mark.parametrize("orient", ["names", "index"])
@pytest.mark.parametrize("flatten", [False, True])
def test_what_argilla_writes_today_is_read(tmp_path, orient, flatten):
    pytest.importorskip("argilla")
    from argilla.records._io import GenericIO, JsonIO
    from argilla.responses import ResponseStatus

    records = JsonIO._records_from_json(DATA / "argilla" / "records.json")
    for record in records:
        record._model.status = "completed"
        for response in record.responses:
            response.status = ResponseStatus.submitted
    path = tmp_path / "records.json"
    path.write_text(json.dumps(GenericIO.to_dict(records, flatten=flatten, orient=orient)), encoding="utf-8")
    assert labels(read_labelled(path)) == {"call-7-0": ["apology", "hold"], "call-7-1": [], "call-7-2": ["farewell"]}


def test_argilla_questions_are_told_apart_by_a_mapping(tmp_path):
    record = {"id": "1", "fields": {"text": "您稍坐"}, "metadata": {}, "status": "completed",
              "responses": {"act": [{"value": ["hold"], "user_id": "u"}], "note": [{"value": "x", "user_id": "u"}]}}  # fmt: skip
    path = tmp_path / "records.json"
    path.write_text(json.dumps([record]))
    with pytest.raises(DataError, match="which question holds the labels.* act, note"):
        read_labelled(path)
    assert labels(read_labelled(path, mapping=Mapping({"labels": "act"}))) == {"1": ["hold"]}
    with pytest.raises(DataError, match="no labels named 'deed'; there are act, note"):
        read_labelled(path, mapping=Mapping({"labels": "deed"}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("doccano", {"c3-00#0": ["apology", "empathy"], "c3-02#0": ["interrogation"], "c3-04#0": []}),
        ("doccano_spans", {"21": ["impatience", "pushback"], "22": []}),
        ("doccano_relations", {"31": ["impatience", "pushback"]}),
        ("doccano_intent", {"41": ["pushback"]}),
        ("doccano_1_2", {"51": ["apology"]}),
    ],
)
def test_doccano_is_read_in_every_form_that_it_exports(name, expected):
    """Forms after doccano/doccano: backend/data_export/pipeline/factories.py and models.py (label, entities, cats, meta beside the text,
    spans as triples or objects); doccano_1_2 after frontend/static/formats of 2020 (meta, annotation_approver, labels)."""
    assert labels(read_labelled(DATA / f"{name}.jsonl")) == expected


def test_doccano_rows_that_nobody_approved_are_passed_over_if_others_were():
    skipped = []
    (example,) = read_labelled(DATA / "doccano_1_2.jsonl", on_skip=skipped.append)
    assert example == Example("51", "给您添乱了", ("apology",), {"shift": "早班"})
    assert skipped == ["not approved"]


def test_numbers_of_labels_are_mapped_and_each_user_is_an_annotator():
    """doccano_1_2_users.jsonl: the form of backend/server/static/components/examples/download_text_classification.jsonl of doccano 1.0."""
    (example,) = read_labelled(DATA / "doccano_1_2_users.jsonl", mapping=Mapping(labels={"6": ("apology",), "7": ("empathy",)}))
    assert example.labels == ("apology",)
    assert example.fields["annotators"] == {"1": ["apology"], "2": ["apology", "empathy"]}


def test_the_files_of_a_doccano_zip_are_its_annotators(tmp_path):
    """Form after backend/api/views/download/writer.py of doccano 1.4: <user>.jsonl with id, data, label; unknown.jsonl is not labelled."""
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(
            "admin.jsonl", '{"id": 1, "data": "您坐会儿", "label": ["等待提示"]}\n{"id": 2, "data": "去去去", "label": ["粗鲁侮辱"]}\n'
        )
        z.writestr("lin.jsonl", '{"id": 1, "data": "您坐会儿", "label": ["等待提示", "请求配合"]}\n{bad\n')
        z.writestr("unknown.jsonl", '{"id": 3, "data": "呃", "label": []}\n')
    problems, skipped = [], []
    found = read_labelled(path, on_problem=problems.append, on_skip=skipped.append)
    assert labels(found) == {"1": ["hold"], "2": ["rudeness"]}
    assert found[0].fields["annotators"] == {"admin": ["hold"], "lin": ["request", "hold"]}
    assert skipped == ["not labelled"]
    assert problems[0].startswith(f"{path}/lin.jsonl:2: not JSON")


def test_a_table_has_its_labels_in_one_cell_and_its_columns_mapped():
    found = read_labelled(DATA / "labels.csv", mapping=Mapping({"text": "客服话术", "team": "班组"}))
    assert found == [
        Example("a1", "不好意思，让您等了这么久", ("apology",), {"team": "甲"}),
        Example("a2", "这事我管不着，你投诉去呗", ("impatience", "pushback"), {"team": "乙"}),
        Example("a3", "收到", (), {"team": "乙"}),
    ]


def test_a_table_has_a_column_for_each_label_and_one_for_the_annotator():
    found = read_labelled(DATA / "ticks.tsv")
    assert found == [
        Example(digest("抱歉哈，您等我一下下"), "抱歉哈，您等我一下下", ("apology",), {"班组": "甲", "annotators": {"王": ["apology", "hold"], "李": ["apology"]}}),
        Example(digest("行"), "行", (), {"班组": "乙", "annotators": {"王": []}}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "cell", ["致歉,hold", "致歉;hold", "致歉|hold", "致歉、hold", "致歉，Hold", "致歉；等待提示", "致歉#等待提示", '["致歉", "hold"]']
)
def test_labels_in_a_cell_are_separated_by_any_usual_mark(tmp_path, cell):
    path = tmp_path / "x.tsv"
    path.write_text(f"text\tlabels\n您稍坐\t{cell}\n", encoding="utf-8")
    assert read_labelled(path)[0].labels == ("apology", "hold")


def test_a_mapped_name_may_hold_a_mark_and_become_several_labels(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,labels\n您稍坐,推诿、回绝\n", encoding="utf-8")
    mapping = tmp_path / "m.yaml"
    mapping.write_text("labels: {推诿、回绝: [推诿, blunt_refusal]}", encoding="utf-8")
    assert read_labelled(path, mapping=Mapping.load(mapping))[0].labels == ("pushback", "blunt_refusal")


def test_our_own_examples_come_back_as_they_are_and_customers_are_passed_over(tmp_path):
    row = {"id": "1", "text": "您好", "labels": ["greeting"], "kind": "asr", "call_id": "c"}
    skipped = []
    found = read_labelled(write(tmp_path / "x.jsonl", row, {**row, "role": "客户"}), on_skip=skipped.append)
    assert [e.to_dict() for e in found] == [row]
    assert skipped == ["customer"]


def test_a_sentence_without_an_id_gets_one_that_never_changes(tmp_path):
    (example,) = read_labelled(write(tmp_path / "x.jsonl", {"text": "您好", "label": []}))
    assert example.id == "609bc0751d56eb46"
    assert digest("您好。") != example.id


def test_equal_rows_without_an_annotator_stay_two(tmp_path):
    assert len(read_labelled(write(tmp_path / "x.jsonl", *[{"text": "您好", "label": ["问候"]}] * 2))) == 2


def test_unknown_labels_are_reported_all_at_once_with_a_block_to_paste_and_nothing_is_written(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,labels\n您稍坐,稍等\n抱歉,道歉、稍等\n找别家,推脱\n您好,greetng\n嗯,zzz\n您好,问候\n", encoding="utf-8")
    out, mapping = tmp_path / "out.jsonl", tmp_path / "m.yaml"
    result = run("data", "import", path, "--out", out)
    assert result.exit_code == 2
    assert not out.exists()
    message, block = result.stderr.split("labels:\n")
    assert "5 unknown labels" in message
    assert f"'稍等': 2 times, first in {path}:2; perhaps hold" in message
    assert f"'道歉': 1 times, first in {path}:3; perhaps apology" in message
    assert f"'推脱': 1 times, first in {path}:4; perhaps pushback" in message
    assert f"'zzz': 1 times, first in {path}:6\n" in message
    mapping.write_text("labels:\n" + block, encoding="utf-8")
    refused = run("data", "import", path, "--out", out, "--mapping", mapping)
    assert "labels: zzz: unknown label '???'" in refused.stderr
    mapping.write_text("labels:\n" + block.replace("???", "null"), encoding="utf-8")
    result = run("data", "import", path, "--out", out, "--mapping", mapping)
    assert result.exit_code == 0, result.stderr
    assert [e.labels for e in read_examples(out)] == [("hold",), ("apology", "hold"), ("pushback",), ("greeting",), (), ("greeting",)]


def test_a_column_of_zeros_and_ones_that_nobody_knows_is_reported_not_lost(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,致歉,甩锅,时长\n抱歉,1,0,3\n找别家,0,1,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"'甩锅': 1 times, first in {path}:3"):
        read_labelled(path)
    assert read_labelled(path, mapping=Mapping(labels={"甩锅": ()}))[1] == Example(digest("找别家"), "找别家", (), {"时长": "1"})


def test_bad_rows_are_reported_with_their_number_the_rest_is_written_and_the_exit_code_is_2(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,致歉,role\n抱歉,1,坐席\n,1,坐席\n您好,也许,坐席\n您好,0,老板\n您好,0\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    result = run("data", "import", path, "--out", out)
    assert result.exit_code == 2
    assert [e.fields for e in read_examples(out)] == [{"role": "agent"}]
    for words in (
        ":3: no text in text or data",
        ":4: column 致歉: 1 or 0 is expected, got '也许'",
        ":5: 'role' must be one of",
        ":6: 3 fields expected, got 2",
    ):
        assert f"{path}{words}" in result.stderr


def test_an_item_that_is_not_of_its_form_is_reported_and_the_rest_is_read(tmp_path):
    tasks = json.loads((DATA / "label_studio.json").read_text(encoding="utf-8"))
    path = tmp_path / "x.json"
    path.write_text(json.dumps([*tasks, {"id": 9, "annotations": [{"id": 1, "result": []}]}, 5]), encoding="utf-8")
    problems = []
    assert read_labelled(path, on_problem=problems.append) == LABEL_STUDIO
    assert sorted(problems) == [
        f"{path}: item 6: not as label-studio writes it: KeyError('data')",
        f"{path}: item 7: an object is expected, got int",
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", '[{"a": 1', "x.json:1: not JSON"),
        ("x.json", '[{"a": 1}]', "cannot tell which tool wrote this; say it with --from label-studio|.*The fields are a"),
        ("x.csv", "a,b\n1,2\n", "no column of labels: expected labels or label .* The columns are a, b"),
        ("x.zip", "no zip", "cannot be read: File is not a zip file"),
        ("x.xlsx", "no workbook", "not an Excel workbook"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, name, content, words):
    (tmp_path / name).write_text(content, encoding="utf-8")
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    with pytest.raises(DataError, match=words):
        read_labelled(tmp_path / name)


def test_a_missing_file_is_a_data_error(tmp_path):
    for name in ("x.json", "x.csv", "x.zip"):
        with pytest.raises(DataError, match="No such file"):
            read_labelled(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [("labels: [a]", "a mapping has `columns:` and `labels:`"), ("spalten: {}", "and nothing else"), ("{", "not YAML"),
     ("labels: {a: hld, b: 无此, c: null}", "labels: a: unknown label 'hld'; did you mean hold.*\n.*labels: b: unknown label '无此'")],
)  # fmt: skip
def test_a_mapping_with_problems_names_them_all(tmp_path, content, words):
    path = tmp_path / "m.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        Mapping.load(path)


def test_the_command_counts_what_it_read_and_what_it_passed_over(tmp_path):
    out = tmp_path / "out.jsonl"
    result = run("data", "import", DATA / "label_studio.json", "--out", out)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"4 sentences: {out}\npassed over: 2 cancelled, 1 answered twice")
    assert list(read_examples(out)) == LABEL_STUDIO
    assert run("data", "import", DATA / "label_studio.json", "--out", out, "--from", "doccano").exit_code == 2


def test_the_document_shows_a_mapping_that_loads_and_names_every_form(tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "labelling.md").read_text(encoding="utf-8")
    path = tmp_path / "m.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.S)[1], encoding="utf-8")
    assert Mapping.load(path).labels["推诿回绝"] == ("pushback", "blunt_refusal")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.M)) == set(FORMS)
    shown = [json.dumps(e.to_dict(), ensure_ascii=False) for e in read_labelled(DATA / "label_studio.json")[:2]]
    assert "\n".join(shown) in text

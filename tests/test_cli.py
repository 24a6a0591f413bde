import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnorm.cli import main
from svcnorm.terminal import display_width

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*args, **kwargs):
    return CliRunner().invoke(main, [str(a) for a in args], **kwargs)


def test_a_text_is_labelled_as_a_table_in_both_languages():
    assert "apology" in run("predict", "--rules-only", "对不起").output
    result = run("predict", "--rules-only", "对不起", "--lang", "zh")
    assert result.exit_code == 0
    assert "致歉" in result.output
    assert "仅规则" in result.output


def test_the_model_decides_when_nothing_else_is_asked_for(classifier):
    output = run("predict", "对不起，让您久等了").output
    assert classifier.model in output
    assert "apology" in output


def test_columns_line_up_where_chinese_and_latin_stand_together():
    lines = run("labels", "--lang", "zh").output.splitlines()
    starts = {
        display_width(line[: line.index(group)]) for line in lines[1:] for group in ("礼貌用语", "业务处理", "服务忌语") if group in line
    }
    assert len(lines) == 32
    assert len(starts) == 1


def test_what_is_wrapped_stays_beside_its_label():
    lines = run("predict", "--rules-only", "对不起，你投诉也没用，这不归我们管").output.splitlines()
    pushback, apology = (next(i for i, line in enumerate(lines) if name in line) for name in ("pushback", "apology"))
    assert apology < pushback
    assert "→" in lines[pushback]
    assert "→" not in lines[apology]


def test_output_that_is_no_terminal_has_no_colour_codes():
    assert "\x1b" not in run("predict", "--rules-only", "没办法，你投诉也没用").output
    assert "\x1b" in run("predict", "--rules-only", "没办法，你投诉也没用", color=True).output


def test_jsonl_keeps_the_order_and_passes_fields_through(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 7, "text": "您好"}\n{"id": 8, "text": "再见"}\n', encoding="utf-8")
    rows = [json.loads(line) for line in run("predict", "--rules-only", path, "--format", "jsonl").output.splitlines()]
    assert [(r["id"], r["text"], r["model"]) for r in rows] == [(7, "您好", None), (8, "再见", None)]


def test_a_bad_line_is_reported_with_its_number_the_rest_is_done_and_the_exit_code_is_2(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "您好"}\n{bad\n{"text": 3}\n{"text": "再见"}\n', encoding="utf-8")
    result = run("predict", "--rules-only", path, "--format", "jsonl")
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 2
    assert f"{path}:2: not JSON" in result.stderr
    assert f"{path}:3: 'text' must be a string, got 3" in result.stderr


def test_standard_input_has_a_text_a_line_and_need_not_be_utf8_throughout():
    result = run(
        "predict", "--rules-only", "-", "--format", "jsonl", input="您好\n".encode() + "您好\n".encode("gb18030") + "\n再见".encode()
    )
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["您好", "再见"]
    assert "standard input:2: not UTF-8" in result.stderr


def test_a_lone_surrogate_in_the_input_breaks_no_output(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "好\\ud800的"}\n{"text": "您好"}\n', encoding="utf-8")
    rows = [json.loads(line) for line in run("predict", "--rules-only", path, "--format", "jsonl").output.splitlines()]
    assert [r["text"] for r in rows] == ["好\ud800的", "您好"]
    assert run("predict", "--rules-only", path).exit_code == 0


def test_json_is_one_document(tmp_path):
    assert [p["text"] for p in json.loads(run("predict", "--rules-only", "您好", "--format", "json").output)] == ["您好"]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.jsonl")), ids=lambda p: p.stem)
def test_example_calls_are_audited(file, lang):
    result = run("audit", file, "--lang", lang, "--norm", "gov_hotline_96128")
    assert result.exit_code == 0
    assert ("missing" if lang == "en" else "缺失") in result.output


def test_an_audit_as_jsonl_is_a_call_a_line():
    file = sorted(EXAMPLES.glob("*.jsonl"))[0]
    (line,) = run("audit", file, "--rules-only", "--format", "jsonl").output.splitlines()
    assert {"call_id", "turns", "steps", "breaches"} <= set(json.loads(line))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["predict", "--norm", "nowhere", "x"], "no norm named 'nowhere'"),
        (["predict", "--model", "/nowhere", "x"], "/nowhere: no such model folder"),
        (["predict", "missing.jsonl"], "missing.jsonl: no such file"),
        (["audit", "missing.jsonl", "--rules-only"], "missing.jsonl: cannot be read"),
        (["norm", "show", "nowhere"], "no norm named 'nowhere'"),
        (["model", "show", "/nowhere"], "/nowhere: no such model folder"),
    ],
)
def test_what_users_can_mend_is_one_line_and_exit_code_2(args, words):
    result = run(*args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_norms_are_listed_shown_and_checked(tmp_path):
    assert "gov_hotline_96128" in run("norm", "list").output
    assert "96128-" in run("norm", "show", "gov_hotline_96128", "--lang", "zh").output
    assert run("norm", "check", "base").exit_code == 0
    path = tmp_path / "x.yaml"
    path.write_text("format: 1\nname: x\nrules:\n- {id: a, labels: hold, any: [稍等], hits: [您好], misses: [稍等]}\n", encoding="utf-8")
    result = run("norm", "check", path)
    assert result.exit_code == 1
    assert result.output.count("rule a") == 2


def test_the_model_is_shown_and_verified(classifier, tmp_path):
    shown = run("model", "show").output
    assert classifier.model in shown
    assert "threshold" in shown
    assert "with a rule" in shown
    assert "false alarms" in shown
    assert "any taboo" in shown
    assert run("model", "verify").exit_code == 0
    result = run("model", "verify", tmp_path)
    assert result.exit_code == 1
    assert "manifest.json: the file is missing" in result.stderr


def test_exit_codes_are_documented():
    assert "Exit codes: 0 done; 1" in run("--help").output


def labelled(tmp_path, *rows):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" if isinstance(r, dict) else r + "\n" for r in rows), encoding="utf-8")
    return path


ROWS = (
    {"id": "1", "text": "对不起", "labels": ["apology"]},
    {"id": "2", "text": "没办法，你投诉也没用", "labels": ["pushback"]},
    {"id": "3", "text": "喂", "labels": ["hold"]},
)


def test_evaluate_writes_figures_errors_and_a_report(tmp_path):
    pytest.importorskip("sklearn")
    result = run("evaluate", labelled(tmp_path, *ROWS), "--rules-only", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "3 sentences" in result.output
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert found["sentences"] == 3
    assert found["labels"]["apology"]["f1"] == 1
    assert found["data"]["skipped"] == 0
    errors = [json.loads(line) for line in (tmp_path / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [e["id"] for e in errors] == ["3"]
    assert "喂" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_evaluate_reports_a_bad_line_measures_the_rest_and_exits_with_2(tmp_path):
    pytest.importorskip("sklearn")
    result = run("evaluate", labelled(tmp_path, ROWS[0], '{"text": "您好", "labels": ["hi"]}'), "--rules-only", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "data.jsonl:2: unknown label 'hi'" in result.stderr
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))["data"]["skipped"] == 1


def test_a_failed_gate_is_named_and_the_exit_code_is_1(tmp_path):
    pytest.importorskip("sklearn")
    gates = tmp_path / "gates.yaml"
    gates.write_text("gates:\n  - {figure: macro_f1, min: 0.99}\n  - {figure: label_f1, max_drop: 0}\n")
    result = run("evaluate", labelled(tmp_path, *ROWS), "--rules-only", "--compare", "rules", "--gates", gates, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "gate failed" in result.stderr
    assert "macro_f1" in result.stderr
    assert "label_f1" not in result.stderr
    assert json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))["broken"] == []


def test_gates_without_an_old_model_are_refused(tmp_path):
    result = run("evaluate", labelled(tmp_path, *ROWS), "--rules-only", "--gates", tmp_path / "g.yaml", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--compare" in result.stderr


def test_check_model_takes_capabilities_of_ones_own_and_can_demand_a_rate(tmp_path):
    pytest.importorskip("pypinyin")
    own = labelled(
        tmp_path,
        {"capability": "ours", "text": "对不起", "labels": ["apology"]},
        {"capability": "ours", "text": "喂喂", "labels": ["hold"]},
    )
    result = run("check-model", "--rules-only", "--cases", own, "--format", "json")
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found["capabilities"]["ours"] == {"cases": 2, "right": 1, "passed": 1, "same_labels": False}
    assert [row["strength"] for row in found["noise"]] == [0, 0.25, 0.5, 0.75, 1]
    assert found["noise"][0]["unchanged"] == 1
    assert run("check-model", "--rules-only", "--min", "0.9").exit_code == 1


def test_rule_statistics_list_hits_precision_and_dead_rules(tmp_path):
    result = run("norm", "stats", labelled(tmp_path, *ROWS, {"text": "对不起", "labels": []}), "--rules-only", "--format", "jsonl")
    rows = {r["rule"]: r for r in map(json.loads, result.output.splitlines())}
    hit = [r for r in rows.values() if r["hits"] and "apology" in r["for"]]
    assert [(r["hits"], r["labels"], r["right"]) for r in hit] == [(2, 2, 1)]
    assert "survey" in run("norm", "stats", tmp_path / "data.jsonl", "--rules-only").output.partition("no hit")[2]


def test_norm_diff_shows_what_a_new_norm_decides_otherwise(tmp_path):
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(
        "format: 1\nname: stricter\ntitle: t\nsource: s\nextends: base\njudge:\n  apology: {severity: forbidden, clause: '9'}\n"
    )
    calls = labelled(
        tmp_path, {"call_id": "c", "role": "customer", "text": "喂"}, {"call_id": "c", "role": "agent", "text": "您好。对不起，让您久等了"}
    )
    rows = [
        json.loads(line)
        for line in run("norm", "diff", "base", stricter, "--data", calls, "--rules-only", "--format", "jsonl").output.splitlines()
    ]
    assert [(r["call_id"], r["turn"], r["label"]) for r in rows] == [("c", 1, "apology")]
    assert rows[0]["new"] == {"severity": "forbidden", "clause": "9"}
    assert run("norm", "diff", "base", "base", "--data", calls, "--rules-only", "--format", "jsonl").output.strip() == ""

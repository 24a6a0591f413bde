"""`svcnorm data check`, `select` and `verdicts` as people type them."""

import json

import pytest
from click.testing import CliRunner

pytest.importorskip("sklearn")

from svcnorm.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:May not flag all label issues")  # cleanlab, of labels that so small a file does not have


def run(*args):
    return CliRunner().invoke(main, ["data", *map(str, args)])


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_check_finds_what_would_spoil_training_and_says_so_with_exit_code_1(tmp_path):
    data = jsonl(
        tmp_path / "new.jsonl",
        {"id": "a", "text": "您稍等，我看一下啊", "labels": ["hold"], "annotators": {"王": ["hold"], "李": ["hold"]}},
        {"id": "b", "text": "您稍等我看一下啊。", "labels": ["request"], "annotators": {"王": ["request"], "李": []}},
        {"id": "c", "text": "您的手机是13800138000对吗", "labels": ["confirmation"]},
    )
    held = jsonl(tmp_path / "held.jsonl", {"id": "h", "text": "您的手机是13800138000对吧", "labels": ["confirmation"]})
    with data.open("a", encoding="utf-8") as f:
        f.write('{"id": "d", "text": "好", "labels": ["holding"]}\n')
    done = run("check", data, "--held-out", held, "--out", tmp_path / "found.json", "--mask", tmp_path / "masked.jsonl", "--rules-only")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [c["ids"] for c in found["conflicts"]] == [["a", "b"]]
    assert found["leakage"] == [["c", "h"]]
    assert [(p["id"], p["kind"]) for p in found["personal_data"]] == [("c", "phone")]
    assert found["agreement"]["hold"]["kappa"] == 1
    assert rows(tmp_path / "masked.jsonl")[2]["text"] == "您的手机是00000000000对吗"
    assert "conflicts: 1" in done.output
    assert f"{data}:4: unknown label 'holding'" in done.output
    assert done.exit_code == 2  # a bad line weighs more than what the check found
    clean = jsonl(tmp_path / "clean.jsonl", {"id": "a", "text": "您稍等，我看一下啊", "labels": ["hold"]})
    assert run("check", clean, "--rules-only").exit_code == 0
    assert run("check", clean, "--held-out", clean, "--rules-only").exit_code == 1


def test_check_shows_labels_that_a_model_that_has_not_seen_them_would_give_otherwise(tmp_path):
    pytest.importorskip("cleanlab")
    greetings = ["您好，很高兴为您服务", "您好，欢迎致电", "早上好，请讲", "您好请讲", "下午好，很高兴为您服务"]
    thanks = ["感谢您的来电", "谢谢您的理解", "非常感谢您的耐心等待", "谢谢您对我们工作的支持", "感谢您的配合"]
    examples = [{"id": f"g{i}", "text": t, "labels": ["greeting"]} for i, t in enumerate(greetings)]
    examples += [{"id": f"t{i}", "text": t, "labels": ["gratitude"] if i else ["greeting"]} for i, t in enumerate(thanks)]
    run("check", jsonl(tmp_path / "new.jsonl", *examples), "--out", tmp_path / "found.json")
    suspects = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["probable_errors"]
    assert suspects[0]["id"] == "t0"
    assert {s["id"] for s in suspects} == {"t0"}


def test_select_takes_calls_keeps_to_the_budget_and_leaves_out_what_is_labelled(tmp_path):
    turns = ["您好请问有什么可以帮您", "我网断了", "这个我也没办法啊您自己再试试", "嗯", "您报一下宽带账号", "那您找物业吧"]
    call = {"call_id": "c1", "turns": [{"role": "customer" if i in (1, 3) else "agent", "text": t} for i, t in enumerate(turns)]}
    known = jsonl(tmp_path / "known.jsonl", {"text": "您报一下宽带账号。", "labels": ["inquiry"]})
    done = run("select", jsonl(tmp_path / "calls.jsonl", call), "--budget", 2, "--known", known, "--out", tmp_path / "picked.jsonl")
    assert done.exit_code == 0, done.output
    picked = rows(tmp_path / "picked.jsonl")
    assert len(picked) == 2
    assert {p["text"] for p in picked} <= {turns[0], turns[2], turns[5]}
    assert all(p["call_id"] == "c1" and p["reason"] in ("uncertain", "rare", "diverse") and p["id"] for p in picked)


def test_verdicts_go_back_to_the_sentences_of_predict_and_of_audit(tmp_path):
    call = {"call_id": "c1", "turns": [{"role": "customer", "text": "怎么还没好"}, {"role": "agent", "text": "这个我没办法。您稍等。"}]}
    calls, texts = jsonl(tmp_path / "calls.jsonl", call), jsonl(tmp_path / "texts.jsonl", {"text": "这个我没办法。您稍等。"})
    for command, file in (("predict", texts), ("audit", calls)):
        done = CliRunner().invoke(main, [command, str(file), "--format", "jsonl", "--rules-only"])
        (tmp_path / "predictions.jsonl").write_text(done.output, encoding="utf-8")
        answer = json.loads(done.output)
        sentence = (answer["sentences"] if command == "predict" else answer["turns"][1]["sentences"])[0]
        verdicts = jsonl(
            tmp_path / "verdicts.jsonl",
            {"sentence": sentence["id"], "label": "explanation", "verdict": "wrong"},
            {"sentence": "gone", "label": "hold", "verdict": "right"},
        )
        done = run("verdicts", tmp_path / "predictions.jsonl", verdicts, "--out", tmp_path / "reviewed.jsonl")
        (row,) = rows(tmp_path / "reviewed.jsonl")
        assert (row["id"], row["text"], row["reviewed"]) == (sentence["id"], "这个我没办法。", ["explanation"])
        assert "explanation" in row["labels"]
        assert done.exit_code == 2
        assert "sentence gone: not among the predictions" in done.output

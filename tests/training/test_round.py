"""The weekly round of docs/retraining.md, command by command, on a tiny model."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")

from svcnorm import registry
from svcnorm.examples import read_examples, read_rows

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_from_a_folder_of_new_calls_to_a_promoted_model_and_back(run, retraining, tmp_path):
    work, _, _ = run
    models = tmp_path / "models"
    parent = registry.promote(work / "models" / registry.current(work / "models"), models)
    bundle = models / parent

    def command(*args: object, module: str = "svcnorm", codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run([sys.executable, "-m", module, *map(str, args)], cwd=ROOT, capture_output=True, text=True, check=False,
                              env={**os.environ, "HF_HUB_OFFLINE": "1"})  # fmt: skip
        assert done.returncode in codes, (args, done.stdout[-1000:], done.stderr[-2000:])
        return done.stdout

    # the customer's calls, and what people would say of them if asked
    file = sorted((ROOT / "data" / "train").glob("x5*.jsonl"))[0]
    truth = {e.text: e.labels for e in list(read_examples(file))[:80]}
    texts = list(truth)
    (tmp_path / "calls.jsonl").write_text("\n".join(json.dumps({"text": t}, ensure_ascii=False) for t in texts[:60]), encoding="utf-8")
    held = [{"text": t, "labels": truth[t]} for t in texts[60:]]
    (tmp_path / "held_out.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in held), encoding="utf-8")

    # 1. pick, export
    command("data", "select", tmp_path / "calls.jsonl", "--budget", 20, "--out", tmp_path / "to_label.jsonl", "--model", bundle)
    command(
        "data", "export", tmp_path / "to_label.jsonl", "--to", "doccano", "--whole", "--out", tmp_path / "tasks.jsonl", "--model", bundle
    )
    tasks = [row for _, row in read_rows(tmp_path / "tasks.jsonl")]
    assert len(tasks) == 20

    # 2. a person labels the tasks in doccano, which exports them; a reviewer disputes predictions
    label = lambda text: next((list(ls) for t, ls in truth.items() if text in t), [])  # noqa: E731
    done = [{**task, "label": label(task["text"])} for task in tasks]
    (tmp_path / "exported.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in done), encoding="utf-8")
    command("data", "import", tmp_path / "exported.jsonl", "--from", "doccano", "--out", tmp_path / "labelled.jsonl")
    (tmp_path / "predictions.jsonl").write_text(
        command("predict", tmp_path / "calls.jsonl", "--format", "jsonl", "--model", bundle), encoding="utf-8"
    )
    sentence = next(s for _, row in read_rows(tmp_path / "predictions.jsonl") for s in row["sentences"])
    with (tmp_path / "verdicts.csv").open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows(
            [
                ("sentence", "label", "verdict", "comment"),
                (sentence["id"], "hold", "right" if "hold" in sentence["labels"] else "wrong", "客户要等"),
            ]
        )
    command("data", "verdicts", tmp_path / "predictions.jsonl", tmp_path / "verdicts.csv", "--out", tmp_path / "reviewed.jsonl")
    (reviewed,) = read_examples(tmp_path / "reviewed.jsonl")
    assert "hold" in reviewed.labels
    assert reviewed.fields["model"] == parent

    # 3. look it over
    command("data", "check", tmp_path / "labelled.jsonl", tmp_path / "reviewed.jsonl", "--held-out", tmp_path / "held_out.jsonl", "--out", tmp_path / "check.json",
            "--model", bundle, codes=(0, 1))  # fmt: skip
    assert json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))["sentences"] == 21

    # 4. retrain, judge, promote, go back
    (tmp_path / "retrain.yaml").write_text(retraining, encoding="utf-8")
    (tmp_path / "gates.yaml").write_text(yaml.safe_dump({"gates": [{"figure": "micro_f1", "max_drop": 1}]}), encoding="utf-8")
    command("--data", tmp_path / "labelled.jsonl", tmp_path / "reviewed.jsonl", "--test", tmp_path / "held_out.jsonl", "--config", tmp_path / "retrain.yaml", "--models", models,
            "--gates", tmp_path / "gates.yaml", "--work", tmp_path / "retrain", "--promote", module="training.retrain")  # fmt: skip
    now = registry.current(models)
    assert now != parent
    assert now in command("model", "list", "--models", models)
    assert command("model", "rollback", "--models", models).strip() == parent
    assert (
        command(
            "model",
            "promote",
            tmp_path / "retrain" / "evaluated",
            "--comparison",
            tmp_path / "retrain/reports/test/comparison.json",
            "--models",
            models,
        ).strip()
        == now
    )

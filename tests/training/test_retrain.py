"""The weekly round on a tiny model: new labels in, a judged bundle out, and the current one safe."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from svcnorm import Classifier, DataError
from svcnorm.bundle import open_bundle
from svcnorm.examples import Example, read_examples
from svcnorm.labels import NAMES
from training import retrain

ROOT = Path(__file__).parents[2]
OPEN = {"gates": [{"figure": "micro_f1", "max_drop": 1}, {"figure": "contrast", "max_drop": 1}]}


@pytest.fixture(scope="module")
def centre(run, retraining, tmp_path_factory):
    """A customer with a models folder, a configuration, newly labelled sentences and a held-out set."""
    work, _, _ = run
    home = tmp_path_factory.mktemp("centre")
    shutil.copytree(work / "models", home / "models")
    (home / "retrain.yaml").write_text(retraining, encoding="utf-8")
    (home / "open.yaml").write_text(yaml.safe_dump(OPEN), encoding="utf-8")
    (home / "shut.yaml").write_text(yaml.safe_dump({"gates": [{"figure": "micro_f1", "min": 1}]}), encoding="utf-8")
    rows = [e.to_dict() for e in read_examples(sorted((ROOT / "data" / "train").glob("x4*.jsonl"))[0])][:60]
    for name, part in (("new", rows[:40]), ("test", rows[40:])):
        (home / f"{name}.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in part), encoding="utf-8")
    return home


def retrained(home: Path, *args: str, gates: str = "open", labels: Path | None = None, data: str = "new") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "training.retrain", "--data", home / f"{data}.jsonl", "--test", home / "test.jsonl", "--config", home / "retrain.yaml",
               "--models", home / "models", "--gates", home / f"{gates}.yaml", "--work", home / "work", *args]  # fmt: skip
    env = {**os.environ, "HF_HUB_OFFLINE": "1", **({"SVCNORM_LABELS": str(labels)} if labels else {})}
    return subprocess.run(list(map(str, command)), cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_model_that_fails_a_gate_is_not_promoted_and_one_that_passes_is(centre):
    before = (centre / "models" / "CURRENT").read_text()
    refused = retrained(centre, "--promote", gates="shut")
    assert refused.returncode == 1, refused.stderr[-2000:]
    assert "gates failed: micro_f1 on test (micro_f1); micro_f1 on gold (micro_f1)" in refused.stdout
    assert (centre / "models" / "CURRENT").read_text() == before

    passed = retrained(centre, "--promote")
    assert passed.returncode == 0, passed.stderr[-2000:]
    now = (centre / "models" / "CURRENT").read_text().strip()
    assert now != before.strip()
    lineage = open_bundle(centre / "models" / now).manifest["lineage"]
    assert lineage["parent"] == before.strip()
    assert lineage["new_data"].keys() == {str(centre / "new.jsonl")}
    assert {g["on"] for g in lineage["gates"]} == {"test", "gold"}
    assert {g["figure"] for g in lineage["gates"]} == {"micro_f1", "contrast"}
    assert (centre / "models" / before.strip() / "checkpoint").is_dir()
    assert "<html" in (centre / "work" / "reports" / "test" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_label_of_ones_own_becomes_a_further_column_and_the_old_model_still_works(centre, tmp_path):
    own = tmp_path / "labels.yaml"
    row = {"name": "upselling", "zh": "推销", "group": "handling", "meaning": "offers a further product", "meaning_zh": "推荐其他产品"}
    own.write_text(yaml.safe_dump({"labels": [row]}, allow_unicode=True), encoding="utf-8")
    texts = [
        f"我们新出的{thing}套餐给您推荐一下"
        for thing in ("流量", "宽带", "电视", "家庭", "校园", "国际", "副卡", "会员", "夜间", "定向", "视频", "音乐")
    ]
    rows = [{"text": t, "labels": ["upselling"]} for t in texts] + [
        json.loads(line) for line in (centre / "new.jsonl").read_text().splitlines()[:30]
    ]
    (centre / "own.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    done = retrained(centre, labels=own, data="own")
    assert done.returncode == 0, done.stderr[-2000:]
    bundle = centre / "work" / "evaluated"
    assert json.loads((bundle / "manifest.json").read_text())["labels"] == [*NAMES, "upselling"]

    code = "from svcnorm import Classifier; import sys; print(Classifier.load(sys.argv[1]).predict_proba(['您好'])[0, -1])"
    with_own = lambda model: subprocess.run([sys.executable, "-c", code, str(model)], env={**os.environ, "SVCNORM_LABELS": str(own)}, capture_output=True, text=True, check=True).stdout  # noqa: E731  # fmt: skip
    old = centre / "models" / (centre / "models" / "CURRENT").read_text().strip()
    assert float(with_own(bundle)) > 0
    assert float(with_own(old)) < 1e-20  # a model that does not know the label never gives it
    with pytest.raises(Exception, match="has besides: upselling. .*SVCNORM_LABELS"):
        Classifier.load(bundle)


def test_what_stands_in_the_test_data_does_not_train(tmp_path):
    held = Example("h1", "这个流量包用完以后会自动停掉不会再扣您的钱", ("explanation",))
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps({"id": "n1", "text": held.text + "。", "labels": ["explanation"]}, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(DataError, match="n1 is h1"):
        retrain.read_new([path], [held])


def test_new_sentences_are_masked_and_bad_lines_reported(tmp_path):
    path = tmp_path / "new.jsonl"
    good = json.dumps({"text": "您的手机13800138000对吗", "labels": ["confirmation"]}, ensure_ascii=False)
    path.write_text(good + "\n{\n", encoding="utf-8")
    said = []
    assert [e.text for e in retrain.read_new([path], [], said.append)] == ["您的手机00000000000对吗"]
    assert said == [
        f"skipped: {path}:2: not JSON: Expecting property name enclosed in double quotes at column 2; one object a line is expected"
    ]


def test_labels_without_a_verdict_count_neither_way():
    reviewed = Example("a", "没办法", ("pushback",), {"reviewed": ["hold", "pushback"]})
    row = retrain.known_targets([reviewed])[0]
    known = {NAMES[i]: float(x) for i, x in enumerate(row) if not np.isnan(x)}
    assert known == {"hold": 0.0, "pushback": 1.0}
    assert not np.isnan(retrain.known_targets([Example("b", "没办法", ("pushback",))])).any()


def test_a_call_is_held_back_as_a_whole_and_the_same_in_each_run():
    calls = [Example("", f"句子{i}", (), {"call_id": f"c{i // 4}"}) for i in range(400)]
    held = [retrain.held_back(e) for e in calls]
    assert all(len(set(held[i : i + 4])) == 1 for i in range(0, 400, 4))
    assert 0.1 < np.mean(held) < 0.3

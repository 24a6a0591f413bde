"""The stages from a tiny base to a promoted bundle, on a hundred sentences; and the parts that decide something."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")
from fakes import FLAT
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, BertModel

from svcnorm import Classifier
from svcnorm.bundle import locate
from svcnorm.evaluation import evaluate
from svcnorm.examples import Example
from svcnorm.labels import LABELS, NAMES
from training import calibrate, prepare, train
from training.metrics import multilabel_f1
from training.stage import stage

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_pipeline_ends_with_a_current_bundle_that_labels(run):
    work, _, _ = run
    bundle_id = (work / "models" / "CURRENT").read_text().strip()
    classifier = Classifier.load(work / "models" / bundle_id)
    assert classifier.model == bundle_id
    assert classifier.predict_proba(["您好，请问有什么可以帮您", "好"]).shape == (2, len(LABELS))
    card = (work / "models" / bundle_id / "README.md").read_text(encoding="utf-8")
    assert all(f"| {name} |" in card for name in NAMES)


@pytest.mark.slow
def test_the_float_checkpoint_loads_without_code_of_ours(run):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    work, _, _ = run
    bundle = work / "models" / (work / "models" / "CURRENT").read_text().strip()
    model = AutoModelForSequenceClassification.from_pretrained(bundle / "checkpoint")
    assert type(model) is BertForSequenceClassification
    assert [model.config.id2label[i] for i in range(len(NAMES))] == list(NAMES)
    assert model.config.problem_type == "multi_label_classification"
    tokens = AutoTokenizer.from_pretrained(bundle / "checkpoint")("您好", return_tensors="pt")
    assert model(**tokens).logits.shape == (1, len(NAMES))


@pytest.mark.slow
def test_the_model_takes_one_you_for_the_other_and_any_number_for_another(run):
    work, _, _ = run
    bundle = work / "models" / (work / "models" / "CURRENT").read_text().strip()
    one, other = Classifier.load(bundle).predict_proba(["您的尾号是3507吗", "你的尾号是8842吗"])
    assert (one == other).all()


def test_folding_outlives_saving_even_with_a_bert_tokenizer(tmp_path):
    from transformers import AutoTokenizer

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "您", "你", "好", "1", "2"]))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    plain = AutoTokenizer.from_pretrained(tmp_path)
    expected = plain("你好1")["input_ids"]
    assert plain("您好2")["input_ids"] != expected
    train.fold(plain).save_pretrained(tmp_path / "folded")
    again = AutoTokenizer.from_pretrained(tmp_path / "folded")
    assert again("您好2")["input_ids"] == expected
    assert again.pad_token == "[PAD]"
    assert Tokenizer.from_file(str(tmp_path / "folded" / "tokenizer.json")).encode("您好2").ids == expected


@pytest.mark.slow
def test_the_exported_model_equals_the_checkpoint(run):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from training.export import logits_of, sort_channels

    work, _, _ = run
    exported = work / "stages" / "exported"
    texts = ["您好，请问有什么可以帮您", "嗯", "这个我也没办法呀您找他们吧"]
    checkpoint = work / "stages" / "trained" / "checkpoint"
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval(), AutoTokenizer.from_pretrained(checkpoint)
    with torch.no_grad():
        expected = np.concatenate([model(**tokenizer(t, return_tensors="pt")).logits.numpy() for t in texts])
    np.testing.assert_allclose(logits_of(exported / "float.onnx", exported / "tokenizer.json", texts, 32), expected, atol=1e-4)
    np.testing.assert_allclose(logits_of(exported / "model.onnx", exported / "tokenizer.json", texts, 32), expected, atol=0.5)

    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    sort_channels(model)
    assert not torch.equal(before, model.bert.embeddings.word_embeddings.weight)
    with torch.no_grad():
        again = np.concatenate([model(**tokenizer(t, return_tensors="pt")).logits.numpy() for t in texts])
    np.testing.assert_allclose(again, expected, atol=1e-4)


@pytest.mark.slow
def test_a_second_run_skips_what_is_unchanged(run):
    *_, again = run
    assert again().count("up to date") == 6


def test_a_stage_that_fails_is_not_done_and_runs_again(tmp_path):
    def attempt(fail: bool) -> bool:
        with stage(tmp_path / "s", inputs=1) as done:
            if done is not None and fail:
                raise RuntimeError
            return done is not None

    with pytest.raises(RuntimeError):
        attempt(fail=True)
    assert not (tmp_path / "s" / "done.json").exists()
    assert attempt(fail=False)
    assert not attempt(fail=False)


def test_changed_inputs_run_a_stage_again(tmp_path):
    (tmp_path / "in").write_text("a")
    ran = []
    for content in ("a", "a", "b"):
        (tmp_path / "in").write_text(content)
        with stage(tmp_path / "s", inputs=1, files=[tmp_path / "in"]) as done:
            ran.append(done is not None)
    assert ran == [True, False, True]


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_whole_checkpoint_and_ends_as_if_nothing_had_happened(run, tiny_base):
    work, _, _ = run

    def training(name: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "training", "--config", "training/configs/tiny.yaml", "--base-model", str(tiny_base), "--until", "train",
                   "--work", str(work / name), "--set", f"data={work / 'train'}", "--set", "epochs=3"]  # fmt: skip
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def held(name: str) -> np.ndarray:
        return np.load(work / name / "trained" / "held.npz")["logits"]

    assert training("whole").wait() == 0
    killed, folder = training("killed"), work / "killed" / "trained" / "run"
    while killed.poll() is None and not list(folder.glob("checkpoint-*/trainer_state.json")):
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    assert not (work / "killed" / "trained" / "done.json").exists()
    (folder / "checkpoint-999").mkdir()  # as if it had been killed while it wrote the next one
    again = training("killed")
    assert again.wait() == 0, again.stderr.read()
    np.testing.assert_allclose(held("killed"), held("whole"), atol=1e-3)


@pytest.mark.slow
def test_the_same_configuration_and_data_give_the_same_model(run, tiny_base):
    work, _, _ = run
    command = [sys.executable, "-m", "training", "--config", "training/configs/tiny.yaml", "--base-model", str(tiny_base), "--until", "train",
               "--work", str(work / "twin"), "--set", f"data={work / 'train'}"]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    one, other = (np.load(work / name / "trained" / "held.npz")["logits"] for name in ("stages", "twin"))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_held_out_author_that_wrote_nothing_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "好", "labels": [], "author": "a"}')
    with pytest.raises(SystemExit, match="has no sentences by b"):
        prepare.run({"data": str(tmp_path), "held_out": ["a", "b"], "source": "all", "sentences": None, "seed": 1}, tmp_path / "out")


def test_a_part_of_the_data_is_drawn_from_its_source_and_the_same_for_the_same_seed():
    examples = [Example(str(i), "好", (), {"author": "a", **({"call_id": "c"} if i % 2 else {})}) for i in range(40)]
    calls = prepare.sample(examples, "calls", 10, 1)
    assert len({e.id for e in calls}) == 10
    assert all(int(e.id) % 2 for e in calls)
    assert calls == prepare.sample(examples, "calls", 10, 1) != prepare.sample(examples, "calls", 10, 2)
    assert prepare.sample(examples, "all", None, 1) == examples
    assert len(prepare.sample(examples, "targeted", None, 1)) == 20
    with pytest.raises(SystemExit, match="50 are wanted, all has 40"):
        prepare.sample(examples, "all", 50, 1)


@pytest.mark.slow
def test_the_pipeline_stops_where_it_is_told(run, tiny_base):
    work, _, _ = run
    command = [sys.executable, "-m", "training", "--config", "training/configs/tiny.yaml", "--base-model", str(tiny_base), "--work", str(work / "short"),
               "--until", "prepare", "--set", f"data={work / 'train'}", "--set", "sentences=20"]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert json.loads((work / "short" / "prepared" / "done.json").read_text())["train"] == 20
    assert not (work / "short" / "trained").exists()


def test_noise_reaches_the_share_of_the_texts_that_it_is_told(tiny_base, monkeypatch):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    monkeypatch.setattr(train.noise, "noise", lambda text, strength, seed: "嗯")  # three tokens with their marks
    rows = [{"text": "您好，请问有什么可以帮您的吗", "labels": [0.0]}] * 40
    turned = {}
    for share in (0, 0.5, 1):
        batch = train.NoisyCollator(tokenizer, max_tokens=32, share=share, strength=1)(rows)
        turned[share] = int((batch["attention_mask"].sum(1) == 3).sum())
    assert (turned[0], turned[1]) == (0, 40)
    assert 8 < turned[0.5] < 32


def test_subword_dropout_cuts_pieces_into_their_characters_and_changes_no_text():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(locate(None) / "checkpoint")
    rows = [{"text": text, "labels": [0.0]} for text in ("请问有什么可以帮你的吗", "尾号11是吗")]
    seen = {}
    for share in (0, 0.5, 1):
        collator = train.NoisyCollator(tokenizer, max_tokens=32, subword_dropout=share)
        seen[share] = [[t for t in row if t != tokenizer.pad_token_id] for row in collator(rows)["input_ids"].tolist()]
        assert [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in seen[share]] == [r["text"] for r in rows]
    assert seen[0] == tokenizer([r["text"] for r in rows])["input_ids"]
    cut = 1 + 1 + 11 + 1  # the characters, marks at both ends, and the one that a word begins with
    assert len(seen[0][0]) < len(seen[0.5][0]) < len(seen[1][0]) == cut
    short = train.NoisyCollator(tokenizer, max_tokens=6, subword_dropout=1)(rows)
    assert short["input_ids"].shape == (2, 6)
    assert short["input_ids"][:, -1].tolist() == [ids[-1] for ids in seen[0]]


def test_averaging_gives_the_mean_of_the_weights_and_refuses_another_architecture(tiny_base, tmp_path):
    config = {"layers": 1, "pooling_layer": True, "new_head": True, "dropout": 0.0}
    model, other = (train.load_model(tiny_base, config) for _ in range(2))
    expected = (model.classifier.weight + other.classifier.weight) / 2
    other.save_pretrained(tmp_path / "other")
    train.average(model, [str(tmp_path / "other")])
    np.testing.assert_allclose(model.classifier.weight.detach(), expected.detach(), atol=1e-6)
    train.load_model(tiny_base, {**config, "layers": 2}).save_pretrained(tmp_path / "deeper")
    with pytest.raises(SystemExit, match=r"deeper.*one start"):
        train.average(model, [str(tmp_path / "deeper")])


def test_a_hub_name_is_passed_on_to_from_pretrained(monkeypatch):
    asked = []

    def from_pretrained(name, **kwargs):
        asked.append((name, kwargs["num_labels"]))
        return BertForSequenceClassification(
            BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8, num_labels=31)
        )

    monkeypatch.setattr(train.AutoModelForSequenceClassification, "from_pretrained", from_pretrained)
    model = train.load_model("hfl/rbt3", {"layers": 2, "pooling_layer": True, "new_head": True, "dropout": 0.1})
    assert asked == [("hfl/rbt3", 31)]
    assert len(model.bert.encoder.layer) == model.config.num_hidden_layers == 3


def test_the_pooling_layer_starts_as_a_mean_over_the_tokens():
    import torch

    config = BertConfig(
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        num_hidden_layers=1,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
        _attn_implementation="eager",
    )
    model = BertModel(config).eval()
    layer = train.mean_layer(model.encoder.layer[0], config).eval()
    x = torch.randn(1, 7, 16)
    with torch.no_grad():
        out = layer(x)
        out = (out[0] if isinstance(out, tuple) else out)[0, 0] if not isinstance(out, torch.Tensor) else out[0, 0]
        expected = torch.nn.functional.layer_norm(x[0, 0] + 4 * x[0].mean(0), (16,))
    assert torch.cosine_similarity(out, expected, dim=0) > 0.99


def test_the_head_learns_faster_and_each_layer_slower_than_the_next(tiny_base, tmp_path):
    config = {"layers": 2, "pooling_layer": True, "new_head": True, "dropout": 0.0}
    model = train.load_model(tiny_base, config)
    arguments = train.TrainingArguments(output_dir=str(tmp_path), learning_rate=0.1, weight_decay=0.5, report_to=[])
    trainer = train.HeadTrainer(model, arguments, head_factor=10, layer_decay=0.5, train_collator=None)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = trainer.create_optimizer().param_groups
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(found) == len(names)
    assert found["classifier.weight"] == (pytest.approx(1.0), 0.5)
    rates = [found[f"bert.encoder.layer.{i}.output.dense.weight"][0] for i in range(3)]
    assert [found["bert.embeddings.word_embeddings.weight"][0], *rates] == pytest.approx([0.0125, 0.025, 0.05, 0.1])
    assert found["bert.encoder.layer.0.output.dense.bias"][1] == 0


def test_teachers_have_half_a_say_beside_the_labels_and_all_where_a_label_is_unknown(tiny_base, tmp_path):
    import torch

    config = {"layers": 1, "pooling_layer": True, "new_head": True, "dropout": 0.0}
    student, first, second = (train.load_model(tiny_base, config) for _ in range(3))
    arguments = train.TrainingArguments(output_dir=str(tmp_path), report_to=[])
    trainer = train.HeadTrainer(student, arguments, head_factor=1, layer_decay=1, train_collator=None, teachers=[first, second])
    x = {"input_ids": torch.tensor([[5, 6, 7]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    labels = torch.tensor([[1.0, 0.0, torch.nan] + [0.0] * (len(NAMES) - 3)])
    taught = ((first(**x).logits + second(**x).logits) / 2).sigmoid()
    target = torch.cat([(labels[:, :2] + taught[:, :2]) / 2, taught[:, 2:3], (labels[:, 3:] + taught[:, 3:]) / 2], dim=1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(student(**x).logits, target)
    assert trainer.compute_loss(student.train(), {**x, "labels": labels}).item() == pytest.approx(expected.item())
    plain = torch.nn.functional.binary_cross_entropy_with_logits(student(**x).logits[~labels.isnan()], labels[~labels.isnan()])
    held = trainer.compute_loss(student.eval(), {**x, "labels": labels})  # what is held back is measured by the labels alone
    assert held.item() == pytest.approx(plain.item())


def test_calibration_recovers_the_probabilities_that_made_the_data():
    rng = np.random.default_rng(1)
    logit = rng.normal(size=4000) * 3
    true = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 * logit - 1)))).astype(float)
    slope, offset = calibrate.platt(logit, true)
    assert slope == pytest.approx(0.5, abs=0.05)
    assert offset == pytest.approx(-1, abs=0.1)


def test_a_taboo_threshold_reaches_its_precision_and_few_positives_have_little_say():
    p = np.linspace(0, 1, 2000)
    true = (np.arange(2000) % 10 < 10 * p).astype(int)  # right as often as p says
    cut = calibrate.threshold(p, true, 0.9)
    assert true[p >= cut].mean() > 0.88
    assert cut > calibrate.threshold(p, true, None)
    assert calibrate.threshold(np.array([0.01, 0.02]), np.array([0, 1]), None) == pytest.approx(0.5, abs=0.03)


def test_thresholds_of_a_retrained_model_stay_near_its_parents_and_a_new_label_has_its_own():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2000, len(LABELS))).astype(np.float32) * 3
    true = (rng.random(logits.shape) < 0.05 / (1 + np.exp(-logits))).astype(np.float32)
    alone = calibrate.fit(logits, true, 0.8).threshold
    parent = np.full(len(LABELS), 0.3)
    parent[-1] = np.nan
    drawn = calibrate.fit(logits, true, 0.8, parent).threshold
    assert (np.abs(drawn - 0.3) < np.abs(alone - 0.3))[:-1].all()
    assert drawn[-1] == alone[-1]


def test_rates_on_held_back_sentences_come_from_a_calibration_of_the_other_authors(monkeypatch):
    fitted = []

    def fit(logits, true, target, parent):
        fitted.append(sorted(set(logits[:, 0].tolist())))
        return FLAT

    monkeypatch.setattr(calibrate, "fit", fit)
    logits = np.repeat(np.array([[-1.0], [0.0], [1.0]], np.float32), len(LABELS), axis=1)
    p, decided = calibrate.cross_fitted(logits, np.zeros_like(logits), ["a", "b", "c"], 0.9)
    assert sorted(fitted) == [[-1, 0], [-1, 1], [0, 1]]
    np.testing.assert_array_equal(decided, p >= 0.5)


def test_false_alarms_are_counted_in_a_thousand_sentences_of_whole_calls():
    true, decided = np.zeros((10, len(LABELS))), np.zeros((10, len(LABELS)), bool)
    column = NAMES.index("pushback")
    decided[[0, 1, 9], column] = True
    true[0, column] = 1
    rows = calibrate.measured(decided, true, np.arange(10) < 5)
    assert rows["pushback"] == {"support": 1, "precision": pytest.approx(1 / 3), "recall": 1.0, "false_alarms_per_1000": 200.0}
    assert rows["any taboo"]["false_alarms_per_1000"] == 200.0
    assert rows["greeting"] == {"support": 0, "precision": None, "recall": None, "false_alarms_per_1000": 0.0}


def test_our_counts_agree_with_scikit_learn():
    rng = np.random.default_rng(3)
    true, predicted = rng.random((200, len(NAMES))) < 0.1, rng.random((200, len(NAMES))) < 0.1
    names = [[NAMES[j] for j in np.flatnonzero(row)] for row in (*predicted, *true)]
    ours, theirs = evaluate(names[:200], names[200:]), multilabel_f1(predicted, true)
    assert (ours.micro.f1, ours.macro_f1, ours.taboo.f1) == pytest.approx((theirs["micro_f1"], theirs["macro_f1"], theirs["taboo_f1"]))


def test_a_label_without_support_is_no_support_not_zero():
    e = evaluate([["hold"], []], [["hold"], []])
    assert e.labels["hold"].f1 == 1.0
    assert e.labels["survey"].f1 is None
    assert e.macro_f1 == 1.0


def test_the_configurations_have_the_same_keys():
    keys = {p.name: set(yaml.safe_load(p.read_text(encoding="utf-8"))) for p in (ROOT / "training" / "configs").glob("*.yaml")}
    assert keys["base.yaml"] == keys["tiny.yaml"]

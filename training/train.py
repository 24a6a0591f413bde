"""Stage `train`: fine-tunes the encoder with transformers' Trainer into a stock `BertForSequenceClassification`.

The pooled features of the base vary little (deviation about 0.05), so a plain head underfits. Here the pooler starts as a
standardisation with mean and deviation taken once from training texts, the classifier's bias at the logit of the label prior, and
the head learns ten times as fast as the body.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import load_from_disk
from tokenizers import Regex, normalizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from svcnorm import noise
from svcnorm.labels import NAMES
from training.metrics import macro_average_precision, multilabel_f1
from training.stage import stage

TAKES = (
    "layers",
    "pooling_layer",
    "max_tokens",
    "learning_rate",
    "head_factor",
    "epochs",
    "batch_size",
    "warmup",
    "weight_decay",
    "seed",
    "dropout",
    "noise",
    "noise_strength",
    "subword_dropout",
    "layer_decay",
    "fold",
    "new_head",
    "teachers",
    "average",
)
FOLDS = (("您", "你"), ("[0-9]", "1"))  # what the tokenizer takes for one thing: the labels do not hang on it (docs/labels.md, rule 10)


def load_model(base: str | Path, config: dict) -> torch.nn.Module:
    """The base with a fresh multi-label head, cut down to the layers of the configuration (a number: the lowest; a list: those).

    Without `new_head` the base is a checkpoint of ours, taken as it is; labels that it does not know yet get columns of their own.
    """
    if not config["new_head"]:
        return widen_head(AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32))
    names = dict(enumerate(NAMES))
    model = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=len(NAMES), problem_type="multi_label_classification", id2label=names, label2id={v: k for k, v in names.items()},
        classifier_dropout=config["dropout"], hidden_dropout_prob=config["dropout"], attention_probs_dropout_prob=config["dropout"])  # fmt: skip
    layers = config["layers"]
    if layers and hasattr(model, "bert"):
        stack = model.bert.encoder.layer
        wanted = range(min(layers, len(stack))) if isinstance(layers, int) else layers
        model.bert.encoder.layer = torch.nn.ModuleList(stack[i] for i in wanted)
        model.config.num_hidden_layers = len(model.bert.encoder.layer)
    if config["pooling_layer"] and hasattr(model, "bert"):
        model.bert.encoder.layer.append(mean_layer(model.bert.encoder.layer[-1], model.config))
        model.config.num_hidden_layers += 1
    return model


@torch.no_grad()
def widen_head(model: torch.nn.Module) -> torch.nn.Module:
    """The model with a column for each of `LABELS`: its own, which must be the first of them, as they are, and new ones near zero."""
    known, old = [model.config.id2label[i] for i in range(model.config.num_labels)], model.classifier
    if known != list(NAMES[: len(known)]):
        raise SystemExit(f"the checkpoint has the labels {', '.join(known)}; they must be the first of {', '.join(NAMES)}")
    model.classifier = torch.nn.Linear(old.in_features, len(NAMES))
    torch.nn.init.normal_(model.classifier.weight, std=0.02)
    model.classifier.bias.fill_(-4.0)  # as rare as labels are
    model.classifier.weight[: len(known)], model.classifier.bias[: len(known)] = old.weight, old.bias
    model.config.id2label = dict(enumerate(NAMES))
    model.config.label2id = {name: i for i, name in enumerate(NAMES)}
    return model


@torch.no_grad()
def mean_layer(like: torch.nn.Module, config: PreTrainedConfig) -> torch.nn.Module:
    """A further layer of the encoder's own kind that starts as mean pooling into the first token.

    Its attention looks at all tokens alike (queries and keys near zero) and passes their mean on (values and output are identities);
    its feed-forward part adds nothing yet. So the stock pooling by first token works from a mean, and learns a better one from there.
    """
    layer = type(like)(config)
    identity = torch.eye(config.hidden_size)
    attention = layer.attention
    for linear, weight in ((attention.self.value, identity), (attention.output.dense, 4 * identity)):
        linear.weight.copy_(weight)
        linear.bias.zero_()
    for linear in (attention.self.query, attention.self.key, layer.intermediate.dense):
        torch.nn.init.normal_(linear.weight, std=0.02)
        linear.bias.zero_()
    layer.output.dense.weight.zero_()
    layer.output.dense.bias.zero_()
    return layer


@torch.no_grad()
def start_head(model: torch.nn.Module, batches, prior: np.ndarray) -> None:
    """Set pooler and classifier to a start from which they learn. `prior`: share of each label. Shape: (len(LABELS),)."""
    prior = torch.tensor(prior.clip(1e-3, 1 - 1e-3), dtype=torch.float32)
    model.classifier.bias.copy_(torch.log(prior / (1 - prior)))
    if not getattr(getattr(model, "bert", None), "pooler", None):
        return  # another kind of base: it keeps its own pooling
    model.eval()
    features = torch.cat([model.bert(**{k: v for k, v in b.items() if k != "labels"}).last_hidden_state[:, 0] for b in batches])
    mean, deviation = features.mean(0), features.std(0).clamp_min(1e-3)
    dense = model.bert.pooler.dense
    dense.weight.copy_(torch.diag(0.5 / deviation))
    dense.bias.copy_(-0.5 * mean / deviation)
    torch.nn.init.normal_(model.classifier.weight, std=0.02)
    model.train()


def fold(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer with `FOLDS` in it, so that the exported model and the checkpoint see every text as it was trained on.

    It becomes one of the general class: BertTokenizer forgets a changed normaliser when it is loaded again.
    """
    backend = tokenizer.backend_tokenizer
    steps = [normalizers.Replace(Regex(pattern), one) for pattern, one in FOLDS]
    backend.normalizer = normalizers.Sequence([*steps, *([backend.normalizer] if backend.normalizer else [])])
    return PreTrainedTokenizerFast(tokenizer_object=backend, **tokenizer.special_tokens_map)


def characters(tokenizer: PreTrainedTokenizerFast) -> dict[int, list[int]]:
    """Of each piece of several characters, the ids of these characters, where all of them are pieces too."""
    ids, special = tokenizer.get_vocab(), set(tokenizer.all_special_tokens)
    several = {i: piece for piece, i in ids.items() if len(piece) > 1 and piece not in special and not piece.startswith("##")}
    return {i: [ids[c] for c in piece] for i, piece in several.items() if all(c in ids for c in piece)}


class NoisyCollator:
    """Batches of rows with "text" and "labels", tokenised; a share of the texts goes through `svcnorm.noise` first, anew each time.

    `subword_dropout`: share of the pieces that are cut into their characters, anew each time, so that no sentence is learnt by its
    segmentation, which a slip of the recogniser changes (Kudo 2018; Provilkov et al. 2020).
    """

    def __init__(self, tokenizer, *, max_tokens: int, share: float = 0, strength: float = 0, subword_dropout: float = 0):
        self.tokenizer, self.max_tokens, self.share, self.strength = tokenizer, max_tokens, share, strength
        self.subword_dropout, self.characters = subword_dropout, characters(tokenizer) if subword_dropout else {}
        self.pad = DataCollatorWithPadding(tokenizer)

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        texts = [
            noise.noise(r["text"], self.strength, seed=random.getrandbits(32)) if random.random() < self.share else r["text"] for r in rows
        ]
        encoded = [self.cut(ids) for ids in self.tokenizer(texts, return_token_type_ids=False, verbose=False)["input_ids"]]
        short = [ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]] for ids in encoded]
        batch = self.pad([{"input_ids": ids} for ids in short])
        return {**batch, "labels": torch.tensor([r["labels"] for r in rows], dtype=torch.float32)}

    def cut(self, ids: list[int]) -> list[int]:
        return [c for i in ids for c in (self.characters[i] if i in self.characters and random.random() < self.subword_dropout else (i,))]


@torch.no_grad()
def average(model: torch.nn.Module, checkpoints: Sequence[str]) -> None:
    """The model's weights become the mean of its own and the checkpoints': of runs that began at the same weights, a mean does what their
    ensemble does, at the cost of one (model soups, Wortsman et al. 2022)."""
    own = model.state_dict()
    others = {c: AutoModelForSequenceClassification.from_pretrained(c, dtype=torch.float32).state_dict() for c in checkpoints}
    for checkpoint, other in others.items():
        if {k: v.shape for k, v in other.items()} != {k: v.shape for k, v in own.items()}:
            raise SystemExit(f"average: the weights of {checkpoint} are not those of the model that was trained; take runs from one start")
    mean = {k: torch.stack([v, *(other[k] for other in others.values())]).mean(0) for k, v in own.items() if v.is_floating_point()}
    model.load_state_dict({**own, **mean})


class HeadTrainer(Trainer):
    """A Trainer whose head learns faster than the body, and each layer slower than the next one (Howard and Ruder 2018).

    With `teachers`, models with the same tokenizer and labels, it learns half from the labels and half from the mean of their logits (Hinton et al. 2015).
    """

    def __init__(
        self,
        *args,
        head_factor: float,
        layer_decay: float,
        train_collator: NoisyCollator,
        teachers: Sequence[torch.nn.Module] = (),
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.head_factor, self.layer_decay, self.train_collator = head_factor, layer_decay, train_collator
        self.teachers = [t.to(self.args.device).eval().requires_grad_(False) for t in teachers]

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        plain, self.data_collator = self.data_collator, self.train_collator
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = plain

    def compute_loss(self, model: torch.nn.Module, inputs: dict, return_outputs: bool = False, num_items_in_batch=None):
        """Binary cross-entropy over the labels that are known: NaN is one that nobody has looked for in that sentence. Teachers know all."""
        texts, labels = {k: v for k, v in inputs.items() if k != "labels"}, inputs["labels"]
        outputs = model(**texts)
        if model.training and self.teachers:
            taught = torch.stack([teacher(**texts).logits for teacher in self.teachers]).mean(0).sigmoid()
            labels = torch.where(labels.isnan(), taught, (labels + taught) / 2)
        known = ~labels.isnan()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs.logits[known], labels[known])
        return (loss, outputs) if return_outputs else loss

    def rate(self, name: str) -> float:
        """Learning rate of a parameter as a share of the configuration's: the head's is higher, each layer's lower than the next one's."""
        if "encoder" not in name and "embeddings" not in name:
            return self.head_factor
        depth = int(found[1]) + 1 if (found := re.search(r"layer\.(\d+)\.", name)) else 0
        return self.layer_decay ** (self.model.config.num_hidden_layers - depth)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            a, groups = self.args, {}
            for name, parameter in self.model.named_parameters():
                groups.setdefault((self.rate(name), parameter.ndim > 1), []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [{"params": ps, "lr": a.learning_rate * rate, "weight_decay": a.weight_decay if decay else 0.0}
                 for (rate, decay), ps in groups.items()], fused=True)  # fmt: skip
        return self.optimizer


def minutes(checkpoint: Path) -> float | None:
    """How long the run took that wrote the checkpoint; `None` where it is not known."""
    done = checkpoint.with_name("done.json")
    return round(json.loads(done.read_text(encoding="utf-8"))["seconds"] / 60, 1) if done.exists() else None


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of an earlier, interrupted run. One that was being written when it was killed is removed."""
    for half in folder.glob("checkpoint-*"):
        if not (half / "trainer_state.json").exists():  # the Trainer writes it last
            shutil.rmtree(half)
    return get_last_checkpoint(str(folder)) if folder.is_dir() else None


def run(config: dict, base: str | Path, prepared: Path, out: Path) -> None:
    """Reads `prepared`/dataset, writes `out`/checkpoint (a `from_pretrained` directory) and the held-back part's logits."""
    files = [Path(base)] if Path(base).is_dir() else []
    inputs = {"base": str(base) if not files else "", **{k: config[k] for k in TAKES}}
    with stage(
        out,
        inputs=inputs,
        code=[Path(__file__), Path(noise.__file__), Path(noise.__file__).with_name("sounds.txt")],
        files=[prepared / "dataset", *files, *map(Path, config["teachers"] + config["average"])],
        keep=True,
    ) as done:
        if done is None:
            return
        set_seed(config["seed"])
        data = load_from_disk(str(prepared / "dataset"), keep_in_memory=True)  # in memory: no cache files beside the stage's own
        tokenizer = AutoTokenizer.from_pretrained(base)
        if config["fold"]:
            tokenizer = fold(tokenizer)
        model = load_model(base, config)
        teachers = [AutoModelForSequenceClassification.from_pretrained(t, dtype=torch.float32) for t in config["teachers"]]
        sized = data.map(lambda rows: {"length": [len(t) for t in rows["text"]]}, batched=True, keep_in_memory=True)
        sized = sized.select_columns(["text", "labels", "length"])
        plain = NoisyCollator(tokenizer, max_tokens=config["max_tokens"])
        noisy = NoisyCollator(tokenizer, max_tokens=config["max_tokens"], share=config["noise"], strength=config["noise_strength"], subword_dropout=config["subword_dropout"])  # fmt: skip
        if config["new_head"]:
            first = sized["train"].select(range(min(1024, len(sized["train"])))).to_list()
            start = [plain(first[i : i + 32]) for i in range(0, len(first), 32)]
            start_head(model, start, np.nanmean(np.array(data["train"]["labels"], float), axis=0))
        arguments = TrainingArguments(
            output_dir=str(out / "run"), num_train_epochs=config["epochs"], learning_rate=config["learning_rate"], weight_decay=config["weight_decay"],
            per_device_train_batch_size=config["batch_size"], per_device_eval_batch_size=128, warmup_steps=config["warmup"], lr_scheduler_type="linear",
            train_sampling_strategy="group_by_length", seed=config["seed"], data_seed=config["seed"], eval_strategy="epoch", save_strategy="epoch", save_total_limit=1,
            logging_steps=50, report_to=[], dataloader_pin_memory=False, remove_unused_columns=False, length_column_name="length")  # fmt: skip

        def metrics(output) -> dict[str, float]:
            logits, true = output.predictions, np.nan_to_num(output.label_ids)
            return {**multilabel_f1(logits > 0, true), "macro_ap": macro_average_precision(logits, true)}

        trainer = HeadTrainer(model, arguments, train_dataset=sized["train"], eval_dataset=sized["held"], data_collator=plain, compute_metrics=metrics,
                              train_collator=noisy, head_factor=config["head_factor"], layer_decay=config["layer_decay"], teachers=teachers)  # fmt: skip
        if config["epochs"]:
            trainer.train(resume_from_checkpoint=last_checkpoint(out / "run"))
        if config["average"]:
            average(trainer.model, config["average"])
        trainer.args.train_sampling_strategy = "random"  # grouping by length would reorder what is predicted
        predicted = trainer.predict(sized["held"])
        np.savez(out / "held.npz", logits=predicted.predictions.astype(np.float32), labels=predicted.label_ids)
        trainer.save_model(str(out / "checkpoint"))
        tokenizer.save_pretrained(str(out / "checkpoint"))
        done["averaged"] = {c: minutes(Path(c)) for c in config["average"]}
        done.update({k.removeprefix("test_"): round(v, 4) for k, v in predicted.metrics.items() if "f1" in k or "ap" in k})

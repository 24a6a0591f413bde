"""A tiny base, and the whole pipeline run on it once for all tests that need a trained bundle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> Path:
    """A BERT of one small layer with a WordPiece vocabulary of single characters, as other Chinese bases have."""
    path = tmp_path_factory.mktemp("base")
    characters = sorted(
        {
            c
            for f in (ROOT / "data" / "train").glob("*.jsonl")
            for line in f.read_text(encoding="utf-8").splitlines()[:60]
            for c in json.loads(line)["text"]
        }
    )
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    ).save_pretrained(path)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    set_seed(0)  # what a gate says of a model this small hangs on where it began
    BertModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def run(tiny_base, tmp_path_factory):
    """The whole pipeline on a few sentences, as the command that users type."""
    work = tmp_path_factory.mktemp("work")
    for part, files, n in (
        ("train", sorted((ROOT / "data" / "train").glob("*.jsonl"))[:5], 60),
        ("gold", sorted((ROOT / "data" / "gold").glob("*.jsonl"))[:1], 40),
    ):
        (work / part).mkdir()
        for f in files:
            (work / part / f.name).write_text("\n".join(f.read_text(encoding="utf-8").splitlines()[:n]), encoding="utf-8")
    sets = [f"data={work / 'train'}", f"gold={work / 'gold'}"]
    command = [sys.executable, "-m", "training", "--config", "training/configs/tiny.yaml", "--base-model", str(tiny_base), "--work", str(work / "stages"),
               "--models", str(work / "models"), "--promote", *(a for s in sets for a in ("--set", s))]  # fmt: skip

    def again() -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return work, again(), again


@pytest.fixture(scope="session")
def retraining(run) -> str:
    """The text of a configuration for training/retrain.py that goes on from the tiny bundle."""
    work, _, _ = run
    tiny = yaml.safe_load((ROOT / "training/configs/tiny.yaml").read_text(encoding="utf-8"))
    changes = {"base_model": None, "data": str(work / "train"), "gold": str(work / "gold"), "new_head": False, "layers": None, "pooling_layer": False,
               "fold": False, "learning_rate": 1e-4, "replay": 40, "repeat": 2}  # fmt: skip
    return yaml.safe_dump({**tiny, **changes})

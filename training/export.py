"""Stage `export`: the fine-tuned checkpoint as one int8 ONNX file, with its tokenizer, and the checkpoint itself in half precision.

What is done to the graph, and why it changes nothing that matters:
- the last layer is computed for the first token alone, which is the only one that the pooler reads (exact);
- the word embedding is stored in int8 with a scale per row and read back into float (the largest table, no arithmetic in int8);
- attention is fused by ONNX Runtime's transformer optimizer (exact);
- matrix products have int8 weights with a scale for every 128 of them, and their inputs are quantised in the same blocks, each token by
  itself (`MatMulNBits`, accuracy level 4); channels are put in the order of their size first (exact), so that the large ones share a block.
  Blocks of 32 are a sixth slower and flip fewer decisions (docs/log.md). One scale for a whole tensor, as in ONNX Runtime's dynamic
  quantisation, flips several times as many, because the activations have outliers; and a sentence's result would depend on what shares its batch.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from training.stage import stage

OPSET = 17
BLOCK = 128


class Int8Embedding(torch.nn.Module):
    """An embedding stored as int8 rows with a float scale each. Shape: (…) int64 -> (…, hidden) float32."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("rows", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.rows[ids].float() * self.scale[ids]


class ForExport(torch.nn.Module):
    """`BertForSequenceClassification` with plain attention, of whose last layer only the first token is computed."""

    def __init__(self, model: torch.nn.Module, *, int8_embedding: bool):
        super().__init__()
        self.bert, self.classifier = model.bert, model.classifier
        self.heads = model.config.num_attention_heads
        words = self.bert.embeddings.word_embeddings
        self.words = Int8Embedding(words.weight.data) if int8_embedding else words

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        e = self.bert.embeddings
        x = self.words(input_ids) + e.token_type_embeddings.weight[0] + e.position_embeddings.weight[: input_ids.shape[1]]
        x = e.LayerNorm(x)
        bias = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        layers = list(self.bert.encoder.layer)
        for i, layer in enumerate(layers):
            x = self.layer(layer, x[:, :1] if i == len(layers) - 1 else x, x, bias)
        return self.classifier(self.bert.pooler(x))

    def layer(self, layer: torch.nn.Module, query: torch.Tensor, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        attention, size = layer.attention, x.shape[-1] // self.heads

        def heads(t: torch.Tensor) -> torch.Tensor:
            return t.view(t.shape[0], t.shape[1], self.heads, size).transpose(1, 2)

        q, k, v = heads(attention.self.query(query)), heads(attention.self.key(x)), heads(attention.self.value(x))
        weights = torch.softmax(q @ k.transpose(-1, -2) / size**0.5 + bias, dim=-1)
        context = (weights @ v).transpose(1, 2).reshape(query.shape)
        a = attention.output.LayerNorm(attention.output.dense(context) + query)
        return layer.output.LayerNorm(layer.output.dense(layer.intermediate(a)) + a)


@torch.no_grad()
def sort_channels(model: torch.nn.Module) -> None:
    """Puts the hidden channels of a BERT in the order of their size, everywhere alike: in float its results stay what they are."""
    bert = model.bert
    norms = [bert.embeddings.LayerNorm, *(n for x in bert.encoder.layer for n in (x.attention.output.LayerNorm, x.output.LayerNorm))]
    size = torch.stack([n.bias.abs() + 3 * n.weight.abs() for n in norms[:-1]])  # the last is read by the pooler alone
    order = (size / size.median(1, keepdim=True).values).amax(0).argsort(descending=True)
    for name, p in bert.named_parameters():
        if "LayerNorm" in name or "output.dense" in name:
            p.data = p.data[order]
        elif name.endswith("weight"):  # embeddings, and what reads the channels
            p.data = p.data[:, order]


def export_onnx(checkpoint: Path, target: Path, *, int8: bool = True) -> None:
    """Write `target`, an ONNX model input_ids, attention_mask (int64, (n, length)) -> logits (float32, (n, labels))."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    if int8:
        sort_channels(model)
    plain = ForExport(model, int8_embedding=int8).eval()
    raw = target.with_suffix(".raw.onnx")
    sample = torch.randint(4, model.config.vocab_size, (2, 9)), torch.ones(2, 9, dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    torch.onnx.export(plain, sample, str(raw), input_names=["input_ids", "attention_mask"], output_names=["logits"], opset_version=OPSET,
                      dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}}, dynamo=False)  # fmt: skip
    for name in ("onnxruntime.transformers", "onnxruntime.quantization"):
        logging.getLogger(name).setLevel(logging.ERROR)
    options = FusionOptions("bert")
    options.use_multi_head_attention = True  # leaves the projections as products of their own, which can be quantised
    optimised = optimize_model(str(raw), model_type="bert", num_heads=plain.heads, hidden_size=model.config.hidden_size, opt_level=0,
                               optimization_options=options)  # fmt: skip
    raw.unlink()
    if int8:
        quantiser = MatMulNBitsQuantizer(optimised.model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4)
        quantiser.process()
        onnx.save(quantiser.model.model, str(target))
    else:
        optimised.save_model_to_file(str(target))


def logits_of(onnx_file: Path, tokenizer_file: Path, texts: list[str], max_tokens: int) -> np.ndarray:
    """Logits of an exported model, one sentence at a time. Shape: (len(texts), labels)."""
    import onnxruntime as ort
    from tokenizers import Tokenizer

    session, tokenizer = ort.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"]), Tokenizer.from_file(str(tokenizer_file))
    tokenizer.enable_truncation(max_tokens)
    rows = [np.array([tokenizer.encode(t).ids]) for t in texts]
    return np.concatenate([session.run(["logits"], {"input_ids": r, "attention_mask": np.ones_like(r)})[0] for r in rows])


def run(trained: Path, out: Path) -> None:
    """Reads `trained`/checkpoint; writes model.onnx, tokenizer.json, float.onnx (for comparison only) and checkpoint/ in half precision."""
    with stage(out, inputs={"opset": OPSET, "block": BLOCK}, code=[Path(__file__)], files=[trained / "checkpoint"]) as done:
        if done is None:
            return
        export_onnx(trained / "checkpoint", out / "model.onnx")
        export_onnx(trained / "checkpoint", out / "float.onnx", int8=False)
        tokenizer = AutoTokenizer.from_pretrained(trained / "checkpoint")
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
        AutoModelForSequenceClassification.from_pretrained(trained / "checkpoint", dtype=torch.float16).save_pretrained(out / "checkpoint")
        tokenizer.save_pretrained(out / "checkpoint")
        done["megabytes"] = round((out / "model.onnx").stat().st_size / 1e6, 1)

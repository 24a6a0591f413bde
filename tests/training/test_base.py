"""The reader of the packed encoder, on a tiny file written here; the whole conversion proves itself when it runs (training/base.py)."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

base = pytest.importorskip("training.base")

BUILT = Path(__file__).parents[2] / "build" / "encoder"


def quantise(weights: np.ndarray) -> bytes:
    out = b""
    for block in weights.reshape(-1, 32):
        d = np.abs(block).max() / 7 or 1.0
        q = np.clip(np.round(block / d) + 8, 0, 15).astype(np.uint8)
        out += np.float16(d).tobytes() + (q[:16] | q[16:] << 4).tobytes()
    return out


def write_e5s1(path: Path, pieces: list[str], tensors: dict[str, tuple[np.ndarray, bool]]) -> None:
    blob = b"".join(p.encode() for p in pieces)
    offsets = np.cumsum([0] + [len(p.encode()) for p in pieces]).astype("<u4")
    head = b"E5S1" + struct.pack("<8i", 1, 32, 1, 2, 64, len(pieces), 16, 1) + struct.pack("<fi", 1e-12, 32)
    head += struct.pack("<5i", len(pieces), 0, 2, 1, 3) + struct.pack("<Q", len(blob))
    head += (
        offsets.tobytes()
        + np.arange(len(pieces), dtype="<f4").tobytes()
        + blob
        + struct.pack("<iI", 0, 0)
        + struct.pack("<i", len(tensors))
    )
    directory = sum(2 + len(n) + 21 for n in tensors)
    at, table, data = len(head) + directory, b"", b""
    for name, (values, packed) in tensors.items():
        raw = quantise(values) if packed else values.astype("<f4").tobytes()
        table += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", int(packed), values.size, at + len(data), len(raw))
        data += raw
    path.write_bytes(head + table + data)


def test_header_pieces_and_tensors_are_read(tmp_path):
    rng = np.random.default_rng(0)
    plain, packed = rng.normal(size=32), rng.normal(size=(4, 32))
    write_e5s1(tmp_path / "x.bin", ["<s>", "好", "▁您"], {"a.b": (plain, False), "a.w": (packed, True)})
    header, pieces, tensors = base.read_e5s1(tmp_path / "x.bin")
    assert (header["hidden"], header["layers"], header["rows"], header["positions"]) == (32, 1, 3, 16)
    assert pieces == [("<s>", 0.0), ("好", 1.0), ("▁您", 2.0)]
    np.testing.assert_allclose(tensors["a.b"], plain, rtol=1e-6)
    np.testing.assert_allclose(tensors["a.w"], packed.ravel(), atol=np.abs(packed).max() / 7 / 1.9)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="not an E5S1 file"):
        base.read_e5s1(tmp_path / "x.bin")


@pytest.mark.parametrize("piece", ["您好", "▁", "套餐", "3,", "2.", "2024", "WiFi"[:2], "▁ok", "，", "！？", "10%", "繁體"])
def test_pieces_of_chinese_calls_are_kept(piece):
    assert base.keep_piece(piece, rank=100_000)


@pytest.mark.parametrize("piece", ["สวัสดี", "привет", "12345", "Geschwindigkeit", "ひらがな", "안녕"])
def test_pieces_of_other_languages_are_not(piece):
    assert not base.keep_piece(piece, rank=100_000)


def test_the_reference_vectors_are_whole():
    reference = json.loads(base.REFERENCE.read_text(encoding="utf-8"))
    assert len(reference["vectors"]) == 16


@pytest.mark.skipif(not (BUILT / "done.json").exists(), reason="the base is not built here: python -m training.base")
def test_the_built_base_equals_the_engine_that_it_was_taken_from():
    assert base.fidelity(BUILT).min() > 0.99

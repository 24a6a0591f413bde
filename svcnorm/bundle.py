"""The model folder: `model.onnx`, `tokenizer.json`, `lexical.npz`, `calibration.json`, `README.md` (the model card) and, written last, `manifest.json`.

Nothing in it is code; opening it checks the digest of every file against the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svcnorm.calibration import Calibration
from svcnorm.errors import BundleError
from svcnorm.labels import NAMES, OWN_FILE, digest

FORMAT = 3
FILES = ("model.onnx", "tokenizer.json", "lexical.npz", "calibration.json", "README.md")
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked model folder."""

    path: Path
    manifest: dict[str, Any]
    calibration: Calibration
    measured: dict[str, dict[str, Any]]
    """Per label, and for "any taboo": support, precision, recall and false alarms in 1,000 sentences on the sentences held back in training."""

    @property
    def id(self) -> str:
        return self.manifest["id"]

    @property
    def labels(self) -> int:
        """How many of `LABELS` the model knows: the first so many."""
        return len(self.manifest["labels"])

    @property
    def max_tokens(self) -> int:
        return self.manifest["max_tokens"]

    def file(self, name: str) -> Path:
        return self.path / name


def models_dir() -> Path:
    """Where the shipped bundle lies: inside the installed package, or models/ of a source checkout."""
    package = Path(__file__).parent
    return package / "models" if (package / "models").is_dir() else package.parent / "models"


def locate(model: str | os.PathLike[str] | None) -> Path:
    """The folder of a bundle: `None` is the shipped one (named in models/CURRENT), a word is an id in models/, else a path.

    Raises `BundleError` if there is none.
    """
    if model is None:
        current = models_dir() / "CURRENT"
        if not current.is_file():
            raise BundleError(f"no model comes with this installation ({current} is missing); {_REMEDY}")
        return models_dir() / current.read_text(encoding="utf-8").strip()
    path = Path(model)
    if not path.is_dir() and path.name == str(model) and (models_dir() / path).is_dir():
        return models_dir() / path
    return path


def open_bundle(model: str | os.PathLike[str] | None = None, *, verify: bool = True) -> Bundle:
    """Open a model folder and check it: manifest, label set, and (with `verify`) the digest of every file.

    Raises `BundleError` that names the file, what is wrong with it, and what to do.
    """
    path = locate(model)
    if not path.is_dir():
        raise BundleError(f"{path}: no such model folder; {_REMEDY}")
    manifest = _read_json(path / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"{path / MANIFEST}: format {manifest.get('format')!r}, this version reads format {FORMAT}; install the svcnorm that wrote it, or export again"
        )
    labels = manifest.get("labels", [])
    if not labels or list(NAMES[: len(labels)]) != labels:  # labels that were appended since give no findings by the model
        missing, extra = [n for n in NAMES if n not in labels], [n for n in labels if n not in NAMES]
        differ = (
            "; ".join(f"{what}: {', '.join(names)}" for what, names in (("lacks", missing), ("has besides", extra)) if names)
            or "has them in another order"
        )
        raise BundleError(
            f"{path}: the model was made for another label set; it {differ}. Name your own labels' file in {OWN_FILE}, retrain it with this version's labels, or install the version that made it"
        )
    for name in FILES:
        expected = manifest.get("files", {}).get(name)
        if not (path / name).is_file():
            raise BundleError(f"{path / name}: the file is missing; restore the folder from its source, or {_REMEDY}")
        if verify and (got := sha256_file(path / name)) != expected:
            raise BundleError(
                f"{path / name}: damaged: sha256 is {got[:16]}…, the manifest says {str(expected)[:16]}…; restore the folder from its source"
            )
    calibration = _read_json(path / "calibration.json")
    return Bundle(path, manifest, Calibration.from_dict(calibration, len(labels)), calibration.get("measured", {}))


def write_manifest(path: Path, *, id: str, max_tokens: int, **facts: Any) -> None:
    """Seal a folder that holds all `FILES`: digests, labels and the given facts, written last and at once."""
    manifest = {"format": FORMAT, "id": id, "labels": list(NAMES), "labels_digest": digest(), "max_tokens": max_tokens, **facts,
                "files": {name: sha256_file(path / name) for name in FILES}}  # fmt: skip
    part = path / (MANIFEST + ".part")
    part.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(path / MANIFEST)


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(f)


def _sha256(f: Any) -> str:  # Python 3.10
    h = hashlib.sha256()
    while block := f.read(1 << 20):
        h.update(block)
    return h.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path}: the file is missing; restore the folder from its source, or {_REMEDY}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as e:
        raise BundleError(f"{path}: damaged: {e}; restore the folder from its source") from None
    if not isinstance(content, dict):
        raise BundleError(f"{path}: damaged: a JSON object is expected; restore the folder from its source")
    return content


_REMEDY = "give the path of a model folder, reinstall svcnorm, or work without a model: Classifier.from_rules(), --rules-only"

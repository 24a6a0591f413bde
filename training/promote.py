"""Stage `promote`: puts an evaluated bundle and its float checkpoint under models/ and switches models/CURRENT to it, last and at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from svcnorm.bundle import FILES, MANIFEST, open_bundle


def run(evaluated: Path, exported: Path, models: Path) -> str:
    """Returns the bundle's id. Until the last step the old bundle stays current."""
    bundle = open_bundle(evaluated)
    part, target = models / f".{bundle.id}.part", models / bundle.id
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in (*FILES, MANIFEST, "evaluation.json", "reliability.svg", "flips.tsv"):
        shutil.copy(evaluated / name, part / name)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)

    checkpoint = models / "checkpoint"
    shutil.rmtree(checkpoint, ignore_errors=True)
    shutil.copytree(exported / "checkpoint", checkpoint)
    (checkpoint / "svcnorm.json").write_text(
        json.dumps({"bundle": bundle.id, "labels_digest": bundle.manifest["labels_digest"]}) + "\n", encoding="utf-8"
    )

    current = models / "CURRENT.part"
    current.write_text(bundle.id + "\n", encoding="utf-8")
    current.replace(models / "CURRENT")
    return bundle.id

"""Stage `promote`: puts an evaluated bundle with its float checkpoint under models/ and makes it current (`svcnorm.registry`)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from svcnorm import registry


def run(evaluated: Path, models: Path, **facts: Any) -> str:
    """Returns the bundle's id. `facts` join the lineage: the data's digest and the commit are in it already."""
    digest = json.loads((evaluated / "manifest.json").read_text(encoding="utf-8"))["prepared_digest"]
    stage_files = ("done.json", "fingerprint")
    return registry.promote(evaluated, models, keep=lambda path: path.name not in stage_files, data=digest, commit=commit(), **facts)


def commit() -> str | None:
    """The commit of the source that is run, with a + if files differ from it; `None` outside a repository."""
    found = subprocess.run(["git", "describe", "--always", "--dirty=+", "--exclude=*"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None

"""The folder models/: which bundles there are, which one is current, and how another becomes so.

Whatever happens on the way (a kill, a full disk), models/CURRENT names a whole bundle: the new folder is complete under another name before it
gets its own, and the one line of CURRENT is replaced last.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from svcnorm.bundle import MANIFEST, Bundle, open_bundle
from svcnorm.errors import BundleError, DataError, SvcnormError
from svcnorm.examples import write_text

CURRENT, CHANGELOG = "CURRENT", "CHANGELOG.md"


def current(models: Path) -> str | None:
    """The id of the current bundle; `None` if none was ever promoted there."""
    path = models / CURRENT
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def bundles(models: Path) -> list[Bundle]:
    """The bundles of the folder that can be opened, the last promoted first. Their files' digests are not checked."""
    found = []
    for path in models.glob(f"*/{MANIFEST}"):
        try:
            found.append(open_bundle(path.parent, verify=False))
        except BundleError:
            continue  # `svcnorm model verify` says what is wrong with it
    return sorted(found, key=lambda b: b.manifest.get("lineage", {}).get("promoted", ""), reverse=True)


def promote(source: Path, models: Path, *, keep: Callable[[Path], bool] = lambda path: True, **facts: Any) -> str:
    """Copy a whole bundle into `models`, with all else in its folder that `keep` wants, and make it current. Returns its id.

    `facts` go into the manifest's `lineage` beside the parent, the time and the user: digests of data, commit, gates. A bundle that is
    there already is only switched to. Raises `BundleError` if the source is damaged or there is no room; the old bundle then stays current.
    """
    bundle, parent = open_bundle(source), current(models)
    lineage = {"parent": parent if parent != bundle.id else None, "promoted": _now(), "by": _user(), **facts}
    target, part = models / bundle.id, models / f".{bundle.id}.part"
    try:
        models.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.rmtree(part, ignore_errors=True)
            unwanted = lambda folder, names: [n for n in names if not keep(Path(folder) / n)]  # noqa: E731
            shutil.copytree(source, part, ignore=unwanted)
            manifest = {**bundle.manifest, "lineage": lineage}
            (part / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            for path in (*part.rglob("*"), part):
                _to_disk(path)
            part.rename(target)
        open_bundle(target)
        _switch(models, bundle.id, f"promoted over {parent}" + "".join(f"; {k}: {_short(v)}" for k, v in facts.items()))
    except OSError as e:
        shutil.rmtree(part, ignore_errors=True)
        raise BundleError(f"{models}: {bundle.id} was not promoted, {parent} stays current: {e.strerror or e}") from e
    return bundle.id


def rollback(models: Path) -> str:
    """Make the current bundle's parent current again. Returns its id. Raises `BundleError` if it has none, or it is gone or damaged."""
    now = current(models)
    if now is None:
        raise BundleError(f"{models}: no bundle is current; promote one first")
    parent = open_bundle(models / now, verify=False).manifest.get("lineage", {}).get("parent")
    if parent is None:
        raise BundleError(f"{models}: {now} replaced no other bundle; there is nothing to go back to")
    open_bundle(models / parent)
    _switch(models, parent, f"rolled back from {now}")
    return parent


def passed_gates(comparison: Path) -> list[dict[str, Any]]:
    """The gates of a comparison.json (`svcnorm evaluate --compare`). Raises `SvcnormError` that names those that failed."""
    try:
        gates = json.loads(comparison.read_text(encoding="utf-8"))["gates"]
        failed = [f"{g['figure']}: {', '.join(g['failed']) or 'no support'}" for g in gates if not g["passed"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{comparison}: not the comparison.json that `svcnorm evaluate --compare` writes: {e!r}") from None
    if failed:
        raise SvcnormError(f"{comparison}: gates failed: {'; '.join(failed)}. Look at the report beside it; the old bundle stays current")
    return gates


def _switch(models: Path, bundle: str, what: str) -> None:
    log = models / CHANGELOG
    before = log.read_text(encoding="utf-8") if log.is_file() else "# Which bundle was current when\n\n"
    write_text(models / CURRENT, bundle + "\n")
    write_text(log, f"{before}- {_now()} {_user()}: **{bundle}** {what}\n")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        return str(os.getuid())

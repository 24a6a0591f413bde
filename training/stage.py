"""A stage of the pipeline: reads files, writes files, `done.json` last; skipped when nothing that it depends on has changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from svcnorm.bundle import sha256_file


def fingerprint(inputs: object, files: Iterable[Path]) -> str:
    """A digest of the parameters and of the content of every file (directories: all files in them)."""
    parts = [json.dumps(inputs, sort_keys=True, default=str)]
    for path in files:
        found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        parts += [f"{p.name}:{sha256_file(p)}" for p in found if p.name != "done.json"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def stage(out: Path, *, inputs: object, code: Iterable[Path] = (), files: Iterable[Path] = (), keep: bool = False) -> Iterator[dict | None]:
    """Yields a dict to be filled with results, or `None` if `out` is up to date.

    `done.json` (the fingerprint of `inputs`, `code` and `files`, the results, the seconds taken) is written only if the body ends
    without an error. Old content of `out` is removed first, unless `keep` (a stage that can resume).
    """
    print_ = fingerprint(inputs, [*code, *files])
    done = out / "done.json"
    if done.exists() and json.loads(done.read_text(encoding="utf-8"))["fingerprint"] == print_:
        print(f"{out}: up to date")
        yield None
        return
    resumable = keep and (out / "fingerprint").exists() and (out / "fingerprint").read_text() == print_
    if out.exists() and not resumable:
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "fingerprint").write_text(print_)
    start, results = time.monotonic(), {}
    yield results
    content = {"fingerprint": print_, "seconds": round(time.monotonic() - start, 1), **results}
    done.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {json.dumps({k: v for k, v in content.items() if k != 'fingerprint'}, ensure_ascii=False)}")

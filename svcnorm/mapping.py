"""What the columns and labels of somebody else's file are called (docs/labelling.md)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svcnorm.errors import DataError, LabelError
from svcnorm.labels import LABELS, ordered

USUAL = {  # what columns are called where no mapping says it; the first that is there counts
    "id": ("sentence_id", "id", "编号"),
    "text": ("text", "data", "文本", "句子"),
    "labels": ("labels", "label", "cats", "entities", "标签"),
    "annotator": ("annotator", "标注员"),
}
_KNOWN = {name: (label.name,) for label in LABELS for name in (label.name, label.zh)}


@dataclass(frozen=True, slots=True)
class Mapping:
    """`columns` from our name to theirs, `labels` from their name to ours (no label: an empty tuple)."""

    columns: dict[str, str] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Mapping:
        """Reads `columns: {text: 客服话术, …}` and `labels: {推脱: pushback, 无标签: null, …}` from YAML.

        A label may become several (a list), and may be named in Chinese. Raises `DataError` with every problem, one a line.
        """
        import yaml

        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as e:
            raise DataError(f"{path}: cannot be read: {e.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as e:
            raise DataError(f"{path}: not YAML in UTF-8: {e}") from None
        if not isinstance(raw, dict) or set(raw) - {"columns", "labels"} or not all(isinstance(v, dict) for v in raw.values()):
            raise DataError(f"{path}: a mapping has `columns:` and `labels:`, each with names under it, and nothing else")
        problems, labels = [], {}
        for name, target in raw.get("labels", {}).items():
            try:
                targets = target if isinstance(target, list) else [] if target is None else [target]
                labels[str(name)] = ordered(_KNOWN.get(str(t), (t,))[0] for t in targets)
            except LabelError as e:
                problems.append(f"{path}: labels: {name}: {e}")
        if problems:
            raise DataError("\n".join(problems))
        return cls({str(k): str(v) for k, v in raw.get("columns", {}).items()}, labels)

    def find(self, name: str) -> tuple[str, ...] | None:
        """Our labels for one of theirs, which may be our own English or Chinese name; `None` if it is not known."""
        return self.labels.get(name, _KNOWN.get(name, _KNOWN.get(name.lower())))

    def names(self, what: str) -> tuple[str, ...]:
        """What the column of the id, text, labels or annotator may be called."""
        return (self.columns[what],) if what in self.columns else USUAL[what]

    def take(self, row: dict[str, Any], what: str) -> Any:
        """The value of that column, which leaves the row; `None` if it is not there."""
        return next((row.pop(name) for name in self.names(what) if name in row), None)

    def holders(self, there: Iterable[str]) -> set[str]:
        """Which of a tool's controls or questions hold the labels: the mapped one, those with a usual name, else all.

        Raises `DataError` if the mapped one is not there.
        """
        there = set(there)
        if there and "labels" in self.columns and self.columns["labels"] not in there:
            raise DataError(f"no labels named {self.columns['labels']!r}; there are {', '.join(sorted(there))}")
        return there & set(self.names("labels")) or there


def unknown_labels(found: dict[str, tuple[int, str]]) -> str:
    """What is said of labels that no mapping and no name of ours explains: (count, first place) of each, and a block to paste."""
    lines, block = [f"{len(found)} unknown labels, nothing was imported:"], []
    for name, (count, where) in found.items():
        close = difflib.get_close_matches(name, _KNOWN, n=3, cutoff=0.5)
        explained = sorted((x for x in LABELS if len(name) > 1 and name in x.meaning_zh), key=lambda x: x.meaning_zh.index(name))
        near = list(dict.fromkeys([*(x.name for x in explained), *(_KNOWN[c][0] for c in close)]))[:3]
        lines.append(f"  {name!r}: {count} times, first in {where}" + (f"; perhaps {', '.join(near)}" if near else ""))
        block.append(f"  {json.dumps(name, ensure_ascii=False)}: {near[0] if near else '???'}")
    return "\n".join([*lines, "Correct this and put it into the mapping (--mapping); null for no label:", "labels:", *block])

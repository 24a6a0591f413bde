"""Labelling a Spark DataFrame: a row for each sentence, the model loaded once in each Python worker (docs/spark.md)."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svcnorm.bundle import FILES, MANIFEST, Bundle, open_bundle, sha256_file
from svcnorm.classifier import WINDOW, Classifier
from svcnorm.errors import DataError, MissingExtraError
from svcnorm.fileforms import arrow_schema
from svcnorm.flat import FLAT, flat_rows
from svcnorm.model import BATCH
from svcnorm.norms import Norm
from svcnorm.results import Prediction

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import DataFrame

COLUMNS = {**FLAT, "error": "string"}
_ROWS = 1024  # of an output batch, at most: each holds all columns of its text, which may be long


def predict(
    df: DataFrame, *, text: str = "text", model: str | PathLike[str] | None = None, norm: str | PathLike[str] | Norm = "base",
    split: bool = True, batch_size: int = BATCH,
) -> DataFrame:  # fmt: skip
    """The columns of `df` and `COLUMNS`, with a row for each sentence of the column `text`. Lazy, as all of Spark.

    `labels`, `probabilities` and `sources` go together, entry by entry. A text without sentences has one row, its `sentence_index` null;
    so has one that is null or cannot be labelled, and its `error` says why. The options are those of `Classifier`; model and norm travel
    from the driver to the workers, where svcnorm is installed.

    Raises `DataError` if `text` is no column of strings or `df` has one of `COLUMNS`, `BundleError`, `NormError`: before the job starts.
    """
    try:
        from pyspark.sql.pandas.types import from_arrow_schema
        from pyspark.sql.types import StructType

        added = from_arrow_schema(_schema())
    except ImportError:
        raise MissingExtraError("a Spark DataFrame needs pyspark and pyarrow; install svcnorm[spark]") from None
    _check(df, text)
    bundle, loaded = open_bundle(model), norm if isinstance(norm, Norm) else Norm.load(norm)
    context = df.sparkSession.sparkContext
    # `replace`: what a norm keeps once it has matched cannot be sent
    judge = _Judge(_ship(context, bundle), loaded.name, loaded.version, context.broadcast(replace(loaded)))

    def label(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from label_batch(batch, _classifier(judge), text, split=split, batch_size=batch_size)

    return df.mapInArrow(label, StructType([*df.schema.fields, *added.fields]))


def _check(df: DataFrame, text: str) -> None:
    if taken := [c for c in df.columns if c.lower() in COLUMNS]:  # Spark takes no notice of case
        raise DataError(f"the DataFrame has {', '.join(taken)}, which svcnorm adds; rename with withColumnRenamed({taken[0]!r}, …)")
    found = [kind for name, kind in df.dtypes if name == text]
    if [kind.partition(" ")[0] for kind in found] != ["string"]:  # it may have a collation
        what = f"found {' and '.join(found) or 'none'} among {', '.join(df.columns)}"
        raise DataError(f"one column {text!r} of type string is expected, {what}; name it with text=…, or cast it")


def _ship(context: SparkContext, bundle: Bundle) -> str:
    """Sends the bundle to every executor, once for each context; returns the name of its folder there."""
    from pyspark import SparkFiles

    name = "svcnorm-" + sha256_file(bundle.file(MANIFEST))[:16]  # the manifest has the digests of the other files
    if not any(archive.endswith("#" + name) for archive in context.listArchives):
        path = Path(SparkFiles.getRootDirectory(), f"{name}.zip")  # Spark serves it from here and removes it with the context
        with zipfile.ZipFile(path, "w") as archive:
            for file in (*FILES, MANIFEST):
                archive.write(bundle.file(file), file)
        context.addArchive(f"{path}#{name}")
    return name


@dataclass(frozen=True)
class _Judge:
    """What a worker makes its classifier from: the name of the shipped folder, and the norm with its version."""

    folder: str
    name: str
    version: str
    norm: Broadcast[Norm] = field(compare=False)  # unpacked once by each worker, not by each task


@lru_cache(maxsize=2)
def _classifier(judge: _Judge) -> Classifier:
    from pyspark import SparkFiles

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one thread, as of the model: Spark runs a task on each core
    return Classifier.load(SparkFiles.get(judge.folder), norm=judge.norm.value, threads=1)


def label_batch(
    batch: pa.RecordBatch, classifier: Classifier, text: str = "text", *, split: bool = True, batch_size: int = BATCH
) -> Iterator[pa.RecordBatch]:
    """The rows of `predict` for one Arrow batch, in batches of bounded size. Needs pyarrow, not Spark."""
    import pyarrow as pa

    schema = pa.schema([*batch.schema, *_schema()])
    judge = {"model": classifier.model, "norm": classifier.norm.name, "norm_version": classifier.norm.version}
    for at in range(0, len(batch), WINDOW * batch_size):
        part = batch.slice(at, WINDOW * batch_size)
        texts = [_read(raw) for raw in part[text].cast(pa.large_binary()).to_pylist()]
        labelled = iter(_attempt(classifier, [t for t in texts if isinstance(t, str)], split=split, batch_size=batch_size))
        found = [next(labelled) if isinstance(t, str) else t for t in texts]
        rows = [(i, row) for i, f in enumerate(found)
                for row in (_rows(f) if isinstance(f, Prediction) else [{**judge, "error": f"{type(f).__name__}: {f}"}])]  # fmt: skip
        for start in range(0, len(rows), _ROWS):
            origin, new = zip(*rows[start : start + _ROWS], strict=True)
            columns = [*part.take(pa.array(origin)).columns, *pa.RecordBatch.from_pylist(new, schema=_schema()).columns]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _read(raw: bytes | None) -> str | DataError:
    try:
        return DataError("the text is null") if raw is None else raw.decode()
    except UnicodeDecodeError as e:  # Spark takes any bytes for a string
        return DataError(f"the text is not UTF-8 at its byte {e.start}; read the source in its own encoding, for example GB18030")


def _attempt(classifier: Classifier, texts: list[str], **how: Any) -> list[Prediction | Exception]:
    """The prediction of each text, or what went wrong with it: one text must not end a job of millions."""
    try:
        return list(classifier.predict_many(texts, **how))
    except Exception as e:
        half = len(texts) // 2
        return _attempt(classifier, texts[:half], **how) + _attempt(classifier, texts[half:], **how) if half else [e]


def _rows(prediction: Prediction) -> list[dict[str, Any]]:
    """A row with `COLUMNS` for each sentence; without one, a row that has the text's columns alone."""
    of_text = {"model": prediction.model, "norm": prediction.norm, "norm_version": prediction.norm_version}
    return [{**row, "error": None} for row in flat_rows(prediction)] or [{**dict.fromkeys(COLUMNS), **of_text}]


def _schema() -> pa.Schema:
    return arrow_schema(COLUMNS)

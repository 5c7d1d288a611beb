"""Tables of predictions: one row a picture, as CSV, JSON, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from agegender.errors import InvalidImageError
from agegender.prediction.predictor import MAX_BATCH, Prediction, Predictor
from agegender.prediction.sources import Picture
from agegender.storage import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = ("file", "age", "gender", "gender_confidence", "error")

_PARQUET_ROWS = 1000
"""Rows that are written to Parquet at a time."""


@dataclass(frozen=True)
class PredictionRow:
    """What came of one picture: a prediction or the reason why there is none."""

    file: str
    prediction: Prediction | None = None
    error: str | None = None

    def record(self) -> dict[str, str | float | None]:
        """Return the row by `COLUMNS`: years to 0.01, the probability to 0.0001."""
        answer = self.prediction
        return {
            "file": self.file,
            "age": round(answer.age, 2) if answer else None,
            "gender": answer.gender if answer else None,
            "gender_confidence": round(answer.confidence, 4) if answer else None,
            "error": self.error,
        }


def predict_pictures(
    predictor: Predictor,
    pictures: Iterable[Picture],
    *,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[PredictionRow]:
    """Predict for any number of pictures, each taken as a face crop.

    Args:
        predictor: The model.
        pictures: What `iter_pictures` yields; taken as needed, so that at most
            `MAX_BATCH` shrunk pictures are in memory.
        should_stop: Asked before each picture; ends the rows when true.

    Yields:
        One row per picture, in order.
    """
    rows: list[PredictionRow | str] = []
    faces: list[NDArray[np.uint8]] = []
    for name, content in pictures:
        if should_stop is not None and should_stop():
            break
        if isinstance(content, InvalidImageError):
            rows.append(PredictionRow(name, error=str(content)))
        else:
            rows.append(name)
            faces.append(predictor.prepare(content))
        if len(rows) == MAX_BATCH:
            yield from _answered(predictor, rows, faces)
            rows, faces = [], []
    yield from _answered(predictor, rows, faces)


def _answered(
    predictor: Predictor, rows: list[PredictionRow | str], faces: list[NDArray[np.uint8]]
) -> Iterator[PredictionRow]:
    """Put the answers for faces in the places of their names."""
    answers = iter(predictor.predict_prepared(faces))
    for row in rows:
        yield PredictionRow(row, prediction=next(answers)) if isinstance(row, str) else row


def write_table(rows: Iterable[PredictionRow], path: Path) -> None:
    """Write rows to a file as they come, whole or not at all.

    Args:
        rows: Any number of them.
        path: Where to; its ending, one of `TABLE_SUFFIXES`, chooses the format.

    Raises:
        ValueError: If the ending is none of them.
        StorageError: If the disk refuses.
    """
    write = _writer(path.suffix)
    with replacing(path) as part, part.open("wb") as file:
        write(rows, file)


def table_bytes(rows: Iterable[PredictionRow], suffix: str) -> bytes:
    """Return rows as the bytes of a file with a given ending, for a download.

    Raises:
        ValueError: If the ending is not in `TABLE_SUFFIXES`.
    """
    file = io.BytesIO()
    _writer(suffix)(rows, file)
    return file.getvalue()


def _write_csv(rows: Iterable[PredictionRow], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row.record())
    # Flushes and leaves the file open for its owner.
    text.detach()


def _write_json(rows: Iterable[PredictionRow], file: BinaryIO) -> None:
    start = b"["
    for row in rows:
        file.write(start + b"\n  " + _json_line(row))
        start = b","
    file.write(b"[]\n" if start == b"[" else b"\n]\n")


def _write_jsonl(rows: Iterable[PredictionRow], file: BinaryIO) -> None:
    for row in rows:
        file.write(_json_line(row) + b"\n")


def _json_line(row: PredictionRow) -> bytes:
    return json.dumps(row.record(), ensure_ascii=False).encode()


def _write_parquet(rows: Iterable[PredictionRow], file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = dict.fromkeys(COLUMNS, pa.string())
    kinds |= dict.fromkeys(("age", "gender_confidence"), pa.float64())
    schema = pa.schema(list(kinds.items()))
    remaining = iter(rows)
    with pq.ParquetWriter(file, schema) as writer:
        while some := [row.record() for row in islice(remaining, _PARQUET_ROWS)]:
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


_WRITERS: dict[str, Callable[[Iterable[PredictionRow], BinaryIO], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}

TABLE_SUFFIXES = tuple(_WRITERS)
"""Endings that `write_table` knows."""


def _writer(suffix: str) -> Callable[[Iterable[PredictionRow], BinaryIO], None]:
    """Return the function that writes a format."""
    writer = _WRITERS.get(suffix.lower())
    if writer is None:
        raise ValueError(f"ending is {suffix!r}, but must be one of {', '.join(TABLE_SUFFIXES)}")
    return writer

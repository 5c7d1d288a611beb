"""Tables of answers: one row a face, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from agegender.errors import StorageError
from agegender.storage import replacing, storage_errors

if TYPE_CHECKING:
    from agegender.prediction.photos import FaceAnswer, PhotoAnswer

Row = dict[str, str | int | float | None]

_KINDS: dict[str, type] = {
    "file": str,
    "face": int,
    "x": int,
    "y": int,
    "width": int,
    "height": int,
    "age": float,
    "age_low": float,
    "age_high": float,
    "gender": str,
    "gender_confidence": float,
    "flags": str,
    "reason": str,
}

COLUMNS = tuple(_KINDS)
"""`face` counts from 1, the largest of a photo; x, y, width and height are its box
in pixels; ages are in years, with the ends of the 90% interval; `flags` are parted
by commas; `reason` says why there is no answer."""

CONFIDENCE_DIGITS = 4
"""Of a gender's confidence, 0..1."""

_LONGEST_LINE_BYTES = 65_536

_PARQUET_ROWS = 1000
"""Rows that are written to Parquet at a time."""


def table_rows(answer: PhotoAnswer) -> list[Row]:
    """Return the rows of a photo by `COLUMNS`: one a face, or one with the reason."""
    blank: Row = dict.fromkeys(COLUMNS)
    if answer.reason is not None:
        # The file is named beside it.
        reason = answer.reason.removeprefix(f"{answer.file}: ")
        return [blank | {"file": answer.file, "reason": reason}]
    return [
        blank | {"file": answer.file, "face": number} | _values(face)
        for number, face in enumerate(answer.faces, start=1)
    ]


def _values(answer: FaceAnswer) -> Row:
    """Round an answer: pixels to 1, years to 0.01, the probability to 0.0001."""
    prediction = answer.prediction
    x, y, width, height = (round(side) for side in answer.face.box)
    low, high = prediction.age_low, prediction.age_high
    return {
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "age": round(prediction.age, 2),
        "age_low": None if low is None else round(low, 2),
        "age_high": None if high is None else round(high, 2),
        "gender": prediction.gender,
        "gender_confidence": round(prediction.confidence, CONFIDENCE_DIGITS),
        "flags": ", ".join(answer.flags),
    }


def write_table(rows: Iterable[Row], path: Path) -> None:
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


def check_replaceable(path: Path) -> None:
    """Refuse to write a table over anything but a table.

    Args:
        path: As for `write_table`; it need not be there.

    Raises:
        StorageError: If something else is there, or it cannot be read.
    """
    with storage_errors(path):
        # Where a name is too long or a folder is locked, asking raises.
        if path.is_dir():
            raise StorageError(f"{path} is a folder; name a file to write the table to.")
        if not path.exists() or not path.stat().st_size:
            return
    with storage_errors(path):
        file = path.open("rb")
    try:
        with file:
            columns = _read_columns(file, path.suffix.lower())
    except (ValueError, OSError, AttributeError):
        # Arrow calls a damaged table an error of the operating system.
        columns = ()
    if tuple(columns) != COLUMNS:
        raise StorageError(
            f"{path} would be replaced, but is not a table of answers; name another file."
        )


def _read_columns(file: BinaryIO, suffix: str) -> Iterable[str]:
    """Return the columns of a table by its beginning, or raise ValueError."""
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.read_schema(file).names)
    line = file.readline(_LONGEST_LINE_BYTES).decode()
    if suffix == ".jsonl":
        return list(json.loads(line).keys())
    return line.rstrip("\n").split(",")


def read_csv(path: Path) -> list[Row]:
    """Read a table that `write_table` wrote as CSV, every value as the text that it is there.

    Raises:
        StorageError: If it is something else, or the disk refuses.
    """
    with storage_errors(path), path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        try:
            rows = list(reader)
            # What is beyond the last column stands under None.
            if tuple(reader.fieldnames or ()) == COLUMNS and not any(None in row for row in rows):
                return rows
        except (csv.Error, UnicodeDecodeError):
            pass
    raise StorageError(
        f"{path} would be replaced, but is not a table of answers; name another output folder."
    )


def table_bytes(rows: Iterable[Row], suffix: str) -> bytes:
    """Return rows as the bytes of a file with a given ending, for a download.

    Raises:
        ValueError: If the ending is not in `TABLE_SUFFIXES`.
    """
    file = io.BytesIO()
    _writer(suffix)(rows, file)
    return file.getvalue()


def _write_csv(rows: Iterable[Row], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # Flushes and leaves the file open for its owner.
    text.detach()


def _write_jsonl(rows: Iterable[Row], file: BinaryIO) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _write_parquet(rows: Iterable[Row], file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in _KINDS.items()])
    remaining = iter(rows)
    with pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(remaining, _PARQUET_ROWS)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


_WRITERS: dict[str, Callable[[Iterable[Row], BinaryIO], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}

TABLE_SUFFIXES = tuple(_WRITERS)
"""Endings that `write_table` knows."""


def _writer(suffix: str) -> Callable[[Iterable[Row], BinaryIO], None]:
    """Return the function that writes a format."""
    writer = _WRITERS.get(suffix.lower())
    if writer is None:
        raise ValueError(f"ending is {suffix!r}, but must be one of {', '.join(TABLE_SUFFIXES)}")
    return writer

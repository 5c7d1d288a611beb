"""Tables with a row a face that can be read again."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.errors import StorageError
from agegender.prediction.faces import Face
from agegender.prediction.photos import NO_FACE, FaceAnswer, PhotoAnswer
from agegender.prediction.predictor import Prediction
from agegender.prediction.tables import (
    COLUMNS,
    TABLE_SUFFIXES,
    Row,
    check_replaceable,
    table_bytes,
    table_rows,
    write_table,
)


def face(prediction: Prediction, *flags: str) -> FaceAnswer:
    landmarks = np.zeros((5, 2), np.float32)
    place = Face((10.4, 20.6, 99.5, 80.2), landmarks, 0.9)
    return FaceAnswer(place, np.zeros((200, 200, 3), np.uint8), prediction, flags)


REASON = 'not a picture; use a "JPEG".'

ANSWERS = [
    PhotoAnswer(
        "a, b/日本.jpg",
        [
            face(Prediction(31.237, 0.98765, 24.1, 39.849), "small", "blurred"),
            face(Prediction(0.0, 0.25)),
        ],
    ),
    PhotoAnswer("c.jpg", error=f"c.jpg: {REASON}"),
    PhotoAnswer("d.jpg"),
]

ROWS = [row for answer in ANSWERS for row in table_rows(answer)]


def read(suffix: str, data: bytes) -> pd.DataFrame:
    file = io.BytesIO(data)
    if suffix == ".csv":
        return pd.read_csv(file)
    return pd.read_parquet(file) if suffix == ".parquet" else pd.read_json(file, lines=True)


def test_every_face_is_a_row_and_every_photo_has_one() -> None:
    assert [(row["file"], row["face"]) for row in ROWS] == [
        ("a, b/日本.jpg", 1),
        ("a, b/日本.jpg", 2),
        ("c.jpg", None),
        ("d.jpg", None),
    ]
    # The file is named in a column of its own.
    assert [row["reason"] for row in ROWS] == [None, None, REASON, NO_FACE]
    assert all(tuple(row) == COLUMNS for row in ROWS)


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_every_format_holds_every_row(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(iter(ROWS), path)
    assert path.read_bytes() == table_bytes(ROWS, suffix)
    table = read(suffix, path.read_bytes())
    assert tuple(table.columns) == COLUMNS
    first = table.iloc[0]
    assert first[["face", "x", "y", "width", "height"]].tolist() == [1, 10, 21, 100, 80]
    assert first[["age", "age_low", "age_high"]].tolist() == [31.24, 24.1, 39.85]
    assert (first["gender"], first["gender_confidence"]) == ("female", 0.9877)
    assert first["flags"] == "small, blurred"
    # A run may know no interval.
    assert table["age_low"].isna().tolist() == [False, True, True, True]
    assert table["age"].isna().tolist() == [False, False, True, True]
    assert table["reason"][2] == REASON


def test_parquet_is_written_in_parts() -> None:
    rows: list[Row] = [ROWS[0] | {"face": number} for number in range(2500)]
    table = read(".parquet", table_bytes(iter(rows), ".parquet"))
    assert table["face"].tolist() == list(range(2500))


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_no_rows_make_an_empty_table(suffix: str) -> None:
    data = table_bytes([], suffix)
    if suffix == ".jsonl":
        assert data == b""
    else:
        assert tuple(read(suffix, data).columns) == COLUMNS


def test_other_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.xlsx"):
        write_table(ROWS, tmp_path / "table.xlsx")


def test_full_disk_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(ROWS, path)
    before = path.read_bytes()

    def rows() -> object:
        yield ROWS[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="the disk is full"):
        write_table(rows(), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    write_table([], path)
    whole = path.read_bytes()
    check_replaceable(path)
    refused = []
    for place in range(1, 60):
        damaged = bytearray(whole)
        damaged[-place - 8] ^= 0xFF
        path.write_bytes(damaged)
        try:
            check_replaceable(path)
        except StorageError as error:
            refused.append(str(error))
    # Damage elsewhere leaves the names of the columns.
    assert len(refused) > 5
    assert all("is not a table of answers" in reason for reason in refused)

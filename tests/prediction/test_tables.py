"""Rows in order, and tables that can be read again."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.errors import InvalidImageError, StorageError
from agegender.prediction.predictor import MAX_BATCH, Prediction, Predictor
from agegender.prediction.sources import Picture
from agegender.prediction.tables import (
    COLUMNS,
    TABLE_SUFFIXES,
    PredictionRow,
    predict_pictures,
    table_bytes,
    write_table,
)

ROWS = [
    PredictionRow("a, b/日本.jpg", Prediction(31.237, 0.98765)),
    PredictionRow("c.jpg", error='c.jpg: not a picture; use a "JPEG".'),
    PredictionRow("d.jpg", Prediction(0.0, 0.25)),
]


def read(suffix: str, data: bytes) -> pd.DataFrame:
    file = io.BytesIO(data)
    if suffix == ".csv":
        return pd.read_csv(file)
    if suffix == ".parquet":
        return pd.read_parquet(file)
    return pd.read_json(file, lines=suffix == ".jsonl")


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_every_format_holds_every_row(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(iter(ROWS), path)
    assert path.read_bytes() == table_bytes(ROWS, suffix)
    table = read(suffix, path.read_bytes())
    assert tuple(table.columns) == COLUMNS
    assert table.file.tolist() == [row.file for row in ROWS]
    assert table.age[0] == 31.24
    assert table.gender[0] == "female"
    assert table.gender_confidence[2] == 0.75
    assert pd.isna(table.age[1])
    assert pd.isna(table.gender[1])
    assert table.error[1] == ROWS[1].error
    assert pd.isna(table.error[0])


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_no_rows_make_an_empty_table(suffix: str) -> None:
    data = table_bytes([], suffix)
    if suffix == ".json":
        assert json.loads(data) == []
    elif suffix == ".jsonl":
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


def test_rows_come_in_the_order_of_pictures(predictor: Predictor, faces: list[np.ndarray]) -> None:
    pictures = [Picture(f"{number}.jpg", face) for number, face in enumerate(faces)]
    for number in (0, 5, MAX_BATCH, len(faces) - 1):
        pictures[number] = Picture(f"{number}.jpg", InvalidImageError("bad"))
    rows = list(predict_pictures(predictor, iter(pictures)))
    assert [row.file for row in rows] == [picture.name for picture in pictures]
    for row, face in zip(rows, faces, strict=True):
        if row.prediction is None:
            assert row.error == "bad"
        else:
            [alone] = predictor.predict([face])
            assert row.prediction.age == pytest.approx(alone.age, abs=0.01)
    assert sum(row.prediction is None for row in rows) == 4


def test_pictures_are_taken_as_needed(predictor: Predictor) -> None:
    taken = []

    def pictures() -> object:
        for number in range(3 * MAX_BATCH):
            taken.append(number)
            yield Picture(f"{number}.jpg", np.zeros((8, 8, 3), np.uint8))

    next(predict_pictures(predictor, pictures()))
    assert len(taken) == MAX_BATCH


def test_stopping_ends_the_rows(predictor: Predictor) -> None:
    picture = Picture("a.jpg", np.zeros((8, 8, 3), np.uint8))
    stops = iter([False, False, True])
    rows = predict_pictures(predictor, [picture] * 9, should_stop=lambda: next(stops))
    assert len(list(rows)) == 2

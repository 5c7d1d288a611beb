"""Pictures read for a model's input, a batch at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.training.loader import BATCHES_AHEAD, image_batches

SPEC = InputSpec(size=32, crop=0.8)


def listed(folder: Path) -> list[tuple[str, str]]:
    """Name the files of a folder with their hashes."""
    return [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    ]


def test_batches_are_what_prepare_makes_in_order(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(20)
    files = listed(folder)
    batches = list(image_batches(folder, files, SPEC, batch_size=3))
    assert [len(batch) for batch in batches] == [3, 3, 3, 3, 3, 3, 2]
    rows, pictures = zip(*(pair for batch in batches for pair in batch), strict=True)
    assert rows == tuple(range(20))
    for (file, _), pixels in zip(files, pictures, strict=True):
        assert pixels is not None
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, prepare(read_image(folder / file), SPEC))


def test_damaged_missing_and_changed_pictures_are_none(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(6)
    files = listed(folder)
    damaged, missing, changed, other = (folder / files[row][0] for row in (1, 2, 4, 5))
    damaged.write_bytes(b"no picture")
    files[1] = (damaged.name, hashlib.sha256(b"no picture").hexdigest())
    missing.unlink()
    changed.write_bytes(other.read_bytes())
    [batch] = image_batches(folder, files, SPEC, batch_size=8)
    assert [row for row, pixels in batch if pixels is None] == [1, 2, 4]
    assert [row for row, _ in batch] == list(range(6))


def test_reads_no_further_ahead_than_a_few_batches(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(1)
    [entry] = listed(folder)
    asked = []

    class Files(list[tuple[str, str]]):
        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, row: object) -> tuple[str, str]:  # type: ignore[override]
            asked.append(row)
            return entry

    batches = image_batches(folder, Files(), SPEC, batch_size=4)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert 4 <= len(asked) <= 4 * (BATCHES_AHEAD + 1)

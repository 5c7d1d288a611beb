"""Pictures streamed to a model's input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agegender.dataset.loader import image_batches
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare

SPEC = InputSpec(size=32, crop=0.8)


def test_batches_are_what_prepare_makes_in_order(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(7)
    files = sorted(path.name for path in folder.iterdir())
    batches = list(image_batches(folder, files, SPEC, batch_size=3))
    assert [len(rows) for rows, _ in batches] == [3, 3, 1]
    rows = np.concatenate([rows for rows, _ in batches])
    assert rows.dtype == np.int64
    assert rows.tolist() == list(range(7))
    for (row, rgb), file in zip(
        ((row, rgb) for rows, images in batches for row, rgb in zip(rows, images, strict=True)),
        files,
        strict=True,
    ):
        assert rgb.dtype == "float32"
        expected = prepare(read_image(folder / file), SPEC)
        np.testing.assert_array_equal(rgb, expected, err_msg=str(row))


def test_skips_and_tells_damaged_pictures(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(6)
    files = sorted(path.name for path in folder.iterdir())
    (folder / files[1]).write_bytes(b"")
    (folder / files[4]).unlink()
    skipped: dict[int, str] = {}
    batches = image_batches(folder, files, SPEC, batch_size=4, on_skip=skipped.__setitem__)
    rows = [rows.numpy().tolist() for rows, _ in batches]
    assert rows == [[0, 2, 3, 5]]
    assert sorted(skipped) == [1, 4]
    assert skipped[1].startswith(files[1])


def test_every_pass_reads_anew(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(3)
    files = sorted(path.name for path in folder.iterdir())
    batches = image_batches(folder, files, SPEC, batch_size=2)
    assert sum(len(rows) for rows, _ in batches) == 3
    (folder / files[0]).write_bytes(b"")
    assert sum(len(rows) for rows, _ in batches) == 2


def test_reads_no_further_ahead_than_a_few_batches(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(1)
    file = next(folder.iterdir()).name

    class Files(list[str]):
        reads = 0

        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, row: object) -> str:  # type: ignore[override]
            Files.reads += 1
            return file

    batches = iter(image_batches(folder, Files(), SPEC, batch_size=4))
    next(batches)
    del batches
    assert Files.reads < 200


def test_refuses_a_batch_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        image_batches(tmp_path, [], SPEC, batch_size=0)

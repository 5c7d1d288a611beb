"""Faces from files to a model's input, a batch at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from agegender.errors import InvalidImageError
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCHES_AHEAD = 4


def image_batches(
    dataset_folder: Path, files: Sequence[tuple[str, str]], spec: InputSpec, *, batch_size: int
) -> Iterator[list[tuple[int, NDArray[np.uint8] | None]]]:
    """Read pictures in the order of `files`, while threads decode the next few batches.

    Only the pictures of these batches are in memory, however many files there are.

    Args:
        dataset_folder: The folder that `files` are relative to.
        files: Name and SHA-256 of each.
        spec: The model's input; `prepare` is all that is done to a picture.
        batch_size: Files a batch; the last may be smaller.

    Yields:
        For each file of a batch its row in `files` and its pixels, RGB, uint8, shape
        (spec.size, spec.size, 3); None for a file that cannot be read or has changed.
    """

    def load(row: int) -> tuple[int, NDArray[np.uint8] | None]:
        file, sha256 = files[row]
        try:
            data = (dataset_folder / file).read_bytes()
            # Its labels and its features belong to the content that was indexed.
            if hashlib.sha256(data).hexdigest() != sha256:
                return row, None
            return row, prepare(read_image(data, name=file), spec)
        except (OSError, InvalidImageError):
            return row, None

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        waiting = []
        try:
            for start in range(0, len(files), batch_size):
                rows = range(start, min(start + batch_size, len(files)))
                waiting.append([pool.submit(load, row) for row in rows])
                if len(waiting) > BATCHES_AHEAD:
                    yield [future.result() for future in waiting.pop(0)]
            while waiting:
                yield [future.result() for future in waiting.pop(0)]
        finally:
            pool.shutdown(cancel_futures=True)

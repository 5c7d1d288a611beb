"""Faces from files to a model's input, a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import InvalidImageError
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray


def image_batches(
    dataset_folder: Path,
    files: Sequence[str],
    spec: InputSpec,
    *,
    batch_size: int,
    on_skip: Callable[[int, str], None] | None = None,
) -> Any:
    """Stream pictures as batches, decoded in parallel, in the order of `files`.

    Only the pictures of a few batches are in memory, however many files there
    are. Every pass reads the files anew.

    Args:
        dataset_folder: The folder that `files` are relative to.
        files: A file a row.
        spec: The model's input; `prepare` is all that is done to a picture.
        batch_size: Faces a batch; the last may be smaller, and so may one
            with a skipped picture.
        on_skip: Called with the row number and the reason, from any thread,
            for each picture that cannot be read. It is left out; the row
            numbers of the batches tell which pictures are there.

    Returns:
        A `tf.data.Dataset` of (row numbers, int64, shape (b,); RGB 0..255,
        float32, shape (b, spec.size, spec.size, 3)).

    Raises:
        ValueError: If the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, but must be at least 1")
    import tensorflow as tf

    nothing = np.zeros((0, spec.size, spec.size, 3), np.uint8)

    def load(row: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return one picture, or none, with a leading axis of length 1 or 0."""
        file = files[int(row)]
        try:
            return prepare(read_image(dataset_folder / file, name=file), spec)[None]
        except InvalidImageError as error:
            if on_skip is not None:
                on_skip(int(row), str(error))
            return nothing

    def with_row(row: Any) -> tuple[Any, Any]:
        rgb = tf.numpy_function(load, [row], tf.uint8, stateful=False)
        rgb.set_shape((None, spec.size, spec.size, 3))
        return tf.repeat(row, tf.shape(rgb)[0]), rgb

    def as_float(rows: Any, rgb: Any) -> tuple[Any, Any]:
        return rows, tf.cast(rgb, tf.float32)

    # Rows are numbers until they are needed: a million file names do not
    # become part of the graph.
    rows = tf.data.Dataset.range(len(files))
    pictures = rows.map(with_row, num_parallel_calls=os.cpu_count(), deterministic=True)
    return pictures.unbatch().batch(batch_size).map(as_float).prefetch(2)

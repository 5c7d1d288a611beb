"""Sharing the steps of a pretraining among the GPUs of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agegender.pretraining.recipe import Recipe

EVALUATION_BATCH = 128
"""Faces at a time, of those that are measured or that new heads are fitted to."""


@contextmanager
def shared_among_devices(recipe: Recipe) -> Iterator[int]:
    """Have networks that are built in the block compute each step on several GPUs (with JAX).

    Each device computes an equal part of every batch, and the results are those of one
    device: batch normalisation, pairs of views and losses are over the whole batch
    (`keras.distribution.DataParallel`). TensorFlow computes on one device.

    Args:
        recipe: Its batches, and those of `EVALUATION_BATCH`, must be whole on each device.

    Yields:
        How many devices compute: the most that can share each batch equally.
    """
    import keras

    devices = keras.distribution.list_devices() if keras.config.backend() == "jax" else []
    batches = [EVALUATION_BATCH, *(stage.batch_size for stage in recipe.stages)]
    count = next(
        count
        for count in range(max(len(devices), 1), 0, -1)
        if all(batch % count == 0 for batch in batches)
    )
    if count == 1:
        yield 1
        return
    with keras.distribution.DataParallel(devices=devices[:count]).scope():
        yield count

"""The pictures of a pretraining: decoded once, then changed anew in every epoch."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.pretraining.augmentation import augment
from agegender.pretraining.network import PAIRED
from agegender.pretraining.processes import CONTEXT, helping_processes
from agegender.pretraining.rare_ages import balancing_weights
from agegender.pretraining.recipe import Epoch, Recipe, Stage
from agegender.storage import replacing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

BATCHES_AHEAD = 3
"""Batches that are being changed while one is learned from."""

PART = 32
"""Pictures that a process changes at a time: several share the work on a large batch."""


def frame_side(size: int, crop: float) -> int:
    """Return the side of the whole frame when its crop is `size` pixels."""
    return round(size / crop)


def load_pixels(samples: pd.DataFrame, side: int, path: Path) -> NDArray[np.uint8]:
    """Decode every sample once into a compact array on disk.

    Args:
        samples: With the column `file`.
        side: Side of the stored frames, in pixels.
        path: The array's file (.npy); reused when it is there.

    Returns:
        Memory-mapped RGB pixels, uint8, shape (n, side, side, 3).

    Raises:
        InvalidImageError: If a sample cannot be read.
        StorageError: If the disk refuses.
    """
    if not path.exists():
        shape = (len(samples), side, side, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        # Not by way of a map: a disk that fills up would end the process without a word.
        with replacing(path) as part, part.open("wb") as array:
            np.lib.format.write_array_header_1_0(array, header)
            for file in samples["file"]:
                array.write(prepare(read_image(Path(file)), InputSpec(side)).tobytes())
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return pixels


def batches(
    samples: pd.DataFrame,
    pixels: NDArray[np.uint8],
    epoch: Epoch,
    *,
    seed: int,
    skip: int = 0,
    workers: Workers | None = None,
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the augmented batches of one epoch.

    Args:
        samples: With `source`, `age` (NaN where unknown), `gender` and `race`
            (-1 where unknown).
        pixels: Frames of the samples, as `load_pixels` gives.
        epoch: Which epoch.
        seed: Of all chance.
        skip: Batches at the start that are already done.
        workers: Processes that change the pictures ahead (`augmenting`); None to do it here.

    Yields:
        (RGB uint8 (batch, size, size, 3), labels, sample weights). With workers, the
        pictures are gone when the next batch is asked for. The weight of an unknown
        label is 0. With two views a batch is one view of some faces, then the other
        view of the same in the same order; with one, the weight of the outputs in
        `PAIRED` is 0.
    """
    stage = epoch.stage
    faces = stage.batch_size // stage.views
    usable = np.flatnonzero(samples["source"].isin(stage.sources))
    order = np.random.default_rng((seed, epoch.number)).permutation(usable)
    ages = samples["age"].to_numpy()
    age_weights = np.zeros(len(samples), dtype="float32")
    age_weights[usable] = balancing_weights(ages[usable], stage.age_balance)
    chosen = [
        np.tile(order[step * faces : (step + 1) * faces], stage.views)
        for step in range(skip, epoch.steps)
    ]
    for rows, images in zip(chosen, _change_all(pixels, chosen, epoch, seed, workers), strict=True):
        labels, weights = labels_of(samples.iloc[rows])
        weights["age"] *= age_weights[rows]
        for name in PAIRED:
            weights[name] = np.full(len(rows), stage.views > 1, "float32")
        yield images, labels, weights


@dataclass(frozen=True)
class Workers:
    """Processes that change pictures.

    Attributes:
        pool: The processes.
        memory: Shared with them: bytes of the pictures of `1 + BATCHES_AHEAD` batches.
            Sending batches back through a pipe took as long as a GPU's step.
    """

    pool: ProcessPoolExecutor
    memory: list[Any]


@contextmanager
def augmenting(recipe: Recipe) -> Iterator[Workers]:
    """Start processes for `batches`: a GPU takes more pictures than one processor changes.

    Args:
        recipe: What they will work on.

    Yields:
        The processes, which end with the block.
    """
    largest = max((prod(_batch_shape(stage)) for stage in recipe.stages), default=0)
    memory = [CONTEXT.RawArray("B", largest) for _ in range(1 + BATCHES_AHEAD)]
    with helping_processes(_share, memory) as pool:
        yield Workers(pool, memory)


_memory: list[Any] = []
"""In a worker, what it shares with the process that trains."""


def _share(memory: list[Any]) -> None:
    _memory.extend(memory)


def _batch_shape(stage: Stage) -> tuple[int, int, int, int]:
    """Return the shape of a batch's pictures."""
    return stage.batch_size, stage.size, stage.size, 3


def _change_all(
    pixels: NDArray[np.uint8],
    chosen: list[NDArray[np.int64]],
    epoch: Epoch,
    seed: int,
    workers: Workers | None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures of one batch after another, a few batches ahead with workers."""
    shape = _batch_shape(epoch.stage)
    if workers is None:
        for rows in chosen:
            images = np.empty(shape, np.uint8)
            _change(pixels, rows, epoch, seed, images, slice(None))
            yield images
        return
    # Only a map of a file is worth sending: by its name.
    path = Path(pixels.filename)  # type: ignore[attr-defined]
    free = deque(range(len(workers.memory)))
    pending: deque[tuple[int, list[Future[None]]]] = deque()
    coming = iter(chosen)
    try:
        for _ in chosen:
            for rows in itertools.islice(coming, len(free)):
                place = free.popleft()
                tasks = [
                    workers.pool.submit(
                        _change_mapped, path, rows, epoch, seed, place, slice(first, first + PART)
                    )
                    for first in range(0, len(rows), PART)
                ]
                pending.append((place, tasks))
            place, tasks = pending.popleft()
            for task in tasks:
                task.result()
            yield _pictures(workers.memory[place], shape)
            free.append(place)
    finally:
        # Whoever comes next writes to the same memory.
        begun = [task for _, tasks in pending for task in tasks if not task.cancel()]
        futures.wait(begun)


def _pictures(memory: Any, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """View shared memory as the pictures of a batch."""
    return np.frombuffer(memory, np.uint8, prod(shape)).reshape(shape)


def _change_mapped(
    path: Path, rows: NDArray[np.int64], epoch: Epoch, seed: int, place: int, part: slice
) -> None:
    """Do what `_change` does, in another process."""
    images = _pictures(_memory[place], _batch_shape(epoch.stage))
    _change(_map(path), rows, epoch, seed, images, part)


@cache
def _map(path: Path) -> NDArray[np.uint8]:
    """Map an array's file once in each worker."""
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return pixels


def _change(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    epoch: Epoch,
    seed: int,
    images: NDArray[np.uint8],
    part: slice,
) -> None:
    """Change a part of a batch's pictures into `images`, each from a seed of its own."""
    stage = epoch.stage
    faces = stage.batch_size // stage.views
    for number in range(len(rows))[part]:
        row = int(rows[number])
        rng = np.random.default_rng((seed, epoch.number, row, number // faces))
        surroundings = None
        # No chance is drawn where none is asked for, so that older recipes go on as they were.
        if stage.surroundings and rng.random() < stage.surroundings:
            surroundings = pixels[rng.choice(rows)]
        images[number] = augment(
            pixels[row],
            stage.size,
            rng,
            strength=stage.augmentation,
            surroundings=surroundings,
        )


def labels_of(
    samples: pd.DataFrame,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Return what the network's outputs are to be for some faces.

    Args:
        samples: With `age` (NaN where unknown), `gender` and `race` (-1 where unknown), and
            perhaps `teacher` (`teacher.ask_teacher`).

    Returns:
        Labels, shape (n, 1), or (n, 128) of the teacher, and sample weights, shape (n,),
        by output; the weight of an unknown label is 0, and so is that of the outputs
        in `PAIRED`.
    """
    labels, weights = {}, {}
    for name in ("age", "gender", "race"):
        values = samples[name].to_numpy(dtype="float32")
        known = ~np.isnan(values) & (values >= 0)
        labels[name] = np.where(known, values, 0)[:, None].astype("float32")
        weights[name] = known.astype("float32")
    if "teacher" in samples:
        answers = np.stack(list(samples["teacher"]))
        known = np.isfinite(answers).all(axis=1)
        labels["teacher"] = np.where(known[:, None], answers, 0).astype("float32")
        weights["teacher"] = known.astype("float32")
    for name in PAIRED:
        labels[name] = np.zeros((len(samples), 1), "float32")
        weights[name] = np.zeros(len(samples), "float32")
    return labels, weights

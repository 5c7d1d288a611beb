"""The pictures of a pretraining: decoded once, then changed anew in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.pretraining.augmentation import augment
from agegender.pretraining.network import AGE_CLASSES, PAIRED
from agegender.pretraining.recipe import Epoch
from agegender.storage import replacing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

DENSITY_SIGMA_YEARS = 3.0

MOST_AGE_WEIGHT = 3.0
"""A handful of the oldest must not make up a batch's loss by themselves."""


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
    samples: pd.DataFrame, pixels: NDArray[np.uint8], epoch: Epoch, *, seed: int, skip: int = 0
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the augmented batches of one epoch.

    Args:
        samples: With `source`, `age` (NaN where unknown), `gender` and `race`
            (-1 where unknown).
        pixels: Frames of the samples, as `load_pixels` gives.
        epoch: Which epoch.
        seed: Of all chance.
        skip: Batches at the start that are already done.

    Yields:
        (RGB float32 (batch, size, size, 3), labels, sample weights); the
        weight of an unknown label is 0. With two views a batch is one view of
        some faces, then the other view of the same in the same order; with
        one, the weight of the outputs in `PAIRED` is 0.
    """
    stage = epoch.stage
    faces = stage.batch_size // stage.views
    usable = np.flatnonzero(samples["source"].isin(stage.sources))
    order = np.random.default_rng((seed, epoch.number)).permutation(usable)
    ages = samples["age"].to_numpy()
    age_weights = np.zeros(len(samples), dtype="float32")
    age_weights[usable] = balancing_weights(ages[usable], stage.age_balance)
    for step in range(skip, epoch.steps):
        rows = np.tile(order[step * faces : (step + 1) * faces], stage.views)
        images = np.stack(
            [
                augment(
                    pixels[row],
                    stage.size,
                    np.random.default_rng((seed, epoch.number, int(row), number // faces)),
                    strength=stage.augmentation,
                )
                for number, row in enumerate(rows)
            ]
        )
        labels, weights = labels_of(samples.iloc[rows])
        weights["age"] *= age_weights[rows]
        for name in PAIRED:
            weights[name] = np.full(len(rows), stage.views > 1, "float32")
        yield images.astype("float32"), labels, weights


def labels_of(
    samples: pd.DataFrame,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Return what the network's outputs are to be for some faces.

    Args:
        samples: With `age` (NaN where unknown), `gender` and `race` (-1 where unknown).

    Returns:
        Labels, shape (n, 1), and sample weights, shape (n,), by output; the
        weight of an unknown label is 0, and so is that of the outputs in `PAIRED`.
    """
    labels, weights = {}, {}
    for name in ("age", "gender", "race"):
        values = samples[name].to_numpy(dtype="float32")
        known = ~np.isnan(values) & (values >= 0)
        labels[name] = np.where(known, values, 0)[:, None].astype("float32")
        weights[name] = known.astype("float32")
    for name in PAIRED:
        labels[name] = np.zeros((len(samples), 1), "float32")
        weights[name] = np.zeros(len(samples), "float32")
    return labels, weights


def balancing_weights(ages: NDArray[np.float64], balance: float) -> NDArray[np.float32]:
    """Weigh rare ages more, by the smoothed density of ages.

    The inverse (`balance` 1) or its square root (0.5) of the label density
    under a Gaussian kernel (Yang et al., "Delving into Deep Imbalanced
    Regression", ICML 2021), at most `MOST_AGE_WEIGHT` times the mean.

    Args:
        ages: Years, shape (n,); NaN where unknown.
        balance: Exponent, 0 for equal weights.

    Returns:
        Weights with a mean of about 1 over the known ages, and 0 for the unknown, shape (n,).
    """
    known = ~np.isnan(ages)
    labels = np.minimum(ages[known], AGE_CLASSES - 1).astype(int)
    years = np.arange(AGE_CLASSES)
    kernel = np.exp(-0.5 * ((years[:, None] - years) / DENSITY_SIGMA_YEARS) ** 2)
    kernel /= kernel.sum(axis=0)
    density = (kernel @ np.bincount(labels, minlength=AGE_CLASSES))[labels]
    weights = np.zeros(len(ages), dtype="float32")
    inverse = density**-balance
    weights[known] = np.minimum(inverse / inverse.mean(), MOST_AGE_WEIGHT)
    return weights


def prefetch(items: Iterator[Any]) -> Iterator[Any]:
    """Prepare the next items in a thread while the caller works on one."""
    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(next, items, None) for _ in range(2)]
        while (item := pending.pop(0).result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item

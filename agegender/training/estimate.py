"""How long a training will take, told before it is started."""

from __future__ import annotations

import os

from agegender.training.config import TrainConfig
from agegender.training.features import VIEWS

CORE_SECONDS_PER_PIXEL = 2.3e-6
"""For one view of a face through the backbone, on one core, whose time goes with the
number of pixels. On two cores with AVX2 alone, which were busy otherwise as well,
38,720 views took 484 to 780 s at 112 pixels a side: 0.013 to 0.020 s each."""

MOST_CORES = 4
"""More were not measured, and are not counted on."""

HEAD_SECONDS_PER_FACE = 2.5 / 17_000
"""For one epoch of the heads: 17,000 faces took 2.5 s."""

FINE_TUNING_FACTOR = 3
"""Of the time for the features of the same faces. Not measured but on the safe side: a pass
backwards costs about twice one forwards, though here it ends at the backbone's last stage."""

STARTUP_SECONDS = 20
"""Until a new process has imported TensorFlow and read the dataset."""


def feature_seconds(size: int, faces: int, *, cores: int | None = None) -> float:
    """Estimate how long a backbone takes for the features of faces on a processor.

    Args:
        size: Side of its input, in pixels.
        faces: How many.
        cores: Of the processor; this machine's by default.

    Returns:
        Seconds.
    """
    if cores is None:
        cores = os.cpu_count() or 1
    return faces * VIEWS * CORE_SECONDS_PER_PIXEL * size**2 / min(MOST_CORES, cores)


def estimate_seconds(
    config: TrainConfig,
    *,
    size: int,
    train_faces: int,
    missing: int,
    cores: int | None = None,
) -> float:
    """Estimate how long a training takes on a processor.

    Args:
        config: The settings. All of their epochs are counted, though training
            may end early.
        size: Side of the backbone's input, in pixels.
        train_faces: Faces that it learns from.
        missing: Faces whose features are still to be computed (`features.count_missing`).
        cores: Of the processor; this machine's by default.

    Returns:
        Seconds.
    """
    face = feature_seconds(size, 1, cores=cores)
    heads = HEAD_SECONDS_PER_FACE * train_faces * config.epochs
    seconds = STARTUP_SECONDS + missing * face + heads
    if config.fine_tune_epochs:
        tuning = FINE_TUNING_FACTOR * face * train_faces * config.fine_tune_epochs
        # Then come features of the new backbone, and heads on them.
        seconds += tuning + train_faces * face + heads
    return seconds

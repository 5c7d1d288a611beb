"""Extra faces that show a held-out photo although their hashes differ too much to tell.

A backbone's features find the extra faces most like each held-out face, however they
are cut and coloured; the pixels' detail then decides as it does within a dataset
(`dataset.duplicates`). The features alone would not do: they also find other photos
of the same person.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agegender.config import SEED
from agegender.dataset.duplicates import DETAIL_CORRELATION, detail_correlation
from agegender.images import read_image
from agegender.model.architecture import FEATURE_COUNT
from agegender.training.features import load_features, mean_features

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from agegender.model.weights import BackboneWeights

NEIGHBOURS = 5
"""Extra faces whose pixels are compared with those of a held-out face."""

CHUNK_FACES = 256
"""Held-out faces that are compared with all extra ones at once."""


def find_copies(
    extra: pd.DataFrame,
    held_out: pd.DataFrame,
    weights: BackboneWeights,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.bool_]:
    """Tell which extra faces show the same photo as a held-out face.

    Args:
        extra: With `file` (absolute) and `sha256`.
        held_out: The same of the faces that must not be learned.
        weights: A backbone with skill.
        on_progress: Called with (done, total) while features are computed.

    Returns:
        For each extra face, shape (n,).

    Raises:
        InvalidImageError: If a face cannot be read.
        InvalidModelError, ModelNotFoundError: If the weights cannot be read.
        StorageError: If the disk refuses the features.
    """
    is_copy = np.zeros(len(extra), bool)
    files = extra["file"].to_numpy()
    known = _embed(extra, weights, on_progress)
    mean, spread = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    known = _normalised((known - mean) / spread)
    asked = _normalised((_embed(held_out, weights, None) - mean) / spread)
    for start in range(0, len(held_out), CHUNK_FACES):
        cosines = asked[start : start + CHUNK_FACES] @ known.T
        for file, cosine in zip(held_out["file"].iloc[start:], cosines, strict=False):
            picture = read_image(Path(file))
            for row in np.argsort(-cosine)[:NEIGHBOURS]:
                other = read_image(Path(files[row]))
                is_copy[row] |= any(
                    detail_correlation(picture, other, mirror=mirror) >= DETAIL_CORRELATION
                    for mirror in (False, True)
                )
    return is_copy


def _embed(
    faces: pd.DataFrame,
    weights: BackboneWeights,
    on_progress: Callable[[int, int], None] | None,
) -> NDArray[np.float32]:
    """Return the mean features of both views, which do not change when a face is mirrored."""
    features = load_features(Path(), faces, weights, on_progress=on_progress)
    means = np.zeros((len(faces), FEATURE_COUNT), np.float32)
    means[features.usable] = mean_features(features.values, len(faces), seed=SEED)
    return means


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-6), np.float32)

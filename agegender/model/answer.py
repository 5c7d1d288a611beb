"""What a model's outputs for the views of a face come to: one answer.

The answer for a face is always the average over the face and its mirror
image. Training, evaluation, prediction and the exported file all take it from
here, so that they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import GENDER_NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEMALE = GENDER_NAMES.index("female")

FEMALE_THRESHOLD = 0.5
"""Probability of "female" from which on that is the answer."""

CHUNK_FACES = 1024
"""Faces whose features are in memory at once where many are answered for."""


@dataclass(frozen=True)
class Answers:
    """Answers for n faces with what tells how sure they are.

    Attributes:
        age: Years, at least 0, float32, shape (n,).
        p_female: Probability of "female" as the heads say, float32, shape (n,).
        disagreement: Difference of the ages for both views, years, at least
            0, float32, shape (n,).
        features: Mean over both views, float32, shape (n, 2048).
    """

    age: NDArray[np.float32]
    p_female: NDArray[np.float32]
    disagreement: NDArray[np.float32]
    features: NDArray[np.float32]


def answer_features(heads: Any, values: NDArray[np.float32]) -> Answers:
    """Answer for faces from their features.

    Args:
        heads: What `architecture.build_heads` returned, trained.
        values: float32, shape (n, 2, 2048); view 1 is mirrored. May be a
            memory map: `CHUNK_FACES` rows are read at a time.
    """
    count, views, size = values.shape
    age, p_female, disagreement = np.zeros((3, count), np.float32)
    features = np.zeros((count, size), np.float32)
    for start in range(0, count, CHUNK_FACES):
        rows = slice(start, min(start + CHUNK_FACES, count))
        outputs = heads(values[rows].reshape(-1, size), training=False)
        ages = np.asarray(outputs["age"]).reshape(-1, views)
        genders = np.asarray(outputs["gender"]).reshape(-1, views, len(GENDER_NAMES))
        averaged = average_views(ages, genders, axis=1)
        age[rows], p_female[rows] = averaged[0], probability_of_female(averaged[1])
        disagreement[rows] = np.ptp(ages, axis=1)
        features[rows] = values[rows].mean(axis=1)
    return Answers(age, p_female, disagreement, features)


def average_views(age: Any, gender: Any, *, axis: int) -> tuple[Any, Any]:
    """Average the outputs for the views of faces.

    Works on NumPy arrays, tensors and Keras' symbolic tensors, and so inside
    compiled and exported graphs as well.

    Args:
        age: Years, float32; any shape with an axis of views.
        gender: Probabilities in the order of `GENDER_NAMES`, float32; any
            shape with the same axis of views.
        axis: That axis.

    Returns:
        (years, at least 0; probabilities), as tensors without that axis.
    """
    from keras import ops

    # A straight line through the data goes below zero for the youngest.
    return ops.maximum(ops.mean(age, axis=axis), 0.0), ops.mean(gender, axis=axis)


def probability_of_female(gender: Any) -> Any:
    """Return the probability of "female" from an array or tensor of shape (..., 2)."""
    return gender[..., _FEMALE]


def answered_gender(p_female: NDArray[np.float32] | float) -> NDArray[np.int64]:
    """Return the answer as an index into `GENDER_NAMES`, "female" at a tie.

    Args:
        p_female: Probability of "female", 0..1, any shape.

    Returns:
        int64, of the same shape.
    """
    return np.where(np.asarray(p_female) >= FEMALE_THRESHOLD, _FEMALE, 1 - _FEMALE)


def probability_of(
    gender: NDArray[np.int64] | int, p_female: NDArray[np.floating] | float
) -> NDArray[np.floating]:
    """Return the probability of a gender; of the answered one, it is how sure the answer is.

    Args:
        gender: Index into `GENDER_NAMES`, any shape.
        p_female: Probability of "female", 0..1, of the same shape.

    Returns:
        0..1, of the same shape and of `p_female`'s type.
    """
    return np.where(np.asarray(gender) == _FEMALE, p_female, np.subtract(1, p_female))

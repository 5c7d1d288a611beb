"""Five landmarks of a face, however it is turned.

The detector's boxes do not tell how a face is turned, so it looks at each of
them again in eight rotations and is surest when the face is upright. There the
output network of MTCNN (Zhang et al. 2016, "Joint face detection and alignment
using multitask cascaded convolutional networks") reads the landmarks, from the
face and its mirror image, and again from the face as those landmarks align it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agegender.prediction.alignment import FRAME_LANDMARKS, fit_similarity, move, warp
from agegender.prediction.boxes import Box, detect

if TYPE_CHECKING:
    from numpy.typing import NDArray

READER_SIZE = 48
"""Side in pixels of the landmark network's input."""

READER_SIDE = 190.0
READER_CENTER = (98.0, 95.0)
"""The square of UTKFace's frame that the network is shown; of eight squares
tried, the one whose landmarks scattered least."""

ROUNDS = 3
"""Readings of each face; after three the landmarks no longer move."""

TURNS_DEGREES = range(0, 360, 45)
"""Rotations tried. The detector copes with the half step that is left."""

TURN_SIZE = 128
TURN_FACE = 80
"""The box's longer side within the picture of `TURN_SIZE` pixels that is turned."""

_MIRROR = np.array([(-1, 0, READER_SIZE - 1), (0, 1, 0), (0, 0, 1)], np.float64)
_MIRRORED_ORDER = [1, 0, 2, 4, 3]


class Reading(NamedTuple):
    """What was read in one box.

    Attributes:
        landmarks: float32, shape (5, 2), x and y in pixels of the photo,
            ordered as in `FRAME_LANDMARKS`.
        upright_score: The detector's score for the box turned upright, 0 to 1.
        landmark_score: The landmark network's score for it being a face, 0 to 1.
    """

    landmarks: NDArray[np.float32]
    upright_score: float
    landmark_score: float


def read_landmarks(image: NDArray[np.uint8], boxes: list[Box]) -> list[Reading]:
    """Read the landmarks of the faces in boxes.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3).
        boxes: Around the faces, whichever way these are turned.

    Returns:
        One reading for each box.
    """
    if not boxes:
        return []
    upright = [_turn_upright(image, box) for box in boxes]
    landmarks, scores = _read(image, np.stack([matrix for matrix, _ in upright]))
    for _ in range(ROUNDS - 1):
        landmarks, scores = _read(image, np.stack([_view_of(points) for points in landmarks]))
    return [
        Reading(points.astype(np.float32), turned_score, float(score))
        for points, (_, turned_score), score in zip(landmarks, upright, scores, strict=True)
    ]


def _turn_upright(image: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.float64], float]:
    """Find the view of a box in which its face is upright.

    Returns:
        The matrix from photo to the network's input, shape (2, 3), and the
        detector's best score, 0 when it finds nothing in any rotation.
    """
    side = max(box.width, box.height)
    center = (box.x + box.width / 2, box.y + box.height / 2)
    best_score, best_turn = 0.0, 0
    for turn in TURNS_DEGREES:
        view = _square_view(center, side * TURN_SIZE / TURN_FACE, turn, TURN_SIZE)
        score = max((found.score for found in detect(warp(image, view, TURN_SIZE))), default=0.0)
        if score > best_score:
            best_score, best_turn = score, turn
    return _square_view(center, side, best_turn, READER_SIZE), best_score


def _square_view(
    center: tuple[float, float], side: float, turn_degrees: float, size: int
) -> NDArray[np.float64]:
    """Return the matrix that shows a turned square of a photo at so many pixels."""
    turn = np.deg2rad(turn_degrees)
    cos, sin = np.cos(turn) * size / side, np.sin(turn) * size / side
    rotation = np.array([(cos, -sin), (sin, cos)])
    return np.column_stack([rotation, (size - 1) / 2 - rotation @ np.array(center)])


def _view_of(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix from photo to the network's input for an aligned face."""
    to_frame = np.vstack([fit_similarity(landmarks, FRAME_LANDMARKS), (0, 0, 1)])
    view = _square_view(READER_CENTER, READER_SIDE, 0, READER_SIZE) @ to_frame
    return np.asarray(view, dtype=np.float64)


def _read(
    image: NDArray[np.uint8], views: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Read landmarks in views, averaged with those of the mirrored views.

    Args:
        image: The photo.
        views: Matrices from photo to the network's input, shape (n, 2, 3).

    Returns:
        Landmarks in pixels of the photo, shape (n, 5, 2), and scores, shape (n,).
    """
    plain = np.stack([warp(image, view, READER_SIZE) for view in views])
    pixels = np.concatenate([plain, plain[:, :, ::-1]]).astype(np.float32)
    # The range of values that MTCNN was trained on.
    _, places, scores = _network()((pixels - 127.5) / 128)
    columns = np.asarray(places, dtype=np.float64) * READER_SIZE
    points = np.stack([columns[:, :5], columns[:, 5:]], axis=-1)
    count = len(views)
    mirrored = move(points[count:], _MIRROR[:2])[:, _MIRRORED_ORDER]
    seen = (points[:count] + mirrored) / 2
    to_photo = [np.linalg.inv(np.vstack([view, (0, 0, 1)]))[:2] for view in views]
    landmarks = np.stack([move(p, back) for p, back in zip(seen, to_photo, strict=True)])
    faceness = np.asarray(scores)[:, 1].reshape(2, count).mean(axis=0)
    return landmarks, faceness


@cache
def _network() -> Any:
    """Load MTCNN's output network, whose weights the package carries."""
    from mtcnn.network.onet import ONet
    from mtcnn.utils.tensorflow import load_weights

    network = ONet()
    network.build()
    network.set_weights(load_weights("onet.lz4"))
    return network

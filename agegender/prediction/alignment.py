"""Warping a face in a photo to the frame that the model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from agegender.config import FRAME_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.prediction.faces import Face

FRAME_LANDMARKS = np.array(
    [(58.6, 60.1), (137.6, 60.0), (97.8, 105.8), (63.9, 140.4), (132.7, 139.9)], np.float32
)
"""Where `read_landmarks` finds them in UTKFace's chips: x right, y down, in pixels
of `FRAME_SIZE`; left eye, right eye, nose, left and right mouth corner. Medians
of 300 chips. Every reader of landmarks has a bias of its own (another one gives
points up to 3 pixels away), which these cancel."""

FRAME_LANDMARKS.flags.writeable = False


def align_face(image: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """Cut a face out of a photo, upright and placed as in UTKFace's chips.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3): the photo that the
            face was found in.
        face: A face found by `find_faces`.

    Returns:
        RGB pixels, uint8, shape (FRAME_SIZE, FRAME_SIZE, 3). What lies beyond
        the photo's edge repeats the edge.
    """
    return warp(image, fit_similarity(face.landmarks, FRAME_LANDMARKS), FRAME_SIZE)


def fit_similarity(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Find the rotation, scale and shift that bring points nearest to others.

    The least-squares solution of Umeyama (1991), "Least-squares estimation of
    transformation parameters between two point patterns", which in the plane,
    with points as complex numbers and without mirroring, is one quotient.

    Args:
        source: Points (x, y), shape (n, 2), not all the same.
        target: Where they should come to lie, shape (n, 2).

    Returns:
        Matrix [R | t], float64, shape (2, 3): a point p goes to R p + t.

    Raises:
        ValueError: If the source points are all the same.
    """
    start, goal = source.astype(np.float64), target.astype(np.float64)
    start_mean, goal_mean = start.mean(axis=0), goal.mean(axis=0)
    start_flat = (start - start_mean) @ np.array([1, 1j])
    goal_flat = (goal - goal_mean) @ np.array([1, 1j])
    spread = np.vdot(start_flat, start_flat).real
    if spread == 0:
        raise ValueError("the points are all the same, which fixes neither scale nor rotation")
    turn = np.vdot(start_flat, goal_flat) / spread
    rotation = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([rotation, goal_mean - rotation @ start_mean])


def move(points: NDArray[np.floating], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a (2, 3) matrix to points (x, y), shape (..., 2)."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float64)


def warp(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Draw the square that a similarity transform cuts out of a photo.

    Only the part of the photo that is needed is touched, and it is first
    shrunk by averaging, as `cv2.warpAffine` reads four pixels for each that it
    draws, however many there are: fine lines would turn into false ones.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3).
        matrix: Similarity from photo to square, shape (2, 3).
        size: Side of the square in pixels.

    Returns:
        RGB pixels, uint8, shape (size, size, 3); the photo's edge is repeated
        beyond it.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    corners = np.array([(0, 0), (size, 0), (0, size), (size, size)], np.float64)
    needed = move(corners, cv2.invertAffineTransform(matrix))
    margin = 2 + 2 / scale
    limit = np.array([image.shape[1], image.shape[0]])
    left, top = np.clip(np.floor(needed.min(axis=0) - margin), 0, limit - 1).astype(int)
    right, bottom = np.clip(
        np.ceil(needed.max(axis=0) + margin), [left + 1, top + 1], limit
    ).astype(int)
    part = image[top:bottom, left:right]
    shrink = np.ones(2)
    if scale < 1:
        width, height = right - left, bottom - top
        smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
        part = cv2.resize(part, smaller, interpolation=cv2.INTER_AREA)
        shrink = np.array(smaller) / (width, height)
    # Pixel centres are at whole numbers, so the first one's outer edge is at -0.5.
    back = np.column_stack([np.diag(1 / shrink), (0.5 / shrink - 0.5) + (left, top)])
    drawn = cv2.warpAffine(
        part,
        np.column_stack([matrix[:, :2] @ back[:, :2], move(back[:, 2], matrix)]),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(drawn, dtype=np.uint8)

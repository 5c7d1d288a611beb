"""Finding the faces in a whole photo."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from agegender.config import FRAME_SIZE
from agegender.prediction.alignment import FRAME_LANDMARKS, fit_similarity, move
from agegender.prediction.boxes import (
    COARSE_SIDE,
    Box,
    find_boxes,
    find_turned_boxes,
    shrink,
    without_repeats,
)
from agegender.prediction.landmarks import Reading, read_landmarks

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOX_SCORE = 0.3
"""Boxes that the detector gives less are not looked at again."""

UPRIGHT_SCORE = 0.6
"""What the detector must give the face turned upright."""

LANDMARK_SCORE = 0.95
"""What the landmark network must give it. Both are set so that pictures without
faces yield next to none (docs/face-detection.md)."""

SQUARE_CENTER = (98.0, 98.0)
SQUARE_SIDE = 180.0
"""The square of UTKFace's frame, in its pixels, from hairline to chin."""

GRAIN_SIGMA = 2.0
"""Gaussian blur, in pixels of a photo shrunk to `COARSE_SIDE`, that hides most
grain of a scan and keeps most faces."""


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes:
        box: x, y, width and height in pixels of the photo: the square from
            hairline to chin, cut off at the photo's edges.
        landmarks: Left eye, right eye, nose, left and right mouth corner,
            float32, shape (5, 2), x and y in pixels. Left is what is left in
            the picture when the face is turned upright.
        score: How sure the detector is, 0 to 1.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float


def find_faces(image: NDArray[np.uint8]) -> list[Face]:
    """Find every face in a photo, however it is turned.

    When nothing is found, the photo is searched again turned on its sides and
    head, as phones leave photos, and with more contrast and less grain, as old
    scans need it. When most faces lie on one side, all are searched from there.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3), of any size.

    Returns:
        The faces, the largest first; empty when there is none.

    Raises:
        ValueError: If the picture is not of that shape and type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"expected RGB pixels, uint8, but got {image.dtype} {image.shape}")
    boxes = find_boxes(image)
    faces = _faces_in(image, boxes)
    if not faces:
        boxes = find_turned_boxes(image)
        faces = _faces_in(image, boxes)
    if faces and (quarter_turns := _main_turn(faces)):
        # Of a group, the detector finds some as they lie: there are more.
        faces = _faces_in(image, boxes + find_boxes(image, quarter_turns=quarter_turns))
    if not faces:
        small, scale = shrink(image, COARSE_SIDE)
        clearer = _clear_up(small)
        found = _faces_in(clearer, find_turned_boxes(clearer))
        faces = [scale_face(face, 1 / scale) for face in found]
    return sorted(faces, key=lambda face: face.box[2] * face.box[3], reverse=True)


def crop_face(image: NDArray[np.uint8]) -> Face:
    """Return the face that a picture holds if it is a crop in UTKFace's frame.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3); its centre square is the
            frame, as for `prepare`.

    Returns:
        The centre square, with the frame's own landmarks.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    landmarks = (FRAME_LANDMARKS + 0.5) * (side / FRAME_SIZE) - 0.5 + (left, top)
    return Face((left, top, side, side), landmarks.astype(np.float32), 1.0)


def scale_face(face: Face, scale: float) -> Face:
    """Bring a face to a smaller or larger copy of its photo.

    Args:
        face: Found in a photo.
        scale: Pixels of the copy for each of the photo's.
    """
    x, y, width, height = (side * scale for side in face.box)
    # Pixel centres are at whole numbers, so the first one's outer edge is at -0.5.
    landmarks = (face.landmarks + 0.5) * scale - 0.5
    return Face((x, y, width, height), landmarks.astype(np.float32), face.score)


def _faces_in(image: NDArray[np.uint8], boxes: list[Box]) -> list[Face]:
    """Keep the boxes that hold a face, with its landmarks."""
    likely = [box for box in boxes if box.score >= BOX_SCORE]
    landmarks = {
        _box_around(reading): reading.landmarks
        for reading in read_landmarks(image, likely)
        if reading.upright_score >= UPRIGHT_SCORE and reading.landmark_score >= LANDMARK_SCORE
    }
    # Two boxes beside each other may have led to the same face.
    return [
        Face(_within(box, image.shape[1], image.shape[0]), landmarks[box], box.score)
        for box in without_repeats(list(landmarks))
    ]


def _main_turn(faces: list[Face]) -> int:
    """Return the quarter turns, as for `np.rot90`, that set most of the faces upright."""
    turns = []
    for face in faces:
        eyes, mouth = face.landmarks[:2].mean(axis=0), face.landmarks[3:].mean(axis=0)
        right, down = (mouth - eyes).tolist()
        turns.append(round(math.degrees(math.atan2(-right, down)) / 90) % 4)
    turn, count = Counter(turns).most_common(1)[0]
    return turn if 2 * count > len(faces) else 0


def _box_around(reading: Reading) -> Box:
    """Return the square around a face; the detector's box is loose for turned ones."""
    from_frame = fit_similarity(FRAME_LANDMARKS, reading.landmarks)
    side = SQUARE_SIDE * float(np.hypot(from_frame[0, 0], from_frame[1, 0]))
    left, top = (move(np.array(SQUARE_CENTER), from_frame) - side / 2).tolist()
    return Box(left, top, side, side, reading.upright_score)


def _within(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """Cut a box off at the photo's edges."""
    left, right = np.clip([box.x, box.x + box.width], 0, width).tolist()
    top, bottom = np.clip([box.y, box.y + box.height], 0, height).tolist()
    return left, top, right - left, bottom - top


def _clear_up(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a faded, grainy picture with full contrast and less grain."""
    smooth = cv2.GaussianBlur(image, (0, 0), GRAIN_SIGMA)
    dark, bright = np.percentile(smooth, (1, 99))
    table = (np.arange(256) - dark) * (255 / max(1.0, bright - dark))
    return np.asarray(cv2.LUT(smooth, table.clip(0, 255).astype(np.uint8)), dtype=np.uint8)

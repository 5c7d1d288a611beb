"""What makes the answer for a face less sure, as short fixed words.

Each word has a measure and a threshold of its own, so that a user can look up
why a face has it. How they were set: docs/face-detection.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from agegender.config import FRAME_SIZE
from agegender.prediction.alignment import FRAME_LANDMARKS, fit_similarity, move

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.prediction.faces import Face

SMALL, BLURRED, DARK, TURNED, CUT_OFF, UNFAMILIAR = (
    "small",
    "blurred",
    "dark",
    "turned",
    "cut off",
    "unfamiliar",
)

FLAGS = {
    SMALL: "The face is small in the photo.",
    BLURRED: "The face is blurred.",
    DARK: "The face is dark.",
    TURNED: "The face is turned to the side.",
    CUT_OFF: "The face is cut off by the edge of the photo.",
    UNFAMILIAR: "The face is unlike those that the model has learned from.",
}
"""What each flag means, in the order in which flags are given."""

SMALL_FRAME_PX = 60.0
"""A face whose frame, a little more than the face, has a shorter side in the photo is small."""

BLUR_EFFECT = 0.75
"""A crop with a larger `blur_effect` is blurred."""

DARK_LEVEL = 90.0
"""A crop is dark when even its brightest twentieth has less luma (0..255). The
brightest part tells the light on a face from the colour of its skin."""

TURNED_RATIO = 0.3
"""The nose is so far beside the middle of the face, as a share of the distance of
the eyes. The tip of a nose stands out by some 0.4 of that distance: 0.3 is a face
turned by about 35 degrees."""

CUT_OFF_SHARE = 0.1
"""A face with a larger share of its frame beyond the photo's edges is cut off."""

_CENTER = slice(FRAME_SIZE // 10, FRAME_SIZE - FRAME_SIZE // 10)
"""The rows, and columns, of a crop that hold the face and little background."""

_GRID = np.stack(np.meshgrid(*[np.linspace(0, FRAME_SIZE - 1, 41)] * 2), axis=-1).reshape(-1, 2)


def crop_flags(crop: NDArray[np.uint8]) -> list[str]:
    """Return the flags that a crop's pixels earn.

    Args:
        crop: RGB, uint8, shape (FRAME_SIZE, FRAME_SIZE, 3).

    Returns:
        Some of `FLAGS`.
    """
    luma = cv2.cvtColor(crop[_CENTER, _CENTER], cv2.COLOR_RGB2GRAY)
    flags = {
        BLURRED: blur_effect(luma) > BLUR_EFFECT,
        DARK: np.percentile(luma, 95) < DARK_LEVEL,
    }
    return [flag for flag, earned in flags.items() if earned]


def place_flags(face: Face, height: int, width: int) -> list[str]:
    """Return the flags that a face earns by how it lies in a photo.

    Args:
        face: Found by `find_faces`.
        height: Of the photo, in pixels.
        width: The same.

    Returns:
        Some of `FLAGS`.
    """
    from_frame = fit_similarity(FRAME_LANDMARKS, face.landmarks)
    side = FRAME_SIZE * float(np.hypot(from_frame[0, 0], from_frame[1, 0]))
    grid = move(_GRID, from_frame)
    # Pixel centres are at whole numbers, so the photo's edges are half a pixel outside.
    inside = ((grid >= -0.5) & (grid <= (width - 0.5, height - 0.5))).all(axis=1)
    flags = {
        SMALL: side < SMALL_FRAME_PX,
        TURNED: turned_ratio(face.landmarks) > TURNED_RATIO,
        CUT_OFF: 1 - inside.mean() > CUT_OFF_SHARE,
    }
    return [flag for flag, earned in flags.items() if earned]


def turned_ratio(landmarks: NDArray[np.floating]) -> float:
    """Return how far the nose is beside the middle of a face.

    Args:
        landmarks: As in `Face`, shape (5, 2).

    Returns:
        The nose's distance from the line through the middles of eyes and mouth,
        as a share of the distance of the eyes; 0 for a face seen from the front.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down, to_nose = mouth - eyes, nose - eyes
    beside = abs(down[0] * to_nose[1] - down[1] * to_nose[0]) / max(np.hypot(*down), 1e-6)
    return float(beside / max(np.hypot(*(right_eye - left_eye)), 1e-6))


def blur_effect(luma: NDArray[np.uint8]) -> float:
    """Return how blurred a picture is, whatever its contrast.

    Crété et al. (2007), "The blur effect: perception and estimation with a new
    no-reference perceptual blur metric": blurring changes a sharp picture much and
    a blurred one little.

    Args:
        luma: Grey pixels, uint8, shape (height, width).

    Returns:
        0 (sharp) to 1 (blurred, or plain).
    """
    pixels = luma.astype(np.float32)
    effects = []
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        steps = np.abs(np.diff(pixels, axis=axis))
        steps_left = np.abs(np.diff(cv2.blur(pixels, kernel), axis=axis))
        lost = (steps - steps_left).clip(min=0).sum()
        effects.append(1 - float(lost) / max(float(steps.sum()), 1e-6))
    return max(effects)

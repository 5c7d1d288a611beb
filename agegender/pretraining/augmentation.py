"""Random changes to a face that make a backbone ready for real photos.

UTKFace's chips are clean and upright; photos are tilted, blurred, dark, grey,
compressed or partly covered, and hair is no sign of gender to rely on.
Every change is drawn from the generator that is passed in, so that an interrupted
training goes on with the same pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from agegender.model.frame import FACE_MIDDLE, face_ellipse

if TYPE_CHECKING:
    from numpy.typing import NDArray


HALF_AXES = ((0.33, 0.42), (0.42, 0.52))
"""Of the ellipse that holds the face: least and most across, least and most down, as shares of
the frame's side."""

PLAIN_SHARE = 0.2
"""Of the changed surroundings, those that are one colour instead of another face's."""


def augment(
    frame: NDArray[np.uint8],
    size: int,
    rng: np.random.Generator,
    *,
    strength: float = 1.0,
    surroundings: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Cut a randomly changed `size` x `size` square out of a face frame.

    Args:
        frame: RGB pixels, uint8, shape (side, side, 3), with side >= size;
            unchanged, its centre square is what `preprocessing.prepare`
            would give.
        size: Side of the result, in pixels.
        rng: Source of all chance.
        strength: Scales how far and how often everything but the mirror image and the
            surroundings is changed, 1 as photos differ. Early epochs learn faster from
            mild changes; many epochs need stronger ones.
        surroundings: Frame of another face, of the same shape, whose hair, clothes and
            background take the place of this one's; None to leave them.

    Returns:
        RGB pixels, uint8, shape (size, size, 3).
    """
    if surroundings is not None:
        frame = _surround(frame, surroundings, rng)
    image = _move(frame, size, rng, strength)
    image = _recolor(image, rng, strength)
    if rng.random() < 0.15 * strength:
        image = _blur(image, rng)
    if rng.random() < 0.08 * strength:
        noise = rng.standard_normal(image.shape, np.float32)
        image = np.clip(image + rng.uniform(3, 15) * noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.12 * strength:
        image = _compress(image, rng)
    if rng.random() < 0.12 * strength:
        image = _erase(image, rng)
    return image


def _surround(
    frame: NDArray[np.uint8], surroundings: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Lay the face of one frame over another frame, or over one colour."""
    if rng.random() < PLAIN_SHARE:
        surroundings = np.empty_like(frame)
        surroundings[:] = rng.integers(0, 256, 3)
    elif rng.random() < 0.5:
        surroundings = np.ascontiguousarray(surroundings[:, ::-1])
    left, top = (place + rng.uniform(-0.02, 0.02) for place in FACE_MIDDLE)
    across, down = (float(rng.uniform(*half_axis)) for half_axis in HALF_AXES)
    face = face_ellipse(frame.shape[0], (across, down), centre=(left, top))
    return np.asarray(cv2.blendLinear(frame, surroundings, face, 1 - face), np.uint8)


def _move(
    frame: NDArray[np.uint8], size: int, rng: np.random.Generator, strength: float
) -> NDArray[np.uint8]:
    """Flip, turn, scale, stretch and shift in one resampling."""
    side = frame.shape[0]
    angle = np.deg2rad(np.clip(rng.normal(0, 8), -20, 20) * strength)
    scale = np.exp(rng.uniform(-0.15, 0.15) * strength)
    stretch = np.exp(rng.uniform(-0.05, 0.05) * strength)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.diag([flip * stretch, 1 / stretch])
    centre = np.full(2, (side - 1) / 2)
    shift = rng.uniform(-0.08, 0.08, 2) * strength * size
    offset = (size - 1) / 2 + shift - linear @ centre
    matrix = np.column_stack([linear, offset])
    moved = cv2.warpAffine(
        frame, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, dtype=np.uint8)


def _recolor(
    image: NDArray[np.uint8], rng: np.random.Generator, strength: float
) -> NDArray[np.uint8]:
    """Change brightness, contrast, gamma and white balance; sometimes drop colour."""
    if rng.random() < 0.10 * strength:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = np.repeat(grey[..., None], 3, axis=2)
    gain = 1 + strength * (rng.uniform(-0.25, 0.25) + rng.uniform(-0.08, 0.08, 3))
    bias = rng.uniform(-20, 20) * strength
    gamma = np.exp(rng.uniform(-0.25, 0.25) * strength)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * 255
    table = np.clip((levels - 128) * gain + 128 + bias, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def _blur(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lose detail, as a small or unsharp face has."""
    size = image.shape[0]
    small = max(16, round(size / rng.uniform(1.2, 2.5)))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def _compress(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add JPEG's blocks."""
    quality = int(rng.integers(20, 80))
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(decoded[..., ::-1], np.uint8)


def _erase(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cover a rectangle (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020)."""
    size = image.shape[0]
    height, width = (rng.uniform(0.15, 0.45, 2) * size).astype(int)
    top, left = rng.integers(0, size - height), rng.integers(0, size - width)
    erased = image.copy()
    erased[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return erased

"""Pictures made worse on purpose, to see how much an answer can stand.

Each corruption has five strengths, after ImageNet-C (Hendrycks and Dietterich,
"Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019). They are made for the frame of `FRAME_SIZE` pixels, in which UTKFace's
faces are as large as in each other, and before `prepare`, as a camera would.

What is left to chance is drawn anew for each face and is the same at every
strength, so that strengths differ in nothing else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from agegender.config import FRAME_SIZE, SEED
from agegender.model.frame import face_ellipse
from agegender.prediction.alignment import warp

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORRUPTIONS_VERSION = 1
"""Part of the key of kept results; raised when a picture would come out otherwise."""

LEVELS = 5

_COVER_GREY = 128
_CENTER = (FRAME_SIZE - 1) / 2


@dataclass(frozen=True)
class Corruption:
    """One way of making a picture worse.

    Attributes:
        name: One word, for files.
        title: For people.
        unit: What a strength means, for people.
        strengths: Of levels 1 to `LEVELS`, from mild to strong.
        apply: Makes a picture worse, by (RGB, strength, generator of chance).
    """

    name: str
    title: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[np.uint8]]


def corrupt(
    image: NDArray[np.uint8], corruption: Corruption, level: int, *, key: str, seed: int = SEED
) -> NDArray[np.uint8]:
    """Make a face worse.

    Args:
        image: RGB, uint8, shape (FRAME_SIZE, FRAME_SIZE, 3); left untouched.
        corruption: One of `CORRUPTIONS`.
        level: 1 to `LEVELS`; 0 gives the picture as it is.
        key: Names the face; with the seed it decides all that is left to chance.
        seed: Of chance.

    Returns:
        RGB, uint8, same shape.

    Raises:
        ValueError: If the picture has another shape or there is no such level.
    """
    if image.shape != (FRAME_SIZE, FRAME_SIZE, 3):
        raise ValueError(f"the picture has shape {image.shape}, but must fill the frame")
    if not 0 <= level <= LEVELS:
        raise ValueError(f"level is {level}, but must be between 0 and {LEVELS}")
    if level == 0:
        return image
    digest = hashlib.sha256(f"{seed}:{corruption.name}:{key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    return corruption.apply(image, corruption.strengths[level - 1], rng)


def _blur(image: NDArray[np.uint8], sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.uint8)


def _noise(image: NDArray[np.uint8], sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray((image + sigma * noise).round().clip(0, 255), dtype=np.uint8)


def _jpeg(image: NDArray[np.uint8], quality: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    # OpenCV takes channels as blue, green, red.
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def _darken(image: NDArray[np.uint8], stops: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    # Light halves with each stop; sRGB's curve (IEC 61966-2-1) turns it into pixels.
    pixels = np.arange(256) / 255
    light = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    light = light / 2**stops
    dark = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (dark * 255).round().astype(np.uint8)[image]


def _desaturate(
    image: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return np.asarray((image + share * (grey - image)).round(), dtype=np.uint8)


def _occlude(image: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    side = round(FRAME_SIZE * math.sqrt(share))
    # Scaled by the room that is left, a larger square covers all of a smaller one.
    top, left = (rng.random(2) * (FRAME_SIZE - side)).astype(int)
    covered = image.copy()
    covered[top : top + side, left : left + side] = _COVER_GREY
    return covered


def _isolate(
    image: NDArray[np.uint8], half_axis: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    face = face_ellipse(FRAME_SIZE, (half_axis, 1.25 * half_axis))[..., None]
    return np.asarray((_COVER_GREY + face * (image - np.float32(_COVER_GREY))).round(), np.uint8)


def _rotate(
    image: NDArray[np.uint8], degrees: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    return _move(image, degrees=degrees * rng.choice((-1, 1)))


def _coarsen(image: NDArray[np.uint8], side: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    small = cv2.resize(image, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, dtype=np.uint8)


def _jitter(image: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    direction = rng.uniform(0, 2 * math.pi)
    shift = FRAME_SIZE * share * np.array([math.cos(direction), math.sin(direction)])
    return _move(image, scale=1 + 2 * share * rng.choice((-1, 1)), shift=shift)


def _move(
    image: NDArray[np.uint8],
    *,
    degrees: float = 0.0,
    scale: float = 1.0,
    shift: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Turn and scale a picture about its centre, then shift it; its edge is repeated."""
    matrix = cv2.getRotationMatrix2D((_CENTER, _CENTER), degrees, scale)
    if shift is not None:
        matrix[:, 2] += shift
    return warp(image, matrix, FRAME_SIZE)


JITTER = Corruption(
    "jitter",
    "Crop jitter",
    "shift, share of the side; scale, twice as much",
    (0.01, 0.02, 0.03, 0.04, 0.05),
    _jitter,
)
"""How exactly the face was cut out; its last level is a shift of 5% and a scale of 10%."""

CORRUPTIONS = (
    Corruption("blur", "Blur", "sigma, pixels of a 200-pixel frame", (1, 2, 3, 4, 6), _blur),
    Corruption("noise", "Noise", "sigma, of 255", (10, 20, 30, 45, 65), _noise),
    Corruption("jpeg", "JPEG", "quality of 100", (50, 30, 20, 10, 5), _jpeg),
    Corruption("dark", "Darkness", "stops less light", (1, 2, 3, 4, 5), _darken),
    Corruption("grey", "Grey", "share of colour lost", (0.2, 0.4, 0.6, 0.8, 1.0), _desaturate),
    Corruption(
        "occlusion", "Occlusion", "share of the frame covered", (0.05, 0.1, 0.2, 0.3, 0.4), _occlude
    ),
    Corruption(
        "surroundings",
        "Surroundings",
        "half-axis across of what is left, share of the side",
        (0.55, 0.49, 0.43, 0.37, 0.31),
        _isolate,
    ),
    Corruption("rotation", "Rotation", "degrees, either way", (5, 10, 20, 30, 45), _rotate),
    Corruption(
        "resolution", "Low resolution", "pixels of the frame's side", (96, 64, 48, 32, 20), _coarsen
    ),
    JITTER,
)
"""All of them, in the order in which they are shown."""

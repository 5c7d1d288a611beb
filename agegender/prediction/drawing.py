"""Answers drawn: boxes with labels and heatmaps on a photo, and an age's interval."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agegender.config import ACCENT_COLOR, FRAME_SIZE, GENDER_COLORS, MUTED_COLOR
from agegender.explanation.overlay import overlay_heatmap, resize_heatmap
from agegender.prediction.alignment import FRAME_LANDMARKS, fit_similarity
from agegender.prediction.faces import scale_face
from agegender.prediction.words import UNSURE_BELOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.prediction.faces import Face
    from agegender.prediction.photos import FaceAnswer
    from agegender.prediction.predictor import Prediction

SMALLEST_SIDE, LARGEST_SIDE = 800, 2000
"""The longest side of a photo that is drawn on, in pixels. Labels would not be
legible on smaller ones; larger ones take long to send and to look at."""

_LETTER_SHARE = 1 / 36
"""Height of letters, as a share of the photo's longest side."""

_MAP_SIZE = 128
"""Pixels that a heatmap's side is enlarged to before it is laid over a photo."""

_LARGEST_YEAR = 100


class _Label(NamedTuple):
    """A label and its rectangle, in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def canvas(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Return a photo in a size that can be drawn on, and its scale to the photo's own.

    Args:
        image: RGB, uint8, shape (height, width, 3).
    """
    longest = max(image.shape[:2])
    scale = min(max(longest, SMALLEST_SIDE), LARGEST_SIDE) / longest
    if scale == 1:
        return image, scale
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8), scale


def draw_answers(
    image: NDArray[np.uint8],
    answers: Sequence[FaceAnswer],
    *,
    unsure_below: float = UNSURE_BELOW,
) -> NDArray[np.uint8]:
    """Draw a box and a label for each face over a photo.

    The label is the face's number, if there are several, its age and gender; the
    number alone where there is no room for all labels.

    Args:
        image: The photo, RGB, uint8, shape (height, width, 3); left untouched.
        answers: What `predict_photo` found in it.
        unsure_below: Genders with less confidence are called unsure.

    Returns:
        RGB, uint8, of a size that `canvas` chose.
    """
    drawn, scale = canvas(image)
    picture = Image.fromarray(drawn)
    draw = ImageDraw.Draw(picture)
    letters = max(drawn.shape[:2]) * _LETTER_SHARE
    boxes = [scale_face(answer.face, scale).box for answer in answers]
    genders = [_shown_gender(answer.prediction, unsure_below) for answer in answers]
    texts = [
        f"{answer.prediction.age:.0f}, {gender}"
        for answer, gender in zip(answers, genders, strict=True)
    ]
    if len(answers) > 1:
        texts = [f"{number}: {text}" for number, text in enumerate(texts, start=1)]
    font = _font(round(letters))
    labels = [_place(draw, font, *both, picture.size) for both in zip(texts, boxes, strict=True)]
    if _overlap(labels):
        smallest = min(box[2] for box in boxes)
        font = _font(round(min(letters, max(0.5 * letters, 0.35 * smallest))))
        numbers = [str(number) for number in range(1, len(answers) + 1)]
        labels = [
            _place(draw, font, *both, picture.size) for both in zip(numbers, boxes, strict=True)
        ]
    line = max(2, round(letters / 8))
    # The largest face is drawn last: its label is the one to be read.
    for box, gender, label in reversed(list(zip(boxes, genders, labels, strict=True))):
        color = GENDER_COLORS.get(gender, MUTED_COLOR)
        x, y, width, height = box
        draw.rectangle((x, y, x + width, y + height), outline=color, width=line)
        draw.rectangle(label[1:], fill=color)
        middle = ((label.left + label.right) / 2, (label.top + label.bottom) / 2)
        draw.text(middle, label.text, fill="white", font=font, anchor="mm")
    return np.asarray(picture, dtype=np.uint8)


def lay_over_photo(
    image: NDArray[np.uint8],
    faces: Sequence[Face],
    heatmaps: Sequence[NDArray[np.float32]],
    crop: float,
    *,
    signed: bool = False,
) -> NDArray[np.uint8]:
    """Lay heatmaps over a photo, each where its face is.

    Args:
        image: The photo, RGB, uint8, shape (height, width, 3); left untouched.
        faces: Found in the photo.
        heatmaps: One for each face, as from `Predictor.explain`.
        crop: The share of the frame that the model sees (`InputSpec.crop`).
        signed: Whether values below zero have a meaning of their own.

    Returns:
        RGB, uint8, of a size that `canvas` chose.
    """
    drawn, scale = canvas(image)
    height, width = drawn.shape[:2]
    whole = np.zeros((height, width), np.float32)
    step = FRAME_SIZE * crop / _MAP_SIZE
    # Pixel centres are at whole numbers, so the first one's outer edge is at -0.5.
    corner = FRAME_SIZE * (1 - crop) / 2 + step / 2 - 0.5
    to_frame = np.array([(step, 0, corner), (0, step, corner), (0, 0, 1)])
    for face, heatmap in zip(faces, heatmaps, strict=True):
        to_photo = fit_similarity(FRAME_LANDMARKS, scale_face(face, scale).landmarks) @ to_frame
        values = resize_heatmap(heatmap, _MAP_SIZE, _MAP_SIZE)
        laid = cv2.warpAffine(values, to_photo, (width, height), flags=cv2.INTER_LINEAR)
        np.copyto(whole, laid, where=np.abs(laid) > np.abs(whole))
    return overlay_heatmap(drawn, whole, signed=signed)


def interval_bar(prediction: Prediction) -> str:
    """Draw an age on a line from 0 to 100 years, with its interval as a bar.

    Args:
        prediction: Without an interval, the age alone is drawn.

    Returns:
        An SVG whose greys can be seen on light and dark.
    """

    def place(years: float) -> float:
        return 14 + 172 * min(max(years, 0), _LARGEST_YEAR) / _LARGEST_YEAR

    bar = ""
    if prediction.age_low is not None and prediction.age_high is not None:
        left, right = place(prediction.age_low), place(prediction.age_high)
        bar = (
            f'<line x1="{left:.1f}" x2="{right:.1f}" y1="8" y2="8" stroke="{ACCENT_COLOR}" '
            'stroke-opacity="0.6" stroke-width="8" stroke-linecap="round"/>'
        )
    ticks = "".join(
        f'<text x="{place(years):.1f}" y="27" text-anchor="middle" font-size="10" '
        f'font-family="sans-serif" fill="{MUTED_COLOR}">{years}</text>'
        for years in (0, 25, 50, 75, 100)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="34" viewBox="0 0 200 34">'
        f'<line x1="14" x2="186" y1="8" y2="8" stroke="{MUTED_COLOR}" stroke-opacity="0.4" '
        f'stroke-width="4" stroke-linecap="round"/>{bar}'
        f'<circle cx="{place(prediction.age):.1f}" cy="8" r="5" fill="{ACCENT_COLOR}" '
        f'stroke="white" stroke-width="1.5"/>{ticks}</svg>'
    )


def _shown_gender(prediction: Prediction, unsure_below: float) -> str:
    """Return the gender, or "unsure"."""
    return prediction.gender if prediction.confidence >= unsure_below else "unsure"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Load the typeface that Pillow carries."""
    return ImageFont.load_default(size)


def _place(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: str,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
) -> _Label:
    """Find a label's rectangle: above its box, or in it where the photo ends."""
    left, top, right, bottom = draw.textbbox((0, 0), "0", font=font)
    height = 1.7 * (bottom - top)
    width = draw.textlength(text, font=font) + 1.2 * (right - left)
    x = min(max(box[0], 0), max(0, size[0] - 1 - width))
    y = box[1] - height if box[1] >= height else box[1]
    return _Label(text, x, y, x + width, y + height)


def _overlap(labels: Sequence[_Label]) -> bool:
    """Tell whether any two labels lie over each other."""
    return any(
        one.left < other.right
        and other.left < one.right
        and one.top < other.bottom
        and other.top < one.bottom
        for number, one in enumerate(labels)
        for other in labels[:number]
    )

"""What the Prediction page shows of one photo: boxes, heatmaps and a card a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from agegender.images import jpeg_bytes
from agegender.prediction.quality import FLAGS
from agegender.prediction.words import age_words, gender_words
from pages import shared

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from agegender.explanation.gradcam import Explanation
    from agegender.prediction.photos import FaceAnswer
    from agegender.prediction.predictor import Predictor

CARDS_SHOWN = 12
"""Faces that get a card, and heatmaps, at a time; all are in the picture and in the table."""

CARD_WIDTH = 172
"""Two fit beside each other on a phone."""

BOXES, AGE_MAP, GENDER_MAP = "faces", "age-map", "gender-map"

_VIEWS = {
    BOXES: ":material/crop_free: Faces",
    AGE_MAP: ":material/cake: Age map",
    GENDER_MAP: ":material/wc: Gender map",
}

_READINGS = {
    AGE_MAP: "Orange raises the predicted age, blue lowers it.",
    GENDER_MAP: "The brighter, the more it speaks for the gender of the answer.",
}


def choose_view() -> str:
    """Let the visitor choose between the faces and the heatmaps of either head."""
    return str(
        st.segmented_control(
            "Show",
            list(_VIEWS),
            default=BOXES,
            required=True,
            format_func=_VIEWS.__getitem__,
            label_visibility="collapsed",
            key="prediction_view",
            persist_state="session",
        )
    )


def show_photo(picture: NDArray[np.uint8], alt: str) -> bytes:
    """Show a photo as large as fits on a screen.

    Args:
        picture: RGB, uint8, shape (height, width, 3).
        alt: What it shows, in words.

    Returns:
        The picture as a JPEG file.
    """
    file = jpeg_bytes(picture)
    height, width = picture.shape[:2]
    st.image(file, width=max(1, min(1000, round(620 * width / height))), alt=alt)
    return file


def beside(picture: NDArray[np.uint8]) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return the places of a photo and of its faces: side by side if it is not wide."""
    height, width = picture.shape[:2]
    if width <= height:
        left, right = st.columns(2, gap="medium")
        return left, right
    return st.container(), st.container()


def choose_cards(photo: str, count: int) -> range:
    """Let the visitor leaf through the faces of a photo, the largest first.

    Args:
        photo: What tells it from others, each of which opens at its largest faces.
        count: How many faces there are.

    Returns:
        The places of those that get a card.
    """
    sheets = -(-count // CARDS_SHOWN)
    if sheets < 2:
        return range(count)
    label = f"Faces by size: page (of {sheets})"
    sheet = st.number_input(label, 1, sheets, 1, width=260, key=f"sheet-{photo}")
    return range((sheet - 1) * CARDS_SHOWN, min(sheet * CARDS_SHOWN, count))


def photo_with_maps(
    photo: NDArray[np.uint8],
    answers: Sequence[FaceAnswer],
    maps: Mapping[int, Explanation],
    predictor: Predictor,
    view: str,
) -> NDArray[np.uint8]:
    """Lay the heatmaps of faces, which are given by their places, over their photo."""
    from agegender.prediction.drawing import lay_over_photo

    return lay_over_photo(
        photo,
        [answers[number].face for number in maps],
        [_heatmap(answers[number], explanation, view) for number, explanation in maps.items()],
        predictor.spec.crop,
        signed=view == AGE_MAP,
    )


def show_cards(
    predictor: Predictor,
    answers: Sequence[FaceAnswer],
    cards: range,
    maps: Mapping[int, Explanation],
    view: str,
    unsure_below: float,
) -> None:
    """Show a card for each face of a sheet; see `choose_cards`."""
    from agegender.explanation.overlay import overlay_heatmap

    if view in _READINGS:
        st.caption(f"{_READINGS[view]} {shared.MAPS_CAUTION.format(test='the Grad-CAM page')}")
    with st.container(horizontal=True):
        for number in cards:
            answer = answers[number]
            face = predictor.display_face(answer.crop)
            if view != BOXES:
                heatmap = _heatmap(answer, maps[number], view)
                face = overlay_heatmap(face, heatmap, signed=view == AGE_MAP)
            with st.container(border=True, width=CARD_WIDTH, gap="xsmall"):
                st.image(face, width="stretch", alt=f"Face {number + 1}")
                _show_answer(answer, number + 1 if len(answers) > 1 else 0, unsure_below)


def _show_answer(answer: FaceAnswer, number: int, unsure_below: float) -> None:
    """Say an answer within its card; a number of 0 is not said."""
    from agegender.prediction.drawing import interval_bar

    prediction = answer.prediction
    st.markdown(f"#### {prediction.age:.0f} years" + (f" :gray-badge[{number}]" if number else ""))
    if prediction.age_low is not None and prediction.age_high is not None:
        st.caption(f"90% sure: {prediction.age_low:.0f} to {prediction.age_high:.0f}")
    st.image(interval_bar(prediction), width="stretch", alt=age_words(prediction))
    st.progress(
        prediction.confidence, text=gender_words(prediction, unsure_below=unsure_below).capitalize()
    )
    for flag in answer.flags:
        show_flag(flag)


def show_flag(flag: str) -> None:
    """Say what makes an answer less sure: one of `quality.FLAGS`."""
    st.caption(f":orange[:material/warning:] {FLAGS[flag]}")


def _heatmap(answer: FaceAnswer, explanation: Explanation, view: str) -> NDArray[np.float32]:
    """Return the map of a view: that of the age, or of the answered gender."""
    if view == AGE_MAP:
        return explanation.age
    return explanation.gender(answer.prediction.gender)

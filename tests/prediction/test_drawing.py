"""What is drawn over a photo lies where the faces are and can be read."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ImageColor

from agegender.config import GENDER_COLORS, MUTED_COLOR
from agegender.prediction import drawing
from agegender.prediction.alignment import FRAME_LANDMARKS
from agegender.prediction.drawing import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    canvas,
    draw_answers,
    interval_bar,
    lay_over_photo,
)
from agegender.prediction.faces import Face
from agegender.prediction.photos import FaceAnswer
from agegender.prediction.predictor import Prediction


def place(left: float, top: float, side: float, *, turn_degrees: float = 0) -> Face:
    """A face whose frame is a square of a photo, perhaps turned about its centre."""
    turn = np.deg2rad(turn_degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (FRAME_LANDMARKS - 99.5) @ rotation.T * (side / 200)
    landmarks = points + np.array([left + side / 2, top + side / 2])
    return Face((left, top, side, side), landmarks.astype(np.float32), 0.9)


def answer(face: Face, age: float = 31, p_female: float = 0.1) -> FaceAnswer:
    return FaceAnswer(face, np.zeros((200, 200, 3), np.uint8), Prediction(age, p_female), ())


def has_color(picture: np.ndarray, color: str) -> bool:
    return bool((picture == ImageColor.getrgb(color)).all(axis=-1).any())


@pytest.fixture
def drawn_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the labels that are drawn, as they are drawn."""
    texts: list[str] = []
    place_label = drawing._place

    def watch(draw: object, font: object, text: str, *rest: object) -> object:
        texts.append(text)
        return place_label(draw, font, text, *rest)

    monkeypatch.setattr(drawing, "_place", watch)
    return texts


@pytest.mark.parametrize(
    ("shape", "longest"),
    [((1, 1, 3), SMALLEST_SIDE), ((900, 1200, 3), 1200), ((3000, 4000, 3), LARGEST_SIDE)],
)
def test_canvas_has_room_for_labels_and_no_more_than_a_screen(
    shape: tuple[int, int, int], longest: int
) -> None:
    picture, scale = canvas(np.full(shape, 9, np.uint8))
    assert max(picture.shape[:2]) == longest
    assert scale == longest / max(shape[:2])


def test_box_lies_around_the_face_in_the_color_of_its_answer() -> None:
    photo = np.full((450, 600, 3), 200, np.uint8)
    before = photo.copy()
    drawn = draw_answers(photo, [answer(place(300, 150, 150))])
    assert np.array_equal(photo, before)
    scale = SMALLEST_SIDE / 600
    line = (drawn == ImageColor.getrgb(GENDER_COLORS["male"])).all(axis=-1)
    rows, columns = np.nonzero(line)
    assert columns.min() == pytest.approx(300 * scale, abs=1)
    assert rows.max() == pytest.approx(300 * scale, abs=1)
    # The label is above the box, and nothing covers the face.
    assert rows.min() < 150 * scale - 10
    assert (drawn[220:380, 420:580] == 200).all()


def test_unsure_genders_have_a_color_of_their_own() -> None:
    photo = np.zeros((400, 400, 3), np.uint8)
    drawn = draw_answers(photo, [answer(place(100, 100, 200), p_female=0.6)], unsure_below=0.7)
    assert has_color(drawn, MUTED_COLOR)
    assert not has_color(drawn, GENDER_COLORS["female"])
    drawn = draw_answers(photo, [answer(place(100, 100, 200), p_female=0.6)], unsure_below=0.5)
    assert has_color(drawn, GENDER_COLORS["female"])


def test_labels_have_words_while_there_is_room(drawn_texts: list[str]) -> None:
    photo = np.zeros((900, 1200, 3), np.uint8)
    draw_answers(photo, [answer(place(100, 100, 200))])
    draw_answers(photo, [answer(place(x, 100, 200), p_female=0.55) for x in (100, 600)])
    assert drawn_texts == ["31, male", "1: 31, unsure", "2: 31, unsure"]


def test_a_crowd_has_numbers(drawn_texts: list[str]) -> None:
    photo = np.zeros((1500, 2000, 3), np.uint8)
    crowd = [answer(place(75 * x, 74 * y, 60)) for y in range(20) for x in range(25)]
    draw_answers(photo, crowd)
    assert drawn_texts[-500:] == [str(number) for number in range(1, 501)]


def test_no_face_leaves_the_photo() -> None:
    photo = np.full((900, 1200, 3), 50, np.uint8)
    assert np.array_equal(draw_answers(photo, []), photo)


@pytest.mark.parametrize("turn_degrees", [0, 90, 180])
def test_heatmap_lies_where_the_face_is_and_turns_with_it(turn_degrees: float) -> None:
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[:2, 3:5] = 1
    face = place(600, 300, 400, turn_degrees=turn_degrees)
    photo = np.full((1000, 1200, 3), 90, np.uint8)
    laid = lay_over_photo(photo, [face], [heatmap], 0.5)
    rows, columns = np.nonzero(np.abs(laid.astype(int) - 90).max(axis=-1) > 60)
    # Half of the frame is seen: from 700 to 900 and from 400 to 600, its top in the middle.
    expected = {0: (425, 800), 90: (500, 875), 180: (575, 800)}[int(turn_degrees)]
    assert (rows.mean(), columns.mean()) == pytest.approx(expected, abs=4)


def test_interval_is_a_bar_from_end_to_end() -> None:
    def ends(prediction: Prediction) -> list[tuple[float, float]]:
        lines = ElementTree.fromstring(interval_bar(prediction)).findall("{*}line")
        return [(float(line.get("x1", 0)), float(line.get("x2", 0))) for line in lines]

    [axis, bar] = ends(Prediction(50, 0.5, 25, 110))
    assert bar == ((axis[0] + (axis[1] - axis[0]) / 4), axis[1])
    assert ends(Prediction(50, 0.5)) == [axis]

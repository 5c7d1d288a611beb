"""Whole photos: every face answered, in order, in batches, and none made up."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agegender.errors import InvalidImageError
from agegender.images import read_image
from agegender.prediction import photos as photos_module
from agegender.prediction.alignment import FRAME_LANDMARKS
from agegender.prediction.faces import Face
from agegender.prediction.photos import NO_FACE, main_face, predict_photo, predict_photos
from agegender.prediction.predictor import MAX_BATCH, Prediction
from agegender.prediction.quality import UNFAMILIAR
from agegender.prediction.sources import Picture


class Brightness:
    """Takes the brightness of a crop for the age, and dark ones for unfamiliar."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, images: Iterable[np.ndarray]) -> list[Prediction]:
        ages = [float(image.mean()) for image in images]
        self.batches.append(len(ages))
        return [Prediction(age, 0.25, unfamiliar=age < 10) for age in ages]


def bright_squares(image: np.ndarray) -> list[Face]:
    """Stand in for the finder: a face fills each square that is not black."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 0).astype(np.uint8))
    faces = []
    for x, y, side, _, _ in stats[1:]:
        landmarks = (FRAME_LANDMARKS + 0.5) * (side / 200) - 0.5 + (x, y)
        faces.append(Face((x, y, side, side), landmarks.astype(np.float32), 0.9))
    return sorted(faces, key=lambda face: -face.box[2])


def photo(*levels: int) -> np.ndarray:
    """A photo with a square "face" of each level, each larger than the last."""
    image = np.zeros((220, 220 * max(1, len(levels)), 3), np.uint8)
    for number, level in enumerate(levels):
        side = 100 + 2 * number
        image[10 : 10 + side, 220 * number + 10 : 220 * number + 10 + side] = level
    return image


@pytest.fixture(autouse=True)
def stand_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_photos" not in request.fixturenames:
        monkeypatch.setattr(photos_module, "find_faces", bright_squares)


def test_every_face_has_its_own_answer_and_the_largest_is_first() -> None:
    first, second, third = predict_photo(Brightness(), photo(40, 80, 120))
    assert [face.prediction.age for face in (first, second, third)] == pytest.approx(
        [120, 80, 40], abs=3
    )
    assert first.face.box == (450, 10, 104, 104)
    assert first.crop.shape == (200, 200, 3)


def test_no_face_is_no_answer_and_never_the_whole_picture() -> None:
    predictor = Brightness()
    assert predict_photo(predictor, photo()) == []
    [answer] = predict_photos(predictor, [Picture("empty.jpg", photo())])
    assert answer.faces == []
    assert (answer.error, answer.reason) == (None, NO_FACE)


def test_a_crop_is_taken_as_it_is() -> None:
    image = np.zeros((300, 500, 3), np.uint8)
    image[:, 100:400] = 90
    [answer] = predict_photo(Brightness(), image, is_crop=True)
    assert answer.face.box == (100, 0, 300, 300)
    assert (answer.crop == 90).all()
    assert answer.prediction.age == pytest.approx(90)
    assert "cut off" not in answer.flags
    # Where its landmarks are said to be is where the frame has them.
    aligned = photos_module.align_face(image, answer.face)
    assert (aligned[2:-2, 2:-2] == 90).all()


def test_main_face_is_the_largest_in_the_frame() -> None:
    crop, count = main_face(photo(100, 200))
    assert count == 2
    assert crop is not None
    assert crop.shape == (200, 200, 3)
    assert (crop[10:190, 10:190] == 200).all()
    assert main_face(photo()) == (None, 0)


def test_unlike_the_training_faces_is_a_flag() -> None:
    dark, light = (predict_photo(Brightness(), photo(level))[0] for level in (5, 200))
    assert UNFAMILIAR in dark.flags
    assert UNFAMILIAR not in light.flags


def test_photos_share_batches_and_keep_their_order() -> None:
    counts = [0, 1, 50, 3, 1, 0] + [1] * 40
    pictures: list[Any] = [
        Picture(f"{number}.jpg", photo(*range(50, 50 + count)))
        for number, count in enumerate(counts)
    ]
    pictures[4] = Picture("4.jpg", InvalidImageError("4.jpg: no picture"))
    predictor = Brightness()
    answers = list(predict_photos(predictor, iter(pictures)))
    assert [answer.file for answer in answers] == [picture.name for picture in pictures]
    assert [len(answer.faces) for answer in answers] == [*counts[:4], 0, *counts[5:]]
    assert answers[4].reason == "4.jpg: no picture"
    ages = [round(face.prediction.age) for face in answers[3].faces]
    assert ages == pytest.approx([52, 51, 50], abs=2)
    assert predictor.batches == [51, 32, 11]


def test_photos_are_taken_as_needed() -> None:
    taken = []

    def pictures() -> Iterator[Picture]:
        for number in range(3 * MAX_BATCH):
            taken.append(number)
            yield Picture(f"{number}.jpg", photo())

    next(predict_photos(Brightness(), pictures()))
    assert len(taken) == MAX_BATCH


def test_one_photo_is_in_memory_at_a_time() -> None:
    earlier: list[weakref.ref[np.ndarray]] = []

    def pictures() -> Iterator[Picture]:
        for number in range(3):
            assert all(one() is None for one in earlier)
            image = photo(50, 60)
            earlier.append(weakref.ref(image))
            ready = [Picture(f"{number}.png", image)]
            del image
            yield ready.pop()

    assert len(list(predict_photos(Brightness(), pictures()))) == 3  # type: ignore[arg-type]


def test_real_faces_side_by_side_are_each_cut_out(real_photos: Path) -> None:
    portraits = []
    for path, height in zip(sorted(real_photos.glob("*.jpg")), (640, 400, 520), strict=False):
        whole = read_image(path)
        size = (round(height * whole.shape[1] / whole.shape[0]), height)
        small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        portraits.append(np.pad(small, ((0, 640 - height), (0, 0), (0, 0))))
    answers = predict_photo(Brightness(), np.concatenate(portraits, axis=1))
    assert len(answers) == 3
    areas = [answer.face.box[2] * answer.face.box[3] for answer in answers]
    assert areas == sorted(areas, reverse=True)
    answers.sort(key=lambda answer: answer.face.box[0])
    for portrait, answer in zip(portraits, answers, strict=True):
        [alone] = predict_photo(Brightness(), portrait)
        assert np.abs(alone.crop.astype(int) - answer.crop).mean() < 12

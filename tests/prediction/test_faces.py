"""Tests of finding faces in whole photos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agegender.images import read_image
from agegender.prediction import boxes, faces, landmarks
from agegender.prediction.alignment import FRAME_LANDMARKS, align_face, fit_similarity, move
from agegender.prediction.boxes import Box, find_boxes, find_turned_boxes
from agegender.prediction.faces import find_faces
from agegender.prediction.landmarks import Reading


def mark(image: np.ndarray, x: int, y: int, width: int, height: int) -> None:
    """Draw what `bright_spots` takes for a face."""
    image[y : y + height, x : x + width] = 255


def bright_spots(image: np.ndarray) -> list[Box]:
    """Stand in for the detector: box each bright rectangle."""
    bright = (image[..., 0] > 200).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    return [Box(*map(float, row[:4]), score=0.9) for row in stats[1:]]


def read_boxes(image: np.ndarray, found: list[Box]) -> list[Reading]:
    """Stand in for the landmark network: a fixed place within each box."""
    return [
        Reading(
            (FRAME_LANDMARKS / 200 * (box.width, box.height) + (box.x, box.y)).astype(np.float32),
            0.9,
            1.0,
        )
        for box in found
    ]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "detect", bright_spots)
    monkeypatch.setattr(faces, "read_landmarks", read_boxes)


def overlap(box: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the common area as a share of the joint area."""
    x = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    y = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    common = max(0.0, x) * max(0.0, y)
    return common / (box[2] * box[3] + other[2] * other[3] - common)


@pytest.mark.parametrize("size", [(300, 400), (1500, 1100), (900, 2900)])
def test_boxes_are_in_pixels_of_the_photo(stand_ins: None, size: tuple[int, int]) -> None:
    photo = np.zeros((*size, 3), np.uint8)
    mark(photo, 250, 120, 90, 130)
    (box,) = find_boxes(photo)
    assert overlap(box[:4], (250, 120, 90, 130)) > 0.9


def test_small_faces_of_large_photos_are_found_once_across_tiles(stand_ins: None) -> None:
    photo = np.zeros((1440, 1920, 3), np.uint8)
    places = [(x, y, 40, 50) for x in range(20, 1880, 93) for y in range(20, 1380, 170)]
    for place in places:
        mark(photo, *place)
    found = find_boxes(photo)
    assert len(found) == len(places)
    for place in places:
        assert max(overlap(box[:4], place) for box in found) > 0.8


def test_boxes_of_turned_photos_are_turned_back(
    stand_ins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.zeros((300, 500, 3), np.uint8)
    mark(photo, 40, 200, 60, 30)
    for turns in range(4):
        turned_shape = np.rot90(photo, turns).shape

        def only_this_turn(image: np.ndarray, turns: int = turns) -> list[Box]:
            same = np.array_equal(image, np.rot90(photo, turns))
            return bright_spots(image) if same else []

        monkeypatch.setattr(boxes, "detect", only_this_turn)
        (box,) = find_turned_boxes(photo)
        assert overlap(box[:4], (40, 200, 60, 30)) == pytest.approx(1.0), (turns, turned_shape)


def test_faces_come_largest_first_and_within_the_photo(
    stand_ins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.zeros((400, 400, 3), np.uint8)
    monkeypatch.setattr(
        boxes, "detect", lambda _: [Box(100, 100, 40, 40, 0.9), Box(-30, -20, 100, 100, 0.5)]
    )
    large, small = find_faces(photo)
    assert large.box == pytest.approx((0, 0, 64, 74), abs=2)
    assert small.box == pytest.approx((101.6, 101.6, 36, 36), abs=0.5)


def test_boxes_that_lead_to_the_same_face_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        boxes, "detect", lambda _: [Box(20, 20, 90, 90, 0.9), Box(140, 20, 90, 90, 0.5)]
    )
    monkeypatch.setattr(
        faces, "read_landmarks", lambda _, found: [Reading(FRAME_LANDMARKS, 0.9, 1.0)] * len(found)
    )
    assert len(find_faces(np.zeros((250, 250, 3), np.uint8))) == 1


@pytest.mark.parametrize(
    ("box_score", "upright_score", "landmark_score"),
    [(0.1, 0.9, 1.0), (0.9, 0.3, 1.0), (0.9, 0.9, 0.2)],
)
def test_each_score_can_veto_a_face(
    monkeypatch: pytest.MonkeyPatch,
    box_score: float,
    upright_score: float,
    landmark_score: float,
) -> None:
    monkeypatch.setattr(boxes, "detect", lambda _: [Box(10, 10, 50, 50, box_score)])
    monkeypatch.setattr(
        faces,
        "read_landmarks",
        lambda _, found: [Reading(FRAME_LANDMARKS, upright_score, landmark_score) for _ in found],
    )
    assert find_faces(np.zeros((100, 100, 3), np.uint8)) == []


def test_faded_photos_are_searched_again_with_full_contrast(stand_ins: None) -> None:
    photo = np.full((900, 1200, 3), 100, np.uint8)
    photo[300:480, 600:780] = 140
    (face,) = find_faces(photo)
    assert overlap(face.box, (600, 300, 180, 180)) > 0.7
    expected = FRAME_LANDMARKS * 0.9 + (600, 300)
    assert np.abs(face.landmarks - expected).max() < 12


def test_views_turn_about_the_middle_of_the_box() -> None:
    view = landmarks._square_view((100, 60), 50, 90, 48)
    np.testing.assert_allclose(move(np.array([100.0, 60.0]), view), (23.5, 23.5))
    # What lies right of the middle comes to lie below it.
    np.testing.assert_allclose(move(np.array([125.0, 60.0]), view), (23.5, 47.5))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_find_faces_refuses_what_is_no_rgb_picture(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="RGB pixels"):
        find_faces(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (240, 320), (1000, 1400)])
def test_no_face_is_a_good_answer(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for image in (
        np.full((*size, 3), 128, np.uint8),
        rng.integers(0, 256, (*size, 3)).astype(np.uint8),
    ):
        image.flags.writeable = False
        assert find_faces(image) == []


@pytest.fixture(scope="session")
def portraits(real_photos: Path) -> list[np.ndarray]:
    paths = sorted(real_photos.glob("*.jpg"))[::14]
    return [boxes.shrink(read_image(path), 512)[0] for path in paths]


def test_each_portrait_has_one_face_with_its_landmarks_in_order(
    portraits: list[np.ndarray],
) -> None:
    for photo in portraits:
        (face,) = find_faces(photo)
        x, y, width, height = face.box
        assert width * height < 0.6 * photo.shape[0] * photo.shape[1]
        inside = (face.landmarks - (x, y)) / (width, height)
        assert (inside > 0).all()
        assert (inside < 1).all()
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_portraits_align_like_upright_ones(portraits: list[np.ndarray], turns: int) -> None:
    for photo in portraits[:3]:
        upright = align_face(photo, find_faces(photo)[0])
        turned_photo = np.rot90(photo, turns)
        (face,) = find_faces(turned_photo)
        turned = align_face(turned_photo, face)
        inner = slice(20, -20)
        agree = np.corrcoef(upright[inner, inner].ravel(), turned[inner, inner].ravel())[0, 1]
        assert agree > 0.95


def test_alignment_is_steady_when_the_photo_is_moved_and_scaled(
    portraits: list[np.ndarray],
) -> None:
    change = np.array([(0.93, 0, 4.4), (0, 0.93, -2.7)])
    for photo in portraits:
        to_frame = fit_similarity(find_faces(photo)[0].landmarks, FRAME_LANDMARKS)
        changed = cv2.warpAffine(photo, change, photo.shape[1::-1], borderMode=1)
        again = fit_similarity(find_faces(changed)[0].landmarks, FRAME_LANDMARKS)
        places = move(FRAME_LANDMARKS, cv2.invertAffineTransform(to_frame))
        assert np.abs(move(move(places, change), again) - FRAME_LANDMARKS).max() < 5


def test_every_face_of_a_group_is_found_once(portraits: list[np.ndarray]) -> None:
    small = [cv2.resize(photo, (96, 128), interpolation=cv2.INTER_AREA) for photo in portraits]
    sheet = np.concatenate([np.concatenate(small, axis=1)] * 3, axis=0)
    found = find_faces(sheet)
    assert len(found) == 3 * len(portraits)
    cells = {(int(f.landmarks[2, 0] // 96), int(f.landmarks[2, 1] // 128)) for f in found}
    assert len(cells) == len(found)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_every_face_of_a_group_that_lies_on_a_side_is_found(
    portraits: list[np.ndarray], turns: int
) -> None:
    photo = np.full((1200, 1600, 3), 128, np.uint8)
    for number, portrait in enumerate(portraits):
        row, column = divmod(number, 4)
        small = cv2.resize(portrait, (90, 120), interpolation=cv2.INTER_AREA)
        photo[100 + 300 * row :, 100 + 380 * column :][:120, :90] = small
    upright = find_faces(photo)
    assert len(upright) == len(portraits)
    assert len(find_faces(np.ascontiguousarray(np.rot90(photo, turns)))) == len(portraits)

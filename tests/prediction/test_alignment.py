"""Tests of warping faces to UTKFace's frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agegender.config import FRAME_SIZE
from agegender.prediction.alignment import (
    FRAME_LANDMARKS,
    align_face,
    fit_similarity,
    move,
    warp,
)
from agegender.prediction.faces import Face


def similarity(scale: float, turn_degrees: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.deg2rad(turn_degrees)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([(cos, -sin, shift[0]), (sin, cos, shift[1])])


def smooth_picture(side: int = FRAME_SIZE) -> np.ndarray:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("turn_degrees", [0, 30, -75, 180])
def test_fit_similarity_finds_the_transform(turn_degrees: float) -> None:
    matrix = similarity(2.5, turn_degrees, (40, -7))
    found = fit_similarity(FRAME_LANDMARKS, move(FRAME_LANDMARKS, matrix))
    np.testing.assert_allclose(found, matrix, atol=1e-4)


def test_fit_similarity_never_mirrors_or_stretches() -> None:
    rng = np.random.default_rng(0)
    matrix = fit_similarity(rng.normal(size=(5, 2)), rng.normal(size=(5, 2)))
    assert matrix[0, 0] == pytest.approx(matrix[1, 1])
    assert matrix[0, 1] == pytest.approx(-matrix[1, 0])


def test_fit_similarity_refuses_points_that_are_all_the_same() -> None:
    with pytest.raises(ValueError, match="all the same"):
        fit_similarity(np.ones((5, 2)), FRAME_LANDMARKS)


@pytest.mark.parametrize(("scale", "turn_degrees"), [(1.0, 0), (2.0, 25), (0.7, 180), (6.5, -40)])
def test_align_face_undoes_how_the_face_lies_in_the_photo(
    scale: float, turn_degrees: float
) -> None:
    chip = smooth_picture()
    size = int(FRAME_SIZE * scale * 1.5) + 40
    place = similarity(scale, turn_degrees, (0, 0))
    place[:, 2] = size / 2 - place[:, :2] @ np.full(2, FRAME_SIZE / 2)
    photo = cv2.warpAffine(chip, place, (size, size), borderMode=cv2.BORDER_REPLICATE)
    face = Face((0, 0, size, size), move(FRAME_LANDMARKS, place).astype(np.float32), 1.0)

    aligned = align_face(photo, face)

    assert aligned.shape == (FRAME_SIZE, FRAME_SIZE, 3)
    assert aligned.dtype == np.uint8
    inner = slice(10, -10)
    difference = aligned[inner, inner].astype(int) - chip[inner, inner]
    assert np.abs(difference).max() <= 6
    assert abs(difference.mean()) < 0.5


def test_warp_does_not_alias_when_shrinking() -> None:
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = warp(stripes, similarity(0.1, 0, (0, 0)), 100)
    assert np.abs(shrunk[5:-5, 5:-5].astype(int) - 127).max() <= 2


def test_warp_keeps_positions_when_shrinking() -> None:
    x, y = np.meshgrid(np.arange(1200), np.arange(800))
    ramp = np.stack([x / 6, y / 6, np.zeros_like(x)], axis=-1).astype(np.uint8)
    matrix = similarity(0.13, 33, (20, -15))
    shrunk = warp(ramp, matrix, 90)
    back = cv2.invertAffineTransform(matrix)
    for point in [(30, 40), (50, 50), (60, 25)]:
        source = move(np.array(point, float), back)
        np.testing.assert_allclose(shrunk[point[1], point[0], :2], source / 6, atol=1.5)


def test_warp_repeats_the_edge_beyond_the_photo() -> None:
    photo = np.full((50, 50, 3), 200, np.uint8)
    assert (warp(photo, similarity(1, 10, (120, 90)), 100) == 200).all()


def test_warp_leaves_the_photo_untouched_and_takes_one_pixel() -> None:
    photo = np.full((1, 1, 3), 9, np.uint8)
    photo.flags.writeable = False
    assert (warp(photo, similarity(0.3, 0, (5, 5)), 20) == 9).all()

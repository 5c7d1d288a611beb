"""Corruptions do what their units say, the more the stronger, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from agegender.config import FRAME_SIZE
from agegender.evaluation.corruptions import CORRUPTIONS, LEVELS, Corruption, corrupt

BY_NAME = {one.name: one for one in CORRUPTIONS}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Coloured spots of many sizes, as detailed as a face."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:FRAME_SIZE, :FRAME_SIZE]
    pixels = np.zeros((FRAME_SIZE, FRAME_SIZE, 3))
    for size in (6, 15, 40):
        for _ in range(60):
            row, column = rng.uniform(0, FRAME_SIZE, 2)
            spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))
            pixels += spot[..., None] * rng.normal(0, 60, 3)
    return (pixels + 128).clip(0, 255).astype(np.uint8)


def change(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.name)
def test_stronger_is_worse_and_the_same_again(corruption: Corruption, picture: np.ndarray) -> None:
    before = picture.copy()
    worse = [corrupt(picture, corruption, level, key="a") for level in range(LEVELS + 1)]
    assert worse[0] is picture
    changes = [change(one, picture) for one in worse]
    assert changes == sorted(changes)
    assert len(set(changes)) == LEVELS + 1
    for one in worse:
        assert one.shape == picture.shape
        assert one.dtype == np.uint8
    assert np.array_equal(corrupt(picture, corruption, 3, key="a"), worse[3])
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("name", ["noise", "occlusion", "rotation", "jitter"])
def test_chance_is_drawn_for_each_face_and_seed(name: str, picture: np.ndarray) -> None:
    drawn = {corrupt(picture, BY_NAME[name], 5, key=key).tobytes() for key in "abcdefgh"}
    assert len(drawn) >= 2
    seeds = {corrupt(picture, BY_NAME[name], 5, key="a", seed=seed).tobytes() for seed in range(8)}
    assert len(seeds) >= 2


def test_strengths_are_what_their_units_say() -> None:
    grey = np.full((FRAME_SIZE, FRAME_SIZE, 3), 128, np.uint8)
    noisy = corrupt(grey, BY_NAME["noise"], 2, key="a")
    assert noisy.std() == pytest.approx(20, rel=0.02)
    black = np.zeros_like(grey)
    covered = corrupt(black, BY_NAME["occlusion"], 3, key="a")
    assert (covered > 0).mean() == pytest.approx(0.2, abs=0.005)
    # 128 is 21.6% of white's light; half of that is 92.
    assert np.unique(corrupt(grey, BY_NAME["dark"], 1, key="a")).tolist() == [92]
    colour = np.full_like(grey, (200, 100, 50))
    assert np.ptp(corrupt(colour, BY_NAME["grey"], 5, key="a")) == 0


def test_surroundings_go_and_the_face_stays() -> None:
    white = np.full((FRAME_SIZE, FRAME_SIZE, 3), 255, np.uint8)
    for level, axis in ((1, 0.55), (4, 0.37)):
        alone = corrupt(white, BY_NAME["surroundings"], level, key="a")[..., 0]
        # Half of the edge belongs to the face.
        assert (alone[104] > 192).mean() == pytest.approx(min(1.0, 2 * axis), abs=0.03)
    # At the fourth strength from the brows to the chin, and nothing of the corners.
    assert (alone[45:165, 60:136] == 255).all()
    assert (alone[[0, 0, -1, -1], [0, -1, 0, -1]] == 128).all()


def test_jitter_shifts_and_scales_by_its_share() -> None:
    """Of a dot beside another: how far both move, and how far from each other."""
    picture = np.zeros((FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
    picture[98:102, 58:62, 0] = picture[98:102, 138:142, 1] = 255
    moved = corrupt(picture, BY_NAME["jitter"], 5, key="a").astype(float)
    y, x = np.mgrid[:FRAME_SIZE, :FRAME_SIZE]
    left, right = (
        np.array([np.average(x, weights=dot), np.average(y, weights=dot)])
        for dot in (moved[..., 0], moved[..., 1])
    )
    assert np.linalg.norm((left + right) / 2 - 99.5) == pytest.approx(10, abs=0.3)
    assert abs(np.linalg.norm(right - left) / 80 - 1) == pytest.approx(0.1, abs=0.01)


def test_what_cannot_be_done_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="level is 6"):
        corrupt(picture, BY_NAME["blur"], 6, key="a")
    with pytest.raises(ValueError, match="fill the frame"):
        corrupt(picture[:100], BY_NAME["blur"], 1, key="a")

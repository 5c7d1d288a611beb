"""Deletion and insertion tell a map that points at the evidence from one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from agegender.explanation.faithfulness import (
    KINDS,
    SHARES,
    STEPS,
    Kind,
    age_change,
    area,
    center_map,
    curve_pictures,
    gender_change,
    pixel_order,
    random_map,
)

SIZE, CELLS = 64, (8, 8)


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """Red lies in one corner, which is all that the toy model looks at."""
    rgb = np.full((SIZE, SIZE, 3), 90, np.uint8)
    rgb[:16, :16] = (250, 20, 20)
    return rgb


@pytest.fixture(scope="module")
def right_map() -> np.ndarray:
    heatmap = np.zeros(CELLS, np.float32)
    heatmap[:2, :2] = -1.0
    return heatmap


def ages(pictures: np.ndarray) -> np.ndarray:
    """Answer with the redness of the corner."""
    corner = pictures[:, :16, :16].astype(float)
    return np.asarray((corner[..., 0] - corner[..., 1]).mean(axis=(1, 2)) / 4)


def curve(face: np.ndarray, heatmap: np.ndarray, kind: Kind, seed: int = 0) -> np.ndarray:
    order = pixel_order(heatmap, SIZE, np.random.default_rng(seed))
    return ages(curve_pictures(face, order, kind))


def test_right_map_beats_random_and_centre_maps(face: np.ndarray, right_map: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    others = [center_map(CELLS), *(random_map(CELLS, rng) for _ in range(5))]
    for other in others:
        right, wrong = (
            {kind: float(area(age_change(curve(face, one, kind), kind))) for kind in KINDS}
            for one in (right_map, other)
        )
        assert right["deletion"] > wrong["deletion"]
        assert right["insertion"] < wrong["insertion"]


def test_areas_are_those_of_the_ideal_curve(face: np.ndarray, right_map: np.ndarray) -> None:
    """The corner is one sixteenth of the face: gone, or back, with the first step."""
    deleted = age_change(curve(face, right_map, "deletion"), "deletion")
    assert deleted[0] == 0
    assert deleted[2:] == pytest.approx(deleted[-1])
    assert float(area(deleted)) == pytest.approx(deleted[-1] * (1 - 0.5 / STEPS), rel=0.03)
    inserted = age_change(curve(face, right_map, "insertion"), "insertion")
    assert inserted[-1] == 0
    assert float(area(inserted)) == pytest.approx(inserted[0] * 0.5 / STEPS, rel=0.3)


def test_curves_begin_and_end_with_whole_faces(face: np.ndarray) -> None:
    order = pixel_order(center_map(CELLS), SIZE, np.random.default_rng(0))
    deletion, insertion = (curve_pictures(face, order, kind) for kind in KINDS)
    assert np.array_equal(deletion[0], face)
    assert np.array_equal(insertion[-1], face)
    assert np.ptp(deletion[-1], axis=(0, 1)).tolist() == [0, 0, 0]
    # Of the sharp edge of red nothing is left.
    assert np.abs(np.diff(insertion[0].astype(int), axis=0)).max() < 20
    grey = (deletion == deletion[-1]).all(axis=-1).mean(axis=(1, 2))
    assert grey == pytest.approx(SHARES, abs=0.001)


def test_sign_does_not_count_and_ties_are_left_to_chance(right_map: np.ndarray) -> None:
    first = pixel_order(right_map, SIZE, np.random.default_rng(0))
    assert np.array_equal(first, pixel_order(-right_map, SIZE, np.random.default_rng(0)))
    assert not np.array_equal(first, pixel_order(right_map, SIZE, np.random.default_rng(1)))
    assert sorted(first) == list(range(SIZE * SIZE))
    rows = pixel_order(np.zeros(CELLS, np.float32), SIZE, np.random.default_rng(0)) // SIZE
    assert rows[: SIZE * SIZE // 2].mean() == pytest.approx(SIZE / 2, abs=SIZE / 6)


def test_gender_change_is_what_the_answered_gender_loses() -> None:
    rising = np.linspace(0.2, 0.9, STEPS + 1)
    # The whole face comes first in deletion and last in insertion.
    assert gender_change(rising, "deletion") == pytest.approx(rising - 0.2)
    assert gender_change(rising, "insertion") == pytest.approx(0.9 - rising)
    both = gender_change(np.stack([rising, rising[::-1]]), "deletion")
    assert both[1] == pytest.approx(0.9 - rising[::-1])

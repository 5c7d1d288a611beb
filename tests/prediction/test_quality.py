"""Flags: each is earned beyond its threshold, and only there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agegender.prediction.alignment import FRAME_LANDMARKS
from agegender.prediction.faces import Face
from agegender.prediction.quality import (
    BLUR_EFFECT,
    BLURRED,
    CUT_OFF,
    DARK,
    DARK_LEVEL,
    SMALL,
    SMALL_FRAME_PX,
    TURNED,
    TURNED_RATIO,
    blur_effect,
    crop_flags,
    place_flags,
    turned_ratio,
)


def placed(side: float, left: float = 0, top: float = 0) -> Face:
    """A face whose frame has its corner at a place in the photo."""
    landmarks = (FRAME_LANDMARKS + 0.5) * (side / 200) - 0.5 + (left, top)
    return Face((left, top, side, side), landmarks.astype(np.float32), 0.9)


def sharp(level: float = 255) -> np.ndarray:
    """A crop of noise, as sharp as can be, up to a brightness."""
    noise = np.random.default_rng(0).random((200, 200, 1)) * level
    return np.repeat(noise, 3, axis=2).astype(np.uint8)


def test_a_good_face_has_no_flags() -> None:
    assert crop_flags(sharp()) == []
    assert place_flags(placed(200), 200, 200) == []


def test_blur_is_measured_whatever_the_contrast() -> None:
    rng = np.random.default_rng(1)
    coarse = cv2.resize(rng.integers(0, 255, (25, 25), np.uint8), (200, 200))
    effects = [blur_effect(cv2.GaussianBlur(coarse, (0, 0), s)) for s in (0.5, 2, 4, 8)]
    assert effects == sorted(effects)
    assert effects[-1] > BLUR_EFFECT
    assert blur_effect((coarse // 4).astype(np.uint8)) == pytest.approx(effects[0], abs=0.05)
    blurred = cv2.GaussianBlur(coarse, (0, 0), 8)
    assert crop_flags(np.repeat(blurred[..., None], 3, axis=2)) == [BLURRED]


def test_dark_is_told_by_the_brightest_parts() -> None:
    assert DARK in crop_flags(sharp(DARK_LEVEL - 1))
    # A dark face in good light has bright spots, on eyes, teeth and skin.
    lit = sharp(DARK_LEVEL - 1)
    lit[60:90, 60:140] = 160
    assert DARK not in crop_flags(lit)


def test_small_is_counted_in_pixels_of_the_photo() -> None:
    assert place_flags(placed(SMALL_FRAME_PX - 1, 50, 50), 300, 300) == [SMALL]
    assert place_flags(placed(SMALL_FRAME_PX + 1, 50, 50), 300, 300) == []


def test_cut_off_is_the_share_of_the_frame_beyond_the_photo() -> None:
    assert place_flags(placed(100, left=-5), 300, 300) == []
    for left, top in ((-15, 0), (0, -15), (215, 50), (50, 215)):
        assert place_flags(placed(100, left, top), 300, 300) == [CUT_OFF]


def test_turned_is_told_by_the_nose_however_the_face_is_tilted() -> None:
    frontal = placed(200).landmarks
    assert turned_ratio(frontal) < 0.02
    profile = frontal.copy()
    profile[2, 0] += (TURNED_RATIO + 0.05) * 79
    angle = np.deg2rad(50)
    tilt = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert turned_ratio((profile @ tilt.T).astype(np.float32)) == pytest.approx(
        TURNED_RATIO + 0.05, abs=0.02
    )
    assert TURNED in place_flags(Face((0, 0, 1, 1), profile, 0.9), 200, 200)

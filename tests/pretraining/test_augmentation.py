from __future__ import annotations

import numpy as np

from agegender.pretraining.augmentation import PLAIN_SHARE, augment


def gradient(side: int = 64) -> np.ndarray:
    """A picture whose columns can be told apart."""
    return (
        np.repeat(np.linspace(0, 255, side)[None, :, None], side, axis=0).repeat(3, 2).astype("u1")
    )


def test_augment_is_a_function_of_the_generator() -> None:
    pictures = [augment(gradient(), 56, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert pictures[0].shape == (56, 56, 3)
    assert pictures[0].dtype == np.uint8
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_augment_leaves_its_argument_alone() -> None:
    frame = gradient()
    before = frame.copy()
    for seed in range(30):
        augment(frame, 56, np.random.default_rng(seed))
    assert np.array_equal(frame, before)


def test_augment_mirrors_about_half_of_the_pictures() -> None:
    rising = 0
    for seed in range(200):
        picture = augment(gradient(), 56, np.random.default_rng(seed)).astype(float)
        rising += picture[:, 40:].mean() > picture[:, :16].mean()
    assert 70 < rising < 130


def test_augment_stays_centred_on_average() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[24:40, 24:40] = 255
    mean = np.mean([augment(frame, 56, np.random.default_rng(s)) for s in range(300)], axis=(0, 3))
    weight = mean - mean.min()
    grid = np.arange(56)
    assert abs((weight.sum(0) * grid).sum() / weight.sum() - 27.5) < 1
    assert abs((weight.sum(1) * grid).sum() / weight.sum() - 27.5) < 1


def test_no_strength_leaves_only_the_mirror() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    centre = frame[4:60, 4:60].astype(int)
    seen = set()
    for seed in range(20):
        picture = augment(frame, 56, np.random.default_rng(seed), strength=0.0).astype(int)
        mirrored = np.abs(picture - centre[:, ::-1]).max() <= 1
        assert mirrored or np.abs(picture - centre).max() <= 1
        seen.add(mirrored)
    assert seen == {True, False}


def test_surroundings_are_anothers_or_of_one_colour_and_the_face_stays() -> None:
    face, other = np.full((64, 64, 3), 40, np.uint8), gradient()
    before = other.copy()
    plain = mirrored = 0
    for seed in range(200):
        picture = augment(
            face, 64, np.random.default_rng(seed), strength=0.0, surroundings=other
        ).astype(int)
        assert np.abs(picture[18:50, 22:42] - 40).max() <= 1
        sides = picture[-1, [0, -1], 0]
        one_colour = np.abs(picture[-1, 0] - picture[-1, -1]).max() <= 1
        plain += one_colour
        mirrored += not one_colour and sides[0] > sides[1]
        assert one_colour or np.abs(np.sort(sides) - [0, 255]).max() <= 8
    assert abs(plain / 200 - PLAIN_SHARE) < 0.1
    assert 50 < mirrored < 110
    assert np.array_equal(other, before)

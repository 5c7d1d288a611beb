"""The promise of an interval, kept on made-up faces."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from agegender.model.answer import Answers
from agegender.uncertainty.conformal import conformal_quantile
from agegender.uncertainty.intervals import MIN_FIT_FACES, AgeIntervals, fit_intervals


def made_up(count: int, seed: int) -> tuple[Answers, np.ndarray]:
    """Make faces whose age is the harder the older they look and the shorter their features."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, 90, count)
    blur = rng.uniform(0, 1, count)
    features = np.exp(-blur)[:, None] * np.full((count, 4), 0.5)
    error = rng.standard_t(4, count) * (1 + age / 10) * (1 + blur)
    answers = Answers(age, rng.uniform(0, 1, count), rng.uniform(0, 3, count), features)
    return answers, np.clip(age + error, 0, 116)


def fitted(selection: int, calibration: int, seed: int = 0) -> AgeIntervals | None:
    return fit_intervals(
        *made_up(selection, seed),
        *made_up(calibration, seed + 1),
        directions=np.zeros((4, 0), np.float32),
    )


@pytest.mark.parametrize(
    ("count", "miss", "rank"), [(9, 0.1, 9), (69, 0.1, 63), (99, 0.01, 99), (100, 0.1, 91)]
)
def test_quantile_is_the_rank_that_theory_asks_for(count: int, miss: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert conformal_quantile(scores, miss) == rank


@pytest.mark.parametrize(("count", "miss"), [(0, 0.1), (8, 0.1), (98, 0.01)])
def test_too_few_scores_promise_nothing(count: int, miss: float) -> None:
    assert conformal_quantile(np.zeros(count), miss) == math.inf


def test_promise_is_kept_on_average_whatever_the_errors() -> None:
    answers, ages = made_up(5000, seed=99)
    covered = []
    for seed in range(0, 60, 2):
        intervals = fitted(60, 40, seed)
        assert intervals is not None
        low, high = intervals.ends(answers)
        covered.append(((low <= ages) & (ages <= high)).mean())
    # 37/41 is what theory says for 40 faces; a mean of 30 is off by 0.01 at most.
    assert np.mean(covered) == pytest.approx(37 / 41, abs=0.02)


def test_intervals_adapt_to_kinds_of_faces_that_only_features_tell_apart() -> None:
    def of_two_kinds(count: int, seed: int) -> tuple[Answers, np.ndarray, np.ndarray]:
        answers, _ = made_up(count, seed)
        rng = np.random.default_rng(1000 + seed)
        is_hard = rng.random(count) < 0.2
        features = np.where(is_hard[:, None], [0, 1, 0, 0], [1, 0, 0, 0]).astype(np.float32)
        ages = answers.age + rng.normal(0, 1, count) * np.where(is_hard, 9, 3)
        return replace(answers, features=features), ages, is_hard

    new, ages, is_hard = of_two_kinds(5000, 5)
    covered = {}
    for count in (0, 2):
        halves = (part for seed in (1, 2) for part in of_two_kinds(1000, seed)[:2])
        intervals = fit_intervals(*halves, directions=np.eye(4, count, dtype=np.float32))
        assert intervals is not None
        low, high = intervals.ends(new)
        covered[count] = ((low <= ages) & (ages <= high))[is_hard].mean()
    assert covered[0] < 0.75
    assert covered[2] == pytest.approx(0.9, abs=0.04)


def test_intervals_adapt_to_the_face_and_keep_the_promise_for_each_kind() -> None:
    intervals = fitted(1000, 1000)
    assert intervals is not None
    answers, ages = made_up(20_000, seed=7)
    low, high = intervals.ends(answers)
    inside, width = (low <= ages) & (ages <= high), high - low
    young, sharp = answers.age < 20, np.linalg.norm(answers.features, axis=1) > 0.8
    assert inside.mean() == pytest.approx(0.9, abs=0.025)
    for kind in (young, ~young, sharp, ~sharp):
        assert inside[kind].mean() == pytest.approx(0.9, abs=0.04)
    assert width[~young].mean() > 1.7 * width[young].mean()
    middle = (answers.age > 30) & (answers.age < 60)
    assert width[middle & ~sharp].mean() > 1.15 * width[middle & sharp].mean()
    assert width.mean() < 0.95 * 2 * intervals.constant


def test_intervals_hold_the_answer_and_only_ages_that_there_are() -> None:
    intervals = fitted(500, 500)
    assert intervals is not None
    rng = np.random.default_rng(3)
    age = np.r_[0.0, 130.0, rng.uniform(0, 116, 500)]
    hard = Answers(age, age * 0, rng.uniform(0, 60, 502), np.full((502, 4), 0.01))
    low, high = intervals.ends(hard)
    assert (low <= age).all()
    assert (age <= high).all()
    assert low.min() >= 0
    assert high[age <= 116].max() <= 116


def test_few_faces_give_one_width_for_all_and_too_few_none() -> None:
    intervals = fitted(MIN_FIT_FACES - 1, 30)
    assert intervals is not None
    answers, _ = made_up(50, seed=5)
    middle = (answers.age > 50) & (answers.age < 60)
    low, high = intervals.ends(answers)
    assert np.ptp((high - low)[middle]) < 1e-9
    assert fitted(50, 8) is None
    assert fitted(0, 50) is None

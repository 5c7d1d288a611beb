from __future__ import annotations

import numpy as np
import pytest

from agegender.evaluation.intervals import bootstrap_mean, share_difference, wilson


def test_bootstrap_agrees_with_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(1).exponential(5, 3000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    low, high = bootstrap_mean(values, seed=3)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert (low, high) == bootstrap_mean(values, seed=3)
    assert (low, high) != bootstrap_mean(values, seed=4)


def test_a_handful_has_no_bootstrap() -> None:
    assert np.isnan(bootstrap_mean(np.arange(9.0))).all()
    low, high = bootstrap_mean(np.arange(10.0))
    assert 0 < low < 4.5 < high < 9
    # Nine persons with many photos are still nine.
    clusters = np.arange(90) % 9
    assert np.isnan(bootstrap_mean(np.arange(90.0), clusters=clusters)).all()


def test_bootstrap_draws_whole_clusters() -> None:
    """Ten copies of every value are worth no more than one of each."""
    values = np.random.default_rng(1).normal(0, 5, 300)
    clusters = np.repeat(np.arange(300), 10)
    copied = bootstrap_mean(values[clusters], clusters=clusters, seed=3)
    assert copied == pytest.approx(bootstrap_mean(values, seed=3))
    low, high = bootstrap_mean(values[clusters], seed=3)
    assert high - low < 0.5 * (copied[1] - copied[0])
    # Clusters of unlike size: the mean is over the values, not over the clusters.
    unlike = np.array([0] * 9 + [4] * 100, float)
    clusters = np.concatenate([np.arange(9), np.full(100, 9)])
    low, high = bootstrap_mean(unlike, clusters=clusters)
    assert low == 0
    assert high == pytest.approx(4, abs=0.2)
    even = bootstrap_mean(np.full(11, 3.0), clusters=np.array([0, *range(10)]))
    assert even == (3, 3)


def test_wilson_matches_published_values() -> None:
    # Newcombe 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


def test_share_difference_matches_published_values() -> None:
    # Newcombe 1998 (second paper), table II, method 10.
    assert share_difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert share_difference(10, 10, 0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_interval_of_a_picked_difference_allows_for_the_picking() -> None:
    """Of five groups that are alike, best and worst differ, but not beyond chance."""
    rng = np.random.default_rng(0)
    count, missed, naive = 300, 0, 0
    for hits in rng.binomial(count, 0.93, (1000, 5)):
        best, worst = int(hits.max()), int(hits.min())
        missed += share_difference(best, count, worst, count, pairs=10)[0] > 0
        naive += share_difference(best, count, worst, count)[0] > 0
    assert missed <= 50
    assert naive > 100


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean(np.array([]))
    with pytest.raises(ValueError, match="no faces"):
        wilson(0, 0)

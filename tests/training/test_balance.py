from __future__ import annotations

import numpy as np
import pytest

from agegender.training.balance import (
    BAND_SHARES,
    MOST_BAND_WEIGHT,
    band_weights,
)


def test_each_band_makes_up_about_its_share() -> None:
    ages = np.concatenate([np.full(500, 8.0), np.full(300, 38.0), np.full(400, 75.0)])
    weights = band_weights(ages, 1.0)
    sums = [weights[:500].sum(), weights[500:800].sum(), weights[800:].sum()]
    assert np.array(sums) / 1200 == pytest.approx(BAND_SHARES, abs=0.05)
    assert weights.mean() == pytest.approx(1)
    half = band_weights(ages, 0.5)
    assert half == pytest.approx((1 + weights) / 2)
    assert band_weights(ages, 0.0).tolist() == [1.0] * 1200


def test_weights_pass_softly_from_one_band_to_the_next() -> None:
    ages = np.arange(101.0)
    weights = band_weights(ages, 1.0)
    assert weights[80] > 1.3 * weights[35]
    assert (weights[1:] / weights[:-1]).max() < 1.1


def test_a_band_without_faces_takes_nothing_from_the_others() -> None:
    weights = band_weights(np.array([5.0] * 9 + [38.0] * 9), 1.0)
    assert weights == pytest.approx(1, abs=0.1)


def test_a_handful_of_old_faces_counts_no_more_than_the_limit() -> None:
    assert band_weights(np.append(np.full(500, 30.0), 99.0), 1.0)[-1] == MOST_BAND_WEIGHT

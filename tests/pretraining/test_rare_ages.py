from __future__ import annotations

import numpy as np
import pytest

from agegender.pretraining.rare_ages import MOST_AGE_WEIGHT, balancing_weights

AGES = np.array([20.0] * 90 + [70.0] * 10 + [np.nan] * 5)


def test_equal_weights_without_balance_and_none_for_unknown_ages() -> None:
    weights = balancing_weights(AGES, 0.0)
    assert weights.tolist() == [1.0] * 100 + [0.0] * 5


def test_weights_follow_the_inverse_of_the_density() -> None:
    root, mild = balancing_weights(AGES, 0.5), balancing_weights(AGES, 0.2)
    assert root[90] / root[0] == pytest.approx(9**0.5, rel=1e-3)
    assert mild[90] / mild[0] == pytest.approx(9**0.2, rel=1e-3)
    assert root[:100].mean() == pytest.approx(1.0, abs=1e-6)


def test_the_rarest_ages_count_no_more_than_the_limit() -> None:
    ages = np.append(np.full(10_000, 30.0), 99.0)
    assert balancing_weights(ages, 1.0)[-1] == MOST_AGE_WEIGHT

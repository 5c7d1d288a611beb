from __future__ import annotations

import numpy as np
import pytest

from agegender.model.answer import (
    answered_gender,
    average_views,
    probability_of,
    probability_of_female,
)


@pytest.mark.parametrize("axis", [0, 1])
def test_views_are_averaged_along_their_axis(axis: int) -> None:
    age = np.array([[30.0, 40.0], [-3.0, 1.0]], np.float32)
    gender = np.array([[[0.2, 0.8], [0.4, 0.6]], [[1.0, 0.0], [0.5, 0.5]]], np.float32)
    if axis == 0:
        age, gender = age.T, gender.swapaxes(0, 1)
    ages, genders = average_views(age, gender, axis=axis)
    # The mean of the second face is -1: no answer is below zero.
    np.testing.assert_array_equal(ages, [35.0, 0.0])
    np.testing.assert_allclose(probability_of_female(np.asarray(genders)), [0.7, 0.25])


def test_what_is_no_number_stays_none() -> None:
    ages, _ = average_views(np.array([[np.nan, 1.0]]), np.zeros((1, 2, 2)), axis=1)
    assert np.isnan(np.asarray(ages)).all()


def test_a_tie_is_female() -> None:
    answered = answered_gender(np.array([0.49, 0.5, 0.51], np.float32))
    assert answered.tolist() == [0, 1, 1]
    assert answered.dtype == np.int64
    assert int(answered_gender(0.5)) == 1


def test_probability_is_that_of_the_named_gender() -> None:
    p_female = np.array([0.25, 0.75], np.float32)
    answered = probability_of(answered_gender(p_female), p_female)
    np.testing.assert_array_equal(answered, np.array([0.75, 0.75], np.float32))
    assert answered.dtype == np.float32
    assert float(probability_of(1, 0.25)) == 0.25

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agegender.evaluation.groups import group_of
from agegender.evaluation.strata import draw_stratified


@pytest.fixture(scope="module")
def faces() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.choice([10, 30, 60], 2000, p=[0.3, 0.6, 0.1]),
            "gender": rng.integers(0, 2, 2000),
            "race": rng.choice(5, 2000, p=[0.5, 0.2, 0.1, 0.15, 0.05]),
        },
        index=np.arange(2000) * 3,
    )


def test_every_stratum_gets_its_share(faces: pd.DataFrame) -> None:
    drawn = draw_stratified(faces, 400)
    assert len(drawn) == 400
    assert drawn.index.is_monotonic_increasing
    for by in ("band", "gender", "race"):
        share = pd.Series(group_of(drawn, by)).value_counts(normalize=True)
        expected = pd.Series(group_of(faces, by)).value_counts(normalize=True)
        # Chance alone would be off by up to 0.05.
        assert (share - expected).abs().max() < 0.02


def test_balanced_strata_are_equal_as_long_as_they_last(faces: pd.DataFrame) -> None:
    drawn = draw_stratified(faces, 60, balanced=True)
    counts = drawn.groupby(["age", "gender", "race"]).size()
    assert len(counts) == 30
    assert (counts == 2).all()


def test_smaller_draws_are_part_of_larger_ones(faces: pd.DataFrame) -> None:
    small, large = draw_stratified(faces, 50), draw_stratified(faces, 51)
    assert set(small.index) < set(large.index)
    assert not small.index.equals(draw_stratified(faces, 50, seed=1).index)
    assert len(draw_stratified(faces, 5000)) == 2000
    with pytest.raises(ValueError, match="count is 0"):
        draw_stratified(faces, 0)

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from agegender.evaluation.crossings import CROSSINGS, crossings, group_figures, group_gaps
from agegender.evaluation.significance import (
    difference_of_means,
    difference_of_shares,
    holm,
)

MakePredictions = Callable[..., pd.DataFrame]


def test_figures_of_a_crossing_by_hand() -> None:
    faces = pd.DataFrame(
        {
            "age": [60, 60, 60, 30],
            "gender": [1, 1, 1, 0],
            "race": [1, 1, 1, 0],
            "age_pred": [50.0, 64.0, 60.0, 30.0],
            "gender_pred": [1, 0, 1, 0],
        }
    )
    table = group_figures(faces).set_index(["crossing", "group"])
    row = table.loc[("race_gender_band", "Black, female, senior 51+")]
    assert row["n"] == 3
    assert row["is_small"]
    assert row["mae"] == pytest.approx(14 / 3)
    assert row["bias"] == pytest.approx(-2.0)
    assert row["accuracy"] == pytest.approx(2 / 3)
    # Resampled, three faces would seem to say how far off all others are.
    assert np.isnan(row["mae_low"])
    many = group_figures(pd.concat([faces] * 4)).set_index(["crossing", "group"])
    row = many.loc[("race_gender_band", "Black, female, senior 51+")]
    assert row["mae_low"] < row["mae"] < row["mae_high"]
    assert set(table.index.get_level_values("crossing")) == set(CROSSINGS)
    # Nobody else is there to compare a band's only group with.
    gaps = group_gaps(faces).set_index("figure")
    alone = gaps[gaps["against"] == "others of senior 51+"].loc["accuracy"]
    assert np.isnan(alone["gap"])
    assert not alone["is_real"]


def test_every_crossing_covers_every_face_once(make_predictions: MakePredictions) -> None:
    table = group_figures(make_predictions())
    assert (table.groupby("crossing")["n"].sum() == 400).all()


def test_groups_of_the_same_faces_are_compared_once(make_predictions: MakePredictions) -> None:
    gaps = group_gaps(make_predictions().assign(race=0))
    assert not gaps.duplicated(["against", "figure", "gap", "low", "high"]).any()


def test_noise_is_not_called_a_gap(make_predictions: MakePredictions) -> None:
    for seed in range(5):
        faces = make_predictions(3000, seed=seed)
        gaps = group_gaps(faces)
        # Some of so many comparisons are below 5% on their own.
        alone = gaps[(gaps["low"] > 0) | (gaps["high"] < 0)]
        assert len(alone) > 0
        assert not gaps["is_real"].any()


def test_a_constructed_bias_is_found_where_it_is(make_predictions: MakePredictions) -> None:
    faces = make_predictions(3000)
    asian_women = (faces["race"] == 2) & (faces["gender"] == 1) & (faces["age"] > 50)
    faces.loc[asian_women, "age_pred"] -= 12
    faces.loc[faces["race"] == 3, "gender_pred"] = np.random.default_rng(1).integers(
        0, 2, (faces["race"] == 3).sum()
    )
    gaps = group_gaps(faces)
    for figure, group, sign in (
        ("mae", "Asian, female, senior 51+", 1),
        ("bias", "Asian, female, senior 51+", -1),
    ):
        first = gaps[gaps["figure"] == figure].iloc[0]
        assert (first["group"], first["against"]) == (group, "others of senior 51+")
        assert first["is_real"]
        assert sign * first["gap"] > 5
        assert first["low"] < first["gap"] < first["high"]
    wrong = gaps[(gaps["figure"] == "accuracy") & gaps["is_real"] & (gaps["gap"] < 0)]
    assert wrong["group"].str.startswith("Indian").all()
    assert "Indian" in set(wrong["group"])


def test_adults_are_measured_apart_and_all_is_strict_json(
    make_predictions: MakePredictions,
) -> None:
    faces = make_predictions()
    found = crossings(faces)
    json.dumps(found, allow_nan=False)
    assert found["all"]["n"] == 400
    assert found["adults"]["n"] == (faces["age"] >= 18).sum()
    adults = [row for row in found["adults"]["groups"] if row["crossing"] == "gender"]
    assert sum(row["n"] for row in adults) == found["adults"]["n"]


def test_small_groups_are_shown_last_and_never_called_real() -> None:
    faces = pd.DataFrame({"age": 40, "gender": 0, "race": 0, "gender_pred": 0}, index=range(330))
    faces["age_pred"] = 40.0 + np.arange(330) % 5
    # Thirty years off, but too few to say so.
    faces.loc[:28, ["race", "age_pred"]] = [4, 70.0]
    faces.loc[0, "age_pred"] = 71.0
    faces.loc[29:100, "race"] = 1
    ages = group_gaps(faces)
    ages = ages[(ages["figure"] == "mae") & (ages["crossing"] == "race")]
    assert ages["group"].tolist() == ["White", "Black", "Others"]
    assert ages["is_small"].tolist() == [False, False, True]
    assert ages["is_real"].tolist() == [True, True, False]


def test_nobody_is_compared_with_too_few() -> None:
    """The rest of a large group may be two faces, about which nothing can be told."""
    faces = pd.DataFrame({"age": 40, "gender": 0, "race": 0, "gender_pred": 0}, index=range(1000))
    faces["age_pred"] = 40.0 + np.arange(1000) % 9
    faces.loc[:1, ["gender", "age_pred"]] = [[1, 52.0], [1, 52.3]]
    gaps = group_gaps(faces).set_index(["crossing", "group", "figure"])
    assert gaps.loc[("gender", "male", "mae"), "is_small"]
    assert not gaps["is_real"].any()


def test_a_comparison_is_made_once(make_predictions: MakePredictions) -> None:
    """Male against female is female against male."""
    gaps = group_gaps(make_predictions())
    assert set(gaps["group"][gaps["crossing"] == "gender"]) == {"male"}
    banded = gaps[(gaps["crossing"] == "gender_band") & (gaps["figure"] == "mae")]
    assert banded["group"].str.startswith("male").all()
    assert len(banded) == 3


def test_holm_by_hand() -> None:
    # Times 4, 3, 2, 1 in order of size, and never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert len(holm([])) == 0


def test_differences_by_hand() -> None:
    means = difference_of_means(np.array([1.0, 2.0, 3.0]), np.array([4.0, 6.0, 8.0, 10.0]))
    assert means.gap == pytest.approx(-5.0)
    # Welch: t = -5 / sqrt(1/3 + 6.667/4) = -3.5355, 4.08 degrees of freedom.
    assert means.p == pytest.approx(0.0233, abs=1e-3)
    assert means.high < 0
    shares = difference_of_shares(np.array([True] * 3), np.array([False] * 3))
    assert shares.gap == 1.0
    assert shares.p == pytest.approx(0.1)
    assert np.isnan(difference_of_means(np.array([1.0]), np.array([1.0, 2.0])).p)
    assert np.isnan(difference_of_shares(np.array([], bool), np.array([True])).gap)

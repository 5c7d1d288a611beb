from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pytest

from agegender.evaluation.groups import GROUPINGS, group_of
from agegender.evaluation.metrics import (
    Floors,
    compute_metrics,
    floors_of,
    group_table,
    reliability_table,
    roc_table,
)

MakePredictions = Callable[..., pd.DataFrame]


def _faces(rows: list[tuple[int, int, int, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["age", "gender", "race", "age_pred", "p_female"])
    return table.assign(gender_pred=(table["p_female"] >= 0.5).astype(int))


FOUR = [(10, 0, 0, 12.0, 0.1), (20, 1, 1, 19.0, 0.8), (60, 1, 1, 50.0, 0.4), (30, 0, 2, 35.0, 0.2)]


def test_figures_of_four_faces_by_hand() -> None:
    metrics = compute_metrics(_faces(FOUR), floors=Floors(25.0, 1))
    age, gender = metrics["age"], metrics["gender"]
    assert metrics["n"] == 4
    assert age["mae"] == pytest.approx(4.5)
    assert age["mae_std"] == pytest.approx(3.5)
    assert age["median_error"] == pytest.approx(3.5)
    assert age["bias"] == pytest.approx(-1.0)
    assert age["cs5"] == pytest.approx(0.75)  # off by exactly five years counts
    assert age["floor_mae"] == pytest.approx((15 + 5 + 35 + 5) / 4)
    assert age["by_range"]["0-12"]["mae"] == pytest.approx(2.0)
    assert age["by_range"]["51+"]["mae"] == pytest.approx(10.0)
    assert age["by_band"]["senior 51+"]["n"] == 1
    assert gender["accuracy"] == pytest.approx(0.75)
    assert gender["adult_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert gender["adult_n"] == 3
    assert gender["floor_accuracy"] == pytest.approx(0.5)
    assert gender["confusion_matrix"] == [[2, 0], [1, 1]]  # rows are the truth
    assert gender["precision"] == {"male": pytest.approx(2 / 3, abs=1e-6), "female": 1.0}
    assert gender["recall"] == {"male": 1.0, "female": 0.5}
    assert gender["auc"] == pytest.approx(1.0)
    assert gender["race_gap"] is None  # no group is large enough


def test_floors_are_the_median_age_and_the_larger_gender() -> None:
    assert floors_of(_faces([*FOUR, (40, 1, 0, 40.0, 0.9)])) == Floors(30.0, 1)


def test_empty_groups_are_none_and_the_whole_is_strict_json() -> None:
    metrics = compute_metrics(_faces([(30, 0, 0, 31.0, 0.2)]))
    json.dumps(metrics, allow_nan=False)
    assert metrics["age"]["by_band"]["young 0-25"]["mae"] is None
    assert metrics["gender"]["by_race"]["Asian"] == {
        "n": 0,
        "accuracy": None,
        "accuracy_ci95": None,
        "floor_accuracy": None,
    }
    assert metrics["gender"]["auc"] is None
    assert metrics["gender"]["recall"]["female"] is None
    assert metrics["age"]["mae"] == 1.0
    assert metrics["age"]["mae_ci95"] is None
    table = group_table(metrics["age"]["by_band"])
    assert table[["mae_low", "mae_high"]].isna().all(axis=None)


def test_no_predictions_are_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        compute_metrics(_faces(FOUR).iloc[:0])


def test_largest_gap_names_both_groups() -> None:
    rows = (
        [(30, 0, 0, 30.0, 0.1)] * 40 + [(30, 0, 3, 30.0, 0.1)] * 30 + [(30, 0, 3, 30.0, 0.9)] * 10
    )
    # Too small to be compared, though nothing in it is right.
    rows += [(30, 0, 4, 30.0, 0.9)] * 3
    gap = compute_metrics(_faces(rows))["gender"]["race_gap"]
    assert (gap["best"], gap["worst"], gap["gap"]) == ("White", "Indian", 0.25)
    assert gap["gap_ci95"][0] > 0 > gap["gap_ci95"][0] - 0.25


def test_groups_cover_every_face_once(make_predictions: MakePredictions) -> None:
    metrics = compute_metrics(make_predictions())
    for by in GROUPINGS:
        for head in ("age", "gender"):
            assert sum(group["n"] for group in metrics[head][f"by_{by}"].values()) == 400
    low, high = metrics["age"]["mae_ci95"]
    assert low < metrics["age"]["mae"] < high


@pytest.mark.parametrize(
    ("age", "band", "decade"),
    [
        (0, "young 0-25", "0-9"),
        (25, "young 0-25", "20-29"),
        (26, "adult 26-50", "20-29"),
        (50, "adult 26-50", "50-59"),
        (51, "senior 51+", "50-59"),
        (116, "senior 51+", "90+"),
    ],
)
def test_edges_of_age_groups(age: int, band: str, decade: str) -> None:
    face = _faces([(age, 0, 0, 30.0, 0.5)])
    assert list(group_of(face, "band")) == [band]
    assert list(group_of(face, "decade")) == [decade]


def test_unknown_grouping_is_refused() -> None:
    with pytest.raises(ValueError, match="'mood'"):
        group_of(_faces(FOUR), "mood")


def test_group_table_leaves_out_empty_groups() -> None:
    table = group_table(compute_metrics(_faces(FOUR))["age"]["by_race"])
    assert list(table["group"]) == ["White", "Black", "Asian"]
    assert {"mae", "mae_low", "mae_high", "floor_mae", "n"} <= set(table.columns)


def test_roc_runs_from_corner_to_corner(make_predictions: MakePredictions) -> None:
    table = roc_table(make_predictions())
    rates = table[["false_positive_rate", "true_positive_rate"]]
    assert rates.iloc[0].tolist() == [0, 0]
    assert rates.iloc[-1].tolist() == [1, 1]
    assert table["threshold"].between(0, 1).all()
    assert roc_table(make_predictions().query("gender == 0")).empty


def test_reliability_counts_every_face(make_predictions: MakePredictions) -> None:
    table = reliability_table(make_predictions())
    assert table["n"].sum() == 400
    assert (table["low"] <= table["observed"]).all()
    assert (table["observed"] <= table["high"]).all()
    sure = reliability_table(_faces([(30, 1, 0, 30.0, 1.0), (30, 0, 0, 30.0, 0.0)]))
    assert sure["observed"].tolist() == [0.0, 1.0]

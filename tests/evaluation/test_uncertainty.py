"""Whether the answers are as sure as they say, on faces whose figures are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.evaluation import charts, plots
from agegender.evaluation.metrics import compute_metrics
from agegender.evaluation.tables import all_tables, coverage_breakdown
from agegender.evaluation.uncertainty import (
    COVERAGE_GROUPINGS,
    compute_uncertainty,
    risk_at,
    risk_curve,
)

# age, answered age, low, high, gender, probability of female, unfamiliar
FACES = (
    (5, 4.0, 2.0, 8.0, 0, 0.55, False),
    (12, 9.5, 6.0, 12.0, 1, 0.95, False),
    (30, 33.0, 25.0, 45.0, 0, 0.30, False),
    (52, 38.0, 30.0, 50.0, 1, 0.20, True),
)


def faces() -> pd.DataFrame:
    columns = ["age", "age_pred", "age_low", "age_high", "gender", "p_female", "unfamiliar"]
    table = pd.DataFrame(FACES, columns=columns).assign(race=[0, 0, 1, 1])
    return table.assign(gender_pred=(table["p_female"] >= 0.5).astype(int))


def test_coverage_and_width_are_counted_by_group() -> None:
    intervals = compute_uncertainty(faces(), constant=6.0)["intervals"]
    every = intervals["all"]
    assert (every["n"], every["coverage"], every["width"]) == (4, 0.75, (6 + 6 + 20 + 20) / 4)
    # The constant interval of the four-year-old answer is cut off at zero.
    assert every["constant_width"] == pytest.approx((10 + 12 + 12 + 12) / 4)
    assert every["is_as_promised"], "3 of 4 do not speak against 90%"
    assert intervals["by_predicted_decade"]["0-9"]["n"] == 2
    assert intervals["by_predicted_decade"]["30-39"]["coverage"] == 0.5
    assert intervals["by_decade"]["50-59"]["coverage"] == 0
    assert intervals["by_race"]["White"]["coverage"] == 1
    assert intervals["by_race"]["Asian"] == {
        "n": 0,
        "promised": 0.9,
        **dict.fromkeys(
            ("coverage", "coverage_ci95", "is_as_promised", "width", "width_ci95", "constant_width")
        ),
    }


def test_a_broken_promise_is_named() -> None:
    table = pd.concat([faces()] * 20, ignore_index=True)
    metrics = compute_metrics(table)
    assert not metrics["uncertainty"]["intervals"]["all"]["is_as_promised"]
    text = coverage_breakdown(metrics, "race")
    assert text["90% within"].tolist() == ["no", "no", "no", "n/a", "n/a", "n/a"]
    assert text["Coverage"].iloc[0] == "75.0%"


@pytest.mark.parametrize(
    ("threshold", "answered", "accuracy"),
    [(0.5, 4, 0.5), (0.6, 3, 2 / 3), (0.9, 1, 1.0), (0.99, 0, None)],
)
def test_fewer_genders_are_told_when_sure(
    threshold: float, answered: int, accuracy: float | None
) -> None:
    row = risk_at(faces(), threshold)
    assert (row["answered"], row["share"]) == (answered, answered / 4)
    assert row["accuracy"] == (None if accuracy is None else pytest.approx(accuracy, abs=1e-6))


def test_curve_of_risk_passes_through_its_rows_and_ends_with_all() -> None:
    table = pd.concat([faces(), faces().assign(p_female=0.95)], ignore_index=True)
    curve = risk_curve(table)
    assert curve["threshold"].is_monotonic_decreasing
    for row in curve.itertuples():
        told = risk_at(table, row.threshold)
        assert (told["share"], told["accuracy"]) == pytest.approx((row.share, row.accuracy))
    assert curve["share"].iloc[-1] == 1


def test_flagged_faces_are_counted() -> None:
    unfamiliar = compute_uncertainty(faces())["unfamiliar"]
    assert (unfamiliar["n"], unfamiliar["flagged"], unfamiliar["share"]) == (4, 1, 0.25)


def test_a_run_that_knows_nothing_of_it_has_figures_all_the_same(
    make_predictions: Callable[..., pd.DataFrame],
) -> None:
    table = make_predictions()
    for unknown in (table, table.assign(age_low=np.nan, age_high=np.nan, unfamiliar=pd.NA)):
        metrics = compute_metrics(unknown)
        assert metrics["uncertainty"]["intervals"] is None
        assert metrics["uncertainty"]["unfamiliar"] is None
        risks, _ = all_tables(metrics)["risk_coverage"]
        answered = risks[risks["answered"] > 0]
        assert (answered["accuracy_low"] <= answered["accuracy"]).all()
        assert (answered["accuracy"] <= answered["accuracy_high"]).all()


@pytest.mark.parametrize("constant", [8.0, None])
def test_figures_and_charts_show_coverage_width_and_risk(
    constant: float | None, make_predictions: Callable[..., pd.DataFrame]
) -> None:
    table = make_predictions()
    half = 4 + table["age_pred"] / 8
    table = table.assign(age_low=table["age_pred"] - half, age_high=table["age_pred"] + half)
    metrics = compute_metrics(table, constant=constant)
    assert {f"coverage_by_{by}" for by in COVERAGE_GROUPINGS} <= all_tables(metrics).keys()
    for by in COVERAGE_GROUPINGS:
        shown: Any = plots.plot_coverage(metrics, by).axes[0]
        assert "(n = 400)" in shown.get_title(loc="left")
        assert len(shown.collections[-1].get_offsets()) == sum(
            bool(group["n"]) for group in metrics["uncertainty"]["intervals"][f"by_{by}"].values()
        )
        assert "years" in plots.plot_width(metrics, by).axes[0].get_ylabel()
        assert "promised" in charts.coverage_chart(metrics, by).to_json()
        assert "width_low" in charts.width_chart(metrics, by).to_json()
    line = plots.plot_risk_coverage(table).axes[0].lines[0]
    assert line.get_ydata()[-1] == pytest.approx(metrics["gender"]["accuracy"], abs=1e-6)
    for threshold in (0.8, 0.999999):
        assert "(n = 400)" in charts.risk_chart(table, risk_at(table, threshold)).to_dict()["title"]

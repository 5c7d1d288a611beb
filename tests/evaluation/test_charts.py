from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from agegender.config import GENDER_COLORS, RACE_COLORS, SPLIT_COLORS
from agegender.evaluation import charts
from agegender.evaluation.distributions import MOST_POINTS
from agegender.evaluation.groups import GROUPINGS
from agegender.evaluation.metrics import compute_metrics
from agegender.evaluation.titles import GATE_CURVES

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2],
        "loss": [2.0, 1.0],
        "val_loss": [2.1, 1.2],
        "age_mae": [9.0, 6.0],
        "val_age_mae": [9.5, 7.0],
        "gender_accuracy": [0.7, 0.9],
        "val_gender_accuracy": [0.65, 0.85],
    }
)


def _colors(value: Any) -> list[dict[str, Any]]:
    """Collect every colour scale of a specification."""
    if isinstance(value, list):
        return [scale for item in value for scale in _colors(item)]
    if not isinstance(value, dict):
        return []
    own = value.get("color", {})
    found = [own["scale"]] if isinstance(own, dict) and "domain" in own.get("scale", {}) else []
    return found + [scale for item in value.values() for scale in _colors(item)]


@pytest.mark.parametrize(
    ("draw", "colors"),
    [
        (charts.age_chart, GENDER_COLORS),
        (charts.balance_chart, GENDER_COLORS),
        (charts.age_scatter_chart, GENDER_COLORS),
        (charts.residual_chart, GENDER_COLORS),
        (charts.race_chart, RACE_COLORS),
        (charts.split_chart, SPLIT_COLORS),
    ],
)
def test_groups_have_their_colours(
    draw: Callable[[pd.DataFrame], Any],
    colors: dict[str, str],
    make_predictions: Callable[..., pd.DataFrame],
) -> None:
    spec = draw(make_predictions()).to_dict()
    scales = _colors(spec)
    assert scales
    assert all(dict(zip(s["domain"], s["range"], strict=True)) == colors for s in scales)
    assert "(n = 400)" in spec["title"]


@pytest.mark.parametrize("draw", [charts.error_chart, charts.roc_chart, charts.calibration_chart])
def test_titles_count_the_faces(
    draw: Callable[[pd.DataFrame], Any], make_predictions: Callable[..., pd.DataFrame]
) -> None:
    assert "(n = 400)" in draw(make_predictions()).to_dict()["title"]
    # One gender only, one face only.
    assert "(n = 1)" in draw(make_predictions().iloc[:1]).to_dict()["title"]


@pytest.mark.parametrize("by", GROUPINGS)
def test_group_charts_show_intervals(
    by: str, make_predictions: Callable[..., pd.DataFrame]
) -> None:
    metrics = compute_metrics(make_predictions())
    for chart, figure in (
        (charts.age_error_chart(metrics, by), "mae"),
        (charts.gender_accuracy_chart(metrics, by), "accuracy"),
    ):
        text = chart.to_json()
        assert f"{figure}_low" in text
        assert f"floor_{figure}" in text
        assert "no skill: always" in text


def test_confusion_chart_shows_the_counts(make_predictions: Callable[..., pd.DataFrame]) -> None:
    metrics = compute_metrics(make_predictions())
    text = charts.confusion_chart(metrics).to_json()
    assert f'"n": {metrics["gender"]["confusion_matrix"][0][1]}' in text


def test_large_scatter_is_sampled_and_says_so(
    make_predictions: Callable[..., pd.DataFrame],
) -> None:
    # Altair refuses more than 5,000 rows.
    spec = charts.age_scatter_chart(make_predictions(6000)).to_dict()
    assert f"n = 6,000, {MOST_POINTS:,} drawn" in spec["title"]


@pytest.mark.parametrize("measure", ["loss", "age_mae", "gender_accuracy"])
def test_training_chart_has_both_splits(measure: str) -> None:
    text = charts.training_chart(HISTORY, measure).to_json()
    assert SPLIT_COLORS["train"] in text
    assert SPLIT_COLORS["validation"] in text
    charts.training_chart(HISTORY.iloc[:0], measure).to_dict()


@pytest.mark.parametrize(("width", "columns"), [(290, 1), (900, 3)])
def test_long_legends_are_a_column_on_a_narrow_screen(width: int, columns: int) -> None:
    curve = pd.DataFrame({"threshold": [18], **dict.fromkeys(GATE_CURVES, 0.5)})
    spec = charts.gate_chart(curve, 18, None).to_dict()
    legend = spec["layer"][0]["encoding"]["color"]["legend"]
    choice = re.fullmatch(r"width < (\d+) \? (\d) : (\d)", legend["columns"]["expr"])
    assert choice is not None
    needed, narrow, wide = map(int, choice.groups())
    assert (narrow if width < needed else wide) == columns


def test_a_long_title_is_broken_into_lines(
    make_predictions: Callable[..., pd.DataFrame],
) -> None:
    title = charts.residual_chart(make_predictions(6000)).to_dict()["title"]
    assert len(title) == 2
    assert " ".join(title) == (
        f"Age error and its mean by decade (n = 6,000, {MOST_POINTS:,} drawn)"
    )


def test_unknown_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="'mood'"):
        charts.training_chart(HISTORY, "mood")

"""Charts of how sure the answers are."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from agegender.config import ACCENT_COLOR, WRONG_COLOR
from agegender.evaluation.charts.groups import group_chart
from agegender.evaluation.charts.style import HEIGHT, layered, percent_axis
from agegender.evaluation.metrics import group_table
from agegender.evaluation.titles import COVERAGE, RISK, WIDTH, titled
from agegender.evaluation.uncertainty import risk_curve

_MOST_POINTS = 500
"""Points of a curve on a page; more would not be seen."""


def coverage_chart(metrics: dict[str, Any], by: str) -> Any:
    """Draw the share of ages inside of their intervals by group, beside what is promised for all.

    Args:
        metrics: What `compute_metrics` returned, with intervals.
        by: One of `COVERAGE_GROUPINGS`.
    """
    groups = group_table(metrics["uncertainty"]["intervals"][f"by_{by}"])
    return group_chart(
        groups.rename(columns={"promised": "floor_coverage"}),
        "coverage",
        by,
        title=COVERAGE.y,
        percent=True,
        floor_label=COVERAGE.floor,
    ).properties(title=titled(COVERAGE.what, metrics["n"]))


def width_chart(metrics: dict[str, Any], by: str) -> Any:
    """Draw the mean width of intervals by group, beside that of the same width for all.

    Args:
        metrics: What `compute_metrics` returned, with intervals.
        by: One of `COVERAGE_GROUPINGS`.
    """
    groups = group_table(metrics["uncertainty"]["intervals"][f"by_{by}"])
    return group_chart(
        groups.rename(columns={"constant_width": "floor_width"}).astype({"floor_width": float}),
        "width",
        by,
        title=WIDTH.y,
        percent=False,
        floor_label=WIDTH.floor,
    ).properties(title=titled(WIDTH.what, metrics["n"]))


def risk_chart(predictions: pd.DataFrame, chosen: dict[str, Any]) -> Any:
    """Draw how often genders are right if only the surest share of them is told.

    Args:
        predictions: As in `compute_metrics`.
        chosen: What `risk_at` returned for the threshold to mark.
    """
    curve = risk_curve(predictions)
    step = -(-len(curve) // _MOST_POINTS)
    shares = alt.X("share:Q", title=RISK.x)
    accuracy = alt.Y(
        "accuracy:Q",
        title=RISK.y,
        axis=percent_axis(),
        scale=alt.Scale(zero=False),
    )
    tooltip = [
        alt.Tooltip("threshold:Q", title="Sure at least", format=".1%"),
        alt.Tooltip("share:Q", title="Answered", format=".1%"),
        alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
    ]
    line = alt.Chart(curve.iloc[::-1][::step]).mark_line(color=ACCENT_COLOR, strokeWidth=2.5)
    columns = ["threshold", "share", "accuracy"]
    mark = alt.Chart(pd.DataFrame([chosen])[columns].dropna()).mark_point(
        color=WRONG_COLOR, size=130, filled=True, opacity=1
    )
    return layered(
        *(
            layer.encode(x=shares.axis(percent_axis()), y=accuracy, tooltip=tooltip)
            for layer in (line, mark)
        ),
        title=titled(RISK.what, len(predictions)),
        height=HEIGHT,
    )

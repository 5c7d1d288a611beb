"""Charts of age errors."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from agegender.config import ACCENT_COLOR, GENDER_NAMES, MUTED_COLOR
from agegender.evaluation.charts.groups import group_chart
from agegender.evaluation.charts.style import (
    HEIGHT,
    SQUARE_HEIGHT,
    count_tooltip,
    dashed,
    gender_color,
    layered,
)
from agegender.evaluation.distributions import bias_table, error_table, error_title, scatter_sample
from agegender.evaluation.metrics import group_table
from agegender.evaluation.titles import AGE_ERROR, AGE_SCATTER, RESIDUALS, titled


def age_scatter_chart(predictions: pd.DataFrame) -> Any:
    """Draw predicted against true ages; the dashed line is where both agree.

    Args:
        predictions: As in `compute_metrics`, with `file` for the tooltip.
    """
    shown = _named(scatter_sample(predictions))
    oldest = 10 * math.ceil(max(shown["age"].max(), shown["age_pred"].max(), 10) / 10)
    scale = alt.Scale(domain=[0, oldest], nice=False)
    points = (
        alt.Chart(shown)
        .mark_circle(size=26, opacity=0.55, clip=True)
        .encode(
            x=alt.X("age:Q", title=AGE_SCATTER.x, scale=scale),
            y=alt.Y("age_pred:Q", title=AGE_SCATTER.y, scale=scale),
            color=gender_color(),
            tooltip=_face_tooltip(),
        )
    )
    line = pd.DataFrame({"age": [0, oldest], "age_pred": [0, oldest]})
    return layered(
        points,
        dashed(alt.Chart(line)).encode(x="age:Q", y="age_pred:Q"),
        title=titled(AGE_SCATTER.what, len(predictions), len(shown)),
        height=SQUARE_HEIGHT,
    )


def residual_chart(predictions: pd.DataFrame) -> Any:
    """Draw the age error of every face against its age, and its mean by decade.

    Args:
        predictions: As in `compute_metrics`, with `file` for the tooltip.
    """
    shown = _named(scatter_sample(predictions))
    axis = alt.Y("error:Q", title=RESIDUALS.y)
    points = (
        alt.Chart(shown)
        .mark_circle(size=22, opacity=0.45)
        .encode(
            x=alt.X("age:Q", title=RESIDUALS.x),
            y=axis,
            color=gender_color(),
            tooltip=_face_tooltip(),
        )
    )
    means = bias_table(predictions).rename(columns={"bias": "error"})
    trend = (
        alt.Chart(means)
        .mark_line(color=MUTED_COLOR, strokeWidth=3, point={"color": MUTED_COLOR, "size": 60})
        .encode(
            x="age:Q",
            y=axis,
            tooltip=[
                alt.Tooltip("age:Q", title="Mean age", format=".0f"),
                alt.Tooltip("error:Q", title="Mean error, years", format="+.1f"),
                count_tooltip(),
            ],
        )
    )
    zero = alt.Chart(pd.DataFrame({"error": [0]})).mark_rule(color=MUTED_COLOR, strokeDash=[5, 4])
    return layered(
        points,
        zero.encode(y="error:Q"),
        trend,
        title=titled(RESIDUALS.what, len(predictions), len(shown)),
        height=SQUARE_HEIGHT,
    )


def error_chart(predictions: pd.DataFrame) -> Any:
    """Draw how often the predicted age is too low or too high, and by how much.

    Args:
        predictions: As in `compute_metrics`.
    """
    bars = (
        alt.Chart(error_table(predictions))
        .mark_bar(binSpacing=1, color=ACCENT_COLOR)
        .encode(
            x=alt.X("error_from:Q", bin="binned", title=error_title(predictions)),
            x2="error_to:Q",
            y=alt.Y("n:Q", title="Faces"),
            tooltip=[
                alt.Tooltip("error_from:Q", title="From"),
                alt.Tooltip("error_to:Q", title="To"),
                count_tooltip(),
            ],
        )
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=MUTED_COLOR, strokeDash=[5, 4])
    title = titled("Age error", len(predictions))
    return layered(bars, zero.encode(x="zero:Q"), title=title, height=HEIGHT)


def age_error_chart(metrics: dict[str, Any], by: str) -> Any:
    """Draw the mean absolute age error of groups, with 95% intervals and floors.

    Args:
        metrics: What `compute_metrics` returned.
        by: One of `GROUPINGS`.
    """
    age = metrics["age"]
    return group_chart(
        group_table(age[f"by_{by}"]),
        "mae",
        by,
        title=AGE_ERROR.y,
        percent=False,
        floor_label=AGE_ERROR.floor.format(age["floor_age"]),
    ).properties(title=titled(AGE_ERROR.what, metrics["n"]))


def _named(predictions: pd.DataFrame) -> pd.DataFrame:
    """Take what a scatter needs, with names in place of numbers."""
    gender = [GENDER_NAMES[number] for number in predictions["gender"]]
    error = predictions["age_pred"] - predictions["age"]
    return predictions[["file", "age", "age_pred"]].assign(gender=gender, error=error)


def _face_tooltip() -> list[Any]:
    return [
        alt.Tooltip("file:N", title="File"),
        alt.Tooltip("age:Q", title="True age"),
        alt.Tooltip("age_pred:Q", title="Predicted age", format=".1f"),
        alt.Tooltip("gender:N", title="True gender"),
    ]

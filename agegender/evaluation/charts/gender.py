"""Charts of gender answers."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from agegender.config import ACCENT_COLOR, GENDER_NAMES, WRONG_COLOR
from agegender.evaluation.charts.groups import group_chart
from agegender.evaluation.charts.style import (
    HEIGHT,
    SQUARE_HEIGHT,
    count_tooltip,
    dashed,
    layered,
    percent_axis,
)
from agegender.evaluation.metrics import group_table, reliability_table, roc_table
from agegender.evaluation.titles import CALIBRATION, CONFUSION, GENDER_ACCURACY, ROC, titled


def gender_accuracy_chart(metrics: dict[str, Any], by: str) -> Any:
    """Draw the gender accuracy of groups, with 95% intervals and floors.

    Args:
        metrics: What `compute_metrics` returned.
        by: One of `GROUPINGS`.
    """
    gender = metrics["gender"]
    return group_chart(
        group_table(gender[f"by_{by}"]),
        "accuracy",
        by,
        title=GENDER_ACCURACY.y,
        percent=True,
        floor_label=GENDER_ACCURACY.floor.format(gender["floor_gender"]),
    ).properties(title=titled(GENDER_ACCURACY.what, metrics["n"]))


def confusion_chart(metrics: dict[str, Any]) -> Any:
    """Draw the confusion matrix of gender; rows are the truth and add up to 100%.

    Args:
        metrics: What `compute_metrics` returned.
    """
    rows = []
    for true, counts in zip(GENDER_NAMES, metrics["gender"]["confusion_matrix"], strict=True):
        for answered, count in zip(GENDER_NAMES, counts, strict=True):
            share = count / max(1, sum(counts))
            rows.append((true, answered, count, share, f"{count:,}", f"{share:.1%}"))
    columns = ["true", "answered", "n", "share", "count_text", "share_text"]
    base = alt.Chart(pd.DataFrame(rows, columns=columns)).encode(
        x=alt.X("answered:N", sort=None, title=CONFUSION.x, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("true:N", sort=None, title=CONFUSION.y),
        tooltip=[
            alt.Tooltip("true:N", title=CONFUSION.y),
            alt.Tooltip("answered:N", title=CONFUSION.x),
            count_tooltip(),
            alt.Tooltip("share:Q", title="Share of row", format=".1%"),
        ],
    )
    cells = base.mark_rect(cornerRadius=6).encode(
        color=alt.condition(
            "datum.true == datum.answered", alt.value(ACCENT_COLOR), alt.value(WRONG_COLOR)
        )
    )
    share = base.mark_text(color="white", fontSize=22, fontWeight=600, dy=-8)
    count = base.mark_text(color="white", fontSize=13, dy=16)
    return layered(
        cells,
        share.encode(text="share_text:N"),
        count.encode(text="count_text:N"),
        title=titled(CONFUSION.what, metrics["n"]),
        height=HEIGHT,
    )


def roc_chart(predictions: pd.DataFrame) -> Any:
    """Draw the ROC curve of telling "female" apart; the dashed line is guessing.

    Args:
        predictions: As in `compute_metrics`.
    """
    curve = (
        alt.Chart(roc_table(predictions))
        .mark_line(color=ACCENT_COLOR, strokeWidth=2.5)
        .encode(
            x=alt.X("false_positive_rate:Q", title=ROC.x, axis=percent_axis()),
            y=alt.Y("true_positive_rate:Q", title=ROC.y, axis=percent_axis()),
            order="threshold:Q",
            tooltip=[
                alt.Tooltip("threshold:Q", title="Threshold", format=".2f"),
                alt.Tooltip("false_positive_rate:Q", title=ROC.x, format=".1%"),
                alt.Tooltip("true_positive_rate:Q", title=ROC.y, format=".1%"),
            ],
        )
    )
    line = pd.DataFrame({"false_positive_rate": [0, 1], "true_positive_rate": [0, 1]})
    guess = dashed(alt.Chart(line)).encode(x="false_positive_rate:Q", y="true_positive_rate:Q")
    title = titled(ROC.what, len(predictions))
    return layered(guess, curve, title=title, height=SQUARE_HEIGHT)


def calibration_chart(predictions: pd.DataFrame) -> Any:
    """Draw how often faces are female against how sure the model was; bars are 95% intervals.

    Args:
        predictions: As in `compute_metrics`.
    """
    base = alt.Chart(reliability_table(predictions)).encode(
        x=alt.X(
            "predicted:Q",
            title=CALIBRATION.x,
            axis=percent_axis(),
            scale=alt.Scale(domain=[0, 1]),
        ),
        tooltip=[
            alt.Tooltip("predicted:Q", title="Predicted", format=".0%"),
            alt.Tooltip("observed:Q", title="Observed", format=".0%"),
            alt.Tooltip("low:Q", title="95% from", format=".0%"),
            alt.Tooltip("high:Q", title="95% to", format=".0%"),
            count_tooltip(),
        ],
    )
    share = alt.Y("observed:Q", title=CALIBRATION.y, axis=percent_axis())
    line = pd.DataFrame({"predicted": [0, 1], "observed": [0, 1]})
    return layered(
        dashed(alt.Chart(line)).encode(x="predicted:Q", y="observed:Q"),
        base.mark_rule(color=ACCENT_COLOR, strokeWidth=2).encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=ACCENT_COLOR).encode(y=share),
        base.mark_circle(color=ACCENT_COLOR, size=70, opacity=1).encode(y=share),
        title=titled(CALIBRATION.what, len(predictions)),
        height=SQUARE_HEIGHT,
    )

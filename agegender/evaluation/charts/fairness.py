"""Charts of who the model fails: crossed groups, gaps, age gates."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from agegender.config import MUTED_COLOR
from agegender.evaluation.charts.style import (
    HEIGHT,
    color,
    count_tooltip,
    layered,
    percent_axis,
)
from agegender.evaluation.crossings import largest_gaps
from agegender.evaluation.titles import (
    FIGURE_TITLES,
    GATE,
    GATE_COLORS,
    GATE_CURVES,
    VERDICT_COLORS,
    VERDICTS,
)

GAPS_SHOWN = 20

ROW_HEIGHT = 24
ROWS_OF_AXES = 4
"""Title, legend and axis take the height of so many rows."""

_ALL_LABELS = alt.Axis(labelLimit=0, labelOverlap=False)


def gap_chart(gaps: pd.DataFrame, figure: str) -> Any:
    """Draw the largest gaps of a figure with their 95% intervals.

    Args:
        gaps: What `crossings.group_gaps` returned.
        figure: "mae", "bias" or "accuracy".

    Returns:
        An `altair.LayerChart`; small groups are not in it.
    """
    part = largest_gaps(gaps, figure, GAPS_SHOWN)
    form = "+.1%" if figure == "accuracy" else "+.1f"
    # In two lines, as the groups' names leave it little room.
    title = [f"{FIGURE_TITLES[figure]},", "the group's less the others'"]
    verdict = part["is_real"].map(VERDICTS)
    base = alt.Chart(part.assign(verdict=verdict)).encode(
        y=alt.Y("group:N", sort=None, title=None, axis=_ALL_LABELS),
        color=color("verdict", VERDICT_COLORS),
        tooltip=[
            alt.Tooltip("group:N", title="Group"),
            alt.Tooltip("against:N", title="Against"),
            alt.Tooltip("gap:Q", title="Gap", format=form),
            alt.Tooltip("low:Q", title="95% from", format=form),
            alt.Tooltip("high:Q", title="95% to", format=form),
            count_tooltip(),
        ],
    )
    axis = percent_axis() if figure == "accuracy" else alt.Axis()
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=MUTED_COLOR).encode(x="x:Q")
    return layered(
        zero,
        base.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q", title=title, axis=axis), x2="high:Q"),
        base.mark_point(size=75, filled=True, opacity=1).encode(x="gap:Q"),
        title=f"Largest gaps: {FIGURE_TITLES[figure]}",
        height=(len(part) + ROWS_OF_AXES) * ROW_HEIGHT,
    )


def gate_chart(curve: pd.DataFrame, gate: int, challenge: int | None) -> Any:
    """Draw both errors of an age gate against its threshold.

    Args:
        curve: What `gates.gate_curve` returned.
        gate: The gate's age, in years.
        challenge: The challenge age, in years, if it is known.

    Returns:
        An `altair.LayerChart`.
    """
    long = curve.rename(columns=GATE_CURVES).melt("threshold", var_name="error", value_name="share")
    colors = {name: GATE_COLORS[column] for column, name in GATE_CURVES.items()}
    lines = (
        alt.Chart(long.dropna())
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X(
                "threshold:Q",
                title=GATE.x,
                scale=alt.Scale(nice=False, zero=False),
            ),
            y=alt.Y("share:Q", title=GATE.y, axis=percent_axis()),
            color=color("error", colors),
            tooltip=[
                alt.Tooltip("error:N", title="Share"),
                alt.Tooltip("threshold:Q", title="Threshold, years"),
                alt.Tooltip("share:Q", title="Faces", format=".1%"),
            ],
        )
    )
    marks = pd.DataFrame(
        [
            {"threshold": threshold, "name": f"{name} {threshold}"}
            for threshold, name in ((gate, "gate"), (challenge, "challenge age"))
            if threshold is not None
        ]
    )
    at = alt.Chart(marks).encode(x="threshold:Q")
    return layered(
        lines,
        at.mark_rule(color=MUTED_COLOR, strokeDash=[5, 4]),
        at.mark_text(color=MUTED_COLOR, align="left", baseline="top", dx=5).encode(
            text="name:N", y=alt.value(4)
        ),
        title=GATE.what.format(gate),
        height=HEIGHT,
    )

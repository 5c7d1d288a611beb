"""A chart of one figure for several groups, with intervals and floors."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from agegender.config import ACCENT_COLOR, GENDER_COLORS, MUTED_COLOR, RACE_COLORS
from agegender.evaluation.charts.style import HEIGHT, count_tooltip, if_fit
from agegender.evaluation.titles import GROUP_TITLES


def group_chart(
    table: pd.DataFrame, value: str, by: str, *, title: str, percent: bool, floor_label: str
) -> Any:
    """Draw a dot with its interval for each group, and a grey mark where no skill would be.

    Args:
        table: What `group_table` made, with `value`, `value_low`,
            `value_high` and `floor_value`.
        value: Name of the figure's column.
        by: How the faces are grouped; one of `GROUPINGS`.
        title: Title of the figure's axis, with its unit.
        percent: Whether the figure is a share.
        floor_label: What the grey mark means.

    Returns:
        An `altair.LayerChart` without a title.
    """
    form = ".1%" if percent else ".1f"
    base = alt.Chart(table.assign(floor_label=floor_label)).encode(
        x=alt.X(
            "group:N",
            sort=None,
            title=GROUP_TITLES[by],
            # Names are turned where they would not fit side by side.
            axis=alt.Axis(
                labelAngle=if_fit(table["group"], "0", "-35"),
                labelAlign=if_fit(table["group"], "'center'", "'right'"),
                labelOverlap=False,
                labelLimit=0,
            ),
        ),
        tooltip=[
            alt.Tooltip("group:N", title=GROUP_TITLES[by]),
            alt.Tooltip(f"{value}:Q", title=title, format=form),
            alt.Tooltip(f"{value}_low:Q", title="95% from", format=form),
            alt.Tooltip(f"{value}_high:Q", title="95% to", format=form),
            alt.Tooltip(
                f"floor_{value}:Q", title=floor_label.partition(":")[0].capitalize(), format=form
            ),
            count_tooltip(),
        ],
    )
    # An error's zero means something; accuracies would crowd at the top.
    y = alt.Y(
        f"{value}:Q",
        title=title,
        axis=alt.Axis(format=".0%") if percent else alt.Axis(),
        scale=alt.Scale(zero=not percent),
    )
    colors = {"race": RACE_COLORS, "gender": GENDER_COLORS}.get(by)
    paint = alt.value(ACCENT_COLOR)
    if colors is not None:
        scale = alt.Scale(domain=list(colors), range=list(colors.values()))
        paint = alt.Color("group:N", scale=scale, legend=None)
    floor_color = alt.Color(
        "floor_label:N",
        scale=alt.Scale(range=[MUTED_COLOR]),
        legend=alt.Legend(
            title=None,
            orient="top",
            symbolType="square",
            symbolStrokeWidth=0,
            symbolFillColor=MUTED_COLOR,
            labelLimit=0,
        ),
    )
    return (
        alt.layer(
            base.mark_tick(thickness=3, opacity=1, width={"band": 0.6}).encode(
                y=f"floor_{value}:Q", color=floor_color
            ),
            base.mark_rule(strokeWidth=3).encode(
                y=f"{value}_low:Q", y2=f"{value}_high:Q", color=paint
            ),
            base.mark_point(size=75, filled=True, opacity=1).encode(y=y, color=paint),
        )
        .resolve_scale(color="independent")
        .properties(height=HEIGHT)
    )

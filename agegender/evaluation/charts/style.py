"""What the charts have in common: sizes, colours, titles, tooltips.

Colours come from `config` only, so that a gender, a group or a split looks the
same everywhere; all else (fonts, text, grid) is left to the page's theme, so
that every chart is legible on a light and on a dark background.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from agegender.config import GENDER_COLORS, MUTED_COLOR

HEIGHT = 340
SQUARE_HEIGHT = 440


def layered(*layers: Any, title: str, height: int) -> Any:
    return alt.layer(*layers).properties(title=title, height=height)


def count_tooltip() -> Any:
    return alt.Tooltip("n:Q", title="Faces", format=",")


def percent_axis() -> Any:
    return alt.Axis(format=".0%")


def dashed(chart: Any) -> Any:
    return chart.mark_line(color=MUTED_COLOR, strokeDash=[5, 4], strokeWidth=1.5)


def gender_color() -> Any:
    return color("gender", GENDER_COLORS)


def color(field: str, colors: dict[str, str], legend: Any = alt.Undefined) -> Any:
    """Give every name its colour of the palette, whichever of them are there."""
    if legend is alt.Undefined:
        legend = alt.Legend(title=None, orient="top", symbolOpacity=1, offset=4, padding=0)
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=legend)

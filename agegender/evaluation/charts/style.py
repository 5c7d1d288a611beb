"""What the charts have in common: sizes, colours, titles, tooltips.

Colours come from `config` only, so that a gender, a group or a split looks the
same everywhere; all else (fonts, text, grid) is left to the page's theme, so
that every chart is legible on a light and on a dark background.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import altair as alt

from agegender.config import GENDER_COLORS, MUTED_COLOR

HEIGHT = 340
SQUARE_HEIGHT = 440

TITLE_LETTERS = 50
"""A line of a title of more would be cut on a phone."""

LETTER_WIDTH, SPACE_WIDTH, SYMBOL_WIDTH = 7, 4, 30
"""In pixels, on the safe side: a letter, the least space between two names, and a
legend's symbol with the space around it."""


def layered(*layers: Any, title: str, height: int) -> Any:
    lines = textwrap.wrap(title, TITLE_LETTERS)
    return alt.layer(*layers).properties(title=lines if lines[1:] else title, height=height)


def if_fit(names: Iterable[str], then: str, otherwise: str, *, gap: int = SPACE_WIDTH) -> Any:
    """Let the browser choose, by whether names fit beside each other along the chart.

    Args:
        names: What stands beside each other.
        then: A Vega expression for when they fit.
        otherwise: One for when they do not.
        gap: Pixels that each name takes besides its letters.
    """
    needed = sum(LETTER_WIDTH * len(name) + gap for name in names)
    return alt.ExprRef(f"width < {needed} ? {otherwise} : {then}")


def count_tooltip() -> Any:
    return alt.Tooltip("n:Q", title="Faces", format=",")


def percent_axis(*, decimals: int = 0) -> Any:
    # Ticks that are closer would have the same label.
    return alt.Axis(format=f".{decimals}%", tickMinStep=10.0 ** -(decimals + 2))


def dashed(chart: Any) -> Any:
    return chart.mark_line(color=MUTED_COLOR, strokeDash=[5, 4], strokeWidth=1.5)


def gender_color() -> Any:
    return color("gender", GENDER_COLORS)


def color(field: str, colors: dict[str, str], legend: Any = alt.Undefined) -> Any:
    """Give every name its colour of the palette, whichever of them are there.

    The legend is a row, or a column where the row would be cut.
    """
    if legend is alt.Undefined:
        columns = if_fit(colors, str(len(colors)), "1", gap=SYMBOL_WIDTH)
        legend = alt.Legend(
            title=None, orient="top", columns=columns, labelLimit=0, symbolOpacity=1, offset=4,
            padding=0,
        )  # fmt: skip
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=legend)

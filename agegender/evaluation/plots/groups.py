"""A figure of one number for several groups, with intervals and floors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agegender.config import ACCENT_COLOR, GENDER_COLORS, MUTED_COLOR, RACE_COLORS
from agegender.evaluation.plots.style import INK_COLOR, label, new_axes, percent_ticks
from agegender.evaluation.titles import GROUP_TITLES


def plot_groups(
    table: pd.DataFrame,
    value: str,
    by: str,
    *,
    title: str,
    axis_title: str,
    percent: bool,
    floor_label: str,
) -> Figure:
    """Draw a dot with its interval for each group, and a grey mark where no skill would be.

    Args:
        table: What `group_table` made, with `value`, `value_low`,
            `value_high` and `floor_value`.
        value: Name of the figure's column.
        by: How the faces are grouped; one of `GROUPINGS`.
        title: What is shown.
        axis_title: Title of the figure's axis, with its unit.
        percent: Whether the figure is a share.
        floor_label: What the grey mark means.
    """
    ax = new_axes()
    places = np.arange(len(table))
    known = {**RACE_COLORS, **GENDER_COLORS}
    colors = [known.get(name, ACCENT_COLOR) for name in table["group"]]
    floors = table[f"floor_{value}"]
    ax.hlines(
        floors, places - 0.3, places + 0.3, color=MUTED_COLOR, linewidth=2.5, label=floor_label
    )
    ax.vlines(places, table[f"{value}_low"], table[f"{value}_high"], color=colors, linewidth=2.5)
    ax.scatter(places, table[value], s=42, color=colors, zorder=3)
    # The number above the dot saves looking it up on the axis.
    tops = table[f"{value}_high"].fillna(table[value])
    for place, number, top in zip(places, table[value], tops, strict=True):
        ax.annotate(
            f"{number:.1%}" if percent else f"{number:.1f}",
            (place, top),
            (0, 5),
            textcoords="offset points",
            fontsize=8 if len(table) > 6 else 9,
            ha="center",
            color=INK_COLOR,
        )
    names = [
        f"{name}\nn = {count:,}" for name, count in zip(table["group"], table["n"], strict=True)
    ]
    ax.set_xticks(places, names, fontsize=8 if len(table) > 6 else 9)
    ax.set_xlim(-0.6, len(table) - 0.4)
    if percent:
        percent_ticks(ax.yaxis)
    else:
        ax.set_ylim(bottom=0)
    return label(ax, title, GROUP_TITLES[by], axis_title)

"""Figures of how the answers stand corrupted pictures."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from agegender.config import ACCENT_COLOR, MUTED_COLOR
from agegender.evaluation.corruptions import CORRUPTIONS
from agegender.evaluation.plots.style import (
    INK_COLOR,
    new_figure,
    percent_ticks,
    style_axes,
    title_above,
)
from agegender.evaluation.robustness import CLEAN
from agegender.evaluation.titles import titled

MEASURES = {
    "mae": ("Mean absolute age error, years", "Age error on corrupted pictures"),
    "accuracy": ("Gender accuracy", "Gender accuracy on corrupted pictures"),
}
"""What can be drawn: title of the axis, title of the figure."""

_ACROSS = 3


def plot_robustness(table: pd.DataFrame, measure: str) -> Figure:
    """Draw a figure against strength, a panel for each corruption, with 95% intervals.

    Args:
        table: What `robustness_table` returned.
        measure: One of `MEASURES`.

    Returns:
        A figure; the dashed line is the figure for the pictures as they are.

    Raises:
        ValueError: If there is no such measure.
    """
    if measure not in MEASURES:
        raise ValueError(f"cannot draw {measure!r}; choose one of {', '.join(MEASURES)}")
    axis_title, title = MEASURES[measure]
    [clean] = table[table["corruption"] == CLEAN].to_dict("records")
    shown = [one for one in CORRUPTIONS if one.name in set(table["corruption"])]
    down = math.ceil(len(shown) / _ACROSS)
    figure = new_figure(9.6, 0.7 + 2.3 * down)
    grid = figure.subplots(down, _ACROSS, sharey=True, squeeze=False)
    for ax in grid.flat[len(shown) :]:
        ax.set_axis_off()
    for ax, corruption in zip(grid.flat, shown, strict=False):
        style_axes(ax)
        rows = pd.concat([pd.DataFrame([clean]), table[table["corruption"] == corruption.name]])
        low, high = rows[f"{measure}_low"], rows[f"{measure}_high"]
        ax.axhline(clean[measure], linestyle="--", color=MUTED_COLOR, linewidth=1.2)
        ax.fill_between(rows["level"], low, high, color=ACCENT_COLOR, alpha=0.18, linewidth=0)
        ax.plot(rows["level"], rows[measure], "o-", color=ACCENT_COLOR, linewidth=2, markersize=4)
        strengths = [f"{strength:g}" for strength in corruption.strengths]
        ax.set_xticks(range(len(strengths) + 1), ["as is", *strengths], fontsize=8)
        ax.set_title(corruption.title, loc="left", fontsize=9.5, color=INK_COLOR)
        ax.set_xlabel(corruption.unit, fontsize=7.5, color=INK_COLOR)
        if measure == "accuracy":
            percent_ticks(ax.yaxis)
    if measure == "mae":
        grid[0, 0].set_ylim(bottom=0)
    figure.supylabel(axis_title, fontsize=9.5, color=INK_COLOR)
    title_above(figure, titled(title, int(clean["n"])))
    return figure

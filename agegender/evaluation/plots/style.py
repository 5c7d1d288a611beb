"""What the figures have in common: size, ink, grid, axes.

Figures are made without pyplot, whose state is shared by all threads.
"""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from agegender.config import MUTED_COLOR

INK_COLOR = "#24303b"
"""Text and axes; the HTML report turns it into the page's own text colour."""

PAPER_COLOR = "#fffffe"
"""White behind a figure; told apart from white text, so that the HTML report can drop it."""

# Names in an SVG are random otherwise: the same figure would be another file each time.
matplotlib.rcParams["svg.hashsalt"] = "agegender"

SIZE = (6.4, 4.2)
"""Width and height of every figure, in inches, so that they stand well side by side."""


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, of a width and height in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor=PAPER_COLOR)


def new_axes() -> Any:
    """Return the `matplotlib.axes.Axes` of a new figure, in the project's style."""
    return style_axes(new_figure(*SIZE).subplots())


def style_axes(ax: Any) -> Any:
    """Bring axes into the project's style, and return them."""
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED_COLOR)
    ax.tick_params(colors=INK_COLOR, labelsize=9, color=MUTED_COLOR)
    ax.grid(axis="y", color=MUTED_COLOR, alpha=0.22, linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def label(ax: Any, title: str, x: str, y: str) -> Figure:
    """Write title and axis titles, and a legend of all that has a label above the axes.

    Returns:
        The figure of the axes.
    """
    handles, names = ax.get_legend_handles_labels()
    if handles:
        box = ax.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.99),
            ncols=len(handles),
            frameon=False,
            fontsize=9,
            labelcolor=INK_COLOR,
            handlelength=1.2,
            columnspacing=1.4,
        )
        for handle in box.legend_handles:
            handle.set_alpha(1)
    pad = 26 if handles else 12
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK_COLOR, pad=pad)
    ax.set_xlabel(x, fontsize=9.5, color=INK_COLOR)
    ax.set_ylabel(y, fontsize=9.5, color=INK_COLOR)
    figure: Figure = ax.figure
    return figure


def title_above(figure: Figure, text: str) -> None:
    """Write the title of a whole figure above all of its axes."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK_COLOR)


def percent_ticks(axis: Any) -> None:
    """Write an axis of shares in percent."""
    # With as many decimals as tell the ticks apart: 92.5% is not 92%.
    axis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def count_ticks(axis: Any) -> None:
    """Write an axis of counts with commas between thousands."""
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))

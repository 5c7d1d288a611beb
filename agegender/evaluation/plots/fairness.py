"""Figures of who the model fails: crossed groups, gaps, age gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from agegender.config import AGE_BANDS, MUTED_COLOR
from agegender.evaluation.crossings import NO_GAPS, largest_gaps
from agegender.evaluation.plots.style import INK_COLOR, label, new_axes, percent_ticks
from agegender.evaluation.titles import (
    FIGURE_TITLES,
    GATE,
    GATE_COLORS,
    GATE_CURVES,
    VERDICT_COLORS,
    VERDICTS,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAPS_SHOWN = 12


def plot_crossing(groups: pd.DataFrame, figure: str) -> Figure:
    """Write a figure into a grid of race group and gender by age band.

    Args:
        groups: What `crossings.group_figures` returned.
        figure: "mae", "bias" or "accuracy".
    """
    ax = new_axes()
    part = groups[groups["crossing"] == "race_gender_band"]
    names = (part["race"] + ", " + part["gender"]).drop_duplicates().tolist()
    bands = [name for _, _, name in AGE_BANDS if (part["band"] == name).any()]
    grid = np.full((len(names), len(bands)), np.nan)
    for row in part.itertuples():
        place = names.index(f"{row.race}, {row.gender}"), bands.index(str(row.band))
        value = getattr(row, figure)
        # A handful of faces would take the darkest colours.
        grid[place] = np.nan if row.is_small else value
        text = f"{value:.0%}" if figure == "accuracy" else f"{value:.1f}"
        ax.annotate(
            f"{text}  (n = {row.n:,}{', few' if row.is_small else ''})",
            place[::-1],
            ha="center",
            va="center",
            fontsize=7.5,
            color=MUTED_COLOR if row.is_small else INK_COLOR,
        )
    # Pale, so that the numbers can be read; the darker the worse.
    colors = "Oranges_r" if figure == "accuracy" else "Oranges"
    ax.imshow(grid, cmap=colors, aspect="auto", alpha=0.45)
    ax.grid(visible=False)
    ax.set_xticks(range(len(bands)), bands)
    ax.set_yticks(range(len(names)), names)
    return label(ax, f"{FIGURE_TITLES[figure]}, by race group, gender and age band", "", "")


def plot_gaps(gaps: pd.DataFrame, figure: str) -> Figure:
    """Draw the largest gaps of a figure with their 95% intervals.

    Args:
        gaps: What `crossings.group_gaps` returned.
        figure: "mae", "bias" or "accuracy".
    """
    ax = new_axes()
    part = largest_gaps(gaps, figure, GAPS_SHOWN)
    for is_real, name in VERDICTS.items():
        rows = part[part["is_real"] == is_real]
        if rows.empty:
            continue
        color = VERDICT_COLORS[name]
        ax.hlines(rows.index, rows["low"], rows["high"], color=color, linewidth=2.5)
        ax.scatter(rows["gap"], rows.index, s=36, color=color, zorder=3, label=name)
    ax.axvline(0, color=INK_COLOR, linewidth=0.9)
    ax.grid(axis="x", color=MUTED_COLOR, alpha=0.22, linewidth=0.8)
    ax.set_yticks(
        range(len(part)),
        [f"{row.group} (n = {row.n:,})" for row in part.itertuples()],
        fontsize=8,
    )
    ax.set_ylim(max(len(part), 1) - 0.4, -0.6)
    if part.empty:
        ax.set_xticks([])
        ax.text(0.5, 0.5, NO_GAPS, transform=ax.transAxes, ha="center", fontsize=9, color=INK_COLOR)
    elif figure == "accuracy":
        percent_ticks(ax.xaxis)
    title = FIGURE_TITLES[figure]
    return label(ax, f"Largest gaps: {title}", f"{title}, the group's less the others'", "")


def plot_gate(curve: pd.DataFrame, gate: int, challenge: int | None) -> Figure:
    """Draw both errors of an age gate against its threshold.

    Args:
        curve: What `gates.gate_curve` returned.
        gate: The gate's age, in years.
        challenge: The challenge age, in years, if it is known.
    """
    ax = new_axes()
    for column, name in GATE_CURVES.items():
        ax.plot(
            curve["threshold"], curve[column], color=GATE_COLORS[column], linewidth=2, label=name
        )
    for threshold, name in ((gate, "gate"), (challenge, "challenge age")):
        if threshold is None:
            continue
        ax.axvline(threshold, color=MUTED_COLOR, linestyle=(0, (5, 4)), linewidth=1.2)
        ax.annotate(
            f" {name} {threshold}",
            (threshold, 0.97 if threshold == gate else 0.9),
            fontsize=8.5,
            color=INK_COLOR,
        )
    ax.set_ylim(0, 1.02)
    percent_ticks(ax.yaxis)
    return label(ax, GATE.what.format(gate), GATE.x, GATE.y)

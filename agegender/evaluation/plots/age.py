"""Figures of age errors."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from agegender.config import ACCENT_COLOR, GENDER_COLORS, GENDER_NAMES, MUTED_COLOR
from agegender.evaluation.distributions import bias_table, error_table, error_title, scatter_sample
from agegender.evaluation.metrics import group_table
from agegender.evaluation.plots.groups import plot_groups
from agegender.evaluation.plots.style import INK_COLOR, count_ticks, label, new_axes
from agegender.evaluation.titles import AGE_ERROR, AGE_SCATTER, RESIDUALS, titled


def plot_age_scatter(predictions: pd.DataFrame) -> Figure:
    """Draw predicted against true ages; the dashed line is where both agree.

    Args:
        predictions: As in `compute_metrics`.
    """
    ax = new_axes()
    shown = scatter_sample(predictions)
    oldest = 10 * math.ceil(max(shown["age"].max(), shown["age_pred"].max(), 10) / 10)
    _scatter(ax, shown, shown["age_pred"])
    ax.plot([0, oldest], [0, oldest], "--", color=INK_COLOR, linewidth=1.2)
    ax.set(xlim=(0, oldest), ylim=(0, oldest))
    title = titled(AGE_SCATTER.what, len(predictions), len(shown))
    return label(ax, title, AGE_SCATTER.x, AGE_SCATTER.y)


def plot_residuals(predictions: pd.DataFrame) -> Figure:
    """Draw the age error of every face against its age, and its mean by decade.

    Args:
        predictions: As in `compute_metrics`.
    """
    ax = new_axes()
    shown = scatter_sample(predictions)
    _scatter(ax, shown, shown["age_pred"] - shown["age"])
    means = bias_table(predictions)
    ax.axhline(0, linestyle="--", color=MUTED_COLOR, linewidth=1.2)
    ax.plot(means["age"], means["bias"], "o-", color=INK_COLOR, linewidth=2, markersize=5)
    title = titled(RESIDUALS.what, len(predictions), len(shown))
    return label(ax, title, RESIDUALS.x, RESIDUALS.y)


def plot_errors(predictions: pd.DataFrame) -> Figure:
    """Draw how often the predicted age is too low or too high, and by how much.

    Args:
        predictions: As in `compute_metrics`.
    """
    ax = new_axes()
    table = error_table(predictions)
    width = (table["error_to"] - table["error_from"]) * 0.9
    ax.bar(table["error_from"], table["n"], width, align="edge", color=ACCENT_COLOR)
    ax.axvline(0, linestyle="--", color=INK_COLOR, linewidth=1.2)
    count_ticks(ax.yaxis)
    title = titled("Age error", len(predictions))
    return label(ax, title, error_title(predictions), "Faces")


def plot_age_error(metrics: dict[str, Any], by: str) -> Figure:
    """Draw the mean absolute age error of groups, with 95% intervals and floors.

    Args:
        metrics: What `compute_metrics` returned.
        by: One of `GROUPINGS`.
    """
    age = metrics["age"]
    return plot_groups(
        group_table(age[f"by_{by}"]),
        "mae",
        by,
        title=titled(AGE_ERROR.what, metrics["n"]),
        axis_title=AGE_ERROR.y,
        percent=False,
        floor_label=AGE_ERROR.floor.format(age["floor_age"]),
    )


def _scatter(ax: Any, shown: pd.DataFrame, y: pd.Series[float]) -> None:
    """Draw a point for each face in its gender's colour; as pixels, for small SVG files."""
    for number, name in enumerate(GENDER_NAMES):
        chosen = shown["gender"] == number
        style = {"s": 11, "alpha": 0.45, "linewidths": 0, "rasterized": True}
        ax.scatter(
            shown.loc[chosen, "age"], y[chosen], color=GENDER_COLORS[name], label=name, **style
        )

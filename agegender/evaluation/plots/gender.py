"""Figures of gender answers."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from agegender.config import ACCENT_COLOR, GENDER_NAMES, MUTED_COLOR, WRONG_COLOR
from agegender.evaluation.metrics import group_table, reliability_table, roc_table
from agegender.evaluation.plots.groups import plot_groups
from agegender.evaluation.plots.style import label, new_axes, percent_ticks
from agegender.evaluation.titles import CALIBRATION, CONFUSION, GENDER_ACCURACY, ROC, Titles, titled


def plot_gender_accuracy(metrics: dict[str, Any], by: str) -> Figure:
    """Draw the gender accuracy of groups, with 95% intervals and floors.

    Args:
        metrics: What `compute_metrics` returned.
        by: One of `GROUPINGS`.
    """
    gender = metrics["gender"]
    return plot_groups(
        group_table(gender[f"by_{by}"]),
        "accuracy",
        by,
        title=titled(GENDER_ACCURACY.what, metrics["n"]),
        axis_title=GENDER_ACCURACY.y,
        percent=True,
        floor_label=GENDER_ACCURACY.floor.format(gender["floor_gender"]),
    )


def plot_confusion(metrics: dict[str, Any]) -> Figure:
    """Draw the confusion matrix of gender; rows are the truth and add up to 100%.

    Args:
        metrics: What `compute_metrics` returned.
    """
    ax = new_axes()
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    for row, counts in enumerate(metrics["gender"]["confusion_matrix"]):
        for column, count in enumerate(counts):
            color = ACCENT_COLOR if row == column else WRONG_COLOR
            ax.fill_between([column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=color)
            share = count / max(1, sum(counts))
            style = {"ha": "center", "color": "white"}
            ax.text(column, row - 0.06, f"{share:.1%}", fontsize=19, fontweight="bold", **style)
            ax.text(column, row + 0.16, f"{count:,}", fontsize=11, **style)
    places = range(len(GENDER_NAMES))
    ax.set_xticks(places, GENDER_NAMES, fontsize=10)
    ax.set_yticks(places, GENDER_NAMES, fontsize=10)
    ax.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
    return label(ax, titled(CONFUSION.what, metrics["n"]), CONFUSION.x, CONFUSION.y)


def plot_roc(predictions: pd.DataFrame) -> Figure:
    """Draw the ROC curve of telling "female" apart; the dashed line is guessing.

    Args:
        predictions: As in `compute_metrics`.
    """
    ax = new_axes()
    table = roc_table(predictions)
    ax.plot([0, 1], [0, 1], "--", color=MUTED_COLOR, linewidth=1.2)
    ax.plot(
        table["false_positive_rate"], table["true_positive_rate"], color=ACCENT_COLOR, linewidth=2
    )
    return _shares(ax, ROC, len(predictions))


def plot_calibration(predictions: pd.DataFrame) -> Figure:
    """Draw how often faces are female against how sure the model was; bars are 95% intervals.

    Args:
        predictions: As in `compute_metrics`.
    """
    ax = new_axes()
    table = reliability_table(predictions)
    ax.plot([0, 1], [0, 1], "--", color=MUTED_COLOR, linewidth=1.2)
    ax.vlines(table["predicted"], table["low"], table["high"], color=ACCENT_COLOR, linewidth=2)
    ax.plot(table["predicted"], table["observed"], "o-", color=ACCENT_COLOR, markersize=6)
    return _shares(ax, CALIBRATION, len(predictions))


def _shares(ax: Any, titles: Titles, count: int) -> Figure:
    """Give both axes 0 to 100%."""
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    percent_ticks(ax.xaxis)
    percent_ticks(ax.yaxis)
    return label(ax, titled(titles.what, count), titles.x, titles.y)

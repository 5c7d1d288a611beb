"""Figures of how sure the answers are."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from agegender.config import ACCENT_COLOR
from agegender.evaluation.metrics import group_table
from agegender.evaluation.plots.groups import plot_groups
from agegender.evaluation.plots.style import label, new_axes, percent_ticks
from agegender.evaluation.titles import COVERAGE, RISK, WIDTH, titled
from agegender.evaluation.uncertainty import risk_curve


def plot_coverage(metrics: dict[str, Any], by: str) -> Figure:
    """Draw the share of ages inside of their intervals by group, beside what is promised for all.

    Args:
        metrics: What `compute_metrics` returned, with intervals.
        by: One of `COVERAGE_GROUPINGS`.
    """
    groups = group_table(metrics["uncertainty"]["intervals"][f"by_{by}"])
    return plot_groups(
        groups.rename(columns={"promised": "floor_coverage"}),
        "coverage",
        by,
        title=titled(COVERAGE.what, metrics["n"]),
        axis_title=COVERAGE.y,
        percent=True,
        floor_label=COVERAGE.floor,
    )


def plot_width(metrics: dict[str, Any], by: str) -> Figure:
    """Draw the mean width of intervals by group, beside that of the same width for all.

    Args:
        metrics: What `compute_metrics` returned, with intervals.
        by: One of `COVERAGE_GROUPINGS`.
    """
    groups = group_table(metrics["uncertainty"]["intervals"][f"by_{by}"])
    return plot_groups(
        groups.rename(columns={"constant_width": "floor_width"}).astype({"floor_width": float}),
        "width",
        by,
        title=titled(WIDTH.what, metrics["n"]),
        axis_title=WIDTH.y,
        percent=False,
        floor_label=WIDTH.floor,
    )


def plot_risk_coverage(predictions: pd.DataFrame) -> Figure:
    """Draw how often genders are right if only the surest share of them is told.

    Args:
        predictions: As in `compute_metrics`.
    """
    ax = new_axes()
    curve = risk_curve(predictions)
    ax.plot(curve["share"], curve["accuracy"], color=ACCENT_COLOR, linewidth=2)
    ax.set(xlim=(-0.02, 1.02))
    percent_ticks(ax.xaxis)
    percent_ticks(ax.yaxis)
    return label(ax, titled(RISK.what, len(predictions)), RISK.x, RISK.y)

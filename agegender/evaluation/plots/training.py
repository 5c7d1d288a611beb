"""Learning curves of a run."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agegender.config import SPLIT_COLORS
from agegender.evaluation.plots.style import label, new_axes, percent_ticks
from agegender.evaluation.titles import HISTORY_TITLES


def plot_training(history: pd.DataFrame, measure: str) -> Figure:
    """Draw a curve of a training, for the train and the validation faces.

    Args:
        history: A run's metrics: `epoch` and, for the measure, `…` (train)
            and `val_…` (validation), a row for each epoch; may be empty.
        measure: One of `HISTORY_TITLES`.

    Raises:
        ValueError: If `measure` is not one of them.
    """
    if measure not in HISTORY_TITLES:
        raise ValueError(f"no curve {measure!r}; choose one of {', '.join(HISTORY_TITLES)}")
    ax = new_axes()
    for split, column in (("train", measure), ("validation", f"val_{measure}")):
        color = SPLIT_COLORS[split]
        ax.plot(history["epoch"], history[column], "o-", color=color, markersize=3.5, label=split)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if measure == "gender_accuracy":
        percent_ticks(ax.yaxis)
    title = HISTORY_TITLES[measure]
    return label(ax, f"{title.partition(',')[0]} in training", "Epoch", title)

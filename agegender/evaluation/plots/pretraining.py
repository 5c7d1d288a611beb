"""Curves of a pretraining."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agegender.config import SPLIT_COLORS
from agegender.evaluation.plots.style import SIZE, label, new_figure, percent_ticks, style_axes


def plot_pretraining(history: pd.DataFrame) -> Figure:
    """Draw the validation figures after each epoch, with the image sizes.

    Args:
        history: A pretraining's metrics, a row for each epoch: `epoch`,
            `size` (pixels), `age_mae` (years), `gender_accuracy` and
            `adult_gender_accuracy` (0..1).
    """
    figure = new_figure(2 * SIZE[0], SIZE[1])
    age, gender = (style_axes(ax) for ax in figure.subplots(1, 2))
    color = SPLIT_COLORS["validation"]
    age.plot(history["epoch"], history["age_mae"], "o-", color=color, markersize=3.5)
    for column, style, name in (
        ("gender_accuracy", "o-", "all ages"),
        ("adult_gender_accuracy", "o:", "18 and over"),
    ):
        gender.plot(
            history["epoch"], history[column], style, color=color, markersize=3.5, label=name
        )
    percent_ticks(gender.yaxis)
    new_size = history["size"].ne(history["size"].shift())
    for ax in (age, gender):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        for _, row in history[new_size].iterrows():
            ax.axvline(row["epoch"], color=color, alpha=0.35, linewidth=0.8)
            ax.annotate(
                f"{row['size']:.0f} px",
                (row["epoch"], 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -10),
                textcoords="offset points",
                fontsize=9,
            )
    label(age, "Age MAE on validation", "Epoch", "Age MAE, years")
    return label(gender, "Gender accuracy on validation", "Epoch", "Gender accuracy")

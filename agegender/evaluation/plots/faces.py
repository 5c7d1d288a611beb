"""Figures of the faces of a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agegender.config import GENDER_COLORS, RACE_COLORS
from agegender.evaluation.distributions import age_table, balance_table, race_table
from agegender.evaluation.plots.style import count_ticks, label, new_axes
from agegender.evaluation.titles import AGES, BALANCE, titled


def plot_age(faces: pd.DataFrame) -> Figure:
    """Draw how many faces there are of every age, by gender.

    Args:
        faces: Rows with `age` and `gender`.
    """
    ax = new_axes()
    bottom: Any = 0
    for gender, rows in age_table(faces).groupby("gender", sort=False):
        starts, counts = rows["age_from"].to_numpy(), rows["n"].to_numpy()
        width = (rows["age_to"] - rows["age_from"]).to_numpy() - 0.5
        color = GENDER_COLORS[str(gender)]
        ax.bar(starts, counts, width, bottom, align="edge", color=color, label=gender)
        bottom = bottom + counts
    count_ticks(ax.yaxis)
    return label(ax, titled(AGES.what, len(faces)), AGES.x, AGES.y)


def plot_race(faces: pd.DataFrame) -> Figure:
    """Draw how many faces there are of every race group.

    Args:
        faces: Rows with `race`.
    """
    ax = new_axes()
    table = race_table(faces)
    ax.bar(table["race"], table["n"], 0.7, color=[RACE_COLORS[name] for name in table["race"]])
    count_ticks(ax.yaxis)
    return label(ax, titled("Race group", len(faces)), "", "Faces")


def plot_balance(faces: pd.DataFrame) -> Figure:
    """Draw how many men and women there are in every age band.

    Args:
        faces: Rows with `age` and `gender`.
    """
    ax = new_axes()
    table = balance_table(faces)
    bands = list(dict.fromkeys(table["band"]))
    places = np.arange(len(bands))
    for number, (gender, color) in enumerate(GENDER_COLORS.items()):
        counts = table.loc[table["gender"] == gender, "n"]
        ax.bar(places + 0.38 * (number - 0.5), counts, 0.36, color=color, label=gender)
    ax.set_xticks(places, bands)
    count_ticks(ax.yaxis)
    return label(ax, titled(BALANCE.what, len(faces)), BALANCE.x, BALANCE.y)

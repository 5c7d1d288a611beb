"""Charts of the faces of a dataset."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from agegender.config import GENDER_NAMES, RACE_COLORS, SPLIT_COLORS, SPLIT_NAMES
from agegender.evaluation.charts.style import HEIGHT, color, count_tooltip, gender_color
from agegender.evaluation.distributions import age_table, balance_table, race_table
from agegender.evaluation.titles import AGES, BALANCE, titled


def age_chart(faces: pd.DataFrame) -> Any:
    """Draw how many faces there are of every age, by gender.

    Args:
        faces: Rows with `age` and `gender`.

    Returns:
        An `altair.Chart`, as every function here does.
    """
    return (
        alt.Chart(age_table(faces), title=titled(AGES.what, len(faces)), height=HEIGHT)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("age_from:Q", bin="binned", title=AGES.x),
            x2="age_to:Q",
            y=alt.Y("n:Q", title=AGES.y, stack=True),
            color=gender_color(),
            tooltip=[
                alt.Tooltip("age_from:Q", title="From age"),
                alt.Tooltip("age_to:Q", title="To below"),
                alt.Tooltip("gender:N", title="Gender"),
                count_tooltip(),
            ],
        )
    )


def race_chart(faces: pd.DataFrame) -> Any:
    """Draw how many faces there are of every race group.

    Args:
        faces: Rows with `race`.
    """
    return (
        alt.Chart(race_table(faces), title=titled("Race group", len(faces)), height=HEIGHT)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("n:Q", title="Faces"),
            y=alt.Y("race:N", sort=None, title=None),
            color=color("race", RACE_COLORS, legend=None),
            tooltip=[
                alt.Tooltip("race:N", title="Race group"),
                count_tooltip(),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
            ],
        )
    )


def balance_chart(faces: pd.DataFrame) -> Any:
    """Draw how many men and women there are in every age band.

    Args:
        faces: Rows with `age` and `gender`.
    """
    title = titled(BALANCE.what, len(faces))
    return (
        alt.Chart(balance_table(faces), title=title, height=HEIGHT)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("band:N", sort=None, title=BALANCE.x, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("gender:N", sort=list(GENDER_NAMES)),
            y=alt.Y("n:Q", title=BALANCE.y),
            color=gender_color(),
            tooltip=[
                alt.Tooltip("band:N", title="Age band"),
                alt.Tooltip("gender:N", title="Gender"),
                count_tooltip(),
            ],
        )
    )


def split_chart(faces: pd.DataFrame) -> Any:
    """Draw how many faces each split has.

    Args:
        faces: Rows with `split`; those that are set aside are not shown.
    """
    counts = faces["split"].value_counts().reindex(SPLIT_NAMES, fill_value=0)
    table = pd.DataFrame({"split": SPLIT_NAMES, "n": counts.to_numpy()})
    return (
        alt.Chart(table, title=titled("Split", int(table["n"].sum())), height=HEIGHT)
        .mark_bar(cornerRadiusEnd=3)
        .encode(
            x=alt.X("n:Q", title="Faces"),
            y=alt.Y("split:N", sort=None, title=None),
            color=color("split", SPLIT_COLORS, legend=None),
            tooltip=[alt.Tooltip("split:N", title="Split"), count_tooltip()],
        )
    )

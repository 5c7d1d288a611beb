"""Learning curves of a run."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from agegender.config import SPLIT_COLORS
from agegender.evaluation.charts.style import HEIGHT, color, percent_axis
from agegender.evaluation.titles import HISTORY_TITLES


def training_chart(history: pd.DataFrame, measure: str) -> Any:
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
    share = measure == "gender_accuracy"
    table = pd.concat(
        [
            pd.DataFrame({"epoch": history["epoch"], "value": history[column], "split": split})
            for split, column in (("train", measure), ("validation", f"val_{measure}"))
        ],
        ignore_index=True,
    )
    title = HISTORY_TITLES[measure]
    y = alt.Y(
        "value:Q",
        title=title,
        scale=alt.Scale(zero=False),
        axis=percent_axis(decimals=1) if share else alt.Axis(),
    )
    colors = {name: SPLIT_COLORS[name] for name in ("train", "validation")}
    return (
        alt.Chart(table, title=title.partition(",")[0], height=HEIGHT)
        .mark_line(strokeWidth=2.5, point={"size": 30})
        .encode(
            x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d")),
            y=y,
            color=color("split", colors),
            tooltip=[
                alt.Tooltip("epoch:Q", title="Epoch"),
                alt.Tooltip("split:N", title="Split"),
                alt.Tooltip("value:Q", title=title, format=".1%" if share else ".3f"),
            ],
        )
    )

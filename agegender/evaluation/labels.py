"""Words that charts, figures and tables share."""

from __future__ import annotations

GROUP_TITLES = {
    "band": "Age band, years",
    "decade": "Age, years",
    "race": "Race group",
    "gender": "Gender",
    "race_and_gender": "Race group and gender",
    "band_and_gender": "Age band and gender",
    "range": "Ages, years",
}

HISTORY_TITLES = {
    "loss": "Loss",
    "age_mae": "Age MAE, years",
    "gender_accuracy": "Gender accuracy",
}
"""Curves of a training, with the titles of their axes."""


def titled(text: str, count: int, shown: int | None = None) -> str:
    """Title a figure with the number of faces behind it.

    Args:
        text: What it shows.
        count: Faces that it is about.
        shown: Faces that are drawn, if it cannot draw all of them.
    """
    drawn = f", {shown:,} drawn" if shown is not None and shown < count else ""
    return f"{text} (n = {count:,}{drawn})"

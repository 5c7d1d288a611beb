"""Words that charts, figures and tables share."""

from __future__ import annotations

from agegender.config import ACCENT_COLOR, GENDER_COLORS, MUTED_COLOR, WRONG_COLOR

GROUP_TITLES = {
    "band": "Age band, years",
    "decade": "Decade of age, years",
    "predicted_decade": "Predicted age, years",
    "race": "Race group",
    "gender": "Gender",
    "race_and_gender": "Race group and gender",
    "band_and_gender": "Age band and gender",
    "range": "Ages, years",
}

CROSSING_TITLES = {
    "race": "Race group",
    "gender": "Gender",
    "band": "Age band",
    "race_gender": "Race group and gender",
    "race_band": "Race group and age band",
    "gender_band": "Gender and age band",
    "race_gender_band": "All three",
}

FIGURE_TITLES = {
    "mae": "Age MAE, years",
    "bias": "Age bias, years",
    "accuracy": "Gender accuracy",
}
"""What is compared between groups (see `crossings.FIGURES`)."""

VERDICTS = {True: "significant", False: "not significant"}
"""Of a gap, by whether it is real."""

VERDICT_COLORS = {VERDICTS[True]: ACCENT_COLOR, VERDICTS[False]: MUTED_COLOR}

GATE_CURVES = {
    "false_accept": "under age, accepted",
    "near_false_accept": "just under age, accepted",
    "false_reject": "of age, rejected",
}
"""Curves of an age gate."""

GATE_COLORS = {
    "false_accept": WRONG_COLOR,
    "near_false_accept": GENDER_COLORS["female"],
    "false_reject": ACCENT_COLOR,
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

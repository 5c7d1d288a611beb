"""Titles, names and colours that charts, figures and tables share."""

from __future__ import annotations

from typing import NamedTuple

from agegender.config import ACCENT_COLOR, GENDER_COLORS, MUTED_COLOR, WRONG_COLOR


class Titles(NamedTuple):
    """What a chart of the pages and the report's figure of the same thing say.

    Attributes:
        what: What is shown.
        x: Title of the axis along.
        y: Title of the axis up.
    """

    what: str
    x: str
    y: str


AGES = Titles("Age", "Age, years", "Faces")
BALANCE = Titles("Balance of age and gender", "Age band, years", "Faces")
AGE_SCATTER = Titles("Predicted and true age", "True age, years", "Predicted age, years")
RESIDUALS = Titles(
    "Age error and its mean by decade", "True age, years", "Predicted minus true age, years"
)
CONFUSION = Titles("Gender: true and predicted", "Predicted", "True")
ROC = Titles("ROC curve of gender", "Males called female", "Females called female")
CALIBRATION = Titles(
    "Calibration of gender", "Predicted probability of female", "Share that is female"
)
RISK = Titles(
    "Gender told only when sure", "Share of faces answered, the surest first", "Accuracy of these"
)


class FloorTitles(NamedTuple):
    """The same of a figure by group, beside a floor.

    Attributes:
        what: What is shown.
        y: Title of the axis up; the one along is one of `GROUP_TITLES`.
        floor: What the grey mark means; `{}` stands for what is said to every face.
    """

    what: str
    y: str
    floor: str


AGE_ERROR = FloorTitles("Mean absolute age error", "MAE, years", "no skill: always {:.0f} years")
GENDER_ACCURACY = FloorTitles("Gender accuracy", "Gender accuracy", "no skill: always {}")
COVERAGE = FloorTitles(
    "Ages inside of their 90% intervals", "Coverage", "promised for all together"
)
WIDTH = FloorTitles("Width of the 90% intervals", "Mean width, years", "the same width for all")

GROUP_TITLES = {
    "band": "Age band, years",
    "decade": "Decade of age, years",
    "predicted_decade": "Predicted age, years",
    "race": "Race group",
    "gender": "Gender",
    "race_and_gender": "Race group and gender",
    "band_and_gender": "Age band and gender",
    "decade_and_gender": "Decade of age and gender",
    "race_and_decade": "Race group and decade of age",
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

GATE = Titles("{} or over", "Threshold of the predicted age, years", "Share")
"""Of an age gate, whose age goes into the first."""

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

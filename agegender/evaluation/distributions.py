"""Counts of faces, laid out for the charts of the pages and the figures of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from agegender.config import GENDER_NAMES, RACE_NAMES, SEED
from agegender.evaluation.groups import group_of

AGE_BIN_YEARS = 5
ERROR_BIN_YEARS = 2

WIDEST_ERROR_YEARS = 40
"""Larger errors are counted in the outermost bins of a histogram of errors."""

MOST_POINTS = 4000
"""Points that a scatter shows at most; more only hide each other and slow the page."""


def age_table(faces: pd.DataFrame) -> pd.DataFrame:
    """Count faces by age and gender.

    Args:
        faces: Rows with `age` (years) and `gender`.

    Returns:
        `age_from` (inclusive), `age_to` (exclusive), `gender` (a name), `n`;
        bins of `AGE_BIN_YEARS`, from birth to the oldest face, none left out.
    """
    bins = faces["age"].to_numpy() // AGE_BIN_YEARS
    size = int(bins.max(initial=0)) + 1
    genders = faces["gender"].to_numpy()
    starts = np.arange(size) * AGE_BIN_YEARS
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "age_from": starts,
                    "age_to": starts + AGE_BIN_YEARS,
                    "gender": name,
                    "n": np.bincount(bins[genders == number], minlength=size),
                }
            )
            for number, name in enumerate(GENDER_NAMES)
        ],
        ignore_index=True,
    )


def race_table(faces: pd.DataFrame) -> pd.DataFrame:
    """Count faces by race group: `race` (a name), `n`, `share` (0..1); every group has a row."""
    counts = np.bincount(faces["race"].to_numpy(), minlength=len(RACE_NAMES))
    return pd.DataFrame({"race": RACE_NAMES, "n": counts, "share": counts / max(1, len(faces))})


def balance_table(faces: pd.DataFrame) -> pd.DataFrame:
    """Count faces by age band and gender: `band`, `gender` (names), `n`; every pair has a row."""
    bands, genders = group_of(faces, "band"), group_of(faces, "gender")
    table = pd.crosstab(bands, genders, dropna=False)
    rows = [
        (band, gender, int(table.loc[band, gender]))
        for band in bands.categories
        for gender in genders.categories
    ]
    return pd.DataFrame(rows, columns=["band", "gender", "n"])


def error_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Count faces by signed age error.

    Args:
        predictions: Rows with `age` and `age_pred`, in years.

    Returns:
        `error_from`, `error_to` (predicted minus true age, years), `n`; one
        bin is centred on zero, and the outermost hold all that lies beyond.
    """
    errors = (predictions["age_pred"] - predictions["age"]).to_numpy()
    outermost = WIDEST_ERROR_YEARS // ERROR_BIN_YEARS
    bins = np.clip(np.rint(errors / ERROR_BIN_YEARS), -outermost, outermost).astype(int)
    numbers = np.arange(bins.min(initial=0), bins.max(initial=0) + 1)
    return pd.DataFrame(
        {
            "error_from": (numbers - 0.5) * ERROR_BIN_YEARS,
            "error_to": (numbers + 0.5) * ERROR_BIN_YEARS,
            "n": np.bincount(bins - numbers[0], minlength=len(numbers)),
        }
    )


def error_title(predictions: pd.DataFrame) -> str:
    """Name the axis of `error_table`, and say so where its ends hold more than they show."""
    errors = (predictions["age_pred"] - predictions["age"]).abs()
    title = "Predicted minus true age, years"
    if (errors > WIDEST_ERROR_YEARS + ERROR_BIN_YEARS / 2).any():
        title += f" (outermost: {WIDEST_ERROR_YEARS} and more)"
    return title


def bias_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Average the signed age error by decade: `age` (mean, years), `bias` (years), `n`."""
    decades = group_of(predictions, "decade")
    rows = []
    for name in decades.categories:
        part = predictions[decades == name]
        if len(part):
            bias = float((part["age_pred"] - part["age"]).mean())
            rows.append((float(part["age"].mean()), bias, len(part)))
    return pd.DataFrame(rows, columns=["age", "bias", "n"])


def scatter_sample(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return all rows, or `MOST_POINTS` of them, the same at every call."""
    if len(predictions) <= MOST_POINTS:
        return predictions
    return predictions.sample(MOST_POINTS, random_state=SEED)

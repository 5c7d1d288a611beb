"""How far labels are from what a model that has not seen them says.

Age labels are scored by their residual over the error that is usual where the
model gives such an answer, as in locally weighted conformal prediction (Lei et
al., "Distribution-Free Predictive Inference for Regression", JASA 2018): five
years are much for a small child and nothing for an old face. Gender labels are
scored by self-confidence, the probability that the model gives the label
(Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021). Both count by
their rank alone, so that neither the scale of the scores nor how sure the model
is on the whole decides which faces come first; labels that the model does not
contradict come after all that it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import GENDER_NAMES
from agegender.dataset.split import LABEL_TOLERANCE_YEARS
from agegender.prediction.words import confidence_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

FACES_PER_BIN = 50
MOST_BINS = 50
"""Bins of the predicted age in which the usual error is measured."""

INTERVAL_SHARE = 0.9
"""Share of the labels that lie in the interval given with each answer."""

HEADS = ("age", "gender")


def usual_error(predicted: FloatArray, error: FloatArray) -> FloatArray:
    """Return how far off answers like each one usually are.

    Args:
        predicted: Ages in years, shape (n,), n at least 1.
        error: Their absolute errors in years, shape (n,).

    Returns:
        Years, shape (n,): the median error of answers near each one, at least
        `LABEL_TOLERANCE_YEARS`, since labels themselves are no finer.
    """
    bins = np.clip(len(predicted) // FACES_PER_BIN, 1, MOST_BINS)
    parts = np.array_split(np.argsort(predicted, kind="stable"), bins)
    centres = [predicted[part].mean() for part in parts]
    medians = [np.median(error[part]) for part in parts]
    return np.maximum(np.interp(predicted, centres, medians), LABEL_TOLERANCE_YEARS)


def rank_labels(faces: pd.DataFrame) -> pd.DataFrame:
    """Put the faces in order, the most suspicious label first.

    Args:
        faces: At least one row, with the labels `age` (years) and `gender`
            and, from a model that has not seen them, `age_pred` (years) and
            `p_female` (0..1).

    Returns:
        The rows in order, numbered from 0, with `age_score` (absolute residual
        over the usual error), `gender_score` (1 less the probability of the
        label), `head` ("age" or "gender", whichever label is the more
        suspicious), `age_low` and `age_high` (years; 90% of the labels lie
        between theirs).
    """
    predicted = faces["age_pred"].to_numpy(np.float64)
    error = np.abs(faces["age"].to_numpy(np.float64) - predicted)
    usual = usual_error(predicted, error)
    age_score = error / usual
    most = np.quantile(age_score, INTERVAL_SHARE)
    p_female = faces["p_female"].to_numpy(np.float64)
    gender_score = np.where(faces["gender"] == GENDER_NAMES.index("female"), 1 - p_female, p_female)
    places = np.stack(
        [_places(age_score, age_score > most), _places(gender_score, gender_score > 0.5)]
    )
    scored = faces.assign(
        age_score=age_score,
        gender_score=gender_score,
        head=np.array(HEADS)[places.argmin(axis=0)],
        age_low=np.maximum(predicted - most * usual, 0),
        age_high=predicted + most * usual,
    )
    # By the better place; of two equal ones, by the other.
    order = np.lexsort((places.max(axis=0), places.min(axis=0)))
    return scored.iloc[order].reset_index(drop=True)


def _places(scores: FloatArray, contradicted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number scores from 0, the highest first; those of labels not contradicted start at n."""
    places = np.empty(len(scores), np.int64)
    places[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return np.where(contradicted, places, places + len(scores))


def exclusions(suspects: pd.DataFrame) -> pd.DataFrame:
    """Make a list for `dataset.exclusion` of faces, with the reason for each.

    Args:
        suspects: Some rows of what `rank_labels` returned, with `file` and `sha256`.
    """
    reasons = [_reason(row) for row in suspects.to_dict("records")]
    return suspects[["file", "sha256"]].assign(reason=reasons)


def _reason(row: Mapping[Any, Any]) -> str:
    """Say in a few words what is suspicious about a label."""
    if row["head"] == "age":
        return (
            f"labelled {row['age']} years, predicted {row['age_pred']:.0f} "
            f"({row['age_low']:.0f} to {row['age_high']:.0f})"
        )
    label, other = GENDER_NAMES[row["gender"]], GENDER_NAMES[1 - row["gender"]]
    return f"labelled {label}, predicted {other} with {confidence_words(row['gender_score'])}"

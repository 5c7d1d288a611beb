"""Every figure of an evaluation, computed from the table of predictions alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import ADULT_AGE_YEARS, GENDER_NAMES, SEED
from agegender.evaluation.groups import AGE_RANGES, GROUPINGS, group_of
from agegender.evaluation.intervals import bootstrap_mean, share_difference, wilson
from agegender.evaluation.uncertainty import compute_uncertainty

if TYPE_CHECKING:
    from agegender.dataset.dataset import Dataset

CS_YEARS = 5
"""An age counts as hit in CS@5 (cumulative score) when it is off by no more years."""

SMALLEST_COMPARED_GROUP = 30
"""Smaller groups are left out when the largest gap between groups is sought."""

RELIABILITY_BINS = 10


@dataclass(frozen=True)
class Floors:
    """What an answerer with no skill says: the same for every face.

    Attributes:
        age: The median age, in years.
        gender: The more frequent gender, as a number (see `GENDER_NAMES`).
    """

    age: float
    gender: int


def floors_of(faces: pd.DataFrame) -> Floors:
    """Take the zero-skill answers from the labels of faces, best of the training split.

    Args:
        faces: At least one row with `age` and `gender`.
    """
    return Floors(
        float(faces["age"].median()), int(np.bincount(faces["gender"].to_numpy()).argmax())
    )


def training_floors(dataset: Dataset) -> Floors | None:
    """Return the zero-skill answers of a dataset's training split, or None if it is empty."""
    train = dataset.of("train")
    return None if train.empty else floors_of(train)


def compute_metrics(
    predictions: pd.DataFrame,
    *,
    floors: Floors | None = None,
    constant: float | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Compute every figure of an evaluation.

    Args:
        predictions: One row for each face: `age`, `gender`, `race` (true) and
            `age_pred` (years), `p_female` (0..1), `gender_pred`.
        floors: The zero-skill answers to compare with; those of the same
            faces by default.
        constant: Half the width of the constant interval to compare age
            intervals with (see `uncertainty.constant_half_width`).
        seed: Seed of the bootstrap.

    Returns:
        A dictionary of plain numbers, lists and dictionaries, fit for JSON.
        `n`; under `age` the mean absolute error `mae` in years with `mae_std`
        (of the absolute errors) and `mae_ci95`, `median_error` (absolute),
        `bias` (positive: too old), `cs5`, `floor_mae`; under `gender`
        `accuracy` with `accuracy_ci95`, `adult_accuracy`, `precision`,
        `recall` and `f1` by class, `auc`, `calibration_error`,
        `confusion_matrix` (rows true, columns predicted, in the order of
        `GENDER_NAMES`), `race_gap`, `floor_accuracy`; shares are 0..1. Both
        have `by_band`, `by_decade`, `by_race` and so on, and `by_range`. What
        cannot be computed (an empty group, one gender only) is None. Under
        `uncertainty`, what `compute_uncertainty` returns.

    Raises:
        ValueError: If there are no predictions.
    """
    if predictions.empty:
        raise ValueError("there are no predictions to compute figures from")
    floors = floors or floors_of(predictions)
    age: dict[str, Any] = {**_age_figures(predictions, floors, seed), "floor_age": floors.age}
    gender: dict[str, Any] = {
        **_gender_figures(predictions, floors),
        **_adult_figures(predictions, floors),
        **_class_figures(predictions),
        "calibration_error": _calibration_error(predictions),
        "floor_gender": GENDER_NAMES[floors.gender],
    }
    for by in GROUPINGS:
        parts = _parts(predictions, by)
        age[f"by_{by}"] = {name: _age_figures(part, floors, seed) for name, part in parts.items()}
        gender[f"by_{by}"] = {name: _gender_figures(part, floors) for name, part in parts.items()}
    ranges = {
        name: predictions[predictions["age"].between(youngest, oldest)]
        for youngest, oldest, name in AGE_RANGES
    }
    age["by_range"] = {name: _age_figures(part, floors, seed) for name, part in ranges.items()}
    gender["by_range"] = {name: _gender_figures(part, floors) for name, part in ranges.items()}
    gender["race_gap"] = _largest_gap(_parts(predictions, "race"))
    uncertainty = compute_uncertainty(predictions, constant=constant, seed=seed)
    return {"n": len(predictions), "age": age, "gender": gender, "uncertainty": uncertainty}


def group_table(figures: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Lay the figures of groups out as a table.

    Args:
        figures: One of the `by_…` dictionaries of `compute_metrics`.

    Returns:
        A row for each group that holds a face, in order: `group`, `n`, the
        figures, and in place of an interval `…_ci95` its ends `…_low` and
        `…_high`, NaN where there is none.
    """
    rows = []
    for name, values in figures.items():
        if not values["n"]:
            continue
        row: dict[str, Any] = {"group": name}
        for key, value in values.items():
            if key.endswith("_ci95"):
                stem = key.removesuffix("_ci95")
                row[f"{stem}_low"], row[f"{stem}_high"] = value or (math.nan, math.nan)
            else:
                row[key] = value
        rows.append(row)
    return pd.DataFrame(rows)


def roc_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Trace the ROC curve of telling "female" apart.

    Args:
        predictions: As in `compute_metrics`.

    Returns:
        `false_positive_rate`, `true_positive_rate` and `threshold` (of
        `p_female`); no row when only one gender is there.
    """
    from sklearn.metrics import roc_curve

    columns = ["false_positive_rate", "true_positive_rate", "threshold"]
    if predictions["gender"].nunique() < 2:
        return pd.DataFrame(columns=columns, dtype=float)
    false_rate, true_rate, threshold = roc_curve(predictions["gender"], predictions["p_female"])
    # The first threshold is infinite: nothing is called female.
    return pd.DataFrame(
        dict(zip(columns, (false_rate, true_rate, np.minimum(threshold, 1.0)), strict=True))
    )


def reliability_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Compare how sure the gender answers are with how often they are right.

    The bins are those of a reliability diagram (Guo et al., "On Calibration of
    Modern Neural Networks", ICML 2017) over the probability of female.

    Args:
        predictions: As in `compute_metrics`.

    Returns:
        A row for each bin that holds a face: `n`, `predicted` (mean
        probability of female), `observed` (share of women and girls), `low`,
        `high` (95% interval of the latter).
    """
    probability = predictions["p_female"].to_numpy()
    female = predictions["gender"].to_numpy() == 1
    bins = np.minimum((probability * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    rows = []
    for number in np.unique(bins):
        chosen = bins == number
        count, hits = int(chosen.sum()), int(female[chosen].sum())
        low, high = wilson(hits, count)
        rows.append((count, float(probability[chosen].mean()), hits / count, low, high))
    return pd.DataFrame(rows, columns=["n", "predicted", "observed", "low", "high"])


def _parts(predictions: pd.DataFrame, by: str) -> dict[str, pd.DataFrame]:
    """Cut the table into its groups, empty ones included, in order."""
    groups = group_of(predictions, by)
    return {str(name): predictions[groups == name] for name in groups.categories}


def _number(value: float) -> float | None:
    """Round for a file that people read; JSON has no word for "not a number"."""
    return round(float(value), 6) if math.isfinite(value) else None


def _interval(ends: tuple[float, float]) -> list[float] | None:
    # Of too few values it is not known.
    return None if math.isnan(ends[0]) else [round(float(end), 6) for end in ends]


def _age_figures(part: pd.DataFrame, floors: Floors, seed: int) -> dict[str, Any]:
    if part.empty:
        names = ("mae", "mae_std", "mae_ci95", "median_error", "bias", "cs5", "floor_mae")
        return {"n": 0, **dict.fromkeys(names)}
    true = part["age"].to_numpy(dtype=np.float64)
    residuals = part["age_pred"].to_numpy(dtype=np.float64) - true
    errors = np.abs(residuals)
    return {
        "n": len(part),
        "mae": _number(errors.mean()),
        "mae_std": _number(errors.std()),
        "mae_ci95": _interval(bootstrap_mean(errors, seed=seed)),
        "median_error": _number(float(np.median(errors))),
        "bias": _number(residuals.mean()),
        "cs5": _number((errors <= CS_YEARS).mean()),
        "floor_mae": _number(np.abs(true - floors.age).mean()),
    }


def _gender_figures(part: pd.DataFrame, floors: Floors) -> dict[str, Any]:
    if part.empty:
        return {"n": 0, "accuracy": None, "accuracy_ci95": None, "floor_accuracy": None}
    hits = int((part["gender"] == part["gender_pred"]).sum())
    return {
        "n": len(part),
        "accuracy": _number(hits / len(part)),
        "accuracy_ci95": _interval(wilson(hits, len(part))),
        "floor_accuracy": _number(float((part["gender"] == floors.gender).mean())),
    }


def _adult_figures(predictions: pd.DataFrame, floors: Floors) -> dict[str, Any]:
    adults = predictions[predictions["age"] >= ADULT_AGE_YEARS]
    return {f"adult_{key}": value for key, value in _gender_figures(adults, floors).items()}


def _class_figures(predictions: pd.DataFrame) -> dict[str, Any]:
    # Takes a second to import, which a page that draws charts of a dataset need not wait for.
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

    true, answered = predictions["gender"], predictions["gender_pred"]
    numbers = list(range(len(GENDER_NAMES)))
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, answered, labels=numbers, zero_division=np.nan
    )
    by_class = {
        key: {name: _number(value) for name, value in zip(GENDER_NAMES, values, strict=True)}
        for key, values in (("precision", precision), ("recall", recall), ("f1", f1))
    }
    both = true.nunique() == len(GENDER_NAMES)
    return {
        **by_class,
        "auc": _number(roc_auc_score(true, predictions["p_female"])) if both else None,
        "confusion_matrix": confusion_matrix(true, answered, labels=numbers).tolist(),
    }


def _calibration_error(predictions: pd.DataFrame) -> float | None:
    """Return the expected calibration error: the mean gap of the reliability bins."""
    bins = reliability_table(predictions)
    gaps = (bins["predicted"] - bins["observed"]).abs()
    return _number(float(np.average(gaps, weights=bins["n"])))


def _largest_gap(parts: dict[str, pd.DataFrame]) -> dict[str, Any] | None:
    """Find the largest difference in gender accuracy between two groups.

    The interval allows for the two groups having been picked as best and worst.
    """
    counts = {
        name: (int((part["gender"] == part["gender_pred"]).sum()), len(part))
        for name, part in parts.items()
        if len(part) >= SMALLEST_COMPARED_GROUP
    }
    if len(counts) < 2:
        return None
    ordered = sorted(counts, key=lambda name: counts[name][0] / counts[name][1])
    worst, best = ordered[0], ordered[-1]
    (best_hits, best_count), (worst_hits, worst_count) = counts[best], counts[worst]
    pairs = math.comb(len(counts), 2)
    ends = share_difference(best_hits, best_count, worst_hits, worst_count, pairs=pairs)
    return {
        "gap": _number(best_hits / best_count - worst_hits / worst_count),
        "gap_ci95": _interval(ends),
        "best": best,
        "worst": worst,
    }

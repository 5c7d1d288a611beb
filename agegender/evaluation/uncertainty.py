"""Whether the answers are as sure as they say: coverage, risk, unfamiliar faces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import SEED
from agegender.evaluation.groups import group_of
from agegender.evaluation.intervals import bootstrap_mean, wilson
from agegender.model.answer import answered_gender, probability_of
from agegender.uncertainty.intervals import MISS, clip_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.training.run import Run

PROMISED = 1 - MISS
"""Share of ages that lie inside of their intervals."""

COVERAGE_GROUPINGS = ("predicted_decade", "decade", "gender", "race")
"""By what coverage is broken down: reported, since it is promised on average over all alone."""

UNSURE_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Least confidences at which a gender is answered, in the table of risk and coverage."""

_DIGITS = 6


def constant_half_width(run: Run) -> float | None:
    """Return half the width of an interval that is as wide for every face.

    It is made of the same calibration faces, to compare the run's own with.

    Args:
        run: A trained run.

    Returns:
        Years; None where the run has no intervals.

    Raises:
        ModelNotFoundError, InvalidModelError: If its file is damaged.
    """
    uncertainty = run.load_uncertainty()
    if uncertainty is None or uncertainty.intervals is None:
        return None
    return uncertainty.intervals.constant


def compute_uncertainty(
    predictions: pd.DataFrame, *, constant: float | None = None, seed: int = SEED
) -> dict[str, Any]:
    """Compute how well the answers know how sure they are.

    Args:
        predictions: As in `compute_metrics`; `age_low`, `age_high` and
            `unfamiliar` may be missing or unknown.
        constant: What `constant_half_width` returned.
        seed: Seed of the bootstrap.

    Returns:
        Plain numbers: under `intervals`, None without any, `all` and `by_…`
        of `COVERAGE_GROUPINGS` with `n`, `coverage`, `coverage_ci95`
        (Wilson), `is_as_promised` (whether that holds `promised`; intervals that
        are too wide are not as promised either), `promised`, mean `width`
        in years with `width_ci95` and that of the constant interval,
        `constant_width`; under `risk_coverage` a row for each of
        `UNSURE_THRESHOLDS`; under `unfamiliar`, None where unknown, `n`,
        `flagged`, `share`, `share_ci95`.
    """
    return {
        "intervals": _intervals(predictions, constant, seed),
        "risk_coverage": [risk_at(predictions, threshold) for threshold in UNSURE_THRESHOLDS],
        "unfamiliar": _unfamiliar(predictions),
    }


def risk_at(predictions: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """Count what is answered, and how often rightly, if the gender is told only when sure.

    Selective classification (El-Yaniv and Wiener, JMLR 2010).

    Args:
        predictions: With `gender`, `gender_pred` and `p_female`.
        threshold: Least confidence, 0.5 to 1.

    Returns:
        `threshold`, `answered` (faces), `share` of all, `accuracy` of the
        answered with `accuracy_ci95`; None where nothing is answered.
    """
    answered = predictions[_confidence(predictions) >= threshold]
    count = len(answered)
    hits = int((answered["gender"] == answered["gender_pred"]).sum())
    return {
        "threshold": threshold,
        "answered": count,
        "share": round(count / len(predictions), _DIGITS),
        "accuracy": round(hits / count, _DIGITS) if count else None,
        "accuracy_ci95": _rounded(wilson(hits, count)) if count else None,
    }


def risk_curve(predictions: pd.DataFrame) -> pd.DataFrame:
    """Trace accuracy against the share that is answered, the surest first.

    Args:
        predictions: With `gender`, `gender_pred` and `p_female`.

    Returns:
        A row for each distinct confidence: `threshold`, `share`, `accuracy`.
    """
    confidence = _confidence(predictions)
    order = np.argsort(-confidence, kind="stable")
    right = (predictions["gender"] == predictions["gender_pred"]).to_numpy()[order]
    counts = np.arange(1, len(order) + 1)
    curve = pd.DataFrame(
        {
            "threshold": confidence[order],
            "share": counts / len(order),
            "accuracy": np.cumsum(right) / counts,
        }
    )
    # Faces that are equally sure are answered together.
    return curve.drop_duplicates("threshold", keep="last").reset_index(drop=True)


def _confidence(predictions: pd.DataFrame) -> NDArray[np.float64]:
    p_female = predictions["p_female"].to_numpy(np.float64)
    return np.asarray(probability_of(answered_gender(p_female), p_female), np.float64)


def _intervals(
    predictions: pd.DataFrame, constant: float | None, seed: int
) -> dict[str, Any] | None:
    if "age_low" not in predictions or predictions["age_low"].isna().any():
        return None
    result: dict[str, Any] = {"all": _coverage(predictions, constant, seed)}
    for by in COVERAGE_GROUPINGS:
        groups = _groups(predictions, by)
        result[f"by_{by}"] = {
            str(name): _coverage(predictions[groups == name], constant, seed)
            for name in groups.categories
        }
    return result


def _groups(predictions: pd.DataFrame, by: str) -> pd.Categorical[Any]:
    if by == "predicted_decade":
        answered = predictions.assign(age=predictions["age_pred"].astype(int))
        return group_of(answered, "decade")
    return group_of(predictions, by)


def _coverage(part: pd.DataFrame, constant: float | None, seed: int) -> dict[str, Any]:
    names = ("coverage", "coverage_ci95", "is_as_promised", "width", "width_ci95", "constant_width")
    if part.empty:
        return {"n": 0, "promised": PROMISED, **dict.fromkeys(names)}
    low, high = (part[name].to_numpy(np.float64) for name in ("age_low", "age_high"))
    age = part["age"].to_numpy(np.float64)
    hits = int(((low <= age) & (age <= high)).sum())
    ends = wilson(hits, len(part))
    constant_width = None
    if constant is not None:
        answered = part["age_pred"].to_numpy(np.float64)
        below, above = clip_ends(answered, answered - constant, answered + constant)
        constant_width = round(float((above - below).mean()), _DIGITS)
    return {
        "n": len(part),
        "promised": PROMISED,
        "coverage": round(hits / len(part), _DIGITS),
        "coverage_ci95": _rounded(ends),
        "is_as_promised": ends[0] <= PROMISED <= ends[1],
        "width": round(float((high - low).mean()), _DIGITS),
        "width_ci95": _rounded(bootstrap_mean(high - low, seed=seed)),
        "constant_width": constant_width,
    }


def _unfamiliar(predictions: pd.DataFrame) -> dict[str, Any] | None:
    if "unfamiliar" not in predictions or predictions["unfamiliar"].isna().any():
        return None
    count, flagged = len(predictions), int(predictions["unfamiliar"].sum())
    return {
        "n": count,
        "flagged": flagged,
        "share": round(flagged / count, _DIGITS),
        "share_ci95": _rounded(wilson(flagged, count)),
    }


def _rounded(ends: tuple[float, float]) -> list[float] | None:
    # Of too few values it is not known.
    return None if math.isnan(ends[0]) else [round(float(end), _DIGITS) for end in ends]

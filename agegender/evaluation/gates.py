"""Age gates: who is let through, and who is sent away, when an age decides.

A gate lets a face through when its predicted age reaches a threshold. The
figures are those of NIST's Face Analysis Technology Evaluation of age
estimation and verification (Hanaoka et al., NIST IR 8525, 2024): false accepts
are faces under the gate's age that are let through, false rejects faces of that
age and over that are not. A *challenge age* is a threshold above the gate's age
that leaves few false accepts; whoever looks younger is asked for a document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import MAX_AGE_YEARS
from agegender.evaluation.groups import group_of
from agegender.evaluation.intervals import wilson
from agegender.evaluation.metrics import SMALLEST_COMPARED_GROUP

if TYPE_CHECKING:
    from numpy.typing import NDArray

GATE_AGES = (18, 25)
"""In years; "18 or over" and "25 or over"."""

FALSE_ACCEPT_LIMIT = 0.01
"""The challenge age leaves a smaller share of false accepts."""

NEAR_YEARS = 4
"""Faces at most so many years from the gate are a group of their own: 14 to 17 and 18 to 21
for 18. Small children are let through by no gate and make its rate look small."""

CURVE_STEP_YEARS = 0.5
CURVE_REACH_YEARS = (-8, 22)
"""From where to where thresholds are drawn, relative to the gate's age."""


def age_gates(predictions: pd.DataFrame, *, chosen_on: pd.DataFrame | None) -> dict[str, Any]:
    """Measure every gate at its plain threshold and at its challenge age.

    Args:
        predictions: As in `metrics.compute_metrics`, with `sha256`.
        chosen_on: Predictions of validation faces (`fairness.validation_of`), on which the
            challenge ages are chosen; None where there are none.

    Returns:
        A dictionary fit for JSON: `chosen_on_n`; `is_chosen_on_same` (whether
        some of the same faces are measured, which flatters the challenge
        ages); `gates`, for each of `GATE_AGES` `age`, `challenge_age` (None if
        it cannot be told) and `rows`: `threshold` (years), `group_by`, `group`,
        `under_n`, `false_accept` with the ends of its 95% interval
        `false_accept_low` and `false_accept_high` and, at 95% certainty, its
        `false_accept_bound`, `over_n`, `false_reject`, `false_reject_low`,
        `false_reject_high`. Shares are 0..1, None where there is no face.

    Raises:
        ValueError: If `chosen_on` has other faces than those of validation.
    """
    if chosen_on is not None and not chosen_on["split"].eq("validation").all():
        raise ValueError("a challenge age may be chosen on validation faces only")
    gates = []
    for gate in GATE_AGES:
        challenge = None if chosen_on is None else challenge_age(chosen_on, gate)
        thresholds = [gate] if challenge in (None, gate) else [gate, challenge]
        rows = [row for threshold in thresholds for row in _rows(predictions, gate, threshold)]
        gates.append({"age": gate, "challenge_age": challenge, "rows": rows})
    same = chosen_on is not None and predictions["sha256"].isin(chosen_on["sha256"]).any()
    return {
        "chosen_on_n": 0 if chosen_on is None else len(chosen_on),
        "is_chosen_on_same": bool(same),
        "gates": gates,
    }


def challenge_age(predictions: pd.DataFrame, gate: int) -> int | None:
    """Choose the lowest threshold in whole years that leaves few false accepts.

    Args:
        predictions: Of validation faces: `age` and `age_pred` in years.
        gate: The gate's age, in years.

    Returns:
        A threshold of at least `gate`, with a share of false accepts below
        `FALSE_ACCEPT_LIMIT`; None with fewer faces under the gate than
        `SMALLEST_COMPARED_GROUP`, or if no threshold up to the oldest age does.
    """
    under = predictions.loc[predictions["age"] < gate, "age_pred"].to_numpy()
    if len(under) < SMALLEST_COMPARED_GROUP:
        return None
    for threshold in range(gate, MAX_AGE_YEARS + 1):
        if (under >= threshold).mean() < FALSE_ACCEPT_LIMIT:
            return threshold
    return None


def gate_curve(predictions: pd.DataFrame, gate: int) -> pd.DataFrame:
    """Trace both errors of a gate against its threshold.

    Args:
        predictions: `age` and `age_pred` in years.
        gate: The gate's age, in years.

    Returns:
        `threshold` (years), `false_accept`, `near_false_accept` (of faces at
        most `NEAR_YEARS` under the gate) and `false_reject`, 0..1; NaN where
        there is no face.
    """
    first, last = (gate + years for years in CURVE_REACH_YEARS)
    thresholds = np.arange(first, last + CURVE_STEP_YEARS, CURVE_STEP_YEARS)
    age, predicted = predictions["age"], predictions["age_pred"].to_numpy()
    under = _shares_from(predicted[age < gate], thresholds)
    near = _shares_from(predicted[age.between(gate - NEAR_YEARS, gate - 1)], thresholds)
    over = _shares_from(predicted[age >= gate], thresholds)
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "false_accept": under,
            "near_false_accept": near,
            "false_reject": 1 - over,
        }
    )


def upper_bound(hits: int, count: int) -> float:
    """Return the share that the true one stays below with 95% certainty.

    Args:
        hits: Faces counted.
        count: Of so many, at least 1.

    Returns:
        The one-sided bound of Clopper and Pearson (1934), 0..1; it holds for
        rare events as well, and is 3 / `count` when none was seen.
    """
    from scipy import stats

    return 1.0 if hits == count else float(stats.beta.ppf(0.95, hits + 1, count - hits))


def _shares_from(
    predicted: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of answers that reach each threshold."""
    if not len(predicted):
        return np.full(len(thresholds), np.nan)
    return 1 - np.searchsorted(np.sort(predicted), thresholds, side="left") / len(predicted)


def _rows(predictions: pd.DataFrame, gate: int, threshold: int) -> list[dict[str, Any]]:
    """Measure a gate at a threshold, for all faces and by group."""
    near = predictions["age"].between(gate - NEAR_YEARS, gate + NEAR_YEARS - 1)
    parts = [
        ("all", "All faces", predictions),
        ("near", f"{gate - NEAR_YEARS}-{gate + NEAR_YEARS - 1} years", predictions[near]),
    ]
    for by in ("gender", "race"):
        groups = group_of(predictions, by)
        parts += [(by, str(name), predictions[groups == name]) for name in groups.categories]
    return [
        {"threshold": threshold, "group_by": by, "group": name, **_errors(part, gate, threshold)}
        for by, name, part in parts
    ]


def _errors(part: pd.DataFrame, gate: int, threshold: int) -> dict[str, Any]:
    passed = part["age_pred"] >= threshold
    is_under = part["age"] < gate
    under_n, accepted = int(is_under.sum()), int((passed & is_under).sum())
    over_n = len(part) - under_n
    rejected = over_n - int((passed & ~is_under).sum())
    return {
        "under_n": under_n,
        **_share("false_accept", accepted, under_n),
        "false_accept_bound": round(upper_bound(accepted, under_n), 6) if under_n else None,
        "over_n": over_n,
        **_share("false_reject", rejected, over_n),
    }


def _share(name: str, hits: int, count: int) -> dict[str, float | None]:
    if not count:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    low, high = wilson(hits, count)
    ends = {name: hits / count, f"{name}_low": low, f"{name}_high": high}
    return {key: round(value, 6) for key, value in ends.items()}

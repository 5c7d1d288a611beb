"""Crossings and age gates of an evaluation, as figures and as tables that people read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from agegender.config import SEED
from agegender.errors import DatasetError
from agegender.evaluation.crossings import FIGURES, POPULATIONS, crossings
from agegender.evaluation.formats import percent, percent_range, years
from agegender.evaluation.gates import age_gates
from agegender.evaluation.predictions import predict_faces
from agegender.evaluation.titles import FIGURE_TITLES

if TYPE_CHECKING:
    from agegender.dataset.dataset import Dataset
    from agegender.training.run import Run

GAPS_SHOWN = 15


def compute_fairness(
    predictions: pd.DataFrame, *, validation: pd.DataFrame | None, seed: int = SEED
) -> dict[str, Any]:
    """Compute who the model fails.

    Args:
        predictions: As in `metrics.compute_metrics`.
        validation: Predictions of validation faces, on which challenge ages are chosen.
        seed: Of the bootstrap.

    Returns:
        `crossings` and `age_gates`, fit for JSON; see the modules of these names.
    """
    return {
        "crossings": crossings(predictions, seed=seed),
        "age_gates": age_gates(predictions, chosen_on=validation),
    }


def validation_of(
    run: Run,
    dataset: Dataset,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame | None:
    """Return predictions of the selection half of validation, to choose challenge ages by.

    The other half is for calibration alone.

    Args:
        run: A run with trained heads.
        dataset: Where the faces are from.
        on_progress: Called with (done, total), in faces.

    Returns:
        As `predictions.predict_faces`; None where no such face can be used.

    Raises:
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
        StorageError: If the disk refuses.
    """
    try:
        table = predict_faces(run, dataset, "validation", on_progress=on_progress)
    except DatasetError:
        return None
    kept_apart = dataset.faces.loc[dataset.faces["is_calibration"], "sha256"]
    chosen = table[~table["sha256"].isin(kept_apart)].reset_index(drop=True)
    return None if chosen.empty else chosen


def crossing_table(groups: pd.DataFrame, crossing: str) -> pd.DataFrame:
    """Lay out the figures of a crossing as text.

    Args:
        groups: What `crossings.group_figures` returned.
        crossing: One of `crossings.CROSSINGS`.
    """
    part = groups[groups["crossing"] == crossing]
    return pd.DataFrame(
        {
            "Group": part["group"],
            "Faces": [_count(row) for row in part.itertuples()],
            **{
                FIGURE_TITLES[figure]: [
                    _with_ends(figure, *ends)
                    for ends in part[[figure, f"{figure}_low", f"{figure}_high"]].itertuples(
                        index=False
                    )
                ]
                for figure in FIGURES
            },
        }
    )


def gap_table(gaps: pd.DataFrame, figure: str, count: int = GAPS_SHOWN) -> pd.DataFrame:
    """Lay out the largest gaps of a figure as text.

    Args:
        gaps: What `crossings.group_gaps` returned.
        figure: One of `crossings.FIGURES`.
        count: At most so many.
    """
    part = gaps[(gaps["figure"] == figure) & gaps["gap"].notna()].head(count)
    # Shares in percentage points.
    scale, unit = (100, " points") if figure == "accuracy" else (1, "")
    return pd.DataFrame(
        {
            "Group": part["group"],
            "Faces": [_count(row) for row in part.itertuples()],
            "Against": part["against"],
            "Gap": [f"{scale * gap:+.1f}{unit}" for gap in part["gap"]],
            "95% interval": [
                f"{scale * low:+.1f} to {scale * high:+.1f}"
                for low, high in zip(part["low"], part["high"], strict=True)
            ],
            "Significant": part["is_real"].map({True: "yes", False: "no"}),
        }
    )


def gate_table(gate: dict[str, Any]) -> pd.DataFrame:
    """Lay out one gate as text.

    Args:
        gate: One of `gates.age_gates(…)["gates"]`.
    """
    rows = [
        (
            row["threshold"],
            row["group"],
            row["under_n"],
            percent(row["false_accept"]),
            _ends(row, "false_accept"),
            percent(row["false_accept_bound"]),
            row["over_n"],
            percent(row["false_reject"]),
            _ends(row, "false_reject"),
        )
        for row in gate["rows"]
    ]
    age = gate["age"]
    return pd.DataFrame(
        rows,
        columns=[
            "Threshold",
            "Group",
            f"Under {age}",
            "False accepts",
            "False accepts, 95%",
            "Upper bound, 95%",
            f"{age} or over",
            "False rejects",
            "False rejects, 95%",
        ],
    )


def gate_note(gates: dict[str, Any]) -> str:
    """Say where the challenge ages are from, and what that is worth."""
    count = gates["chosen_on_n"]
    if not count:
        return "No challenge age: there are no validation faces to choose it on."
    if all(gate["challenge_age"] is None for gate in gates["gates"]):
        return (
            f"No challenge age: of {count:,} validation faces too few are under age, or no "
            "threshold lets few enough of them through."
        )
    if gates["is_chosen_on_same"]:
        return (
            f"The challenge ages were chosen on {count:,} validation faces that are measured here "
            "themselves, so their false accepts look a little too few."
        )
    return f"The challenge ages were chosen on {count:,} validation faces, none of them measured."


def fairness_tables(metrics: dict[str, Any]) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Collect every table by the name of its file.

    Args:
        metrics: With what `compute_fairness` returned.

    Returns:
        For each name the table for programs (plain numbers) and the one for
        people (text).
    """
    tables = {}
    for population in POPULATIONS:
        found = metrics["crossings"][population]
        groups, gaps = pd.DataFrame(found["groups"]), pd.DataFrame(found["gaps"])
        if groups.empty:
            continue
        texts = [crossing_table(groups, name) for name in groups["crossing"].unique()]
        tables[f"crossings_{population}"] = (groups, pd.concat(texts))
        texts = [
            gap_table(gaps, figure, len(gaps)).assign(Figure=FIGURE_TITLES[figure])
            for figure in FIGURES
        ]
        tables[f"gaps_{population}"] = (gaps, pd.concat(texts))
    for gate in metrics["age_gates"]["gates"]:
        tables[f"age_gate_{gate['age']}"] = (pd.DataFrame(gate["rows"]), gate_table(gate))
    return tables


def _count(row: Any) -> str:
    return f"{row.n:,} (few)" if row.is_small else f"{row.n:,}"


def _with_ends(figure: str, value: float, low: float, high: float) -> str:
    def write(number: float) -> str:
        return percent(number) if figure == "accuracy" else years(number, signed=figure == "bias")

    # Few faces have no interval.
    return write(value) if pd.isna(low) else f"{write(value)} ({write(low)} to {write(high)})"


def _ends(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return percent_range(None if low is None else [low, high])

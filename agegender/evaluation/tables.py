"""The figures of an evaluation as tables that people read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from agegender.config import ADULT_AGE_YEARS, GENDER_NAMES
from agegender.evaluation.formats import (
    MISSING,
    percent,
    percent_range,
    year_range,
    years,
)
from agegender.evaluation.groups import GROUPINGS
from agegender.evaluation.metrics import CS_YEARS, group_table
from agegender.evaluation.titles import GROUP_TITLES
from agegender.evaluation.uncertainty import COVERAGE_GROUPINGS

BREAKDOWNS = (*GROUPINGS, "range")
"""Every way in which `compute_metrics` breaks the figures down."""


def headline_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Lay out the figures for all faces, and those for the groups that matter most.

    Args:
        metrics: What `compute_metrics` returned.

    Returns:
        Text: `Figure`, `Faces`, `Value`, `95% interval`, `No skill`.
    """
    age, gender, count = metrics["age"], metrics["gender"], metrics["n"]
    gap = gender["race_gap"]
    rows = [
        _age_row("Age MAE, years", age),
        ("Standard deviation of the absolute error, years", count, years(age["mae_std"]), "", ""),
        ("Median absolute error, years", count, years(age["median_error"]), "", ""),
        ("Bias (predicted minus true), years", count, years(age["bias"], signed=True), "", ""),
        (f"CS@{CS_YEARS} (off by at most {CS_YEARS} years)", count, percent(age["cs5"]), "", ""),
        *(
            _age_row(f"Age MAE, ages {ages.replace('+', ' and over')}, years", figures)
            for ages, figures in age["by_range"].items()
        ),
        (
            "Gender accuracy",
            count,
            percent(gender["accuracy"]),
            percent_range(gender["accuracy_ci95"]),
            percent(gender["floor_accuracy"]),
        ),
        (
            f"Gender accuracy, age {ADULT_AGE_YEARS} and over",
            gender["adult_n"],
            percent(gender["adult_accuracy"]),
            percent_range(gender["adult_accuracy_ci95"]),
            percent(gender["adult_floor_accuracy"]),
        ),
        ("Area under the ROC curve (AUC)", count, _plain(gender["auc"]), "", "0.500"),
        ("Expected calibration error", count, percent(gender["calibration_error"]), "", ""),
    ]
    if gap is not None:
        groups = f"{gap['best']} over {gap['worst']}"
        low, high = (100 * end for end in gap["gap_ci95"])
        rows.append(
            (
                f"Largest gap in gender accuracy by race group, points ({groups}; interval for "
                "all pairs of groups together)",
                count,
                f"{100 * gap['gap']:.1f}",
                f"{low:.1f} to {high:.1f}",
                "",
            )
        )
    return pd.DataFrame(rows, columns=["Figure", "Faces", "Value", "95% interval", "No skill"])


def age_breakdown(metrics: dict[str, Any], by: str) -> pd.DataFrame:
    """Lay out the age figures of groups as text.

    Args:
        metrics: What `compute_metrics` returned.
        by: One of `BREAKDOWNS`.
    """
    rows = [
        (
            name,
            group["n"],
            years(group["mae"]),
            year_range(group["mae_ci95"]),
            years(group["median_error"]),
            years(group["bias"], signed=True),
            percent(group["cs5"]),
            years(group["floor_mae"]),
        )
        for name, group in metrics["age"][f"by_{by}"].items()
    ]
    columns = ["Faces", "MAE", "95% interval", "Median error", "Bias", f"CS@{CS_YEARS}"]
    return pd.DataFrame(rows, columns=[GROUP_TITLES[by], *columns, "No skill"])


def gender_breakdown(metrics: dict[str, Any], by: str) -> pd.DataFrame:
    """Lay out the gender accuracy of groups as text.

    Args:
        metrics: What `compute_metrics` returned.
        by: One of `BREAKDOWNS`.
    """
    rows = [
        (
            name,
            group["n"],
            percent(group["accuracy"]),
            percent_range(group["accuracy_ci95"]),
            percent(group["floor_accuracy"]),
        )
        for name, group in metrics["gender"][f"by_{by}"].items()
    ]
    columns = [GROUP_TITLES[by], "Faces", "Accuracy", "95% interval", "No skill"]
    return pd.DataFrame(rows, columns=columns)


def class_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Lay out precision, recall, F1 and the confusion matrix by gender as text.

    Args:
        metrics: What `compute_metrics` returned.
    """
    gender = metrics["gender"]
    rows = [
        (
            name,
            sum(counts),
            *(percent(gender[key][name]) for key in ("precision", "recall", "f1")),
            *counts,
        )
        for name, counts in zip(GENDER_NAMES, gender["confusion_matrix"], strict=True)
    ]
    called = [f"Called {name}" for name in GENDER_NAMES]
    columns = ["True gender", "Faces", "Precision", "Recall", "F1", *called]
    return pd.DataFrame(rows, columns=columns)


def coverage_breakdown(metrics: dict[str, Any], by: str) -> pd.DataFrame:
    """Lay out as text how many ages lie inside of their 90% intervals, and how wide these are.

    Args:
        metrics: What `compute_metrics` returned, with intervals.
        by: One of `COVERAGE_GROUPINGS`.
    """
    intervals = metrics["uncertainty"]["intervals"]
    rows = [
        (
            name,
            group["n"],
            percent(group["coverage"]),
            percent_range(group["coverage_ci95"]),
            {None: MISSING, True: "yes", False: "no"}[group["is_as_promised"]],
            years(group["width"]),
            years(group["constant_width"]),
        )
        for name, group in (("All", intervals["all"]), *intervals[f"by_{by}"].items())
    ]
    columns = ["Faces", "Coverage", "95% interval", "90% within", "Mean width", "Same for all"]
    return pd.DataFrame(rows, columns=[GROUP_TITLES[by], *columns])


def risk_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Lay out as text how often genders are right if only those sure enough are told.

    Args:
        metrics: What `compute_metrics` returned.
    """
    rows = [
        (
            percent(row["threshold"]),
            row["answered"],
            percent(row["share"]),
            percent(row["accuracy"]),
            percent_range(row["accuracy_ci95"]),
        )
        for row in metrics["uncertainty"]["risk_coverage"]
    ]
    columns = ["Sure at least", "Answered", "Share answered", "Accuracy", "95% interval"]
    return pd.DataFrame(rows, columns=columns)


def all_tables(metrics: dict[str, Any]) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Collect every table by the name of its file.

    Args:
        metrics: What `compute_metrics` returned.

    Returns:
        For each name the table for programs (plain numbers) and the one for
        people (text).
    """
    tables = {}
    for name in ("headline", "gender_by_class"):
        table = headline_table(metrics) if name == "headline" else class_table(metrics)
        tables[name] = (table, table)
    for by in BREAKDOWNS:
        for head, lay_out in (("age", age_breakdown), ("gender", gender_breakdown)):
            numbers = group_table(metrics[head][f"by_{by}"])
            tables[f"{head}_by_{by}"] = (numbers, lay_out(metrics, by))
    uncertainty = metrics["uncertainty"]
    risks = pd.DataFrame(uncertainty["risk_coverage"])
    ends = [pair or (None, None) for pair in risks.pop("accuracy_ci95")]
    risks[["accuracy_low", "accuracy_high"]] = ends
    tables["risk_coverage"] = (risks, risk_table(metrics))
    if uncertainty["intervals"] is not None:
        for by in COVERAGE_GROUPINGS:
            numbers = group_table(uncertainty["intervals"][f"by_{by}"])
            tables[f"coverage_by_{by}"] = (numbers, coverage_breakdown(metrics, by))
    return tables


def markdown(table: pd.DataFrame) -> str:
    """Write a table of text and counts in Markdown, counts to the right.

    Args:
        table: Its index is left out.
    """
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    rule = ["---:" if right else "---" for right in numeric]
    rows = [table.columns.tolist(), rule, *table.to_numpy(dtype=object).tolist()]
    return "\n".join("| " + " | ".join(cell(value) for value in row) + " |" for row in rows) + "\n"


def titled_markdown(tables: Iterable[tuple[str, pd.DataFrame]]) -> str:
    """Write tables in Markdown, each under its title.

    Args:
        tables: Titles and tables of text and counts.
    """
    return "\n".join(f"{title}\n\n{markdown(table)}" for title, table in tables)


def cell(value: object) -> str:
    """Write a cell: counts with commas between thousands, text as it is."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _age_row(name: str, figures: dict[str, Any]) -> tuple[str, int, str, str, str]:
    return (
        name,
        figures["n"],
        years(figures["mae"]),
        year_range(figures["mae_ci95"]),
        years(figures["floor_mae"]),
    )


def _plain(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"

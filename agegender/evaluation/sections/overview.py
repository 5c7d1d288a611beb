"""The headline figures."""

from __future__ import annotations

from typing import Any

from agegender.evaluation.formats import percent, percent_range, year_range, years
from agegender.evaluation.html import Headline, Section
from agegender.evaluation.metrics import CS_YEARS
from agegender.evaluation.sections.base import Draw, Evaluation
from agegender.evaluation.tables import headline_table


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Put the main figures into one table."""
    return [
        Section(
            "At a glance",
            "Every figure stands beside what an answerer with no skill reaches, who says the "
            "median age and the more frequent gender of the training faces to everyone.",
            tables=[("All faces", headline_table(evaluation.metrics))],
        ),
    ]


def headlines(metrics: dict[str, Any]) -> list[Headline]:
    """Choose the figures that stand at the top of the page."""
    age, gender = metrics["age"], metrics["gender"]
    always = f"no skill (always {gender['floor_gender']})"
    return [
        Headline(
            "Mean absolute age error",
            years(age["mae"]),
            "years",
            [
                f"95%: {year_range(age['mae_ci95'])}",
                f"no skill (always {age['floor_age']:.0f}): {years(age['floor_mae'])}",
            ],
        ),
        Headline(
            f"Within {CS_YEARS} years",
            percent(age["cs5"]),
            "",
            [f"CS@{CS_YEARS}", f"median error: {years(age['median_error'])} years"],
        ),
        Headline(
            "Gender accuracy",
            percent(gender["accuracy"]),
            "",
            [
                f"95%: {percent_range(gender['accuracy_ci95'])}",
                f"{always}: {percent(gender['floor_accuracy'])}",
            ],
        ),
        Headline(
            "Gender accuracy, adults",
            percent(gender["adult_accuracy"]),
            "",
            [
                f"95%: {percent_range(gender['adult_accuracy_ci95'])}",
                f"{always}: {percent(gender['adult_floor_accuracy'])}",
            ],
        ),
    ]

"""How sure the answers are, and whether they are as sure as they say."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.formats import percent, percent_range
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation
from agegender.evaluation.tables import coverage_breakdown, risk_table

_WORDS = {
    "predicted_decade": "decade of the answered age",
    "decade": "decade of the true age",
    "gender": "gender",
    "race": "race group",
}


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show intervals of ages, genders told only when sure, and unfamiliar faces."""
    predictions, metrics = evaluation.predictions, evaluation.metrics
    uncertainty = metrics["uncertainty"]
    lead = "A gender may be told only when it is sure enough: fewer answers, more of them right."
    figures, tables = [], []
    if uncertainty["intervals"] is not None:
        lead = (
            "Each age has a 90% interval, made true by conformal prediction for faces like those "
            f"of the dataset, on average over all of them. By group it is reported, not promised. "
            f"{lead}"
        )
        figures = [
            draw(
                f"coverage_by_{by}",
                plots.plot_coverage(metrics, by),
                f"Coverage by {words}; lines are 95% intervals.",
            )
            for by, words in _WORDS.items()
        ]
        figures.append(
            draw(
                "interval_width",
                plots.plot_width(metrics, "predicted_decade"),
                "Narrow where ages are easy, wide where they are hard; the grey mark is an "
                "interval that is as wide for each face.",
            )
        )
        tables = [
            (f"Coverage, by {words}", coverage_breakdown(metrics, by))
            for by, words in _WORDS.items()
        ]
    unfamiliar = uncertainty["unfamiliar"]
    if unfamiliar is not None:
        lead += (
            f" {percent(unfamiliar['share'])} of these faces "
            f"({percent_range(unfamiliar['share_ci95'])}) are flagged as unlike the training faces."
        )
    if evaluation.predictions["split"].eq("validation").any():
        lead += (
            " Half of the validation faces calibrated the intervals and the probabilities, the "
            "other half chose all else: on them, these figures are no proof."
        )
    figures.append(
        draw(
            "risk_coverage",
            plots.plot_risk_coverage(predictions),
            "How often genders are right if only the surest are told.",
        )
    )
    tables.append(("Gender told only when sure", risk_table(metrics)))
    return [Section("How sure", lead, figures=figures, tables=tables)]

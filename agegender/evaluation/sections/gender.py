"""How often genders are right."""

from __future__ import annotations

from typing import Any

from agegender.evaluation import plots
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation
from agegender.evaluation.tables import class_table, gender_breakdown


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show the gender answers, for all faces and by group."""
    predictions, metrics = evaluation.predictions, evaluation.metrics
    return [
        Section(
            "Gender",
            "The answer is the gender with the larger probability. Intervals of accuracies are "
            "Wilson's.",
            figures=[
                draw(
                    "gender_confusion_matrix",
                    plots.plot_confusion(metrics),
                    "Each row is a true gender and adds up to 100%.",
                ),
                draw(
                    "gender_roc",
                    plots.plot_roc(predictions),
                    "How many males are called female for every share of females found; the "
                    f"area under the curve is {_auc(metrics)}.",
                ),
                draw(
                    "gender_calibration",
                    plots.plot_calibration(predictions),
                    "On the dashed line the model is as sure as it is right.",
                ),
                *(
                    draw(
                        f"gender_accuracy_by_{by}", plots.plot_gender_accuracy(metrics, by), caption
                    )
                    for by, caption in (
                        ("band", "Accuracy by age band; lines are 95% intervals."),
                        ("decade", "Accuracy by decade; lines are 95% intervals."),
                        ("race", "Accuracy by race group; lines are 95% intervals."),
                    )
                ),
            ],
            tables=[
                ("By true gender", class_table(metrics)),
                *(
                    (f"Accuracy, by {words}", gender_breakdown(metrics, by))
                    for by, words in (
                        ("band", "age band"),
                        ("race", "race group"),
                        ("race_and_gender", "race group and gender"),
                        ("decade_and_gender", "decade and gender"),
                    )
                ),
            ],
        ),
    ]


def _auc(metrics: dict[str, Any]) -> str:
    auc = metrics["gender"]["auc"]
    return "not defined for one gender" if auc is None else f"{auc:.3f}"

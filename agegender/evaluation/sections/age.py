"""How far off ages are."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation
from agegender.evaluation.tables import age_breakdown


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show the age errors, for all faces and by group."""
    predictions, metrics = evaluation.predictions, evaluation.metrics
    return [
        Section(
            "Age",
            "Ages are predicted in years. The mean absolute error (MAE) is the usual yardstick; "
            "the bias says whether faces are taken for older (+) or younger (-) than they are.",
            figures=[
                draw(
                    "age_scatter",
                    plots.plot_age_scatter(predictions),
                    "On the dashed line the predicted age is the true one.",
                ),
                draw(
                    "age_errors",
                    plots.plot_errors(predictions),
                    "Right of the dashed line faces are taken for older than they are.",
                ),
                draw(
                    "age_residuals",
                    plots.plot_residuals(predictions),
                    "The dark line is the mean error of each decade.",
                ),
                *(
                    draw(f"age_error_by_{by}", plots.plot_age_error(metrics, by), caption)
                    for by, caption in (
                        ("band", "Error by age band; lines are 95% intervals."),
                        ("decade", "Error by decade; lines are 95% intervals."),
                        ("race", "Error by race group; lines are 95% intervals."),
                    )
                ),
            ],
            tables=[
                (f"Age, by {words}", age_breakdown(metrics, by))
                for by, words in (
                    ("band", "age band"),
                    ("decade", "decade"),
                    ("race", "race group"),
                    ("decade_and_gender", "decade and gender"),
                )
            ],
        ),
    ]

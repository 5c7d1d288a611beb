"""Who was evaluated."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show how the faces are spread."""
    predictions = evaluation.predictions
    return [
        Section(
            "The faces",
            "Who was evaluated, by their labels. Groups with few faces have wide intervals.",
            figures=[
                draw("faces_age", plots.plot_age(predictions), "Ages, by gender."),
                draw("faces_balance", plots.plot_balance(predictions), "Age bands, by gender."),
                draw("faces_race", plots.plot_race(predictions), "Race groups."),
            ],
        ),
    ]

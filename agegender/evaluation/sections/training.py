"""How the heads learned."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show the learning curves, if the run has any."""
    history = evaluation.run.metrics()
    if history.empty:
        return []
    curves = [
        draw(f"training_{measure}", plots.plot_training(history, measure), caption)
        for measure, caption in (
            ("loss", "The weighted sum of both heads' losses."),
            ("age_mae", "Mean absolute age error."),
            ("gender_accuracy", "Share of faces with the right gender."),
        )
    ]
    lead = "Each epoch is one pass over the training faces; validation faces decide the end."
    return [Section("Training", lead, figures=curves)]

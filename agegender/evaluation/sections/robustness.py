"""How the answers stand worse pictures."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.html import Section
from agegender.evaluation.robustness import read_robustness, reading_tables, robustness_table
from agegender.evaluation.sections.base import Draw, Evaluation


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show what `python -m agegender robustness` has measured; nothing if it has not."""
    answers = read_robustness(
        evaluation.run, evaluation.dataset, evaluation.split, seed=evaluation.seed
    )
    if answers is None:
        return []
    table = robustness_table(answers, seed=evaluation.seed)
    lead = (
        "The same faces, made worse in several ways at five strengths each, after ImageNet-C. "
        "A stratified draw of the split; bands are 95% intervals."
    )
    figures = [
        draw(
            f"robustness_{measure}",
            plots.plot_robustness(table, measure),
            "The dashed line is the figure for the pictures as they are.",
        )
        for measure in ("mae", "accuracy")
    ]
    return [Section("Robustness", lead, figures=figures, tables=reading_tables(table))]

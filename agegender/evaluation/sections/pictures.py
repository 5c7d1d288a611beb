"""Faces with their answers: some drawn by chance, and the worst mistakes."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.cards import (
    explained_cards,
    face_cards,
    samples,
    worst_ages,
    worst_genders,
)
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation

SAMPLE_CARDS = 8
WORST_CARDS = 12


def samples_section(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show some faces drawn by chance, with their heatmaps."""
    rows = samples(evaluation.predictions, SAMPLE_CARDS, seed=evaluation.seed)
    cards = explained_cards(evaluation.run, evaluation.dataset.folder, rows)
    if not cards:
        return []
    draw("samples", plots.plot_cards(cards, title="Sample predictions with heatmaps"), "")
    lead = (
        "Drawn by chance. The first heatmap shows what raises (orange) and what lowers (blue) "
        "the predicted age, the second what speaks for the predicted gender (Grad-CAM)."
    )
    return [Section("Sample predictions", lead, cards=cards)]


def mistakes_sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show the worst mistakes of both heads."""
    predictions, crop = evaluation.predictions, evaluation.run.weights().spec.crop
    sections = []
    for name, title, rows, lead in (
        (
            "worst_ages",
            "Worst age mistakes",
            worst_ages(predictions, WORST_CARDS),
            "The faces whose predicted age is off by most. Some labels are wrong themselves.",
        ),
        (
            "worst_genders",
            "Worst gender mistakes",
            worst_genders(predictions, WORST_CARDS),
            "The faces for which the wrong gender was the surest answer.",
        ),
    ):
        cards = face_cards(evaluation.dataset.folder, rows, crop)
        if cards:
            draw(name, plots.plot_cards(cards, title=title), "")
            sections.append(Section(title, lead, cards=cards))
    return sections

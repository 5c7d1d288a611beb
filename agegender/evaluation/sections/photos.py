"""How well whole photos are answered."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.html import Section
from agegender.evaluation.photos import (
    GAP_NOTE,
    photo_failures,
    photo_gap_table,
    photo_group_table,
    photo_note,
    photo_table,
)
from agegender.evaluation.sections.base import Draw, Evaluation


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show the figures of labelled photos; nothing if none were given."""
    if evaluation.photos is None:
        return []
    photos, metrics = evaluation.photos, evaluation.metrics["photos"]
    answered = photos[photos["faces"] > 0]
    figures = []
    if len(answered):
        figures = [
            draw(
                "photos_age_scatter",
                plots.plot_age_scatter(answered),
                "Whole photos: on the dashed line the predicted age is the true one.",
            ),
            draw(
                "photos_age_errors",
                plots.plot_errors(answered),
                "Whole photos: right of the dashed line people are taken for older than they are.",
            ),
            draw(
                "photos_age_residuals",
                plots.plot_residuals(answered),
                "Whole photos: the dark line is the mean error of each decade.",
            ),
        ]
    lead = photo_note(metrics)
    tables = [("Whole photos", photo_table(metrics))]
    if len(answered):
        tables.append(("Whole photos, by group", photo_group_table(metrics)))
    gaps = photo_gap_table(metrics)
    if len(gaps):
        tables.append(("Whole photos, gaps between groups", gaps))
        lead = f"{lead} {GAP_NOTE}"
    failures = photo_failures(photos)
    if len(failures):
        tables.append(("Photos with something wrong", failures))
    return [Section("Whole photos", lead, figures=figures, tables=tables)]

"""The sections of the report's page, a module each, and their order."""

from collections.abc import Callable

from agegender.evaluation.html import Section
from agegender.evaluation.sections import (
    age,
    faces,
    fairness,
    gender,
    heatmaps,
    overview,
    photos,
    pictures,
    robustness,
    training,
    uncertainty,
)
from agegender.evaluation.sections.base import Draw, Evaluation

SECTIONS: tuple[Callable[[Evaluation, Draw], list[Section]], ...] = (
    overview.sections,
    pictures.samples_section,
    age.sections,
    gender.sections,
    uncertainty.sections,
    fairness.sections,
    pictures.mistakes_sections,
    photos.sections,
    robustness.sections,
    heatmaps.sections,
    faces.sections,
    training.sections,
)
"""In the order of the page; one that has nothing to show gives none."""

"""Whether the heatmaps can be trusted."""

from __future__ import annotations

from agegender.evaluation import plots
from agegender.evaluation.heatmap_tables import reading_tables
from agegender.evaluation.heatmaps import read_heatmaps
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation

LEAD = (
    "Deletion takes pixels away, those first that a map calls important; insertion puts them "
    "back onto a blurred face (RISE, Petsiuk et al. 2018). A map that shows what the answer "
    "rests on changes it sooner than a random map and one that knows no more than that faces "
    "are in the middle. Age counts by years of change, either way, along the map's absolute value; "
    "gender by the probability that the answered one has lost."
)

CURVES = "Higher is better for deletion, lower for insertion; bands are 95% intervals."
MEANS = (
    "Orange raises the age, blue lowers it; below, what speaks for the answered gender. Circles "
    "are the usual places of eyes, nose and mouth corners."
)
SANITY = (
    "Maps that stayed alike would show the picture rather than what was learned (Adebayo et al. "
    "2018)."
)


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show what `python -m agegender heatmaps` has measured; nothing if it has not."""
    check = read_heatmaps(
        evaluation.run, evaluation.dataset, evaluation.split, seed=evaluation.seed
    )
    if check is None:
        return []
    crop = evaluation.run.weights().spec.crop
    return [
        Section(
            "Can the heatmaps be trusted?",
            LEAD,
            figures=[
                draw(
                    "heatmaps_faithfulness",
                    plots.plot_faithfulness(check, seed=evaluation.seed),
                    CURVES,
                ),
                draw("heatmaps_mean", plots.plot_mean_maps(check, crop), MEANS),
                draw("heatmaps_sanity", plots.plot_sanity(check), SANITY),
            ],
            tables=reading_tables(check, seed=evaluation.seed),
        )
    ]

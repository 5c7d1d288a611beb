"""For whom the model fails: crossed groups, gaps, age gates."""

from __future__ import annotations

import pandas as pd

from agegender.config import ADULT_AGE_YEARS
from agegender.evaluation import plots
from agegender.evaluation.crossings import FIGURES
from agegender.evaluation.fairness import crossing_table, gap_table, gate_note, gate_table
from agegender.evaluation.gates import FALSE_ACCEPT_LIMIT, NEAR_YEARS, gate_curve
from agegender.evaluation.html import Section
from agegender.evaluation.sections.base import Draw, Evaluation
from agegender.evaluation.titles import FIGURE_TITLES

ADULT_GAPS_SHOWN = 8


def sections(evaluation: Evaluation, draw: Draw) -> list[Section]:
    """Show who the model fails, and what that means for an age gate."""
    return [_groups(evaluation, draw), _gates(evaluation, draw)]


def _groups(evaluation: Evaluation, draw: Draw) -> Section:
    found = evaluation.metrics["crossings"]
    groups, gaps = (pd.DataFrame(found["all"][name]) for name in ("groups", "gaps"))
    adult_gaps = pd.DataFrame(found["adults"]["gaps"], columns=gaps.columns)
    return Section(
        "For whom it fails",
        "Each group is compared with all other faces, or with those of its own age band where the "
        "band is part of the group. A gap is called significant if it stays after Holm's "
        "correction for all comparisons; groups marked as few are not tested. Ages and genders of "
        "children are hard to label and race groups differ in how many children they have: the "
        "gaps among adults stand beside those of all.",
        figures=[
            *(
                draw(
                    f"crossing_{figure}",
                    plots.plot_crossing(groups, figure),
                    "The darker, the worse; groups of few faces have no colour.",
                )
                for figure in ("mae", "accuracy")
            ),
            *(
                draw(
                    f"gaps_{figure}",
                    plots.plot_gaps(gaps, figure),
                    "Lines are 95% intervals, each for its gap alone.",
                )
                for figure in FIGURES
            ),
        ],
        tables=[
            *(
                (f"{FIGURE_TITLES[figure]}: largest gaps", gap_table(gaps, figure))
                for figure in FIGURES
            ),
            *(
                (
                    f"{FIGURE_TITLES[figure]}: largest gaps among those of "
                    f"{ADULT_AGE_YEARS} and over",
                    gap_table(adult_gaps, figure, ADULT_GAPS_SHOWN),
                )
                for figure in FIGURES
            ),
            ("By race group, gender and age band", crossing_table(groups, "race_gender_band")),
        ],
    )


def _gates(evaluation: Evaluation, draw: Draw) -> Section:
    gates = evaluation.metrics["age_gates"]
    return Section(
        "Age gates",
        "What happens where a predicted age lets people through or not. Faces of up to "
        f"{NEAR_YEARS} years under and over the gate have a row of their own, since small children "
        "are let through by no gate and flatter its rate. The challenge age is the lowest "
        f"threshold that leaves fewer than {FALSE_ACCEPT_LIMIT:.0%} of those under age through. "
        f"{gate_note(gates)} No figure here is good enough to check anyone's age.",
        figures=[
            draw(
                f"age_gate_{gate['age']}",
                plots.plot_gate(
                    gate_curve(evaluation.predictions, gate["age"]),
                    gate["age"],
                    gate["challenge_age"],
                ),
                "A higher threshold lets fewer through who are under age, and sends more away "
                "who are not.",
            )
            for gate in gates["gates"]
        ],
        tables=[(f"{gate['age']} or over", gate_table(gate)) for gate in gates["gates"]],
    )

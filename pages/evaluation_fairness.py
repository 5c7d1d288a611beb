"""The Evaluation page's parts on who the model fails: crossed groups and age gates."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from agegender.config import ADULT_AGE_YEARS
from agegender.dataset.dataset import Dataset
from agegender.errors import DatasetError
from agegender.evaluation import charts
from agegender.evaluation.crossings import CROSSINGS, FIGURES, NO_GAPS, largest_gaps
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.fairness import (
    compute_fairness,
    crossing_table,
    gap_table,
    gate_note,
    gate_table,
    validation_of,
)
from agegender.evaluation.gates import FALSE_ACCEPT_LIMIT, NEAR_YEARS, gate_curve
from agegender.evaluation.metrics import SMALLEST_COMPARED_GROUP
from agegender.evaluation.titles import CROSSING_TITLES, FIGURE_TITLES
from agegender.training.features import count_missing
from agegender.training.run import Run

POPULATION_TITLES = {"all": "All faces", "adults": f"{ADULT_AGE_YEARS} and over"}


def find_fairness(
    key: tuple[object, ...], predictions: pd.DataFrame, run: Run, dataset: Dataset
) -> dict[str, Any]:
    """Compute who the model fails, once for the same predictions.

    Args:
        key: All that the predictions depend on.
        predictions: The evaluated faces.
        run: Whose they are.
        dataset: Where the faces are from.
    """
    validation = quick_validation(run, dataset)
    known = None if validation is None else len(validation)
    return compute((*key, known), predictions, validation)


@st.cache_data(max_entries=4, show_spinner="Comparing groups …")
def compute(
    key: tuple[object, ...], _predictions: pd.DataFrame, _validation: pd.DataFrame | None
) -> dict[str, Any]:
    """Compute crossings and age gates; see `find_fairness`."""
    return compute_fairness(_predictions, validation=_validation)


def quick_validation(run: Run, dataset: Dataset) -> pd.DataFrame | None:
    """Return predictions of the selection half, to choose challenge ages on.

    Only if that takes no time, as it does where the features of these faces are
    kept from a training; None otherwise.
    """
    key = (run.id, run.changed_ns, str(dataset.folder), dataset.labels_hash)
    kept = st.session_state.get("evaluation_validation")
    if kept is not None and kept[0] == key:
        return kept[1]
    try:
        faces = select_faces(dataset, "validation", run=run)
        is_quick = not count_missing(faces, run.weights())
        table = validation_of(run, dataset) if is_quick else None
    except DatasetError:
        table = None
    if table is not None:
        st.session_state["evaluation_validation"] = (key, table)
    return table


def show_crossings(metrics: dict[str, Any]) -> None:
    """Show the largest gaps between groups, and the figures of all crossed groups.

    Args:
        metrics: What `find_fairness` returned.
    """
    st.subheader("Gaps between groups", anchor=False)
    left, right = st.columns(2)
    population = left.segmented_control(
        "Faces compared", list(POPULATION_TITLES), default="all", required=True,
        format_func=POPULATION_TITLES.__getitem__,
        help="Ages and genders of children are hard to label, and race groups differ in how many "
        "children they have: gaps among adults say more.",
    )  # fmt: skip
    figure = right.segmented_control(
        "Figure", FIGURES, default="mae", required=True, format_func=FIGURE_TITLES.__getitem__
    )
    found = metrics["crossings"][population]
    if not found["groups"]:
        st.info("There is no such face.", icon=":material/info:")
        return
    groups, gaps = pd.DataFrame(found["groups"]), pd.DataFrame(found["gaps"])
    if largest_gaps(gaps, figure, 1).empty:
        st.info(f"{NO_GAPS} Evaluate more faces.", icon=":material/info:")
    else:
        real = int(gaps.loc[gaps["figure"] == figure, "is_real"].sum())
        st.markdown(
            f"**{real}** {'gap is' if real == 1 else 'gaps are'} significant after Holm's "
            "correction for all comparisons made here."
        )
        st.altair_chart(charts.gap_chart(gaps, figure))
    st.caption(
        "Each group against all others, or against those of its own age band where the band is "
        "part of it, since errors grow with age. Lines are 95% intervals, each for its gap alone. "
        f"Groups marked as few have fewer than {SMALLEST_COMPARED_GROUP} faces, or are compared "
        "with fewer: they are in the tables, but not tested."
    )
    with st.expander("The gaps as a table", icon=":material/table:"):
        st.dataframe(gap_table(gaps, figure, len(gaps)), hide_index=True)
    crossing = st.selectbox(
        "Figures by", list(CROSSINGS), index=len(CROSSINGS) - 1,
        format_func=CROSSING_TITLES.__getitem__,
    )  # fmt: skip
    st.dataframe(crossing_table(groups, crossing), hide_index=True)


def show_gates(predictions: pd.DataFrame, metrics: dict[str, Any], dataset: Dataset) -> None:
    """Show what happens where a predicted age lets people through or not.

    Args:
        predictions: The evaluated faces.
        metrics: What `find_fairness` returned.
        dataset: Where the faces are from.
    """
    st.markdown(
        "What would happen if a predicted age let people through: who is under age and passes, who "
        "is of age and does not. The *challenge age* is the lowest threshold that lets fewer than "
        f"{FALSE_ACCEPT_LIMIT:.0%} of those under age through. "
        "**Nothing here is good enough to check anyone's age.**"
    )
    gates = metrics["age_gates"]
    for gate in gates["gates"]:
        age = gate["age"]
        st.altair_chart(charts.gate_chart(gate_curve(predictions, age), age, gate["challenge_age"]))
        st.dataframe(gate_table(gate), hide_index=True)
    note = gate_note(gates)
    if not gates["chosen_on_n"] and not dataset.of("validation").empty:
        note = "No challenge age yet: evaluate the validation faces, on which it is chosen."
    st.caption(
        f"{note} Small children are let through by no gate and make its rate look "
        f"small: faces up to {NEAR_YEARS} years under and over it have a row of their own."
    )

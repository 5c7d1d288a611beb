"""The run that the pages look at: which there are, which is chosen, and what it is worth.

The library's part, which takes time to import, is imported where it is used, so that the
first page stands before it is loaded.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from agegender.errors import ModelNotFoundError
from pages.navigation import TRAINING, next_step

if TYPE_CHECKING:
    from agegender.training.run import Run

RUN_KEY = "run"
"""The id of the run that Evaluation, Grad-CAM and Prediction look at."""

NO_RUN_YET = "There is no trained model yet. Training one on demo faces takes a few minutes."

NO_INTERVALS = (
    "This run has no age intervals: there were too few validation faces to calibrate them. "
    "Train a new run on more faces."
)


def usable_runs() -> list[Run]:
    """Return the runs that have a model: the default one, the others, newest first, the shipped."""
    from agegender.training.runs import default_run, list_runs, shipped_run

    try:
        first = [default_run()]
    except ModelNotFoundError:
        first = []
    others = [run for run in list_runs() if run.heads_file.exists()]
    shipped = shipped_run()
    named = {run.id: run for run in [*first, *others, *([] if shipped is None else [shipped])]}
    return [run for run in named.values() if run.state.status != "damaged"]


def run_label(run: Run) -> str:
    """Name a run as a person would: when it was trained, with what, on what.

    To the second, as a selectbox takes two runs of one name for the same.
    """
    from agegender.model.weights import backbone_label

    if run.is_shipped:
        return "Shipped with the app"
    when = time.strftime("%d %b %Y, %H:%M:%S", time.localtime(run.state.started))
    return f"{when} · {backbone_label(run.config.backbone)} · {Path(run.config.dataset).name}"


def need_run() -> Run:
    """Let the visitor choose a run, or lead to the Training page and stop."""
    runs = {run.id: run for run in usable_runs()}
    if not runs:
        next_step(NO_RUN_YET, TRAINING, "Train a model")
        st.stop()
    chosen = st.selectbox(
        "Model",
        list(runs),
        format_func=lambda run_id: run_label(runs[run_id]),
        key=RUN_KEY,
        persist_state="session",
        help="A finished training, or the model that is shipped with the app. At first it is your "
        "newest that has learned from photos, else the shipped one.",
    )
    return runs[chosen]


def skill_note(run: Run) -> None:
    """Mark a model that knows nothing of people, so that nothing it says is taken for skill."""
    reasons = []
    if not run.weights().has_skill:
        reasons.append(
            "This model's backbone has random weights: its figures and answers show that "
            "the pipeline works, not that it can tell an age or a gender."
        )
    from agegender.training.runs import shipped_run

    other = " Choose the one that is shipped with the app for people." if shipped_run() else ""
    if run.knows_only_drawings:
        reasons.append(
            "This model was trained on drawn demo faces: what it says about people means nothing."
            + other
        )
    elif run.is_hardly_measured:
        reasons.append(
            f"This model is your own, and was chosen on {run.selection_faces} validation faces: "
            f"too few to tell how good it is, or how sure.{other}"
        )
    if reasons:
        st.warning("  \n".join(reasons), icon=":material/science:")

"""The Training page's runs: the one at work, and those before."""

from __future__ import annotations

import streamlit as st

from agegender.errors import AgeGenderError, RunError
from agegender.evaluation.charts import training_chart
from agegender.evaluation.formats import in_years, percent
from agegender.evaluation.titles import HISTORY_TITLES
from agegender.training.run import Run, RunState, best_epoch
from agegender.training.runs import RESUMABLE, delete_run, find_run, resume_run, stop_run
from pages import shared
from pages.current_run import RUN_KEY, run_label
from pages.navigation import EVALUATION
from pages.training_settings import settings_table

PHASES = {
    "starting": "Starting",
    "dataset": "Reading the faces",
    "features": "Computing features, once for each face",
    "heads": "Training the heads",
    "fine-tuning": "Fine-tuning the backbone",
}

STATUS_LOOKS = {
    "running": ("blue", ":material/play_circle:"),
    "finished": ("green", ":material/check_circle:"),
    "stopped": ("gray", ":material/pause_circle:"),
    "interrupted": ("orange", ":material/warning:"),
    "failed": ("red", ":material/error:"),
    "damaged": ("red", ":material/broken_image:"),
}

RUNS_SHOWN = 20


@st.fragment(run_every=1.5)
def watch(run_id: str) -> None:
    """Show the run at work, and draw the page anew when it has ended."""
    with shared.errors_as_messages():
        try:
            run = find_run(run_id)
        except RunError:
            # It ended and was deleted in another window.
            st.rerun()
        state = run.state
        if state.status != "running":
            st.rerun()
        with st.container(border=True):
            with st.container(
                horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
            ):
                st.subheader("Running", anchor=False, width="content")
                stopping = run.stop_file.exists()
                if not stopping and st.button(
                    "Stop", icon=":material/stop:", help="It can be resumed later."
                ):
                    stop_run(run)
                    stopping = True
                if stopping:
                    st.caption("Stopping …", width="content")
            share = min(state.done / state.total, 1.0) if state.total else 0.0
            st.progress(share, text=progress_text(state))
            st.caption("It continues when you leave or reload the page, or stop the app.")
            show_curves(run)


def progress_text(state: RunState) -> str:
    """Say what is being done, how far it is and how long it will take."""
    words = PHASES.get(state.phase, state.phase)
    if state.total:
        unit = {"heads": "epochs", "fine-tuning": "steps", "dataset": "files"}.get(
            state.phase, "faces"
        )
        words += f": {state.done:,} of {state.total:,} {unit}"
    left = state.seconds_left()
    return words if left is None else f"{words}, about {shared.duration(left)} left"


def show_curves(run: Run) -> None:
    """Show loss, age error and gender accuracy, epoch by epoch."""
    history = run.metrics()
    best = best_epoch(history)
    if best is None:
        st.caption("The curves appear with the first epoch of the heads.")
        return
    with st.container(horizontal=True):
        for label, value in (
            ("Best epoch", f"{best['epoch']:.0f} of {len(history)}"),
            ("Validation MAE", in_years(best["val_age_mae"])),
            ("Validation gender", percent(best["val_gender_accuracy"])),
            ("Validation loss", f"{best['val_loss']:.3f}"),
        ):
            st.metric(label, value, width=140)
    if run.selection_faces is not None:
        doubt = ", too few to tell how good it is" if run.is_hardly_measured else ""
        st.caption(f"On the {run.selection_faces:,} validation faces that chose the epoch{doubt}.")
    columns = st.columns(len(HISTORY_TITLES))
    for column, measure in zip(columns, HISTORY_TITLES, strict=True):
        column.altair_chart(training_chart(history, measure), key=f"{run.id}-{measure}")


# -- The runs before ------------------------------------------------------------------


def show_runs(runs: list[Run]) -> None:
    """List the runs, newest first, each with its curves and what can be done with it."""
    st.subheader("Runs", anchor=False)
    if not runs:
        st.caption("None yet. What you train appears here and stays.")
        return
    for number, run in enumerate(runs[:RUNS_SHOWN]):
        with shared.errors_as_messages():
            show_run(run, expanded=number == 0)
    if len(runs) > RUNS_SHOWN:
        st.caption(f"{len(runs) - RUNS_SHOWN} older ones are not shown.")


def show_run(run: Run, *, expanded: bool) -> None:
    """Show one run."""
    state = run.state
    color, icon = STATUS_LOOKS[state.status]
    title = f":{color}[**{state.status}**]  {run.id}"
    if state.status != "damaged":
        title = f":{color}[**{state.status}**]  {run_label(run)}{outcome(run)}"
    # Curves are drawn only for runs that are open.
    card = st.expander(title, expanded, icon=icon, key=f"run-{run.id}", on_change="rerun")
    if not card.open:
        return
    with card:
        if state.message and state.status != "finished":
            st.caption(state.message)
        if state.status != "damaged":
            with shared.errors_as_messages():
                show_curves(run)
        with st.container(horizontal=True, vertical_alignment="center"):
            if state.status == "finished" and st.button(
                "Evaluate it", icon=":material/monitoring:", key=f"evaluate-{run.id}"
            ):
                # The other pages show the run that was chosen last.
                st.session_state[RUN_KEY] = run.id
                st.switch_page(EVALUATION)
            if state.status in RESUMABLE and st.button(
                "Resume", icon=":material/resume:", key=f"resume-{run.id}"
            ):
                with st.spinner("Starting …"):
                    resume_run(run)
                st.rerun()
            if state.status != "damaged":
                with st.popover("Settings", icon=":material/tune:", key=f"settings-{run.id}"):
                    st.table(settings_table(run.config), hide_index=True, hide_header=True)
            if st.button("Delete", icon=":material/delete:", key=f"delete-{run.id}"):
                confirm_delete(run)


def outcome(run: Run) -> str:
    """Return a run's best validation error as text, if it has any."""
    try:
        best, count = best_epoch(run.metrics()), run.selection_faces
    except AgeGenderError:
        # The open card says so, where the run can be deleted.
        return ""
    if best is None:
        return ""
    accuracy = percent(best["val_gender_accuracy"])
    faces = "validation" if count is None else f"{count:,} validation faces"
    return f" · MAE {in_years(best['val_age_mae'])}, gender {accuracy} on {faces}"


@st.dialog("Delete this run?", icon=":material/delete:")
def confirm_delete(run: Run) -> None:
    """Ask once more, since a deleted run is gone."""
    st.markdown(f"`{run.id}` with its model, curves and saved predictions. It cannot be undone.")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary"):
            with shared.errors_as_messages():
                delete_run(run)
                st.rerun()
        if st.button("Keep it"):
            st.rerun()

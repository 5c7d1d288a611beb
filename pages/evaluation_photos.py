"""Evaluation, the tab on whole photos with known ages and genders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from agegender.config import RACE_NAMES
from agegender.dataset.paths import look_up
from agegender.errors import AgeGenderError
from agegender.evaluation import charts
from agegender.evaluation.crossings import NO_GAPS
from agegender.evaluation.photos import (
    GAP_NOTE,
    answer_photos,
    photo_failures,
    photo_gap_table,
    photo_group_table,
    photo_metrics,
    photo_note,
    photo_table,
    read_labels,
)
from agegender.training.run import Run
from pages import shared

RESULT_KEY = "evaluation_photos"
"""In the session: the run, the folder, its photos with their answers, and the figures."""


def show_photos(run: Run) -> None:
    """Measure a folder of labelled photos when asked to, and show what came of it."""
    st.markdown(
        "How good is it on whole photos, where faces have to be found first? Name a folder of "
        "photos of one person each with a table `labels.csv` in it: `filename`, `age` (years), "
        "`gender` (male or female) and, if people are on several photos, `subject`. With `race` "
        f"({', '.join(RACE_NAMES)}), the figures of these groups are given as well."
    )
    text = shared.ask_path(
        "Folder of photos",
        "/home/me/portraits",
        "It is used where it is and never written to.",
        button="Measure",
        icon=":material/play_arrow:",
    )
    of_run = (run.id, run.changed_ns)
    if text is not None:
        with shared.errors_as_messages():
            try:
                folder = look_up(text)
                photos = answers_of(run, folder)
            except AgeGenderError:
                # Older figures below the error would mislead; a stop leaves them.
                st.session_state.pop(RESULT_KEY, None)
                raise
            st.session_state[RESULT_KEY] = (of_run, folder, photos, photo_metrics(photos))
    kept = st.session_state.get(RESULT_KEY)
    if kept is not None and kept[0] == of_run:
        show_figures(*kept[1:])


def answers_of(run: Run, folder: Path) -> pd.DataFrame:
    """Find and answer the faces of a folder's photos."""
    from agegender.prediction.predictor import load_predictor

    # A wrong folder is refused before the model is loaded.
    read_labels(folder)
    with (
        st.spinner("Answering; the first time starts TensorFlow …"),
        shared.progress("Photos", stop=True) as on_progress,
    ):
        return answer_photos(load_predictor(run), folder, on_progress=on_progress)


def show_figures(folder: Path, photos: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """Show the figures, those of each group, and what went wrong."""
    st.markdown(f":material/folder: `{folder}`")
    st.dataframe(photo_table(metrics), hide_index=True)
    st.caption(photo_note(metrics))
    if metrics["answered"]:
        answered = photos[photos["faces"] > 0]
        left, right = st.columns(2)
        left.altair_chart(charts.residual_chart(answered))
        right.altair_chart(charts.error_chart(answered))
        st.markdown("**By group**")
        st.dataframe(photo_group_table(metrics), hide_index=True)
        st.markdown("**Gaps between groups**")
        gaps = photo_gap_table(metrics)
        if gaps.empty:
            st.info(NO_GAPS, icon=":material/info:")
        else:
            st.dataframe(gaps, hide_index=True)
            st.caption(GAP_NOTE)
    failures = photo_failures(photos)
    if len(failures):
        st.markdown("**Photos with something wrong**")
        st.dataframe(failures, hide_index=True)

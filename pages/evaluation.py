"""Evaluation: how far off a model is, and for whom."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from agegender.config import GENDER_NAMES, RACE_NAMES, reports_dir
from agegender.dataset.dataset import Dataset
from agegender.evaluation import charts, tables
from agegender.evaluation.cards import samples, worst_ages, worst_genders
from agegender.evaluation.evaluated_faces import (
    TRAIN_NOTE,
    LeftOut,
    count_left_out,
    select_faces,
)
from agegender.evaluation.looks import read_looks
from agegender.evaluation.metrics import Floors, compute_metrics, training_floors
from agegender.evaluation.predictions import predict_faces
from agegender.evaluation.report import pack_report, write_report
from agegender.evaluation.titles import GROUP_TITLES, HISTORY_TITLES
from agegender.evaluation.uncertainty import constant_half_width
from agegender.images import read_image
from agegender.model.answer import probability_of
from agegender.prediction.words import confidence_words
from agegender.training.estimate import feature_seconds
from agegender.training.features import count_missing
from agegender.training.run import Run
from pages import shared
from pages.current_dataset import chosen_folder, demo_badge, need_dataset
from pages.current_run import need_run, skill_note
from pages.evaluation_fairness import find_fairness, show_crossings, show_gates
from pages.evaluation_figures import show_figures, show_groups, show_published
from pages.evaluation_photos import show_photos
from pages.evaluation_uncertainty import show_uncertainty
from pages.navigation import header

SPLITS = {"validation": "Validation", "test": "Test", "train": "Train", "all": "All"}

PICTURES_SHOWN = 12


def choose_faces(dataset: Dataset) -> tuple[str, int | None]:
    """Let the visitor choose what to evaluate on."""
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    split = left.segmented_control(
        "Faces",
        list(SPLITS),
        default="validation",
        required=True,
        format_func=SPLITS.__getitem__,
        key="evaluation_split",
        persist_state="session",
        help="Choose by validation, and read the test split once, for the last word: whoever "
        "looks at it often enough learns it by heart. All is the three together, without "
        "faces that the model has learned from.",
    )
    total = len(select_faces(dataset, split))
    limit = right.number_input(
        "At most",
        min_value=1,
        value=None,
        step=100,
        placeholder=f"all {total:,} faces",
        key="evaluation_limit",
        persist_state="session",
        help="So many are drawn at random. Fewer are quicker and less certain.",
    )
    if split in ("test", "all"):
        st.caption(":material/visibility: Each look at the test split is logged with the run.")
    return split, limit if limit is not None and limit < total else None


def evaluation_key(run: Run, dataset: Dataset, split: str, limit: int | None) -> tuple[object, ...]:
    """Return all that the figures depend on."""
    return (run.id, run.changed_ns, str(dataset.folder), dataset.labels_hash, split, limit)


def predictions_of(
    run: Run, dataset: Dataset, split: str, limit: int | None
) -> tuple[pd.DataFrame, LeftOut]:
    """Return the predictions, after asking when they take a while.

    They are kept for the session, so that a click on the page is not another
    look at the test split.

    Returns:
        The predictions, and how many faces of the split are not among them.
    """
    key = evaluation_key(run, dataset, split, limit)
    kept = st.session_state.get("evaluation")
    if kept is not None and kept[0] == key:
        return kept[1:]
    chosen = select_faces(dataset, split, limit=limit, run=run)
    missing = count_missing(chosen, run.weights())
    if missing:
        seconds = feature_seconds(run.weights().spec.size, missing)
        st.markdown(
            f"**{missing:,}** of these pictures are new to the backbone. It looks at each once and "
            f"keeps what it saw, also when you leave the page: about {shared.duration(seconds)}."
        )
        if not st.button("Evaluate", type="primary", icon=":material/play_arrow:"):
            st.stop()
    with (
        st.spinner("Predicting; the first time starts TensorFlow …"),
        shared.progress("Faces", stop=missing > 0) as on_progress,
    ):
        table = predict_faces(run, dataset, split, limit=limit, on_progress=on_progress)
    left_out = count_left_out(run, dataset, split, table, limit=limit)
    st.session_state["evaluation"] = (key, table, left_out)
    if missing:
        # Without the question and the button, which have had their answer.
        st.rerun()
    return table, left_out


@st.cache_data(max_entries=4, show_spinner="Computing the figures …")
def figures_of(
    key: tuple[object, ...],
    _predictions: pd.DataFrame,
    floors: Floors | None,
    constant: float | None,
) -> dict[str, Any]:
    """Compute every figure, once for the same predictions: the bootstrap takes seconds.

    They are told apart by a key: of large tables Streamlit would look at some rows only.
    """
    return compute_metrics(_predictions, floors=floors, constant=constant)


def show_age(predictions: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """Show everything about the age answers."""
    left, right = st.columns(2, gap="medium")
    left.altair_chart(charts.age_scatter_chart(predictions))
    right.altair_chart(charts.residual_chart(predictions))
    left.altair_chart(charts.error_chart(predictions))
    by = right.segmented_control(
        "Error by", ["band", "decade", "race"], default="band", required=True,
        format_func=GROUP_TITLES.__getitem__, key="age_by",
    )  # fmt: skip
    right.altair_chart(charts.age_error_chart(metrics, by))


def show_gender(predictions: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """Show everything about the gender answers."""
    left, right = st.columns(2, gap="medium")
    left.altair_chart(charts.confusion_chart(metrics))
    right.altair_chart(charts.roc_chart(predictions))
    left.altair_chart(charts.calibration_chart(predictions))
    by = right.segmented_control(
        "Accuracy by", ["band", "decade", "race"], default="race", required=True,
        format_func=GROUP_TITLES.__getitem__, key="gender_by",
    )  # fmt: skip
    right.altair_chart(charts.gender_accuracy_chart(metrics, by))
    st.dataframe(tables.class_table(metrics), hide_index=True)
    area = metrics["gender"]["auc"]
    known = "unknown (one gender only)" if area is None else f"{area:.3f}"
    st.caption(f"Area under the ROC curve: {known}.")


def show_pictures(dataset: Dataset, predictions: pd.DataFrame) -> None:
    """Show the worst mistakes, or some answers, as pictures."""
    kinds: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
        "Worst ages": worst_ages,
        "Surest wrong genders": worst_genders,
        "A sample": samples,
    }
    kind = st.segmented_control("Show", list(kinds), default="Worst ages", required=True)
    shown = kinds[kind](predictions, PICTURES_SHOWN)
    if shown.empty:
        st.success("There is no such mistake.", icon=":material/check_circle:")
        return
    with st.container(horizontal=True):
        for row in shown.itertuples():
            with st.container(width=150, gap=None), shared.errors_as_messages():
                st.image(read_image(dataset.path(row.file)), width=150, alt=row.file)
                sure = float(probability_of(row.gender_pred, row.p_female))
                gender = f"{GENDER_NAMES[row.gender_pred]} {confidence_words(sure)}"
                st.markdown(f"**{row.age_pred:.0f}**, {gender}")
                st.caption(f"true {row.age}, {GENDER_NAMES[row.gender]}, {RACE_NAMES[row.race]}")


def show_training(run: Run) -> None:
    """Show the learning curves of the run."""
    history = run.metrics()
    if history.empty:
        st.caption("This run keeps no curves.")
        return
    columns = st.columns(len(HISTORY_TITLES))
    for column, measure in zip(columns, HISTORY_TITLES, strict=True):
        column.altair_chart(charts.training_chart(history, measure))


def show_report(run: Run, dataset: Dataset, split: str, limit: int | None) -> None:
    """Write the report and offer it for download."""
    st.markdown(
        "One self-contained page with every figure, besides tables (CSV, Markdown), pictures "
        "(PNG, SVG) and `metrics.json`."
    )
    # A name for each thing that was evaluated: two windows do not get each other's reports.
    key = repr(evaluation_key(run, dataset, split, limit))
    name = f"{run.id}-{split}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    folder = reports_dir() / name
    if st.button("Write the report", icon=":material/description:", type="primary"):
        with (
            shared.errors_as_messages(),
            st.spinner("Writing the report …"),
            shared.progress("Faces", stop=True) as on_progress,
        ):
            write_report(run, dataset, split, folder, limit=limit, on_progress=on_progress)
    if folder.is_dir():
        st.download_button(
            "Download the report",
            # Packed when it is asked for.
            partial(pack_report, folder),
            f"agegender-report-{name}.zip",
            "application/zip",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption(f"It is also in `{folder}`.")


header("Evaluation", "How far off the model is, for whom, and beside no skill at all.")
chosen_run = need_run()
skill_note(chosen_run)
show_published(chosen_run, expanded=chosen_folder() is None)
if chosen_folder() is None:
    # They need no dataset.
    with st.expander("Measure it on whole photos"):
        show_photos(chosen_run)
faces = need_dataset()
demo_badge(faces)
chosen_split, most = choose_faces(faces)
# One element, with or without progress in it: tabs that moved would go back to the first.
with st.container():
    answers, left_out = predictions_of(chosen_run, faces, chosen_split, most)
    # Pictures that could not be read may be read the next time.
    answers_key = (*evaluation_key(chosen_run, faces, chosen_split, most), len(answers))
    figures = figures_of(
        answers_key, answers, training_floors(faces), constant_half_width(chosen_run)
    )
show_figures(figures)
for count, reason in (
    (left_out.seen, "the model was trained on them, so they would flatter it"),
    (left_out.copies, "copies of others, which would count twice"),
):
    if count:
        st.caption(f"{count:,} {'face was' if count == 1 else 'faces were'} left out: {reason}.")
if answers["split"].eq("train").any():
    st.caption(TRAIN_NOTE)
if unread := left_out.unreadable:
    st.warning(
        f"{unread:,} {'picture' if unread == 1 else 'pictures'} could not be read: the figures are "
        "of the other faces.",
        icon=":material/broken_image:",
    )
if chosen_split in ("test", "all"):
    # Only here is this look among them.
    st.caption(f"Logged looks at a test split so far: {len(read_looks(chosen_run)):,}.")
age, gender, sure, groups, gates, pictures, photos, training, report = st.tabs(
    [
        "Age", "Gender", "How sure", "Groups", "Age gates", "Faces", "Whole photos", "Training",
        "Report",
    ]
)  # fmt: skip
with age:
    show_age(answers, figures)
with gender:
    show_gender(answers, figures)
with sure:
    show_uncertainty(answers, figures, chosen_split)
fairness = find_fairness(answers_key, answers, chosen_run, faces)
with groups:
    show_groups(figures, key="groups")
    show_crossings(fairness)
with gates:
    show_gates(answers, fairness, faces)
with pictures:
    show_pictures(faces, answers)
with photos:
    show_photos(chosen_run)
with training, shared.errors_as_messages():
    show_training(chosen_run)
with report:
    show_report(chosen_run, faces, chosen_split, most)

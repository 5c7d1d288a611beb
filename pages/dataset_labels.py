"""The Dataset page's tab on labels that are probably wrong."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from agegender.config import GENDER_NAMES
from agegender.dataset.dataset import Dataset
from agegender.dataset.exclusion import (
    change_exclusions,
    exclusions_file,
    exclusions_text,
    read_exclusions,
    write_exclusions,
)
from agegender.errors import ModelNotFoundError
from agegender.images import read_image
from agegender.label_quality.suspicion import HEADS, exclusions, rank_labels
from agegender.model.weights import BackboneWeights
from agegender.prediction.words import confidence_words
from agegender.training.config import TrainConfig
from agegender.training.estimate import estimate_seconds
from agegender.training.features import count_missing
from agegender.training.runs import default_run
from pages import shared
from pages.current_run import NO_RUN_YET, run_label
from pages.navigation import TRAINING, next_step

SUSPECTS_KEPT = 500
"""So many of the most suspicious labels can be looked at."""

SUSPECTS_SHOWN = 24
"""On one sheet."""

MARKS_KEY = "label_marks"
"""In the session: the dataset folder, and the content hashes of the faces that are marked
now, and of those that were when the list was last read."""


def show_label_quality(dataset: Dataset) -> None:
    """Show the most suspicious labels, to be marked and left out of training."""
    st.markdown(
        "Which labels are probably wrong? A model is trained five times, each time without a fifth "
        "of the train faces, and answers for those: the labels that are furthest from its answers "
        "come first. Many are wrong, others belong to faces that are merely hard. **Look before "
        "you leave out.**"
    )
    try:
        run = default_run()
    except ModelNotFoundError:
        next_step(NO_RUN_YET, TRAINING, "Train a model")
        return
    with shared.errors_as_messages():
        weights = run.chosen_weights()
        st.caption(
            f"With the backbone of the model “{run_label(run)}”. If it was trained on these "
            "labels, as the shipped one was on UTKFace's, fewer wrong ones stand out."
        )
        key = (str(dataset.folder), dataset.labels_hash, weights.sha256)
        suspects = find_suspects(key, dataset, weights)
        if suspects is None:
            # Not kept: another visitor, or the command, may check them at any time.
            find_suspects.clear()
            offer_check(dataset, weights)
        else:
            show_suspects(dataset, suspects)


@st.cache_data(max_entries=4, show_spinner=False)
def find_suspects(
    key: tuple[object, ...], _dataset: Dataset, _weights: BackboneWeights
) -> pd.DataFrame | None:
    """Return the most suspicious labels, or None before they have been checked.

    Args:
        key: What decides it, since the others are not hashed.
        _dataset: The faces.
        _weights: The backbone.
    """
    # Imported here, as it brings much that the first page does not need.
    from agegender.label_quality.out_of_fold import is_kept, predict_out_of_fold

    if not is_kept(_dataset, _weights):
        return None
    return rank_labels(predict_out_of_fold(_dataset, _weights)).head(SUSPECTS_KEPT)


def offer_check(dataset: Dataset, weights: BackboneWeights) -> None:
    """Check the labels when asked to, and say how long that takes."""
    from agegender.label_quality.out_of_fold import EPOCHS, FOLDS, faces_needed, predict_out_of_fold

    train = dataset.of("train")
    missing = count_missing(faces_needed(dataset), weights)
    if missing:
        st.markdown(
            f"**{missing:,}** different pictures have not been through this backbone yet. It is "
            "done once; what is done is kept when you leave the page. A training does it in the "
            "background."
        )
    # As if every fold's heads learned from all of them: the fifth too many is for the answers.
    config = TrainConfig("", weights.name, epochs=FOLDS * EPOCHS)
    seconds = estimate_seconds(
        config, size=weights.spec.size, train_faces=len(train), missing=missing
    )
    st.caption(f"About **{shared.duration(seconds)}** on this computer, once for these labels.")
    if st.button("Check the labels", type="primary", icon=":material/fact_check:"):
        with (
            st.spinner("Checking; the first time starts TensorFlow …"),
            shared.progress("Faces", stop=True) as on_faces,
            shared.progress("Epochs") as on_epochs,
        ):
            predict_out_of_fold(dataset, weights, on_faces=on_faces, on_epochs=on_epochs)
        st.rerun()


def show_suspects(dataset: Dataset, suspects: pd.DataFrame) -> None:
    """Show a sheet of suspicious labels, and what can be done with the marked ones."""
    marked, _ = marks(dataset)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    head = left.segmented_control(
        "Label", ["both", *HEADS], default="both", required=True, format_func=str.capitalize
    )
    chosen = suspects if head == "both" else suspects[suspects["head"] == head]
    if chosen.empty:
        st.info("No such label.", icon=":material/check_circle:")
        return
    sheets = -(-len(chosen) // SUSPECTS_SHOWN)
    sheet = right.number_input(f"Page (of {sheets})", 1, sheets, 1)
    shown = chosen.iloc[(sheet - 1) * SUSPECTS_SHOWN : sheet * SUSPECTS_SHOWN]
    with st.container(horizontal=True):
        for row in shown.itertuples():
            with st.container(width=150, gap=None), shared.errors_as_messages():
                st.image(read_image(dataset.path(row.file)), width=150, alt=row.file)
                show_labels(row)
                # Copies of a picture have labels of their own, and share their mark.
                key = f"leave-out-{row.file}"
                st.session_state[key] = row.sha256 in marked
                st.checkbox("Leave out", key=key, on_change=toggle, args=(marked, row.sha256))
    show_actions(dataset, suspects, set(shown["sha256"]))


def show_labels(row: object) -> None:
    """Write a label beside what is expected, the suspicious one in bold."""
    gender = GENDER_NAMES[row.gender]
    sure = f"{confidence_words(row.p_female)} female"
    expected = f"{row.age_pred:.0f} ({row.age_low:.0f}-{row.age_high:.0f})"
    by_age = row.head == "age"
    label = f"**{row.age}**, {gender}" if by_age else f"{row.age}, **{gender}**"
    st.markdown(f"Label {label}")
    st.caption(f"expected {expected}, {sure}")


def marks(dataset: Dataset) -> tuple[set[str], set[str]]:
    """Return the faces marked in this session, at first those of the saved list, and these."""
    folder, marked, saved = st.session_state.get(MARKS_KEY, (None, set(), set()))
    if folder != dataset.folder:
        path = exclusions_file(dataset.folder)
        saved = set(read_exclusions(path)) if path.exists() else set()
        marked = set(saved)
        st.session_state[MARKS_KEY] = (dataset.folder, marked, saved)
    return marked, saved


def toggle(marked: set[str], sha256: str) -> None:
    """Mark a face, or take its mark away."""
    marked.symmetric_difference_update({sha256})


def show_actions(dataset: Dataset, suspects: pd.DataFrame, shown: set[str]) -> None:
    """Offer to mark the sheet, and to save or take away what is marked."""
    marked, saved = marks(dataset)
    file = exclusions_file(dataset.folder)
    # Only what this session has changed: another window may have saved marks as well.
    listed = change_exclusions(
        file,
        added=exclusions(suspects[suspects["sha256"].isin(marked - saved)]),
        removed=saved - marked,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Mark this page", icon=":material/select_all:",
                  on_click=marked.update, args=(shown,))  # fmt: skip
        st.button("Unmark all", icon=":material/deselect:", on_click=marked.clear)
        st.download_button(
            "Download the list",
            exclusions_text(listed),
            f"{dataset.folder.name}-exclusions.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            disabled=listed.empty,
        )
        if st.button("Save for training", type="primary", icon=":material/save:"):
            write_exclusions(listed, file)
            # In place, as the buttons and boxes on the page hold on to them.
            for hashes in (marked, saved):
                hashes.clear()
                hashes.update(listed["sha256"])
            st.toast("Saved: choose it on the Training page.", icon=":material/check:")
    st.markdown(
        f"**{len(marked):,}** {'face is' if len(marked) == 1 else 'faces are'} marked. A list "
        "that is saved can be chosen on the Training page; it takes faces from the train split "
        "only, so that figures stay comparable. On UTKFace, leaving out the first of the list "
        "without looking changed the validation figures by no more than chance "
        "(docs/label-quality.md)."
    )

"""Dataset: get faces, and see what is in them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from agegender.config import GENDER_NAMES, MAX_AGE_YEARS, RACE_NAMES, SPLIT_NAMES
from agegender.dataset.dataset import Dataset, DatasetSummary, statistics, summary
from agegender.dataset.split import SET_ASIDE
from agegender.evaluation import charts
from agegender.images import read_image
from pages import shared
from pages.current_dataset import (
    chosen_folder,
    demo_badge,
    forget_datasets,
    read_dataset,
    tell_lost_folder,
)
from pages.dataset_labels import show_label_quality
from pages.dataset_sources import get_faces
from pages.navigation import TRAINING, header, link

SAMPLES_SHOWN = 18
PAIRS_SHOWN = 12
FACE_WIDTH = 120
ROWS_SHOWN = 500
"""More rows of unused files are not sent to the browser."""


def show_figures(dataset: Dataset, counts: DatasetSummary) -> None:
    """Show the dataset in five numbers."""
    faces = dataset.faces
    ages = faces["age"]
    women = float((faces["gender"] == GENDER_NAMES.index("female")).mean())
    copies = int((faces["duplicate_group"] >= 0).sum())
    with st.container(horizontal=True):
        for label, value, help_text in (
            ("Faces", f"{counts.labelled:,}", f"of {counts.files:,} files in the folder"),
            (
                "Median age",
                f"{ages.median():.0f} years",
                f"from {ages.min()} to {ages.max()} years, mean {ages.mean():.1f}",
            ),
            ("Female", f"{100 * women:.0f}%", "as labelled; UTKFace knows two genders"),
            ("Duplicates", f"{copies:,}", "faces of which the folder holds another copy"),
            ("Unused files", f"{len(dataset.unused):,}", "each is listed with its reason"),
        ):
            st.metric(label, value, help=help_text, border=True, width=150)


def show_overview(dataset: Dataset) -> None:
    """Show the distributions and the table behind them."""
    faces = dataset.faces
    st.altair_chart(charts.age_chart(faces))
    left, right = st.columns(2, gap="medium")
    left.altair_chart(charts.balance_chart(faces))
    right.altair_chart(charts.race_chart(faces))
    st.subheader("Statistics", anchor=False)
    st.dataframe(statistics(dataset), hide_index=True)


def show_samples(dataset: Dataset) -> None:
    """Show faces that pass the filters."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        genders = st.pills("Gender", GENDER_NAMES, selection_mode="multi")
        races = st.pills("Race group", RACE_NAMES, selection_mode="multi")
        splits = st.pills("Split", (*SPLIT_NAMES, SET_ASIDE), selection_mode="multi")
    youngest, oldest = st.slider("Age, years", 0, MAX_AGE_YEARS, (0, MAX_AGE_YEARS))
    faces = dataset.faces
    chosen = faces["age"].between(youngest, oldest)
    if genders:
        chosen &= faces["gender"].isin([GENDER_NAMES.index(name) for name in genders])
    if races:
        chosen &= faces["race"].isin([RACE_NAMES.index(name) for name in races])
    if splits:
        chosen &= faces["split"].isin(splits)
    found = faces[chosen]
    draw = st.session_state.setdefault("dataset_draw", 0)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(found):,}** faces match.", width="content")
        if len(found) > SAMPLES_SHOWN and st.button(
            "Show others", icon=":material/shuffle:", type="tertiary"
        ):
            st.session_state["dataset_draw"] = draw = draw + 1
    if found.empty:
        st.info("No face matches. Take a filter away.", icon=":material/filter_alt_off:")
        return
    show_faces(dataset, found.sample(min(SAMPLES_SHOWN, len(found)), random_state=draw))


def show_faces(dataset: Dataset, faces: pd.DataFrame, *, with_split: bool = False) -> None:
    """Show faces side by side, each with its labels."""
    with st.container(horizontal=True):
        for row in faces.itertuples():
            caption = f"{row.age} · {GENDER_NAMES[row.gender]} · {RACE_NAMES[row.race]}"
            if with_split:
                caption += f" · {row.split}"
            with st.container(width=FACE_WIDTH, gap=None), shared.errors_as_messages():
                st.image(read_image(dataset.path(row.file)), width=FACE_WIDTH, alt=caption)
                st.caption(caption)


def show_duplicates(dataset: Dataset, counts: DatasetSummary) -> None:
    """Show which faces there are twice, contradicting ones first."""
    faces = dataset.faces[dataset.faces["duplicate_group"] >= 0]
    if faces.empty:
        st.success("No face is there twice.", icon=":material/check_circle:")
        return
    with st.container(horizontal=True):
        for label, value in (
            ("Exact copies", counts.exact_duplicates),
            ("Groups nearly alike", counts.near_groups),
            ("Label conflicts", counts.label_conflicts),
            ("Largest group", counts.largest_group),
        ):
            st.metric(label, f"{value:,}", border=True, width=165)
    st.markdown(
        ":gray[Copies that are found never stand on both sides of a split: those in the first of "
        "train, validation and test stay, the others are set aside. A label "
        "conflict is a group whose labels contradict each other.]"
    )
    only_conflicts = counts.label_conflicts > 0 and st.toggle("Only label conflicts", value=True)
    if only_conflicts:
        faces = faces[faces["label_conflict"]]
    groups = faces["duplicate_group"].unique()
    st.markdown(
        f"**{len(groups):,}** {'group' if len(groups) == 1 else 'groups'}"
        + (f", the first {PAIRS_SHOWN} shown." if len(groups) > PAIRS_SHOWN else ".")
    )
    with st.container(horizontal=True):
        for group in groups[:PAIRS_SHOWN]:
            with st.container(border=True, width="content"):
                same = faces[faces["duplicate_group"] == group]
                show_faces(dataset, same.head(4), with_split=True)


def show_split(dataset: Dataset, counts: DatasetSummary) -> None:
    """Show how the faces are divided."""
    st.altair_chart(charts.split_chart(dataset.faces))
    st.markdown(
        "A face's split is drawn from the content of its file and nothing else: it is the same "
        "on every machine, whatever files are added or removed. Only a copy of a face in another "
        "split sets it aside. Train is for learning, validation for choosing, test for the last "
        "word."
    )
    aside = counts.splits[SET_ASIDE]
    if aside:
        st.caption(f"{aside:,} faces are set aside, since a copy of them is in another split.")


def show_unused(dataset: Dataset) -> None:
    """List every file that is not used, with its reason."""
    unused = dataset.unused
    if unused.empty:
        st.success("Every file is used.", icon=":material/check_circle:")
        return
    st.markdown(f"**{len(unused):,}** files are not used. Nothing is guessed or changed.")
    table = unused.head(ROWS_SHOWN).rename(columns={"file": "File", "reason": "Reason"})
    # A reason is to be read in full; a name that is cut off is still recognised.
    widths = {
        "File": st.column_config.Column(width=190),
        "Reason": st.column_config.Column(width=630),
    }
    st.dataframe(table, hide_index=True, column_config=widths)


def show(dataset: Dataset) -> None:
    """Show a dataset."""
    counts = summary(dataset)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/folder: `{dataset.folder}`", width="content")
        demo_badge(dataset)
        if st.button("Read again", icon=":material/refresh:", type="tertiary"):
            forget_datasets()
            st.rerun()
    show_figures(dataset, counts)
    unused_title = f"Unused files ({len(dataset.unused):,})"
    overview, samples, duplicates, labels, split, unused = st.tabs(
        ["Overview", "Samples", "Duplicates", "Label quality", "Split", unused_title]
    )
    with overview:
        show_overview(dataset)
    with samples:
        show_samples(dataset)
    with duplicates:
        show_duplicates(dataset, counts)
    with labels:
        show_label_quality(dataset)
    with split:
        show_split(dataset, counts)
    with unused:
        show_unused(dataset)


header("Dataset", "Labelled faces: where they are, who is in them, and what is left out.")
tell_lost_folder()
folder = chosen_folder()
if folder is None:
    with st.container(border=True):
        st.subheader("Get faces", anchor=False)
        get_faces()
else:
    with st.expander("Change the dataset", icon=":material/swap_horiz:"):
        get_faces()
    show(read_dataset(folder))
    link(TRAINING, "Next: train a model")

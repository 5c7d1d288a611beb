"""Home: what this is, where you stand, what to do next.

It is the first page of most visits: the words come before anything that takes
time to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from agegender.config import SEED
from agegender.evaluation.formats import in_years, percent
from pages import shared
from pages.current_dataset import chosen_folder, demo_badge, read_dataset, tell_lost_folder
from pages.current_run import run_label, usable_runs
from pages.navigation import DATASET, EVALUATION, PREDICTION, TRAINING, link, require_app

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HERO_FACES = ((4, 1, 2), (12, 0, 1), (24, 1, 3), (38, 0, 0), (55, 1, 1), (78, 0, 4))
"""(age, gender, race) of the drawings in the picture at the top."""


@st.cache_data(show_spinner=False)
def draw_strip() -> list[NDArray[np.uint8]]:
    """Draw the faces of the picture at the top."""
    import numpy as np

    from agegender.dataset.drawing.face import draw_face

    rng = np.random.default_rng(SEED)
    return [draw_face(age, gender, race, rng) for age, gender, race in HERO_FACES]


def show_hero() -> None:
    """Say what this is, beside a row of drawn faces."""
    words, picture = st.columns([3, 2], gap="large", vertical_alignment="center")
    with words:
        st.title("Age and gender from a face, and why", anchor=False)
        st.markdown(
            "Train a network on labelled faces, see how far off it is and for whom, look at "
            "what it looked at, then try it on your own pictures. "
            "Everything stays on this computer."
        )
    with picture, st.container(horizontal=True, gap="small"):
        for face, (age, _, _) in zip(draw_strip(), HERO_FACES, strict=True):
            st.image(face, width=84, caption=str(age), alt=f"Drawn face, {age} years old")


def show_dataset_card() -> bool:
    """Tell where the faces are; return whether there are any."""
    st.subheader(":material/photo_library: Faces", anchor=False)
    tell_lost_folder()
    folder = chosen_folder()
    if folder is None:
        st.markdown("None yet.")
        link(DATASET, "Get a dataset")
        return False
    dataset = read_dataset(folder)
    counts = dataset.faces["split"].value_counts()
    st.markdown(
        f"**{len(dataset.faces):,}** labelled faces in `{folder.name}`: "
        f"{counts.get('train', 0):,} to train on, {counts.get('validation', 0):,} to choose by, "
        f"{counts.get('test', 0):,} to test on."
    )
    demo_badge(dataset)
    link(DATASET, "Look at the faces")
    return True


def show_runs_card() -> bool:
    """Tell what was trained; return whether a training is at work."""
    st.subheader(":material/model_training: Trainings", anchor=False)
    from agegender.training.runs import list_runs

    runs = list_runs()
    is_training = any(run.is_alive() for run in runs)
    if is_training:
        st.markdown("One is running.")
        link(TRAINING, "Watch it")
    elif runs:
        noun = "training" if len(runs) == 1 else "trainings"
        st.markdown(f"**{len(runs)}** {noun}, the newest is {runs[0].state.status}.")
        link(TRAINING, "See them")
    else:
        st.markdown("None yet.")
        link(TRAINING, "Train a model")
    return is_training


def show_model_card() -> bool:
    """Tell which model answers; return whether there is one."""
    st.subheader(":material/face: Model", anchor=False)
    from agegender.evaluation.published import read_published

    runs = usable_runs()
    if not runs:
        st.markdown("None yet. It comes out of a training.")
        return False
    run = runs[0]
    st.markdown(f"{run_label(run)}.")
    if (published := read_published(run)) is not None:
        st.markdown(
            f"**{in_years(published['age']['mae'])}** off on average, and right about gender "
            f"in **{percent(published['gender']['accuracy'])}**, on {published['n']:,} "
            "test faces."
        )
    if not run.weights().has_skill:
        st.badge(
            "Random backbone: answers mean nothing",
            icon=":material/science:",
            color="orange",
        )
    if run.knows_only_drawings:
        st.badge("Learned from drawings, not people", icon=":material/brush:", color="orange")
    elif run.is_hardly_measured:
        st.badge(
            f"Chosen on {run.selection_faces} faces: nobody knows how good it is",
            icon=":material/science:",
            color="orange",
        )
    link(EVALUATION, "See how good it is")
    return True


def show_next(has_faces: bool, is_training: bool, has_model: bool) -> None:
    """Name the one next step."""
    if is_training:
        words = "A training is running. Watch its curves; it continues if you leave the page."
        target, label = TRAINING, "Watch the training"
    elif not has_model and not has_faces:
        from agegender.dataset.download import ARCHIVE_SIZE

        words = f"Get faces: draw demo faces in seconds, or fetch UTKFace ({ARCHIVE_SIZE})."
        target, label = DATASET, "Get a dataset"
    elif not has_model:
        words = "Train a model on these faces. The defaults are good."
        target, label = TRAINING, "Train a model"
    elif not has_faces:
        words = "Try the model on a photo. To measure it, or to train your own, get faces."
        target, label = PREDICTION, "Try a photo"
    else:
        words = "Try the model on a photo, or see how far off it is and for whom."
        target, label = PREDICTION, "Try a photo"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Next.** {words}", width="stretch")
        if st.button(label, type="primary", icon=":material/arrow_forward:"):
            st.switch_page(target)


def show_path() -> None:
    """Show the way of a face through the app."""
    steps = (
        ("Dataset", "Faces in, labels read from their names, duplicates found, split drawn."),
        ("Training", "A frozen ResNet50 turns faces into numbers; two heads learn from them."),
        ("Evaluation", "Years off, share right and for whom it fails, beside a no-skill baseline."),
        ("Grad-CAM", "Which parts of the face raise or lower the answer."),
        ("Prediction", "Your own pictures, with a confidence and files to take away."),
    )
    st.subheader("The path", anchor=False)
    for column, (number, (name, words)) in zip(
        st.columns(len(steps)), enumerate(steps, start=1), strict=True
    ):
        column.markdown(f"**{number}. {name}**  \n:gray[{words}]")


def show_limits() -> None:
    """State the proper use in three sentences."""
    st.caption(
        "A guess about how a face looks, not a fact about a person. Labels in UTKFace are "
        "estimates with two genders and five groups. Gender errors are larger for children, age "
        "errors for older people, both for groups with few faces. Not for decisions about people."
    )


require_app()
show_hero()
st.space("small")
next_place = st.container()
faces_card, runs_card, model_card = (
    column.container(border=True, height="stretch") for column in st.columns(3)
)
# What cannot be shown is as good as not there.
faces = training = model = False
with runs_card, shared.errors_as_messages():
    training = show_runs_card()
with model_card, shared.errors_as_messages():
    model = show_model_card()
st.space("small")
show_path()
st.space("small")
show_limits()
# Last, since reading a folder for the first time takes a while.
with faces_card, shared.errors_as_messages():
    faces = show_dataset_card()
with next_place:
    show_next(faces, training, model)

"""Grad-CAM: which parts of a face the two answers rest on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from agegender.config import GENDER_NAMES
from agegender.images import png_bytes, read_image
from agegender.model.answer import probability_of
from agegender.training.run import Run
from pages import shared
from pages.current_dataset import chosen_folder, demo_badge, need_dataset
from pages.current_run import need_run, skill_note
from pages.gradcam_trust import show_trust
from pages.navigation import header

if TYPE_CHECKING:
    from agegender.explanation.gradcam import Explanation
    from agegender.prediction.predictor import Prediction

FACES_SHOWN = 8

FAINT = 0.1
"""Of the scale that both genders' maps share: below, a map looks empty."""

FILE_KEY = "gradcam_file"
DRAW_KEY = "gradcam_draw"


def pick_labelled_face() -> tuple[str, NDArray[np.uint8], str] | None:
    """Let the visitor pick a validation face: the model did not learn from it.

    The test split is for evaluations, where each look at it is counted.

    Returns:
        The file's name, its pixels and its labels as text; None while none is picked.
    """
    dataset = need_dataset()
    faces = dataset.of("validation")
    if faces.empty:
        st.info(
            "This dataset has no validation faces. Upload a picture, or use a larger dataset.",
            icon=":material/info:",
        )
        return None
    demo_badge(dataset)
    draw = st.session_state.setdefault(DRAW_KEY, 0)
    shown = faces.sample(min(FACES_SHOWN, len(faces)), random_state=draw)
    file = st.session_state.get(FILE_KEY)
    if file not in set(faces["file"]):
        file = shown["file"].iat[0]
    with st.container(horizontal=True):
        for row in shown.itertuples():
            with st.container(width=104, gap="xsmall"), shared.errors_as_messages():
                st.image(read_image(dataset.path(row.file)), width=104, alt=row.file)
                if st.button(
                    f"{row.age} · {GENDER_NAMES[row.gender]}",
                    key=f"pick-{row.file}",
                    width="stretch",
                    type="primary" if row.file == file else "secondary",
                    help="Explain this face",
                ):
                    st.session_state[FILE_KEY] = row.file
                    st.rerun()
    if len(faces) > FACES_SHOWN and st.button(
        "Show others", icon=":material/shuffle:", type="tertiary"
    ):
        st.session_state[DRAW_KEY] = draw + 1
        st.rerun()
    row = faces[faces["file"] == file].iloc[0]
    truth = f"labelled {row['age']} years, {GENDER_NAMES[row['gender']]}"
    return Path(file).name, read_image(dataset.path(file)), truth


def pick_upload() -> tuple[str, NDArray[np.uint8], str] | None:
    """Take one photo from the visitor, and its main face; it stays in memory only."""
    upload = st.file_uploader("A photo", type=shared.picture_types())
    is_crop = st.toggle(
        "This is already a face crop",
        help="The picture shows one face, cut out as in UTKFace; its centre square is taken as it "
        "is. Otherwise the largest face in the photo is looked for.",
    )
    st.caption("The photo stays in memory and is not kept.")
    if upload is None:
        return None
    photo = read_image(upload.getvalue(), name=upload.name)
    face, count = (photo, 1) if is_crop else find_main_face(photo)
    if face is None:
        st.info(
            f"No face was found in {upload.name}. If it is a face crop, say so above.",
            icon=":material/search_off:",
        )
        return None
    if count > 1:
        st.caption(
            f"{count} faces were found; this is the largest. Prediction has the maps of all."
        )
    return upload.name, face, ""


# Kept by the visitor's session and gone with it: the photo may be an upload.
@st.cache_data(max_entries=8, scope="session", show_spinner="Looking for faces …")
def find_main_face(photo: NDArray[np.uint8]) -> tuple[NDArray[np.uint8] | None, int]:
    """Return what `main_face` does, once for a photo."""
    from agegender.prediction.photos import main_face

    return main_face(photo)


@st.cache_data(max_entries=32, scope="session", show_spinner="Looking at what the model looks at …")
def explain(
    folder: Path, changed_ns: int, rgb: NDArray[np.uint8]
) -> tuple[Prediction, Explanation, NDArray[np.uint8]]:
    """Answer for a face and explain both answers.

    Returns:
        The answer, the heatmaps, and the square that the model saw, enlarged.
    """
    from agegender.prediction.predictor import load_predictor

    predictor = load_predictor(Run(folder))
    [answer] = predictor.predict([rgb])
    return answer, predictor.explain(rgb), predictor.display_face(rgb)


def show(run: Run, name: str, rgb: NDArray[np.uint8], truth: str) -> None:
    """Show the face and both maps side by side."""
    # matplotlib takes a moment, which the other pages need not wait for.
    from agegender.explanation.overlay import DEFAULT_OPACITY, overlay_heatmap
    from agegender.prediction.quality import UNFAMILIAR
    from agegender.prediction.words import confidence_words
    from pages.prediction_faces import show_flag

    answer, maps, view = explain(run.folder, run.changed_ns, rgb)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        opacity = st.slider("Opacity of the maps, %", 0, 100, round(100 * DEFAULT_OPACITY), 5)
        gender = st.segmented_control(
            "Gender map for",
            GENDER_NAMES,
            default=answer.gender,
            required=True,
            help="What speaks for this gender. Both maps share one scale, so that a pale map "
            "means weak evidence.",
        )
    age_map = overlay_heatmap(view, maps.age, signed=True, opacity=opacity / 100)
    gender_map = overlay_heatmap(view, maps.gender(gender), opacity=opacity / 100)
    original, age_place, gender_place = st.columns(3, gap="medium", border=True)
    with original:
        st.markdown("**Original**")
        st.image(view, width="stretch", alt=f"The square of {name} that the model saw")
        st.caption(truth or name)
        if answer.unfamiliar:
            show_flag(UNFAMILIAR)
    with age_place:
        st.markdown(f"**Age: {answer.age:.0f} years**")
        st.image(age_map, width="stretch", alt="Heatmap of the age head")
        st.caption("Orange raises the predicted age, blue lowers it.")
    with gender_place:
        share = float(probability_of(GENDER_NAMES.index(gender), answer.p_female))
        st.markdown(f"**{gender.capitalize()}: {confidence_words(share)}**")
        st.image(gender_map, width="stretch", alt=f"Heatmap of the gender head for {gender}")
        if maps.gender(gender).max() >= FAINT:
            st.caption(f"The brighter, the more it speaks for {gender}.")
        else:
            st.caption(
                f"Hardly anything here speaks for {gender}: the map shows only what does, beside "
                "what speaks for the other."
            )
    st.caption(shared.MAPS_CAUTION.format(test="below, you"))
    stem = Path(name).stem
    with st.container(horizontal=True):
        for label, picture, suffix in (
            ("Age map", age_map, "age"),
            ("Gender map", gender_map, gender),
            ("All three side by side", np.concatenate([view, age_map, gender_map], 1), "maps"),
        ):
            st.download_button(
                label,
                png_bytes(picture),
                f"{stem}-{suffix}.png",
                "image/png",
                icon=":material/download:",
                on_click="ignore",
            )


def show_reading() -> None:
    """Say what a map means and what it does not."""
    with st.expander("How to read the maps", icon=":material/help:"):
        st.markdown(
            "A map shows where the last fine layer of the network responds, weighted by how much "
            "it moves one answer. It is averaged over the face and its mirror image, as the answer "
            "is. It tells where the network looked, not why, and it is as coarse as its cells. "
            "Selvaraju et al., “Grad-CAM”, ICCV 2017."
        )


header("Grad-CAM", "See which parts of a face raise or lower each answer.")
chosen_run = need_run()
skill_note(chosen_run)
source = st.segmented_control(
    "Face",
    ["dataset", "upload"],
    # Without faces, a picture of one's own is what works at once.
    default="upload" if chosen_folder() is None else "dataset",
    required=True,
    format_func={
        "dataset": ":material/photo_library: From the validation split",
        "upload": ":material/upload: Upload a picture",
    }.__getitem__,
)
with shared.errors_as_messages():
    picked = pick_labelled_face() if source == "dataset" else pick_upload()
    if picked is not None:
        show(chosen_run, *picked)
show_reading()
show_trust(chosen_run)

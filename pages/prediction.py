"""Prediction: age and gender for your own pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from agegender.errors import InvalidImageError
from agegender.prediction.sources import Picture, iter_pictures
from agegender.training.runs import Run
from pages import shared

if TYPE_CHECKING:
    from streamlit.typing import UploadedFile

    from agegender.prediction.export import ExplainedPicture
    from agegender.prediction.predictor import Predictor
    from agegender.prediction.tables import PredictionRow

FACES_SHOWN = 12
FAILURES_SHOWN = 4
ZIP_PICTURES = 50
"""The ZIP is kept in memory for each visitor, some 2 MB a picture; the command line,
which writes to disk, has no such limit."""

RESULT_KEY = "prediction"


@dataclass
class Result:
    """What came of the pictures at hand, kept for the session and nowhere else.

    Attributes:
        key: The run and the uploads that it is about.
        rows: One row a picture.
        faces: The first faces, as the model saw them, by their place in `rows`.
        explained: The same with heatmaps, once they have been asked for.
        archive: The ZIP file, once it has been asked for.
    """

    key: tuple[object, ...]
    rows: list[PredictionRow] = field(default_factory=list)
    faces: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    explained: list[ExplainedPicture] = field(default_factory=list)
    archive: bytes = b""


def take_pictures() -> list[UploadedFile]:
    """Let the visitor upload pictures or take one."""
    source = st.segmented_control(
        "Pictures",
        ["upload", "camera"],
        default="upload",
        required=True,
        format_func={
            "upload": ":material/upload: Upload",
            "camera": ":material/photo_camera: Camera",
        }.__getitem__,
    )
    if source == "camera":
        taken = st.camera_input("Take a picture", width=480)
        uploads = [taken] if taken is not None else []
    else:
        uploads = st.file_uploader(
            "One or more pictures, or a ZIP of them",
            type=[*shared.picture_types(), ".zip"],
            accept_multiple_files=True,
            help="JPEG, PNG, WebP, HEIC, TIFF, BMP or GIF.",
        )
    st.caption(
        "Each picture is taken as one face, cropped as in UTKFace: the centre square is what the "
        "model sees. Pictures stay in memory and are not kept."
    )
    return list(uploads)


def read_pictures(uploads: list[UploadedFile]) -> Iterator[Picture]:
    """Read the pictures at hand one after the other, each upload when its turn comes."""
    return iter_pictures((upload.name, upload.getvalue()) for upload in uploads)


def result_of(predictor: Predictor, run: Run, uploads: list[UploadedFile]) -> Result:
    """Predict for the pictures at hand, unless that was done already."""
    from agegender.prediction.tables import predict_pictures

    key = (run.id, run.changed_ns, *(upload.file_id for upload in uploads))
    kept = st.session_state.get(RESULT_KEY)
    if kept is not None and kept.key == key:
        return kept
    result = Result(key)

    def first_faces() -> Iterator[Picture]:
        for number, picture in enumerate(read_pictures(uploads)):
            if number < FACES_SHOWN and not isinstance(picture.content, InvalidImageError):
                result.faces[number] = predictor.display_face(picture.content)
            yield picture

    with shared.progress("Pictures") as on_progress:
        for row in predict_pictures(predictor, first_faces()):
            result.rows.append(row)
            on_progress(len(result.rows), 0)
    st.session_state[RESULT_KEY] = result
    return result


def load_model(run: Run) -> Predictor:
    """Load a run's model, or take the one that is loaded; that takes TensorFlow."""
    from agegender.prediction.predictor import load_predictor

    return load_predictor(run)


def show_faces(result: Result) -> None:
    """Show the first faces with their answers."""
    with st.container(horizontal=True):
        for number, face in result.faces.items():
            answer = result.rows[number].prediction
            with st.container(border=True, width=210, gap="xsmall"):
                st.image(face, width="stretch", alt=result.rows[number].file)
                st.markdown(f"#### {answer.age:.0f} years")
                st.progress(
                    answer.confidence, text=f"{answer.gender}, {100 * answer.confidence:.0f}%"
                )
                st.caption(result.rows[number].file)


def show_heatmaps(predictor: Predictor, uploads: list[UploadedFile], result: Result) -> None:
    """Show the first faces with what each head looked at."""
    from agegender.prediction.export import explain_pictures

    if not result.explained:
        shown = min(FACES_SHOWN, len(result.rows))
        with shared.progress("Heatmaps") as on_progress:
            pictures = islice(read_pictures(uploads), shown)
            for item in explain_pictures(predictor, pictures):
                result.explained.append(item)
                on_progress(len(result.explained), shown)
    for number, item in enumerate(result.explained):
        if not item.files:
            continue
        answer = item.row.prediction
        with st.container(border=True):
            st.markdown(
                f"**{answer.age:.0f} years, {answer.gender} ({100 * answer.confidence:.0f}%)** "
                f":gray[{item.row.file}]"
            )
            views = (
                ("face", "Original"),
                ("age-overlay", "Age: orange raises, blue lowers"),
                (f"{answer.gender}-overlay", f"What speaks for {answer.gender}"),
            )
            with st.container(horizontal=True):
                for name, caption in views:
                    st.image(item.files[f"{name}.png"], caption, width=230, alt=caption)
            st.download_button(
                "Figure",
                item.files["figure.png"],
                f"figure-{number + 1}.png",
                "image/png",
                icon=":material/download:",
                on_click="ignore",
                key=f"figure-{number}",
            )


def show_table(result: Result) -> None:
    """Show every row, and why a picture has no answer."""
    table = pd.DataFrame([row.record() for row in result.rows])
    table["gender_confidence"] = table["gender_confidence"].astype(float).round(2)
    st.dataframe(
        table.dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder="",
        column_config={
            "file": "Picture",
            "age": st.column_config.NumberColumn("Age, years", format="%.0f"),
            "gender": "Gender",
            "gender_confidence": st.column_config.ProgressColumn(
                "Confidence", format="percent", min_value=0, max_value=1
            ),
            "error": st.column_config.TextColumn("Why not", width="large"),
        },
    )


def show_failures(failed: list[PredictionRow]) -> None:
    """Say which pictures could not be read, and why."""
    if not failed:
        return
    reasons = [row.error for row in failed[:FAILURES_SHOWN]]
    if len(failed) > FAILURES_SHOWN:
        reasons.append(f"{len(failed) - FAILURES_SHOWN:,} more are in the table.")
    st.error("  \n".join(reasons), icon=":material/broken_image:")


def show_downloads(predictor: Predictor, uploads: list[UploadedFile], result: Result) -> None:
    """Offer the answers as files."""
    from agegender.prediction.export import explain_pictures, write_zip
    from agegender.prediction.tables import table_bytes

    with st.container(horizontal=True):
        for suffix, mime in ((".csv", "text/csv"), (".json", "application/json")):
            st.download_button(
                suffix[1:].upper(),
                table_bytes(result.rows, suffix),
                f"predictions{suffix}",
                mime,
                icon=":material/download:",
                on_click="ignore",
            )
        if not result.archive and st.button(
            "Prepare a ZIP with heatmaps",
            icon=":material/folder_zip:",
            help="Tables, faces, heatmaps and a figure for each picture, "
            f"of the first {ZIP_PICTURES} pictures.",
        ):
            count = min(ZIP_PICTURES, len(result.rows))
            buffer = io.BytesIO()
            with shared.progress("Pictures") as on_progress:
                pictures = islice(read_pictures(uploads), count)
                explained = explain_pictures(predictor, pictures)
                write_zip(counted(explained, count, on_progress), buffer)
            result.archive = buffer.getvalue()
            st.rerun()
        if result.archive:
            st.download_button(
                "ZIP with heatmaps",
                result.archive,
                "predictions.zip",
                "application/zip",
                icon=":material/download:",
                on_click="ignore",
                type="primary",
            )


def counted(
    items: Iterable[ExplainedPicture], total: int, on_progress: Callable[[int, int], None]
) -> Iterator[ExplainedPicture]:
    """Pass items on, and report how many have passed."""
    for number, item in enumerate(items, start=1):
        yield item
        on_progress(number, total)


def show_known_error(run: Run) -> None:
    """State how far off the model is known to be, and for whom."""
    history = run.metrics()
    with st.container(border=True):
        st.markdown("**Known error and bias**")
        if history.empty:
            st.markdown("This model's error is not known.")
        else:
            best = history.loc[history["val_loss"].idxmin()]
            mae = shared.years(best["val_age_mae"])
            accuracy = shared.percent(best["val_gender_accuracy"])
            st.markdown(
                f"On validation faces it was off by **{mae}** on average and right about gender "
                f"in **{accuracy}**."
            )
        st.markdown(
            ":gray[Expect more on pictures that are cropped or lit otherwise, for children and "
            "the old, and for groups with few training faces. A confidence is not a promise. "
            "Gender is as UTKFace labelled it: how a face was taken, not who someone is. "
            "Not for decisions about people.]"
        )
        shared.link(shared.EVALUATION, "Errors by age and group", icon=":material/monitoring:")


shared.header("Prediction", "Age and gender for your own pictures, with what the model looked at.")
chosen_run = shared.need_run()
shared.skill_note(chosen_run)
uploads = take_pictures()
if uploads:
    with shared.errors_as_messages():
        with st.spinner("Loading the model; the first one takes longest …"):
            model = load_model(chosen_run)
        result = result_of(model, chosen_run, uploads)
        failed = [row for row in result.rows if row.error]
        show_failures(failed)
        if result.faces and st.toggle("Heatmaps", value=len(result.rows) == 1):
            show_heatmaps(model, uploads, result)
        else:
            show_faces(result)
        if len(result.rows) > len(result.faces) + len(failed):
            st.caption(f"The first {FACES_SHOWN} are shown; the table has all.")
        show_table(result)
        show_downloads(model, uploads, result)
show_known_error(chosen_run)

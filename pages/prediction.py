"""Prediction: age and gender of every face in your own photos."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from agegender.errors import InvalidImageError
from agegender.evaluation.formats import in_years, percent
from agegender.evaluation.published import read_published
from agegender.prediction.sources import iter_pictures
from agegender.prediction.words import UNSURE_BELOW, confidence_words
from agegender.training.run import Run, best_epoch
from pages import prediction_faces as faces
from pages import shared
from pages.current_run import NO_INTERVALS, need_run, skill_note
from pages.navigation import EVALUATION, header, link
from pages.prediction_result import (
    Result,
    explain_faces,
    read_photo,
    result_of,
    sources_of,
    take_as_crop,
)
from pages.prediction_uploads import take_photos

if TYPE_CHECKING:
    from streamlit.typing import UploadedFile

    from agegender.prediction.explained import ExplainedPhoto
    from agegender.prediction.predictor import Predictor

FAILURES_SHOWN = 4

ZIP_FACES = 50
"""The ZIP is kept in memory for each visitor, some 2 MB a face; the command line,
which writes to disk, has no such limit."""


def load_model(run: Run) -> Predictor:
    """Load a run's model, or take the one that is loaded; that takes TensorFlow."""
    from agegender.prediction.predictor import load_predictor

    return load_predictor(run)


def choose_photo(result: Result) -> int | None:
    """Let the visitor choose which photo to look at; None while there is none to see."""
    places = [place for place, answer in enumerate(result.answers) if answer.error is None]
    if len(result.rows) > len(result.answers):
        st.caption(
            f"The first {len(result.answers):,} of {len(result.rows):,} photos can be looked at; "
            "the table has all."
        )
    if len(places) < 2:
        return places[0] if places else None

    def label(place: int) -> str:
        answer = result.answers[place]
        found = len(answer.faces)
        faces = "1 face" if found == 1 else f"{found or 'no'} faces"
        # With its number, as a selectbox takes two photos of one name for the same.
        return f"{place + 1}. {answer.file}: {faces}"

    later = [place for place in places if place >= result.first] or places
    # What one wants to see is an answer.
    first = next((place for place in later if result.answers[place].faces), later[0])
    return st.selectbox("Photo", places, index=places.index(first), format_func=label)


def show(predictor: Predictor, uploads: list[UploadedFile], result: Result, place: int) -> None:
    """Show one photo with its faces, or say that there is none."""
    from agegender.prediction.drawing import canvas, draw_answers
    from agegender.prediction.faces import scale_face

    if result.shown is None or result.shown[0] != place:
        result.shown = (place, *canvas(read_photo(uploads, place)))
    _, photo, scale = result.shown
    answer = result.answers[place]
    with st.container(horizontal=True, vertical_alignment="center"):
        view = faces.choose_view() if answer.faces else faces.BOXES
        # Beside a photo without faces too: the ZIP has pictures of the other photos' faces.
        unsure_percent = st.slider(
            "Call a gender unsure below, %", 50, 95, round(100 * UNSURE_BELOW), 5, width=260,
            key="prediction_unsure", persist_state="session",
            help="On cards and in pictures. The table and its files have every confidence.",
        )  # fmt: skip
    result.call_unsure_below(unsure_percent / 100)
    if not answer.faces:
        st.info(f"No face was found in {answer.file}.", icon=":material/search_off:")
        if st.button("It is already a face crop", icon=":material/crop:"):
            take_as_crop(predictor, uploads, result, place)
            st.rerun()
        faces.show_photo(photo, answer.file)
        return
    found = [replace(one, face=scale_face(one.face, scale)) for one in answer.faces]
    is_crop = place in result.crops
    photo_place, faces_place = (None, st.container()) if is_crop else faces.beside(photo)
    with faces_place:
        cards = faces.choose_cards(f"{place}-{answer.file}", len(found))
    maps = {} if view == faces.BOXES else explain_faces(predictor, result, place, cards)
    if photo_place is not None:
        if view != faces.BOXES:
            photo = faces.photo_with_maps(photo, found, maps, predictor, view)
        drawn = draw_answers(photo, found, unsure_below=result.unsure_below)
        with photo_place:
            file = faces.show_photo(drawn, f"{answer.file} with what was found in it")
            st.download_button(
                "This picture",
                file,
                f"{PurePath(answer.file).stem}-{view}.jpg",
                "image/jpeg",
                icon=":material/download:",
                on_click="ignore",
            )
    with faces_place:
        faces.show_cards(predictor, answer.faces, cards, maps, view, result.unsure_below)
        if answer.faces[0].prediction.age_low is None:
            st.caption(NO_INTERVALS)


def show_table(result: Result) -> None:
    """Show every row, and why a photo has no answer."""
    table = pd.DataFrame([row for rows in result.rows for row in rows])
    confidence = table["gender_confidence"].astype(float)
    table["gender_confidence"] = confidence.map(confidence_words, na_action="ignore")
    table["flags"] = table["flags"].replace("", None)
    st.dataframe(
        table.drop(columns=["x", "y", "width", "height"]).dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder="",
        column_config={
            "file": "Photo",
            "face": st.column_config.NumberColumn("Face", format="%d"),
            "age": st.column_config.NumberColumn("Age, years", format="%.1f"),
            "age_low": st.column_config.NumberColumn("90% from", format="%.1f"),
            "age_high": st.column_config.NumberColumn("90% to", format="%.1f"),
            "gender": "Gender",
            "gender_confidence": "Confidence",
            "flags": "Warnings",
            "reason": st.column_config.TextColumn("Reason", width="large"),
        },
    )


def show_failures(result: Result) -> None:
    """Say which photos could not be read, and why."""
    from agegender.prediction.photos import NO_FACE

    # From the rows, which there are of every photo.
    firsts = [rows[0] for rows in result.rows]
    failed = [
        f"{row['file']}: {row['reason']}" for row in firsts if row["reason"] not in (None, NO_FACE)
    ]
    if not failed:
        return
    lines = failed[:FAILURES_SHOWN]
    if len(failed) > FAILURES_SHOWN:
        lines.append(f"{len(failed) - FAILURES_SHOWN:,} more are in the table.")
    st.error("  \n".join(lines), icon=":material/broken_image:")


def show_downloads(predictor: Predictor, uploads: list[UploadedFile], result: Result) -> None:
    """Offer the answers as files."""
    from agegender.prediction.explained import write_zip
    from agegender.prediction.tables import table_bytes

    rows = [row for rows in result.rows for row in rows]
    with st.container(horizontal=True):
        for suffix, mime in ((".csv", "text/csv"), (".jsonl", "application/jsonl")):
            st.download_button(
                suffix[1:].upper(),
                partial(table_bytes, rows, suffix),
                f"predictions{suffix}",
                mime,
                icon=":material/download:",
                on_click="ignore",
            )
        has_faces = any(answer.faces for answer in result.answers)
        if (
            has_faces
            and not result.archive
            and st.button(
                "Prepare a ZIP with heatmaps",
                icon=":material/folder_zip:",
                help="Tables, photos with boxes, and for each face its crop, heatmaps and a figure "
                f"(of the first {ZIP_FACES} faces).",
            )
        ):
            buffer = io.BytesIO()
            with shared.progress("Photos", stop=True) as on_progress:
                explained = explained_photos(predictor, uploads, result)
                write_zip(counted(explained, len(result.answers), on_progress), rows, buffer)
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


def explained_photos(
    predictor: Predictor, uploads: list[UploadedFile], result: Result
) -> Iterator[ExplainedPhoto]:
    """Explain the photos at hand as they have been answered, until there are `ZIP_FACES` faces."""
    from agegender.prediction.explained import explain_photo

    left = ZIP_FACES
    pictures = iter_pictures(sources_of(uploads))
    # The answers come first in `zip`: no picture is read beyond the last of them.
    for place, (answer, picture) in enumerate(zip(result.answers, pictures, strict=False)):
        photo = picture.content
        if isinstance(photo, InvalidImageError) or place in result.crops:
            photo = None
        yield explain_photo(
            predictor, answer, photo, unsure_below=result.unsure_below, most_faces=left
        )
        left -= len(answer.faces)
        if left <= 0:
            return


def counted(
    items: Iterable[ExplainedPhoto], total: int, on_progress: Callable[[int, int], None]
) -> Iterator[ExplainedPhoto]:
    """Pass items on, and report how many have passed."""
    for number, item in enumerate(items, start=1):
        yield item
        on_progress(number, total)


def known_error(run: Run) -> str:
    """Say how far off the model is known to be, on how many faces."""
    published = read_published(run)
    best = best_epoch(run.metrics())
    if published is not None:
        count, mae = published["n"], published["age"]["mae"]
        accuracy = published["gender"]["accuracy"]
        faces = f"{count:,} test faces, which were kept apart from its training"
    elif run.knows_only_drawings:
        return "It has learned from drawings: how far off it is with people is not known."
    elif best is None or (chosen_on := run.selection_faces) is None:
        return "Its error is not known. Evaluation measures it."
    elif run.is_hardly_measured:
        return (
            f"Its error is not known: it was chosen on {chosen_on:,} validation faces. "
            "Evaluation measures it."
        )
    else:
        count, mae = chosen_on, best["val_age_mae"]
        accuracy = best["val_gender_accuracy"]
        faces = f"the {count:,} validation faces that its weights were chosen on"
    return (
        f"On {faces}, it was off by **{in_years(mae)}** on average and right about gender in "
        f"**{percent(accuracy)}**."
    )


def show_known_error(run: Run) -> None:
    """State how far off the model is known to be, and for whom."""
    with st.container(border=True):
        st.markdown("**Known error and bias**")
        st.markdown(known_error(run))
        st.markdown(
            ":gray[Expect larger errors on pictures that are cropped or lit otherwise, for groups "
            "with few training faces, in the ages of older people and the gender of children. A "
            "confidence is not a promise. "
            "Gender is as the dataset labels it: how a face was taken, not who someone is. "
            "Not for decisions about people.]"
        )
        link(EVALUATION, "Errors by age and group", icon=":material/monitoring:")


header("Prediction", "Age and gender of every face in your photos, and how sure that is.")
chosen_run = need_run()
skill_note(chosen_run)
uploads, are_crops = take_photos()
if uploads:
    with shared.errors_as_messages():
        with st.spinner("Loading the model; the first one takes longest …"):
            model = load_model(chosen_run)
        result = result_of(model, chosen_run, uploads, are_crops)
        show_failures(result)
        chosen = choose_photo(result)
        if chosen is not None:
            show(model, uploads, result, chosen)
        show_table(result)
        show_downloads(model, uploads, result)
show_known_error(chosen_run)

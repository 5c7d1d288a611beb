"""What the Prediction page keeps of the photos at hand, and how it comes about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from agegender.errors import InvalidImageError
from agegender.prediction.sources import Picture, Source, iter_pictures
from agegender.prediction.words import UNSURE_BELOW
from agegender.training.run import Run
from pages import shared

if TYPE_CHECKING:
    from streamlit.typing import UploadedFile

    from agegender.explanation.gradcam import Explanation
    from agegender.prediction.photos import PhotoAnswer
    from agegender.prediction.predictor import Predictor
    from agegender.prediction.tables import Row

FACES_KEPT = 500
"""Faces whose crops are kept for each visitor, some 60 MB; the table has all."""

RESULT_KEY = "prediction"


@dataclass
class Result:
    """What came of the photos at hand, kept for the session and nowhere else.

    Attributes:
        key: The run, its state, and whether the photos are crops.
        photos: Ids of the uploads.
        is_whole: Whether all photos are in; a click on anything breaks it off.
        rows: The table's rows of each photo.
        answers: Those for the first photos, in the order of `rows`.
        crops: Places of the photos that were taken as crops.
        first: Place of the photo to look at first.
        shown: The photo that is looked at: its place, itself in a size to draw on,
            and its scale.
        maps: Heatmaps by the photo's place and the face's, once asked for.
        unsure_below: Genders with less confidence are called unsure.
        archive: The ZIP file, once it has been asked for.
    """

    key: tuple[object, ...]
    photos: list[str]
    is_whole: bool = False
    rows: list[list[Row]] = field(default_factory=list)
    answers: list[PhotoAnswer] = field(default_factory=list)
    crops: set[int] = field(default_factory=set)
    first: int = 0
    shown: tuple[int, NDArray[np.uint8], float] | None = None
    maps: dict[int, dict[int, Explanation]] = field(default_factory=dict)
    unsure_below: float = UNSURE_BELOW
    archive: bytes = b""

    def call_unsure_below(self, confidence: float) -> None:
        """Call genders unsure from now on as the visitor wants; a ZIP is then made anew."""
        if confidence != self.unsure_below:
            self.unsure_below = confidence
            self.archive = b""


def sources_of(uploads: list[UploadedFile]) -> Iterator[Source]:
    """Name the uploads, each when its turn comes."""
    return ((upload.name, upload.getvalue()) for upload in uploads)


def read_photo(uploads: list[UploadedFile], place: int) -> NDArray[np.uint8]:
    """Read one of the photos at hand again."""
    places = count()
    picture = next(iter_pictures(sources_of(uploads), skip=lambda name: next(places) != place))
    if isinstance(picture.content, InvalidImageError):
        raise picture.content
    return picture.content


def result_of(predictor: Predictor, run: Run, uploads: list[UploadedFile], crops: bool) -> Result:
    """Predict for the photos at hand, unless that was done already."""
    from agegender.prediction.drawing import canvas
    from agegender.prediction.photos import predict_photos
    from agegender.prediction.tables import table_rows

    key = (run.id, run.changed_ns, crops)
    photos = [upload.file_id for upload in uploads]
    kept = st.session_state.get(RESULT_KEY)
    if kept is not None and kept.is_whole and (kept.key, kept.photos) == (key, photos):
        return kept
    result = _begin(key, photos, kept)
    # At once: when this is broken off, what is done need not be done again.
    st.session_state[RESULT_KEY] = result
    finished = len(result.rows)
    places = count()

    def keep_first() -> Iterator[Picture]:
        pictures = iter_pictures(sources_of(uploads), skip=lambda name: next(places) < finished)
        for place, picture in enumerate(pictures, start=finished):
            is_readable = not isinstance(picture.content, InvalidImageError)
            if is_readable and result.shown is None and place >= result.first:
                result.shown = (place, *canvas(picture.content))
            yield picture

    faces = sum(row["age"] is not None for rows in result.rows for row in rows)
    # A ZIP does not say before it is read how many photos are in it.
    has_zip = any(upload.name.lower().endswith(".zip") for upload in uploads)
    total = 0 if has_zip else len(uploads)
    with shared.progress("Photos") as on_progress:
        answers = predict_photos(predictor, keep_first(), is_crop=crops)
        for place, answer in enumerate(answers, start=finished):
            result.rows.append(table_rows(answer))
            faces += len(answer.faces)
            if faces <= FACES_KEPT or place == 0:
                result.answers.append(answer)
                if crops:
                    result.crops.add(place)
            on_progress(place + 1, total)
    result.is_whole = True
    return result


def _begin(key: tuple[object, ...], photos: list[str], kept: Result | None) -> Result:
    """Begin a result with what still holds of the one before."""
    if kept is None:
        return Result(key, photos)
    if key == kept.key and photos[: len(kept.photos)] == kept.photos:
        # Photos were added, and the first of them is what one wants to see; or it was
        # broken off, and goes on.
        first, shown = (len(kept.rows), None) if kept.is_whole else (kept.first, kept.shown)
        return replace(kept, photos=photos, is_whole=False, first=first, shown=shown, archive=b"")
    if photos == kept.photos and kept.shown is not None:
        return Result(key, photos, first=kept.shown[0])
    return Result(key, photos)


def take_as_crop(
    predictor: Predictor, uploads: list[UploadedFile], result: Result, place: int
) -> None:
    """Predict for a photo without a face as if it were the crop of one."""
    from agegender.prediction.photos import predict_photo
    from agegender.prediction.tables import table_rows

    found = predict_photo(predictor, read_photo(uploads, place), is_crop=True)
    result.answers[place] = replace(result.answers[place], faces=found)
    result.rows[place] = table_rows(result.answers[place])
    result.crops.add(place)
    result.first = place
    result.archive = b""


def explain_faces(
    predictor: Predictor, result: Result, place: int, cards: range
) -> dict[int, Explanation]:
    """Compute the heatmaps of a sheet of a photo's faces, those that have none yet."""
    maps = result.maps.setdefault(place, {})
    if missing := [number for number in cards if number not in maps]:
        with shared.progress("Heatmaps") as on_progress:
            for done, number in enumerate(missing, start=1):
                maps[number] = predictor.explain(result.answers[place].faces[number].crop)
                on_progress(done, len(missing))
    return {number: maps[number] for number in cards}

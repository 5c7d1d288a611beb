"""Whole photos: every face found, aligned, answered and looked at for its quality."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agegender.config import FRAME_SIZE
from agegender.errors import InvalidImageError
from agegender.model.preprocessing import InputSpec, prepare
from agegender.prediction.alignment import align_face
from agegender.prediction.faces import Face, crop_face, find_faces
from agegender.prediction.predictor import MAX_BATCH, Prediction
from agegender.prediction.quality import FLAGS, UNFAMILIAR, crop_flags, place_flags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.prediction.predictor import Predictor
    from agegender.prediction.sources import Picture

NO_FACE = "no face was found"


@dataclass(frozen=True)
class FaceAnswer:
    """The answer for one face of a photo.

    Attributes:
        face: Where it is; for a picture taken as a crop, its centre square.
        crop: What the model is shown, aligned to UTKFace's frame: RGB, uint8,
            shape (FRAME_SIZE, FRAME_SIZE, 3).
        prediction: Age and gender.
        flags: What makes the answer less sure: words of `quality.FLAGS`.
    """

    face: Face
    crop: NDArray[np.uint8]
    prediction: Prediction
    flags: tuple[str, ...]


@dataclass(frozen=True)
class PhotoAnswer:
    """What came of one photo.

    Attributes:
        file: Its name.
        faces: An answer for each face, the largest first.
        error: Why the photo could not be read, if it could not.
    """

    file: str
    faces: Sequence[FaceAnswer] = ()
    error: str | None = None

    @property
    def reason(self) -> str | None:
        """Why there is no answer; None when there is one."""
        return self.error or (None if self.faces else NO_FACE)


@dataclass(frozen=True)
class _Found:
    """A face that waits for its answer."""

    face: Face
    crop: NDArray[np.uint8]
    flags: list[str]


def predict_photo(
    predictor: Predictor, image: NDArray[np.uint8], *, is_crop: bool = False
) -> list[FaceAnswer]:
    """Predict for every face in a photo.

    Args:
        predictor: The model.
        image: RGB, uint8, shape (height, width, 3), of any size.
        is_crop: Whether the picture is the crop of one face already, as in
            UTKFace; it is then taken as it is and no face is looked for.

    Returns:
        One answer per face, the largest face first; empty when there is none.
    """
    found = _find(image, is_crop)
    predictions = predictor.predict(one.crop for one in found)
    return [_answer(*both) for both in zip(found, predictions, strict=True)]


def predict_photos(
    predictor: Predictor,
    pictures: Iterable[Picture],
    *,
    is_crop: bool = False,
) -> Iterator[PhotoAnswer]:
    """Predict for every face in any number of photos.

    Faces of several photos go through the network together, so that thousands of
    small pictures take no longer than need be.

    Args:
        predictor: The model.
        pictures: What `iter_pictures` yields; taken as needed. One photo is in
            memory at a time, and the crops of those that wait.
        is_crop: As for `predict_photo`.

    Yields:
        One item per photo, in order.
    """
    waiting: list[tuple[str, list[_Found] | str]] = []
    faces = 0
    for name, content in pictures:
        if isinstance(content, InvalidImageError):
            waiting.append((name, str(content)))
        else:
            found = _find(content, is_crop)
            waiting.append((name, found))
            faces += len(found)
        # Or it would be in memory while the next one is read.
        del content
        if max(faces, len(waiting)) >= MAX_BATCH:
            yield from _answer_all(predictor, waiting)
            waiting, faces = [], 0
    yield from _answer_all(predictor, waiting)


def main_face(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8] | None, int]:
    """Cut the largest face out of a photo.

    Args:
        image: RGB, uint8, shape (height, width, 3), of any size.

    Returns:
        The face, aligned to UTKFace's frame: RGB, uint8, shape (FRAME_SIZE, FRAME_SIZE,
        3), or None when there is none; and how many faces there are.
    """
    faces = find_faces(image)
    return (align_face(image, faces[0]) if faces else None), len(faces)


def _find(image: NDArray[np.uint8], is_crop: bool) -> list[_Found]:
    """Cut out the faces of a photo, and look at their quality."""
    if is_crop:
        cut = [(crop_face(image), prepare(image, InputSpec(FRAME_SIZE)))]
    else:
        cut = [(face, align_face(image, face)) for face in find_faces(image)]
    height, width = image.shape[:2]
    return [
        _Found(face, crop, crop_flags(crop) + place_flags(face, height, width))
        for face, crop in cut
    ]


def _answer_all(
    predictor: Predictor, waiting: list[tuple[str, list[_Found] | str]]
) -> Iterator[PhotoAnswer]:
    """Predict for all faces that wait, and hand them back to their photos."""
    crops = (one.crop for _, found in waiting if not isinstance(found, str) for one in found)
    predictions = iter(predictor.predict(crops))
    for name, found in waiting:
        if isinstance(found, str):
            yield PhotoAnswer(name, error=found)
        else:
            yield PhotoAnswer(name, [_answer(one, next(predictions)) for one in found])


def _answer(found: _Found, prediction: Prediction) -> FaceAnswer:
    """Put a face and its prediction together."""
    flags = found.flags + ([UNFAMILIAR] if prediction.unfamiliar else [])
    ordered = tuple(flag for flag in FLAGS if flag in flags)
    return FaceAnswer(found.face, found.crop, prediction, ordered)

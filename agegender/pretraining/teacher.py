"""A teacher for the pretraining: dlib's face embedding, learned from three million other faces.

It was trained to tell people apart and has seen none of our labels (King, "High Quality
Face Recognition with Deep Metric Learning", 2017; weights CC0). What it says of a face
is learned beside the labels. It is asked once, before the first step, and is needed
at no other time: `dlib-bin` and `face-recognition-models` are optional.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import RunError
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.storage import replacing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TEACHER_NUMBERS = 128

PART_FACES = 200
"""Faces whose answers are kept in one file: a kill costs some 20 seconds of a process."""

_SIDE = 200
_BOX = (21, 21, 176, 176)
"""Where the face is in UTKFace's frame of 200 x 200 pixels (left, top, right, bottom); its
detector misses faces that fill the picture."""


def ask_teacher(
    samples: pd.DataFrame,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Add what the teacher says of each train face.

    Args:
        samples: As in `samples.Samples.table`.
        folder: Where answers are kept, in parts, until all are there.
        on_progress: Called with (done, total), in train faces.

    Returns:
        The samples with the column `teacher`: 128 numbers each, of mean 0 and
        variance 1 over the train faces; NaN for faces of validation.

    Raises:
        RunError: If the teacher is not installed.
        InvalidImageError: If a face cannot be read.
        StorageError: If the disk refuses.
    """
    _model_files()
    train = np.flatnonzero(samples["split"] == "train")
    parts = [train[first : first + PART_FACES] for first in range(0, len(train), PART_FACES)]
    paths, tasks = [], []
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for rows in parts:
            faces = samples.iloc[rows]
            # Named by what is in it: the faces may be others the next time.
            name = hashlib.sha256("".join(faces["sha256"]).encode()).hexdigest()[:16]
            paths.append(folder / f"teacher-{name}.npy")
            tasks.append(pool.submit(_answer_part, faces["file"].tolist(), paths[-1]))
        for number, task in enumerate(tasks, start=1):
            task.result()
            if on_progress is not None:
                on_progress(min(number * PART_FACES, len(train)), len(train))
    answers = np.full((len(samples), TEACHER_NUMBERS), np.nan, np.float32)
    answers[train] = np.concatenate([np.load(path) for path in paths])
    answers = (answers - answers[train].mean(axis=0)) / answers[train].std(axis=0)
    return samples.assign(teacher=list(answers))


def _answer_part(files: list[str], path: Path) -> None:
    """Ask about some faces, unless it was done before."""
    if path.exists():
        return
    answers = np.array([_answer(read_image(Path(file))) for file in files], np.float32)
    with replacing(path) as part, part.open("wb") as array:
        np.save(array, answers)


def _answer(image: NDArray[np.uint8]) -> Any:
    """Ask about one face in UTKFace's frame."""
    import dlib

    predictor, network = _load()
    frame = prepare(image, InputSpec(_SIDE))
    face = dlib.get_face_chip(frame, predictor(frame, dlib.rectangle(*_BOX)), size=150)
    return network.compute_face_descriptor(face)


@cache
def _load() -> tuple[Any, Any]:
    """Load the five-point model, which aligns a face, and the embedding once in each process."""
    import dlib

    points, embedding = _model_files()
    return dlib.shape_predictor(points), dlib.face_recognition_model_v1(embedding)


def _model_files() -> tuple[str, str]:
    """Return the files of both networks."""
    try:
        distribution("dlib-bin")
        # Not imported: it asks for an old setuptools.
        package = distribution("face-recognition-models")
    except PackageNotFoundError as error:
        raise RunError(
            "The recipe has a teacher, which is not installed; run `pip install dlib-bin "
            "face-recognition-models`, or set teacher_weight to 0."
        ) from error
    folder = Path(str(package.locate_file("face_recognition_models/models")))
    return (
        str(folder / "shape_predictor_5_face_landmarks.dat"),
        str(folder / "dlib_face_recognition_resnet_model_v1.dat"),
    )

"""A teacher for the pretraining: dlib's face embedding, learned from three million faces.

It was trained to tell people apart and has seen no label of ours; whether some of UTKFace's
photos were among its faces is not known (King, "High Quality Face Recognition with Deep
Metric Learning", 2017; weights CC0). What it says of a train face is learned beside the
labels. It is asked once, before the first step, and is needed at no other time: dlib and
`face-recognition-models` are optional.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import RunError
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.pretraining.processes import helping_processes
from agegender.storage import replacing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TEACHER_NUMBERS = 128

PART_FACES = 50
"""Faces whose answers are kept in one file: a kill costs some five seconds of a process."""

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
        The samples with the column `teacher`: 128 numbers each, float32, of mean 0 and
        variance 1 over the train faces; NaN for faces of validation.

    Raises:
        RunError: If the teacher is not installed, there is no train face, or a process
            was ended from outside.
        InvalidImageError: If a face cannot be read.
        StorageError: If the disk refuses.
    """
    _model_files()
    train = np.flatnonzero(samples["split"] == "train")
    if not len(train):
        raise RunError("There is no train face to ask the teacher about; take more faces.")
    parts = [train[first : first + PART_FACES] for first in range(0, len(train), PART_FACES)]
    paths, tasks = [], []
    with helping_processes(spare=0) as pool:
        for rows in parts:
            faces = samples.iloc[rows]
            # Named by what is in it: the faces may be others the next time.
            name = hashlib.sha256("".join(faces["sha256"]).encode()).hexdigest()[:16]
            paths.append(folder / f"teacher-{name}.npy")
            tasks.append(pool.submit(_answer_part, faces["file"].tolist(), paths[-1]))
        for number, task in enumerate(tasks, start=1):
            try:
                task.result()
            except BrokenProcessPool as error:
                raise RunError(
                    "A process that asks the teacher was ended from outside, perhaps for want of "
                    "memory; start again to go on from here."
                ) from error
            if on_progress is not None:
                on_progress(min(number * PART_FACES, len(train)), len(train))
    answers = np.full((len(samples), TEACHER_NUMBERS), np.nan, np.float32)
    answers[train] = np.concatenate([np.load(path) for path in paths])
    spread = answers[train].std(axis=0)
    answers = (answers - answers[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
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
        # Not imported: it asks for an old setuptools.
        package = distribution("face-recognition-models")
    except PackageNotFoundError:
        package = None
    if package is None or find_spec("dlib") is None:
        raise RunError(
            "The recipe has a teacher, which is not installed; run `pip install dlib-bin "
            "face-recognition-models`, or set teacher_weight to 0."
        )
    folder = Path(str(package.locate_file("face_recognition_models/models")))
    return (
        str(folder / "shape_predictor_5_face_landmarks.dat"),
        str(folder / "dlib_face_recognition_resnet_model_v1.dat"),
    )

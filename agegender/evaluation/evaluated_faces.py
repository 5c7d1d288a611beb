"""Which faces of a split are evaluated, and how many are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agegender.config import SEED, SPLIT_NAMES
from agegender.dataset.split import is_copy
from agegender.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.training.run import Run

SPLITS = (*SPLIT_NAMES, "all")
"""What can be evaluated; "all" leaves out what was set aside."""

TRAIN_NOTE = (
    "Faces of the train split are among these: if the model was trained on them, its figures are "
    "better than on new faces. Use the test split to report skill."
)


@dataclass(frozen=True)
class LeftOut:
    """How many faces of a split have no prediction, by the reason.

    Attributes:
        seen: The model was trained on them.
        copies: Another face has the same picture.
        unreadable: Their pictures could not be read.
    """

    seen: int
    copies: int
    unreadable: int


def select_faces(
    dataset: Dataset,
    split: str,
    *,
    limit: int | None = None,
    seed: int = SEED,
    run: Run | None = None,
) -> pd.DataFrame:
    """Choose the faces that are evaluated: of a picture that is there several times, one.

    Copies are not independent; counted as if they were, they would make every interval
    too narrow.

    Args:
        dataset: Where from.
        split: One of `SPLITS`.
        limit: At most so many faces, drawn by the seed; None for all.
        seed: Of the draw.
        run: Leave out what it was trained on (see `find_seen`).

    Returns:
        Rows of `dataset.faces`, in their order.

    Raises:
        DatasetError: If the split holds no face.
        ValueError: If the split is unknown or the limit is below 1.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, but must be at least 1")
    faces = dataset.of(split)
    faces = faces[~is_copy(faces)].reset_index(drop=True)
    if faces.empty:
        raise DatasetError(
            f"No face of {dataset.folder} is in the split {split!r}; choose another split or a "
            "larger dataset."
        )
    if run is not None:
        faces = faces[~find_seen(run, faces, split)].reset_index(drop=True)
        if faces.empty:
            raise DatasetError(
                f"Run {run.id} was trained on every face of {dataset.folder} in the split "
                f"{split!r}; choose another split or dataset."
            )
    if limit is not None and limit < len(faces):
        faces = faces.sample(limit, random_state=seed).sort_index()
    return faces


def find_seen(run: Run, faces: pd.DataFrame, split: str) -> NDArray[np.bool_]:
    """Tell which faces a run's heads or backbone were trained on, wherever they come from.

    Args:
        run: It has a list of what it was trained on, or its backbone has one.
        faces: Rows of `Dataset.faces`.
        split: The split that is asked for. "train" is asked for in order to
            look at what was learned, so nothing of it counts as seen.

    Returns:
        True for each face that must not count, shape (n,); all False where there
        is no such list.
    """
    from agegender.training.seen import TRAIN_FACES_NAME, is_seen, seen_file

    own = run.folder / TRAIN_FACES_NAME
    # The shipped run, and runs of earlier versions, have the backbone's list alone; that
    # of a fine-tuned one holds what the one that it started from has seen.
    seen = (
        own if own.exists() else seen_file(str(run.backbone_file)) or seen_file(run.config.backbone)
    )
    if split == "train" or seen is None:
        return np.zeros(len(faces), bool)
    return is_seen(faces, seen)


def count_left_out(
    run: Run,
    dataset: Dataset,
    split: str,
    predictions: pd.DataFrame,
    *,
    limit: int | None = None,
) -> LeftOut:
    """Count the faces of a split that do not count.

    Args:
        run: Whose predictions they are.
        dataset: Where the faces are from.
        split: One of `SPLITS`.
        predictions: What `predict_faces` gave for the other arguments.
        limit: At most so many faces were drawn; None for all.

    Raises:
        DatasetError: If the split holds no face.
        ValueError: If the split is unknown.
    """
    faces = select_faces(dataset, split)
    seen = int(find_seen(run, faces, split).sum())
    chosen = len(faces) - seen
    if limit is not None:
        chosen = min(limit, chosen)
    copies = int(is_copy(dataset.of(split)).sum())
    return LeftOut(seen, copies, chosen - len(predictions))

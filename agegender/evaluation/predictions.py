"""The one table of predictions that everything in an evaluation is made from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import SEED, SPLIT_NAMES
from agegender.dataset.split import is_copy
from agegender.dataset.tables import read_table, write_table
from agegender.errors import DatasetError, InvalidModelError
from agegender.evaluation.kept import model_key, tables_folder
from agegender.evaluation.test_reads import log_test_read
from agegender.model.answer import CHUNK_FACES, answer_features, answered_gender

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.training.runs import Run
    from agegender.uncertainty.uncertainty import Uncertainty

SPLITS = (*SPLIT_NAMES, "all")
"""What can be evaluated; "all" leaves out what was set aside."""

TRAIN_NOTE = (
    "Faces of the train split are among these: if the model was trained on them, its figures are "
    "better than on new faces. Use the test split to report skill."
)

LABELS = ("file", "sha256", "split", "age", "gender", "race")
"""What is known of the faces that are predicted."""

COLUMNS = (
    *LABELS,
    "age_pred",
    "p_female",
    "gender_pred",
    "age_low",
    "age_high",
    "unfamiliar",
)


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


def predict_faces(
    run: Run,
    dataset: Dataset,
    split: str,
    *,
    limit: int | None = None,
    seed: int = SEED,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Predict the faces of a split with a run's model, or read what was predicted before.

    The table is saved in the run's folder (in the workspace for the shipped
    run) and used again as long as the model, the faces, their labels and
    their split are the same. A look at the test split is logged.

    Args:
        run: A run with trained heads.
        dataset: Need not be the one that the run was trained on.
        split: One of `SPLITS`.
        limit: At most so many faces, drawn by the seed; None for all.
        seed: Of the draw.
        on_progress: Called with (done, total), in faces.

    Returns:
        A row for each face whose picture can be read and that the run
        was not trained on (`find_seen`), in the dataset's order:
        `file`, `sha256`, `split`, and as labelled `age` (years), `gender`,
        `race`; as answered `age_pred` (years, float32, at least 0),
        `p_female` (0..1, float32, calibrated where the run knows how) and
        `gender_pred`, averaged over the picture and its mirror image; the
        90% interval `age_low` to `age_high` (years, float32, NaN where the
        run knows none) and `unfamiliar` (nullable boolean).

    Raises:
        DatasetError: If the split holds no face, or none that can be read.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
        StorageError: If the disk refuses.
        ValueError: If the split is unknown or the limit is below 1.
    """
    faces = select_faces(dataset, split, limit=limit, seed=seed, run=run)
    path = _table_file(run, faces, split)
    table = read_table(path, COLUMNS)
    if table is None or len(table) < len(faces):
        table = _predict(run, dataset.folder, faces, on_progress)
        # What cannot be read now may be read next time, as on a network disk.
        if len(table) == len(faces):
            write_table(table, path)
    elif on_progress is not None:
        on_progress(len(table), len(table))
    log_test_read(run, dataset.folder, split, table)
    return table


def count_unreadable(
    predictions: pd.DataFrame, dataset: Dataset, split: str, run: Run, *, limit: int | None = None
) -> int:
    """Count the chosen faces that have no prediction, since their pictures could not be read.

    Args:
        predictions: What `predict_faces` gave for the other arguments.
        dataset: As there.
        split: As there.
        run: As there.
        limit: As there.
    """
    return len(select_faces(dataset, split, limit=limit, run=run)) - len(predictions)


def _table_file(run: Run, faces: pd.DataFrame, split: str) -> Path:
    """Name the table after all that decides what is in it."""
    digest = hashlib.sha256(model_key(run).encode())
    digest.update(faces[list(LABELS)].to_csv(index=False).encode(errors="surrogateescape"))
    return tables_folder(run) / f"predictions-{split}-{digest.hexdigest()[:16]}.parquet"


def _predict(
    run: Run,
    folder: Path,
    faces: pd.DataFrame,
    on_progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    from agegender.training.features import load_features

    uncertainty = run.load_uncertainty()
    features = load_features(folder, faces, run.weights(), on_progress=on_progress)
    if not len(features.values):
        raise DatasetError(
            f"None of the {len(faces)} faces chosen from {folder} can be read; "
            "index the folder again with `python -m agegender index`."
        )
    heads, usable = run.load_heads(), faces[features.usable]
    # The features are a memory map: so many rows of it are in memory at a time.
    chunks = np.array_split(np.arange(len(usable)), math.ceil(len(usable) / CHUNK_FACES))
    tables = [
        _answer(run.id, usable.iloc[chunk], features.values[chunk], heads, uncertainty)
        for chunk in chunks
    ]
    return pd.concat(tables, ignore_index=True)


def _answer(
    run_id: str,
    faces: pd.DataFrame,
    values: NDArray[np.float32],
    heads: Any,
    uncertainty: Uncertainty | None,
) -> pd.DataFrame:
    """Put the answers to some faces."""
    answers = answer_features(heads, values)
    if not np.isfinite([answers.age, answers.p_female]).all():
        raise InvalidModelError(
            f"The model of run {run_id} answers with something that is no number; "
            "its weights are damaged: train it anew or choose another run."
        )
    table = faces[list(LABELS)].assign(
        age_pred=answers.age,
        p_female=answers.p_female,
        gender_pred=answered_gender(answers.p_female),
        age_low=np.float32(np.nan),
        age_high=np.float32(np.nan),
        unfamiliar=pd.array([None] * len(answers.age), dtype="boolean"),
    )
    if uncertainty is not None:
        assessed = uncertainty.assess(answers)
        table["p_female"] = assessed.p_female.astype(np.float32)
        if assessed.age_low is not None and assessed.age_high is not None:
            table["age_low"] = assessed.age_low.astype(np.float32)
            table["age_high"] = assessed.age_high.astype(np.float32)
        if assessed.unfamiliar is not None:
            table["unfamiliar"] = pd.array(assessed.unfamiliar, dtype="boolean")
    return table

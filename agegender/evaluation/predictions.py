"""The one table of predictions that everything in an evaluation is made from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import SEED
from agegender.dataset.tables import read_table, write_table
from agegender.errors import DatasetError
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.kept import model_key, tables_folder
from agegender.evaluation.looks import log_look
from agegender.model.answer import CHUNK_FACES, answer_features, answered_gender
from agegender.uncertainty.uncertainty import answer_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.training.run import Run
    from agegender.uncertainty.uncertainty import Uncertainty

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
        split: One of `evaluated_faces.SPLITS`.
        limit: At most so many faces, drawn by the seed; None for all.
        seed: Of the draw.
        on_progress: Called with (done, total), in faces.

    Returns:
        A row for each face whose picture can be read and that the run
        was not trained on (`evaluated_faces.find_seen`), in the dataset's order:
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
    log_look(run, dataset.folder, split, table)
    return table


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
    columns = answer_columns(answers, uncertainty, run_id=run_id)
    return faces[list(LABELS)].assign(
        age_pred=answers.age,
        p_female=np.array(columns["p_female"], np.float32),
        gender_pred=answered_gender(answers.p_female),
        # What is unknown becomes NaN.
        age_low=np.array(columns["age_low"], np.float32),
        age_high=np.array(columns["age_high"], np.float32),
        unfamiliar=pd.array(columns["unfamiliar"], dtype="boolean"),
    )

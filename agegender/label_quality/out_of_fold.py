"""Answers for train faces by heads that have not seen their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import SEED, workspace_dir
from agegender.dataset.tables import read_table, write_table
from agegender.errors import DatasetError
from agegender.model.answer import answer_features
from agegender.training.config import TrainConfig
from agegender.training.features import load_features
from agegender.training.heads import CHUNK_FACES, LabeledFeatures, train_heads
from agegender.training.trainer import split_validation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.model.weights import BackboneWeights
    from agegender.training.features import Features

FOLDS = 5

EPOCHS = 8
"""Of each fold's heads: with the first weights 0.3 years worse than 30 of them on validation,
in a quarter of the time."""

VERSION = 1
"""Part of where answers are kept; raised when the same faces would be answered otherwise."""

_ANSWERS = ("sha256", "age_pred", "p_female")


def draw_folds(duplicate_group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide faces into folds so that no photo stands in two.

    Args:
        duplicate_group: Number of each face's group of duplicates, -1 for
            none, shape (n,).

    Returns:
        The fold of each face, 0 to `FOLDS` - 1, shape (n,).
    """
    alone = duplicate_group.max(initial=-1) + 1 + np.arange(len(duplicate_group))
    _, group = np.unique(
        np.where(duplicate_group >= 0, duplicate_group, alone), return_inverse=True
    )
    folds = np.random.default_rng(SEED).permutation(group.max(initial=-1) + 1) % FOLDS
    return np.asarray(folds[group], np.int64)


def predict_out_of_fold(
    dataset: Dataset,
    weights: BackboneWeights,
    *,
    on_faces: Callable[[int, int], None] | None = None,
    on_epochs: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Answer for every train face by heads trained without its fold.

    The selection half of validation chooses the best epoch. What a fold's heads answered is
    kept in the workspace, so that after a stop the work goes on where it was,
    and the same faces, labels and backbone are not worked on twice.

    The backbone may have been trained on the same labels, as the shipped one
    was; its features then know something of them, and fewer wrong labels stand
    out than would with a backbone that never saw them.

    Args:
        dataset: Its train faces are answered for.
        weights: The backbone.
        on_faces: Called with (done, total) while features are computed.
        on_epochs: Called with (done, total), in epochs of all folds.

    Returns:
        Rows of `dataset.faces` of the train split, with `age_pred` (years) and
        `p_female` (0..1).

    Raises:
        DatasetError: If either split has too few faces, or a picture cannot be
            read: a list with holes would be kept.
        ModelNotFoundError, InvalidModelError: If the weights cannot be read.
        StorageError: If the disk refuses.
    """
    train, selection = _faces(dataset)
    fold = draw_folds(train["duplicate_group"].to_numpy())
    if len(np.unique(fold)) < FOLDS or selection.empty:
        raise DatasetError(
            f"{dataset.folder} has too few train and validation faces to check its labels; add "
            "faces."
        )
    files = _files(train, selection, weights)
    kept = [read_table(file, _ANSWERS) for file in files]
    missing = [number for number, part in enumerate(kept) if part is None]
    if missing:
        faces = faces_needed(dataset)
        features = load_features(dataset.folder, faces, weights, on_progress=on_faces)
        # -1 for the selection faces, which are in no fold.
        fold = np.concatenate([fold, np.full(len(selection), -1)])
        if features.skipped:
            raise DatasetError(
                f"{len(features.skipped):,} of the pictures of {dataset.folder} cannot be read, "
                f"{features.skipped[0]} among them; bring them back or index the folder again with "
                "`python -m agegender index`."
            )
        for position, number in enumerate(missing):

            def count_epoch(row: dict[str, float], before: int = position * EPOCHS) -> None:
                if on_epochs is not None:
                    on_epochs(before + int(row["epoch"]), len(missing) * EPOCHS)

            learned = np.flatnonzero((fold != number) & (fold >= 0))
            heads = train_heads(
                _label(faces, features, learned),
                _label(faces, features, np.flatnonzero(fold < 0)),
                _config(weights),
                on_epoch=count_epoch,
            )
            answers = _answer(heads, faces, features, np.flatnonzero(fold == number))
            write_table(answers, files[number])
            kept[number] = answers
    every = pd.concat(kept).drop_duplicates("sha256")
    return train.merge(every, on="sha256", how="inner", validate="many_to_one")


def is_kept(dataset: Dataset, weights: BackboneWeights) -> bool:
    """Tell whether every train face has been answered for, so that it takes no time.

    Args:
        dataset: As in `predict_out_of_fold`.
        weights: The backbone.
    """
    files = _files(*_faces(dataset), weights)
    return all(read_table(file, _ANSWERS) is not None for file in files)


def faces_needed(dataset: Dataset) -> pd.DataFrame:
    """Return the faces whose features are needed: to answer for, and to choose the best epoch.

    Args:
        dataset: As in `predict_out_of_fold`.
    """
    return pd.concat(_faces(dataset), ignore_index=True)


def _faces(dataset: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the train faces and those that choose the best epoch."""
    return dataset.of("train"), split_validation(dataset.of("validation"))[0]


def _config(weights: BackboneWeights) -> TrainConfig:
    """Return the settings of the heads."""
    return TrainConfig("", weights.name, epochs=EPOCHS, patience=EPOCHS)


def _files(train: pd.DataFrame, selection: pd.DataFrame, weights: BackboneWeights) -> list[Path]:
    """Name the file of each fold's answers after all that decides what is in it."""
    # The name of the backbone says less than its hash.
    config = asdict(_config(weights)) | {"backbone": weights.sha256}
    about = (VERSION, FOLDS, config, asdict(weights.spec))
    digest = hashlib.sha256(repr(about).encode())
    for faces in (train, selection):
        decisive = faces[["sha256", "age", "gender", "duplicate_group"]]
        digest.update(decisive.to_csv(index=False).encode())
    folder = workspace_dir() / "label-quality" / digest.hexdigest()[:16]
    return [folder / f"fold-{number}.parquet" for number in range(FOLDS)]


def _label(faces: pd.DataFrame, features: Features, rows: NDArray[np.int64]) -> LabeledFeatures:
    """Put labels to the features of some faces."""
    return LabeledFeatures(
        features.values,
        rows,
        faces["age"].to_numpy(np.float32)[rows],
        faces["gender"].to_numpy(np.int64)[rows],
    )


def _answer(
    heads: Any, faces: pd.DataFrame, features: Features, rows: NDArray[np.int64]
) -> pd.DataFrame:
    """Answer for some faces, averaged over both views."""
    tables = []
    for start in range(0, len(rows), CHUNK_FACES):
        some = rows[start : start + CHUNK_FACES]
        answers = answer_features(heads, features.values[some])
        columns = (faces["sha256"].to_numpy()[some], answers.age, answers.p_female)
        tables.append(pd.DataFrame(dict(zip(_ANSWERS, columns, strict=True))))
    return pd.concat(tables, ignore_index=True)

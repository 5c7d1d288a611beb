"""Which faces the backbone is pretrained on, and which ones show how it goes.

UTKFace's train split, and sets of further faces less every one that has a near
duplicate among those that are held out (validation, test, set aside), by its hash
or by an embedding. The selection half of validation shows how it goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from agegender.config import GENDER_NAMES
from agegender.dataset.duplicates import near_matches, perceptual_hash
from agegender.errors import DatasetError
from agegender.images import read_image
from agegender.pretraining.overlap import find_copies

if TYPE_CHECKING:
    from agegender.dataset.dataset import Dataset
    from agegender.model.weights import BackboneWeights

UTKFACE = "utkface"

EXTRA_SETS = ("all_age_faces", "celeba")
"""Sub-folders of the extra faces that may be used; their terms: agegender/WEIGHTS-LICENSE.txt."""

COLUMNS = ("source", "file", "sha256", "phash", "age", "gender", "race", "split")


@dataclass(frozen=True)
class Samples:
    """The faces of a pretraining.

    Attributes:
        table: One row a face: `source`, `file` (a path that opens as it is), `sha256`,
            `phash`, `age` (years, NaN where unknown), `gender` and `race` (index,
            -1 where unknown), `split` ("train" or "validation"); of a recipe with a
            teacher also `teacher` (`teacher.ask_teacher`).
        excluded: Extra faces that were left out because they are near
            duplicates of faces that are held out, by set.
    """

    table: pd.DataFrame
    excluded: dict[str, int]


def collect_samples(
    dataset: Dataset,
    extra: Path | None,
    *,
    embedding: BackboneWeights | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Gather the train faces of a pretraining and the selection half of validation.

    Args:
        dataset: UTKFace.
        extra: Folder with `labels.csv` (`filename`, `age`, `gender`) and the
            sub-folders of `EXTRA_SETS`; None for UTKFace alone.
        embedding: A backbone with skill, to find near duplicates that hashes
            do not (`overlap.find_copies`); None to go by hashes alone.
        on_progress: Called with (done, total) while extra faces are hashed,
            and again while they go through that backbone.

    Returns:
        The samples; test faces are not among them.

    Raises:
        DatasetError: If the extra folder has no readable `labels.csv`, or a picture that
            it names cannot be read.
        InvalidImageError: If one is no picture.
        AgeGenderError: Whatever makes the search for near duplicates fail.
    """
    faces = dataset.faces
    # Nothing but calibration may know the calibration half of validation.
    known = faces["split"].isin(["train", "validation"]) & ~faces["is_calibration"]
    own = faces[known].assign(
        source=UTKFACE, file=lambda rows: [str(dataset.path(file)) for file in rows["file"]]
    )
    tables = [own[list(COLUMNS)].astype({"age": float})]
    excluded: dict[str, int] = {}
    if extra is not None:
        # Faces that were set aside count as held out: they are copies of such.
        held_out = faces[faces["split"] != "train"]
        found = _read_extra(extra, on_progress)
        near = near_matches(found["phash"].tolist(), held_out["phash"].tolist())
        is_near = np.isin(np.arange(len(found)), near[:, 0])
        if embedding is not None:
            held_out = held_out.assign(file=[str(dataset.path(name)) for name in held_out["file"]])
            is_near |= find_copies(found, held_out, embedding, on_progress=on_progress)
        excluded = {name: int((is_near & (found["source"] == name)).sum()) for name in EXTRA_SETS}
        tables.append(found[~is_near])
    return Samples(pd.concat(tables, ignore_index=True), excluded)


def _read_extra(folder: Path, on_progress: Callable[[int, int], None] | None) -> pd.DataFrame:
    """Read the labels of the extra sets and hash their pictures."""
    try:
        labels = pd.read_csv(folder / "labels.csv", dtype={"filename": str})
        labels["source"] = labels["filename"].str.split("/").str[0]
        labels["age"] = pd.to_numeric(labels["age"]).astype(float)
        labels["gender"] = labels["gender"].map(GENDER_NAMES.index).astype(int)
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(
            f"{folder}: labels.csv with filename, age and gender cannot be read ({error}); "
            "name the folder of extra faces."
        ) from error
    labels = labels[labels["source"].isin(EXTRA_SETS)].reset_index(drop=True)
    if labels.empty:
        raise DatasetError(
            f"{folder}: labels.csv names no picture in {' or '.join(EXTRA_SETS)}; name "
            "the folder of extra faces."
        )
    labels["file"] = [str(folder / name) for name in labels["filename"]]
    hashes = []
    with ThreadPoolExecutor() as pool:
        for number, pair in enumerate(pool.map(_hash_file, labels["file"]), start=1):
            hashes.append(pair)
            if on_progress is not None:
                on_progress(number, len(labels))
    labels[["sha256", "phash"]] = hashes
    return labels.assign(race=-1, split="train")[list(COLUMNS)]


def _hash_file(file: str) -> tuple[str, str]:
    """Return a picture's content hash and perceptual hash."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{file} is named in labels.csv but cannot be read ({error.strerror}); take its line "
            "away or bring the picture back."
        ) from error
    return hashlib.sha256(data).hexdigest(), perceptual_hash(read_image(data, name=file))

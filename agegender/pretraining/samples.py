"""Which faces the backbone is pretrained on, and which ones show how it goes.

UTKFace's train split, and sets of further faces less every one that has a near
duplicate among the validation and test faces. The selection half of validation
shows how it goes.
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

if TYPE_CHECKING:
    from agegender.dataset.dataset import Dataset

UTKFACE = "utkface"

LICENSED_EXTRA_SETS = ("all_age_faces", "celeba")
"""Sub-folders of the extra faces whose licences allow weights that ship."""

COLUMNS = ("source", "file", "sha256", "phash", "age", "gender", "race", "split")


@dataclass(frozen=True)
class Samples:
    """The faces of a pretraining.

    Attributes:
        table: One row a face: `source`, `file` (absolute), `sha256`, `phash`,
            `age` (years, NaN where unknown), `gender` and `race` (index, -1
            where unknown), `split` ("train" or "validation").
        excluded: Extra faces that were left out because they are near
            duplicates of validation or test faces, by set.
    """

    table: pd.DataFrame
    excluded: dict[str, int]


def collect_samples(
    dataset: Dataset,
    extra: Path | None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Gather the train faces of a pretraining and the selection half of validation.

    Args:
        dataset: UTKFace.
        extra: Folder with `labels.csv` (`filename`, `age`, `gender`) and the
            sub-folders of `LICENSED_EXTRA_SETS`; None for UTKFace alone.
        on_progress: Called with (done, total) while extra faces are hashed.

    Returns:
        The samples; test faces are not among them.

    Raises:
        DatasetError: If the extra folder has no readable `labels.csv`.
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
        held_out = faces.loc[faces["split"] != "train", "phash"].tolist()
        found = _read_extra(extra, on_progress)
        near = {pair[0] for pair in near_matches(found["phash"].tolist(), held_out)}
        is_near = np.isin(np.arange(len(found)), list(near))
        excluded = {
            name: int((is_near & (found["source"] == name)).sum()) for name in LICENSED_EXTRA_SETS
        }
        tables.append(found[~is_near])
    return Samples(pd.concat(tables, ignore_index=True), excluded)


def _read_extra(folder: Path, on_progress: Callable[[int, int], None] | None) -> pd.DataFrame:
    """Read the labels of the licensed extra sets and hash their pictures."""
    try:
        labels = pd.read_csv(folder / "labels.csv")
        labels["source"] = labels["filename"].str.split("/").str[0]
        labels["gender"] = labels["gender"].map(GENDER_NAMES.index).astype(int)
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(
            f"{folder}: labels.csv with filename, age and gender cannot be read ({error}); "
            "name the folder of extra faces."
        ) from error
    labels = labels[labels["source"].isin(LICENSED_EXTRA_SETS)].reset_index(drop=True)
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
    data = Path(file).read_bytes()
    return hashlib.sha256(data).hexdigest(), perceptual_hash(read_image(data, name=file))

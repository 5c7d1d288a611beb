"""A dataset folder, opened: its faces with labels, split and duplicates."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from agegender.config import RACE_NAMES, SPLIT_NAMES
from agegender.dataset.duplicates import DUPLICATES_VERSION, find_duplicates
from agegender.dataset.index import index_folder
from agegender.dataset.split import SET_ASIDE, assign_splits
from agegender.dataset.synthetic import DEMO_MARKER
from agegender.dataset.tables import read_table, table_path, write_table
from agegender.dataset.utkface import IMAGE_SUFFIXES, parse_name
from agegender.errors import DatasetError
from agegender.images import read_image

ALL_SPLITS = "all"
"""Train, validation and test together, without what is set aside."""

_GROUP_COLUMNS = ("content", "duplicate_group")


@dataclass(frozen=True, eq=False)
class Dataset:
    """The faces of a folder.

    Attributes:
        folder: The dataset folder.
        faces: A row a face, sorted by `file`: `file` (relative to the folder,
            with forward slashes), `age` (years), `gender` (index into
            GENDER_NAMES), `race` (index into RACE_NAMES), `date`, `width` and
            `height` (pixels), `size_bytes`, `sha256` and `phash` (64
            hexadecimal digits), `split` ("train", "validation", "test" or
            "set aside"), `is_calibration` (which validation faces are for
            calibration alone), `duplicate_group` (-1 for none),
            `label_conflict`.
        unused: A row for each other file: `file`, `reason`.
    """

    folder: Path
    faces: pd.DataFrame
    unused: pd.DataFrame

    def of(self, split: str) -> pd.DataFrame:
        """Return the faces of a split.

        Args:
            split: "train", "validation", "test", "set aside", or "all" for
                the first three together.

        Returns:
            Rows of `faces`, numbered from 0.

        Raises:
            ValueError: If there is no such split.
        """
        known = (*SPLIT_NAMES, SET_ASIDE, ALL_SPLITS)
        if split not in known:
            raise ValueError(f"split is {split!r}, but must be one of {', '.join(known)}")
        wanted = SPLIT_NAMES if split == ALL_SPLITS else (split,)
        return self.faces[self.faces["split"].isin(wanted)].reset_index(drop=True)

    @property
    def is_demo(self) -> bool:
        """Whether the faces are drawn by a program and show nobody."""
        return (self.folder / DEMO_MARKER).exists()

    @cached_property
    def split_hash(self) -> str:
        """SHA-256 of which picture is in which split, whatever the file names."""
        return _digest((self.faces["sha256"] + ":" + self.faces["split"]).sort_values())

    @cached_property
    def labels_hash(self) -> str:
        """SHA-256 of all that figures depend on: pictures, their labels, split and names."""
        columns = ["file", "sha256", "split", "age", "gender", "race"]
        # A surrogate stands for a byte of a name that is no UTF-8.
        rows = self.faces[columns].to_csv(index=False).encode(errors="surrogateescape")
        return hashlib.sha256(rows).hexdigest()

    def path(self, file: str) -> Path:
        """Return where a face's file is."""
        return self.folder / file


@dataclass(frozen=True)
class DatasetSummary:
    """What is in a dataset, counted.

    Attributes:
        files: All files.
        labelled: Files that are faces with labels.
        malformed: Names of pictures without proper labels, with the reason.
        exact_duplicates: Faces less distinct contents: the superfluous copies.
        near_groups: Groups of duplicates that are not all the same content.
        largest_group: Faces in the largest group of duplicates.
        label_conflicts: Groups of duplicates whose labels contradict.
        splits: Faces per split, "set aside" included.
    """

    files: int
    labelled: int
    malformed: dict[str, str]
    exact_duplicates: int
    near_groups: int
    largest_group: int
    label_conflicts: int
    splits: dict[str, int]


def open_dataset(folder: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Open a dataset folder: index it, find duplicates, assign splits.

    What was found is kept in the workspace, so that the next time takes less
    than a second for 20,000 faces.

    Args:
        folder: The folder with files named `age_gender_race_date.jpg`.
        on_progress: Called with (done, total) while files are read, and
            anew while pictures are compared.

    Returns:
        The dataset.

    Raises:
        DatasetError: If the folder is missing or empty or has no face.
        StorageError: If the workspace cannot be written.
    """
    faces, unused = index_folder(folder, on_progress=on_progress)
    if faces.empty:
        raise DatasetError(_without_faces(folder, unused))
    groups = _duplicate_groups(folder, faces, on_progress)
    return Dataset(folder, assign_splits(faces.assign(duplicate_group=groups)), unused)


def summary(dataset: Dataset) -> DatasetSummary:
    """Count what is in a dataset.

    Args:
        dataset: An open dataset.
    """
    faces = dataset.faces
    groups = faces[faces["duplicate_group"] >= 0].groupby("duplicate_group")
    sizes = groups.size()
    counts = faces["split"].value_counts()
    unused = dataset.unused
    return DatasetSummary(
        files=len(faces) + len(unused),
        labelled=len(faces),
        malformed={
            file: reason
            for file, reason in zip(unused["file"], unused["reason"], strict=True)
            if _is_malformed(file)
        },
        exact_duplicates=len(faces) - faces["sha256"].nunique(),
        near_groups=int((groups["sha256"].nunique() > 1).sum()),
        largest_group=int(sizes.max()) if len(sizes) else 0,
        label_conflicts=int(groups["label_conflict"].any().sum()),
        splits={name: int(counts.get(name, 0)) for name in (*SPLIT_NAMES, SET_ASIDE)},
    )


def statistics(dataset: Dataset) -> pd.DataFrame:
    """Lay out what there is of each split, as text for reading.

    Args:
        dataset: An open dataset.

    Returns:
        A row for all faces and one for each split that has any: `Faces in`, `n`, `Median
        age`, `Middle half of ages`, `Female`, `Largest group`, `Median size`.
    """
    faces = dataset.faces
    groups = [("All", faces)] + [
        (name.capitalize(), faces[faces["split"] == name]) for name in (*SPLIT_NAMES, SET_ASIDE)
    ]
    rows = []
    for name, part in groups:
        if part.empty:
            continue
        ages = part["age"]
        rows.append(
            {
                "Faces in": name,
                "n": f"{len(part):,}",
                "Median age": f"{ages.median():.0f}",
                "Middle half of ages": f"{ages.quantile(0.25):.0f} to {ages.quantile(0.75):.0f}",
                "Female": f"{100 * part['gender'].mean():.0f}%",
                "Largest group": RACE_NAMES[part["race"].mode().tolist()[0]],
                "Median size": f"{part['width'].median():.0f} x {part['height'].median():.0f} px",
            }
        )
    return pd.DataFrame(rows)


def _is_malformed(file: str) -> bool:
    """Tell whether a file is a picture by its type whose name has no proper labels."""
    path = PurePosixPath(file)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    try:
        parse_name(path.name)
    except DatasetError:
        return True
    return False


def _without_faces(folder: Path, unused: pd.DataFrame) -> str:
    """Say why a folder has no face that can be used."""
    advice = (
        "name a folder with files like 25_0_1_20170116220224657.jpg "
        "(age_gender_race_date), or get UTKFace with python download_dataset.py."
    )
    if unused.empty:
        return f"{folder} is empty; {advice}"
    packed = unused["file"].str.lower().str.endswith((".tar.gz", ".tgz", ".tar", ".zip"))
    if packed.any():
        # Other archives may lie beside UTKFace's own.
        file = min(unused.loc[packed, "file"], key=lambda name: "utkface" not in name.lower())
        return (
            f"{folder} has no face, but {file}: unpack it with "
            f"`python download_dataset.py --archive {shlex.quote(str(folder / file))}`."
        )
    first = unused.iloc[0]
    return (
        f"{folder} has no face that can be used (files looked at: {len(unused):,}; "
        f"{first['file']}: {first['reason']}); {advice}"
    )


def _duplicate_groups(
    folder: Path, faces: pd.DataFrame, on_progress: Callable[[int, int], None] | None
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Find the groups of duplicates, or read them if no face has changed since."""
    content = _digest(faces["file"] + ":" + faces["sha256"])
    path = table_path(folder, DUPLICATES_VERSION)
    kept = read_table(path, _GROUP_COLUMNS)
    if kept is None or len(kept) != len(faces) or kept["content"].iat[0] != content:
        groups = find_duplicates(
            faces, lambda file: read_image(folder / file), on_progress=on_progress
        )
        kept = pd.DataFrame({"content": content, "duplicate_group": groups})
        write_table(kept, path)
    return kept["duplicate_group"].to_numpy()


def _digest(lines: pd.Series[str]) -> str:
    """Return the SHA-256 of lines of text, joined in blocks: a million need no copy."""
    digest = hashlib.sha256()
    for start in range(0, len(lines), 65_536):
        block = lines.iloc[start : start + 65_536]
        digest.update("".join(f"{line}\n" for line in block).encode())
    return digest.hexdigest()

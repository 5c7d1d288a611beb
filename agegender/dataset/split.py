"""The one split into train, validation and test.

An image's split is drawn by its own content and nothing else, so it is the
same on every machine, in every order, and does not move when files come or
go. Near duplicates that were drawn into different splits are then set aside
(see `duplicates`), so that no face stands on both sides.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from agegender.config import SPLIT_FRACTIONS, SPLIT_NAMES, SPLIT_VERSION

SET_ASIDE = "set aside"
"""The split of a face whose photo is already in another split; it is not used."""

LABEL_TOLERANCE_YEARS = 2
"""Ages of one photo that lie further apart are a conflict: UTKFace's ages are estimates."""


def draw_split(sha256: str) -> str:
    """Draw the split of an image from its content.

    Args:
        sha256: The file's SHA-256, 64 hexadecimal digits.

    Returns:
        "train", "validation" or "test", with the odds of `SPLIT_FRACTIONS`.
    """
    # Hashed again with the version so that a new version draws afresh.
    digest = hashlib.sha256(f"{SPLIT_VERSION}:{sha256}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    reached = 0.0
    for name, fraction in zip(SPLIT_NAMES, SPLIT_FRACTIONS, strict=True):
        reached += fraction
        if position < reached:
            return name
    return SPLIT_NAMES[-1]


def assign_splits(faces: pd.DataFrame) -> pd.DataFrame:
    """Give every face its split so that no photo stands in two.

    Where a group of duplicates was drawn into several splits, the faces in the
    first of train, validation and test stay and the others are set aside.

    Args:
        faces: With `sha256`, `age` (years), `gender` and `duplicate_group`
            (number of the face's group, -1 for none).

    Returns:
        A copy with two more columns: `split` ("train", "validation", "test"
        or "set aside") and `label_conflict` (bool): whether the face's
        duplicates differ in gender, or in age by more than
        `LABEL_TOLERANCE_YEARS`.
    """
    drawn = np.array(
        [SPLIT_NAMES.index(draw_split(sha256)) for sha256 in faces["sha256"]], dtype=np.int8
    )
    is_grouped = (faces["duplicate_group"] >= 0).to_numpy()
    members = faces.loc[is_grouped, ["duplicate_group", "age", "gender"]].assign(
        drawn=drawn[is_grouped]
    )
    groups = members.groupby("duplicate_group")
    splits = np.array(SPLIT_NAMES, dtype=object)[drawn]
    splits[is_grouped] = np.where(
        members["drawn"] > groups["drawn"].transform("min"), SET_ASIDE, splits[is_grouped]
    )
    conflict = np.zeros(len(faces), bool)
    ages, genders = groups["age"], groups["gender"]
    conflict[is_grouped] = (
        ages.transform("max") - ages.transform("min") > LABEL_TOLERANCE_YEARS
    ) | (genders.transform("max") != genders.transform("min"))
    return faces.assign(split=pd.array(splits, dtype="str"), label_conflict=conflict)

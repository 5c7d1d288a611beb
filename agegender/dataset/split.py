"""The one split into train, validation and test.

An image's split is drawn by its own content and nothing else, so it is the
same on every machine, in every order, whatever files come or go. Near duplicates
that were drawn into different splits are then set aside (see `duplicates`), so that
none that is found stands on both sides: what is set aside does depend on the files,
and a face comes back when its copy goes.

Validation has two halves, drawn likewise: *calibration* is used for nothing but
the promises about uncertainty, *selection* for every other choice of a training.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from agegender.config import SPLIT_FRACTIONS, SPLIT_NAMES, SPLIT_VERSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    position = _draw(f"{SPLIT_VERSION}:{sha256}")
    reached = 0.0
    for name, fraction in zip(SPLIT_NAMES, SPLIT_FRACTIONS, strict=True):
        reached += fraction
        if position < reached:
            return name
    return SPLIT_NAMES[-1]


def _draw(text: str) -> float:
    """Draw a number in [0, 1) from a text; it names the version, so that a new one draws afresh."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def assign_splits(faces: pd.DataFrame) -> pd.DataFrame:
    """Give every face its split so that no photo stands in two.

    Where a group of duplicates was drawn into several splits, the faces in the
    first of train, validation and test stay and the others are set aside.

    Args:
        faces: With `sha256`, `age` (years), `gender` and `duplicate_group`
            (number of the face's group, -1 for none).

    Returns:
        A copy with three more columns: `split` ("train", "validation", "test"
        or "set aside"), `is_calibration` (bool; see `draw_calibration`) and
        `label_conflict` (bool): whether the face's duplicates differ in
        gender, or in age by more than `LABEL_TOLERANCE_YEARS`.
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
    return faces.assign(
        split=pd.array(splits, dtype="str"),
        is_calibration=draw_calibration(faces, splits == "validation"),
        label_conflict=conflict,
    )


def draw_calibration(faces: pd.DataFrame, of: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Draw the half of the validation faces that is for calibration alone.

    The faces of a group of duplicates go together, by the smallest of their hashes.

    Args:
        faces: With `sha256` and `duplicate_group` (-1 for none).
        of: Which of them are validation faces, shape (n,).

    Returns:
        True for the validation faces drawn for calibration, shape (n,).
    """
    chosen = faces.loc[of, ["sha256", "duplicate_group"]]
    first = chosen["sha256"].where(
        chosen["duplicate_group"] < 0, chosen.groupby("duplicate_group")["sha256"].transform("min")
    )
    drawn = np.zeros(len(faces), bool)
    drawn[of] = [_draw(f"{SPLIT_VERSION}:calibration:{sha256}") < 0.5 for sha256 in first]
    return drawn


def is_copy(faces: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which faces are copies of another one, exact or near.

    Where a picture is there several times, one of its faces is none: the one that a hash
    of the file names draws, since their order is one of ages, and labels of copies differ.

    Args:
        faces: With `file` and `duplicate_group` (-1 for none).

    Returns:
        Shape (n,).
    """
    group = faces["duplicate_group"]
    drawn = pd.Series(pd.util.hash_array(faces["file"].to_numpy(object)), index=faces.index)
    return ((group >= 0) & (drawn != drawn.groupby(group).transform("min"))).to_numpy()

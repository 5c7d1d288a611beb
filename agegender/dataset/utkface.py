"""Labels in UTKFace's file names: `age_gender_race_date.jpg.chip.jpg`.

Source of the layout: Zhang, Song and Qi, "Age Progression/Regression by
Conditional Adversarial Autoencoder", CVPR 2017, and the data set's own page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agegender.config import GENDER_NAMES, MAX_AGE_YEARS, RACE_NAMES
from agegender.errors import DatasetError

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif",
)  # fmt: skip
"""File types that faces are looked for in, in lower case."""

# The date runs up to the extension. One real name has a space before the
# extension and one has no dot before it; both are whole otherwise.
_TYPES = "|".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
_DATE = re.compile(rf"(\d+) ?\.?(?:{_TYPES})(?:\.|$)", re.IGNORECASE)

_LAYOUT = "age_gender_race_date.jpg"


@dataclass(frozen=True)
class FaceLabels:
    """What a file name says about its face.

    Attributes:
        age: Whole years, 0 to `MAX_AGE_YEARS`.
        gender: Index into `GENDER_NAMES`.
        race: Index into `RACE_NAMES`.
        date: Digits that tell when the picture was collected, usually
            yyyymmddHHMMSS and three digits of milliseconds.
    """

    age: int
    gender: int
    race: int
    date: str


def parse_name(name: str) -> FaceLabels:
    """Read the labels in a file name.

    Args:
        name: A file's name without its folders.

    Returns:
        The labels.

    Raises:
        DatasetError: If a field is missing or out of range. Nothing is
            guessed: the public repairs of such names contradict each other.
    """
    fields = name.split("_")
    if len(fields) != 4:
        raise DatasetError(
            f"{name}: expected {_LAYOUT} with four fields, but the name has {len(fields)}; "
            "rename the file to use it."
        )
    date = _DATE.match(fields[3])
    if date is None:
        raise DatasetError(
            f"{name}: expected {_LAYOUT}, but the date and file type are {fields[3]!r}; "
            "rename the file to use it."
        )
    return FaceLabels(
        age=_number(name, "age", fields[0], MAX_AGE_YEARS),
        gender=_number(name, "gender", fields[1], len(GENDER_NAMES) - 1),
        race=_number(name, "race", fields[2], len(RACE_NAMES) - 1),
        date=date[1],
    )


def is_labelled(name: str) -> bool:
    """Tell whether `parse_name` reads a file name."""
    try:
        parse_name(name)
    except DatasetError:
        return False
    return True


def _number(name: str, field: str, text: str, largest: int) -> int:
    """Read one field that has to be a whole number from 0 to `largest`."""
    # str.isdecimal alone would take the digits of other scripts as well.
    if not (text.isascii() and text.isdecimal()) or int(text) > largest:
        raise DatasetError(
            f"{name}: expected {_LAYOUT}, but the {field} is {text!r} instead of a number "
            f"from 0 to {largest}; rename the file to use it."
        )
    return int(text)

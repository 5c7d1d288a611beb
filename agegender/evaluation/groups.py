"""The groups of faces that figures are broken down by, and their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import AGE_BANDS, GENDER_NAMES, RACE_NAMES, age_band

if TYPE_CHECKING:
    from numpy.typing import NDArray

OLDEST_DECADE_YEARS = 90
"""Ages from here on share a group: single decades above hold a handful of faces."""

DECADE_NAMES = (
    *(f"{start}-{start + 9}" for start in range(0, OLDEST_DECADE_YEARS, 10)),
    f"{OLDEST_DECADE_YEARS}+",
)

AGE_RANGES = ((0, 12, "0-12"), (51, math.inf, "51+"))
"""(youngest, oldest, name) of the ends of life, where such models are worst."""


def _named(codes: NDArray[np.int64], names: Sequence[str]) -> pd.Categorical[Any]:
    return pd.Categorical.from_codes(codes, pd.Index(names), ordered=True)


def _bands(faces: pd.DataFrame) -> pd.Categorical[Any]:
    # Someone of 25.5 years is 25.
    whole = faces["age"].to_numpy().astype(np.int64)
    codes = np.array([age_band(years) for years in whole.tolist()], np.int64)
    return _named(codes, [name for _, _, name in AGE_BANDS])


def _decades(faces: pd.DataFrame) -> pd.Categorical[Any]:
    decade = (faces["age"].to_numpy() // 10).astype(np.int64)
    return _named(np.minimum(decade, len(DECADE_NAMES) - 1), DECADE_NAMES)


def _races(faces: pd.DataFrame) -> pd.Categorical[Any]:
    return _named(faces["race"].to_numpy(), RACE_NAMES)


def _genders(faces: pd.DataFrame) -> pd.Categorical[Any]:
    return _named(faces["gender"].to_numpy(), GENDER_NAMES)


def _crossed(outer: pd.Categorical[Any], inner: pd.Categorical[Any]) -> pd.Categorical[Any]:
    names = [f"{one}, {two}" for one in outer.categories for two in inner.categories]
    # int8 codes would overflow when they are multiplied.
    codes = outer.codes.astype(np.int64) * len(inner.categories) + inner.codes
    codes[(outer.codes < 0) | (inner.codes < 0)] = -1
    return _named(codes, names)


_GROUPINGS: dict[str, Callable[[pd.DataFrame], pd.Categorical[Any]]] = {
    "band": _bands,
    "decade": _decades,
    "race": _races,
    "gender": _genders,
    "race_and_gender": lambda faces: _crossed(_races(faces), _genders(faces)),
    "band_and_gender": lambda faces: _crossed(_bands(faces), _genders(faces)),
    "decade_and_gender": lambda faces: _crossed(_decades(faces), _genders(faces)),
    "race_and_decade": lambda faces: _crossed(_races(faces), _decades(faces)),
}

GROUPINGS = tuple(_GROUPINGS)
"""What `group_of` can group by."""


def group_of(faces: pd.DataFrame, by: str) -> pd.Categorical[Any]:
    """Name the group that each face belongs to.

    Args:
        faces: Rows with `age` (years), `gender` and `race` (their numbers; -1 where the race
            group is not known).
        by: One of `GROUPINGS`.

    Returns:
        A name for each row, NaN where it is in no group; its categories are all the
        groups in the order in which they are shown, empty ones included.

    Raises:
        ValueError: If `by` is not one of them.
    """
    if by not in _GROUPINGS:
        raise ValueError(f"cannot group by {by!r}; choose one of {', '.join(GROUPINGS)}")
    return _GROUPINGS[by](faces)

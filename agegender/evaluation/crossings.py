"""For whom the model fails: race group, gender and age band, crossed in every way.

A group is compared with all faces outside of it; where the crossing has the age
band, with those of its own band, since errors grow with age whoever it is. A
gap is called real when it is still there after the correction for the number of
comparisons. Fairlearn's `MetricFrame` would give the figures of the groups, but
none of the comparisons with the rest, which are most of this.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import ADULT_AGE_YEARS, SEED
from agegender.evaluation.groups import group_of
from agegender.evaluation.intervals import bootstrap_mean, wilson
from agegender.evaluation.metrics import SMALLEST_COMPARED_GROUP
from agegender.evaluation.significance import (
    CHANCE,
    Difference,
    difference_of_means,
    difference_of_shares,
    holm,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ATTRIBUTES = ("race", "gender", "band")

CROSSINGS = {
    "_".join(crossed): crossed
    for size in range(1, len(ATTRIBUTES) + 1)
    for crossed in combinations(ATTRIBUTES, size)
}
"""What is crossed with what, by name: "race", …, "race_gender_band"."""

FIGURES = ("mae", "bias", "accuracy")
"""Age error and its sign in years, share of genders that are right."""

POPULATIONS = ("all", "adults")
"""All faces, and those of 18 years and over: the gender of children is a guess, for the
annotators, too, and race groups differ in how many of them they have."""


def crossings(predictions: pd.DataFrame, *, seed: int = SEED) -> dict[str, Any]:
    """Compute the figures and gaps of every group, for all faces and for adults.

    Args:
        predictions: As in `metrics.compute_metrics`.
        seed: Of the bootstrap.

    Returns:
        For each of `POPULATIONS` a dictionary fit for JSON: `n`, `groups` and
        `gaps`, the rows of `group_figures` and `group_gaps`.
    """
    adults = predictions[predictions["age"] >= ADULT_AGE_YEARS]
    return {
        name: {
            "n": len(faces),
            "groups": plain_rows(group_figures(faces, seed=seed)),
            "gaps": plain_rows(group_gaps(faces)),
        }
        for name, faces in zip(POPULATIONS, (predictions, adults), strict=True)
    }


def group_figures(predictions: pd.DataFrame, *, seed: int = SEED) -> pd.DataFrame:
    """Compute the figures of every group that holds a face.

    Args:
        predictions: As in `metrics.compute_metrics`.
        seed: Of the bootstrap.

    Returns:
        `crossing`, `group`, `race`, `gender`, `band` (None where not crossed),
        `n`, `is_small` (fewer faces than `SMALLEST_COMPARED_GROUP`: the
        figures say little), and each of `FIGURES` with the ends of its 95%
        interval, `…_low` and `…_high` (NaN for `mae` and `bias` of fewer than
        `intervals.FEWEST_RESAMPLED` faces).
    """
    faces = _Faces.of(predictions)
    rows = []
    for group in faces.groups():
        chosen = group.chosen
        error, right = faces.error[chosen], faces.right[chosen]
        row: dict[str, Any] = {**group.names(), "mae": np.abs(error).mean()}
        row["mae_low"], row["mae_high"] = bootstrap_mean(np.abs(error), seed=seed)
        row["bias"] = error.mean()
        row["bias_low"], row["bias_high"] = bootstrap_mean(error, seed=seed)
        row["accuracy"] = right.mean()
        row["accuracy_low"], row["accuracy_high"] = wilson(int(right.sum()), len(right))
        rows.append(row)
    ends = [f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*_NAMES, *ends])


def group_gaps(predictions: pd.DataFrame) -> pd.DataFrame:
    """Compare every group with the rest.

    Args:
        predictions: As in `metrics.compute_metrics`.

    Returns:
        For each group and each of `FIGURES` a row, the largest gap of a figure
        first and small groups last: the columns that name the group in
        `group_figures`, where `is_small` now speaks of the others as well;
        `against` ("all others", or "others of" the band), `figure`, `gap` (the
        group's less the others'), `low`, `high` (95% interval of this gap
        alone) and `is_real` (whether it stays after Holm's correction for all
        comparisons of the table; small groups are not tested). Of two groups
        that are each other's rest, as the genders are, or the same faces, the first
        alone is here.
    """
    faces = _Faces.of(predictions)
    rows = []
    compared: set[tuple[bytes, bytes]] = set()
    for group in faces.groups():
        # Of whom it is not known, nobody can say that they are not of the group.
        is_known = faces.attributes[list(group.attributes)].notna().all(axis=1).to_numpy()
        rest = ~group.chosen & is_known
        against = "all others"
        if group.band is not None and group.crossing != "band":
            rest &= faces.attributes["band"].to_numpy() == group.band
            against = f"others of {group.band}"
        pair = (group.chosen.tobytes(), rest.tobytes())
        # Two groups can also be of the same faces, where all are of one race group or band.
        if pair in compared or pair[::-1] in compared:
            continue
        compared.add(pair)
        named = group.names()
        named["is_small"] |= int(rest.sum()) < SMALLEST_COMPARED_GROUP
        for figure in FIGURES:
            difference = faces.compare(figure, group.chosen, rest)
            rows.append({**named, "against": against, "figure": figure, **asdict(difference)})
    columns = [*_NAMES, "against", "figure", "gap", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    tested = ~table["is_small"].astype(bool) & table["p"].notna()
    table["is_real"] = False
    table.loc[tested, "is_real"] = holm(table.loc[tested, "p"].tolist()) <= CHANCE
    order = table.assign(
        place=table["figure"].map(FIGURES.index), size=-table["gap"].abs()
    ).sort_values(["place", "is_small", "size"], kind="stable")
    return order.drop(columns=["place", "size", "p"]).reset_index(drop=True)


NO_GAPS = (
    f"Too few faces to compare groups: {SMALLEST_COMPARED_GROUP} are needed in one, and in those "
    "that it is compared with."
)
"""What to say where `largest_gaps` is empty."""


def largest_gaps(gaps: pd.DataFrame, figure: str, count: int) -> pd.DataFrame:
    """Return the largest gaps of a figure, for drawing: small groups are left out.

    Args:
        gaps: What `group_gaps` returned.
        figure: One of `FIGURES`.
        count: At most so many.

    Returns:
        Rows of `gaps`, numbered from 0.
    """
    known = (gaps["figure"] == figure) & ~gaps["is_small"] & gaps["gap"].notna()
    return gaps[known].head(count).reset_index(drop=True)


_NAMES = ("crossing", "group", *ATTRIBUTES, "n", "is_small")


@dataclass(frozen=True)
class _Group:
    """A group of faces: the crossing, its names by attribute, and who is in it."""

    crossing: str
    attributes: dict[str, str]
    chosen: NDArray[np.bool_]

    @property
    def band(self) -> str | None:
        return self.attributes.get("band")

    def names(self) -> dict[str, Any]:
        count = int(self.chosen.sum())
        return {
            "crossing": self.crossing,
            "group": ", ".join(self.attributes.values()),
            **{name: self.attributes.get(name) for name in ATTRIBUTES},
            "n": count,
            "is_small": count < SMALLEST_COMPARED_GROUP,
        }


@dataclass(frozen=True)
class _Faces:
    """What the figures are computed from: errors in years, right or not, attributes by name."""

    error: NDArray[np.float64]
    right: NDArray[np.bool_]
    attributes: pd.DataFrame

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> _Faces:
        faces = predictions.reset_index(drop=True)
        return cls(
            (faces["age_pred"] - faces["age"]).to_numpy(np.float64),
            (faces["gender_pred"] == faces["gender"]).to_numpy(bool),
            pd.DataFrame({name: group_of(faces, name) for name in ATTRIBUTES}),
        )

    def groups(self) -> Iterator[_Group]:
        """Yield every group of every crossing that holds a face, in order."""
        for crossing, crossed in CROSSINGS.items():
            parts = self.attributes.groupby(list(crossed), observed=True)
            for key, rows in parts.indices.items():
                chosen = np.zeros(len(self.error), bool)
                chosen[rows] = True
                yield _Group(crossing, dict(zip(crossed, _names(key), strict=True)), chosen)

    def compare(self, figure: str, group: NDArray[np.bool_], rest: NDArray[np.bool_]) -> Difference:
        if figure == "accuracy":
            return difference_of_shares(self.right[group], self.right[rest])
        values = np.abs(self.error) if figure == "mae" else self.error
        return difference_of_means(values[group], values[rest])


def _names(key: Hashable) -> tuple[str, ...]:
    """Return a group's key as names; with one attribute pandas gives it bare or in a tuple."""
    return tuple(map(str, key)) if isinstance(key, tuple) else (str(key),)


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Write a table as plain rows for JSON, what is unknown as None."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=6))
    return rows

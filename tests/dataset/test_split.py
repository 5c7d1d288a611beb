"""Every photo in one split."""

from __future__ import annotations

import hashlib
from functools import cache

import pandas as pd
import pytest

from agegender.config import SPLIT_NAMES
from agegender.dataset.split import (
    LABEL_TOLERANCE_YEARS,
    SET_ASIDE,
    assign_splits,
    draw_split,
    is_copy,
)


@cache
def _digest_in(split: str, number: int = 0) -> str:
    """Return the `number`-th content hash that is drawn into a split."""
    digests = (hashlib.sha256(str(i).encode()).hexdigest() for i in range(10_000))
    return [digest for digest in digests if draw_split(digest) == split][number]


def _faces(*rows: tuple[str, int], ages: list[int] | None = None) -> pd.DataFrame:
    """Return faces drawn into the splits given, with their group's number."""
    digests = [_digest_in(split, number) for number, (split, _) in enumerate(rows)]
    return pd.DataFrame(
        {
            "sha256": digests,
            "age": ages or [30] * len(rows),
            "gender": [0] * len(rows),
            "duplicate_group": [group for _, group in rows],
        }
    )


def test_draws_the_same_split_for_ever() -> None:
    # Weights that are out in the world were trained on this draw.
    drawn = [draw_split(hashlib.sha256(bytes([i])).hexdigest())[:2] for i in range(24)]
    assert " ".join(drawn) == (
        "va te tr tr tr tr tr te va tr tr tr tr tr te tr tr tr tr tr tr tr tr tr"
    )


def test_draws_four_fifths_for_training() -> None:
    drawn = [draw_split(hashlib.sha256(str(i).encode()).hexdigest()) for i in range(20_000)]
    shares = pd.Series(drawn).value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.8, abs=0.01)
    assert shares["validation"] == pytest.approx(0.1, abs=0.01)
    assert shares["test"] == pytest.approx(0.1, abs=0.01)


def test_single_faces_keep_the_split_that_was_drawn() -> None:
    faces = assign_splits(_faces(("train", -1), ("validation", -1), ("test", -1)))
    assert faces["split"].tolist() == list(SPLIT_NAMES)
    assert not faces["label_conflict"].any()


@pytest.mark.parametrize(
    ("drawn", "assigned"),
    [
        (("train", "test"), ("train", SET_ASIDE)),
        (("test", "validation"), (SET_ASIDE, "validation")),
        (("test", "validation", "train"), (SET_ASIDE, SET_ASIDE, "train")),
        (("train", "train", "validation"), ("train", "train", SET_ASIDE)),
        (("test", "test"), ("test", "test")),
    ],
)
def test_a_group_stays_in_its_first_split(
    drawn: tuple[str, ...], assigned: tuple[str, ...]
) -> None:
    faces = assign_splits(_faces(*((split, 0) for split in drawn), ("test", 1), ("test", 1)))
    assert tuple(faces["split"])[:-2] == assigned
    assert faces["split"].tolist()[-2:] == ["test", "test"]


def test_nothing_moves_when_rows_are_shuffled_or_removed() -> None:
    faces = assign_splits(
        _faces(("train", 0), ("test", 0), ("test", -1), ("validation", -1), ("train", -1))
    )
    fewer = faces.drop(index=4).iloc[::-1]
    again = assign_splits(fewer[["sha256", "age", "gender", "duplicate_group"]])
    assert again["split"].to_dict() == fewer["split"].to_dict()


def test_marks_groups_whose_labels_contradict() -> None:
    rows = [("train", 0), ("train", 0), ("train", 1), ("train", 1), ("train", -1), ("train", -1)]
    apart = 30 + LABEL_TOLERANCE_YEARS
    faces = _faces(*rows, ages=[30, apart, 30, apart + 1, 5, 90])
    assert assign_splits(faces)["label_conflict"].tolist() == [False] * 2 + [True] * 2 + [False] * 2
    faces.loc[0, "gender"] = 1
    assert assign_splits(faces)["label_conflict"].tolist() == [True] * 4 + [False] * 2


def _validation_faces(count: int, *, group_size: int = 1) -> pd.DataFrame:
    """Return faces of which all that are drawn into validation stand in groups of a size."""
    digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(10 * count)]
    drawn = [digest for digest in digests if draw_split(digest) == "validation"]
    groups = [-1 if group_size == 1 else number // group_size for number in range(len(drawn))]
    return pd.DataFrame({"sha256": drawn, "age": 30, "gender": 0, "duplicate_group": groups})


def test_draws_the_same_half_of_validation_for_calibration_for_ever() -> None:
    faces = assign_splits(_validation_faces(600))
    drawn = faces["is_calibration"]
    assert "".join("sc"[int(one)] for one in drawn[:12]) == "scccccsccscs"
    assert drawn.mean() == pytest.approx(0.5, abs=0.06)
    fewer = assign_splits(_validation_faces(600).iloc[::-3])
    assert fewer["is_calibration"].equals(drawn.loc[fewer.index])
    others = assign_splits(_faces(*[("train", -1)] * 8, *[("test", -1)] * 8))
    assert not others["is_calibration"].any()


def test_duplicates_are_on_one_side_of_calibration() -> None:
    faces = assign_splits(_validation_faces(300, group_size=3))
    halves = faces.groupby("duplicate_group")["is_calibration"].nunique()
    assert (halves == 1).all()
    assert 0.3 < faces["is_calibration"].mean() < 0.7


def test_one_face_of_a_picture_is_no_copy_whatever_the_order() -> None:
    faces = pd.DataFrame(
        {
            "file": ["9_0.jpg", "30_0.jpg", "41_0.jpg", "52_0.jpg", "60_0.jpg", "61_0.jpg"],
            "duplicate_group": [0, -1, 0, 1, -1, 1],
        }
    )
    kept = faces[~is_copy(faces)]
    assert len(kept) == 4
    assert set(kept["duplicate_group"]) == {-1, 0, 1}
    backwards = faces.iloc[::-1]
    assert set(backwards[~is_copy(backwards)]["file"]) == set(kept["file"])

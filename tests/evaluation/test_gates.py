from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.evaluation.gates import age_gates, challenge_age, gate_curve, upper_bound

MakePredictions = Callable[..., pd.DataFrame]


def _faces(rows: list[tuple[int, float, int, int]], split: str = "test") -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["age", "age_pred", "gender", "race"])
    return table.assign(split=split, sha256=[f"{split}-{row}" for row in range(len(table))])


def _rows(gates: dict[str, Any], age: int, threshold: int) -> dict[str, dict[str, Any]]:
    [gate] = (gate for gate in gates["gates"] if gate["age"] == age)
    return {row["group"]: row for row in gate["rows"] if row["threshold"] == threshold}


def test_gates_by_hand() -> None:
    faces = _faces(
        [
            (16, 18.0, 0, 0),  # let through at 18 exactly
            (17, 17.9, 1, 0),
            (2, 3.0, 1, 1),
            (5, 30.0, 1, 1),  # let through by any gate
            (18, 17.0, 0, 0),  # sent away
            (40, 41.0, 1, 0),
            (20, 22.0, 0, 2),
        ]
    )
    gates = age_gates(faces, chosen_on=None)
    json.dumps(gates, allow_nan=False)
    plain = _rows(gates, 18, 18)
    assert (plain["All faces"]["under_n"], plain["All faces"]["over_n"]) == (4, 3)
    assert plain["All faces"]["false_accept"] == 0.5
    assert plain["All faces"]["false_reject"] == pytest.approx(1 / 3, abs=1e-6)
    assert (plain["14-21 years"]["under_n"], plain["14-21 years"]["over_n"]) == (2, 2)
    assert plain["14-21 years"]["false_accept"] == 0.5
    assert plain["female"]["false_accept"] == pytest.approx(1 / 3, abs=1e-6)
    assert plain["female"]["false_reject"] == 0.0
    assert plain["Asian"]["false_accept"] is None
    assert plain["Asian"]["false_accept_bound"] is None
    [gate] = (gate for gate in gates["gates"] if gate["age"] == 18)
    assert gate["challenge_age"] is None
    assert gates["chosen_on_n"] == 0
    # Of 25 or over only the oldest is: whoever is under it and said to be older counts.
    assert _rows(gates, 25, 25)["All faces"]["false_accept"] == pytest.approx(1 / 6, abs=1e-6)


def test_challenge_age_is_the_lowest_with_less_than_one_percent() -> None:
    # Of 200 faces under 18, two are said to be 23.0 and one 26.4.
    under = [(10, 11.0, 0, 0)] * 197 + [(15, 23.0, 0, 0)] * 2 + [(16, 26.4, 0, 0)]
    over = [(30, 23.5, 0, 0), (30, 31.0, 0, 0), (30, 40.0, 0, 0), (30, 22.0, 0, 0)]
    validation = _faces(under + over, "validation")
    # 3 of 200 are 1.5%; above 23.0 one is left, 0.5%.
    assert challenge_age(validation, 18) == 24
    assert challenge_age(validation.iloc[180:], 18) is None  # too few to tell
    assert challenge_age(validation.assign(age_pred=116.0), 18) is None

    test = _faces([(17, 25.0, 1, 0), (17, 20.0, 1, 0), (30, 23.5, 0, 0), (30, 40.0, 0, 0)])
    gates = age_gates(test, chosen_on=validation)
    assert not gates["is_chosen_on_same"]
    row = _rows(gates, 18, 24)["All faces"]
    assert (row["false_accept"], row["false_reject"]) == (0.5, 0.5)
    assert row["false_accept_bound"] == pytest.approx(upper_bound(1, 2), abs=1e-6)
    assert _rows(gates, 18, 18)["All faces"]["false_accept"] == 1.0
    assert age_gates(validation, chosen_on=validation)["is_chosen_on_same"]


@pytest.mark.parametrize("split", ["test", "train"])
def test_challenge_age_is_not_chosen_on_other_faces_than_validation(split: str) -> None:
    faces = _faces([(17, 20.0, 0, 0)], split)
    with pytest.raises(ValueError, match="validation"):
        age_gates(faces, chosen_on=faces)


def test_upper_bound_is_three_over_n_when_none_was_seen() -> None:
    assert upper_bound(0, 300) == pytest.approx(3 / 300, rel=0.01)
    assert upper_bound(5, 5) == 1.0
    # The chance of at most 3 of 374 is 5% there (binomial).
    assert upper_bound(3, 374) == pytest.approx(0.0206, abs=2e-4)


def test_curve_agrees_with_the_table(make_predictions: MakePredictions) -> None:
    faces = make_predictions()
    curve = gate_curve(faces, 18).set_index("threshold")
    row = _rows(age_gates(faces, chosen_on=None), 18, 18)
    at_gate = curve.loc[18.0]
    assert at_gate["false_accept"] == pytest.approx(row["All faces"]["false_accept"], abs=1e-6)
    assert at_gate["false_reject"] == pytest.approx(row["All faces"]["false_reject"], abs=1e-6)
    near = row["14-21 years"]["false_accept"]
    assert at_gate["near_false_accept"] == pytest.approx(near, abs=1e-6)
    assert (np.diff(curve["false_accept"]) <= 0).all()
    assert (np.diff(curve["false_reject"]) >= 0).all()
    assert gate_curve(faces[faces["age"] > 30], 18)["false_accept"].isna().all()

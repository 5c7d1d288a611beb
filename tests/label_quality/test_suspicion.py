from __future__ import annotations

import numpy as np
import pandas as pd

from agegender.label_quality.suspicion import exclusions, rank_labels, usual_error


def _faces(count: int = 2000) -> pd.DataFrame:
    """Make up answers that are worse for the old, as they are."""
    rng = np.random.default_rng(0)
    age, gender = rng.integers(1, 90, count), rng.integers(0, 2, count)
    p_female = 1 / (1 + np.exp(-4 * (2 * gender - 1) - rng.normal(0, 1, count)))
    return pd.DataFrame(
        {
            "file": [f"{number}.jpg" for number in range(count)],
            "sha256": [f"{number:064x}" for number in range(count)],
            "age": age,
            "gender": gender,
            # Never further off than three times what is usual.
            "age_pred": age + rng.uniform(-1, 1, count) * (2 + age / 5),
            "p_female": p_female,
        }
    )


def test_planted_wrong_labels_come_first() -> None:
    faces = _faces()
    faces.loc[5, ["age", "age_pred"]] = [70, 25.0]
    faces.loc[9, ["gender", "p_female"]] = [0, 0.9999]
    ranked = rank_labels(faces)
    assert set(ranked["file"][:2]) == {"5.jpg", "9.jpg"}
    assert dict(zip(ranked["file"][:2], ranked["head"][:2], strict=True)) == {
        "5.jpg": "age",
        "9.jpg": "gender",
    }
    reasons = exclusions(ranked.head(2)).set_index("file")["reason"]
    assert reasons["5.jpg"].startswith("labelled 70 years, predicted 25 (")
    assert reasons["9.jpg"] == "labelled male, predicted female with over 99%"


def test_an_error_counts_for_more_where_errors_are_small() -> None:
    faces = _faces()
    faces.loc[0, ["age", "age_pred"]] = [14, 3.0]  # eleven years off, as a child
    faces.loc[1, ["age", "age_pred"]] = [88, 72.0]  # sixteen, as an old face
    place = rank_labels(faces).reset_index().set_index("file")["index"]
    assert place["0.jpg"] < 2
    assert place["1.jpg"] > 50


def test_the_ranks_do_not_depend_on_how_sure_the_model_is_on_the_whole() -> None:
    faces = _faces()
    logit = np.log(faces["p_female"] / (1 - faces["p_female"]))
    timid = faces.assign(p_female=1 / (1 + np.exp(-logit / 4)))
    assert rank_labels(faces)["file"].tolist() == rank_labels(timid)["file"].tolist()


def test_nine_tenths_of_the_labels_lie_in_their_intervals() -> None:
    ranked = rank_labels(_faces())
    inside = ranked["age"].between(ranked["age_low"], ranked["age_high"])
    assert abs(inside.mean() - 0.9) < 0.01
    old = ranked["age_pred"] > 60
    width = ranked["age_high"] - ranked["age_low"]
    assert width[old].mean() > 2 * width[ranked["age_pred"] < 10].mean()


def test_usual_error_has_a_floor_and_takes_few_faces() -> None:
    assert usual_error(np.array([30.0]), np.array([0.0])).tolist() == [2.0]
    ages = np.arange(100.0)
    assert usual_error(ages, ages)[0] < usual_error(ages, ages)[-1]

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from agegender.errors import DatasetError
from agegender.evaluation import charts, fairness, plots
from agegender.evaluation.crossings import NO_GAPS, group_figures, group_gaps
from agegender.evaluation.fairness import (
    compute_fairness,
    crossing_table,
    fairness_tables,
    validation_of,
)
from agegender.evaluation.gates import gate_curve
from agegender.evaluation.sections import base
from agegender.evaluation.sections import fairness as section
from agegender.evaluation.significance import UNKNOWN, difference_of_means
from agegender.evaluation.titles import FIGURE_TITLES

MakePredictions = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("count", [1500, 1])
def test_sections_and_tables_for_many_faces_and_for_one(
    count: int, make_predictions: MakePredictions
) -> None:
    faces = make_predictions(count)
    validation = make_predictions(1500, seed=1).assign(split="validation")
    metrics = compute_fairness(faces, validation=validation)
    drawn = []

    def draw(name: str, figure: Figure, caption: str) -> tuple[str, str]:
        figure.savefig(io.BytesIO(), format="svg")
        drawn.append(name)
        return name, caption

    # The run and the dataset are not asked for anything.
    evaluation = base.Evaluation(cast(Any, None), cast(Any, None), "test", None, 0, faces, metrics)
    groups, gates = section.sections(evaluation, draw)
    assert {"crossing_mae", "gaps_accuracy", "age_gate_18", "age_gate_25"} <= set(drawn)
    assert (groups.title, gates.title) == ("For whom it fails", "Age gates")
    assert "chosen on 1,500 validation faces" in gates.lead
    tables = fairness_tables(metrics)
    assert {"crossings_all", "gaps_all", "age_gate_18"} <= tables.keys()
    for numbers, text in tables.values():
        assert len(numbers) >= len(text) > 0 or count == 1
    assert len(tables["crossings_all"][1]) == len(metrics["crossings"]["all"]["groups"])


def test_only_what_is_real_is_said_to_be(make_predictions: MakePredictions) -> None:
    faces = make_predictions(1500)
    faces.loc[faces["race"] == 1, "age_pred"] += 15
    gaps = group_gaps(faces)
    table = fairness.gap_table(gaps, "bias")
    assert table["Group"].iloc[0].startswith("Black")
    assert table["Significant"].iloc[0] == "yes"
    assert set(fairness.gap_table(gaps, "accuracy")["Significant"]) == {"no"}
    assert fairness.gap_table(gaps, "accuracy")["Gap"].str.endswith("points").all()
    (ax,) = plots.plot_gaps(gaps, "bias").axes
    assert ax.get_yticklabels()[0].get_text().startswith("Black")
    spec = charts.gap_chart(gaps, "bias").to_dict()
    [rows] = [data for data in spec["datasets"].values() if len(data) > 1]
    assert rows[0]["verdict"] == "significant"
    assert not any(row["is_small"] for row in rows)
    (ax,) = plots.plot_gaps(group_gaps(faces.head(40)), "accuracy").axes
    assert [text.get_text() for text in ax.texts] == [NO_GAPS]
    (ax,) = plots.plot_crossing(group_figures(faces), "mae").axes
    assert len(ax.texts) == 2 * 5 * 3


def test_gate_chart_marks_both_thresholds(make_predictions: MakePredictions) -> None:
    spec = charts.gate_chart(gate_curve(make_predictions(), 18), 18, 24).to_dict()
    [marks] = [data for data in spec["datasets"].values() if len(data) == 2]
    assert [mark["threshold"] for mark in marks] == [18, 24]


def test_challenge_ages_are_chosen_on_validation_faces(
    make_predictions: MakePredictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = make_predictions(60).assign(split="validation")
    asked = []

    def predict(run: object, dataset: object, split: str, **_: object) -> pd.DataFrame:
        asked.append(split)
        return validation

    monkeypatch.setattr(fairness, "predict_faces", predict)
    nothing = cast(Any, None)
    faces = validation[["sha256"]].assign(is_calibration=[True, False] * 30)
    dataset = cast(Any, SimpleNamespace(faces=faces))
    chosen = validation_of(nothing, dataset)
    assert chosen is not None
    # The other half is for calibration and nothing else.
    assert chosen["sha256"].tolist() == validation["sha256"].tolist()[1::2]
    assert asked == ["validation"]
    assert validation_of(nothing, SimpleNamespace(faces=faces.assign(is_calibration=True))) is None

    def refuse(*_: object, **__: object) -> pd.DataFrame:
        raise DatasetError("no such face")

    monkeypatch.setattr(fairness, "predict_faces", refuse)
    assert validation_of(nothing, dataset) is None


def test_one_face_alone_has_no_interval_of_years(
    make_predictions: Callable[..., pd.DataFrame],
) -> None:
    groups = group_figures(make_predictions(1))
    assert groups["mae_low"].isna().all()
    assert groups["accuracy_low"].notna().all()
    [row] = crossing_table(groups, "race").to_dict("records")
    assert "(" not in row[FIGURE_TITLES["mae"]]
    assert "(" in row[FIGURE_TITLES["accuracy"]]


def test_a_group_that_does_not_vary_is_compared_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    same, varied = np.full(40, 9.0), rng.normal(1, 1, 40)
    difference = difference_of_means(same, varied)
    assert difference.low < difference.gap < difference.high
    assert difference.p < 0.001
    assert difference_of_means(same, same + 1) == UNKNOWN
    assert difference_of_means(same[:1], varied) == UNKNOWN

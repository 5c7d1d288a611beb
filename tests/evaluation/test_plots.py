from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from agegender.evaluation import plots
from agegender.evaluation.cards import FaceCard
from agegender.evaluation.metrics import compute_metrics
from agegender.evaluation.plots.style import percent_ticks

MakePredictions = Callable[..., pd.DataFrame]


@pytest.mark.parametrize(
    ("draw", "x"),
    [
        (plots.plot_age, "Age, years"),
        (plots.plot_race, ""),
        (plots.plot_balance, "Age band, years"),
        (plots.plot_age_scatter, "True age, years"),
        (plots.plot_residuals, "True age, years"),
        (plots.plot_errors, "Predicted minus true age, years"),
        (plots.plot_roc, "Males called female"),
        (plots.plot_calibration, "Predicted probability of female"),
    ],
)
def test_figures_have_units_and_n(
    draw: Callable[..., Figure], x: str, make_predictions: MakePredictions
) -> None:
    for count in (400, 1):
        figure = draw(make_predictions(count))
        (ax,) = figure.axes
        assert ax.get_xlabel() == x
        assert f"(n = {count})" in ax.get_title(loc="left")
        figure.savefig(io.BytesIO(), format="svg")


def test_the_same_figure_is_the_same_file(make_predictions: MakePredictions) -> None:
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        plots.plot_errors(make_predictions()).savefig(file, format="svg", metadata={"Date": None})
    assert files[0].getvalue() == files[1].getvalue()


def test_scatter_draws_every_face(make_predictions: MakePredictions) -> None:
    (ax,) = plots.plot_age_scatter(make_predictions()).axes
    assert sum(len(points.get_offsets()) for points in ax.collections) == 400


def test_errors_beyond_the_axis_are_said(make_predictions: MakePredictions) -> None:
    predictions = make_predictions(50)
    predictions.loc[0, "age_pred"] = predictions.loc[0, "age"] + 160
    (ax,) = plots.plot_errors(predictions).axes
    assert ax.get_xlabel() == "Predicted minus true age, years (outermost: 40 and more)"
    assert ax.get_xlim()[1] < 60


def test_metrics_are_drawn(make_predictions: MakePredictions) -> None:
    metrics = compute_metrics(make_predictions())
    (ax,) = plots.plot_confusion(metrics).axes
    assert {f"{count:,}" for row in metrics["gender"]["confusion_matrix"] for count in row} <= {
        text.get_text() for text in ax.texts
    }
    (ax,) = plots.plot_age_error(metrics, "race").axes
    assert [label.get_text().split("\n")[0] for label in ax.get_xticklabels()] == [
        "White",
        "Black",
        "Asian",
        "Indian",
        "Others",
    ]
    (ax,) = plots.plot_gender_accuracy(metrics, "band").axes
    assert len(ax.texts) == 3


def test_training_needs_a_known_curve() -> None:
    history = pd.DataFrame({"epoch": [1], "loss": [1.0], "val_loss": [1.5]})
    assert plots.plot_training(history, "loss").axes[0].get_xlabel() == "Epoch"
    with pytest.raises(ValueError, match="'mood'"):
        plots.plot_training(history, "mood")


def test_pretraining_marks_where_the_size_changes() -> None:
    history = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "size": [64, 64, 112],
            "age_mae": [12.0, 9.0, 7.0],
            "gender_accuracy": [0.7, 0.8, 0.9],
            "adult_gender_accuracy": [0.75, 0.85, 0.95],
        }
    )
    age, gender = plots.plot_pretraining(history).axes
    assert [note.get_text() for note in age.texts] == ["64 px", "112 px"]
    assert [note.xy[0] for note in age.texts] == [1, 3]
    assert len(gender.lines) == 2 + 2


def test_cards_show_truth_and_answer() -> None:
    picture = np.zeros((8, 8, 3), dtype=np.uint8)
    cards = [FaceCard({"": picture, "age": picture}, "male, 30", "female, 40", "70%", True)] * 4
    titles = [ax.get_title(loc="left") for ax in plots.plot_cards(cards, title="Faces").axes]
    assert titles.count("true: male, 30\nmodel: female, 40 (70%)") == 4
    assert titles.count("age") == 4
    with pytest.raises(ValueError, match="no faces"):
        plots.plot_cards([], title="Faces")


@pytest.mark.parametrize(("low", "high"), [(0.86, 0.96), (0.0, 1.0), (0.45, 1.0)])
def test_ticks_in_percent_are_where_they_say(low: float, high: float) -> None:
    axes = Figure(figsize=(3.2, 1.6)).subplots()
    axes.set_ylim(low, high)
    percent_ticks(axes.yaxis)
    places = axes.yaxis.get_majorticklocs()
    written = axes.yaxis.get_major_formatter().format_ticks(places)
    assert [float(text.rstrip("%")) for text in written] == pytest.approx(100 * places)

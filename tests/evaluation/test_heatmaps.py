"""Heatmaps of many faces: checked face by face, kept, and summed up the right way round."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from agegender.cli import main
from agegender.config import SEED
from agegender.dataset.dataset import Dataset, open_dataset
from agegender.errors import DatasetError
from agegender.evaluation import plots
from agegender.evaluation.heatmap_tables import area_table, mean_maps, reading_tables
from agegender.evaluation.heatmaps import HeatmapCheck, measure_heatmaps, read_heatmaps
from agegender.evaluation.sections import heatmaps as section
from agegender.evaluation.sections.base import Evaluation
from agegender.explanation.gradcam import Explanation, SanityStep
from agegender.prediction.predictor import Prediction

SIZE = 32


class UpperLeft:
    """Answers with the upper left quarter of a face alone, and its maps say so."""

    model = "the network"

    def __init__(self) -> None:
        self.explained = 0

    def prepare(self, image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA))

    def predict_prepared(self, faces: Sequence[np.ndarray]) -> list[Prediction]:
        quarters = [face[: SIZE // 2, : SIZE // 2].astype(float) for face in faces]
        # Detail ages, and looks male: of a blurred or painted face nothing of it is left.
        detail = [float(np.abs(np.diff(one, axis=0)).mean()) for one in quarters]
        return [Prediction(age=one, p_female=1 / (1 + one)) for one in detail]

    def explain(self, image: np.ndarray) -> Explanation:
        self.explained += 1
        heatmap = np.zeros((8, 8), np.float32)
        heatmap[:4, :4] = 1
        return Explanation(-heatmap, heatmap, heatmap * 0, "layer")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> UpperLeft:
    predictor = UpperLeft()
    steps = [SanityStep("heads", 0.5, 0.4, 0.3), SanityStep("conv1", 0.1, 0.0, -0.1)]
    monkeypatch.setattr("agegender.prediction.predictor.load_predictor", lambda run: predictor)
    monkeypatch.setattr(
        "agegender.evaluation.heatmaps.sanity_check", lambda model, faces, **options: steps
    )
    return predictor


@pytest.fixture
def run(tmp_path: Path) -> Any:
    heads = tmp_path / "run" / "heads.safetensors"
    heads.parent.mkdir()
    heads.write_bytes(b"heads")
    return SimpleNamespace(
        id="run",
        folder=heads.parent,
        need_heads=lambda: heads,
        backbone_file=heads.with_name("backbone.safetensors"),
        uncertainty_file=heads.with_name("uncertainty.safetensors"),
        is_shipped=False,
        config=SimpleNamespace(backbone="random:32"),
        weights=lambda: SimpleNamespace(sha256="backbone", spec=SimpleNamespace(crop=0.8)),
    )


@pytest.fixture
def dataset(make_faces: Callable[..., Path]) -> Dataset:
    return open_dataset(make_faces(60))


@pytest.fixture
def check(model: UpperLeft, run: Any, dataset: Dataset) -> HeatmapCheck:
    return measure_heatmaps(run, dataset, "train", count=12)


def test_faithful_maps_have_an_advantage(check: HeatmapCheck) -> None:
    table = area_table(check).set_index(["head", "kind", "map"])
    for head in ("age", "gender"):
        for kind in ("deletion", "insertion"):
            for other in ("random", "centre"):
                row = table.loc[(head, kind, other)]
                assert row["advantage_low"] > 0
                assert row["advantage_low"] < row["advantage"] < row["advantage_high"]
        own, random = (table.loc[(head, "deletion", name), "area"] for name in (head, "random"))
        assert table.loc[(head, "deletion", "random"), "advantage"] == pytest.approx(own - random)
        assert table.loc[(head, "deletion", head), "advantage"] == 0


def test_mean_maps_are_those_of_each_group(check: HeatmapCheck) -> None:
    means = mean_maps(check, "age")
    count, mean = means["all"]
    assert count == 12
    assert mean[:4, :4].tolist() == [[-1] * 4] * 4
    assert means["male"][0] + means["female"][0] == 12
    assert sum(means[name][0] for name in ("White", "Black", "Asian", "Indian", "Others")) == 12
    # The gender that is answered is male throughout.
    assert mean_maps(check, "gender")["all"][1].max() == 1
    # A weak map counts as much as a strong one, and one that is empty stays so.
    faint = replace(check, maps=check.maps | {"gender": check.maps["gender"] / 4})
    faint.maps["gender"][0] = 0
    assert mean_maps(faint, "gender")["all"][1].max() == pytest.approx(11 / 12)


def test_faces_are_kept_through_a_stop_and_a_damage(
    model: UpperLeft, run: Any, dataset: Dataset
) -> None:
    def measure(**options: Any) -> HeatmapCheck:
        return measure_heatmaps(run, dataset, "train", count=12, **options)

    def stop(done: int, total: int) -> None:
        if model.explained == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(on_progress=stop)
    assert read_heatmaps(run, dataset, "train") is None
    whole = measure()
    assert model.explained == 12
    assert np.array_equal(measure().ages, whole.ages)
    assert model.explained == 12
    kept = read_heatmaps(run, dataset, "train")
    assert kept is not None
    assert np.array_equal(kept.maps["age"], whole.maps["age"])
    one, *_ = (run.folder / "heatmaps").rglob("face-*.json")
    one.write_text(one.read_text()[:100])
    assert read_heatmaps(run, dataset, "train") is None
    assert np.array_equal(measure().ages, whole.ages)
    assert model.explained == 13
    run.need_heads().write_bytes(b"others")
    assert read_heatmaps(run, dataset, "train") is None


def test_a_picture_that_is_gone_is_left_out(
    model: UpperLeft, run: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = dataset.of("train")["file"]
    for file in files[: len(files) // 2]:
        dataset.path(file).unlink()
    asked: list[np.ndarray] = []
    monkeypatch.setattr(
        "agegender.evaluation.heatmaps.sanity_check",
        lambda model, faces, **options: asked.extend(faces) or [SanityStep("heads", 0, 0, 0)],
    )
    found = measure_heatmaps(run, dataset, "train", count=len(files))
    assert len(found.faces) == len(found.ages) == len(files) - len(files) // 2
    assert len(asked) == 10
    for file in files:
        dataset.path(file).unlink(missing_ok=True)
    with pytest.raises(DatasetError, match="can be read"):
        measure_heatmaps(run, dataset, "train", count=3, seed=1)


def test_report_shows_what_was_measured(model: UpperLeft, run: Any, dataset: Dataset) -> None:
    evaluation = Evaluation(run, dataset, "train", None, SEED, pd.DataFrame(), {})
    drawn = []

    def draw(name: str, figure: Any, caption: str) -> tuple[str, str]:
        drawn.append(name)
        return name, caption

    assert section.sections(evaluation, draw) == []
    measure_heatmaps(run, dataset, "train", count=4)
    [part] = section.sections(evaluation, draw)
    assert drawn == ["heatmaps_faithfulness", "heatmaps_mean", "heatmaps_sanity"]
    assert len(part.tables) == 2


def test_figures_and_tables_say_what_was_found(check: HeatmapCheck) -> None:
    figure = plots.plot_faithfulness(check)
    assert len(figure.axes) == 4
    assert all(len(ax.lines) == 3 for ax in figure.axes)
    bands, others = (
        plots.plot_faithfulness(check, seed=seed).axes[0].collections[0].get_paths()[0].vertices
        for seed in (1, 2)
    )
    assert (bands != others).any()
    groups = [ax.get_title() for ax in plots.plot_mean_maps(check, 0.8).axes if ax.get_title()]
    assert groups[0] == "all\nn = 12"
    (ax,) = plots.plot_sanity(check).axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["nothing", "heads", "conv1"]
    for drawn in (figure, ax.figure):
        drawn.savefig(io.BytesIO(), format="svg")
    (_, areas), (_, sanity) = reading_tables(check)
    assert areas["Curve"].tolist() == ["deletion", "insertion"] * 2
    assert areas["Better than random by"].str.startswith("+").all()
    assert sanity["Female"].tolist() == ["0.30", "-0.10"]


def test_command_prints_both_tables(
    model: UpperLeft, run: Any, dataset: Dataset, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agegender.commands.heatmaps.open_choices", lambda args: (run, dataset))
    assert main(["heatmaps", "--split", "train", "--limit", "4"]) == 0
    printed = capsys.readouterr().out
    assert "(n = 4)" in printed
    assert "| conv1 | 0.10 | 0.00 | -0.10 |" in printed

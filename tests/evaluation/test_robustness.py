"""Answers on worse pictures: measured cell by cell, kept, and told apart by all that matters."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.cli import main
from agegender.config import SEED
from agegender.dataset.dataset import Dataset, open_dataset
from agegender.evaluation import plots
from agegender.evaluation.corruptions import CORRUPTIONS, LEVELS, Corruption
from agegender.evaluation.looks import read_looks
from agegender.evaluation.robustness import (
    measure_robustness,
    read_robustness,
    reading_tables,
    robustness_table,
)
from agegender.evaluation.sections import robustness as section
from agegender.evaluation.sections.base import Evaluation
from agegender.prediction.predictor import Prediction

TWO = CORRUPTIONS[3], CORRUPTIONS[5]
"""Darkness and occlusion, whose effect on brightness is known."""


class Brightness:
    """Takes a face's brightness for its age, counts faces, and dies when told to."""

    def __init__(self) -> None:
        self.answered = 0
        self.dies_after: int | None = None

    def predict(self, images: Iterable[np.ndarray]) -> list[Prediction]:
        answers = []
        for image in images:
            if self.answered == self.dies_after:
                raise KeyboardInterrupt
            self.answered += 1
            age = float(image.mean())
            answers.append(Prediction(age, 0.9, age - 5, age + 5, unfamiliar=age < 20))
        return answers


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Brightness:
    predictor = Brightness()
    monkeypatch.setattr("agegender.prediction.predictor.load_predictor", lambda run: predictor)
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
        weights=lambda: SimpleNamespace(sha256="backbone"),
    )


@pytest.fixture
def dataset(make_faces: Callable[..., Path]) -> Dataset:
    return open_dataset(make_faces(30))


def test_worse_pictures_are_measured(model: Brightness, run: Any, dataset: Dataset) -> None:
    reports: list[tuple[int, int]] = []
    answers = measure_robustness(
        run, dataset, "train", count=10, corruptions=TWO,
        on_progress=lambda *counts: reports.append(counts),
    )  # fmt: skip
    assert len(answers) == 11 * 10
    assert reports[0] == (0, 110)
    assert reports[-1] == (110, 110)
    table = robustness_table(answers).set_index(["corruption", "level"])
    dark = table.loc["dark"]
    assert dark["age_change"].is_monotonic_increasing
    assert dark["unfamiliar"].iloc[-1] > table.loc[("clean", 0), "unfamiliar"]
    assert table["width"].to_numpy() == pytest.approx(10)
    assert table.loc[("clean", 0), "age_change"] == 0
    clean = answers[answers["corruption"] == "clean"]
    assert table.loc[("clean", 0), "mae"] == pytest.approx(
        (clean["age_pred"] - clean["age"]).abs().mean()
    )
    assert (table["mae_low"] < table["mae"]).all()
    assert not robustness_table(answers, seed=1).equals(robustness_table(answers, seed=2))
    assert (table["mae"] < table["mae_high"]).all()


def test_a_kill_loses_one_cell_and_a_rerun_is_free(
    model: Brightness, run: Any, dataset: Dataset
) -> None:
    def measure() -> Any:
        return measure_robustness(run, dataset, "train", count=10, corruptions=TWO)

    model.dies_after = 34
    with pytest.raises(KeyboardInterrupt):
        measure()
    assert read_robustness(run, dataset, "train", corruptions=TWO) is None
    model.dies_after = None
    whole = measure()
    # Three cells were whole; the four faces of the fourth were lost.
    assert model.answered == 110 + 4
    again = measure()
    assert model.answered == 110 + 4
    assert again.equals(whole)
    kept = read_robustness(run, dataset, "train", corruptions=TWO)
    assert kept is not None
    assert kept.equals(whole)


def test_only_faces_of_all_cells_count(model: Brightness, run: Any, dataset: Dataset) -> None:
    file = dataset.path(dataset.of("train")["file"].iloc[0])
    picture = file.read_bytes()
    file.unlink()
    count = len(dataset.of("train"))

    def measure(corruptions: Sequence[Corruption]) -> pd.DataFrame:
        return measure_robustness(run, dataset, "train", count=count, corruptions=corruptions)

    measure(TWO[:1])
    file.write_bytes(picture)
    table = robustness_table(measure(TWO))
    assert set(table["n"]) == {count - 1}


def test_stopping_keeps_what_is_done(model: Brightness, run: Any, dataset: Dataset) -> None:
    def stop(done: int, total: int) -> None:
        if model.answered >= 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_robustness(run, dataset, "train", count=10, corruptions=TWO, on_progress=stop)
    measure_robustness(run, dataset, "train", count=10, corruptions=TWO)
    assert model.answered == 110 + 5


def test_what_decides_the_answers_is_in_the_key(
    model: Brightness, run: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_known() -> bool:
        return read_robustness(run, dataset, "train", corruptions=TWO) is not None

    measure_robustness(run, dataset, "train", count=10, corruptions=TWO)
    assert is_known()
    assert read_robustness(run, dataset, "train", seed=1, corruptions=TWO) is None
    for name in ("heads.safetensors", "uncertainty.safetensors"):
        file = run.folder / name
        before = file.read_bytes() if file.exists() else None
        file.write_bytes(b"other")
        assert not is_known()
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
    assert is_known()
    with monkeypatch.context() as patch:
        patch.setattr(run, "weights", lambda: SimpleNamespace(sha256="another"))
        assert not is_known()
    for version in ("robustness.CORRUPTIONS_VERSION", "kept.PREDICTIONS_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(f"agegender.evaluation.{version}", 0)
            assert not is_known()
    dataset.faces["age"] += 1
    assert not is_known()


def test_a_run_without_uncertainty_gets_no_such_tables(
    model: Brightness, run: Any, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        model, "predict", lambda images: [Prediction(float(image.mean()), 0.1) for image in images]
    )
    answers = measure_robustness(run, dataset, "train", count=5, corruptions=TWO)
    titles = " ".join(title for title, _ in reading_tables(robustness_table(answers)))
    assert "Age MAE" in titles
    assert "interval" not in titles
    assert "unfamiliar" not in titles


def test_looks_at_the_test_split_are_logged_and_figures_drawn(
    model: Brightness, run: Any, dataset: Dataset
) -> None:
    answers = measure_robustness(run, dataset, "all", count=30)
    [look] = read_looks(run)
    assert look.n == len(dataset.of("test"))
    table = robustness_table(answers)
    assert len(table) == 1 + len(CORRUPTIONS) * LEVELS
    for measure in ("mae", "accuracy"):
        figure = plots.plot_robustness(table, measure)
        panels = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
        assert panels == [one.title for one in CORRUPTIONS]
        figure.savefig(io.BytesIO(), format="svg")
    with pytest.raises(ValueError, match="'mood'"):
        plots.plot_robustness(table, "mood")


def test_report_shows_what_was_measured(model: Brightness, run: Any, dataset: Dataset) -> None:
    evaluation = Evaluation(run, dataset, "train", None, SEED, pd.DataFrame(), {})
    drawn = []

    def draw(name: str, figure: Any, caption: str) -> tuple[str, str]:
        drawn.append(name)
        return name, caption

    assert section.sections(evaluation, draw) == []
    measure_robustness(run, dataset, "train", count=4)
    [part] = section.sections(evaluation, draw)
    assert drawn == ["robustness_mae", "robustness_accuracy"]
    assert len(part.tables) == 6
    other = Evaluation(run, dataset, "validation", None, SEED, pd.DataFrame(), {})
    assert section.sections(other, draw) == []


def test_command_prints_tables_or_json(
    model: Brightness, run: Any, dataset: Dataset, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agegender.commands.robustness.open_choices", lambda args: (run, dataset))
    assert main(["robustness", "--split", "train", "--limit", "4"]) == 0
    printed = capsys.readouterr().out
    assert "Age MAE, years (n = 4)" in printed
    assert "| Crop jitter | 0.01, 0.02, 0.03, 0.04, 0.05 (" in printed
    assert main(["robustness", "--split", "train", "--limit", "4", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1 + len(CORRUPTIONS) * LEVELS

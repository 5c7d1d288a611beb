from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.errors import RunError
from agegender.training.config import TrainConfig
from agegender.training.run import Run, RunState
from agegender.training.runs import create_run, list_runs
from pages.training_runs import progress_text
from tests.pages.conftest import text_of

OpenPage = Callable[[str], AppTest]


def button(at: AppTest, label: str) -> object:
    [found] = [button for button in at.button if button.label == label]
    return found


def test_training_without_faces_leads_to_the_dataset(open_page: OpenPage) -> None:
    at = open_page("training")
    assert "no faces yet" in text_of(at)
    assert not at.button


def test_settings_come_with_an_estimate_and_a_warning_of_random_weights(
    open_page: OpenPage, demo_faces: Path
) -> None:
    at = open_page("training")
    [backbone] = [box for box in at.selectbox if box.label == "Backbone"]
    backbone.set_value("random:64").run()
    assert not at.exception
    assert re.search(r"About \*\*\d+ s\*\* on this computer", text_of(at))
    assert "random backbone shows that the pipeline works" in text_of(at)
    assert "None yet" in text_of(at)


def test_starting_hands_over_the_settings_that_stand_there(
    open_page: OpenPage, demo_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[TrainConfig] = []
    monkeypatch.setattr("agegender.training.runs.start_run", started.append)
    at = open_page("training")
    [backbone] = [box for box in at.selectbox if box.label == "Backbone"]
    backbone.set_value("random:64")
    [limit] = [
        field for field in at.number_input if "at most" in field.label and "Faces" in field.label
    ]
    limit.set_value(20).run()
    button(at, "Start training").click().run()
    assert not at.exception
    [config] = started
    assert config == TrainConfig(str(demo_dataset_dir()), backbone="random:64", limit=20)


def test_a_refused_start_is_one_sentence(
    open_page: OpenPage, demo_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: TrainConfig) -> Run:
        raise RunError("Run 1 is still running; wait for it.")

    monkeypatch.setattr("agegender.training.runs.start_run", refuse)
    at = open_page("training")
    button(at, "Start training").click().run()
    assert [error.value for error in at.error] == ["Run 1 is still running; wait for it."]


def test_missing_backbone_file_is_one_sentence(open_page: OpenPage, demo_faces: Path) -> None:
    at = open_page("training")
    [backbone] = [box for box in at.selectbox if box.label == "Backbone"]
    backbone.set_value("file").run()
    [field] = at.text_input
    field.set_value("/no/such/weights.safetensors").run()
    assert not at.exception
    [error] = at.error
    assert "no backbone weights" in error.value


def test_a_run_at_work_is_found_again_and_can_be_stopped(
    open_page: OpenPage, demo_faces: Path
) -> None:
    run = create_run(TrainConfig(str(demo_faces), backbone="random:32"))
    with FileLock(run.folder / "run.lock"):
        at = open_page("training")
        assert "Running" in text_of(at)
        assert button(at, "Start training").disabled
        button(at, "Stop").click().run()
        assert not at.exception
        assert run.stop_file.exists()
        assert "Stopping" in text_of(at)


def test_a_run_with_damaged_curves_can_be_deleted(open_page: OpenPage, demo_faces: Path) -> None:
    run = create_run(TrainConfig(str(demo_faces), backbone="random:32"))
    run.write_state(RunState("stopped"))
    (run.folder / "metrics.csv").write_text("epoch\n1\n")
    at = open_page("training")
    assert not at.exception
    [error] = at.error
    assert "metrics.csv is missing or cannot be read; delete the run" in error.value
    assert button(at, "Delete")


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("dataset", "3 of 80 files"),
        ("features", "3 of 80 faces"),
        ("heads", "3 of 80 epochs"),
        ("fine-tuning", "3 of 80 steps"),
    ],
)
def test_progress_names_what_is_counted(phase: str, words: str) -> None:
    assert words in progress_text(RunState("running", phase, 3, 80))


def test_finished_and_damaged_runs_are_listed(open_page: OpenPage, trained_run: Run) -> None:
    damaged = create_run(TrainConfig(str(demo_dataset_dir()), backbone="random:32"))
    (damaged.folder / "config.json").write_text("{")
    at = open_page("training")
    labels = [expander.label for expander in at.expander]
    assert any("finished" in label and "MAE" in label for label in labels)
    assert any("damaged" in label and damaged.id in label for label in labels)


def test_figures_of_a_run_are_those_of_the_epoch_that_is_kept(
    open_page: OpenPage, trained_run: Run
) -> None:
    at = open_page("training")
    history = trained_run.metrics()
    best = history.loc[history["val_loss"].idxmin()]
    tiles = {metric.label: metric.value for metric in at.metric}
    assert tiles["Best epoch"] == f"{best['epoch']:.0f} of {len(history)}"
    assert tiles["Validation MAE"].startswith(f"{best['val_age_mae']:.1f}")


def test_a_run_is_not_deleted_before_a_second_yes(open_page: OpenPage, trained_run: Run) -> None:
    at = open_page("training")
    button(at, "Delete").click().run()
    assert not at.exception
    assert "cannot be undone" in text_of(at)
    assert list_runs()

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.dataset.dataset import open_dataset
from agegender.dataset.exclusion import (
    change_exclusions,
    exclusions_dir,
    read_exclusions,
    write_exclusions,
)
from agegender.training.config import TrainConfig
from agegender.training.run import Run
from tests.pages.conftest import text_of

OpenPage = Callable[[str], AppTest]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Answer at once in place of heads that are trained; how often, is counted."""
    counted = SimpleNamespace(count=0)

    def predict(dataset: object, weights: object, **_: object) -> pd.DataFrame:
        counted.count += 1
        train = open_dataset(demo_dataset_dir()).of("train")
        wrong = train.index == 7
        # Wrong in both labels, so that nothing else can come first.
        p_female = (train["gender"] == 1).mask(wrong, train["gender"] == 0)
        return train.assign(age_pred=train["age"] + 60.0 * wrong, p_female=p_female.astype(float))

    monkeypatch.setattr("agegender.label_quality.out_of_fold.predict_out_of_fold", predict)
    monkeypatch.setattr("agegender.label_quality.out_of_fold.is_kept", lambda *_: counted.count > 0)
    return counted


def press(at: AppTest, label: str) -> None:
    [button] = [button for button in at.button if button.label == label]
    button.click().run()
    assert not at.exception
    assert not at.error


def test_without_a_model_the_tab_leads_to_training(open_page: OpenPage, demo_faces: Path) -> None:
    at = open_page("dataset")
    assert "no trained model yet" in text_of(at)
    assert "Label quality" in [tab.label for tab in at.tabs]
    # The tabs after it are there all the same.
    assert "**3** files are not used" in text_of(at)


def test_labels_that_were_checked_elsewhere_are_shown(
    open_page: OpenPage, trained_run: Run, answers: SimpleNamespace
) -> None:
    at = open_page("dataset")
    assert not at.checkbox
    answers.count = 1
    at.run()
    assert at.checkbox


def test_marked_labels_are_saved_and_left_out_of_the_next_training(
    open_page: OpenPage,
    trained_run: Run,
    answers: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_page("dataset")
    assert not at.checkbox
    assert "on this computer, once" in text_of(at)
    press(at, "Check the labels")
    assert "**0** faces are" in text_of(at)
    suspect = open_dataset(demo_dataset_dir()).of("train").iloc[7]
    assert at.checkbox[0].key == f"leave-out-{suspect['file']}"
    assert f"Label **{suspect['age']}**" in text_of(at)

    at.checkbox[0].check().run()
    assert "**1** face is" in text_of(at)
    press(at, "Save for training")
    [path] = exclusions_dir().iterdir()
    assert read_exclusions(path) == {suspect["sha256"]}
    press(at, "Mark this page")
    assert all(box.value for box in at.checkbox)
    press(at, "Unmark all")
    assert not any(box.value for box in at.checkbox)
    # What another window has saved in the meantime stays, and the reasons with it.
    other = pd.DataFrame([{"file": "x", "sha256": "0" * 64, "reason": "blurred"}])
    write_exclusions(change_exclusions(path, added=other, removed=()), path)
    at.checkbox[1].check().run()
    press(at, "Save for training")
    second = (
        open_dataset(demo_dataset_dir())
        .faces.set_index("file")
        .loc[at.checkbox[1].key.removeprefix("leave-out-"), "sha256"]
    )
    assert read_exclusions(path) == {"0" * 64, second}
    assert "blurred" in path.read_text()
    at.checkbox[0].check().run()
    at.checkbox[1].uncheck().run()
    press(at, "Save for training")
    assert read_exclusions(path) == {"0" * 64, suspect["sha256"]}
    # Another visit finds what was saved, and nothing is computed anew.
    again = open_page("dataset")
    assert again.checkbox[0].value
    assert answers.count <= 3

    started: list[TrainConfig] = []

    def start(config: TrainConfig) -> None:
        started.append(config)

    monkeypatch.setattr("agegender.training.runs.start_run", start)
    at = open_page("training")
    [choice] = [box for box in at.selectbox if box.label == "Leave out"]
    assert choice.options == [path.stem]
    choice.set_value(path.stem).run()
    press(at, "Start training")
    assert [config.exclude for config in started] == [str(path.resolve())]

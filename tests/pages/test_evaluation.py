from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender.config import workspace_dir
from agegender.dataset.dataset import Dataset
from agegender.evaluation import report
from agegender.evaluation.crossings import NO_GAPS
from agegender.evaluation.looks import read_looks
from agegender.evaluation.published import read_published
from agegender.prediction.predictor import Prediction
from agegender.training.run import Run
from agegender.training.runs import default_run
from tests.pages.conftest import text_of

OpenPage = Callable[[str], AppTest]


def test_evaluation_without_a_model_leads_to_training(
    open_page: OpenPage, demo_faces: Path
) -> None:
    at = open_page("evaluation")
    assert "no trained model yet" in text_of(at)
    assert not at.metric


@pytest.mark.shipped
def test_without_faces_the_shipped_model_shows_what_it_reached(open_page: OpenPage) -> None:
    published = read_published(default_run())
    assert published is not None
    at = open_page("evaluation")
    figures, photos = at.expander
    assert figures.proto.expanded
    assert not photos.proto.expanded
    tiles = {metric.label: metric.value for metric in figures.metric}
    assert tiles["Age MAE"] == f"{published['age']['mae']:.1f} years"
    at.segmented_control(key="published_groups").set_value("race").run()
    assert [frame.value.columns[0] for frame in at.dataframe] == ["Race group"] * 2
    assert "There are no faces yet" in text_of(at)
    # Whole photos bring their labels along.
    assert "Folder of photos" in [field.label for field in at.text_input]


def test_validation_figures_are_shown_beside_no_skill_and_marked_as_plumbing(
    open_page: OpenPage, trained_run: Run
) -> None:
    at = open_page("evaluation")
    tiles = {metric.label: metric for metric in at.metric}
    # A bias of two digits has room in a third of the page.
    thirds = [column for column in at.columns if column.weight == pytest.approx(1 / 3)]
    assert [tile.label for column in thirds for tile in column.metric] == [
        "Age MAE", "Median error", "Bias", "Within 5 years", "Gender", "Adults' gender",
    ]  # fmt: skip
    assert tiles["Age MAE"].value.endswith("years")
    assert tiles["Age MAE"].delta.startswith("no skill")
    assert tiles["Gender"].value.endswith("%")
    assert "random weights" in text_of(at)
    assert "trained on drawn demo faces" in text_of(at)
    assert "left out" not in text_of(at)
    assert "drawings, not people" in text_of(at)
    assert read_looks(trained_run) == []
    assert [tab.label for tab in at.tabs] == [
        "Age", "Gender", "How sure", "Groups", "Age gates", "Faces", "Whole photos", "Training",
        "Report",
    ]  # fmt: skip


def test_fewer_genders_are_told_when_the_visitor_asks_for_more_confidence(
    open_page: OpenPage, trained_run: Run
) -> None:
    at = open_page("evaluation")
    assert "Half of the validation faces" in text_of(at)
    slider = at.slider(key="unsure_threshold")
    slider.set_value(50).run()
    assert {tile.label: tile.value for tile in at.metric}["Answered"] == "100.0%"
    at.slider(key="unsure_threshold").set_value(99).run()
    assert not at.exception
    assert {tile.label: tile.value for tile in at.metric}["Answered"] != "100.0%"


def test_faces_that_the_backbone_has_seen_are_left_out_and_counted(
    open_page: OpenPage, trained_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(run: Run, faces: pd.DataFrame, split: str) -> NDArray[np.bool_]:
        return np.arange(len(faces)) < 2

    monkeypatch.setattr("agegender.evaluation.evaluated_faces.find_seen", seen)
    assert "2 faces were left out" in text_of(open_page("evaluation"))


def test_without_train_faces_the_floors_are_of_the_same_faces(
    open_page: OpenPage, trained_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = Dataset.of
    monkeypatch.setattr(
        Dataset,
        "of",
        lambda dataset, split: of(dataset, split).iloc[: 0 if split == "train" else None],
    )
    at = open_page("evaluation")
    assert not at.error
    assert at.metric


def test_a_look_at_the_test_split_is_logged_once_and_said(
    open_page: OpenPage, trained_run: Run
) -> None:
    at = open_page("evaluation")
    at.button_group[0].set_value("test").run()
    assert not at.exception
    assert "is logged with the run" in text_of(at)
    for ask in at.button:
        if ask.label == "Evaluate":
            ask.click().run()
    assert at.metric
    assert "Logged looks at a test split so far: 1." in text_of(at)
    at.run()
    assert len(read_looks(trained_run)) == 1


def test_gaps_between_groups_and_age_gates_are_shown(open_page: OpenPage, shared_run: Run) -> None:
    at = open_page("evaluation")
    said = text_of(at)
    assert "Gaps between groups" in said
    # So few faces cannot be compared, and give no challenge age.
    assert NO_GAPS in said
    assert "significant after" not in said
    assert "No challenge age" in said
    [gaps] = [frame.value for frame in at.dataframe if "Significant" in frame.value]
    assert gaps["Faces"].str.endswith("(few)").all()
    gates = [frame.value for frame in at.dataframe if "False accepts" in frame.value]
    assert [list(table.columns)[2] for table in gates] == ["Under 18", "Under 25"]
    [figure] = [group for group in at.button_group if group.label == "Figure"]
    figure.set_value("accuracy").run()
    assert not at.exception
    [gaps] = [frame.value for frame in at.dataframe if "Significant" in frame.value]
    assert gaps["Gap"].str.endswith("points").all()


def test_whole_photos_are_measured_and_a_wrong_folder_is_refused_in_one_sentence(
    open_page: OpenPage, shared_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [SimpleNamespace(prediction=Prediction(33, 0.9, 25, 40))]
    monkeypatch.setattr("agegender.evaluation.photos.predict_photo", lambda *_: found)
    monkeypatch.setattr("agegender.prediction.predictor.load_predictor", lambda run: None)
    folder = tmp_path / "portraits"
    folder.mkdir()
    at = open_page("evaluation")

    def measure(path: str) -> None:
        [field] = [field for field in at.text_input if field.label == "Folder of photos"]
        field.set_value(path)
        [button] = [button for button in at.button if button.label == "Measure"]
        button.click().run()
        assert not at.exception

    for path, words in (
        ("", "The path is empty; name one."),
        (str(tmp_path / "nowhere"), "there is no such folder"),
        (str(folder), "has no labels.csv"),
        ("~nobody-of-that-name", "cannot be opened"),
    ):
        measure(path)
        [error] = at.error
        assert words in error.value
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    labels = "filename,age,gender,subject\na.png,30,female,1\nb.png,50,male,1\n"
    (folder / "labels.csv").write_text(labels)
    measure(f" {folder} ")
    assert not at.error
    [table] = [frame.value for frame in at.dataframe if "Figure" in frame.value]
    values = dict(zip(table["Figure"], table["Value"], strict=True))
    assert values["Exactly one face found"] == "100.0%"
    assert values["Age MAE, years"] == "10.0"
    assert values["Gender accuracy"] == "50.0%"
    assert values["Ages within their 90% interval"] == "50.0%"
    [failures] = [frame.value for frame in at.dataframe if "What went wrong" in frame.value]
    assert failures["Photo"].tolist() == ["b.png"]
    assert "Photos: 2, people: 1." in text_of(at)


def test_the_report_can_be_taken_away(
    open_page: OpenPage, trained_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Drawing every figure takes half a minute and is tested by itself.
    monkeypatch.setattr(report, "SECTIONS", report.SECTIONS[:1])
    at = open_page("evaluation")
    [write] = [button for button in at.button if button.label == "Write the report"]
    write.click().run(timeout=240)
    assert not at.exception
    assert not at.error
    [download] = at.download_button
    assert download.label == "Download the report"
    [folder] = (workspace_dir() / "reports").iterdir()
    assert {"metrics.json", "report.html"} <= {path.name for path in folder.iterdir()}


def test_a_damaged_model_is_one_sentence(open_page: OpenPage, trained_run: Run) -> None:
    trained_run.heads_file.write_bytes(b"half a file")
    for table in trained_run.folder.glob("predictions-*"):
        table.unlink()
    at = open_page("evaluation")
    [error] = at.error
    assert "heads.safetensors" in error.value

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.training.run import Run
from tests.pages.conftest import text_of

OpenPage = Callable[[str], AppTest]

Upload = tuple[str, bytes, str]


@pytest.fixture
def demo_face(shared_run: Run) -> Upload:
    path = next(
        path for path in sorted(demo_dataset_dir().glob("*.jpg")) if path.stat().st_size > 5000
    )
    return "face.jpg", path.read_bytes(), "image/jpeg"


def test_prediction_without_a_model_leads_to_training(
    open_page: OpenPage, demo_faces: Path
) -> None:
    assert "no trained model yet" in text_of(open_page("prediction"))


def test_prediction_states_known_error_proper_use_and_what_becomes_of_pictures(
    open_page: OpenPage, shared_run: Run
) -> None:
    said = text_of(open_page("prediction"))
    assert "On validation faces it was off by" in said
    assert "children" in said
    assert "Not for decisions about people" in said
    assert "not kept" in said
    assert "taken as one face" in said
    assert "random weights" in said


def test_one_face_is_answered_explained_and_taken_away(
    open_page: OpenPage, demo_face: Upload
) -> None:
    at = open_page("prediction")
    at.file_uploader[0].set_value([demo_face]).run()
    assert not at.exception
    [table] = [frame.value for frame in at.dataframe]
    assert table["gender"].iat[0] in ("male", "female")
    downloads = {button.label: button for button in at.download_button}
    assert set(downloads) == {"Figure", "CSV", "JSON"}
    [prepare] = [button for button in at.button if button.label == "Prepare a ZIP with heatmaps"]
    prepare.click().run()
    assert not at.exception
    assert "ZIP with heatmaps" in [button.label for button in at.download_button]


def test_bad_files_get_a_sentence_each_and_stop_nothing(
    open_page: OpenPage, demo_face: Upload
) -> None:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    at = open_page("prediction")
    at.file_uploader[0].set_value(
        [
            ("notes.jpg", b"just text", "image/jpeg"),
            ("empty.zip", empty.getvalue(), "application/zip"),
            ("nothing.png", b"", "image/png"),
            demo_face,
        ]
    ).run()
    assert not at.exception
    [error] = at.error
    for name in ("notes.jpg", "empty.zip", "nothing.png"):
        assert name in error.value
    [table] = [frame.value for frame in at.dataframe]
    assert len(table) == 4
    assert table["age"].notna().sum() == 1

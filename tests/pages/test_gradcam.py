from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.dataset.dataset import open_dataset
from agegender.training.run import Run
from tests.pages.conftest import text_of

OpenPage = Callable[[str], AppTest]


def test_gradcam_without_a_model_leads_to_training(open_page: OpenPage, demo_faces: Path) -> None:
    assert "no trained model yet" in text_of(open_page("gradcam"))


def test_a_validation_face_is_explained_by_both_heads(open_page: OpenPage, shared_run: Run) -> None:
    at = open_page("gradcam")
    said = text_of(at)
    assert "**Age: " in said
    assert "male: " in said.lower()
    assert "labelled" in said
    assert "random weights" in said
    validation = set(open_dataset(demo_dataset_dir()).of("validation")["file"])
    picks = {button.key.removeprefix("pick-") for button in at.button if "pick-" in button.key}
    assert picks
    assert picks <= validation
    names = [button.label for button in at.download_button]
    assert names == ["Age map", "Gender map", "All three side by side"]


def test_another_face_can_be_picked(open_page: OpenPage, shared_run: Run) -> None:
    at = open_page("gradcam")
    picks = [button for button in at.button if "male" in button.label]
    years, gender = picks[-1].label.split(" · ")
    picks[-1].click().run()
    assert not at.exception
    assert f"labelled {years} years, {gender}" in text_of(at)


def test_an_upload_is_explained_and_a_text_file_refused(
    open_page: OpenPage, shared_run: Run, tmp_path: Path
) -> None:
    at = open_page("gradcam")
    at.button_group[0].set_value("upload").run()
    at.file_uploader[0].set_value(("notes.jpg", b"just text", "image/jpeg")).run()
    assert not at.exception
    [error] = at.error
    assert "notes.jpg" in error.value
    path = tmp_path / "face.png"
    Image.fromarray(np.full((90, 60, 3), 120, np.uint8)).save(path)
    at.file_uploader[0].set_value(("face.png", path.read_bytes(), "image/png")).run()
    assert not at.exception
    assert not at.error
    assert "**Age: " in text_of(at)

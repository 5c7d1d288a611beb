from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.dataset.dataset import open_dataset
from agegender.evaluation.heatmaps import measure_heatmaps
from agegender.explanation.gradcam import SanityStep
from agegender.prediction.alignment import FRAME_LANDMARKS, align_face
from agegender.prediction.faces import Face
from agegender.prediction.predictor import Prediction
from agegender.prediction.quality import FLAGS, UNFAMILIAR
from agegender.training.run import Run
from pages.gradcam_trust import OPEN_KEY
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
    assert "need not show what the answer rests on" in said
    validation = set(open_dataset(demo_dataset_dir()).of("validation")["file"])
    picks = {button.key.removeprefix("pick-") for button in at.button if "pick-" in button.key}
    assert picks
    assert picks <= validation
    names = [button.label for button in at.download_button]
    assert names == ["Age map", "Gender map", "All three side by side"]


@pytest.mark.parametrize("unfamiliar", [True, False])
def test_a_face_unlike_those_learned_from_is_flagged(
    unfamiliar: bool, open_page: OpenPage, shared_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agegender.prediction.predictor.Predictor.predict",
        lambda predictor, images: [Prediction(30, 0.9, 20, 40, unfamiliar)],
    )
    # A face of its own for each, as answers are kept.
    file = io.BytesIO()
    Image.new("RGB", (90, 90), (unfamiliar, 0, 0)).save(file, "PNG")
    at = open_page("gradcam")
    at.button_group[0].set_value("upload").run()
    at.toggle[0].set_value(True).run()
    at.file_uploader[0].set_value(("face.png", file.getvalue(), "image/png")).run()
    assert not at.exception
    assert (FLAGS[UNFAMILIAR] in text_of(at)) == unfamiliar


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
    assert "No face was found in face.png" in text_of(at)
    assert "**Age: " not in text_of(at)
    at.toggle[0].set_value(True).run()
    assert not at.exception
    assert not at.error
    assert "**Age: " in text_of(at)


def test_the_largest_face_of_a_photo_is_explained(
    open_page: OpenPage, shared_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.zeros((100, 300, 3), np.uint8)
    photo[:, 200:] = 200
    landmarks = (FRAME_LANDMARKS / 2 + np.array([200, 0])).astype(np.float32)
    face = Face((200, 0, 100, 100), landmarks, 0.9)
    monkeypatch.setattr("agegender.prediction.photos.find_faces", lambda image: [face, face])
    aligned = []
    monkeypatch.setattr(
        "agegender.prediction.photos.align_face",
        lambda image, face: aligned.append(align_face(image, face)) or aligned[0],
    )
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    at = open_page("gradcam")
    at.button_group[0].set_value("upload").run()
    at.file_uploader[0].set_value(("photo.png", file.getvalue(), "image/png")).run()
    assert not at.exception
    assert "**Age: " in text_of(at)
    assert (aligned[0][20:180, 20:180] == 200).all()
    assert "2 faces were found; this is the largest" in text_of(at)


def test_maps_are_tested_on_request_and_the_result_is_kept(
    open_page: OpenPage, trained_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Destroying a network takes half a minute and is tested by itself.
    monkeypatch.setattr(
        "agegender.evaluation.heatmaps.sanity_check",
        lambda model, faces, **options: [SanityStep("heads", 0.5, 0.4, 0.25)],
    )
    # Two faces say as much as six.
    monkeypatch.setattr("pages.gradcam_trust.measure_heatmaps", partial(measure_heatmaps, count=2))
    at = open_page("gradcam")
    assert "Test the maps" not in [button.label for button in at.button]
    at.session_state[OPEN_KEY] = True
    at.run()
    [test] = [button for button in at.button if button.label == "Test the maps"]
    test.click().run()
    assert not at.exception
    areas, sanity = (table.value for table in at.dataframe)
    assert areas["Curve"].tolist() == ["deletion", "insertion"] * 2
    assert sanity["Female"].tolist() == ["0.25"]
    at.run()
    assert "Test the maps" not in [button.label for button in at.button]
    assert len(at.dataframe) == 2

"""What is taken away: pictures with heatmaps, ZIPs, and the model in one file."""

from __future__ import annotations

import errno
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.errors import InvalidImageError, InvalidModelError, StorageError
from agegender.images import read_image
from agegender.prediction import export as export_module
from agegender.prediction.export import (
    ExplainedPicture,
    describe,
    explain_pictures,
    export_model,
    write_folder,
    write_zip,
)
from agegender.prediction.predictor import Prediction, Predictor
from agegender.prediction.sources import Picture
from agegender.prediction.tables import PredictionRow

FILES = {
    "face.png",
    "figure.png",
    *(
        f"{head}-{kind}.png"
        for head in ("age", "male", "female")
        for kind in ("heatmap", "overlay")
    ),
}


def item(file: str) -> ExplainedPicture:
    return ExplainedPicture(PredictionRow(file, Prediction(31.0, 0.2)), {"face.png": b"png"})


UNREAD = ExplainedPicture(PredictionRow("bad.jpg", error="bad.jpg: no picture"))


def test_words_for_a_prediction() -> None:
    assert describe(Prediction(30.6, 0.03)) == "31 years, male (97%)"


def test_picture_comes_with_all_its_files(predictor: Predictor, faces: list[np.ndarray]) -> None:
    bad = Picture("bad.jpg", InvalidImageError("bad.jpg: no picture"))
    unread, explained = explain_pictures(predictor, [bad, Picture("a.jpg", faces[0])])
    assert unread == UNREAD
    assert set(explained.files) == FILES
    [expected] = predictor.predict([faces[0]])
    assert explained.row == PredictionRow("a.jpg", expected)
    face = read_image(explained.files["face.png"])
    assert np.array_equal(face, predictor.display_face(faces[0]))
    assert read_image(explained.files["age-overlay.png"]).shape == face.shape
    with Image.open(io.BytesIO(explained.files["figure.png"])) as figure:
        assert figure.width > 2 * figure.height


def test_stopping_ends_the_pictures(predictor: Predictor, faces: list[np.ndarray]) -> None:
    pictures = [Picture("a.jpg", faces[0])]
    assert list(explain_pictures(predictor, pictures, should_stop=lambda: True)) == []


def test_folder_per_picture_and_a_table(tmp_path: Path) -> None:
    items = [item("x/a.jpg"), UNREAD, item("y/A.png"), item("../../..")]
    rows = list(write_folder(items, tmp_path / "out"))
    assert rows == [entry.row for entry in items]
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == ["out/A-2/face.png", "out/a/face.png", "out/picture/face.png"]
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert table.file.tolist() == [row.file for row in rows]
    # A second time, everything is replaced and nothing is doubled.
    list(write_folder(items, tmp_path / "out"))
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    for own in (tmp_path / "a" / "holiday.jpg", tmp_path / "b"):
        own.parent.mkdir(exist_ok=True)
        own.write_bytes(b"mine")
        with pytest.raises(StorageError, match="name another output folder"):
            list(write_folder([item("a.jpg"), item("b.jpg")], tmp_path))
        assert own.read_bytes() == b"mine"
        shutil.rmtree(tmp_path / "a")


def test_full_disk_leaves_no_half_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match="the disk is full"):
        list(write_folder([item("a.jpg")], tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("to_file", [True, False])
def test_zip_holds_pictures_and_tables(to_file: bool, tmp_path: Path) -> None:
    stream = io.BytesIO()
    target = tmp_path / "out.zip" if to_file else stream
    write_zip([item("a.jpg"), UNREAD, item("b/a.jpg")], target)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "a-2/face.png",
            "a/face.png",
            "predictions.csv",
            "predictions.json",
        ]
        table = pd.read_csv(archive.open("predictions.csv"))
    assert table.file.tolist() == ["a.jpg", "bad.jpg", "b/a.jpg"]
    assert table.error[1] == "bad.jpg: no picture"


def test_exported_model_answers_as_the_predictor(
    fake_run: Any, predictor: Predictor, faces: list[np.ndarray], tmp_path: Path
) -> None:
    """Read back in a process that knows Keras and nothing of this project."""
    path = tmp_path / "model.keras"
    export_model(fake_run, path)
    prepared = [predictor.prepare(face) for face in faces[:3]]
    np.save(tmp_path / "faces.npy", np.stack(prepared).astype(np.float32))
    script = (
        "import keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "answers = model(np.load('faces.npy'), training=False)\n"
        "np.savez('answers.npz', **{name: np.asarray(value) for name, value in answers.items()})\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True, timeout=200)
    answers = np.load(tmp_path / "answers.npz")
    assert answers["age"].shape == (3, 1)
    assert answers["gender"].shape == (3, 2)
    for number, expected in enumerate(predictor.predict(faces[:3])):
        assert answers["age"][number, 0] == pytest.approx(expected.age, abs=0.01)
        assert answers["gender"][number, 1] == pytest.approx(expected.p_female, abs=1e-4)


def test_export_that_answers_otherwise_is_not_written(predictor: Predictor, tmp_path: Path) -> None:
    def other(faces: np.ndarray, training: bool) -> dict[str, np.ndarray]:
        return {"age": np.full((len(faces), 1), 500.0), "gender": np.full((len(faces), 2), 0.5)}

    with pytest.raises(InvalidModelError, match=r"model\.keras was not written"):
        export_module._check_parity(predictor, other, tmp_path / "model.keras")


def test_export_to_another_ending_is_refused(fake_run: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.keras"):
        export_model(fake_run, tmp_path / "model.h5")

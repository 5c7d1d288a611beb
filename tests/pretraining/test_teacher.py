from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.errors import RunError
from agegender.images import read_image
from agegender.pretraining import teacher
from agegender.pretraining.pixels import labels_of
from agegender.pretraining.teacher import TEACHER_NUMBERS, ask_teacher

DLIB = """
import pathlib
import numpy as np

rectangle = lambda *box: box
get_face_chip = lambda frame, shape, size: frame

def shape_predictor(path):
    return lambda frame, box: None

class face_recognition_model_v1:
    def __init__(self, path):
        assert pathlib.Path(path).name.startswith("dlib_face_recognition")

    def compute_face_descriptor(self, face):
        with open(pathlib.Path(__file__).with_name("asked.txt"), "a") as asked:
            asked.write("1")
        return [float(face.mean()) + number for number in range(128)]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a stand-in for dlib, which says how bright a face is; return where."""
    site = tmp_path / "site"
    for name in ("dlib_bin", "face_recognition_models"):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (site / "dlib.py").write_text(DLIB)
    # Processes that are spawned get it as well.
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def samples(make_faces: Callable[..., Path]) -> pd.DataFrame:
    files = [str(file) for file in sorted(make_faces(12).iterdir())]
    split = ["train", "validation", "train"] * 4
    return pd.DataFrame(
        {
            "file": files,
            "sha256": [f"{number:064x}" for number in range(12)],
            "split": split,
            "age": 30.0,
            "gender": 0,
            "race": -1,
        }
    )


def asked(site: Path) -> int:
    return len((site / "asked.txt").read_text())


def test_every_train_face_gets_standardised_numbers_of_its_own(
    installed: Path, samples: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "PART_FACES", 3)
    seen: list[tuple[int, int]] = []
    told = ask_teacher(samples, tmp_path / "parts", on_progress=lambda *pair: seen.append(pair))
    assert seen == [(3, 8), (6, 8), (8, 8)]
    is_train = samples["split"] == "train"
    answers = np.stack(list(told["teacher"]))
    assert answers.shape == (12, TEACHER_NUMBERS)
    assert np.isnan(answers[~is_train]).all()
    np.testing.assert_allclose(answers[is_train].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(answers[is_train].std(axis=0), 1, atol=1e-4)
    brightness = [read_image(Path(file)).mean() for file in samples["file"][is_train]]
    assert np.argsort(answers[is_train][:, 0]).tolist() == np.argsort(brightness).tolist()


def test_faces_that_were_asked_about_are_not_asked_about_again(
    installed: Path, samples: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "PART_FACES", 3)
    first = ask_teacher(samples, tmp_path / "parts")
    assert asked(installed) == 8
    # As if it had been killed before its last part.
    min((tmp_path / "parts").iterdir()).unlink()
    again = ask_teacher(samples, tmp_path / "parts")
    assert 8 + 2 <= asked(installed) <= 8 + 3
    np.testing.assert_array_equal(
        np.stack(list(again["teacher"])), np.stack(list(first["teacher"]))
    )


def test_faces_without_an_answer_weigh_nothing(
    installed: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    labels, weights = labels_of(ask_teacher(samples, tmp_path))
    assert labels["teacher"].shape == (12, TEACHER_NUMBERS)
    assert np.isfinite(labels["teacher"]).all()
    assert weights["teacher"].tolist() == (samples["split"] == "train").astype(float).tolist()
    assert "teacher" not in labels_of(samples)[0]


def test_a_teacher_that_is_not_installed_is_named(samples: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="pip install dlib-bin face-recognition-models"):
        ask_teacher(samples, tmp_path)

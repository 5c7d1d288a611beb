"""`predict`, `explain` and `export`: output, notes and exit codes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agegender.commands import choice, explain, export, predict
from agegender.explanation.gradcam import Explanation
from agegender.model.preprocessing import InputSpec
from agegender.prediction.predictor import Prediction


class Brightness:
    """Takes the brightness of a picture for the age."""

    def prepare(self, image: np.ndarray) -> np.ndarray:
        return image[:1, :1]

    def display_face(self, image: np.ndarray) -> np.ndarray:
        return image

    def predict_prepared(self, faces: list[np.ndarray]) -> list[Prediction]:
        return [Prediction(float(face.mean()), 0.25) for face in faces]

    predict = predict_prepared

    def explain(self, image: np.ndarray) -> Explanation:
        heatmap = np.ones((7, 7), np.float32)
        return Explanation(heatmap, heatmap, heatmap, "conv")


@pytest.fixture
def skill(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A run whose predictor is `Brightness`; returns its weights, with the run in `run`."""
    weights = SimpleNamespace(has_skill=True, spec=InputSpec(112, 0.8))
    chosen = SimpleNamespace(id="chosen", weights=lambda: weights, knows_only_drawings=False)
    monkeypatch.setattr(choice, "default_run", lambda: chosen)
    monkeypatch.setattr(predict, "load_predictor", lambda run: Brightness())
    weights.run = chosen
    return weights


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for age in (30, 60):
        Image.new("RGB", (16, 16), (age, age, age)).save(folder / f"{age}.png")
    return folder


def call(command: Any, *arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    name = command.__name__.rsplit(".", 1)[-1]
    args = parser.parse_args([name, *map(str, arguments)])
    return int(args.run(args))


@pytest.mark.usefixtures("skill")
def test_table_on_the_screen(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(predict, pictures) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == [
        f" 30.0  male         75.0%  {pictures.as_posix()}/30.png",
        f" 60.0  male         75.0%  {pictures.as_posix()}/60.png",
    ]
    assert err.count("taken as the crop of one face") == 1
    assert "random" not in err


@pytest.mark.usefixtures("skill")
def test_unread_pictures_are_named_and_the_rest_goes_on(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "40.jpg").write_text("text")
    output = tmp_path / "out" / "table.jsonl"
    assert call(predict, pictures, tmp_path / "missing.png", "--output", output) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "40.jpg: not a picture of a known format" in err
    assert "missing.png: there is no such file" in err
    assert "2 pictures could not be read" in err
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["age"] for row in rows] == [30, None, 60, None]


def test_random_backbone_is_labelled(
    skill: SimpleNamespace, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill.has_skill = False
    call(predict, pictures)
    assert "run chosen has a random backbone" in capsys.readouterr().err


def test_model_of_drawings_is_labelled(
    skill: SimpleNamespace, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill.run.knows_only_drawings = True
    call(predict, pictures)
    assert "run chosen was trained on drawn demo faces" in capsys.readouterr().err


def test_named_run_is_used(
    skill: SimpleNamespace, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    run = SimpleNamespace(id="other", weights=lambda: skill, knows_only_drawings=False)
    monkeypatch.setattr(choice, "find_run", lambda run_id: asked.append(run_id) or run)
    assert call(predict, pictures, "--run", "other") == 0
    assert asked == ["other"]


@pytest.mark.parametrize("arguments", [[], ["a.png", "--output", "table.xlsx"]])
def test_misuse_of_predict_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(predict, *arguments)


@pytest.mark.usefixtures("skill")
def test_explain_writes_a_folder_per_picture(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "bad.png").write_text("text")
    assert call(explain, pictures, "--output", tmp_path / "maps") == 1
    out, err = capsys.readouterr()
    assert out.startswith("2 explained in ")
    assert "bad.png: not a picture" in err
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "30",
        "60",
        "predictions.csv",
    ]
    assert len(list((tmp_path / "maps" / "30").glob("*.png"))) == 8


def test_explain_needs_an_output() -> None:
    with pytest.raises(SystemExit, match="2"):
        call(explain, "a.png")


@pytest.mark.usefixtures("skill")
def test_export_says_what_the_model_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    monkeypatch.setattr(export, "export_model", lambda run, path: written.append((run.id, path)))
    assert call(export, tmp_path / "m.keras") == 0
    assert written == [("chosen", tmp_path / "m.keras")]
    assert "112 x 112 pixels: the central 80%" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        call(export, tmp_path / "m.h5")

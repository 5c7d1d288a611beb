"""`predict`, `explain` and `export`: output, notes and exit codes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.cli import main
from agegender.commands import answers, choice, explain, export, predict
from agegender.explanation.gradcam import Explanation
from agegender.model.preprocessing import InputSpec
from agegender.prediction import photos
from agegender.prediction.faces import Face, crop_face
from agegender.prediction.photos import PhotoAnswer
from agegender.prediction.predictor import Prediction


class Brightness:
    """Takes the brightness of a crop for the age."""

    def display_face(self, image: np.ndarray) -> np.ndarray:
        return image

    def predict(self, images: Iterable[np.ndarray]) -> list[Prediction]:
        return [
            Prediction(float(image.mean()), 0.25, image.mean() - 5, image.mean() + 8)
            for image in images
        ]

    def explain(self, image: np.ndarray) -> Explanation:
        heatmap = np.ones((7, 7), np.float32)
        return Explanation(heatmap, heatmap, heatmap, "conv")


@pytest.fixture
def skill(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A run whose predictor is `Brightness`; returns its weights, with the run in `run`."""
    weights = SimpleNamespace(has_skill=True, spec=InputSpec(112, 0.8))
    chosen = SimpleNamespace(
        id="chosen",
        is_shipped=True,
        weights=lambda: weights,
        knows_only_drawings=False,
        is_hardly_measured=False,
        selection_faces=1049,
        changed_ns=1,
    )
    monkeypatch.setattr(choice, "default_run", lambda: chosen)
    monkeypatch.setattr(answers, "load_predictor", lambda run: Brightness())
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
    assert call(predict, pictures, "--crops") == 0
    out, err = capsys.readouterr()
    notes = "(small, blurred, dark)"
    assert out.splitlines() == [
        "  age   90% sure  gender  confidence  face  file",
        f" 30.0   25 to 38  male           75%     1  {pictures.as_posix()}/30.png  {notes}",
        f" 60.0   55 to 68  male           75%     1  {pictures.as_posix()}/60.png  {notes}",
    ]
    assert "random" not in err


@pytest.mark.usefixtures("skill")
def test_a_file_whose_name_begins_with_a_dash_is_no_option(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pictures)
    (pictures / "30.png").rename("-30.png")
    # As a shell expands `predict --crops *`.
    assert main(["predict", "--crops", "-30.png", "60.png"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[7] for line in lines] == ["-30.png", "60.png"]


@pytest.mark.usefixtures("skill")
def test_every_face_of_a_photo_is_a_row(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def two_in_the_first(image: np.ndarray) -> list[Face]:
        return [crop_face(image)] * 2 if image.mean() < 50 else []

    monkeypatch.setattr(photos, "find_faces", two_in_the_first)
    assert call(predict, pictures) == 0
    out, err = capsys.readouterr()
    assert "no face was found in 1 photo;" in err
    assert "add --crops" in err
    lines = [line.split() for line in out.splitlines()[1:]]
    name = pictures.as_posix()
    assert [(line[0], line[6]) for line in lines[:2]] == [("30.0", "1"), ("30.0", "2")]
    assert lines[2] == [*"-----", f"{name}/60.png", "(no", "face", "was", "found)"]


@pytest.mark.usefixtures("skill")
def test_unread_pictures_are_named_and_the_rest_goes_on(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "40.jpg").write_text("text")
    output = tmp_path / "out" / "table.jsonl"
    arguments = [pictures, tmp_path / "missing.png", "--crops", "--output", output]
    assert call(predict, *arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "40.jpg: not a picture of a known format" in err
    assert "missing.png: there is no such file" in err
    assert "could not be read: 2; the reasons" in err
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["age"] for row in rows] == [30, None, 60, None]
    assert [path.name for path in output.parent.iterdir()] == ["table.jsonl"]


@pytest.mark.usefixtures("skill")
def test_stopping_keeps_what_is_finished_and_says_how_to_go_on(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [pictures, "--crops", "--output", tmp_path / "out.csv"]

    def stop(*_: object, **__: object) -> Iterator[PhotoAnswer]:
        yield PhotoAnswer(f"{pictures.as_posix()}/30.png")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predict, "predict_photos", stop)
        assert main(["predict", *map(str, arguments)]) == 130
    assert "out.csv.unfinished; the same command goes on" in capsys.readouterr().err
    assert call(predict, *arguments) == 0
    assert "going on after 1 photo\n" in capsys.readouterr().err
    table = pd.read_csv(tmp_path / "out.csv")
    assert [Path(file).name for file in table["file"]] == ["30.png", "60.png"]
    assert table["age"].isna().tolist() == [True, False]


@pytest.mark.usefixtures("skill")
def test_photos_by_other_names_are_not_in_the_table_twice(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call_from(folder: Path) -> int:
        monkeypatch.chdir(folder)
        path = pictures.relative_to(folder)
        return main(["predict", str(path), "--crops", "--output", str(tmp_path / "out.csv")])

    def stop(*_: object, **__: object) -> Iterator[PhotoAnswer]:
        yield PhotoAnswer("pictures/30.png")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predict, "predict_photos", stop)
        assert call_from(tmp_path) == 130
    assert call_from(tmp_path.parent) == 1
    assert "repeat that command" in capsys.readouterr().err
    assert call_from(tmp_path) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 2


def test_random_backbone_is_labelled(
    skill: SimpleNamespace, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill.has_skill = False
    call(predict, pictures, "--crops")
    assert "run chosen has a random backbone" in capsys.readouterr().err


def test_model_of_drawings_is_labelled(
    skill: SimpleNamespace, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill.run.knows_only_drawings = True
    call(predict, pictures, "--crops")
    assert "run chosen was trained on drawn demo faces" in capsys.readouterr().err


def test_a_run_that_was_hardly_measured_is_labelled(
    skill: SimpleNamespace, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skill.run.is_hardly_measured, skill.run.selection_faces = True, 14
    call(predict, pictures, "--crops")
    assert "chosen on 14 validation faces, too few to tell" in capsys.readouterr().err


def test_named_run_is_used(
    skill: SimpleNamespace, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    run = SimpleNamespace(
        id="other",
        weights=lambda: skill,
        knows_only_drawings=False,
        is_hardly_measured=False,
    )
    monkeypatch.setattr(choice, "find_run", lambda run_id: asked.append(run_id) or run)
    assert call(predict, pictures, "--crops", "--run", "other") == 0
    assert asked == ["other"]


@pytest.mark.parametrize("arguments", [[], [""], ["a.png", "--output", "table.xlsx"]])
def test_misuse_of_predict_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(predict, *arguments)


@pytest.mark.usefixtures("skill")
def test_explain_writes_a_folder_per_picture(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "bad.png").write_text("text")
    assert call(explain, pictures, "--crops", "--output", tmp_path / "maps") == 1
    out, err = capsys.readouterr()
    _, first, second, unread, last = out.splitlines()
    numbers = ["30.0", "25", "to", "38", "male", "75%", "1", f"{pictures}/30.png"]
    assert first.split()[:8] == numbers
    assert "(small, " in first
    assert second.startswith(" 60.0")
    assert unread.endswith("bad.png  (could not be read)")
    assert last.startswith("2 faces explained in ")
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

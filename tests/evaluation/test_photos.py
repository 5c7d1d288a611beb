"""Labelled photos: found, answered, summed up with persons counted once, failures named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.cli import main
from agegender.config import RACE_NAMES
from agegender.errors import DatasetError
from agegender.evaluation.intervals import wilson
from agegender.evaluation.photos import (
    answer_photos,
    photo_failures,
    photo_gap_table,
    photo_group_table,
    photo_metrics,
    photo_table,
    read_labels,
)
from agegender.evaluation.sections import photos as section
from agegender.evaluation.sections.base import Evaluation
from agegender.prediction.predictor import Prediction

LABELS = """filename,age,gender,subject
alone.png,30,female,1
twins.png,40,male,2
empty.png,50,male,2
wrong.png,20,female,3
gone.png,60,male,4
"""

ANSWERS = {
    "alone": [Prediction(31, 0.9, 25, 37)],
    "twins": [Prediction(36, 0.2, 30, 39), Prediction(5, 0.5, 0, 9)],
    "empty": [],
    "wrong": [Prediction(35, 0.1, 19, 40)],
}
"""What is found in each picture; it is told by its brightness."""

PREDICTOR: Any = SimpleNamespace()
NOBODY: Any = None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "labels.csv").write_text(LABELS)
    for number, name in enumerate(ANSWERS):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(photos / f"{name}.png")

    def predict(predictor: Any, image: np.ndarray) -> Sequence[Any]:
        assert predictor is PREDICTOR
        answers = list(ANSWERS.values())[image[0, 0, 0]]
        return [SimpleNamespace(prediction=one) for one in answers]

    monkeypatch.setattr("agegender.evaluation.photos.predict_photo", predict)
    monkeypatch.setattr("agegender.prediction.predictor.load_predictor", lambda run: PREDICTOR)
    return photos


def test_figures_are_of_the_largest_faces_that_were_found(folder: Path) -> None:
    reports: list[tuple[int, int]] = []
    photos = answer_photos(PREDICTOR, folder, on_progress=lambda *counts: reports.append(counts))
    assert reports[-1] == (5, 5)
    assert photos["faces"].tolist() == [1, 2, 0, 1, 0]
    metrics = photo_metrics(photos)
    assert (metrics["n"], metrics["subjects"], metrics["unreadable"]) == (5, 4, 1)
    assert metrics["one_face"] == pytest.approx(2 / 4)
    assert metrics["any_face"] == pytest.approx(3 / 4)
    # Two photos of one person and one each of two others are worth less than three.
    worth = 4**2 / (2**2 + 1 + 1)
    assert metrics["any_face_ci95"] == pytest.approx(wilson(worth * 3 / 4, worth))
    assert metrics["answered"] == 3
    assert metrics["mae"] == pytest.approx((1 + 4 + 15) / 3)
    assert metrics["bias"] == pytest.approx((1 - 4 + 15) / 3)
    # Three people are too few to resample.
    assert metrics["mae_ci95"] is None
    assert metrics["gender_accuracy"] == pytest.approx(2 / 3)
    assert metrics["coverage"] == pytest.approx(2 / 3)
    assert metrics["width"] == pytest.approx((12 + 9 + 21) / 3)
    female = metrics["by_gender"]["female"]
    assert (female["answered"], female["mae"], female["bias"]) == (2, 8, 8)
    assert female["gender_accuracy"] == 0.5
    assert {name: group["answered"] for name, group in metrics["by_band"].items()} == {
        "young 0-25": 1,
        "adult 26-50": 2,
    }
    assert len(metrics["by_band_and_gender"]) == 3
    groups = photo_group_table(metrics).set_index("Group")
    assert groups.loc["female", "Age bias, years"] == "+8.0 (n/a)"
    json.dumps(metrics, allow_nan=False)
    table = photo_table(metrics).set_index("Figure")
    assert table.loc["Age MAE, years", "Value"] == "6.7"
    assert table.loc["Bias (predicted minus true), years", "Value"] == "+4.0"
    assert table.loc["Gender accuracy", "Photos"] == 3


def test_failures_say_what_went_wrong(folder: Path) -> None:
    failures = photo_failures(answer_photos(PREDICTOR, folder)).set_index("Photo")
    assert failures["What went wrong"].to_dict() == {
        "twins.png": "2 faces found",
        "empty.png": "no face found",
        "wrong.png": "wrong gender; +15.0 years",
        "gone.png": "gone.png: there is no such file; check the path.",
    }
    assert failures.loc["wrong.png", "True"] == "female, 20"
    assert failures.loc["wrong.png", "Answer"] == "male, 35"


def test_runs_without_intervals_and_photos_without_faces_have_no_such_figures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ANSWERS, "alone", [Prediction(31, 0.9)])
    (folder / "labels.csv").write_text("filename,age,gender\nalone.png,30,female\n")
    metrics = photo_metrics(answer_photos(PREDICTOR, folder))
    assert metrics["coverage"] is None
    assert metrics["width"] is None
    assert metrics["mae"] == 1
    assert "90%" not in " ".join(photo_table(metrics)["Figure"])
    (folder / "labels.csv").write_text("filename,age,gender\nempty.png,30,female\n")
    metrics = photo_metrics(answer_photos(PREDICTOR, folder))
    assert metrics["mae"] is None
    assert metrics["by_band"] == {}
    assert photo_table(metrics)["Figure"].tolist() == [
        "Exactly one face found",
        "At least one face found",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("filename,age\na.png,3\n", "lacks the columns gender"),
        ("filename,age,gender\n", "lacks rows"),
        ("filename,age,gender\na.png,old,male\n", "a.png the age 'old'"),
        ("filename,age,gender\na.png,nan,male\n", "'nan'"),
        ("filename,age,gender\na.png,30,man\n", "the gender 'man'"),
        ("filename,age,gender,race\na.png,30,male,Martian\n", "a.png the race group 'Martian'"),
        ('filename,age,gender\n"a.png,30,male\n1,2,3,4', "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_labels(tmp_path)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no labels\.csv"):
        read_labels(tmp_path)
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_labels(tmp_path / "none")


def test_numbers_as_subjects_stay_text(tmp_path: Path) -> None:
    labels = "filename,age,gender,subject\na.png,30.5,Male,007\nb.png,3,male,7\n"
    (tmp_path / "labels.csv").write_text("\ufeff" + labels)
    table = read_labels(tmp_path)
    assert table["subject"].tolist() == ["007", "7"]
    assert table["age"].tolist() == [30.5, 3]
    assert table["gender"].tolist() == [0, 0]


def test_photos_without_a_subject_are_of_different_people(tmp_path: Path) -> None:
    labels = "filename,age,gender,subject\na.png,30,male,ann\nb.png,3,male,\nc.png,3,male, \n"
    (tmp_path / "labels.csv").write_text(labels)
    assert read_labels(tmp_path)["subject"].tolist() == ["ann", "b.png", "c.png"]


def test_race_groups_are_read_by_name_and_may_be_unknown(tmp_path: Path) -> None:
    labels = "filename,age,gender,race\na.png,30,male,Asian\nb.png,3,male,\nc.png,3,male, WHITE\n"
    (tmp_path / "labels.csv").write_text(labels)
    assert read_labels(tmp_path)["race"].tolist() == [RACE_NAMES.index("Asian"), -1, 0]


def answered(ages: list[float], errors: list[float], **columns: Any) -> pd.DataFrame:
    """Photos in each of which one face was found, of different people unless `subject` says."""
    age = np.array(ages, float)
    return pd.DataFrame(
        {
            "file": [f"{number}.png" for number in range(len(ages))],
            "age": age,
            "age_pred": age + errors,
            "gender": 0,
            "gender_pred": 0.0,
            "race": -1,
            "subject": [str(number) for number in range(len(ages))],
            "faces": 1,
            "error": "",
            "age_low": np.nan,
            "age_high": np.nan,
        }
        | columns
    )


def test_gaps_between_groups_are_tested_with_one_photo_of_each_person() -> None:
    small, large = [1.0, -2.0] * 20, [9.0, 12.0] * 20
    photos = answered([30] * 80, small + large, gender=[0] * 40 + [1] * 40)
    table = photo_gap_table(photo_metrics(photos)).set_index("Figure")
    # The other gender is this one's rest.
    assert table.loc["Age MAE, years", ["Group", "People", "Gap"]].tolist() == [
        "male",
        "40",
        "-9.0",
    ]
    assert table.loc["Age MAE, years", "Significant"] == "yes"
    few = photos.assign(subject=[str(number // 4) for number in range(80)])
    assert photo_gap_table(photo_metrics(few)).empty
    assert json.dumps(photo_metrics(few), allow_nan=False)


def test_people_of_unknown_race_group_are_no_ones_others() -> None:
    asian, white = RACE_NAMES.index("Asian"), RACE_NAMES.index("White")
    errors = [8.0, 7.0] * 20 + [1.0, 0.0] * 15 + [8.0, 7.0] * 20
    photos = answered([30] * 110, errors, race=[asian] * 40 + [white] * 30 + [-1] * 40)
    table = photo_gap_table(photo_metrics(photos)).set_index("Figure")
    row = table.loc["Age MAE, years"]
    # Asian is the same comparison the other way round.
    assert row[["Group", "Gap", "Significant"]].tolist() == ["White", "-7.0", "yes"]
    others = photos[photos["race"] != white]
    assert photo_gap_table(photo_metrics(others)).empty


def test_figures_by_race_group_are_of_photos_whose_group_is_known() -> None:
    many = photo_metrics(answered([30] * 10, [1, 2] * 5))
    low, high = many["mae_ci95"]
    assert 1 <= low < many["mae"] < high <= 2
    metrics = photo_metrics(answered([25.5, 30, 30], [1, 2, 6], race=[-1, 0, 2]))
    assert {name: group["mae"] for name, group in metrics["by_race"].items()} == {
        "White": 2,
        "Asian": 6,
    }
    assert list(metrics["by_race_and_gender"]) == ["White, male", "Asian, male"]
    assert metrics["by_band"]["young 0-25"]["answered"] == 1


def test_a_year_of_birth_is_no_age(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("filename,age,gender\na.png,1990,male\n")
    with pytest.raises(DatasetError, match=r"a\.png the age '1990' .* it needs 0 to 116 years"):
        read_labels(tmp_path)


def test_names_of_rows_as_r_writes_them_do_not_matter(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        '"filename","age","gender"\n"1","alone.png",30,"female"\n"2","empty.png",50,"male"\n'
    )
    photos = answer_photos(PREDICTOR, folder)
    assert photos["file"].tolist() == ["alone.png", "empty.png"]
    assert photos["faces"].tolist() == [1, 0]


def test_command_prints_tables_or_json(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agegender.commands.evaluate.choose_run", lambda run_id: None)
    monkeypatch.setattr("agegender.commands.evaluate.tell_worth", lambda run: None)
    assert main(["evaluate", "--photos", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "| Age MAE, years | 3 | 6.7 |" in printed
    assert "| wrong.png | female, 20 | male, 35 | wrong gender; +15.0 years |" in printed
    assert main(["evaluate", "--photos", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 3
    assert main(["evaluate", "--photos", str(folder / "none")]) == 1


def test_report_has_a_section_of_photos(folder: Path) -> None:
    photos = answer_photos(PREDICTOR, folder)
    metrics = {"photos": photo_metrics(photos)}
    drawn = []

    def draw(name: str, figure: Any, caption: str) -> tuple[str, str]:
        drawn.append(name)
        return name, caption

    evaluation = Evaluation(NOBODY, NOBODY, "all", None, 0, photos, metrics, photos)
    [part] = section.sections(evaluation, draw)
    assert drawn == ["photos_age_scatter", "photos_age_errors", "photos_age_residuals"]
    assert "Photos: 5, people: 4." in part.lead
    assert [len(table) for _, table in part.tables] == [7, 7, 4]
    without = Evaluation(NOBODY, NOBODY, "all", None, 0, photos, metrics)
    assert section.sections(without, draw) == []

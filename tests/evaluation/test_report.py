from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agegender.errors import StorageError
from agegender.evaluation import report
from agegender.evaluation.cards import samples, worst_ages, worst_genders
from agegender.evaluation.report import pack_report, write_report
from agegender.evaluation.tables import markdown, titled_markdown


def test_report_is_whole_and_self_contained(trained: Any, tmp_path: Path) -> None:
    run, dataset = trained
    output = tmp_path / "results"
    page = write_report(run, dataset, "train", output)
    assert page == output / "report.html"

    metrics = json.loads((output / "metrics.json").read_text())
    faces = dataset.of("train")
    # Two of them are copies.
    assert metrics["n"] == faces["sha256"].nunique() < len(faces)
    assert isinstance(metrics["age"]["mae"], float)
    assert isinstance(metrics["gender"]["accuracy"], float)

    html = page.read_text()
    assert "weights are random" in html
    assert "demo faces" in html
    assert "if the model was trained on them" in html
    assert run.weights().sha256 in html
    assert dataset.split_hash in html
    links = re.findall(r"""(?:src|href|xlink:href)=["']([^"'#]+)""", html)
    assert links
    assert all(link.startswith("data:") for link in links)
    assert "#fffffe" not in html

    names = {path.stem for path in (output / "figures").glob("*.png")}
    assert names == {path.stem for path in (output / "figures").glob("*.svg")}
    assert {
        "faces_age",
        "training_loss",
        "gender_confusion_matrix",
        "age_scatter",
        "age_error_by_band",
        "samples",
        "worst_ages",
    } <= names
    tables = {path.name for path in (output / "tables").iterdir()}
    assert {"headline.md", "headline.csv", "age_by_race.csv", "gender_by_decade.md"} <= tables
    assert len(pd.read_csv(output / "predictions.csv")) == metrics["n"]

    with zipfile.ZipFile(io.BytesIO(pack_report(output))) as packed:
        assert {"report.html", "figures/age_scatter.svg"} <= set(packed.namelist())
        assert packed.read("report.html") == page.read_bytes()

    # Another report takes its place; a stranger's file does not.
    (output / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"notes\.txt"):
        write_report(run, dataset, "validation", output)
    (output / "notes.txt").unlink()
    before = (output / "metrics.json").read_bytes()

    def fail(*args: object, **options: object) -> str:
        raise OSError(28, "full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "render_report", fail)
        patch.setattr(report, "SECTIONS", ())
        with pytest.raises(StorageError, match="disk is full"):
            write_report(run, dataset, "validation", output)
        assert (output / "metrics.json").read_bytes() == before
        patch.setattr(report, "render_report", lambda **options: "page")
        write_report(run, dataset, "validation", output)
    assert (output / "metrics.json").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir() if "results" in path.name] == ["results"]


def test_a_file_is_not_overwritten(trained: Any, tmp_path: Path) -> None:
    run, dataset = trained
    (tmp_path / "results").write_text("mine")
    with pytest.raises(StorageError, match="is a file"):
        write_report(run, dataset, "validation", tmp_path / "results")


def test_a_name_that_is_too_long_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="name is too long"):
        report.check_output(tmp_path / ("x" * 300))


def test_worst_come_first(make_predictions: Any) -> None:
    predictions = make_predictions()
    errors = (predictions["age_pred"] - predictions["age"]).abs()
    worst = worst_ages(predictions, 5)
    assert len(worst) == 5
    assert worst.index[0] == errors.idxmax()
    wrong = worst_genders(predictions, 5)
    assert (wrong["gender"] != wrong["gender_pred"]).all()
    sureness = (wrong["p_female"] - 0.5).abs()
    assert sureness.is_monotonic_decreasing
    assert len(samples(predictions, 1000)) == len(predictions)


def test_markdown_puts_counts_to_the_right() -> None:
    table = pd.DataFrame({"Group": ["a"], "Faces": [1234]})
    written = "| Group | Faces |\n| --- | ---: |\n| a | 1,234 |\n"
    assert markdown(table) == written
    assert titled_markdown([("One", table), ("Two", table)]) == (
        f"One\n\n{written}\nTwo\n\n{written}"
    )

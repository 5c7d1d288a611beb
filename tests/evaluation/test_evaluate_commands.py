"""`python -m agegender evaluate` and `generate_results.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import generate_results
from agegender.cli import main


def test_evaluate_prints_tables_or_json(trained: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate"]) == 0
    printed = capsys.readouterr()
    assert "| Age MAE, years |" in printed.out
    assert "| senior 51+ |" in printed.out
    assert "random backbone" in printed.err
    assert main(["evaluate", "--json", "--run", trained[0].id, "--limit", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 3


def test_script_says_what_it_wrote(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    seen = {}

    def write(run: Any, dataset: Any, split: str, output: Path, **options: Any) -> Path:
        seen.update(split=split, folder=dataset.folder, **options)
        return output / "report.html"

    monkeypatch.setattr("agegender.evaluation.report.write_report", write)
    output = str(tmp_path / "out")
    assert generate_results.main(["--output", output, "--limit", "5", "--seed", "7"]) == 0
    assert f"{output}/report.html" in capsys.readouterr().out
    assert (seen["split"], seen["limit"], seen["seed"]) == ("test", 5, 7)
    assert seen["folder"] == trained[1].folder


@pytest.mark.parametrize(
    "arguments", [["--limit", "0"], ["--split", "tests"], ["--seed", "-1"], ["--limit", "x"]]
)
def test_misuse_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for command in (generate_results.main, lambda args: main(["evaluate", *args])):
        with pytest.raises(SystemExit) as exit_info:
            command(arguments)
        assert exit_info.value.code == 2
    assert arguments[1] in capsys.readouterr().err


def test_failures_exit_with_1_and_one_sentence(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = tmp_path / "documents"
    stranger.mkdir()
    (stranger / "letter.txt").write_text("mine")
    for arguments, words in (
        (["--run", "nowhere"], "nowhere"),
        (["--dataset", str(tmp_path / "none")], "none"),
        (["--output", str(stranger)], "letter.txt"),
    ):
        assert generate_results.main(arguments) == 1
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("error: ")
        assert words in error
        assert "Traceback" not in error
    assert (stranger / "letter.txt").read_text() == "mine"

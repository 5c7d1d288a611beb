from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agegender.commands import choice
from agegender.commands.choice import choose_run, dataset_folder


def run_of(dataset: Path, *, is_shipped: bool = False) -> Any:
    return SimpleNamespace(is_shipped=is_shipped, config=SimpleNamespace(dataset=str(dataset)))


def test_faces_are_those_named_else_the_runs_own_else_the_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own, usual = tmp_path / "own", tmp_path / "usual"
    monkeypatch.setenv("AGEGENDER_DATASET", str(usual))
    named = tmp_path / "named"
    assert dataset_folder(run_of(own), named) == named
    assert not capsys.readouterr().err
    assert dataset_folder(run_of(own), None) == usual
    assert str(usual) in capsys.readouterr().err
    own.mkdir()
    assert dataset_folder(run_of(own), None) == own
    # The shipped run's folder was on another computer: one of that name here is not it.
    assert dataset_folder(run_of(own, is_shipped=True), None) == usual


def test_a_run_of_the_users_own_that_nobody_named_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own, shipped = run_of(tmp_path / "mine"), run_of(tmp_path, is_shipped=True)
    own.id = "20261127-001500-abcd"
    monkeypatch.setattr(choice, "default_run", lambda: own)
    monkeypatch.setattr(choice, "find_run", lambda run_id: own)
    assert choose_run(None) is own
    assert "your run 20261127-001500-abcd, trained on mine" in capsys.readouterr().err
    assert choose_run(own.id) is own
    monkeypatch.setattr(choice, "default_run", lambda: shipped)
    assert choose_run(None) is shipped
    assert not capsys.readouterr().err

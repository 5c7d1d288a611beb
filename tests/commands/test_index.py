"""`python -m agegender index`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agegender.cli import main


def test_prints_what_is_in_the_folder(
    make_faces: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_faces(30)
    first = sorted(folder.glob("*.jpg"))[0]
    (folder / "39_1_20170116174525125.jpg.chip.jpg").write_bytes(first.read_bytes())
    (folder / "20_0_0_1.jpg").write_bytes(b"")
    assert main(["index", "--dataset", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "labelled            30" in lines
    assert "malformed names     1" in lines
    assert any(
        line.strip().startswith("39_1_20170116174525125.jpg.chip.jpg: expected") for line in lines
    )
    assert "exact duplicates    0" in lines
    assert any(line.startswith("unused") and "20_0_0_1.jpg: empty" in line for line in lines)
    assert any(line.startswith("set aside") for line in lines)


def test_says_in_one_sentence_that_the_folder_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", "--dataset", str(tmp_path / "missing")]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error.split("error: ", 1)[1]


def test_output_that_nobody_reads_any_more_is_no_traceback(make_faces: Callable[..., Path]) -> None:
    command = [sys.executable, "-m", "agegender", "index", "--dataset", str(make_faces(30))]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_output_that_cannot_be_written_is_one_sentence(make_faces: Callable[..., Path]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, which Linux has")
    command = [sys.executable, "-m", "agegender", "index", "--dataset", str(make_faces(30))]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            cwd=Path(__file__).resolve().parents[2],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: the output could not be written (No space left on device).\n"


def test_a_closed_output_is_no_failure(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["index", "--dataset", str(make_faces(10))]) == 0


def test_a_percent_sign_in_the_usual_folder_does_not_break_the_help() -> None:
    # In a process of its own: help texts are made when the commands are imported.
    done = subprocess.run(
        [sys.executable, "-m", "agegender", "evaluate", "--help"],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"AGEGENDER_DATASET": "/data/100% faces"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "/data/100% faces" in " ".join(done.stdout.split())

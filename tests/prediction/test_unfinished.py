"""Tables that go on after a stop or a kill: nothing twice, nothing missing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from agegender.errors import StorageError
from agegender.prediction.photos import PhotoAnswer
from agegender.prediction.unfinished import SUFFIX, open_unfinished

SETTINGS = {"run": "a", "crops": False}

COMMAND = """
import sys, time
from types import SimpleNamespace
from agegender.cli import main
from agegender.commands import predict
from agegender.prediction.predictor import Prediction

class Slow:
    def predict(self, images):
        for image in images:
            time.sleep(float(sys.argv[1]))
            yield Prediction(float(image[100, 100, 0]), 0.25)

run = SimpleNamespace(id="slow", changed_ns=1)
predict.open_predictor = lambda run_id, paths: (run, Slow())
sys.exit(main(["predict", *sys.argv[2:]]))
"""


def finish(path: Path, names: list[str], settings: dict[str, Any] = SETTINGS) -> list[str]:
    """Go through photos as the command does; return those that were looked at."""
    looked_at = []
    with open_unfinished(path, settings) as table:
        for name in names:
            if not table.was_finished(name):
                looked_at.append(name)
                table.add(PhotoAnswer(name))
        table.write_table()
    return looked_at


def stop_after(path: Path, names: list[str]) -> Path:
    """Leave a table unfinished; return the file of what is kept."""
    with open_unfinished(path, SETTINGS) as table:
        for name in names:
            table.add(PhotoAnswer(name))
        return table.folder / "photos.jsonl"


def files(path: Path) -> list[str]:
    return list(pd.read_csv(path)["file"])


def test_killed_command_goes_on_with_no_photo_twice_or_missing(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    count = 150
    for number in range(count):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / f"{number:03}.png")
    (folder / "007.png").write_text("text")
    output = tmp_path / "out.csv"
    command = [sys.executable, "-c", COMMAND]
    arguments = [folder, "--crops", "--output", output]
    lines = tmp_path / f"out.csv{SUFFIX}" / "photos.jsonl"
    killed = subprocess.Popen([*command, "0.02", *arguments], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (lines.exists() and len(lines.read_bytes().splitlines()) > 40):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    finished = len(lines.read_bytes().splitlines()) - 1
    assert finished < count
    assert not output.exists()
    # Killed in the middle of a line.
    lines.write_bytes(lines.read_bytes() + b'{"file": "half')
    again = subprocess.run([*command, "0", *arguments], capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    assert f"going on after {finished} photos" in again.stderr
    assert again.stderr.count("007.png: not a picture") == 1
    table = pd.read_csv(output)
    names = [Path(file).name for file in table["file"]]
    assert names == [f"{number:03}.png" for number in range(count)]
    ages = [number for number in range(count) if number != 7]
    assert table["age"].dropna().tolist() == ages
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out.csv"]


def test_photos_of_one_name_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    stop_after(path, ["a", "a", "b"])
    assert finish(path, ["a", "a", "b", "a", "c"]) == ["a", "c"]
    assert files(path) == ["a", "a", "b", "a", "c"]


def test_what_was_finished_with_other_settings_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    stop_after(path, ["a"])
    with (
        pytest.raises(StorageError, match="other options"),
        open_unfinished(path, SETTINGS | {"crops": True}),
    ):
        pass
    assert finish(path, ["a", "b"]) == ["b"]
    assert files(path) == ["a", "b"]


@pytest.mark.parametrize("damage", [b"\0\0\0\n", b'{"file": "b"', b"[]\n", b"\xff\n"])
def test_everything_from_a_damaged_line_on_is_done_again(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "out.csv"
    lines = stop_after(path, ["a", "b"])
    kept = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(b"".join([*kept[:2], damage, kept[2]]))
    assert finish(path, ["a", "b", "c"]) == ["b", "c"]
    assert files(path) == ["a", "b", "c"]


def test_errors_of_an_earlier_call_are_told_again(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with open_unfinished(path, SETTINGS) as table:
        table.add(PhotoAnswer("a", error="a: no picture"))
    with open_unfinished(path, SETTINGS) as table:
        assert table.errors == ["a: no picture"]


def test_two_processes_do_not_write_one_table(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with (
        open_unfinished(path, SETTINGS),
        pytest.raises(StorageError, match="another process"),
        open_unfinished(path, SETTINGS),
    ):
        pass


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.parquet"])
def test_what_is_no_table_of_answers_is_not_replaced(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for own in (b"age,name\n3,me\n", b"[1]\n", b"{}\n", b"\xff\xfe", b"PAR1"):
        path.write_bytes(own)
        with pytest.raises(StorageError, match="is not a table of answers"):
            finish(path, ["a"])
        assert path.read_bytes() == own
        assert [entry.name for entry in tmp_path.iterdir()] == [name]
    path.unlink()
    path.touch()
    assert finish(path, ["a"]) == ["a"]
    assert finish(path, ["b"]) == ["b"], "a table of another call is replaced"
    with pytest.raises(StorageError, match="the name is too long"):
        finish(tmp_path / ("x" * 300 + path.suffix), ["a"])
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="is a folder"):
        finish(path, ["a"])


def test_a_disk_that_stays_full_is_said_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"

    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            self.write(b"")

    def fill() -> None:
        with open_unfinished(path, SETTINGS) as table:
            assert table._file is not None
            table._file.close()
            table._file = Full()  # type: ignore[assignment]
            table.add(PhotoAnswer("a"))

    for _ in range(2):  # The lock has been given back.
        with pytest.raises(StorageError, match="the disk is full"):
            fill()


def test_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_unfinished(path, SETTINGS) as table:
        table.add(PhotoAnswer("a"))
        with monkeypatch.context() as patch:
            patch.setattr(table, "_write", refuse)
            with pytest.raises(StorageError, match="the disk is full"):
                table.add(PhotoAnswer("b"))
    assert finish(path, ["a", "b"]) == ["b"]


def test_photos_without_a_face_of_an_earlier_call_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with open_unfinished(path, SETTINGS) as table:
        table.add(PhotoAnswer("a"))
        table.add(PhotoAnswer("b", error="b: damaged"))
    with open_unfinished(path, SETTINGS) as table:
        assert (table.finished, table.faceless, table.errors) == (2, 1, ["b: damaged"])

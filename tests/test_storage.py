"""Files and folders are whole or unchanged, and refusals are sentences."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import Timeout

from agegender.errors import StorageError
from agegender.storage import hash_file, replacing, write_json, write_text


def write_folder(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.mkdir()
        (part / "file").write_text(text, encoding="utf-8")


def test_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "old")
    write_folder(tmp_path / "a", "new")
    assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), *(OSError(number, "no") for number in (errno.ENOSPC, errno.EBUSY))],
)
def test_folder_comes_back_when_the_new_one_cannot_take_its_place(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "a", "old")
    rename = Path.rename

    def fail_once(path: Path, target: Path) -> Path:
        if target == tmp_path / "a" and path.name == "a":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises((KeyboardInterrupt, StorageError)):
        write_folder(tmp_path / "a", "new")
    assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a"]


WRITER = """
import os, sys
from pathlib import Path
from agegender import storage
def die(*_):
    if sys.argv[2] == "die":
        os.kill(os.getpid(), 9)
    print("ready", flush=True)
    sys.stdin.read()
if sys.argv[3] == "between":
    storage._exchange = lambda part, path, old: (path.rename(old), die())
with storage.replacing(Path(sys.argv[1])) as part:
    part.mkdir()
    (part / "file").write_text("half")
    if sys.argv[3] == "within":
        die()
"""


def start_writer(path: Path, how: str, when: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), how, when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "old")
    with start_writer(tmp_path / "a", "die", "within") as writer:
        assert writer.wait() == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    write_text(tmp_path / "b", "another target")
    assert len(os.listdir(tmp_path)) == 3
    write_folder(tmp_path / "a", "new")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "new"


def test_exchange_that_a_kill_cut_in_two_is_finished(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "old")
    with start_writer(tmp_path / "a", "die", "between") as writer:
        assert writer.wait() == -signal.SIGKILL
    assert not (tmp_path / "a").exists()
    with pytest.raises(RuntimeError), replacing(tmp_path / "a"):
        raise RuntimeError
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "half"


def test_what_a_living_writer_or_a_stranger_has_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".a-20260101").mkdir()
    (tmp_path / ".a-20260101" / "mine").touch()
    with start_writer(tmp_path / "a", "wait", "within") as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        write_folder(tmp_path / "a", "new")
        assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "new"
        writer.communicate("go on")
    assert writer.returncode == 0
    assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "half"
    assert sorted(os.listdir(tmp_path)) == [".a-20260101", "a"]


def test_any_error_of_the_block_comes_through(tmp_path: Path) -> None:
    with pytest.raises(Timeout), replacing(tmp_path / "a"):
        raise Timeout("another lock")
    assert os.listdir(tmp_path) == []


def test_many_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_text(tmp_path / "a", str(number)), range(200)))
    assert os.listdir(tmp_path) == ["a"]


def test_file_in_the_way_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine", encoding="utf-8")
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"):
        with pytest.raises(StorageError, match="a file stands where a folder is needed"):
            write_text(path, "text")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "mine"


def test_folder_in_the_way_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", "mine")
    with pytest.raises(StorageError, match="there is a folder of that name"):
        write_text(tmp_path / "a", "text")
    assert (tmp_path / "a" / "file").read_text(encoding="utf-8") == "mine"


def test_name_of_any_length_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long"):
        write_text(tmp_path / ("a" * 300), "text")


def test_number_that_json_has_no_word_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_file_may_be_written_while_one_of_the_same_stem_is(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.bin") as part:
        part.write_bytes(b"outer")
        write_json(tmp_path / "a.json", {})
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.json"]


def test_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert hash_file(tmp_path / "file") == hashlib.sha256(b"content").hexdigest()
    assert hash_file(tmp_path / "file", "md5") == hashlib.md5(b"content").hexdigest()


def test_only_what_lies_in_the_workspace_is_said_to_be_movable_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AGEGENDER_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="AGEGENDER_HOME names"):
        write_text(tmp_path / "file" / "runs" / "a.txt", "a")
    monkeypatch.setenv("AGEGENDER_HOME", str(tmp_path / "other"))
    with pytest.raises(StorageError, match=r"choose a folder that can be written\.$"):
        write_text(tmp_path / "file" / "runs" / "a.txt", "a")

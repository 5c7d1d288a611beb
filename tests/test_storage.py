"""Files and folders are whole or unchanged, and refusals are sentences."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agegender.errors import StorageError
from agegender.storage import replacing, write_json, write_text


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

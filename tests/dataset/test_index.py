"""What is in a folder, and what is kept about it."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.dataset import index as index_module
from agegender.dataset.duplicates import perceptual_hash
from agegender.dataset.index import FACE_COLUMNS, index_folder
from agegender.errors import DatasetError, StorageError
from agegender.images import read_image


def _reasons(folder: Path) -> dict[str, str]:
    _, unused = index_folder(folder)
    return dict(zip(unused["file"], unused["reason"], strict=True))


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reads: list[str] = []

    def counting(source: bytes, *, name: str) -> object:
        reads.append(name)
        return read_image(source, name=name)

    monkeypatch.setattr(index_module, "read_image", counting)
    return reads


def test_lists_every_face_with_what_is_known(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(12, size=40)
    faces, unused = index_folder(folder)
    assert tuple(faces.columns) == FACE_COLUMNS
    assert unused.empty
    assert faces["file"].tolist() == sorted(path.name for path in folder.iterdir())
    row = faces.iloc[3]
    path = folder / row["file"]
    assert [str(row[name]) for name in ("age", "gender", "race")] == path.name.split("_")[:3]
    assert (row["width"], row["height"], row["size_bytes"]) == (40, 40, path.stat().st_size)
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row["phash"] == perceptual_hash(read_image(path))


def test_lists_every_unused_file_with_a_reason(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(3)
    good = next(folder.iterdir()).read_bytes()
    (folder / "61_1_20170109142408075.jpg.chip.jpg").write_bytes(good)
    (folder / "20_0_0_1.jpg").write_bytes(b"")
    (folder / "20_0_0_2.jpg").write_bytes(good[: len(good) // 2])
    (folder / "20_0_0_3.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("about the faces")
    (folder / "LICENSE").write_text("terms")
    (folder / ".hidden").write_text("not the user's")
    (folder / "20_0_0_4.jpg").symlink_to(folder / "gone.jpg")
    reasons = _reasons(folder)
    assert len(index_folder(folder)[0]) == 3
    assert set(reasons) == {
        "61_1_20170109142408075.jpg.chip.jpg", "20_0_0_1.jpg", "20_0_0_2.jpg", "20_0_0_3.jpg",
        "20_0_0_4.jpg", "notes.txt", "LICENSE",
    }  # fmt: skip
    assert "four fields" in reasons["61_1_20170109142408075.jpg.chip.jpg"]
    assert "empty" in reasons["20_0_0_1.jpg"]
    assert "cut short" in reasons["20_0_0_2.jpg"]
    assert "not a picture" in reasons["20_0_0_3.jpg"]
    assert "broken link" in reasons["20_0_0_4.jpg"]
    assert reasons["notes.txt"] == "not an image (file type .txt)"
    assert reasons["LICENSE"] == "not an image (file type missing)"
    assert not any("object at" in reason or "\n" in reason for reason in reasons.values())


def test_refuses_a_giant_picture_without_decoding_it(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(1)
    Image.new("1", (20_000, 20_000)).save(folder / "20_0_0_1.png")
    assert "megapixels" in _reasons(folder)["20_0_0_1.png"]


def test_refuses_a_file_that_would_fill_the_memory(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(2)
    monkeypatch.setattr(index_module, "MAX_FILE_BYTES", 10)
    assert all("too large" in reason for reason in _reasons(folder).values())


def test_lists_a_name_that_is_not_utf8(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(1)
    (folder / os.fsdecode(b"20_0_0_\xff.jpg")).write_bytes(b"x")
    assert list(_reasons(folder).values()) == [
        "the name is not valid UTF-8; rename the file to use it"
    ]


def test_counts_a_nested_second_copy_once(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(4, name="archive/UTKFace").parent
    inner = folder / "copy" / "UTKFace"
    inner.mkdir(parents=True)
    for path in (folder / "UTKFace").iterdir():
        (inner / path.name).write_bytes(path.read_bytes())
    first = next(iter(sorted(inner.iterdir())))
    (inner / "33_0_0_5.jpg").write_bytes(first.read_bytes())
    faces, unused = index_folder(folder)
    assert sorted(faces["file"].str.split("/").str[0].unique()) == ["UTKFace", "copy"]
    assert len(faces) == 5  # another name is another label: not a nested copy
    assert unused["reason"].tolist() == ["a copy of the same picture higher up"] * 4
    assert unused["file"].str.startswith("copy/UTKFace/").all()


def test_keeps_same_names_with_other_pictures(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(1, name="faces/a").parent
    name = next((folder / "a").iterdir()).name
    (folder / "b").mkdir()
    Image.effect_noise((50, 50), 90).save(folder / "b" / name)
    assert index_folder(folder)[0]["file"].tolist() == [f"a/{name}", f"b/{name}"]


def test_reads_only_new_and_changed_files_again(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(6)
    first, _ = index_folder(folder)
    reads = _count_reads(monkeypatch)
    again, _ = index_folder(folder)
    assert reads == []
    pd.testing.assert_frame_equal(first, again)
    names = sorted(path.name for path in folder.iterdir())
    (folder / names[0]).unlink()
    os.utime(folder / names[1], ns=(1, 1))
    Image.effect_noise((50, 50), 90).save(folder / "20_0_0_1.jpg")
    faces, _ = index_folder(folder)
    assert sorted(reads) == sorted([names[1], "20_0_0_1.jpg"])
    assert faces["file"].tolist() == sorted([*names[1:], "20_0_0_1.jpg"])


def test_notices_new_content_of_the_same_size(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(2)
    before, _ = index_folder(folder)
    path = folder / before["file"][0]
    content = path.read_bytes() + b"1"
    path.write_bytes(content)
    index_folder(folder)
    path.write_bytes(content[:-1] + b"2")
    os.utime(path, ns=(1, 2))
    after, _ = index_folder(folder)
    assert after["sha256"][0] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_rebuilds_a_damaged_index(
    make_faces: Callable[..., Path], workspace: Path, damage: str
) -> None:
    folder = make_faces(6)
    first, _ = index_folder(folder)
    (kept,) = (workspace / "indexes").glob("index-*.parquet")
    content = bytearray(kept.read_bytes())
    if damage == "cut":
        kept.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        kept.write_text("no table")
    else:
        content[40:60] = bytes(20)
        kept.write_bytes(content)
    again, _ = index_folder(folder)
    pd.testing.assert_frame_equal(first, again)


def test_tries_a_file_again_that_could_not_be_opened(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(2)
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert set(_reasons(folder).values()) == {
        "cannot be opened (Permission denied); check its permissions"
    }
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert len(index_folder(folder)[0]) == 2


@pytest.mark.parametrize(("killed", "left"), [(False, 2), (True, 3)])
def test_keeps_what_was_read_before_an_interruption(
    killed: bool, left: int, make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(9)
    monkeypatch.setattr(index_module, "SAVE_STEP", 3)
    monkeypatch.setattr(index_module, "PROGRESS_STEP", 1)

    def interrupt(done: int, total: int) -> None:
        if done == 7:
            if killed:
                # A killed process writes nothing any more.
                patch.setattr(index_module, "write_table", lambda table, path: None)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        index_folder(folder, on_progress=interrupt)
    reads = _count_reads(monkeypatch)
    assert len(index_folder(folder)[0]) == 9
    assert len(reads) == left


def test_reports_progress_up_to_the_end(make_faces: Callable[..., Path]) -> None:
    calls: list[tuple[int, int]] = []
    index_folder(make_faces(120, size=16), on_progress=lambda *call: calls.append(call))
    assert calls == [(50, 120), (100, 120), (120, 120)]


def test_one_bad_entry_does_not_refuse_the_others(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(10)
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "lost+found").mkdir()
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if str(path).endswith("lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    reasons = _reasons(folder)
    assert set(reasons) == {"loop.jpg", "lost+found/"}
    assert reasons["lost+found/"] == "the folder cannot be listed (Permission denied)"


def test_says_that_a_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder; name the folder"):
        index_folder(tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="no such folder"):
        index_folder(tmp_path / "file")


def test_says_that_a_folder_cannot_be_listed(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    folder = make_faces(1)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"cannot be listed \(Permission denied\)"):
        index_folder(folder)


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only")])
def test_says_that_the_index_cannot_be_written(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    folder = make_faces(2)
    first, _ = index_folder(folder)
    Image.effect_noise((50, 50), 90).save(folder / "20_0_0_1.jpg")

    def refuse(source: object, target: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", refuse)
        with pytest.raises(StorageError, match=words):
            index_folder(folder)
    (folder / "20_0_0_1.jpg").unlink()
    reads = _count_reads(monkeypatch)
    pd.testing.assert_frame_equal(index_folder(folder)[0], first)
    assert reads == []


def test_same_table_in_any_order_of_the_folder(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(20)
    first, _ = index_folder(folder)
    rng = np.random.default_rng(0)
    scandir = os.scandir

    class Shuffled:
        def __init__(self, path: Path) -> None:
            self.entries = list(scandir(path))
            rng.shuffle(self.entries)  # type: ignore[arg-type]

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *error: object) -> None:
            return None

    monkeypatch.setattr(os, "scandir", Shuffled)
    pd.testing.assert_frame_equal(index_folder(folder)[0], first)

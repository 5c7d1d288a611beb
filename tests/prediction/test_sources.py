"""Pictures from files, folders, ZIPs and uploads; nothing stops the rest."""

from __future__ import annotations

import io
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agegender.errors import InvalidImageError
from agegender.prediction import sources as sources_module
from agegender.prediction.sources import Picture, iter_pictures


def png(value: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def make_zip(members: dict[str, bytes], **options: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def summary(pictures: list[Picture]) -> dict[str, int | str]:
    """The red of each picture, or its error, by name."""
    return {
        name: str(content) if isinstance(content, InvalidImageError) else int(content[0, 0, 0])
        for name, content in pictures
    }


def read(*chosen: Path | tuple[str, bytes]) -> dict[str, int | str]:
    return summary(list(iter_pictures(chosen)))


def test_files_and_uploads_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(png(1))
    (tmp_path / "a").write_bytes(png(2))
    found = read(tmp_path / "b.png", ("upload.jpg", png(3)), tmp_path / "a")
    assert list(found.values()) == [1, 3, 2]
    assert list(found)[1] == "upload.jpg"


def test_folder_is_searched_in_sorted_order(tmp_path: Path) -> None:
    for number, name in enumerate(["z.png", "a.PNG", "sub/deep/c.jpg", "sub/b.webp"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    for name in (".DS_Store", ".hidden.png", "._a.zip", "notes.txt", ".git/x.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(99))
    found = read(tmp_path)
    names = [name.removeprefix(tmp_path.as_posix()) for name in found]
    assert names == ["/a.PNG", "/z.png", "/sub/b.webp", "/sub/deep/c.jpg"]
    assert list(found.values()) == [1, 0, 3, 2]


def test_bad_pictures_do_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    (tmp_path / "b.jpg").write_bytes(b"")
    (tmp_path / "c.png").write_bytes(png()[:40])
    (tmp_path / "d.png").write_bytes(png(5))
    found = read(tmp_path / "missing.png", tmp_path)
    *errors, last = found.values()
    assert [isinstance(error, str) for error in errors] == [True] * 4
    assert last == 5
    for name, error in list(found.items())[:-1]:
        assert str(error).startswith(f"{name}: ")


def test_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    [error] = read(tmp_path).values()
    assert "no picture in this folder" in str(error)


def test_zip_is_read_in_place(tmp_path: Path) -> None:
    members = {
        "b.png": png(2),
        "a/": b"",
        "a/a.png": png(1),
        "__MACOSX/a/._a.png": b"junk",
        ".DS_Store": b"junk",
        "a/.DS_Store": b"junk",
        "readme.txt": b"text",
        "bad.jpg": b"text",
    }
    path = tmp_path / "faces.zip"
    path.write_bytes(make_zip(members))
    name = path.as_posix()
    found = read(path)
    assert list(found) == [f"{name}/a/a.png", f"{name}/b.png", f"{name}/bad.jpg"]
    assert list(found.values())[:2] == [1, 2]
    assert list(read(("up.zip", path.read_bytes())).values())[:2] == [1, 2]
    # An archive in a folder is opened, and one by another name too.
    (tmp_path / "faces.dat").write_bytes(path.read_bytes())
    assert list(read(tmp_path).values())[:2] == [1, 2]
    assert list(read(tmp_path / "faces.dat").values())[:2] == [1, 2]


def test_zip_within_a_zip_is_refused() -> None:
    found = read(("up.zip", make_zip({"in.zip": make_zip({"a.png": png()}), "z.png": png(4)})))
    assert "a ZIP within a ZIP is not opened" in str(found["up.zip/in.zip"])
    assert found["up.zip/z.png"] == 4
    renamed = read(("up.zip", make_zip({"in.png": make_zip({"a.png": png()})})))
    assert "not a picture" in str(renamed["up.zip/in.png"])


def test_paths_in_a_zip_are_only_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    names = ["../up.png", "/absolute.png", "..\\back.png", "C:\\x.png"]
    found = read(("up.zip", make_zip(dict.fromkeys(names, png(7)))))
    assert list(found.values()) == [7] * 4
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside"]


def test_bomb_in_a_zip_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "MAX_MEMBER_BYTES", 1_000_000)
    bomb = make_zip({"a.png": bytes(2_000_000), "b.png": png(6)}, compression=zipfile.ZIP_DEFLATED)
    unpacked = []
    read_member = zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile,
        "read",
        lambda self, member: unpacked.append(member.filename) or read_member(self, member),
    )
    found = read(("up.zip", bomb))
    assert "unpacks to 2 MB, which no picture needs" in str(found["up.zip/a.png"])
    assert found["up.zip/b.png"] == 6
    assert unpacked == ["b.png"]


def test_member_that_lies_about_its_size_is_not_unpacked_further() -> None:
    """The directory says 10 bytes; a million are packed."""
    data = bytearray(make_zip({"a.png": bytes(1_000_000)}, compression=zipfile.ZIP_DEFLATED))
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 10)
    [error] = read(("up.zip", bytes(data))).values()
    assert "up.zip/a.png" in str(error)


@pytest.mark.parametrize(("limit", "value"), [("MAX_ARCHIVE_BYTES", 10), ("MAX_ARCHIVE_FILES", 1)])
def test_endless_zip_is_refused(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, limit, value)
    found = read(("up.zip", make_zip({"a.png": png(), "b.png": png()})), ("c.png", png(8)))
    assert "split it into parts" in str(found["up.zip"])
    assert found["c.png"] == 8


@pytest.mark.parametrize("members", [{}, {"notes.txt": b"x"}])
def test_zip_without_pictures_is_an_error(members: dict[str, bytes]) -> None:
    [error] = read(("up.zip", make_zip(members))).values()
    assert "no picture in this ZIP" in str(error)


def test_damaged_zip_is_an_error() -> None:
    data = make_zip({"a.png": png(1), "b.png": png(2)})
    [cut] = read(("up.zip", data[: len(data) // 2])).values()
    assert "the ZIP is damaged" in str(cut)
    (nothing,) = read(("up.zip", b"an error page")).values()
    assert "the ZIP is damaged" in str(nothing)
    # One damaged picture in a whole archive leaves the other.
    broken = bytearray(data)
    start = broken.index(b"IHDR")
    broken[start : start + 4] = b"XXXX"
    found = read(("up.zip", bytes(broken)))
    assert "cannot be unpacked" in str(found["up.zip/a.png"])
    assert found["up.zip/b.png"] == 2


def test_zip_with_an_entry_without_a_name_is_an_error() -> None:
    data = bytearray(make_zip({"a": png()}))
    central = data.index(b"PK\x01\x02")
    # The letter of its name counts as one of its notes.
    data[central + 28], data[central + 30] = 0, 1
    [error] = read(("up.zip", bytes(data))).values()
    assert "the ZIP is damaged" in str(error)


def test_locked_zip_is_an_error() -> None:
    data = bytearray(make_zip({"a.png": png()}))
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    data[6] |= 1
    [error] = read(("up.zip", bytes(data))).values()
    assert "password" in str(error)


def test_odd_names_become_printable(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    spaced = "1.00.00\u202fPM \u3000\u200d.png"
    for name in (b"caf\xe9.png", "日本.png".encode(), b"new\nline.png", spaced.encode()):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(png(9))
    found = read(tmp_path)
    assert list(found.values()) == [9] * 4
    for name in found:
        assert len(name.splitlines()) == 1
        assert name.encode("utf-8")
    # Whatever a table can hold stays, so that the file is found again.
    assert sum(Path(name).exists() for name in found) == 2


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(png(9))
    (tmp_path / "album" / "friends").symlink_to(tmp_path / "real")
    (tmp_path / "album" / "again").symlink_to(tmp_path / "real")
    (tmp_path / "album" / "round").symlink_to(tmp_path / "album")
    assert list(read(tmp_path / "album").values()) == [9]


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    [error] = read(tmp_path / "pipe.png").values()
    assert "not a file" in str(error)


def test_folder_that_changes_while_it_is_read(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png(1))
    pictures = iter_pictures([tmp_path])
    first = next(pictures)
    (tmp_path / "b.png").unlink()
    found = summary([first, *pictures])
    assert [isinstance(value, str) for value in found.values()] == [False, True, False]


def test_folder_that_vanishes_while_its_parent_is_read_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "face.png").write_bytes(png(1))
    pictures = iter_pictures([tmp_path])
    first = next(pictures)
    shutil.rmtree(tmp_path / "b")
    found = summary([first, *pictures])
    folder = tmp_path.as_posix()
    assert list(found) == [f"{folder}/a/face.png", f"{folder}/c/face.png", f"{folder}/b"]
    assert "the folder was removed while it was read" in str(found[f"{folder}/b"])


def test_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal is injected."""
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = read(tmp_path)
    assert "cannot be read (Permission denied)" in str(found[f"{tmp_path.as_posix()}/locked"])
    assert found[f"{tmp_path.as_posix()}/a.png"] == 1


def test_pictures_come_one_at_a_time() -> None:
    taken = []

    def uploads() -> object:
        for number in range(3):
            taken.append(number)
            yield (f"{number}.png", png(number))

    pictures = iter_pictures(uploads())
    next(pictures)
    assert taken == [0]
    assert np.array_equal(next(pictures).content[0, 0], [1, 0, 0])


def test_pictures_that_are_skipped_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("text")
    (tmp_path / "good.png").write_bytes(png(3))
    archive = make_zip({"in/bad.png": b"text", "in/good.png": png(4)})
    asked = []

    def skip(name: str) -> bool:
        asked.append(name)
        return name.endswith("bad.png")

    found = summary(list(iter_pictures([tmp_path, ("up.zip", archive)], skip=skip)))
    assert list(found.values()) == [3, 4]
    assert len(asked) == len(set(asked)) == 4


def test_name_that_no_file_can_have_is_an_error() -> None:
    [error] = read(Path("a" * 300 + ".png")).values()
    assert isinstance(error, str)


def test_file_that_vanishes_while_the_folder_is_read_is_an_error(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png(1))
    pictures = iter_pictures([tmp_path])
    next(pictures)
    (tmp_path / "b.png").unlink()
    (tmp_path / "c.png").write_bytes(b"half")
    vanished, changed = summary(list(pictures)).values()
    assert "there is no such file" in str(vanished)
    assert "not a picture" in str(changed)

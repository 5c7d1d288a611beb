"""Unpacking good, damaged and malicious archives."""

from __future__ import annotations

import errno
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agegender.dataset import archives
from agegender.dataset.archives import extract_faces, is_empty_folder
from agegender.dataset.download import fetch_dataset
from agegender.errors import DatasetError, StorageError

FACE = "26_1_2_20170116184025123.jpg.chip.jpg"
OTHER = "1_0_0_20170110224238891.jpg.chip.jpg"


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for member, content in members:
            package.writestr(member, content)
    return path


MAKERS = pytest.mark.parametrize("make", [make_tar, make_zip])
Maker = Callable[[Path, list[tuple[Any, bytes]]], Path]


def assert_refused(archive: Path, dest: Path, match: str) -> None:
    """Assert that nothing at all is left of an archive that is refused."""
    before = sorted(dest.parent.rglob("*"))
    with pytest.raises(DatasetError, match=match):
        extract_faces(archive, dest)
    assert sorted(dest.parent.rglob("*")) == before


@MAKERS
def test_pictures_come_out_flat_and_others_stay(make: Maker, tmp_path: Path) -> None:
    archive = make(
        tmp_path / "faces",
        [
            (f"UTKFace/{FACE}", b"face"),
            ("UTKFace/39_1_20170116174525125.jpg.chip.jpg", b"malformed name"),
            ("UTKFace/._" + FACE, b"left by a Mac"),
            ("UTKFace/readme.txt", b"text"),
        ],
    )
    calls: list[tuple[int, int]] = []
    dest = tmp_path / "new" / "UTKFace"
    assert extract_faces(archive, dest, on_progress=lambda *call: calls.append(call)) == dest
    found = {path.name: path.read_bytes() for path in dest.iterdir()}
    assert found == {FACE: b"face", "39_1_20170116174525125.jpg.chip.jpg": b"malformed name"}
    assert calls == [(1, 2), (2, 2)]
    assert [path.name for path in dest.parent.iterdir()] == ["UTKFace"]


def test_plain_tar_is_taken(tmp_path: Path) -> None:
    # Some browsers unpack the .gz on their own.
    with tarfile.open(tmp_path / "UTKFace.tar", "w") as tar:
        info = tarfile.TarInfo(FACE)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"face"))
    extract_faces(tmp_path / "UTKFace.tar", tmp_path / "UTKFace")
    assert (tmp_path / "UTKFace" / FACE).read_bytes() == b"face"


def test_nested_copies_are_counted_once(tmp_path: Path) -> None:
    archive = make_zip(
        tmp_path / "kaggle.zip",
        [
            (f"crop_part1/{OTHER}", b"subset"),
            ("crop_part1/9_1_1_20161220222856346.jpg.chip.jpg", b"only in the subset"),
            (f"UTKFace/{FACE}", b"face"),
            (f"UTKFace/{OTHER}", b"other"),
            (f"utkface_aligned_cropped/UTKFace/{FACE}", b"face"),
            (f"utkface_aligned_cropped/UTKFace/{OTHER}", b"other"),
            (f"utkface_aligned_cropped/crop_part1/{OTHER}", b"subset"),
        ],
    )
    extract_faces(archive, tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {FACE: b"face", OTHER: b"other"}


@MAKERS
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/cron.d/26_1_2_2017.jpg", "absolute path"),
        ("C:\\faces\\26_1_2_2017.jpg", "absolute path"),
        ("UTKFace/../../26_1_2_2017.jpg", "leads out"),
        ("..\\26_1_2_2017.jpg", "leads out"),
        ("UTKFace/" + "9" * 252 + ".jpg", "none that a file can have"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(
    make: Maker, tmp_path: Path, name: str, reason: str
) -> None:
    archive = make(tmp_path / "evil", [(f"UTKFace/{FACE}", b"face"), (name, b"evil")])
    assert_refused(archive, tmp_path / "out", reason)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.CHRTYPE, "not a plain file"),
        (tarfile.BLKTYPE, "not a plain file"),
        (tarfile.FIFOTYPE, "not a plain file"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, reason: str) -> None:
    info = tarfile.TarInfo(f"UTKFace/{OTHER}")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "evil.tar.gz", [(f"UTKFace/{FACE}", b"face"), (info, b"")])
    assert_refused(archive, tmp_path / "out", reason)


@pytest.mark.parametrize(
    ("kind", "reason"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "not a plain file")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int, reason: str) -> None:
    info = zipfile.ZipInfo(f"UTKFace/{OTHER}")
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    archive = make_zip(tmp_path / "evil.zip", [(f"UTKFace/{FACE}", b"face"), (info, b"/etc")])
    assert_refused(archive, tmp_path / "out", reason)


@MAKERS
def test_bombs_are_refused_before_they_are_unpacked(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make(tmp_path / "bomb", [(f"{n}_1_2_2017.jpg", bytes(1000)) for n in range(9)])
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 8999)
    assert_refused(archive, tmp_path / "out", "unpacks to more than")
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 9000)
    monkeypatch.setattr(archives, "MAX_FILES", 8)
    assert_refused(archive, tmp_path / "out", "more than 8 entries")
    monkeypatch.setattr(archives, "MAX_FILES", 9)
    extract_faces(archive, tmp_path / "out")


def test_bomb_in_a_tar_header_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo(f"UTKFace/{FACE}")
    info.pax_headers = {"comment": "x" * (archives.MAX_READ_BYTES + 1)}
    assert_refused(
        make_tar(tmp_path / "bomb.tar.gz", [(info, b"face")]), tmp_path / "out", "headers"
    )


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "locked.zip", [(FACE, b"face")])
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert_refused(archive, tmp_path / "out", "encrypted")


def test_zip_with_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "odd.zip", [(FACE, b"face")])
    content = bytearray(archive.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 9] |= 0x08  # says that it is UTF-8
    content[central + 46] = 0xFF
    archive.write_bytes(content)
    assert_refused(archive, tmp_path / "out", "damaged or cut short")


def test_unusual_compression_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_LZMA) as package:
        package.writestr(FACE, b"face")
    assert_refused(tmp_path / "odd.zip", tmp_path / "out", "unusual way")


@MAKERS
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_archive_cut_short_is_told(make: Maker, tmp_path: Path, share: float) -> None:
    noise = [(f"{n}_1_2_2017.jpg", bytes(n * k % 251 for k in range(5000))) for n in range(1, 20)]
    archive = make(tmp_path / "faces", noise)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    assert_refused(archive, tmp_path / "out", "damaged or cut short")


@MAKERS
def test_damaged_content_is_told(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path / "faces", [(f"{n}_1_2_2017.jpg", bytes(5000)) for n in range(9)])
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF
    archive.write_bytes(content)
    assert_refused(archive, tmp_path / "out", "damaged or cut short|compressed in an unusual way")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>", "web page"),
        (b"hello", "neither"),
        (b"", "neither"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "UTKFace.tar.gz").write_bytes(content)
    assert_refused(tmp_path / "UTKFace.tar.gz", tmp_path / "out", reason)


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nothing.zip", tmp_path / "out", "is not there")
    assert_refused(tmp_path, tmp_path / "out", "is a folder")


def test_archive_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "faces.zip"
    archive.touch()

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DatasetError, match=r"cannot be opened \(Permission denied\)"):
        extract_faces(archive, tmp_path / "faces")
    with pytest.raises(DatasetError, match=r"cannot be opened \(Permission denied\)"):
        fetch_dataset(tmp_path / "faces", archive=archive)


@MAKERS
def test_archive_without_pictures_is_told(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path / "text", [("readme.txt", b"text")])
    assert_refused(archive, tmp_path / "out", "holds no pictures")


@MAKERS
def test_archive_of_other_pictures_is_told(make: Maker, tmp_path: Path) -> None:
    archive = make(tmp_path / "album", [("holiday.jpg", b"beach"), ("39_1_2017.jpg", b"face")])
    assert_refused(archive, tmp_path / "out", "holds no labelled face")


def test_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "faces.zip", [(FACE, b"face")])
    dest = tmp_path / "out"
    dest.mkdir()
    extract_faces(archive, dest)
    (dest / "mine.txt").write_text("mine")
    assert_refused(archive, dest, "is there already")
    assert (dest / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_full_disk_leaves_no_half_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    archive = make_zip(tmp_path / "faces.zip", [(FACE, b"face"), (OTHER, b"other")])
    copied = []

    def refuse(source: Any, target: Any) -> None:
        if copied:
            raise OSError(number, "refused")
        copied.append(target.name)

    monkeypatch.setattr(archives.shutil, "copyfileobj", refuse)
    with pytest.raises(StorageError, match="could not be written"):
        extract_faces(archive, tmp_path / "out")
    assert copied
    assert [path.name for path in tmp_path.iterdir()] == ["faces.zip"]


def test_a_link_to_an_empty_folder_stays_and_what_it_leads_to_is_filled(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "faces.zip", [(FACE, b"face")])
    big_disk, link = tmp_path / "big" / "disk", tmp_path / "UTKFace"
    big_disk.mkdir(parents=True)
    link.symlink_to(big_disk)
    extract_faces(archive, link)
    assert link.is_symlink()
    assert [path.name for path in big_disk.iterdir()] == [FACE]


def test_folder_that_may_not_be_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DatasetError, match=r"cannot be looked into \(Permission denied\)"):
        is_empty_folder(tmp_path)


def test_interrupt_leaves_no_half_folder(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "faces.zip", [(FACE, b"face"), (OTHER, b"other")])

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_faces(archive, tmp_path / "out", on_progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["faces.zip"]


def test_faces_that_came_in_the_meantime_are_not_replaced(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "faces.zip", [(FACE, b"face")])
    dest = tmp_path / "out"

    def another_window(done: int, total: int) -> None:
        dest.mkdir()
        (dest / "theirs.jpg").write_bytes(b"theirs")

    with pytest.raises(DatasetError, match="is there already"):
        extract_faces(archive, dest, on_progress=another_window)
    assert (dest / "theirs.jpg").read_bytes() == b"theirs"

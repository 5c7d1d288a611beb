"""Getting the dataset: sources in order, archives by hand, folders left alone."""

from __future__ import annotations

import errno
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from agegender.config import default_dataset_dir, workspace_dir
from agegender.dataset import download as download_module
from agegender.dataset.archives import extract_faces
from agegender.dataset.download import (
    MANUAL_WAY,
    SOURCES,
    fetch_dataset,
    free_folder,
    has_faces,
    utkface_folder,
)
from agegender.dataset.synthetic import draw_demo_faces
from agegender.dataset.transfer import Source, UnreachableError
from agegender.errors import DatasetError, DownloadError, StorageError

FACE = "26_1_2_20170116184025123.jpg.chip.jpg"


def tar_bytes(name: str = FACE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(f"UTKFace/{name}")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"face"))
    return buffer.getvalue()


def source(name: str, host: str, *, sha256: str | None = None) -> Source:
    return Source(name, f"https://{host}/UTKFace.tar.gz", None, sha256, "for tests")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes | Exception]:
    """What each of three sources sends, by its name."""
    table: dict[str, bytes | Exception] = {}

    def download(wanted: Source, path: Path, *, on_progress: object = None) -> Path:
        answer = table[wanted.name]
        if isinstance(answer, Exception):
            raise answer
        path.write_bytes(answer)
        return path

    monkeypatch.setattr(download_module, "download", download)
    monkeypatch.setattr(
        download_module,
        "SOURCES",
        [source("first", "a.invalid"), source("second", "a.invalid"), source("third", "b.invalid")],
    )
    return table


def downloads() -> list[str]:
    return sorted(path.name for path in (workspace_dir() / "downloads").iterdir())


def test_sources_are_complete_and_the_dead_ones_are_not_among_them() -> None:
    for known in SOURCES:
        assert known.url.startswith("https://")
        assert known.note
        assert "google" not in known.host
    assert SOURCES[0].size_bytes == 106_634_631
    assert SOURCES[0].sha256 is not None
    assert len(SOURCES[0].sha256) == 64
    assert "third party" in SOURCES[0].note


def test_first_source_that_works_is_used(
    answers: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    answers["first"] = tar_bytes()
    said: list[str] = []
    dest = fetch_dataset(tmp_path / "UTKFace", on_message=said.append)
    assert [path.name for path in dest.iterdir()] == [FACE]
    assert said == ["Downloading from first (a.invalid).", "Unpacking."]
    assert downloads() == [".lock"]


def test_sources_are_tried_in_order(answers: dict[str, bytes | Exception], tmp_path: Path) -> None:
    answers["first"] = DownloadError("a.invalid answered 404 Not Found")
    answers["second"] = b"PK is the start of a damaged zip"
    answers["third"] = tar_bytes()
    said: list[str] = []
    fetch_dataset(tmp_path / "UTKFace", on_message=said.append)
    assert said[1] == "first failed: a.invalid answered 404 Not Found."
    assert said[4].startswith("second failed: ")
    assert "damaged" in said[4]
    assert said[5] == "Downloading from third (b.invalid)."
    assert downloads() == [".lock"]


@pytest.mark.parametrize("moment", ["Downloading from first (a.invalid).", "Unpacking."])
def test_faces_that_came_meanwhile_are_taken_and_nothing_is_downloaded_again(
    answers: dict[str, bytes | Exception], tmp_path: Path, moment: str
) -> None:
    answers["first"] = tar_bytes()
    archive = tmp_path / "UTKFace.tar.gz"
    archive.write_bytes(tar_bytes())
    dest = tmp_path / "UTKFace"

    def other_window(sentence: str) -> None:
        if sentence == moment:
            extract_faces(archive, dest)

    # "second" has no answer in the table: asking it would raise KeyError.
    fetch_dataset(dest, on_message=other_window)
    assert [path.name for path in dest.iterdir()] == [FACE]
    assert downloads() == [".lock"]


def test_a_good_download_is_kept_when_other_things_came_to_its_place(
    answers: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    answers["first"] = tar_bytes()
    dest = tmp_path / "UTKFace"

    def other_window(sentence: str) -> None:
        if sentence == "Unpacking.":
            dest.mkdir()
            (dest / "notes.txt").write_text("mine")

    with pytest.raises(DatasetError, match="holds no labelled face"):
        fetch_dataset(dest, on_message=other_window)
    assert len(downloads()) == 2


def test_hosts_without_connection_are_asked_once(
    answers: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    # "second" has no answer in the table: asking it would raise KeyError.
    answers["first"] = UnreachableError("no connection to a.invalid")
    answers["third"] = tar_bytes()
    fetch_dataset(tmp_path / "UTKFace")
    assert has_faces(tmp_path / "UTKFace")
    assert not has_faces(tmp_path / ("x" * 300))


def test_manual_way_is_told_when_all_fail(
    answers: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    answers.update(dict.fromkeys(("first", "second", "third"), DownloadError("it is gone")))
    with pytest.raises(DownloadError) as failure:
        fetch_dataset(tmp_path / "UTKFace")
    assert "first: it is gone; second: it is gone; third: it is gone" in str(failure.value)
    assert str(failure.value).endswith(MANUAL_WAY)
    assert "susanqq.github.io/UTKFace" in MANUAL_WAY
    assert "--archive FILE" in MANUAL_WAY
    assert not (tmp_path / "UTKFace").exists()


def test_full_disk_while_unpacking_keeps_the_download(
    answers: dict[str, bytes | Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers["first"] = tar_bytes()

    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("agegender.dataset.archives.shutil.copyfileobj", refuse)
    with pytest.raises(StorageError, match="disk is full"):
        fetch_dataset(tmp_path / "UTKFace")
    assert any(name.endswith(".archive") for name in downloads())
    assert not (tmp_path / "UTKFace").exists()


def test_second_download_at_once_is_refused(
    answers: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    folder = workspace_dir() / "downloads"
    folder.mkdir(parents=True)
    with (
        filelock.FileLock(folder / ".lock"),
        pytest.raises(DownloadError, match="Another download"),
    ):
        fetch_dataset(tmp_path / "UTKFace")


def test_equal_files_share_their_part() -> None:
    names = [download_module._file_name(known) for known in SOURCES]
    assert names[0] == names[1]
    assert names[2] != names[0]


def test_dataset_that_is_there_is_left_as_it_is(
    answers: dict[str, bytes | Exception], tmp_path: Path
) -> None:
    dest = tmp_path / "UTKFace"
    (dest / "part1").mkdir(parents=True)
    (dest / "part1" / FACE).write_bytes(b"mine")
    assert fetch_dataset(dest) == dest
    assert (dest / "part1" / FACE).read_bytes() == b"mine"


def make_file(dest: Path) -> None:
    dest.write_bytes(b"mine")


def make_other_folder(dest: Path) -> None:
    dest.mkdir()
    (dest / "holiday_1.jpg").write_bytes(b"mine")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_file, "is a file"),
        (make_other_folder, "holds no labelled face"),
        (lambda dest: draw_demo_faces(dest, count=10), "drawn demo faces"),
    ],
)
def test_other_things_in_the_way_are_left_alone(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / "UTKFace")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match=reason):
        fetch_dataset(tmp_path / "UTKFace")
    assert sorted(tmp_path.rglob("*")) == before


def test_unknown_archive_is_used_with_a_warning(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "subset.zip", "w") as package:
        package.writestr(f"mine/{FACE}", b"face")
    said: list[str] = []
    fetch_dataset(tmp_path / "UTKFace", archive=tmp_path / "subset.zip", on_message=said.append)
    digest = hashlib.sha256((tmp_path / "subset.zip").read_bytes()).hexdigest()
    assert said[0].startswith("Warning: subset.zip is not an archive that is known here")
    assert digest in said[0]
    assert (tmp_path / "UTKFace" / FACE).read_bytes() == b"face"
    assert (tmp_path / "subset.zip").exists()


def test_known_archive_is_used_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "UTKFace.tar.gz").write_bytes(tar_bytes())
    digest = hashlib.sha256((tmp_path / "UTKFace.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setattr(download_module, "SOURCES", [source("known", "a.invalid", sha256=digest)])
    said: list[str] = []
    fetch_dataset(tmp_path / "UTKFace", archive=tmp_path / "UTKFace.tar.gz", on_message=said.append)
    assert said == ["Unpacking UTKFace.tar.gz."]


def test_missing_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a file"):
        fetch_dataset(tmp_path / "UTKFace", archive=tmp_path / "nothing.tar.gz")


def put_face(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACE).write_bytes(b"face")


def test_utkface_is_kept_in_one_folder(workspace: Path) -> None:
    usual = default_dataset_dir()
    assert utkface_folder() == usual
    put_face(usual)
    assert utkface_folder() == usual
    (usual / FACE).rename(usual / "notes.txt")
    kept = workspace / "datasets" / "UTKFace"
    assert utkface_folder() == kept
    put_face(kept)
    assert utkface_folder() == kept


@pytest.mark.usefixtures("workspace")
def test_an_archive_gets_a_folder_that_is_free() -> None:
    usual, datasets = default_dataset_dir(), workspace_dir() / "datasets"
    archive = Path("utkface.tar.gz")
    assert free_folder(archive) == usual
    put_face(usual)
    assert free_folder(archive) == datasets / "utkface"
    put_face(datasets / "utkface")
    assert free_folder(archive) == datasets / "utkface-2"
    assert free_folder(Path("family.zip")) == datasets / "family"
    assert free_folder(Path(".zip")) == datasets / "faces"

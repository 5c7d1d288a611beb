from __future__ import annotations

import errno
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from agegender.config import default_dataset_dir, demo_dataset_dir
from agegender.errors import DownloadError
from tests.pages.conftest import DEMO_COUNT, text_of

OpenPage = Callable[[str], AppTest]


def test_dataset_page_offers_ways_to_get_faces(open_page: OpenPage) -> None:
    at = open_page("dataset")
    assert "Get faces" in text_of(at)
    assert [button.label for button in at.button] == ["Draw demo faces"]


def test_drawing_demo_faces_shows_them_marked_as_such(open_page: OpenPage) -> None:
    at = open_page("dataset")
    at.button[0].click().run()
    assert not at.exception
    assert "drawings, not people" in text_of(at)
    assert demo_dataset_dir().is_dir()
    values = {metric.label: metric.value for metric in at.metric}
    assert values["Faces"] == "403"
    assert values["Unused files"] == "3"


def test_dataset_page_shows_figures_conflicts_split_and_unused_files(
    open_page: OpenPage, demo_faces: Path
) -> None:
    at = open_page("dataset")
    values = {metric.label: metric.value for metric in at.metric}
    assert values["Faces"] == str(DEMO_COUNT + 3)
    assert values["Label conflicts"] == "1"
    assert values["Exact copies"] == "3"
    assert "**3** files are not used" in text_of(at)
    labels = [tab.label for tab in at.tabs]
    assert labels[:5] == ["Overview", "Samples", "Duplicates", "Label quality", "Split"]
    tables = [frame.value for frame in at.dataframe]
    assert list(tables[0]["Faces in"])[:4] == ["All", "Train", "Validation", "Test"]
    assert list(tables[1].columns) == ["File", "Reason"]


def test_filters_narrow_the_samples(open_page: OpenPage, demo_faces: Path) -> None:
    at = open_page("dataset")
    at.slider[0].set_range(0, 20).run()
    assert not at.exception
    [young] = [text.value for text in at.markdown if "faces match" in text.value]
    assert young != f"**{DEMO_COUNT + 3}** faces match."
    at.slider[0].set_range(116, 116).run()
    assert "No face matches" in text_of(at)


def choose_way(at: AppTest, way: str) -> None:
    at.button_group[0].set_value(way).run()
    assert not at.exception


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere", "there is no such folder"), ("empty", "empty"), ("others", "no face")],
)
def test_a_wrong_folder_is_refused_in_one_sentence(
    open_page: OpenPage, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "holiday.jpg").write_bytes(b"not a picture")
    at = open_page("dataset")
    choose_way(at, "path")
    at.text_input[0].set_value(str(tmp_path / name))
    at.button[0].click().run()
    assert not at.exception
    assert len(at.error) == 1
    assert said in at.error[0].value
    assert "Get faces" in text_of(at)


@pytest.mark.parametrize("path", ["~nobody-of-that-name", "/" + 300 * "x", "/a\0b"])
def test_a_path_that_cannot_be_one_is_refused_in_one_sentence(
    open_page: OpenPage, path: str
) -> None:
    at = open_page("dataset")
    choose_way(at, "path")
    at.text_input[0].set_value(path)
    at.button[0].click().run()
    assert not at.exception
    [error] = at.error
    assert "cannot be opened" in error.value


def test_a_remembered_folder_that_cannot_be_looked_up_is_passed_over(
    open_page: OpenPage, workspace: Path, demo_faces: Path
) -> None:
    (workspace / "app.json").write_text(json.dumps({"dataset": "/" + 300 * "x"}))
    assert str(demo_faces) in text_of(open_page("dataset"))


def test_a_chosen_folder_that_is_gone_is_told(
    open_page: OpenPage, workspace: Path, demo_faces: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    (workspace / "app.json").write_text(json.dumps({"dataset": str(gone)}))
    for page in ("dataset", "home", "training"):
        [warning] = open_page(page).warning
        assert f"{gone} is not there any more" in warning.value
        assert str(demo_faces) in warning.value


def test_no_path_is_asked_for(open_page: OpenPage) -> None:
    at = open_page("dataset")
    choose_way(at, "path")
    at.button[0].click().run()
    [error] = at.error
    assert error.value == "The path is empty; name one."


def test_drawing_demo_faces_again_leaves_what_is_there(
    open_page: OpenPage, demo_faces: Path
) -> None:
    own = demo_faces / "my-notes.txt"
    own.write_text("mine")
    at = open_page("dataset")
    [draw] = [button for button in at.button if button.label == "Draw demo faces"]
    draw.click().run()
    assert not at.exception
    assert not at.error
    assert own.read_text() == "mine"


def test_a_folder_on_this_computer_is_used_and_remembered(
    open_page: OpenPage, make_faces: Callable[..., Path]
) -> None:
    folder = make_faces(name="mine")
    at = open_page("dataset")
    choose_way(at, "path")
    at.text_input[0].set_value(f" {folder} ")
    at.button[0].click().run()
    assert not at.exception
    assert str(folder) in text_of(at)
    # Another session, as after a reload or a restart.
    assert str(folder) in text_of(open_page("dataset"))


@pytest.mark.parametrize("name", ["UTKFace.zip", "family.zip"])
def test_an_uploaded_archive_is_unpacked(
    open_page: OpenPage, make_faces: Callable[..., Path], workspace: Path, name: str
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in make_faces(name="source").iterdir():
            archive.write(path, path.name)
    at = open_page("dataset")
    choose_way(at, "upload")
    at.file_uploader[0].set_value((name, buffer.getvalue(), "application/zip")).run()
    at.button[0].click().run()
    assert not at.exception
    assert not at.error
    # Other faces must not pass for UTKFace.
    usual = default_dataset_dir()
    folder = usual if name == "UTKFace.zip" else workspace / "datasets" / "family"
    assert str(folder) in text_of(at)
    assert usual.exists() == (folder == usual)
    assert not list(default_dataset_dir().parent.glob("workspace/.upload-*"))


@pytest.mark.parametrize("content", [b"no archive at all", b""])
def test_an_upload_that_is_no_archive_is_refused(open_page: OpenPage, content: bytes) -> None:
    at = open_page("dataset")
    choose_way(at, "upload")
    at.file_uploader[0].set_value(("faces.tar.gz", content, "application/gzip")).run()
    at.button[0].click().run()
    assert not at.exception
    assert len(at.error) == 1
    assert not default_dataset_dir().exists()


def test_a_failed_download_says_why(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> Path:
        raise DownloadError("Every source failed; get it by hand.")

    monkeypatch.setattr("pages.dataset_sources.fetch_dataset", fail)
    at = open_page("dataset")
    choose_way(at, "download")
    at.button[0].click().run()
    assert [error.value for error in at.error] == ["Every source failed; get it by hand."]


def test_utkface_that_is_there_is_not_downloaded_again(
    open_page: OpenPage, make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> Path:
        raise DownloadError("It asked the network.")

    monkeypatch.setattr("agegender.dataset.download.download", fail)
    make_faces().rename(default_dataset_dir())
    at = open_page("dataset")
    choose_way(at, "download")
    [download] = [button for button in at.button if button.label == "Download UTKFace"]
    download.click().run()
    assert not at.exception
    assert not at.error
    assert str(default_dataset_dir()) in text_of(at)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "is read-only")]
)
def test_a_disk_that_refuses_gets_one_sentence_and_leaves_nothing_half(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    at = open_page("dataset")
    monkeypatch.setattr("os.replace", refuse)
    at.button[0].click().run()
    assert not at.exception
    [error] = [message.value for message in at.error]
    assert words in error
    assert not demo_dataset_dir().exists()

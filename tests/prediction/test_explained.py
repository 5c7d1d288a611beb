"""What is taken away of photos: pictures with heatmaps, tables, ZIPs."""

from __future__ import annotations

import errno
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.errors import InvalidImageError, StorageError
from agegender.images import read_image
from agegender.prediction import photos as photos_module
from agegender.prediction.explained import (
    ExplainedPhoto,
    _Names,
    explain_photos,
    write_folder,
    write_zip,
)
from agegender.prediction.faces import crop_face
from agegender.prediction.photos import FaceAnswer, PhotoAnswer
from agegender.prediction.predictor import Prediction, Predictor
from agegender.prediction.sources import Picture
from agegender.prediction.tables import COLUMNS, table_rows

FILES = {
    "1-face.png",
    "1-figure.png",
    *(
        f"1-{head}-{kind}.png"
        for head in ("age", "male", "female")
        for kind in ("heatmap", "overlay")
    ),
}


def item(file: str, *, faces: int = 1) -> ExplainedPhoto:
    crop = np.zeros((200, 200, 3), np.uint8)
    answer = FaceAnswer(crop_face(crop), crop, Prediction(31.0, 0.2), ())
    files = ((f"{number}-face.png", b"png") for number in range(1, faces + 1))
    return ExplainedPhoto(PhotoAnswer(file, [answer] * faces), files)


def unread() -> ExplainedPhoto:
    return ExplainedPhoto(PhotoAnswer("bad.jpg", error="bad.jpg: no picture"), iter(()))


def test_crop_comes_with_all_its_files(predictor: Predictor, faces: list[np.ndarray]) -> None:
    bad = Picture("bad.jpg", InvalidImageError("bad.jpg: no picture"))
    first, second = explain_photos(predictor, [bad, Picture("a.jpg", faces[0])], is_crop=True)
    assert first.answer == unread().answer
    assert list(first.files) == []
    files = dict(second.files)
    assert set(files) == FILES
    [answer] = second.answer.faces
    [expected] = predictor.predict([answer.crop])
    assert answer.prediction == expected
    face = read_image(files["1-face.png"])
    assert np.array_equal(face, predictor.display_face(answer.crop))
    assert read_image(files["1-age-overlay.png"]).shape == face.shape
    with Image.open(io.BytesIO(files["1-figure.png"])) as figure:
        assert figure.width > 2 * figure.height


def test_photo_comes_with_its_boxes_and_every_face(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(3).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    found = [crop_face(image), crop_face(image[:100, :100])]
    monkeypatch.setattr(photos_module, "find_faces", lambda _: found)
    [explained] = explain_photos(predictor, [Picture("a.jpg", image)])
    files = dict(explained.files)
    assert set(files) == {"photo.jpg"} | FILES | {name.replace("1-", "2-") for name in FILES}
    assert read_image(files["photo.jpg"]).shape == (600, 800, 3)
    assert files["1-face.png"] != files["2-face.png"]
    monkeypatch.setattr(photos_module, "find_faces", lambda _: [])
    [explained] = explain_photos(predictor, [Picture("a.jpg", image)])
    assert list(explained.files) == []


def test_folder_per_photo_and_a_table(tmp_path: Path) -> None:
    def items() -> list[ExplainedPhoto]:
        return [item("x/a.jpg", faces=2), unread(), item("x/A.png"), item("../../..")]

    answers = list(write_folder(items(), tmp_path / "out"))
    assert [answer.file for answer in answers] == ["x/a.jpg", "bad.jpg", "x/A.png", "../../.."]
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == [
        "out/A-efbabe7a35b9/1-face.png",
        "out/a/1-face.png",
        "out/a/2-face.png",
        "out/picture/1-face.png",
    ]
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert table["file"].tolist() == ["x/a.jpg", "x/a.jpg", "bad.jpg", "x/A.png", "../../.."]
    # A second time, everything is replaced and nothing is doubled.
    list(write_folder(items(), tmp_path / "out"))
    assert len(list((tmp_path / "out").iterdir())) == 4
    # Other photos, and what `predict` wrote there, keep their rows.
    list(write_folder([item("x/a.jpg"), item("z/new.jpg")], tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert table["file"].tolist() == ["x/a.jpg", "bad.jpg", "x/A.png", "../../..", "z/new.jpg"]
    # Two processes would take each other's folders.
    slow = write_folder([item("slow.jpg"), item("slow2.jpg")], tmp_path / "out")
    next(slow)
    with pytest.raises(StorageError, match="being written by another process"):
        list(write_folder([item("quick.jpg")], tmp_path / "out"))
    list(slow)
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert {"slow.jpg", "slow2.jpg"} <= set(table["file"])
    # A photo of the same name from another folder does not take its place.
    list(write_folder([item("other/a.jpg")], tmp_path / "out"))
    folders = {path.name for path in (tmp_path / "out").iterdir()}
    [other] = [name for name in folders if name.startswith("a-")]
    own = (tmp_path / "out" / "a" / "1-face.png").stat().st_mtime_ns
    list(write_folder([item("other/a.jpg"), item("other/a.jpg")], tmp_path / "out"))
    new = {path.name for path in (tmp_path / "out").iterdir()} - folders
    assert len(new) == 1, "the second of one name in a call gets a folder of its own"
    assert other not in new
    assert (tmp_path / "out" / "a" / "1-face.png").stat().st_mtime_ns == own


def test_photo_without_a_face_takes_no_folder_from_another(tmp_path: Path) -> None:
    for _ in range(2):
        list(write_folder([item("x/a.jpg", faces=0), item("y/a.jpg")], tmp_path))
        assert {path.name for path in tmp_path.iterdir()} == {"a", "predictions.csv"}


def test_what_was_written_when_stopped_is_in_the_table(tmp_path: Path) -> None:
    def items() -> Iterator[ExplainedPhoto]:
        yield item("x/a.jpg")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(write_folder(items(), tmp_path))
    # So the other photo of that name gets another folder.
    list(write_folder([item("y/a.jpg")], tmp_path))
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["file"].tolist() == ["x/a.jpg", "y/a.jpg"]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_what_was_written_when_killed_is_in_the_next_table(tmp_path: Path) -> None:
    def killed(*args: object) -> None:
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        # A kill leaves no time for the table.
        patch.setattr("agegender.prediction.explained.write_table", killed)
        with pytest.raises(SystemExit):
            list(write_folder([item("x/a.jpg")], tmp_path))
    list(write_folder([item("y/a.jpg")], tmp_path))
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["file"].tolist() == ["x/a.jpg", "y/a.jpg"]
    folders = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) == 2
    assert "a" in folders


def test_many_photos_of_one_name_have_a_folder_each() -> None:
    names = _Names()
    assert len({names.next(f"photos/{number}/photo.jpg") for number in range(20_000)}) == 20_000


def test_table_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    table = tmp_path / "predictions.csv"
    header = ",".join(COLUMNS).encode()
    surplus = header + b"\na.jpg" + b"," * len(COLUMNS) + b"\n"
    for own in (b"file,age\na.jpg,31\n", surplus, b"\xff\xfe\x00"):
        table.write_bytes(own)
        with pytest.raises(StorageError, match="is not a table of answers"):
            list(write_folder([item("a.jpg")], tmp_path))
        assert table.read_bytes() == own
        assert not (tmp_path / "a").exists()


def test_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    for own in (tmp_path / "a" / "holiday.jpg", tmp_path / "b"):
        own.parent.mkdir(exist_ok=True)
        own.write_bytes(b"mine")
        with pytest.raises(StorageError, match="name another output folder"):
            list(write_folder([item("a.jpg"), item("b.jpg")], tmp_path))
        assert own.read_bytes() == b"mine"
        shutil.rmtree(tmp_path / "a")


def test_full_disk_leaves_no_half_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match="the disk is full"):
        list(write_folder([item("a.jpg")], tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


def test_zip_holds_pictures_of_some_photos_and_the_rows_of_all() -> None:
    stream = io.BytesIO()
    items = [item("a.jpg"), unread(), item("b/a.jpg"), item("c.jpg")]
    rows = [row for one in items for row in table_rows(one.answer)]
    write_zip(items[:3], rows, stream)
    with zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "a-aa7bdd49667f/1-face.png",
            "a/1-face.png",
            "predictions.csv",
            "predictions.jsonl",
        ]
        table = pd.read_csv(archive.open("predictions.csv"))
    assert table["file"].tolist() == ["a.jpg", "bad.jpg", "b/a.jpg", "c.jpg"]
    assert table["reason"][1] == "no picture"

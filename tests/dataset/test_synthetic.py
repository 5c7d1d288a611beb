"""The drawn demo set: its layout, its oddities, and what the drawings show."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agegender.config import FRAME_SIZE, MAX_AGE_YEARS, RACE_NAMES
from agegender.dataset import synthetic
from agegender.dataset.dataset import open_dataset, summary
from agegender.dataset.drawing.face import draw_face
from agegender.dataset.synthetic import (
    DEMO_MARKER,
    DEMO_ODDITIES,
    draw_demo_faces,
    has_demo_faces,
)
from agegender.errors import DatasetError, StorageError

COUNT = 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_demo_faces(tmp_path_factory.mktemp("drawn") / "demo-faces", count=COUNT)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_demo_set_holds_the_faces_and_a_few_of_each_oddity(demo: Path) -> None:
    dataset = open_dataset(demo)
    found = summary(dataset)
    assert dataset.is_demo
    assert found.files == COUNT + DEMO_ODDITIES
    assert found.labelled == COUNT + 3
    assert len(found.malformed) == 2
    assert found.exact_duplicates == 3
    assert found.label_conflicts == 1
    truncated = dataset.unused[~dataset.unused["file"].isin(found.malformed)]
    assert truncated["reason"].str.contains("cut short").tolist() == [True]


def test_no_two_drawings_are_near_duplicates(demo: Path) -> None:
    found = summary(open_dataset(demo))
    assert found.near_groups == 0
    assert found.splits["set aside"] == 0


def test_face_like_an_earlier_one_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = draw_face(30, 0, 0, np.random.default_rng(0))

    def draw_often_the_same(age: int, gender: int, race: int, rng: np.random.Generator) -> Any:
        return (same, same[:, ::-1], draw_face(age, gender, race, rng))[rng.integers(3)]

    monkeypatch.setattr(synthetic, "draw_face", draw_often_the_same)
    found = summary(open_dataset(draw_demo_faces(tmp_path / "demo", count=20)))
    assert found.exact_duplicates == 3
    assert found.near_groups == 0


def test_pictures_are_in_utkfaces_frame(demo: Path) -> None:
    faces = open_dataset(demo).faces
    assert set(faces["width"]) == set(faces["height"]) == {FRAME_SIZE}
    assert faces["file"].str.endswith(".jpg.chip.jpg").all()
    assert faces["date"].str.len().eq(17).all()


def test_labels_are_spread_like_the_real_ones() -> None:
    shares = synthetic._age_shares()
    assert shares.sum() == pytest.approx(1)
    assert shares.argmax() == 26
    assert 0.08 < shares[:10].sum() < 0.2
    assert shares[60:].sum() > 0.08


def test_marker_says_what_the_pictures_are(demo: Path) -> None:
    assert "They show nobody" in (demo / DEMO_MARKER).read_text(encoding="utf-8")


def test_same_seed_draws_the_same_files(demo: Path, tmp_path: Path) -> None:
    assert digests(draw_demo_faces(tmp_path / "again", count=COUNT)) == digests(demo)
    other = draw_demo_faces(tmp_path / "other", count=10, seed=1)
    assert not set(digests(other).values()) & {
        digest for name, digest in digests(demo).items() if name != DEMO_MARKER
    }


def test_drawing_again_replaces_the_demo_set_and_nothing_else(tmp_path: Path) -> None:
    draw_demo_faces(tmp_path / "demo", count=10, seed=1)
    draw_demo_faces(tmp_path / "demo", count=12, seed=1)
    assert len(list((tmp_path / "demo").iterdir())) == 12 + DEMO_ODDITIES + 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "25_0_1_20170116220224657.jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="holds no demo faces"):
        draw_demo_faces(tmp_path / "mine", count=10)
    assert digests(tmp_path / "mine").keys() == {"25_0_1_20170116220224657.jpg"}


def test_has_demo_faces_tells_folders_apart(demo: Path, tmp_path: Path) -> None:
    assert has_demo_faces(demo)
    assert not has_demo_faces(tmp_path / "nothing")
    assert not has_demo_faces(tmp_path / ("x" * 300))
    (tmp_path / "empty").mkdir()
    assert not has_demo_faces(tmp_path / "empty")


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    draw_demo_faces(tmp_path / "demo", count=10, on_progress=lambda *call: calls.append(call))
    assert calls == [(done, 13) for done in range(1, 14)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_full_disk_leaves_no_half_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real_write, written = Path.write_bytes, []

    def refuse(path: Path, content: bytes) -> Any:
        if len(written) == 5:
            raise OSError(number, "refused")
        written.append(path)
        return real_write(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match="could not be written"):
        draw_demo_faces(tmp_path / "demo", count=10)
    assert len(written) == 5
    assert list(tmp_path.iterdir()) == []


def test_too_few_faces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count is 9"):
        draw_demo_faces(tmp_path / "demo", count=9)


@pytest.mark.parametrize("age", [0, 1, 5, 12, 17, 26, 40, 55, 70, 85, MAX_AGE_YEARS])
@pytest.mark.parametrize("gender", [0, 1])
def test_every_age_and_gender_can_be_drawn(age: int, gender: int) -> None:
    for seed in range(6):
        rgb = draw_face(age, gender, seed % len(RACE_NAMES), np.random.default_rng(seed))
        assert rgb.shape == (FRAME_SIZE, FRAME_SIZE, 3)
        assert rgb.dtype == np.uint8
        assert rgb.std() > 20


@pytest.mark.parametrize("labels", [(-1, 0, 0), (MAX_AGE_YEARS + 1, 0, 0), (30, 2, 0), (30, 0, 5)])
def test_labels_out_of_range_are_refused(labels: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="but must be 0 to"):
        draw_face(*labels, np.random.default_rng(0))


def draw_many(labels: list[tuple[int, int]], seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Draw faces small and grey: (n, features)."""
    rng = np.random.default_rng(seed)
    rows = []
    for age, gender in labels:
        picture = Image.fromarray(draw_face(age, gender, int(rng.integers(5)), rng))
        grey = np.asarray(picture.convert("L").crop((25, 15, 175, 165)).resize((16, 16)), float)
        rows.append(grey.ravel() / 255)
    return np.array(rows)


def test_age_and_gender_can_be_seen_by_a_linear_model() -> None:
    rng = np.random.default_rng(5)
    labels = [(int(rng.integers(0, 90)), int(rng.integers(2))) for _ in range(300)]
    pixels = draw_many(labels, seed=6) - 0.5
    train, test = pixels[:220], pixels[220:]
    for is_first in ([gender == 0 for _, gender in labels], [age < 45 for age, _ in labels]):
        signs = np.where(is_first, 1.0, -1.0)
        # Ridge regression on the signs, solved between faces rather than between pixels.
        weights = np.linalg.solve(train @ train.T + 10 * np.eye(len(train)), signs[:220])
        found = np.sign(test @ (train.T @ weights))
        assert (found == signs[220:]).mean() > 0.68

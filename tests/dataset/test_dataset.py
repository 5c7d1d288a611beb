"""A folder, opened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.config import SPLIT_NAMES
from agegender.dataset import dataset as dataset_module
from agegender.dataset.dataset import open_dataset, statistics, summary
from agegender.dataset.split import SET_ASIDE
from agegender.dataset.synthetic import DEMO_MARKER
from agegender.errors import DatasetError

COLUMNS = [
    "file", "age", "gender", "race", "date", "width", "height", "size_bytes", "sha256", "phash",
    "duplicate_group", "split", "is_calibration", "label_conflict",
]  # fmt: skip


def test_opens_with_every_column(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(60)
    dataset = open_dataset(folder)
    assert dataset.folder == folder
    assert list(dataset.faces.columns) == COLUMNS
    assert len(dataset.faces) == 60
    assert dataset.faces["duplicate_group"].eq(-1).all()
    assert dataset.faces["label_conflict"].dtype == bool
    assert dataset.path(dataset.faces["file"][0]).exists()


def test_splits_partition_the_faces(make_faces: Callable[..., Path]) -> None:
    dataset = open_dataset(make_faces(60))
    parts = [dataset.of(split) for split in (*SPLIT_NAMES, SET_ASIDE)]
    assert sorted(pd.concat(parts)["file"]) == dataset.faces["file"].tolist()
    assert len(dataset.of("all")) == sum(len(part) for part in parts[:3])
    assert dataset.of("test").index.tolist() == list(range(len(dataset.of("test"))))
    with pytest.raises(ValueError, match="split is 'dev', but must be one of train"):
        dataset.of("dev")


def test_summary_counts_what_is_there(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(30)
    first = sorted(folder.glob("*.jpg"))[0]
    (folder / "99_0_0_1.jpg").write_bytes(first.read_bytes())
    (folder / "99_0_20170109142408075.jpg").write_bytes(first.read_bytes())
    (folder / "20_0_0_1.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    found = summary(open_dataset(folder))
    assert (found.files, found.labelled, found.exact_duplicates) == (34, 31, 1)
    assert list(found.malformed) == ["99_0_20170109142408075.jpg"]
    assert "four fields" in found.malformed["99_0_20170109142408075.jpg"]
    assert (found.near_groups, found.largest_group, found.label_conflicts) == (0, 2, 1)
    assert list(found.splits) == [*SPLIT_NAMES, SET_ASIDE]
    assert sum(found.splits.values()) == 31


def test_statistics_have_a_row_for_each_split_that_has_faces(
    make_faces: Callable[..., Path],
) -> None:
    dataset = open_dataset(make_faces(60))
    table = statistics(dataset)
    assert table["Faces in"].tolist() == ["All", "Train", "Validation", "Test"]
    assert table["n"].tolist() == [
        str(len(dataset.of(split))) for split in ("all", "train", "validation", "test")
    ]
    assert set(table.dtypes.astype(str)) <= {"object", "str"}


def test_no_photo_stands_on_both_sides(make_faces: Callable[..., Path]) -> None:
    from PIL import Image

    folder = make_faces(80, size=100)
    for number, path in enumerate(sorted(folder.iterdir())):
        with Image.open(path) as image:
            image.save(folder / f"50_0_0_{number}.jpg", quality=60)
    dataset = open_dataset(folder)
    groups = dataset.faces.groupby("duplicate_group")
    assert sorted(groups.size()) == [2] * 80
    used = dataset.of("all")
    assert used.groupby("duplicate_group")["split"].nunique().eq(1).all()
    assert 0 < len(dataset.of(SET_ASIDE)) < 40
    assert summary(dataset).near_groups == 80


def test_split_does_not_depend_on_names_or_other_files(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(40)
    before = open_dataset(folder)
    split_of = before.faces.set_index("sha256")["split"]
    other = folder.parent / "other"
    other.mkdir()
    for number, path in enumerate(reversed(sorted(folder.iterdir()))):
        (other / f"1_0_0_{number}.jpg").write_bytes(path.read_bytes())
    renamed = open_dataset(other)
    assert renamed.split_hash == before.split_hash
    for path in sorted(folder.iterdir())[::2]:
        path.unlink()
    fewer = open_dataset(folder)
    assert fewer.split_hash != before.split_hash
    assert fewer.faces["split"].tolist() == split_of[fewer.faces["sha256"]].tolist()


def test_looks_for_duplicates_only_when_faces_change(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_faces(10)
    first = open_dataset(folder)

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("looked again")

    monkeypatch.setattr(dataset_module, "find_duplicates", refuse)
    pd.testing.assert_frame_equal(open_dataset(folder).faces, first.faces)
    next(folder.iterdir()).unlink()
    with pytest.raises(AssertionError, match="looked again"):
        open_dataset(folder)


def test_looks_anew_when_what_was_kept_is_damaged(
    make_faces: Callable[..., Path], workspace: Path
) -> None:
    folder = make_faces(10)
    first = open_dataset(folder)
    for path in (workspace / "indexes").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    pd.testing.assert_frame_equal(open_dataset(folder).faces, first.faces)


def test_knows_drawn_faces(make_faces: Callable[..., Path]) -> None:
    folder = make_faces(3)
    assert not open_dataset(folder).is_demo
    (folder / DEMO_MARKER).write_text("drawn")
    dataset = open_dataset(folder)
    assert dataset.is_demo
    assert dataset.unused.empty


def test_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"is empty; name a folder"):
        open_dataset(tmp_path / "empty")
    (tmp_path / "empty" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"files looked at: 1; cat.jpg: expected age_gender"):
        open_dataset(tmp_path / "empty")


def test_a_folder_with_archives_says_how_to_unpack_the_right_one(tmp_path: Path) -> None:
    for name in ("README.md", "more faces.tar", "UTKFace.tar.gz"):
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match=r"--archive \S+/UTKFace\.tar\.gz`\.$"):
        open_dataset(tmp_path)


MILLION = r"""
import re
from pathlib import Path
import numpy as np, pandas as pd
from agegender.dataset import dataset, hashing, index
from agegender.dataset.tables import table_path, write_table

folder, n = Path({folder!r}), 1_000_000
rng = np.random.default_rng(0)

digests = pd.Series([rng.bytes(32).hex() for _ in range(n)], dtype="str")
files = pd.Series([f"{{i:07d}}_of_a_million.jpg.chip.jpg" for i in range(n)], dtype="str")
sizes = rng.integers(5_000, 20_000, n)
kept = pd.DataFrame(dict(
    file=files, size_bytes=sizes, mtime_ns=sizes, age=sizes % 90, gender=sizes % 2,
    race=sizes % 5, date=pd.Series(["20170116220224657"] * n, dtype="str"), width=sizes * 0 + 200,
    height=sizes * 0 + 200, sha256=digests, phash=digests,
    reason=pd.Series([""] * n, dtype="str"),
))
write_table(kept, table_path(folder, index.INDEX_KIND))
scanned = kept[["file", "size_bytes", "mtime_ns"]].copy()
none = pd.DataFrame(dict(file=[], reason=[]), dtype="str")
del kept, files, sizes, digests
index._scan = lambda folder: (scanned, none)
# Draws come one after the other: fewer take less time, not less memory.
hashing.DRAWS = 4
opened = dataset.open_dataset(folder)
assert len(opened.of("train")) > 790_000
opened.split_hash
# Not ru_maxrss: it counts what the process that started this one had in memory.
peak_kb = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
print(len(opened.faces), int(peak_kb) // 1024)
"""


@pytest.mark.slow
def test_a_million_faces_need_less_than_a_gigabyte(tmp_path: Path) -> None:
    code = MILLION.format(folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    faces, peak_mb = map(int, done.stdout.split())
    assert faces == 1_000_000
    assert peak_mb < 1_000


def test_real_faces_open(real_dataset_archive: Path, tmp_path: Path) -> None:
    import tarfile

    folder = tmp_path / "real"
    folder.mkdir()
    with tarfile.open(real_dataset_archive) as archive:
        for _, member in zip(range(400), archive, strict=False):
            if member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                (folder / Path(member.name).name).write_bytes(file.read())
    dataset = open_dataset(folder)
    assert len(dataset.faces) + len(dataset.unused) == len(list(folder.iterdir()))
    assert (dataset.faces["width"] == 200).all()
    assert np.isin(dataset.faces["split"], [*SPLIT_NAMES, SET_ASIDE]).all()

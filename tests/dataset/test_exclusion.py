from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from agegender.dataset.exclusion import (
    exclusions_file,
    kept_exclusions,
    leave_out,
    read_exclusions,
    write_exclusions,
)
from agegender.errors import DatasetError

HASHES = [f"{number:064x}" for number in range(10, 14)]


def test_a_list_comes_back_and_takes_every_copy_of_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "lists" / "wrong.csv"
    listed = pd.DataFrame(
        {"file": ["a.jpg", "b, c.jpg"], "sha256": HASHES[:2], "reason": "labelled 1"}
    )
    write_exclusions(listed, path)
    assert read_exclusions(path) == set(HASHES[:2])
    faces = pd.DataFrame({"sha256": [HASHES[2], HASHES[0], HASHES[3], HASHES[0]], "age": range(4)})
    assert leave_out(faces, path)["age"].tolist() == [0, 2]
    with pytest.raises(DatasetError, match="all 2 train faces"):
        leave_out(faces.iloc[[1, 3]], path)


def test_datasets_of_the_same_name_keep_lists_of_their_own(tmp_path: Path) -> None:
    folders = [tmp_path / name / "UTKFace" for name in ("one", "other")]
    paths = [exclusions_file(folder) for folder in folders]
    for path, sha256 in zip(paths, HASHES, strict=False):
        write_exclusions(pd.DataFrame({"file": ["a.jpg"], "sha256": sha256, "reason": ""}), path)
    assert [read_exclusions(path) for path in paths] == [{HASHES[0]}, {HASHES[1]}]
    assert kept_exclusions() == sorted(paths)
    assert all(path.name.startswith("UTKFace-") for path in paths)
    assert exclusions_file(folders[0] / ".." / "UTKFace" / ".") == paths[0]


def test_hashes_in_capitals_and_other_columns_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"note,sha256\nmine, {HASHES[0].upper()} \n")
    assert read_exclusions(path) == {HASHES[0]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"file,reason\na.jpg,old\n", "column sha256"),
        (b"sha256\n" + HASHES[0].encode() + b"\nabc\n", "'abc' in row 2"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "wrong.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_exclusions(path)

"""What is in a dataset folder: every face with its labels, every other file with a reason.

Each file is read once. What was found is kept in the workspace and read again
only for files whose size or time of change is another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from agegender.dataset.duplicates import perceptual_hash
from agegender.dataset.synthetic import DEMO_MARKER
from agegender.dataset.tables import read_table, table_path, write_table
from agegender.dataset.utkface import IMAGE_SUFFIXES, parse_name
from agegender.errors import AgeGenderError, DatasetError
from agegender.images import read_image

INDEX_KIND = "index-1"
"""Names the columns and the reading below; a change needs another number."""

MAX_FILE_BYTES = 200_000_000
"""Larger files are not read: no face crop is as large, and they would fill the memory."""

PROGRESS_STEP = 50
"""Files between two reports of progress."""

SAVE_STEP = 5_000
"""Files between two saves of a long first pass, which an interruption keeps."""

UNSETTLED_TIME = -1
"""Time of change kept for a file that could not be opened: it is tried again."""


class _Record(NamedTuple):
    """What is kept about a file; `reason` is empty for a usable face."""

    age: int = -1
    gender: int = -1
    race: int = -1
    date: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""
    phash: str = ""
    reason: str = ""


_SCANNED = ("file", "size_bytes", "mtime_ns")
_COLUMNS = _SCANNED + _Record._fields
_TEXTS = frozenset(("file", "date", "sha256", "phash", "reason"))

FACE_COLUMNS = (
    "file", "age", "gender", "race", "date", "width", "height", "size_bytes", "sha256", "phash",
)  # fmt: skip


def index_folder(
    folder: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List a dataset folder's faces and its unused files.

    Sub-folders are looked into; what is hidden (a leading dot, `__MACOSX`) is
    passed over. Where a picture lies in several folders under one name, as in
    Kaggle's archive of UTKFace, it counts once: the copy nearest the top.

    Args:
        folder: The dataset folder.
        on_progress: Called with (done, total) while new and changed files
            are read.

    Returns:
        The faces (columns `FACE_COLUMNS`, sorted by `file`, which is relative
        to the folder with forward slashes; sizes in pixels and bytes;
        `sha256` of the file and `phash` of the picture in 64 hexadecimal
        digits) and the unused files (columns `file`, `reason`).

    Raises:
        DatasetError: If the folder is missing or cannot be listed.
        StorageError: If the index cannot be written.
    """
    scanned, others = _scan(folder)
    path = table_path(folder, INDEX_KIND)
    known = read_table(path, _COLUMNS)
    if known is None:
        known = _table([], []).iloc[:0]
    index = known
    if not all(known[column].equals(scanned[column]) for column in _SCANNED):
        index = _refresh(folder, scanned, known, path, on_progress)
    reasons = index["reason"].mask(_is_nested_copy(index), "a copy of the same picture higher up")
    is_face = (reasons == "").to_numpy()
    faces = index.loc[is_face, list(FACE_COLUMNS)].reset_index(drop=True)
    unused = pd.DataFrame({"file": index["file"], "reason": reasons})[~is_face]
    return faces, pd.concat([unused, others], ignore_index=True)


def _scan(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List a folder's files with size and time of change, and what cannot be read as a file."""
    files: list[tuple[str, int, int]] = []
    others: list[tuple[str, str]] = []
    pending = [""]
    while pending:
        inside = pending.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    file = f"{inside}{entry.name}"
                    if entry.name.startswith(".") or entry.name in ("__MACOSX", DEMO_MARKER):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{file}/")
                    elif not _is_utf8(file):
                        printable = file.encode(errors="backslashreplace").decode()
                        others.append(
                            (printable, "the name is not valid UTF-8; rename the file to use it")
                        )
                    else:
                        _look_at(entry, file, files, others)
        except OSError as error:
            if inside:
                # One folder that is locked, or gone since, does not refuse all others.
                others.append((inside, f"the folder cannot be listed ({error.strerror})"))
                continue
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise DatasetError(
                    f"{folder}: there is no such folder; name the folder of the faces, or "
                    "get them with python download_dataset.py."
                ) from error
            raise DatasetError(
                f"{folder} cannot be listed ({error.strerror}); check its permissions."
            ) from error
    files.sort()
    scanned = pd.DataFrame(files, columns=list(_SCANNED))
    scanned = scanned.astype({"file": "str", "size_bytes": "int64", "mtime_ns": "int64"})
    return scanned, pd.DataFrame(sorted(others), columns=["file", "reason"], dtype="str")


def _look_at(
    entry: os.DirEntry[str],
    file: str,
    files: list[tuple[str, int, int]],
    others: list[tuple[str, str]],
) -> None:
    """Put an entry to the files, or to what cannot be read as one."""
    try:
        if entry.is_file():
            status = entry.stat()
            files.append((file, status.st_size, status.st_mtime_ns))
        else:
            others.append((file, "not a file (a broken link or a link to a folder)"))
    except FileNotFoundError:
        pass  # It has gone since the folder was listed.
    except OSError as error:
        others.append((file, f"cannot be opened ({error.strerror})"))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refresh(
    folder: Path,
    scanned: pd.DataFrame,
    known: pd.DataFrame,
    path: Path,
    on_progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Read the new and changed files and keep the index."""
    rows = pd.Index(known["file"]).get_indexer(pd.Index(scanned["file"]))
    is_same = rows >= 0
    for column in ("size_bytes", "mtime_ns"):
        values = known[column].to_numpy()[rows[is_same]]
        is_same[is_same] = values == scanned[column].to_numpy()[is_same]
    parts = [known.iloc[rows[is_same]]]
    fresh = scanned[~is_same]
    # Saves are at most twenty, since each writes the whole table.
    step = max(SAVE_STEP, len(fresh) // 20)
    # Threads, not processes: decoding and hashing let go of the interpreter,
    # and 20,000 faces took as long either way.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for start in range(0, len(fresh), step):
            chunk = fresh.iloc[start : start + step]
            records = []
            examine = pool.map(partial(_examine, folder), chunk["file"], chunk["size_bytes"])
            try:
                for done, record in enumerate(examine, start=start + 1):
                    records.append(record)
                    if on_progress is not None and (
                        done % PROGRESS_STEP == 0 or done == len(fresh)
                    ):
                        on_progress(done, len(fresh))
            finally:
                # A stop, which `on_progress` raises, keeps what has been read.
                examined = chunk.iloc[: len(records)].itertuples(index=False, name=None)
                parts.append(_table(list(examined), records))
                write_table(pd.concat(parts, ignore_index=True), path)
    finally:
        pool.shutdown(cancel_futures=True)
    index: pd.DataFrame = pd.concat(parts, ignore_index=True)
    index = index.sort_values("file", ignore_index=True)
    write_table(index, path)
    return index


def _table(scanned: list[tuple[str, int, int]], records: list[_Record]) -> pd.DataFrame:
    """Return rows of the index in compact columns."""
    rows = [
        (file, size, UNSETTLED_TIME if record.reason.startswith(_UNOPENED) else time, *record)
        for (file, size, time), record in zip(scanned, records, strict=True)
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return pd.DataFrame(
        {name: table[name].astype("str" if name in _TEXTS else "int64") for name in _COLUMNS}
    )


_UNOPENED = "cannot be opened"


def _examine(folder: Path, file: str, size_bytes: int) -> _Record:
    """Read one file: labels, picture and hashes, or the reason why it is not used."""
    name = PurePosixPath(file).name
    suffix = PurePosixPath(file).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        return _Record(reason=f"not an image (file type {suffix or 'missing'})")
    if size_bytes == 0:
        return _Record(reason="empty (0 bytes); get the file again")
    if size_bytes > MAX_FILE_BYTES:
        return _Record(
            reason=f"too large ({size_bytes / 1e6:,.0f} MB); make it smaller than "
            f"{MAX_FILE_BYTES / 1e6:,.0f} MB"
        )
    try:
        labels = parse_name(name)
        data = (folder / file).read_bytes()
        rgb = read_image(data, name=name)
    except AgeGenderError as error:
        return _Record(reason=str(error).removeprefix(f"{name}: ").removesuffix("."))
    except OSError as error:
        return _Record(reason=f"{_UNOPENED} ({error.strerror}); check its permissions")
    return _Record(
        age=labels.age,
        gender=labels.gender,
        race=labels.race,
        date=labels.date,
        width=rgb.shape[1],
        height=rgb.shape[0],
        sha256=hashlib.sha256(data).hexdigest(),
        phash=perceptual_hash(rgb),
    )


def _is_nested_copy(index: pd.DataFrame) -> pd.Series[bool]:
    """Tell which faces repeat one of the same name and content in another folder."""
    result = pd.Series(False, index=index.index)
    if not index["file"].str.contains("/", regex=False).any():
        return result
    faces = index.loc[index["reason"] == "", ["file", "sha256"]]
    depth = faces["file"].str.count("/")
    name = faces["file"].str.rsplit("/", n=1).str[-1]
    nearest_first = faces.assign(depth=depth, name=name).sort_values(["depth", "file"])
    copies = nearest_first.index[nearest_first.duplicated(["name", "sha256"])]
    result[copies] = True
    return result

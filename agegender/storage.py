"""Writing files so that they are whole or unchanged, whatever happens.

Everything that the library leaves on disk, but logs and lists that grow line by
line, goes through `replacing`: the new content is written beside the target
under another name and moved over it in one step. A kill leaves the old file; a
full disk becomes one clear sentence.
What a killed process left beside the target goes with the next write: each
writer holds a lock in its scratch folder, which the system frees with it.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agegender.config import workspace_dir
from agegender.errors import StorageError

_LOCK, _OLD = ".lock", ".old"
"""In a scratch folder: what its writer holds, and what is being replaced."""

_ELSEWHERE = "choose a folder that can be written"

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EROFS: f"the file system is read-only; {_ELSEWHERE}",
    errno.EACCES: f"permission denied; {_ELSEWHERE}",
    errno.EPERM: f"the system does not permit it; {_ELSEWHERE}",
    errno.ENOENT: f"there is no such place; {_ELSEWHERE}",
    errno.ELOOP: f"its links lead in a circle; {_ELSEWHERE}",
    errno.EEXIST: f"a file stands where a folder is needed; {_ELSEWHERE}",
    errno.ENOTDIR: f"a file stands where a folder is needed; {_ELSEWHERE}",
    errno.EISDIR: "there is a folder of that name; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EBUSY: "it is in use, or the root of a disk; choose a folder inside it",
    errno.EXDEV: "it is the root of a disk; choose a folder inside it",
    errno.EIO: "the disk reports an error; check it, or choose a folder on another one",
}

_OF_THE_FOLDER = {number for number, reason in _REASONS.items() if _ELSEWHERE in reason}
"""Where another folder helps."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into `StorageError`.

    Args:
        path: What is being written, for the message.

    Raises:
        StorageError: On a full disk or quota, a read-only file system, a lack
            of permission, or a name that cannot be used; every other error
            passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        reason = _REASONS[error.errno]
        if error.errno in _OF_THE_FOLDER and path.absolute().is_relative_to(
            workspace_dir().absolute()
        ):
            reason += " (AGEGENDER_HOME names that of runs and caches)"
        raise StorageError(f"{path} could not be written: {reason}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or folder anew, whole or not at all.

    Args:
        path: The file or folder to create or replace; parent folders are made.

    Yields:
        A path beside it that does not exist yet, with the same suffix, to be
        written to. When the block ends well it takes the place of `path`;
        otherwise it is removed and `path` stays as it was. What a killed
        process left of an earlier write of `path` is removed, too.

    Raises:
        StorageError: If the disk refuses.
    """
    with storage_errors(path), scratch_folder(path) as scratch:
        part = scratch / path.name
        yield part
        if part.is_dir() and path.exists():
            _exchange(part, path, scratch / _OLD)
        else:
            os.replace(part, path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside a path for as long as it is in use, held by a lock.

    Args:
        path: What it is for; parent folders are made.

    Yields:
        The folder, which is removed in the end. What a killed process left of one for
        the same path is removed, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
        lock = FileLock(scratch / _LOCK)
        try:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                # Another writer was quicker and takes the folder for a leftover.
                continue
            yield scratch
            return
        finally:
            lock.release()
            shutil.rmtree(scratch, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove the scratch folders of a path whose writers are dead."""
    # Eight characters are what tempfile appends.
    for scratch in path.parent.glob(f".{glob.escape(path.stem)}-{'?' * 8}"):
        # Without a lock it may be anybody's folder.
        if not (scratch / _LOCK).is_file():
            continue
        try:
            with FileLock(scratch / _LOCK, blocking=False):
                if (scratch / _OLD).exists() and not path.exists():
                    # Killed between the two renames of `_exchange`: finish it.
                    (scratch / path.name).rename(path)
                shutil.rmtree(scratch, ignore_errors=True)
        except (Timeout, OSError):
            # At work, or not ours to touch: it is in nobody's way.
            continue


def _exchange(part: Path, path: Path, old: Path) -> None:
    """Put a folder in the place of another, and that one back if it fails."""
    try:
        path.rename(old)
        part.rename(path)
    except BaseException:
        # Ctrl-C may come between the two as well.
        if old.exists() and not path.exists():
            old.rename(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        StorageError: If the disk refuses.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's hash.

    Args:
        path: The file.
        algorithm: As `hashlib` names it.

    Returns:
        Hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all.

    Raises:
        StorageError: If the disk refuses.
        ValueError: If a number is not finite, for which JSON has no word.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

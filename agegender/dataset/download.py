"""Getting UTKFace: where it is, in which order to try, and what to do by hand."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import filelock

from agegender.config import datasets_dir, default_dataset_dir, workspace_dir
from agegender.dataset.archives import cannot_open, extract_faces, is_empty_folder
from agegender.dataset.synthetic import DEMO_MARKER
from agegender.dataset.transfer import Source, UnreachableError, download
from agegender.dataset.utkface import is_labelled
from agegender.errors import DatasetError, DownloadError
from agegender.storage import hash_file, storage_errors

UTKFACE = "UTKFace"
"""Name of its folder, and of its archive without endings."""

_ARCHIVE_BYTES = 106_634_631
ARCHIVE_SIZE = f"{_ARCHIVE_BYTES / 1e6:.0f} MB"
"""What a download takes, in words."""

_ARCHIVE_SHA256 = "2c0655397b498e81b82d685ee74bee8c2e4364a5897caf3afec6ea48929024a7"

SOURCES = [
    Source(
        name="Hugging Face mirror",
        url="https://huggingface.co/datasets/py97/UTKFace-Cropped/resolve/e80f21f/UTKFace.tar.gz",
        size_bytes=_ARCHIVE_BYTES,
        sha256=_ARCHIVE_SHA256,
        note="a copy of the official UTKFace.tar.gz; size and hash were noted by a third "
        "party, not by the authors",
    ),
    Source(
        name="Hugging Face mirror, newest revision",
        url="https://huggingface.co/datasets/py97/UTKFace-Cropped/resolve/main/UTKFace.tar.gz",
        size_bytes=_ARCHIVE_BYTES,
        sha256=_ARCHIVE_SHA256,
        note="the same file, should the hub no longer know the short name of the revision",
    ),
    Source(
        name="Kaggle",
        url="https://www.kaggle.com/api/v1/datasets/download/jangedoo/utkface-new",
        size_bytes=None,
        sha256=None,
        note="a zip of the aligned faces with nested copies, which are taken once; "
        "Kaggle packs it anew, so its size and hash are not fixed",
    ),
]
"""Tried in this order. The authors' own Google Drive links are dead or
quota-blocked for most people, so they are only in the manual way."""

OFFICIAL_PAGE = "https://susanqq.github.io/UTKFace/"
KAGGLE_PAGE = "https://www.kaggle.com/datasets/jangedoo/utkface-new"

MANUAL_WAY = (
    f"Get it by hand: download UTKFace.tar.gz (the aligned and cropped faces) from "
    f"{OFFICIAL_PAGE} or the zip from {KAGGLE_PAGE} in a browser, then run "
    "python download_dataset.py --archive FILE"
)


def fetch_dataset(
    dest: Path,
    *,
    archive: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Path:
    """Make the dataset folder from the first source that works, or from a file.

    A dataset that is there already is left as it is.

    Args:
        dest: The folder to make.
        archive: An archive on disk to use instead of a download. One whose
            hash is not known is used all the same, with a message.
        on_progress: Called with (done, total) of the step at work: bytes of a
            download (total 0 if unknown), then pictures that are unpacked.
        on_message: Called with one sentence when a step begins, a source
            fails or an archive is not known.

    Returns:
        `dest`.

    Raises:
        DownloadError: If every source failed; says why, and the manual way.
        DatasetError: If `archive` cannot be used, or `dest` holds something else.
        StorageError: If the disk refuses; downloads are kept for the next try.
    """
    tell = on_message or (lambda sentence: None)
    if has_faces(dest):
        return dest
    if archive is not None:
        _tell_unless_known(archive, tell)
        tell(f"Unpacking {archive.name}.")
        return extract_faces(archive, dest, on_progress=on_progress)
    downloads = workspace_dir() / "downloads"
    lock = filelock.FileLock(downloads / ".lock", timeout=0)
    try:
        with storage_errors(downloads):
            downloads.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except filelock.Timeout as error:
        raise DownloadError(
            "Another download of UTKFace is running; wait for it to end, or stop it first."
        ) from error
    try:
        return _fetch_from_sources(dest, downloads, on_progress, tell)
    finally:
        lock.release()


def has_faces(dest: Path) -> bool:
    """Tell whether a dataset folder is there already.

    Args:
        dest: A folder that may not exist.

    Returns:
        True if it holds at least one labelled face, False if it does not
        exist or is empty.

    Raises:
        DatasetError: If it is a file, holds drawn demo faces, or holds other
            things only.
    """
    # `Path.exists` raises where a name is too long or a folder is locked.
    if not os.path.exists(dest) or is_empty_folder(dest):
        return False
    if not dest.is_dir():
        raise DatasetError(f"{dest} is a file; choose a folder that does not exist yet.")
    if (dest / DEMO_MARKER).exists():
        raise DatasetError(f"{dest} holds the drawn demo faces; choose another folder.")
    if any(is_labelled(path.name) for path in dest.rglob("*_*")):
        return True
    raise DatasetError(
        f"{dest} is there already and holds no labelled face; nothing was changed. "
        "Remove it or choose another folder."
    )


def utkface_folder() -> Path:
    """Return where UTKFace is, or goes when it is downloaded.

    Returns:
        The usual folder, where every command looks for it; a folder of that name in the
        workspace if the usual one holds other things.
    """
    usual = default_dataset_dir()
    try:
        has_faces(usual)
    except DatasetError:
        return datasets_dir() / UTKFACE
    return usual


def free_folder(archive: Path) -> Path:
    """Return where the faces of an archive go.

    Args:
        archive: Its name names the folder. UTKFace gets the usual one, where every command
            looks for it, unless that is in use; other faces must not pass for it.

    Returns:
        A folder that does not exist, or the usual one, which may be empty.
    """
    name = archive.name.split(".")[0] or "faces"
    if name.casefold() == UTKFACE.casefold():
        usual = default_dataset_dir()
        try:
            if not has_faces(usual):
                return usual
        except DatasetError:
            pass  # It holds other things, and stays as it is.
    folder = datasets_dir() / name
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{name}-{number}")
        number += 1
    return folder


def _tell_unless_known(archive: Path, tell: Callable[[str], None]) -> None:
    if not os.path.isfile(archive):
        raise DatasetError(f"{archive} is not a file; name an archive that is there.")
    try:
        found = hash_file(archive)
    except OSError as error:
        raise cannot_open(archive, error) from error
    if found not in {source.sha256 for source in SOURCES}:
        size_bytes = archive.stat().st_size
        tell(
            f"Warning: {archive.name} is not an archive that is known here ({size_bytes:,} bytes, "
            f"SHA-256 {found}); it is used all the same."
        )


def _fetch_from_sources(
    dest: Path,
    downloads: Path,
    on_progress: Callable[[int, int], None] | None,
    tell: Callable[[str], None],
) -> Path:
    failures: list[str] = []
    unreachable: set[str] = set()
    for source in SOURCES:
        if source.host in unreachable:
            continue
        tell(f"Downloading from {source.name} ({source.host}).")
        try:
            path = download(source, downloads / _file_name(source), on_progress=on_progress)
            if not has_faces(dest):
                tell("Unpacking.")
                _unpack(path, dest, on_progress)
        except (DownloadError, _BadArchiveError) as error:
            if isinstance(error, UnreachableError):
                unreachable.add(source.host)
            reason = str(error).rstrip(".")
            failures.append(f"{source.name}: {reason}")
            tell(f"{source.name} failed: {reason}.")
            continue
        path.unlink()
        return dest
    raise DownloadError(f"UTKFace could not be downloaded ({'; '.join(failures)}). {MANUAL_WAY}")


class _BadArchiveError(Exception):
    """What a source has sent is of no use."""


def _unpack(path: Path, dest: Path, on_progress: Callable[[int, int], None] | None) -> None:
    """Unpack a download, which is removed if it is bad."""
    try:
        extract_faces(path, dest, on_progress=on_progress)
    except DatasetError as error:
        # Another window may have put faces there in the meantime: then all is well. If it has
        # put other things there, this raises, and the good archive is kept.
        if has_faces(dest):
            return
        path.unlink()
        raise _BadArchiveError(str(error)) from error


def _file_name(source: Source) -> str:
    """Name a download after its content, so that equal sources go on from each other's part."""
    return (source.sha256 or hashlib.sha256(source.url.encode()).hexdigest())[:16] + ".archive"

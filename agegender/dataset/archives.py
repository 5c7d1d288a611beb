"""Unpacking a face archive that came from somewhere else.

The archive is not trusted. Only pictures are taken, each under its bare name
straight into the new folder, so that no path inside the archive is ever
followed; archives that try to (absolute paths, `..`, links, devices) are
refused whole, and so are those that would fill the disk.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from agegender.dataset.utkface import IMAGE_SUFFIXES, is_labelled
from agegender.errors import DatasetError
from agegender.storage import replacing

MAX_FILES = 250_000
"""Ten times the entries of the largest archive of UTKFace."""

MAX_TOTAL_BYTES = 4 * 2**30
"""Of everything in an archive, unpacked; UTKFace has 0.1 GB, its wild photos 1.3 GB."""

MAX_READ_BYTES = 2**20
"""In one go from a compressed stream. tarfile asks for a few kB at a time unless
a header claims to be huge."""

FACES_FOLDER = "UTKFace"
"""Where an archive has folders of this name, its faces are those inside: Kaggle's
zip holds a second copy of all and `crop_part1`, an overlapping subset."""

# What damaged archives raise (found with thousands of them); of the operating system's errors,
# those that are about the place in a file.
_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError,
    NotImplementedError, IndexError, OverflowError,
)  # fmt: skip

_TAR_MAGIC_OFFSET = 257
_MAX_NAME_BYTES = 255

_Stream = IO[bytes] | gzip.GzipFile


@dataclass(frozen=True)
class _Entry:
    """A picture in an archive."""

    path: str
    open: Callable[[], IO[bytes]]

    @property
    def name(self) -> str:
        """Its bare name, under which it is unpacked."""
        return PurePosixPath(self.path).name


class _BoundedStream:
    """A compressed stream that cannot be made to fill the memory by one read."""

    def __init__(self, stream: _Stream, archive: Path) -> None:
        self._stream = stream
        self._archive = archive

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise _refusal(self._archive, "one of its headers is larger than any face")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def extract_faces(
    archive: Path, dest: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Unpack the pictures of an archive into a new folder, whole or not at all.

    A picture whose name occurs more than once in the archive is taken once.

    Args:
        archive: A .tar.gz, .tar or .zip file; told apart by content, not by name.
        dest: The folder to make. It may exist only if it is empty.
        on_progress: Called with (pictures unpacked, pictures in all).

    Returns:
        `dest`, with the pictures directly inside.

    Raises:
        DatasetError: If the archive is missing, damaged, of another kind,
            holds no labelled face, or holds anything that is refused; or if `dest`
            is in use.
        StorageError: If the disk refuses.
    """
    _check_free(dest)
    # A link stays one: what it leads to is filled, perhaps on another disk.
    target_folder = Path(os.path.realpath(dest))
    with _entries(archive) as entries:
        pictures = _choose_pictures(entries)
        if not pictures:
            raise DatasetError(
                f"{archive.name} holds no pictures; use the archive of UTKFace's "
                "aligned and cropped faces."
            )
        if not any(is_labelled(picture.name) for picture in pictures):
            raise DatasetError(
                f"{archive.name} holds no labelled face: the names of its pictures must be like "
                "25_0_1_20170116220224657.jpg (age_gender_race_date)."
            )
        with replacing(target_folder) as part:
            part.mkdir()
            for number, picture in enumerate(pictures, start=1):
                with picture.open() as source, (part / picture.name).open("wb") as target:
                    shutil.copyfileobj(source, target)
                if on_progress is not None:
                    on_progress(number, len(pictures))
            # Once more: another window may have put faces there in the meantime.
            _check_free(dest)
    return dest


def cannot_open(archive: Path, error: OSError) -> DatasetError:
    """Say that an archive that is there cannot be read."""
    return DatasetError(f"{archive} cannot be opened ({error.strerror}); check its permissions.")


def _check_free(dest: Path) -> None:
    """Refuse a folder that holds anything."""
    # `Path.exists` raises where a folder above is locked.
    if os.path.exists(dest) and not is_empty_folder(dest):
        raise DatasetError(f"{dest} is there already; remove it or choose another folder.")


def _choose_pictures(entries: list[_Entry]) -> list[_Entry]:
    """Keep the pictures that are faces, each name once, in the archive's order."""
    pictures = [
        entry
        for entry in entries
        if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith(".")
    ]
    inside = [entry for entry in pictures if FACES_FOLDER in PurePosixPath(entry.path).parts[:-1]]
    unique: dict[str, _Entry] = {}
    for entry in inside or pictures:
        unique.setdefault(entry.name, entry)
    return list(unique.values())


def is_empty_folder(path: Path) -> bool:
    """Tell whether a path is a folder with nothing in it.

    Raises:
        DatasetError: If it may not be looked into.
    """
    try:
        return path.is_dir() and next(path.iterdir(), None) is None
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be looked into ({error.strerror}); check its permissions or choose "
            "another folder."
        ) from error


@contextmanager
def _entries(archive: Path) -> Iterator[list[_Entry]]:
    """Open an archive and list its files, once all its entries have been checked."""
    try:
        with archive.open("rb") as file:
            head = file.read(_TAR_MAGIC_OFFSET + 5)
    except FileNotFoundError as error:
        raise DatasetError(f"{archive} is not there; check the path.") from error
    except IsADirectoryError as error:
        raise DatasetError(f"{archive} is a folder, not an archive; name the file.") from error
    except OSError as error:
        raise cannot_open(archive, error) from error
    try:
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(archive) as stream, _open_tar(stream, archive) as tar:
                yield _tar_entries(tar, archive)
        elif head[_TAR_MAGIC_OFFSET:] == b"ustar":
            with archive.open("rb") as file, _open_tar(file, archive) as tar:
                yield _tar_entries(tar, archive)
        elif head.startswith(b"PK"):
            with zipfile.ZipFile(archive) as package:
                yield _zip_entries(package, archive)
        elif looks_like_html(head):
            raise DatasetError(
                f"{archive.name} is a web page that was saved under an archive's name; "
                "download it again, in a browser if need be."
            )
        else:
            raise DatasetError(
                f"{archive.name} is neither a .tar.gz nor a .zip file, or it is damaged; use the "
                "archive of UTKFace's aligned and cropped faces."
            )
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DatasetError(
            f"{archive.name} is damaged or cut short ({error}); download it again."
        ) from error


def looks_like_html(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a web page."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--"))


def _open_tar(stream: _Stream, archive: Path) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], _BoundedStream(stream, archive)), mode="r:")


def _tar_entries(tar: tarfile.TarFile, archive: Path) -> list[_Entry]:
    entries = []
    bounds = _Bounds(archive)
    # One by one: the bounds are checked before the next entry is reached, so
    # a bomb is never unpacked, not even to be skipped.
    for member in tar:
        _check_path(member.name, archive)
        if member.issym() or member.islnk():
            raise _refusal(archive, f"{member.name!r} is a link")
        if member.isdir():
            bounds.add(0)
        elif member.isreg() and not member.issparse():
            bounds.add(member.size)
            entries.append(_Entry(member.name, _tar_opener(tar, member)))
        else:
            raise _refusal(archive, f"{member.name!r} is not a plain file")
    return entries


def _tar_opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    # Only links and folders have no content, and neither gets here.
    return lambda: cast(IO[bytes], tar.extractfile(member))


def _zip_entries(package: zipfile.ZipFile, archive: Path) -> list[_Entry]:
    entries = []
    bounds = _Bounds(archive)
    for info in package.infolist():
        _check_path(info.filename, archive)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise _refusal(archive, f"{info.filename!r} is a link")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refusal(archive, f"{info.filename!r} is not a plain file")
        if info.flag_bits & 1:
            raise _refusal(archive, f"{info.filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refusal(archive, f"{info.filename!r} is compressed in an unusual way")
        # zipfile never hands out more bytes than an entry declares.
        bounds.add(info.file_size)
        if not info.is_dir():
            entries.append(_Entry(info.filename, _zip_opener(package, info)))
    return entries


def _zip_opener(package: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: package.open(info)


class _Bounds:
    """Counts an archive's entries and bytes against the bounds."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._files = 0
        self._bytes = 0

    def add(self, size_bytes: int) -> None:
        self._files += 1
        self._bytes += size_bytes
        if self._files > MAX_FILES:
            raise _refusal(self._archive, f"it has more than {MAX_FILES:,} entries")
        if self._bytes > MAX_TOTAL_BYTES:
            raise _refusal(
                self._archive, f"it unpacks to more than {MAX_TOTAL_BYTES / 2**30:.0f} GiB"
            )


def _check_path(path: str, archive: Path) -> None:
    """Refuse paths that lead out of the folder, whatever system they are meant for."""
    parts = re.split(r"[/\\]", path)
    if parts[0] == "" or re.match(r"[A-Za-z]:", path):
        raise _refusal(archive, f"{path!r} is an absolute path")
    if ".." in parts:
        raise _refusal(archive, f"{path!r} leads out of the folder")
    if "\0" in path or len(os.fsencode(parts[-1])) > _MAX_NAME_BYTES:
        raise _refusal(archive, "one of its names is none that a file can have")


def _refusal(archive: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"{archive.name} is not unpacked because {reason}; this is not an archive of UTKFace."
    )

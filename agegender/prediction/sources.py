"""Pictures from wherever they lie: files, folders, ZIP archives, uploads.

Pictures come one at a time, so that any number of them needs the memory of one,
and a picture that cannot be read comes as the error that says why, so that it
never stops the rest. Archives are read in place: nothing is unpacked to disk, so
a name within one ("../../x.jpg") is no more than a label.
"""

from __future__ import annotations

import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, Never
from unicodedata import category

from agegender.errors import InvalidImageError
from agegender.images import picture_suffixes, read_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_MEMBER_BYTES = 400_000_000
"""Unpacked size that one picture in an archive may have: that of the largest
picture that is read, uncompressed."""

MAX_ARCHIVE_BYTES = 50_000_000_000
"""Unpacked size that the pictures in one archive may have together."""

MAX_ARCHIVE_FILES = 200_000
"""Files that one archive may list."""

_UNFIT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of what would break a line of a table: control characters, halves of
pairs, and separators of lines."""

_ZIP_START = b"PK\x03\x04"
_EMPTY_ZIP_START = b"PK\x05\x06"

# What damaged archives raise when they are listed or read (found with thousands of them).
_ZIP_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    NotImplementedError, IndexError, OverflowError,
)  # fmt: skip

Source = Path | tuple[str, bytes]
"""A file, folder or ZIP on disk, or the name and the bytes of an upload."""


class Picture(NamedTuple):
    """One picture, or why it could not be read.

    Attributes:
        name: The path as given, for a picture in a folder or an archive
            followed by where it lies in there. Printable.
        content: RGB, uint8, shape (height, width, 3), or the error.
    """

    name: str
    content: NDArray[np.uint8] | InvalidImageError


class _Entry(NamedTuple):
    """A picture that has not been read yet; reading raises `InvalidImageError`."""

    name: str
    read: Callable[[], NDArray[np.uint8]]


def iter_pictures(
    sources: Iterable[Source], *, skip: Callable[[str], bool] = lambda name: False
) -> Iterator[Picture]:
    """Read pictures one after the other.

    A path or upload that is named is always tried. Folders are searched with all
    that is in them, in sorted order, and like archives for files with a picture's
    ending; hidden files and the notes that macOS leaves are passed over.

    Args:
        sources: What to read, in order.
        skip: Asked once for each picture, by its name, before it is read; passes
            over it when true.

    Yields:
        Pictures and errors. A folder or archive without pictures is an error too.
    """
    for source in sources:
        for name, read in _entries(source):
            if skip(name):
                continue
            try:
                yield Picture(name, read())
            except InvalidImageError as error:
                yield Picture(name, error)


def is_wanted(name: str) -> bool:
    """Tell pictures, and archives, from everything else in a folder or a ZIP.

    Args:
        name: Of the file, with the folders that it lies in there.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if any(part == "__MACOSX" or _is_hidden(part) for part in path.parts):
        return False
    return _is_picture(path.name) or path.suffix.lower() == ".zip"


def _entries(source: Source) -> Iterator[_Entry]:
    """Find the pictures in a file, folder, ZIP or upload."""
    if isinstance(source, Path):
        # `Path.is_dir` raises where a name is too long or a folder is locked.
        yield from _in_folder(source) if os.path.isdir(source) else _in_file(source)
        return
    name, data = _printable(source[0]), source[1]
    if _is_archive(name, data):
        yield from _in_archive(name, io.BytesIO(data))
    else:
        yield _Entry(name, partial(read_image, data, name=name))


def _in_folder(folder: Path) -> Iterator[_Entry]:
    """Find the pictures and those in archives below a folder, in sorted order."""
    empty = True
    refused: list[OSError] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, onerror=refused.append, followlinks=True):
        try:
            status = os.stat(parent)
        except OSError as gone:  # since it was listed
            refused.append(gone)
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in visited:
            # A link to a folder that has been read, perhaps to one that holds it.
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            path = Path(parent, name)
            if is_wanted(name):
                empty = False
                yield from _in_file(path)
    for error in refused:
        empty = False
        name = _printable(str(error.filename))
        reason = (
            f"{name}: the folder was removed while it was read."
            if isinstance(error, FileNotFoundError)
            else f"{name}: the folder cannot be read ({error.strerror}); check its permissions."
        )
        yield _refused(name, reason)
    if empty:
        yield _no_picture(_name(folder), "folder")


def _in_file(path: Path) -> Iterator[_Entry]:
    """Find the pictures in one file: itself, or those in an archive."""
    name = _name(path)
    # Opening a pipe or a device could wait for ever.
    if os.path.exists(path) and not os.path.isfile(path):
        yield _refused(name, f"{name}: not a file; choose a picture.")
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP_START))
    except OSError:
        # Reading the picture meets the same error and puts it into words.
        yield _Entry(name, partial(read_image, path, name=name))
        return
    if _is_archive(name, start):
        yield from _in_archive(name, path)
    else:
        yield _Entry(name, partial(read_image, path, name=name))


def _in_archive(name: str, file: Path | io.BytesIO) -> Iterator[_Entry]:
    """Find the pictures in a ZIP, in the order of their names."""
    try:
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
            members = [one for one in listed if not one.is_dir() and is_wanted(one.filename)]
            _check_archive(name, len(listed), members)
            if not members:
                yield _no_picture(name, "ZIP")
            for member in sorted(members, key=lambda member: member.filename):
                label = _printable(f"{name}/{member.filename}")
                yield _Entry(label, partial(_read_member, label, archive, member))
    except InvalidImageError as error:
        yield _refused(name, str(error))
    except _ZIP_DAMAGE as error:
        yield _refused(name, f"{name}: the ZIP is damaged ({error}); pack or download it again.")


def _check_archive(name: str, files: int, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would keep the machine busy for ever."""
    if files > MAX_ARCHIVE_FILES:
        raise InvalidImageError(
            f"{name}: {files:,} files are too many for one ZIP; "
            f"split it into parts of at most {MAX_ARCHIVE_FILES:,}."
        )
    total = sum(member.file_size for member in members)
    if total > MAX_ARCHIVE_BYTES:
        raise InvalidImageError(
            f"{name}: unpacks to {total / 1e9:.0f} GB; "
            f"split it into parts of at most {MAX_ARCHIVE_BYTES / 1e9:.0f} GB."
        )


def _read_member(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.uint8]:
    """Read one picture in a ZIP."""
    if PurePosixPath(member.filename).suffix.lower() == ".zip":
        reason = f"{name}: a ZIP within a ZIP is not opened; unpack it and choose the inner one."
    elif member.flag_bits & 0x1:
        reason = f"{name}: is locked with a password; unpack the ZIP and choose the folder."
    elif member.file_size > MAX_MEMBER_BYTES:
        reason = (
            f"{name}: unpacks to {member.file_size / 1e6:,.0f} MB, which no picture needs "
            f"(at most {MAX_MEMBER_BYTES / 1e6:,.0f} MB); take it out of the ZIP."
        )
    else:
        try:
            # No more than the size given in the directory is ever unpacked.
            data = archive.read(member)
        except _ZIP_DAMAGE as error:
            why = str(error) or "it ends too early"
            reason = f"{name}: cannot be unpacked ({why}); pack the ZIP again."
        else:
            return read_image(data, name=name)
    raise InvalidImageError(reason)


def _no_picture(name: str, kind: str) -> _Entry:
    """Say that a folder or archive holds nothing to read."""
    return _refused(name, f"{name}: there is no picture in this {kind}; choose another.")


def _refused(name: str, reason: str) -> _Entry:
    """Make an entry that cannot be read."""

    def read() -> Never:
        raise InvalidImageError(reason)

    return _Entry(name, read)


def _is_archive(name: str, start: bytes) -> bool:
    """Tell archives, under any name, and what should be one but is damaged."""
    return start.startswith((_ZIP_START, _EMPTY_ZIP_START)) or name.lower().endswith(".zip")


def _is_picture(name: str) -> bool:
    return not _is_hidden(name) and PurePosixPath(name).suffix.lower() in picture_suffixes()


def _is_hidden(name: str) -> bool:
    # Two dots lead a level up, and hide nothing.
    return name.startswith(".") and name != ".."


def _name(path: Path) -> str:
    return _printable(path.as_posix())


def _printable(name: str) -> str:
    """Make any file name fit for a line of a table in UTF-8."""
    text = name.encode("utf-8", "surrogateescape")
    decoded = text.decode("utf-8", "replace")
    # Other spaces and joiners are parts of names, by which the file must be found again.
    return "".join("\ufffd" if category(letter) in _UNFIT else letter for letter in decoded)

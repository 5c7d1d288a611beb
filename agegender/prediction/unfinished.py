"""A table that is being made, and goes on after a stop or a kill where it was.

What is finished lies in a folder beside the table, `answers.csv.unfinished` for
`answers.csv`: one line of JSON a photo, written when it is answered (some photos are answered
together). A kill can cut off the last line only, which the next time drops. When every photo
is in, the table is written in one go and the folder is removed.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from agegender.errors import StorageError
from agegender.prediction.tables import Row, check_replaceable, table_rows, write_table
from agegender.storage import storage_errors

if TYPE_CHECKING:
    from typing import BinaryIO

    from agegender.prediction.photos import PhotoAnswer

SUFFIX = ".unfinished"

_LINES, _LOCK = "photos.jsonl", ".lock"


class UnfinishedTable:
    """The photos that are finished, and the place for more; see `open_unfinished`.

    Attributes:
        folder: Where they are kept.
        finished: How many photos an earlier call finished.
        errors: Why those of them that could not be read could not.
        faceless: In how many of the others no face was found.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.folder = path.with_name(path.name + SUFFIX)
        self.finished = 0
        self.errors: list[str] = []
        self.faceless = 0
        self._path = path
        self._settings = dict(settings)
        self._names: Counter[str] = Counter()
        self._file: BinaryIO | None = None

    def was_finished(self, name: str) -> bool:
        """Tell whether an earlier call finished a photo; to be asked once for each.

        Names are counted: two photos of one name are two photos.
        """
        if not self._names[name]:
            return False
        self._names[name] -= 1
        return True

    def add(self, answer: PhotoAnswer) -> None:
        """Keep a photo's rows.

        Raises:
            StorageError: If the disk refuses.
        """
        assert self._file is not None, "open_unfinished has closed it"
        line = {"file": answer.file, "error": answer.error, "rows": table_rows(answer)}
        with storage_errors(self.folder):
            self._write(line)

    def write_table(self) -> None:
        """Write the table of all photos and remove what was kept for it.

        Raises:
            StorageError: If the disk refuses.
        """
        write_table(self.rows(), self._path)
        self.remove()

    def remove(self) -> None:
        """Remove what was kept: it is in a table."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self) -> None:
        """Read what an earlier call kept, and drop what is of no use."""
        lines = self.folder / _LINES
        self._file = lines.open("r+b" if lines.exists() else "w+b")
        end = 0
        for number, line in enumerate(self._file):
            kept = _parse(line)
            if kept is None:
                break
            if number == 0:
                if kept != self._settings:
                    raise StorageError(
                        f"{self.folder} holds what was finished for other photos, another model "
                        "or other options; repeat that command to go on with it, or remove the "
                        "folder to begin anew."
                    )
            else:
                self._names[kept["file"]] += 1
                if kept["error"] is not None:
                    self.errors.append(kept["error"])
                else:
                    self.faceless += kept["rows"][0]["face"] is None
            end += len(line)
        self.finished = self._names.total()
        self._file.seek(end)
        self._file.truncate()
        if end == 0:
            self._write(self._settings)

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line).encode() + b"\n")
        # The system keeps what it has been given when the process is killed.
        self._file.flush()

    def rows(self) -> Iterator[Row]:
        """Read the rows of all photos back, one photo after the other."""
        with (self.folder / _LINES).open("rb") as file:
            next(file)
            for line in file:
                yield from json.loads(line)["rows"]


@contextmanager
def open_unfinished(path: Path, settings: Mapping[str, Any]) -> Iterator[UnfinishedTable]:
    """Begin a table, or go on with what an earlier call left of it.

    Args:
        path: The table to write.
        settings: What must be the same for going on, as JSON knows it: model,
            options, pictures.

    Yields:
        The table. Without `write_table` everything is kept for the next call.

    Raises:
        StorageError: If the disk refuses, another process writes this table,
            what is left of it was made with other settings, or the table would
            replace something else.
    """
    table = UnfinishedTable(path, settings)
    check_replaceable(path)
    with storage_errors(table.folder):
        table.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(table.folder / _LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise StorageError(
                f"{path} is being written by another process; wait for it or name another file."
            ) from None
    try:
        with storage_errors(table.folder):
            table._open()
        yield table
    finally:
        try:
            with storage_errors(table.folder):
                if table._file is not None:
                    # Tries once more to write what a full disk has refused.
                    table._file.close()
        finally:
            lock.release()


def _parse(line: bytes) -> dict[str, Any] | None:
    """Read a line; None when a kill or a crash left no whole one."""
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None

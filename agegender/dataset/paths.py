"""Paths that somebody has typed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from agegender.errors import DatasetError

_LETTERS_SHOWN = 120
"""Of a path, in an error message."""


def look_up(text: str) -> Path:
    """Return the path that somebody typed; nothing need be there.

    Args:
        text: A folder or a file; `~` stands for a user's home.

    Returns:
        The path, whose home is filled in.

    Raises:
        DatasetError: If it cannot be a path: it is too long, leads through a folder
            that may not be looked into, or names a user who does not exist.
    """
    try:
        path = Path(text).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
    # Of a user who does not exist Python says RuntimeError, of a zero byte ValueError.
    except (OSError, RuntimeError, ValueError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        shown = text if len(text) <= _LETTERS_SHOWN else f"{text[:_LETTERS_SHOWN]} …"
        raise DatasetError(f"{shown} cannot be opened ({reason}); check the path.") from error
    return path

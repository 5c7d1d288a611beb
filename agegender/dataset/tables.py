"""Tables about a dataset folder that are kept in the workspace, as Parquet."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agegender.config import workspace_dir
from agegender.storage import replacing


def folder_key(folder: Path) -> str:
    """Return 16 hexadecimal digits that tell folders apart, however a path is spelt."""
    path = str(folder.resolve()).encode(errors="surrogateescape")
    return hashlib.sha256(path).hexdigest()[:16]


def table_path(folder: Path, kind: str) -> Path:
    """Return where a table about a dataset folder is kept.

    Args:
        folder: The dataset folder.
        kind: What the table holds and its version; part of the file's name.
    """
    return workspace_dir() / "indexes" / f"{kind}-{folder_key(folder)}.parquet"


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    """Read a kept table.

    Args:
        path: What `write_table` wrote.
        columns: The columns that it must have, in this order.

    Returns:
        The table, or None if there is none, it is damaged (its pages carry
        checksums) or has other columns: it is then made anew.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    # ArrowInvalid is a ValueError; a missing file is an OSError.
    except (OSError, ValueError, pa.ArrowException):
        return None
    return table.to_pandas() if tuple(table.column_names) == columns else None


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Keep a table, whole or not at all.

    Raises:
        StorageError: If the disk refuses.
    """
    with replacing(path) as part:
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        pq.write_table(arrow, part, compression="zstd", write_page_checksum=True)

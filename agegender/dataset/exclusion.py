"""Lists of faces that training leaves out because their labels look wrong.

A list is a CSV file with `file`, `sha256` and `reason`. Only `sha256` decides,
so that a list holds wherever the same pictures lie and whatever their names
are; exact copies of a listed picture go with it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from agegender.config import workspace_dir
from agegender.dataset.tables import folder_key
from agegender.errors import DatasetError
from agegender.storage import write_text

COLUMNS = ("file", "sha256", "reason")


def exclusions_dir() -> Path:
    """Return where the app keeps the lists that it offers for training."""
    return workspace_dir() / "exclusions"


def exclusions_file(dataset_folder: Path) -> Path:
    """Return where the app keeps its list of a dataset's faces."""
    name = dataset_folder.resolve().name
    return exclusions_dir() / f"{name}-{folder_key(dataset_folder)[:8]}.csv"


def kept_exclusions() -> list[Path]:
    """Return the lists that the app keeps, by name."""
    return sorted(exclusions_dir().glob("*.csv"))


def exclusions_text(faces: pd.DataFrame) -> str:
    """Write a list as CSV.

    Args:
        faces: With `COLUMNS`.
    """
    return faces[list(COLUMNS)].to_csv(index=False)


def write_exclusions(faces: pd.DataFrame, path: Path) -> None:
    """Save a list.

    Args:
        faces: With `COLUMNS`.
        path: The CSV file.

    Raises:
        StorageError: If the disk refuses.
    """
    write_text(path, exclusions_text(faces))


def change_exclusions(path: Path, *, added: pd.DataFrame, removed: Collection[str]) -> pd.DataFrame:
    """Return a saved list with changes, whatever others have put there in the meantime.

    Args:
        path: The CSV file, which need not be there yet.
        added: Faces to list as well, with `COLUMNS`.
        removed: SHA-256 of faces that are to be listed no more.

    Returns:
        The new list, with `COLUMNS`.

    Raises:
        DatasetError: If the file cannot be read, or holds something else.
    """
    if not path.exists():
        return added[list(COLUMNS)]
    earlier = _read(path).reindex(columns=list(COLUMNS), fill_value="")
    kept = earlier[~earlier["sha256"].isin({*removed, *added["sha256"]})]
    return pd.concat([kept, added[list(COLUMNS)]], ignore_index=True)


def read_exclusions(path: Path) -> frozenset[str]:
    """Read which pictures a list names.

    Args:
        path: A CSV file with the column `sha256`; other columns are passed over.

    Returns:
        Their SHA-256, in lower case.

    Raises:
        DatasetError: If it cannot be read, or holds something else.
    """
    return frozenset(_read(path)["sha256"])


def _read(path: Path) -> pd.DataFrame:
    """Read a list as text."""
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
        if "sha256" not in table:
            raise ValueError("it has no column sha256")
    # What pandas raises on text that is no such table is a ValueError.
    except (OSError, ValueError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise DatasetError(
            f"The exclusion list {path} cannot be read ({reason}); name a CSV file with the "
            "column sha256, as `python -m agegender labels --output FILE` writes it."
        ) from error
    hashes = table["sha256"].str.strip().str.lower()
    wrong = hashes[~hashes.str.fullmatch("[0-9a-f]{64}")]
    if len(wrong):
        raise DatasetError(
            f"The exclusion list {path} cannot be used: {wrong.iloc[0]!r} in row "
            f"{wrong.index[0] + 1} is no SHA-256 (64 hexadecimal digits); correct or "
            "delete the row."
        )
    return table.assign(sha256=hashes)


def leave_out(faces: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Take the listed faces away.

    Args:
        faces: Train faces, rows of `Dataset.faces`.
        path: The list.

    Returns:
        The others, numbered from 0.

    Raises:
        DatasetError: If the list cannot be read, or names every face.
    """
    rest = faces[~faces["sha256"].isin(read_exclusions(path))].reset_index(drop=True)
    if len(faces) and rest.empty:
        raise DatasetError(
            f"The exclusion list {path} names all {len(faces):,} train faces; name a shorter one."
        )
    return rest

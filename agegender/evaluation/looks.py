"""The log of looks at a test split: each one spends some of its honesty."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from agegender.evaluation.kept import tables_folder
from agegender.storage import storage_errors

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from agegender.training.run import Run


@dataclass(frozen=True)
class Look:
    """One look at a test split.

    Attributes:
        when: Unix seconds.
        dataset: The folder.
        split: "test" or "all".
        n: Faces of the test split that were looked at.
    """

    when: float
    dataset: str
    split: str
    n: int


def read_looks(run: Run) -> list[Look]:
    """Return every look at a test split with a run's model, oldest first.

    A line that was cut off by a full disk or a kill is left out.
    """
    try:
        lines = _log_file(run).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    reads = []
    for line in lines:
        try:
            reads.append(Look(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return reads


def _log_file(run: Run) -> Path:
    return tables_folder(run) / "test-reads.jsonl"


def log_look(run: Run, folder: Path, split: str, faces: pd.DataFrame) -> None:
    """Write down a look at the test split, if it is one.

    Args:
        run: Whose model was looked at.
        folder: The dataset folder.
        split: What was asked for.
        faces: Those that were looked at, with `split`.

    Raises:
        StorageError: If the disk refuses.
    """
    looked_at = int((faces["split"] == "test").sum())
    if not looked_at:
        return
    read = Look(time.time(), str(folder), split, looked_at)
    path = _log_file(run)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # One short line is written in one step; the log itself is never rewritten. It begins
        # with a line break, as a full disk may have cut the line before it short.
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(asdict(read), ensure_ascii=False) + "\n")

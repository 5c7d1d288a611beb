"""Where results about a run are kept, and what their names tell of its model.

Results that take minutes are kept part by part: a kill loses one part, a rerun none.
The parts of a measurement are files in a folder of their own. Its name tells the
model, the faces and their labels, so that nothing is ever taken for something else.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agegender.config import workspace_dir

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from agegender.training.run import Run

PREDICTIONS_VERSION = 2
"""Part of the names of saved results; raised when the same model would answer otherwise."""

LABELS = ("file", "sha256", "age", "gender", "race")
"""What is known of the faces that are measured."""


def tables_folder(run: Run) -> Path:
    """Return where tables about a run are kept; the shipped run is not written to."""
    return workspace_dir() / "shipped-run" if run.is_shipped else run.folder


def model_key(run: Run) -> str:
    """Tell a model from every other by all of a run that decides its answers.

    Args:
        run: A run with trained heads; of its backbone, the hash alone is read.

    Returns:
        A SHA-256, as hex.

    Raises:
        ModelNotFoundError: If the run has no heads yet.
        InvalidModelError, RunError: If its backbone is not what it was trained on.
    """
    data = run.need_heads().read_bytes()
    if run.uncertainty_file.exists():
        data += run.uncertainty_file.read_bytes()
    version = f"{PREDICTIONS_VERSION}:{run.weights().sha256}:"
    return hashlib.sha256(version.encode() + data).hexdigest()


def kept_folder(run: Run, kind: str, split: str, faces: pd.DataFrame, settings: str) -> Path:
    """Return where the parts of a measurement are kept.

    Args:
        run: The run that is measured.
        kind: One word for the measurement.
        split: The split that the faces are of.
        faces: Those measured, with labels.
        settings: All else that decides the results, the method's version included.

    Raises:
        ModelNotFoundError: If the run has no heads yet.
        InvalidModelError, RunError: If its backbone is not what it was trained on.
    """
    digest = hashlib.sha256(model_key(run).encode())
    digest.update(f"{settings}:".encode())
    digest.update(faces[list(LABELS)].to_csv(index=False).encode(errors="surrogateescape"))
    return tables_folder(run) / kind / f"{split}-{len(faces)}-{digest.hexdigest()[:16]}"


def kept_counts(run: Run, kind: str, split: str) -> list[int]:
    """Return the numbers of faces that there are results for, of any model, largest first."""
    folders = (tables_folder(run) / kind).glob(f"{split}-*-*")
    return sorted({int(folder.name.split("-")[1]) for folder in folders}, reverse=True)

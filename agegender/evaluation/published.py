"""The shipped run's figures on test faces, which travel with it.

They tell how good it is where there are no faces to measure it on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender.errors import RunError
from agegender.evaluation.kept import model_key
from agegender.model.tensors import read_metadata
from agegender.storage import write_json

if TYPE_CHECKING:
    from agegender.training.run import Run

PUBLISHED_FILE = "test.json"
"""Beside the run's heads; it names the model, so that no other one's figures are told."""

_METRICS = ("n", "age", "gender", "uncertainty")


def publish(report: Path, run: Run) -> Path:
    """Keep the figures of a report with the run that it is of.

    Args:
        report: What `report.write_report` wrote about all test faces.
        run: The run.

    Returns:
        The file.

    Raises:
        RunError: If the folder is no such report.
        ModelNotFoundError, InvalidModelError: If the run has no model.
        StorageError: If the disk refuses.
    """
    # Drawing takes seconds to import, which whoever reads need not wait for.
    from agegender.evaluation.report import METRICS_FILE, RECORD_FILE

    try:
        record = json.loads((report / RECORD_FILE).read_text(encoding="utf-8"))
        metrics = json.loads((report / METRICS_FILE).read_text(encoding="utf-8"))
        measured = tuple(record[name] for name in ("model", "split", "limit", "split_hash"))
        figures = {"about": record["about"], **{name: metrics[name] for name in _METRICS}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{report} is not a report ({error}); `python generate_results.py` writes one."
        ) from error
    model = model_key(run)
    split_hash = read_metadata(run.heads_file)["split_hash"]
    if measured != (model, "test", None, split_hash):
        raise RunError(
            f"{report} is not of run {run.id} as it is now, on all test faces of what it was "
            f"trained on; write it with `python generate_results.py --run {run.id} --split test`."
        )
    file = run.folder / PUBLISHED_FILE
    write_json(file, {"model": model, **figures})
    return file


def read_published(run: Run) -> dict[str, Any] | None:
    """Return what `publish` kept.

    Args:
        run: Any run.

    Returns:
        `n`, `age`, `gender` and `uncertainty` of `metrics.compute_metrics`, and `about`,
        which says how the figures came about (`report.write_report`); None if nothing was
        published, or it is damaged or of another model.

    Raises:
        ModelNotFoundError, InvalidModelError, RunError: If figures were published, but the
            run has no model.
    """
    try:
        published = json.loads((run.folder / PUBLISHED_FILE).read_text(encoding="utf-8"))
        model = published["model"]
        figures = {name: published[name] for name in ("about", *_METRICS)}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return figures if model == model_key(run) else None

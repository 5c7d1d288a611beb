"""The report: figures, tables and one HTML page, as a folder of files."""

from __future__ import annotations

import io
import json
import platform
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agegender import __version__
from agegender.config import SEED
from agegender.errors import StorageError
from agegender.evaluation.evaluated_faces import TRAIN_NOTE
from agegender.evaluation.fairness import compute_fairness, fairness_tables, validation_of
from agegender.evaluation.html import render_report
from agegender.evaluation.kept import model_key
from agegender.evaluation.looks import read_looks
from agegender.evaluation.metrics import compute_metrics, training_floors
from agegender.evaluation.photos import answer_photos, photo_metrics
from agegender.evaluation.predictions import predict_faces
from agegender.evaluation.sections import SECTIONS
from agegender.evaluation.sections.base import Evaluation
from agegender.evaluation.sections.overview import headlines
from agegender.evaluation.tables import all_tables, markdown
from agegender.evaluation.uncertainty import constant_half_width
from agegender.prediction.predictor import load_predictor
from agegender.storage import replacing, storage_errors, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from agegender.dataset.dataset import Dataset
    from agegender.training.run import Run

RECORD_FILE = "report.json"
"""Names every file of a report; by it a folder is known as one of ours."""

METRICS_FILE = "metrics.json"
PAGE_FILE = "report.html"

PNG_DPI = 160

LIBRARIES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn")


def write_report(
    run: Run,
    dataset: Dataset,
    split: str,
    output: Path,
    *,
    limit: int | None = None,
    seed: int = SEED,
    photos: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Evaluate a run and write the report, whole or not at all.

    The folder gets `metrics.json`, `predictions.csv`, `tables/` (CSV and
    Markdown), `figures/` (PNG and SVG), `report.html`, which needs none of the
    others, and `report.json`, which says how the figures came about. An
    earlier report there is replaced; a folder with anything else is not touched.

    Args:
        run: A run with trained heads.
        dataset: Need not be the one that the run was trained on.
        split: "train", "validation", "test" or "all".
        output: The folder to write.
        limit: At most so many faces, drawn by the seed; None for all.
        seed: Of the draw, the samples and the bootstrap.
        photos: A folder of labelled whole photos to measure as well (see
            `evaluation.photos`).
        on_progress: Called with (done, total) while faces are predicted, and anew
            while photos are.

    Returns:
        The HTML page.

    Raises:
        StorageError: If the folder holds other files, or the disk refuses.
        DatasetError: If the split holds no face that can be read, or the photos'
            labels cannot be used.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
        ValueError: If the split is unknown or the limit is below 1.
    """
    output = output.resolve()
    check_output(output)
    # First, as their labels are the likeliest to be wrong.
    answered = None
    if photos is not None:
        answered = answer_photos(load_predictor(run), photos, on_progress=on_progress)
    predictions = predict_faces(
        run, dataset, split, limit=limit, seed=seed, on_progress=on_progress
    )
    metrics = compute_metrics(
        predictions,
        floors=training_floors(dataset),
        constant=constant_half_width(run),
        seed=seed,
    )
    validation = validation_of(run, dataset, on_progress=on_progress)
    metrics |= compute_fairness(predictions, validation=validation, seed=seed)
    if answered is not None:
        metrics["photos"] = photo_metrics(answered, seed=seed)
    evaluation = Evaluation(run, dataset, split, limit, seed, predictions, metrics, answered)
    with replacing(output) as part:
        part.mkdir()
        _write_files(part, evaluation)
        # Once more: somebody may have put files there in the meantime.
        check_output(output)
    return output / PAGE_FILE


def pack_report(folder: Path) -> bytes:
    """Pack a report, to be handed to a browser.

    Args:
        folder: What `write_report` wrote.

    Returns:
        A ZIP of all that is in it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def check_output(output: Path) -> None:
    """Refuse to replace anything but a report.

    Args:
        output: Where a report is to be written; may be missing or empty.

    Raises:
        StorageError: If the folder holds a file that no report wrote.
    """
    with storage_errors(output):
        if not output.exists():
            return
        if not output.is_dir():
            raise StorageError(f"{output} is a file, not a folder; name another folder.")
        found = [path for path in sorted(output.rglob("*")) if not path.is_dir()]
    try:
        record = json.loads((output / RECORD_FILE).read_text(encoding="utf-8"))
        ours = {*record["files"], RECORD_FILE}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    names = (path.relative_to(output).as_posix() for path in found)
    stranger = next((name for name in names if name not in ours), None)
    if stranger is not None:
        raise StorageError(
            f"{output} holds files that are not of a report ({stranger}); name another folder or "
            "move them away."
        )


def _write_files(folder: Path, evaluation: Evaluation) -> None:
    metrics, predictions = evaluation.metrics, evaluation.predictions
    about = _about(evaluation)
    write_json(folder / METRICS_FILE, metrics)
    predictions.to_csv(folder / "predictions.csv", index=False, float_format="%.6g")
    (folder / "tables").mkdir()
    for name, (numbers, text) in {**all_tables(metrics), **fairness_tables(metrics)}.items():
        numbers.to_csv(folder / "tables" / f"{name}.csv", index=False)
        (folder / "tables" / f"{name}.md").write_text(markdown(text), encoding="utf-8")
    (folder / "figures").mkdir()

    def draw(name: str, figure: Figure, caption: str) -> tuple[str, str]:
        return _save(figure, folder / "figures", name), caption

    sections = [section for make in SECTIONS for section in make(evaluation, draw)]
    page = render_report(
        title="How well age and gender are told",
        lead=_lead(evaluation),
        banners=_banners(evaluation),
        headlines=headlines(metrics),
        sections=sections,
        about=about,
    )
    (folder / PAGE_FILE).write_text(page, encoding="utf-8")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    measured = {
        "model": model_key(evaluation.run),
        "split": evaluation.split,
        "limit": evaluation.limit,
        "split_hash": evaluation.dataset.split_hash,
    }
    write_json(folder / RECORD_FILE, {"about": about, **measured, "files": names})


def _save(figure: Figure, folder: Path, name: str) -> str:
    """Write a figure as PNG and SVG, and return the latter's text for the page."""
    figure.savefig(folder / f"{name}.png", dpi=PNG_DPI)
    # All is in its place now; finding the places again would take half of the time.
    figure.set_layout_engine("none")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=PNG_DPI, metadata={"Date": None})
    text = buffer.getvalue()
    (folder / f"{name}.svg").write_text(text, encoding="utf-8")
    return text


def _lead(evaluation: Evaluation) -> str:
    faces = "faces of all splits" if evaluation.split == "all" else f"{evaluation.split} faces"
    return (
        f"Run {evaluation.run.id} on {evaluation.metrics['n']:,} {faces} of "
        f"{evaluation.dataset.folder.name}."
    )


def _banners(evaluation: Evaluation) -> list[str]:
    """Say what keeps the figures from meaning what they seem to."""
    banners = []
    if not evaluation.run.weights().has_skill:
        banners.append(
            "The backbone's weights are random: these figures show that the pipeline works, "
            "and nothing about what a trained model can do."
        )
    if evaluation.dataset.is_demo:
        banners.append(
            "These are demo faces, drawn by a program: the figures say nothing about people."
        )
    elif evaluation.run.knows_only_drawings:
        banners.append(
            "The model was trained on demo faces, drawn by a program: its figures say nothing "
            "about what a model trained on people can do."
        )
    if evaluation.predictions["split"].eq("train").any():
        banners.append(TRAIN_NOTE)
    return banners


def _about(evaluation: Evaluation) -> dict[str, str]:
    """Say how the figures came about, for the page and for whoever repeats them."""
    run, dataset = evaluation.run, evaluation.dataset
    weights, left_out = run.weights(), evaluation.left_out()
    drawn = "" if evaluation.limit is None else f", at most {evaluation.limit:,} faces"
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return {
        "Made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "Run": run.id,
        "Backbone weights": f"{weights.name}, SHA-256 {weights.sha256}",
        "Input": f"{weights.spec.size} x {weights.spec.size} pixels, "
        f"the middle {weights.spec.crop:.0%} of the frame",
        "Answers": "averaged over each face and its mirror image",
        "Trained on": Path(run.config.dataset).name,
        "Evaluated on": f"{dataset.folder.name}, split {evaluation.split}{drawn}",
        "Left out": f"{left_out.seen:,} faces that the model was trained on, "
        f"{left_out.copies:,} copies of others, "
        f"{left_out.unreadable:,} whose pictures could not be read",
        "Split": f"SHA-256 {dataset.split_hash}",
        "Looks at a test split so far": f"{len(read_looks(run)):,}",
        "Seed": str(evaluation.seed),
        "Versions": f"agegender {__version__}, Python {platform.python_version()}, {versions}",
    }

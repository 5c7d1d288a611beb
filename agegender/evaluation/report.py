"""The report: figures, tables and one HTML page, as a folder of files."""

from __future__ import annotations

import io
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from agegender import __version__
from agegender.config import SEED
from agegender.errors import StorageError
from agegender.evaluation import plots
from agegender.evaluation.cards import (
    explained_cards,
    face_cards,
    samples,
    worst_ages,
    worst_genders,
)
from agegender.evaluation.html import Headline, Section, render_report
from agegender.evaluation.metrics import CS_YEARS, compute_metrics, training_floors
from agegender.evaluation.predictions import find_seen, predict_faces, read_test_reads
from agegender.evaluation.tables import (
    age_breakdown,
    all_tables,
    class_table,
    gender_breakdown,
    headline_table,
    markdown,
    percent,
    percent_range,
    year_range,
    years,
)
from agegender.storage import replacing, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from agegender.dataset.dataset import Dataset
    from agegender.training.runs import Run

RECORD_FILE = "report.json"
"""Names every file of a report; by it a folder is known as one of ours."""

METRICS_FILE = "metrics.json"
PAGE_FILE = "report.html"

SAMPLE_CARDS = 8
WORST_CARDS = 12

PNG_DPI = 160

LIBRARIES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class _Evaluation:
    """All that the report's files are made from."""

    run: Run
    dataset: Dataset
    split: str
    limit: int | None
    seed: int
    predictions: pd.DataFrame
    metrics: dict[str, Any]

    def count_seen(self) -> int:
        """Count the split's faces that do not count, since the backbone knows them."""
        faces = self.dataset.of(self.split)
        return int(find_seen(self.run, faces, self.split).sum())


def write_report(
    run: Run,
    dataset: Dataset,
    split: str,
    output: Path,
    *,
    limit: int | None = None,
    seed: int = SEED,
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
        on_progress: Called with (done, total) while faces are predicted.

    Returns:
        The HTML page.

    Raises:
        StorageError: If the folder holds other files, or the disk refuses.
        DatasetError: If the split holds no face that can be read.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
        ValueError: If the split is unknown or the limit is below 1.
    """
    output = output.resolve()
    check_output(output)
    predictions = predict_faces(
        run, dataset, split, limit=limit, seed=seed, on_progress=on_progress
    )
    metrics = compute_metrics(predictions, floors=training_floors(dataset), seed=seed)
    evaluation = _Evaluation(run, dataset, split, limit, seed, predictions, metrics)
    with replacing(output) as part:
        part.mkdir()
        _write_files(part, evaluation)
        # Once more: somebody may have put files there in the meantime.
        check_output(output)
    return output / PAGE_FILE


def check_output(output: Path) -> None:
    """Refuse to replace anything but a report.

    Args:
        output: Where a report is to be written; may be missing or empty.

    Raises:
        StorageError: If the folder holds a file that no report wrote.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise StorageError(f"{output} is a file, not a folder; name another folder.")
    try:
        record = json.loads((output / RECORD_FILE).read_text(encoding="utf-8"))
        ours = {*record["files"], RECORD_FILE}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    found = (path for path in sorted(output.rglob("*")) if not path.is_dir())
    names = (path.relative_to(output).as_posix() for path in found)
    stranger = next((name for name in names if name not in ours), None)
    if stranger is not None:
        raise StorageError(
            f"{output} holds files that are not of a report ({stranger}); name another folder or "
            "move them away."
        )


def _write_files(folder: Path, evaluation: _Evaluation) -> None:
    metrics, predictions = evaluation.metrics, evaluation.predictions
    about = _about(evaluation)
    write_json(folder / METRICS_FILE, metrics)
    predictions.to_csv(folder / "predictions.csv", index=False, float_format="%.6g")
    (folder / "tables").mkdir()
    for name, (numbers, text) in all_tables(metrics).items():
        numbers.to_csv(folder / "tables" / f"{name}.csv", index=False)
        (folder / "tables" / f"{name}.md").write_text(markdown(text), encoding="utf-8")
    (folder / "figures").mkdir()
    sections = _sections(evaluation, folder / "figures")
    page = render_report(
        title="How well age and gender are told",
        lead=_lead(evaluation),
        banners=_banners(evaluation),
        headlines=_headlines(metrics),
        sections=sections,
        about=about,
    )
    (folder / PAGE_FILE).write_text(page, encoding="utf-8")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    write_json(folder / RECORD_FILE, {"about": about, "files": names})


def _save(figure: Figure, folder: Path, name: str) -> str:
    """Write a figure as PNG and SVG, and return the latter's text for the page."""
    figure.savefig(folder / f"{name}.png", dpi=PNG_DPI)
    # All is in its place now; finding the places again would take half of the time.
    figure.set_layout_engine("none")
    buffer = io.StringIO()
    # Without a date, equal figures are equal files.
    figure.savefig(buffer, format="svg", dpi=PNG_DPI, metadata={"Date": None})
    text = buffer.getvalue()
    (folder / f"{name}.svg").write_text(text, encoding="utf-8")
    return text


def _sections(evaluation: _Evaluation, figures: Path) -> list[Section]:
    """Draw every figure and put the page's parts together."""
    predictions, metrics = evaluation.predictions, evaluation.metrics

    def draw(name: str, figure: Figure, caption: str) -> tuple[str, str]:
        return _save(figure, figures, name), caption

    sections = [
        Section(
            "At a glance",
            "Every figure stands beside what an answerer with no skill reaches, who says the "
            "median age and the more frequent gender of the training faces to everyone.",
            tables=[("All faces", headline_table(metrics))],
        ),
        *_samples(evaluation, figures),
        Section(
            "Age",
            "Ages are predicted in years. The mean absolute error (MAE) is the usual yardstick; "
            "the bias says whether faces are taken for older (+) or younger (-) than they are.",
            figures=[
                draw(
                    "age_scatter",
                    plots.plot_age_scatter(predictions),
                    "On the dashed line the predicted age is the true one.",
                ),
                draw(
                    "age_errors",
                    plots.plot_errors(predictions),
                    "Right of the dashed line faces are taken for older than they are.",
                ),
                draw(
                    "age_residuals",
                    plots.plot_residuals(predictions),
                    "The dark line is the mean error of each decade.",
                ),
                *(
                    draw(f"age_error_by_{by}", plots.plot_age_error(metrics, by), caption)
                    for by, caption in (
                        ("band", "Error by age band; lines are 95% intervals."),
                        ("decade", "Error by decade; lines are 95% intervals."),
                        ("race", "Error by race group; lines are 95% intervals."),
                    )
                ),
            ],
            tables=[
                (f"Age, by {words}", age_breakdown(metrics, by))
                for by, words in (
                    ("band", "age band"),
                    ("decade", "decade"),
                    ("race", "race group"),
                )
            ],
        ),
        Section(
            "Gender",
            "The answer is the gender with the larger probability. Intervals of accuracies are "
            "Wilson's.",
            figures=[
                draw(
                    "gender_confusion_matrix",
                    plots.plot_confusion(metrics),
                    "Each row is a true gender and adds up to 100%.",
                ),
                draw(
                    "gender_roc",
                    plots.plot_roc(predictions),
                    "How many males are called female for every share of females found; the "
                    f"area under the curve is {_auc(metrics)}.",
                ),
                draw(
                    "gender_calibration",
                    plots.plot_calibration(predictions),
                    "On the dashed line the model is as sure as it is right.",
                ),
                *(
                    draw(
                        f"gender_accuracy_by_{by}", plots.plot_gender_accuracy(metrics, by), caption
                    )
                    for by, caption in (
                        ("band", "Accuracy by age band; lines are 95% intervals."),
                        ("decade", "Accuracy by decade; lines are 95% intervals."),
                        ("race", "Accuracy by race group; lines are 95% intervals."),
                    )
                ),
            ],
            tables=[
                ("By true gender", class_table(metrics)),
                *(
                    (f"Accuracy, by {words}", gender_breakdown(metrics, by))
                    for by, words in (
                        ("band", "age band"),
                        ("race", "race group"),
                        ("race_and_gender", "race group and gender"),
                    )
                ),
            ],
        ),
        *_mistakes(evaluation, figures),
        Section(
            "The faces",
            "Who was evaluated, by their labels. Groups with few faces have wide intervals.",
            figures=[
                draw("faces_age", plots.plot_age(predictions), "Ages, by gender."),
                draw("faces_balance", plots.plot_balance(predictions), "Age bands, by gender."),
                draw("faces_race", plots.plot_race(predictions), "Race groups."),
            ],
        ),
    ]
    history = evaluation.run.metrics()
    if not history.empty:
        curves = [
            draw(f"training_{measure}", plots.plot_training(history, measure), caption)
            for measure, caption in (
                ("loss", "The weighted sum of both heads' losses."),
                ("age_mae", "Mean absolute age error."),
                ("gender_accuracy", "Share of faces with the right gender."),
            )
        ]
        lead = "Each epoch is one pass over the training faces; validation faces decide the end."
        sections.append(Section("Training", lead, figures=curves))
    return sections


def _samples(evaluation: _Evaluation, figures: Path) -> list[Section]:
    rows = samples(evaluation.predictions, SAMPLE_CARDS, seed=evaluation.seed)
    cards = explained_cards(evaluation.run, evaluation.dataset.folder, rows)
    if not cards:
        return []
    _save(plots.plot_cards(cards, title="Sample predictions with heatmaps"), figures, "samples")
    lead = (
        "Drawn by chance. The first heatmap shows what raises (orange) and what lowers (blue) "
        "the predicted age, the second what speaks for the predicted gender (Grad-CAM)."
    )
    return [Section("Sample predictions", lead, cards=cards)]


def _mistakes(evaluation: _Evaluation, figures: Path) -> list[Section]:
    predictions, crop = evaluation.predictions, evaluation.run.weights().spec.crop
    sections = []
    for name, title, rows, lead in (
        (
            "worst_ages",
            "Worst age mistakes",
            worst_ages(predictions, WORST_CARDS),
            "The faces whose predicted age is off by most. Some labels are wrong themselves.",
        ),
        (
            "worst_genders",
            "Worst gender mistakes",
            worst_genders(predictions, WORST_CARDS),
            "The faces for which the wrong gender was the surest answer.",
        ),
    ):
        cards = face_cards(evaluation.dataset.folder, rows, crop)
        if cards:
            _save(plots.plot_cards(cards, title=title), figures, name)
            sections.append(Section(title, lead, cards=cards))
    return sections


def _headlines(metrics: dict[str, Any]) -> list[Headline]:
    age, gender = metrics["age"], metrics["gender"]
    always = f"no skill (always {gender['floor_gender']})"
    return [
        Headline(
            "Mean absolute age error",
            years(age["mae"]),
            "years",
            [
                f"95%: {year_range(age['mae_ci95'])}",
                f"no skill (always {age['floor_age']:.0f}): {years(age['floor_mae'])}",
            ],
        ),
        Headline(
            f"Within {CS_YEARS} years",
            percent(age["cs5"]),
            "",
            [f"CS@{CS_YEARS}", f"median error: {years(age['median_error'])} years"],
        ),
        Headline(
            "Gender accuracy",
            percent(gender["accuracy"]),
            "",
            [
                f"95%: {percent_range(gender['accuracy_ci95'])}",
                f"{always}: {percent(gender['floor_accuracy'])}",
            ],
        ),
        Headline(
            "Gender accuracy, adults",
            percent(gender["adult_accuracy"]),
            "",
            [
                f"95%: {percent_range(gender['adult_accuracy_ci95'])}",
                f"{always}: {percent(gender['adult_floor_accuracy'])}",
            ],
        ),
    ]


def _auc(metrics: dict[str, Any]) -> str:
    auc = metrics["gender"]["auc"]
    return "not defined for one gender" if auc is None else f"{auc:.3f}"


def _lead(evaluation: _Evaluation) -> str:
    faces = "faces of all splits" if evaluation.split == "all" else f"{evaluation.split} faces"
    return (
        f"Run {evaluation.run.id} on {evaluation.metrics['n']:,} {faces} of "
        f"{evaluation.dataset.folder.name}."
    )


def _banners(evaluation: _Evaluation) -> list[str]:
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
        banners.append(
            "Faces that the model was trained on are among these: the figures are better than "
            "on new faces. Use the test split to report skill."
        )
    return banners


def _about(evaluation: _Evaluation) -> dict[str, str]:
    """Say how the figures came about, for the page and for whoever repeats them."""
    run, dataset = evaluation.run, evaluation.dataset
    weights = run.weights()
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
        "Left out": f"{evaluation.count_seen():,} faces that the backbone was trained on",
        "Split": f"SHA-256 {dataset.split_hash}",
        "Looks at a test split so far": f"{len(read_test_reads(run)):,}",
        "Seed": str(evaluation.seed),
        "Versions": f"agegender {__version__}, Python {platform.python_version()}, {versions}",
    }

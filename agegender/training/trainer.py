"""The work of a training, from a dataset folder to saved heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.dataset.dataset import Dataset, open_dataset
from agegender.dataset.exclusion import leave_out
from agegender.errors import DatasetError
from agegender.model.answer import answer_features
from agegender.model.imagenet import fetch_imagenet
from agegender.model.tensors import save_weights
from agegender.model.weights import IMAGENET, BackboneWeights, file_of_project, find_weights
from agegender.training.features import load_features, mean_features
from agegender.training.finetune import fine_tune
from agegender.training.heads import LabeledFeatures, train_heads
from agegender.training.reporter import Reporter
from agegender.training.run import Run, RunState
from agegender.training.seen import SEEN_NAME, TRAIN_FACES_NAME, seen_file, write_seen
from agegender.uncertainty.familiarity import FITTED_FACES
from agegender.uncertainty.uncertainty import AnsweredFaces, fit_uncertainty, save_uncertainty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.training.config import TrainConfig

EpochCallback = Callable[[dict[str, float]], None]


def train(
    run: Run,
    *,
    on_state: Callable[[RunState], None] | None = None,
    on_epoch: EpochCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> RunState:
    """Do a run's work, or go on with it.

    Features that were computed before are read from the cache; the heads,
    a matter of seconds, are trained from the start.

    Args:
        run: Made by `runs.create_run`.
        on_state: Called with each new state, some times a second.
        on_epoch: Called with each new row of the learning curves.
        should_stop: A reason to stop besides `runs.stop_run`.

    Returns:
        The state in the end: "finished" or "stopped".

    Raises:
        AgeGenderError: What made the run fail; its state says the same.
    """
    config = run.config
    if config.exclude is not None:
        config = replace(config, exclude=str(run.exclusions_file))
    reporter = Reporter(run, on_state=on_state, should_stop=should_stop)
    with reporter:
        if config.backbone == IMAGENET:
            fetch_imagenet()
        dataset = open_dataset(Path(config.dataset), on_progress=reporter.progress_or_stop)
        chosen, excluded = choose_faces(dataset, config), count_excluded(dataset, config)
        work = _Work(run, config, dataset, *chosen, excluded, reporter, on_epoch)
        skipped: list[str] = []
        if config.fine_tune_epochs and not run.backbone_file.exists():
            weights = find_weights(config.backbone)
            heads = work.train_heads_on(weights).heads
            reporter.begin("fine-tuning")
            # For trainings that take the fine-tuned file as theirs. Before it, so that it is
            # never without, and not if it could not be whole.
            earlier = seen_file(config.backbone)
            if earlier is not None or file_of_project(config.backbone) is None:
                seen = run.backbone_file.with_name(SEEN_NAME)
                write_seen(work.train_faces, seen, earlier=earlier)
            skipped = fine_tune(
                dataset,
                work.train_faces,
                weights,
                heads,
                config,
                run.backbone_file,
                on_progress=reporter.progress,
                should_stop=reporter.should_stop,
            )
        weights = run.chosen_weights()
        trained = work.train_heads_on(weights, skipped)
        work.save(trained, weights)
        reporter.finish(trained.message)
    return reporter.state


def choose_faces(dataset: Dataset, config: TrainConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the train and validation faces, all or as many as `config.limit` says.

    What `config.exclude` lists is taken from the train faces alone, so that
    figures on validation faces mean the same with it and without.

    Returns:
        (train faces, validation faces), rows of `dataset.faces`.

    Raises:
        DatasetError: If either is empty, or the list cannot be read.
    """
    splits = {name: dataset.of(name) for name in ("train", "validation")}
    for name, faces in splits.items():
        if faces.empty:
            raise DatasetError(
                f"{dataset.folder} has {len(dataset.faces)} faces, but none of them falls into "
                f"the {name} split; add faces."
            )
    train_faces, validation_faces = splits["train"], splits["validation"]
    if config.limit is not None and config.limit < len(train_faces):
        # By the whole split, so that a list does not change who validates.
        count = max(1, round(len(validation_faces) * config.limit / len(train_faces)))
        validation_faces = _draw(validation_faces, count, config.seed)
    if config.exclude is not None:
        train_faces = leave_out(train_faces, Path(config.exclude))
    if config.limit is not None and config.limit < len(train_faces):
        train_faces = _draw(train_faces, config.limit, config.seed)
    return train_faces, validation_faces


def count_excluded(dataset: Dataset, config: TrainConfig) -> int:
    """Count the train faces that `config.exclude` takes away.

    Raises:
        DatasetError: If the list cannot be read.
    """
    if config.exclude is None:
        return 0
    train_faces = dataset.of("train")
    return len(train_faces) - len(leave_out(train_faces, Path(config.exclude)))


def _draw(faces: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    rows = np.random.default_rng(seed).choice(len(faces), count, replace=False)
    return faces.iloc[np.sort(rows)].reset_index(drop=True)


@dataclass(frozen=True)
class _Trained:
    """Heads, and what else came of their training."""

    heads: Any
    message: str
    train: LabeledFeatures
    selection: LabeledFeatures
    calibration: LabeledFeatures


@dataclass(frozen=True)
class _Work:
    """What the steps of one training share."""

    run: Run
    config: TrainConfig
    dataset: Dataset
    train_faces: pd.DataFrame
    validation_faces: pd.DataFrame
    excluded: int
    reporter: Reporter
    on_epoch: EpochCallback | None

    def train_heads_on(self, weights: BackboneWeights, skipped: Sequence[str] = ()) -> _Trained:
        """Get the features of a backbone and train heads on them.

        Args:
            weights: The backbone.
            skipped: Files that an earlier phase could not read, for the sentence.
        """
        self.reporter.begin("features")
        parts = [self.train_faces, *split_validation(self.validation_faces)]
        faces = pd.concat(parts, ignore_index=True)
        features = load_features(
            self.dataset.folder,
            faces,
            weights,
            on_progress=self.reporter.progress,
            should_stop=self.reporter.should_stop,
        )
        usable = faces[features.usable]
        part_of = np.repeat(range(len(parts)), [len(part) for part in parts])[features.usable]
        ends = np.searchsorted(part_of, range(len(parts) + 1)).tolist()
        # Slices of the map: they cost no memory.
        train, selection, calibration = (
            _label(usable[start:end], features.values[start:end]) for start, end in pairwise(ends)
        )
        for part, labeled in zip(parts, (train, selection), strict=False):
            if not len(labeled.age):
                raise DatasetError(
                    f"{self.dataset.folder}: none of the {len(part)} pictures of the "
                    f"{part['split'].iloc[0]} split can be read; get the dataset again."
                )
        self.reporter.begin("heads")
        history: list[dict[str, float]] = []

        def note_epoch(row: dict[str, float]) -> None:
            history.append(row)
            self.run.write_metrics(history)
            self.reporter.progress(len(history), self.config.epochs)
            if self.on_epoch is not None:
                self.on_epoch(row)

        heads = train_heads(
            train,
            selection,
            self.config,
            on_epoch=note_epoch,
            should_stop=self.reporter.should_stop,
        )
        message = _outcome(
            history, len(selection.age), sorted({*skipped, *features.skipped}), self.excluded
        )
        return _Trained(heads, message, train, selection, calibration)

    def save(self, trained: _Trained, weights: BackboneWeights) -> None:
        """Save the heads with what they were trained on, and how sure they are."""
        write_seen(
            self.train_faces,
            self.run.folder / TRAIN_FACES_NAME,
            earlier=seen_file(self.config.backbone),
        )
        save_weights(
            trained.heads,
            self.run.heads_file,
            metadata={
                # Its name is in the settings, and may be a path of this machine.
                "backbone": {"sha256": weights.sha256, **asdict(weights.spec)},
                "split_hash": self.dataset.split_hash,
                "demo": self.dataset.is_demo,
                "train_faces": len(self.train_faces),
                "excluded_faces": self.excluded,
                "validation_faces": len(self.validation_faces),
            },
        )
        uncertainty = fit_uncertainty(
            mean_features(trained.train.values, FITTED_FACES, seed=self.config.seed),
            _answer(trained.heads, trained.selection),
            _answer(trained.heads, trained.calibration),
            seed=self.config.seed,
        )
        save_uncertainty(
            uncertainty,
            self.run.uncertainty_file,
            heads=self.run.heads_file,
            selection=len(trained.selection.age),
            calibration=len(trained.calibration.age),
        )


def split_validation(faces: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the selection and the calibration half of validation faces.

    The best epoch must be chosen by some face: if all of a few are in the
    calibration half, they are for selection, and nothing can be promised.
    """
    is_calibration = faces["is_calibration"].to_numpy()
    if is_calibration.all():
        is_calibration = ~is_calibration
    return faces[~is_calibration], faces[is_calibration]


def _label(faces: pd.DataFrame, values: NDArray[np.float32]) -> LabeledFeatures:
    """Put labels to the features of some faces, of which there may be none."""
    return LabeledFeatures(
        values,
        np.arange(len(values)),
        faces["age"].to_numpy(np.float32),
        faces["gender"].to_numpy(np.int64),
    )


def _answer(heads: Any, labeled: LabeledFeatures) -> AnsweredFaces:
    return AnsweredFaces(answer_features(heads, labeled.values), labeled.age, labeled.gender)


def _outcome(
    history: list[dict[str, float]], selection: int, skipped: list[str], excluded: int
) -> str:
    """Say in a sentence or two what came of a training."""
    best = min(history, key=lambda row: row["val_loss"])
    message = (
        f"Best epoch {best['epoch']:.0f}: {best['val_age_mae']:.1f} years off on the "
        f"{selection:,} validation faces that chose it, {best['val_gender_accuracy']:.1%} of "
        "genders right."
    )
    if excluded:
        message += f" Train faces left out by the exclusion list: {excluded:,}."
    if skipped:
        message += (
            f" Pictures that could not be read and were left out: {len(skipped)}, "
            f"first {skipped[0]}."
        )
    return message

"""The pretraining itself: a loop that can be killed at any moment and goes on.

It resumes from its last checkpoint with the pictures, changes and learning rate
that it would have had: all chance is drawn from the seed, the epoch and the
sample's number, and the step is the optimizer's own counter, saved in the same
file as the weights.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from agegender.config import ADULT_AGE_YEARS, workspace_dir
from agegender.errors import RunError
from agegender.model.answer import answered_gender, probability_of_female
from agegender.pretraining.devices import EVALUATION_BATCH, shared_among_devices
from agegender.pretraining.network import (
    AGE_CLASSES,
    averaged,
    build_network,
    compile_network,
)
from agegender.pretraining.pixels import Workers, augmenting, batches, frame_side, load_pixels
from agegender.pretraining.recipe import Recipe, learning_rate_knots, plan_epochs
from agegender.pretraining.start import start_from
from agegender.storage import replacing, write_json, write_text
from agegender.training.seen import SEEN_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.pretraining.samples import Samples

CHECKPOINT_SECONDS = 240
"""A kill costs at most this much work; a checkpoint takes a second or two."""


@dataclass(frozen=True)
class Pretraining:
    """The folder of one pretraining and the files in it."""

    folder: Path

    @property
    def recipe_file(self) -> Path:
        """The recipe, JSON."""
        return self.folder / "recipe.json"

    @property
    def samples_file(self) -> Path:
        """The faces, Parquet (`samples.Samples.table`)."""
        return self.folder / "samples.parquet"

    @property
    def excluded_file(self) -> Path:
        """Extra faces that were left out, JSON (`samples.Samples.excluded`)."""
        return self.folder / "excluded.json"

    @property
    def checkpoint(self) -> Path:
        """Network and optimizer after the last saved step, in Keras' format."""
        return self.folder / "checkpoint.weights.h5"

    @property
    def answers_folder(self) -> Path:
        """What a teacher has said so far, until all of it is among the faces."""
        return self.folder / "teacher"

    @property
    def start_file(self) -> Path:
        """The weights that it goes on from, if any; their JSON and `SEEN_NAME` are beside them."""
        return self.folder / "start" / "backbone.safetensors"

    @property
    def metrics_file(self) -> Path:
        """One row an epoch, CSV."""
        return self.folder / "metrics.csv"

    @property
    def curves_file(self) -> Path:
        """The same drawn, SVG."""
        return self.folder / "curves.svg"

    @property
    def recipe(self) -> Recipe:
        """The recipe as it was saved.

        Raises:
            RunError: If it cannot be read.
        """
        return read_recipe(self.recipe_file)

    def has_faces_of(self, folder: Path) -> bool:
        """Whether it trains on faces in a folder, which may be UTKFace or one of extra faces.

        Args:
            folder: Its samples name it as it resolves.
        """
        samples = pd.read_parquet(self.samples_file, columns=["source", "file"])
        first = samples.drop_duplicates("source")["file"]
        # Not the files' own targets: a folder may consist of links.
        return any(Path(file).absolute().is_relative_to(folder.resolve()) for file in first)

    @property
    def excluded(self) -> dict[str, int]:
        """Extra faces that were left out, by set (`samples.Samples.excluded`)."""
        counts: dict[str, int] = json.loads(self.excluded_file.read_text(encoding="utf-8"))
        return counts


def read_recipe(path: Path) -> Recipe:
    """Read a file that holds a recipe.

    Args:
        path: JSON, as `Recipe.to_json` writes it.

    Returns:
        The recipe.

    Raises:
        RunError: If it does not.
    """
    try:
        return Recipe.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is not a recipe ({error}); see Recipe in recipe.py.") from error


def find_pretraining(name: str) -> Pretraining:
    """Return the pretraining of a name, which need not exist yet."""
    return Pretraining(workspace_dir() / "pretraining" / name)


def prepare_pretraining(
    pretraining: Pretraining, recipe: Recipe, samples: Samples, *, start: Path | None = None
) -> None:
    """Write what a pretraining needs before its first step.

    Args:
        pretraining: Where.
        recipe: The settings.
        samples: The faces.
        start: Backbone weights to go on from, with their JSON and `SEEN_NAME`
            beside them; None to start from nothing. They are copied, for `ship`
            may replace them.

    Raises:
        StorageError: If the disk refuses.
    """
    with replacing(pretraining.samples_file) as part:
        samples.table.to_parquet(part, index=False)
    write_json(pretraining.excluded_file, samples.excluded)
    if start is not None:
        _copy_start(start, pretraining.start_file)
    elif pretraining.start_file.exists():
        # Of an attempt that was killed before its recipe was written.
        shutil.rmtree(pretraining.start_file.parent)
    # Last: a folder with a recipe is a pretraining that can start.
    write_text(pretraining.recipe_file, recipe.to_json())


def _copy_start(start: Path, target: Path) -> None:
    """Copy weights, their JSON and the list of faces that they have seen."""
    with replacing(target.parent) as part:
        part.mkdir()
        shutil.copy(start, part / target.name)
        shutil.copy(start.with_suffix(".json"), part / target.with_suffix(".json").name)
        shutil.copy(start.with_name(SEEN_NAME), part / SEEN_NAME)


def evaluate_network(
    network: Any, samples: pd.DataFrame, pixels: NDArray[np.uint8], size: int
) -> dict[str, float]:
    """Measure age and gender on validation faces, flips averaged.

    Args:
        network: What `build_network` gave.
        samples: Validation samples with `age` and `gender`.
        pixels: Their frames.
        size: Side of the input, in pixels.

    Returns:
        `age_mae` in years, `gender_accuracy` and `adult_gender_accuracy`.
    """
    margin = (pixels.shape[1] - size) // 2
    ages, genders = [], []
    for start in range(0, len(samples), EVALUATION_BATCH):
        # Full batches throughout: JAX compiles the network anew for every other shape, and
        # several GPUs share them equally.
        rows = np.arange(start, start + EVALUATION_BATCH) % len(samples)
        images = pixels[rows, margin : margin + size, margin : margin + size]
        outputs = [network.predict_on_batch(view) for view in (images, images[:, :, ::-1])]
        ages.append(np.mean([output["age"] for output in outputs], axis=0))
        genders.append(np.mean([output["gender"] for output in outputs], axis=0))
    age = np.concatenate(ages)[: len(samples)] @ np.arange(AGE_CLASSES)
    answered = answered_gender(probability_of_female(np.concatenate(genders)[: len(samples)]))
    correct = answered == samples["gender"].to_numpy()
    adult = samples["age"].to_numpy() >= ADULT_AGE_YEARS
    return {
        "age_mae": float(np.abs(age - samples["age"].to_numpy()).mean()),
        "gender_accuracy": float(correct.mean()),
        "adult_gender_accuracy": float(correct[adult].mean()),
    }


def pretrain(
    pretraining: Pretraining,
    *,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> bool:
    """Train, or go on training, until the recipe is done.

    Args:
        pretraining: What `prepare_pretraining` wrote; everything else is
            written beside it.
        on_epoch: Called with each new row of `metrics.csv`.
        on_step: Called with (step, all steps, loss) after each step.
        should_stop: Asked after each step; when true, a checkpoint is written
            (after an epoch's last step, its row as well) and the function
            returns.

    Returns:
        True when the recipe is done, False when it was stopped.

    Raises:
        RunError: If another process is training in the same folder, there are too few faces
            for a step, the recipe freezes layers that do not exist, or a process that
            changes the pictures was ended from outside.
        ModelNotFoundError, InvalidModelError: If the weights to go on from cannot be read.
        InvalidImageError: If a face cannot be read.
        StorageError: If the disk refuses; the last checkpoint stays.
    """
    lock = FileLock(pretraining.folder / "run.lock")
    try:
        held = lock.acquire(blocking=False)
    except Timeout as error:
        raise RunError(
            f"{pretraining.folder} is being trained by another process; wait for it or stop it."
        ) from error
    # Not `with lock`: that would take it a second time and give it back once.
    recipe = pretraining.recipe
    with held, augmenting(recipe) as workers, shared_among_devices(recipe):
        return _train(
            pretraining,
            workers,
            on_epoch or (lambda row: None),
            on_step or (lambda step, total, loss: None),
            should_stop or (lambda: False),
        )


def _train(
    pretraining: Pretraining,
    workers: Workers,
    on_epoch: Callable[[dict[str, Any]], None],
    on_step: Callable[[int, int, float], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Run every step that the checkpoint has not seen."""
    recipe = pretraining.recipe
    samples = pd.read_parquet(pretraining.samples_file)
    train, validation = (
        samples[samples["split"] == split].reset_index(drop=True)
        for split in ("train", "validation")
    )
    epochs = plan_epochs(recipe, train["source"])
    total = sum(epoch.steps for epoch in epochs)
    if not epochs or validation.empty:
        raise RunError(
            f"{pretraining.folder} has {len(train)} train and {len(validation)} validation faces, "
            "too few for one step of its recipe; take more faces under another name."
        )
    import keras

    # Whatever starts at random, the heads at least, starts the same after a kill.
    keras.utils.set_random_seed(recipe.seed)
    network = build_network(recipe)
    compile_network(network, recipe, learning_rate_knots(recipe, epochs))
    if pretraining.checkpoint.exists():
        load_checkpoint(network, pretraining.checkpoint)
    elif pretraining.start_file.exists():
        stage = epochs[0].stage
        side = frame_side(stage.size, recipe.crop)
        pixels = load_pixels(train, side, pretraining.folder / f"train-{side}.npy")
        start_from(network, recipe, stage, pretraining.start_file, train, pixels)
        network.optimizer.build(network.trainable_variables)
        save_checkpoint(network, pretraining.checkpoint)
    step = int(network.optimizer.iterations)
    saved = time.monotonic()

    for epoch in epochs:
        if epoch.first_step + epoch.steps <= step:
            continue
        size, side = epoch.stage.size, frame_side(epoch.stage.size, recipe.crop)
        pixels = load_pixels(train, side, pretraining.folder / f"train-{side}.npy")
        losses: list[float] = []
        stopping = False
        began = time.monotonic()
        skip = step - epoch.first_step
        coming = batches(train, pixels, epoch, seed=recipe.seed, skip=skip, workers=workers)
        while step < epoch.first_step + epoch.steps:
            try:
                images, labels, weights = next(coming)
            except BrokenProcessPool as error:
                save_checkpoint(network, pretraining.checkpoint)
                # What ends this process may end its workers first.
                if should_stop():
                    return False
                raise RunError(
                    "A process that changes the pictures was ended from outside, perhaps for want "
                    "of memory; start again to go on from here."
                ) from error
            # Read at once: JAX may compute with the very memory that the next batch comes to.
            losses.append(float(network.train_on_batch(images, labels, weights)[0]))
            step += 1
            on_step(step, total, losses[-1])
            stopping = should_stop()
            if step == epoch.first_step + epoch.steps:
                # Saved below, with its row: resumed from here, it would never get one.
                break
            if stopping or time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_checkpoint(network, pretraining.checkpoint)
                saved = time.monotonic()
            if stopping:
                return False
        held_out = load_pixels(validation, side, pretraining.folder / f"validation-{side}.npy")
        with averaged(network):
            figures = evaluate_network(network, validation, held_out, size)
        row = {
            "epoch": epoch.number + 1,
            "size": size,
            # After a kill, these are of what was done since.
            "loss": float(np.mean(losses)),
            **figures,
            "seconds": time.monotonic() - began,
        }
        # The row comes first: a kill between the two repeats an epoch's end
        # and its row, where the other order would lose the row.
        _append_row(pretraining.metrics_file, row)
        save_checkpoint(network, pretraining.checkpoint)
        saved = time.monotonic()
        on_epoch(row)
        if stopping and step < total:
            return False
    return True


def _append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a CSV, in place of an older row of the same epoch."""
    table = pd.DataFrame([row])
    if path.exists():
        earlier = pd.read_csv(path)
        table = pd.concat([earlier[earlier["epoch"] < row["epoch"]], table])
    write_text(path, table.to_csv(index=False))


def save_checkpoint(network: Any, path: Path) -> None:
    """Write network and optimizer so that the file is whole or unchanged.

    Raises:
        StorageError: If the disk refuses.
    """
    with replacing(path) as part:
        network.save_weights(part)


def load_checkpoint(network: Any, path: Path) -> None:
    """Read what `save_checkpoint` wrote.

    Args:
        network: What `network.compile_network` was given.
        path: The file.

    Raises:
        ValueError: If it is of another network or recipe.
    """
    # Only a built optimizer gets its counter, moments and averages back.
    network.optimizer.build(network.trainable_variables)
    network.load_weights(path)

"""`python -m agegender pretrain`: train a backbone on faces, from nothing or from weights."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from agegender.cli import in_help
from agegender.commands.progress import progress_bar
from agegender.config import default_dataset_dir
from agegender.dataset.dataset import open_dataset
from agegender.errors import RunError
from agegender.model.tensors import read_metadata
from agegender.model.weights import (
    IMAGENET,
    SHIPPED,
    default_weights,
    find_weights,
    load_backbone,
)
from agegender.pretraining.pretrain import (
    Pretraining,
    find_pretraining,
    prepare_pretraining,
    pretrain,
    read_recipe,
)
from agegender.pretraining.recipe import CONTINUED_RECIPE, FIRST_RECIPE, Recipe
from agegender.pretraining.samples import EXTRA_SETS, Samples, collect_samples
from agegender.pretraining.teacher import ask_teacher
from agegender.storage import replacing
from agegender.training.seen import SEEN_NAME, read_seen, seen_file


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "pretrain",
        help="train a backbone on faces (hours)",
        description=(
            "Train a backbone on UTKFace's train split, and on further faces, from nothing or from "
            "weights. Stop it at any moment: the same command goes on from the last checkpoint. "
            "With KERAS_BACKEND=jax (and jax installed for your GPUs) as many GPUs share each "
            "step as can take equal parts of it."
        ),
    )
    parser.add_argument(
        "--name", default="default", help="name of the pretraining (default: %(default)s)"
    )
    parser.add_argument(
        "--dataset",
        type=Path,
        help=f"folder of UTKFace (default: {in_help(default_dataset_dir())})",
    )
    parser.add_argument(
        "--extra",
        type=Path,
        help="folder of extra faces: labels.csv (filename, age, gender; an age may be empty) and "
        f"pictures in UTKFace's frame in {' or '.join(EXTRA_SETS)}",
    )
    parser.add_argument(
        "--start", metavar="WEIGHTS", help="shipped, or a safetensors file, to go on from"
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        help="file with a recipe (JSON); by default the one that suits the start",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start a pretraining, or go on with the one of that name."""
    pretraining = find_pretraining(args.name)
    if not pretraining.recipe_file.exists():
        recipe = _choose_recipe(args)
        start = None if args.start is None else _check_start(args.start, recipe)
        # The samples name their files, which are read again from any working directory.
        extra = None if args.extra is None else args.extra.resolve()
        dataset = (args.dataset or default_dataset_dir()).resolve()
        samples = _collect(dataset, extra)
        if recipe.teacher_weight:
            with progress_bar("asking the teacher") as on_progress:
                table = ask_teacher(
                    samples.table, pretraining.answers_folder, on_progress=on_progress
                )
            samples = replace(samples, table=table)
        prepare_pretraining(pretraining, recipe, samples, start=start)
        for source, count in samples.excluded.items():
            print(f"{source}: {count} faces left out, near duplicates of held-out faces")
    else:
        _check_same(pretraining, args)
    # By now they are among the samples.
    shutil.rmtree(pretraining.answers_folder, ignore_errors=True)
    if pretraining.start_file.exists() and not pretraining.checkpoint.exists():
        print("fitting new heads to the weights first, a minute or more", file=sys.stderr)
    stopping: list[int] = []

    def stop(received: int, frame: Any) -> None:
        # Before the first step and between two epochs there is nothing to save, and
        # nobody looks: the second time it stops at once, and the last checkpoint stays.
        if stopping:
            raise KeyboardInterrupt
        stopping.append(received)
        print("stopping after this step; once more stops at once", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with tqdm(unit="step", disable=None, file=sys.stderr) as bar:

        def show_step(step: int, total: int, loss: float) -> None:
            bar.total = total
            bar.set_postfix(loss=f"{loss:.2f}", refresh=False)
            bar.update(step - bar.n)

        def show_epoch(row: dict[str, Any]) -> None:
            bar.write(
                f"epoch {row['epoch']} ({row['size']} px): validation "
                f"{row['age_mae']:.2f} years, gender {row['gender_accuracy']:.1%}",
                file=sys.stdout,
            )
            draw_curves(pretraining)

        done = pretrain(
            pretraining,
            on_step=show_step,
            on_epoch=show_epoch,
            should_stop=lambda: bool(stopping),
        )
    if not done:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"done; make it a set of weights with: python -m agegender ship {args.name}")
    return 0


def _choose_recipe(args: argparse.Namespace) -> Recipe:
    """Return the recipe that was asked for, or the one that suits the start."""
    if args.recipe is None:
        return FIRST_RECIPE if args.start is None else CONTINUED_RECIPE
    recipe = read_recipe(args.recipe)
    if recipe.frozen and args.start is None:
        raise RunError(
            f"{args.recipe} freezes layers that would stay as they are drawn; give --start, or "
            "take `frozen` out."
        )
    return recipe


def _check_start(name: str, recipe: Recipe) -> Path:
    """Return the file of the weights to go on from, when all of it can be used.

    Before hours of work, this is worth building the network once.
    """
    file, weights = _find_start(name), find_weights(name)
    load_backbone(weights)
    if weights.spec.crop != recipe.crop:
        raise RunError(
            f"{file} was trained on {weights.spec.crop:.1%} of the frame, the recipe asks "
            f"for {recipe.crop:.1%}; give a recipe with that crop."
        )
    # Raises if it is not the one that the weights name.
    if (seen := seen_file(str(file))) is None:
        raise RunError(
            f"{file} has no {SEEN_NAME} beside it, so nothing that comes of it could be "
            "measured on new faces; copy that file, too, or start from other weights."
        )
    read_seen(seen)
    return file


def _find_start(name: str) -> Path:
    """Return the file of weights that this project has saved."""
    file = None if name == IMAGENET else find_weights(name).file
    if file is None:
        raise RunError(
            f"A pretraining cannot go on from {name!r}; name {SHIPPED!r}, or a safetensors file "
            "that this project saved."
        )
    return file


def _check_same(pretraining: Pretraining, args: argparse.Namespace) -> None:
    """Refuse to go on with settings that the pretraining was not started with."""
    if args.recipe is not None and read_recipe(args.recipe) != pretraining.recipe:
        raise RunError(
            f"{pretraining.folder} was started with another recipe; give a new --name, or leave "
            "out --recipe to go on with its own."
        )
    for option, folder in (("dataset", args.dataset), ("extra", args.extra)):
        if folder is not None and not pretraining.has_faces_of(folder):
            raise RunError(
                f"{pretraining.folder} was started without faces of {folder}; give a new --name, "
                f"or leave out --{option} to go on."
            )
    start = pretraining.start_file
    if args.start is not None and not (
        start.exists()
        and read_metadata(start)["sha256"] == read_metadata(_find_start(args.start))["sha256"]
    ):
        raise RunError(
            f"{pretraining.folder} was not started from {args.start!r}; give a new --name, or "
            "leave out --start to go on."
        )


def _collect(dataset: Path, extra: Path | None) -> Samples:
    """Gather the faces; extra ones go through the best backbone at hand, to find copies."""
    weights = None if extra is None else find_weights(default_weights())
    with progress_bar("comparing") as on_progress:
        return collect_samples(
            open_dataset(dataset),
            extra,
            embedding=weights if weights is not None and weights.has_skill else None,
            on_progress=on_progress,
        )


def draw_curves(pretraining: Pretraining) -> None:
    """Draw the validation figures so far beside them.

    Raises:
        StorageError: If the disk refuses.
    """
    # Drawing takes seconds to import, which `--help` need not wait for.
    from agegender.evaluation.plots.pretraining import plot_pretraining

    figure = plot_pretraining(pd.read_csv(pretraining.metrics_file))
    with replacing(pretraining.curves_file) as part:
        figure.savefig(part, format="svg", metadata={"Date": None})

"""`python -m agegender train`: train the heads on a dataset."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agegender.config import default_dataset_dir
from agegender.errors import RunError
from agegender.model.weights import IMAGENET, RANDOM, SHIPPED, lasting_name
from agegender.training.config import AGE_LOSSES, TrainConfig
from agegender.training.run import Run, RunState
from agegender.training.runs import check_inputs, create_run, starting
from agegender.training.trainer import train

HELP = {
    "epochs": "passes over the train faces, at most",
    "batch_size": "faces in one step",
    "learning_rate": "initial learning rate (AdamW; it falls to zero along a cosine)",
    "dropout": "share of units silenced in training",
    "age_loss": "loss of the age",
    "age_loss_weight": "weight of the age loss, per year",
    "age_balance": "how far the age bands are weighted, 0 (every face counts alike) to 1",
    "gender_loss_weight": "weight of the gender loss",
    "patience": "epochs without a gain before training ends",
    "fine_tune_epochs": "epochs that also train the top of the backbone (needs a GPU)",
    "limit": "train on at most this many faces",
    "seed": "random seed",
}


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train on a dataset (a run that can be stopped and resumed)",
        description=(
            "Train the heads on a folder of labelled faces. Ctrl-C stops the run; "
            "`runs resume` goes on with it."
        ),
    )
    parser.add_argument(
        "--dataset", type=Path, default=default_dataset_dir(), help="folder of faces (%(default)s)"
    )
    defaults = TrainConfig(dataset="")
    parser.add_argument(
        "--backbone",
        default=defaults.backbone,
        help=f"{SHIPPED}, {IMAGENET}, {RANDOM} or a safetensors file (%(default)s)",
    )
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="FILE",
        help="list of train faces to leave out, as `labels --output` writes it",
    )
    for name, text in HELP.items():
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if default is None else type(default),
            default=default,
            choices=AGE_LOSSES if name == "age_loss" else None,
            help=f"{text} ({'all' if default is None else '%(default)s'})",
        )
    # How the app and `runs resume` start a run that is there already.
    parser.add_argument("--run", dest="folder", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Train in this process, showing progress."""
    if args.folder is not None:
        prepared = Run(args.folder)
        state = prepared.state
        if state.status in ("finished", "damaged"):
            raise RunError(
                f"Run {prepared.id} is {state.status}; start a new one with "
                "`python -m agegender train`."
            )
        return work(prepared)
    settings = {setting.name: getattr(args, setting.name) for setting in fields(TrainConfig)}
    settings |= {
        # `resolve` fails where links lead in a circle.
        "dataset": os.path.abspath(args.dataset),
        "backbone": lasting_name(args.backbone),
        "exclude": None if args.exclude is None else os.path.abspath(args.exclude),
    }
    try:
        config = TrainConfig(**settings)
    except ValueError as error:
        args.parser.error(str(error))
    check_inputs(config)
    with ExitStack() as start:
        start.enter_context(starting())
        # Others may start again, and be refused, when this run holds its lock.
        return work(create_run(config), on_start=start.close)


def work(prepared: Run, *, on_start: Callable[[], object] = lambda: None) -> int:
    """Do a run's work in this process and print how it ended.

    Args:
        prepared: The run.
        on_start: Called when the run holds its lock.

    Returns:
        The exit code: 0 finished, 130 stopped.
    """
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    phases = [""]
    resume = f"go on with: python -m agegender runs resume {prepared.id}"
    with tqdm(disable=None, file=sys.stderr) as bar:

        def show_state(state: RunState) -> None:
            on_start()
            if phases[-1] != state.phase:
                phases.append(state.phase)
                bar.reset()
                bar.set_description(state.phase, refresh=False)
            bar.total = state.total or None
            bar.n = state.done
            bar.refresh()

        def show_epoch(row: dict[str, float]) -> None:
            bar.set_postfix(
                age=f"{row['val_age_mae']:.2f} years", gender=f"{row['val_gender_accuracy']:.1%}"
            )

        try:
            state = train(
                prepared, on_state=show_state, on_epoch=show_epoch, should_stop=stopping.is_set
            )
        except KeyboardInterrupt:
            print(resume, file=sys.stderr)
            raise
    if state.status == "stopped":
        print(f"{state.message} {resume[0].upper()}{resume[1:]}", file=sys.stderr)
        return 130
    print(f"run {prepared.id} finished in {state.updated - state.started:.0f} s")
    if not prepared.weights().has_skill:
        print("The backbone is random: these figures only show that the pipeline runs.")
    print(state.message)
    return 0

"""Turning a pretraining into the weights and the run that travel with the package."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from agegender.config import SHIPPED_DIR
from agegender.errors import ModelNotFoundError, RunError, StoppedError
from agegender.model.architecture import build_backbone, float32_policy
from agegender.model.preprocessing import InputSpec
from agegender.model.tensors import file_hash, read_metadata, save_weights
from agegender.model.weights import SHIPPED, SHIPPED_FILE
from agegender.pretraining.averaging import average_with, estimate_statistics
from agegender.pretraining.network import averaged, build_network, compile_network
from agegender.pretraining.pretrain import load_checkpoint
from agegender.pretraining.recipe import plan_epochs
from agegender.pretraining.samples import UTKFACE
from agegender.storage import replacing, write_text
from agegender.training.config import TrainConfig
from agegender.training.runs import create_run, delete_run, versions
from agegender.training.seen import SEEN_HASH, SEEN_NAME, seen_file, write_seen
from agegender.training.trainer import train

if TYPE_CHECKING:
    from agegender.pretraining.pretrain import Pretraining
    from agegender.pretraining.recipe import Stage
    from agegender.training.run import RunState

RUN_FILES = (
    "config.json",
    "state.json",
    "versions.json",
    "metrics.csv",
    "heads.safetensors",
    "heads.json",
    "uncertainty.safetensors",
    "uncertainty.json",
)
"""What of a run travels: no log, no lock."""


def ship(
    pretraining: Pretraining,
    dataset: Path,
    *,
    start_share: float = 0.0,
    destination: Path = SHIPPED_DIR,
    on_state: Callable[[RunState], None] | None = None,
) -> Path:
    """Write the backbone in float16, train the default heads on it, and install both.

    The heads are trained on features of the rounded file, which is what
    everybody else will have.

    Args:
        pretraining: A finished (or stopped) pretraining.
        dataset: UTKFace, for the heads.
        start_share: Share of the weights that the pretraining went on from in the
            mean that is shipped (`averaging`), 0 to below 1.
        destination: Folder to replace as a whole when everything is there.
        on_state: Called with the states of the heads' training.

    Returns:
        The destination.

    Raises:
        ModelNotFoundError: If there is no checkpoint yet.
        RunError: If it is not known what it has seen, no epoch is done, or there are
            no weights for the mean.
        InvalidModelError: If the weights for the mean are damaged.
        InvalidImageError: If a face that it has learned from cannot be read.
        StoppedError: If the heads' training was stopped.
        AgeGenderError: Whatever makes the heads' training fail.
    """
    if not pretraining.checkpoint.exists():
        raise ModelNotFoundError(
            f"{pretraining.folder} has no checkpoint yet; run `python -m agegender pretrain` first."
        )
    _check(pretraining)
    start = pretraining.start_file
    if start_share and not start.exists():
        raise RunError(
            f"{pretraining.folder} started from random weights, so there is nothing to average "
            "with; leave out --start-share."
        )
    backbone = _served_backbone(pretraining, start_share)
    with replacing(destination) as part:
        part.mkdir()
        weights = part / SHIPPED_FILE.name
        seen = part / SEEN_NAME
        write_seen(
            _train_faces(pretraining),
            seen,
            # Raises if it is not the one that the weights name.
            earlier=seen_file(str(start)),
        )
        save_weights(
            backbone,
            weights,
            dtype="float16",
            metadata={
                **_describe(pretraining),
                "start_share": start_share,
                SEEN_HASH: file_hash(seen),
            },
        )

        run = create_run(TrainConfig(dataset=str(dataset), backbone=str(weights)))
        try:
            state = train(run, on_state=on_state)
            if state.status != "finished":
                raise StoppedError(f"{state.message} Nothing was installed.")
            (part / "run").mkdir()
            for name in RUN_FILES:
                shutil.copy(run.folder / name, part / "run" / name)
            # Names that hold on every machine, in place of paths of this one.
            config = replace(run.config, dataset=dataset.name, backbone=SHIPPED)
            write_text(part / "run" / "config.json", config.to_json() + "\n")
        finally:
            # It cannot be resumed: its backbone goes to another place or is gone.
            delete_run(run)
    return destination


def _served_backbone(pretraining: Pretraining, start_share: float) -> Any:
    """Build the backbone as it is to be served; a mean's statistics are estimated on faces."""
    backbone = trained_backbone(pretraining)
    if start_share:
        average_with(backbone, pretraining.start_file, start_share)
    recipe = pretraining.recipe
    if start_share or recipe.average_momentum:
        # On the faces that the heads will learn from. Frozen layers are the same in both.
        samples = pd.read_parquet(pretraining.samples_file)
        estimate_statistics(
            backbone,
            samples[(samples["split"] == "train") & (samples["source"] == UTKFACE)],
            InputSpec(_stages(pretraining)[-1].size, recipe.crop),
            keep=recipe.frozen,
        )
    return backbone


def _check(pretraining: Pretraining) -> None:
    """Refuse a pretraining that cannot say what it has seen, before any work is done."""
    for file in (
        pretraining.samples_file,
        pretraining.excluded_file,
        pretraining.metrics_file,
    ):
        if not file.exists():
            raise RunError(
                f"{pretraining.folder} cannot be shipped: {file.name} is missing; pretrain until "
                "an epoch is done, or anew under another name."
            )
    missing = {"sha256", "phash", "source", "split"} - set(
        pq.read_schema(pretraining.samples_file).names
    )
    if missing:
        raise RunError(
            f"{pretraining.samples_file} has no column {', '.join(sorted(missing))}, so it cannot "
            "be told which faces the weights have seen; pretrain anew under another name."
        )


def _stages(pretraining: Pretraining, *, begun: bool = False) -> list[Stage]:
    """Return the stage of each epoch that is done; it may have stopped before its recipe's end.

    Args:
        pretraining: With an epoch that is done.
        begun: Whether the epoch in which it may have stopped counts as well.
    """
    samples = pd.read_parquet(pretraining.samples_file, columns=["source", "split"])
    sources = samples.loc[samples["split"] == "train", "source"]
    done = int(pd.read_csv(pretraining.metrics_file)["epoch"].max()) + begun
    return [epoch.stage for epoch in plan_epochs(pretraining.recipe, sources)[:done]]


def _train_faces(pretraining: Pretraining) -> pd.DataFrame:
    """Return the samples that it has trained on: a set that no stage used is none."""
    stages = _stages(pretraining, begun=True)
    sources = {source for stage in stages for source in stage.sources}
    samples = pd.read_parquet(pretraining.samples_file)
    return samples[(samples["split"] == "train") & samples["source"].isin(sources)]


def trained_backbone(pretraining: Pretraining) -> Any:
    """Build the backbone at the serving size with a pretraining's weights, or their average.

    Args:
        pretraining: With a checkpoint.

    Returns:
        The `keras.Model` that `architecture.build_backbone` describes, float32.
    """
    network = build_network(pretraining.recipe)
    # Whatever the rates: nothing is trained.
    compile_network(network, pretraining.recipe, [(0, 0.0)])
    load_checkpoint(network, pretraining.checkpoint)
    with float32_policy():
        backbone = build_backbone(_stages(pretraining)[-1].size)
    trained = {variable.path: variable for variable in network.variables}
    with averaged(network):
        for variable in backbone.variables:
            variable.assign(trained[variable.path])
    return backbone


def _describe(pretraining: Pretraining) -> dict[str, Any]:
    """Say how the weights came to be, for the JSON beside them."""
    recipe = pretraining.recipe
    train_faces = _train_faces(pretraining)["source"].value_counts()
    curve = pd.read_csv(pretraining.metrics_file)
    return {
        "size": _stages(pretraining)[-1].size,
        "crop": recipe.crop,
        "date": time.strftime("%Y-%m-%d"),
        "recipe": asdict(recipe),
        "train_faces": {str(name): int(count) for name, count in train_faces.items()},
        "excluded_near_held_out_faces": pretraining.excluded,
        "versions": versions(),
        # By way of JSON, in which an unknown number is null.
        "epochs": json.loads(curve.to_json(orient="records")),
        "start": read_metadata(pretraining.start_file) if pretraining.start_file.exists() else None,
    }

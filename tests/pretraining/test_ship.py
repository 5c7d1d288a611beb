from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.dataset.dataset import open_dataset
from agegender.errors import ModelNotFoundError, RunError
from agegender.model.architecture import build_backbone
from agegender.model.tensors import read_tensors, save_weights
from agegender.model.weights import find_weights
from agegender.pretraining import ship as ship_module
from agegender.pretraining.averaging import estimate_statistics
from agegender.pretraining.network import build_network, compile_network
from agegender.pretraining.pretrain import Pretraining, prepare_pretraining, save_checkpoint
from agegender.pretraining.recipe import Recipe, Stage
from agegender.pretraining.samples import collect_samples
from agegender.pretraining.ship import _describe, _served_backbone, _train_faces, ship
from agegender.training.run import Run
from agegender.training.runs import list_runs
from agegender.training.seen import is_seen, seen_file, write_seen

RECIPE = Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 8),), crop=0.875)


def test_a_pretraining_without_a_checkpoint_is_not_shipped(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no checkpoint yet"):
        ship(Pretraining(tmp_path), tmp_path, destination=tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_what_cannot_say_what_it_has_seen_is_not_shipped(
    make_faces: Callable[..., Path], tmp_path: Path
) -> None:
    samples = collect_samples(open_dataset(make_faces(20)), None)
    pretraining = Pretraining(tmp_path / "pretraining")

    def refusal(start_share: float = 0.0) -> str:
        with pytest.raises(RunError) as refused:
            ship(pretraining, tmp_path, start_share=start_share, destination=tmp_path / "shipped")
        assert not (tmp_path / "shipped").exists()
        return str(refused.value)

    prepare_pretraining(pretraining, RECIPE, samples)
    pretraining.checkpoint.touch()
    assert "metrics.csv is missing" in refusal()
    pretraining.metrics_file.touch()
    samples.table.drop(columns="phash").to_parquet(pretraining.samples_file)
    assert "no column phash" in refusal()
    samples.table.to_parquet(pretraining.samples_file)
    assert "started from random weights" in refusal(start_share=0.5)
    pretraining.excluded_file.unlink()
    assert "excluded.json is missing" in refusal()


def test_what_is_stopped_early_tells_of_the_stages_that_it_has_reached(
    make_faces: Callable[..., Path], tmp_path: Path
) -> None:
    samples = collect_samples(open_dataset(make_faces(40)), None)
    samples.table.loc[samples.table.index[::2], "source"] = "celeba"
    samples.table.loc[samples.table.index[::4], "source"] = "all_age_faces"
    pretraining = Pretraining(tmp_path / "pretraining")
    small = Stage(32, 1, ("utkface",), 1e-3, 1e-4, 4)
    large = replace(small, size=64, sources=("utkface", "celeba"))
    prepare_pretraining(pretraining, Recipe((small, small, large), crop=0.875), samples)
    for done, size, sources in (
        (1, 32, {"utkface"}),
        # It may have stopped in the third.
        (2, 32, {"utkface", "celeba"}),
        (3, 64, {"utkface", "celeba"}),
    ):
        epochs = [{"epoch": number} for number in range(1, done + 1)]
        pd.DataFrame(epochs).to_csv(pretraining.metrics_file, index=False)
        description = _describe(pretraining)
        assert description["size"] == size
        assert set(description["train_faces"]) == sources
        seen = _train_faces(pretraining)
        assert set(seen["source"]) == sources
        assert set(seen["split"]) == {"train"}


@pytest.mark.slow
def test_what_ships_is_whole_and_says_what_it_has_seen(
    make_faces: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    dataset = open_dataset(make_faces(60))
    pretraining = Pretraining(tmp_path / "pretraining")
    start = tmp_path / "start" / "weights.safetensors"
    start.parent.mkdir()
    sha256 = save_weights(build_backbone(32), start, dtype="float16", metadata={"size": 32})
    write_seen(dataset.of("validation"), start.with_name("seen.npy"))
    stage = replace(RECIPE.stages[0], sources=("utkface", "celeba"))
    recipe = replace(RECIPE, stages=(stage,), frozen=("conv1",))
    samples = collect_samples(dataset, None)
    extra = samples.table.index[samples.table["split"] == "train"][::3]
    samples.table.loc[extra, "source"] = "celeba"
    measured: list[pd.DataFrame] = []

    def note_faces(backbone: Any, faces: pd.DataFrame, *args: Any, **kwargs: Any) -> None:
        measured.append(faces)
        estimate_statistics(backbone, faces, *args, **kwargs)

    monkeypatch.setattr(ship_module, "estimate_statistics", note_faces)
    prepare_pretraining(pretraining, recipe, samples, start=start)
    pd.DataFrame([{"epoch": 1, "age_mae": 9.5}]).to_csv(pretraining.metrics_file, index=False)
    try:
        network = build_network(recipe)
        compile_network(network, recipe, [(0, 0.0)])
        network.optimizer.build(network.trainable_variables)
        save_checkpoint(network, pretraining.checkpoint)
        own = network.get_layer("conv2_block1_1_conv").kernel.numpy()
        shipped = ship(
            pretraining, dataset.folder, start_share=0.25, destination=tmp_path / "shipped"
        )
    finally:
        keras.config.set_dtype_policy("float32")

    weights = find_weights(str(shipped / "backbone.safetensors"))
    assert (weights.spec.size, weights.spec.crop) == (32, 0.875)
    assert (shipped / "backbone.safetensors").stat().st_size < 50_000_000
    description = json.loads((shipped / "backbone.json").read_text())
    assert description["dtype"] == "float16"
    own_faces = len(dataset.of("train")) - len(extra)
    assert description["train_faces"] == {"utkface": own_faces, "celeba": len(extra)}
    # The heads learn from no others.
    [faces] = measured
    assert (len(faces), set(faces["source"]), set(faces["split"])) == (
        own_faces,
        {"utkface"},
        {"train"},
    )
    assert description["epochs"] == [{"epoch": 1, "age_mae": 9.5}]
    assert description["start"]["sha256"] == sha256
    assert description["start_share"] == 0.25
    name = "conv2_block1_1_conv/kernel"
    mean = 0.75 * own + 0.25 * read_tensors(start)[name]
    served = read_tensors(weights.file)
    np.testing.assert_allclose(served[name], mean, rtol=1e-3, atol=1e-6)
    # Both have the statistics that layers begin with: kept where frozen, else of the faces.
    assert (served["conv1_bn/moving_variance"] == 1).all()
    assert not np.isclose(served["conv2_block1_0_bn/moving_variance"], 1).any()
    # Raises if it is not the one that the JSON names.
    assert seen_file(str(weights.file)) == shipped / "seen.npy"
    assert len(description["seen_sha256"]) == 64
    assert is_seen(dataset.of("train"), shipped / "seen.npy").all()
    # What the weights it went on from had seen, it has seen.
    assert is_seen(dataset.of("validation"), shipped / "seen.npy").all()
    assert not is_seen(dataset.of("test"), shipped / "seen.npy").any()

    config = json.loads((shipped / "run" / "config.json").read_text())
    assert (config["dataset"], config["backbone"]) == ("UTKFace", "shipped")
    heads = json.loads((shipped / "run" / "heads.json").read_text())
    assert heads["backbone"]["sha256"] == weights.sha256
    assert Run(shipped / "run").load_uncertainty() is not None
    for file in (shipped / "run").iterdir():
        assert str(tmp_path) not in file.read_bytes().decode(errors="ignore")
    assert list_runs() == []


@pytest.mark.parametrize(("momentum", "is_mean"), [(0.0, False), (0.9, True)])
def test_statistics_of_a_running_average_are_estimated_again(
    make_faces: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    momentum: float,
    is_mean: bool,
) -> None:
    pretraining = Pretraining(tmp_path / "pretraining")
    samples = collect_samples(open_dataset(make_faces(60)), None)
    prepare_pretraining(pretraining, replace(RECIPE, average_momentum=momentum), samples)
    pd.DataFrame([{"epoch": 1}]).to_csv(pretraining.metrics_file, index=False)
    monkeypatch.setattr(ship_module, "trained_backbone", lambda _: None)
    estimated: list[int] = []
    monkeypatch.setattr(
        ship_module,
        "estimate_statistics",
        lambda backbone, faces, spec, keep: estimated.append(spec.size),
    )
    _served_backbone(pretraining, 0.0)
    assert estimated == ([32] if is_mean else [])

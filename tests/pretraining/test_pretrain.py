from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from agegender.cli import main
from agegender.config import SEED
from agegender.errors import InvalidModelError, RunError, StorageError
from agegender.model.architecture import FEATURES_LAYER
from agegender.model.tensors import read_tensors, save_tensors, save_weights
from agegender.pretraining import pretrain as module
from agegender.pretraining.network import averaged, build_network, compile_network
from agegender.pretraining.pixels import batches, load_pixels
from agegender.pretraining.pretrain import Pretraining, prepare_pretraining, pretrain
from agegender.pretraining.recipe import Recipe, Stage, plan_epochs
from agegender.pretraining.samples import Samples
from agegender.pretraining.ship import trained_backbone
from agegender.pretraining.start import start_from

RECIPE = Recipe((Stage(32, 2, ("utkface", "extra"), 1e-3, 1e-4, 8),), crop=1.0, warmup_steps=2)


@pytest.fixture
def pretraining(make_faces: Callable[..., Path], tmp_path: Path) -> Pretraining:
    files = sorted(make_faces(32).iterdir())
    labels = [file.name.split("_") for file in files]
    table = pd.DataFrame(
        {
            "source": ["utkface"] * 26 + ["extra"] * 6,
            "file": [str(file) for file in files],
            "age": [float(parts[0]) for parts in labels],
            "gender": [int(parts[1]) for parts in labels],
            "race": [int(parts[2]) for parts in labels],
            "split": ["train"] * 20 + ["validation"] * 6 + ["train"] * 6,
        }
    )
    table.loc[26:, "age"] = np.nan
    table.loc[26:, "race"] = -1
    folder = Pretraining(tmp_path / "pretraining")
    prepare_pretraining(folder, RECIPE, Samples(table, {"extra": 3}))
    return folder


def train_samples(pretraining: Pretraining) -> pd.DataFrame:
    table = pd.read_parquet(pretraining.samples_file)
    return table[table["split"] == "train"].reset_index(drop=True)


def test_batches_after_a_resume_are_those_of_an_uninterrupted_epoch(
    pretraining: Pretraining,
) -> None:
    samples = train_samples(pretraining)
    pixels = load_pixels(samples, 32, pretraining.folder / "pixels.npy")
    epoch = plan_epochs(RECIPE, samples["source"])[1]
    whole = list(batches(samples, pixels, epoch, seed=1))
    rest = list(batches(samples, pixels, epoch, seed=1, skip=2))
    assert len(whole) == 3
    assert np.array_equal(whole[2][0], rest[0][0])
    assert np.array_equal(whole[2][1]["age"], rest[0][1]["age"])


def test_unknown_labels_weigh_nothing(pretraining: Pretraining) -> None:
    samples = train_samples(pretraining)
    pixels = load_pixels(samples, 32, pretraining.folder / "pixels.npy")
    epoch = plan_epochs(RECIPE, samples["source"])[0]
    weights = [batch[2] for batch in batches(samples, pixels, epoch, seed=1)]
    for name, unknown in (("age", 6), ("race", 6), ("gender", 0)):
        zeros = sum(int((batch[name] == 0).sum()) for batch in weights)
        # 24 of the 26 faces fit into whole batches.
        assert unknown - 2 <= zeros <= unknown


def tiny_backbone(size: int | None) -> Any:
    """A stand-in for ResNet50, whose training step takes half a minute to build."""
    import keras

    inputs = keras.Input((size, size, 3))
    hidden = keras.layers.Conv2D(4, 3, strides=2, name="conv1")(inputs)
    hidden = keras.layers.BatchNormalization(name="conv1_bn")(hidden)
    hidden = keras.layers.Conv2D(4, 3, name="conv2")(hidden)
    pooled = keras.layers.GlobalAveragePooling2D(name=FEATURES_LAYER, dtype="float32")(hidden)
    return keras.Model(inputs, pooled)


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import keras

    monkeypatch.setattr("agegender.pretraining.network.build_backbone", tiny_backbone)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("small_network")
def test_a_stopped_pretraining_goes_on_where_it_was(
    pretraining: Pretraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    stopped = pretrain(
        pretraining, on_step=lambda step, *_: steps.append(step), should_stop=lambda: steps == [1]
    )
    assert not stopped
    assert pretraining.checkpoint.exists()
    assert not pretraining.metrics_file.exists()

    whole = pretraining.checkpoint.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full_disk)
        with pytest.raises(StorageError, match="disk is full"):
            pretrain(pretraining, should_stop=lambda: True)
    assert pretraining.checkpoint.read_bytes() == whole

    assert pretrain(pretraining, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 6]
    metrics = pd.read_csv(pretraining.metrics_file)
    assert metrics["epoch"].tolist() == [1, 2]
    assert metrics["loss"].gt(0).all()
    assert metrics["age_mae"].between(0, 100).all()


@pytest.mark.usefixtures("small_network")
def test_the_average_of_the_weights_is_measured_kept_and_shipped(
    pretraining: Pretraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, average_momentum=0.5)
    pretraining.recipe_file.write_text(recipe.to_json())
    seen: list[list[np.ndarray]] = []

    def look(network: Any, *_: Any) -> dict[str, float]:
        seen.append([np.asarray(variable).copy() for variable in network.trainable_variables])
        return {"age_mae": 1.0}

    monkeypatch.setattr(module, "evaluate_network", look)
    # Stopped and resumed on the way: the average goes on as well.
    assert not pretrain(pretraining, should_stop=lambda: True)
    assert pretrain(pretraining)
    network = build_network(recipe)
    compile_network(network, recipe, [(0, 0.0)])
    module.load_checkpoint(network, pretraining.checkpoint)
    last = [np.asarray(variable).copy() for variable in network.trainable_variables]
    with averaged(network):
        average = [np.asarray(variable).copy() for variable in network.trainable_variables]
    for own, mean, measured in zip(last, average, seen[-1], strict=True):
        assert np.array_equal(mean, measured)
        assert not np.array_equal(own, mean)
    for variable, own in zip(network.trainable_variables, last, strict=True):
        assert np.array_equal(np.asarray(variable), own)
    normalization = network.get_layer("conv1_bn")
    assert normalization.momentum == recipe.average_momentum

    monkeypatch.setattr("agegender.pretraining.ship.build_backbone", tiny_backbone)
    shipped = {variable.path: variable for variable in trained_backbone(pretraining).variables}
    for variable, mean in zip(network.trainable_variables, average, strict=True):
        if variable.path in shipped:
            assert np.array_equal(np.asarray(shipped[variable.path]), mean)


@pytest.mark.usefixtures("small_network")
def test_the_trained_weights_come_back_after_the_average_in_float16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agegender.pretraining.network.precision_policy", lambda: "mixed_float16")
    recipe = replace(RECIPE, average_momentum=0.5)
    network = build_network(recipe)
    compile_network(network, recipe, [(0, 0.0)])
    network.optimizer.build(network.trainable_variables)
    before = [np.asarray(variable).copy() for variable in network.trainable_variables]
    with averaged(network):
        # No step is done: the averages are zeros.
        assert not any(np.asarray(variable).any() for variable in network.trainable_variables)
    for variable, own in zip(network.trainable_variables, before, strict=True):
        assert np.array_equal(np.asarray(variable), own)


@pytest.mark.usefixtures("small_network")
def test_an_epoch_is_saved_with_its_row_or_not_at_all(
    pretraining: Pretraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every step is late for a checkpoint, and a kill comes before the epoch's row.
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_append_row", kill)
        with pytest.raises(KeyboardInterrupt):
            pretrain(pretraining)
    steps: list[int] = []
    # This time a stop comes with the epoch's last step.
    stopped_at_its_end = not pretrain(
        pretraining, on_step=lambda step, *_: steps.append(step), should_stop=lambda: True
    )
    assert stopped_at_its_end
    assert steps == [3]
    assert pd.read_csv(pretraining.metrics_file)["epoch"].tolist() == [1]
    assert pretrain(pretraining, on_step=lambda step, *_: steps.append(step))
    assert steps == [3, 4, 5, 6]
    assert pd.read_csv(pretraining.metrics_file)["epoch"].tolist() == [1, 2]


@pytest.mark.usefixtures("small_network")
def test_a_killed_worker_costs_no_step(pretraining: Pretraining) -> None:
    steps: list[int] = []

    def kill_workers(step: int, *_: Any) -> None:
        steps.append(step)
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()

    with pytest.raises(RunError, match="start again to go on"):
        pretrain(pretraining, on_step=kill_workers)
    assert pretrain(pretraining, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("small_network")
def test_a_stop_that_ends_the_workers_first_is_a_stop(
    pretraining: Pretraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*args: Any, **options: Any) -> Iterator[Any]:
        yield next(batches(*args, **options))
        raise BrokenProcessPool

    steps: list[int] = []
    answers = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr(module, "batches", ended)
        assert not pretrain(
            pretraining,
            on_step=lambda step, *_: steps.append(step),
            should_stop=lambda: next(answers),
        )
    assert pretrain(pretraining, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("small_network")
def test_a_pretraining_goes_on_from_weights(pretraining: Pretraining, tmp_path: Path) -> None:
    start = tmp_path / "other" / "weights.safetensors"
    start.parent.mkdir()
    save_weights(tiny_backbone(None), start)
    start.with_name("seen.npy").write_bytes(b"seen")
    recipe = replace(RECIPE, frozen=("conv1",))
    samples = Samples(pd.read_parquet(pretraining.samples_file), {})
    prepare_pretraining(pretraining, recipe, samples, start=start)
    assert pretraining.start_file.with_name("seen.npy").read_bytes() == b"seen"
    given = read_tensors(start)
    shutil.rmtree(start.parent)

    steps: list[int] = []
    assert pretrain(pretraining, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3, 4, 5, 6]
    network = build_network(recipe)
    network.load_weights(pretraining.checkpoint)
    trained = {variable.path: np.asarray(variable) for variable in network.variables}
    for name, values in given.items():
        assert np.array_equal(trained[name], values) == name.startswith("conv1"), name


@pytest.mark.usefixtures("small_network")
def test_heads_are_fitted_before_anything_else_moves(
    pretraining: Pretraining, tmp_path: Path
) -> None:
    import keras

    # Some heads are right about these few faces by chance.
    keras.utils.set_random_seed(SEED)
    start = tmp_path / "weights.safetensors"
    save_weights(tiny_backbone(None), start)
    samples = train_samples(pretraining)
    pixels = load_pixels(samples, 32, pretraining.folder / "pixels.npy")
    network = build_network(RECIPE)
    fresh = module.evaluate_network(network, samples[:20], pixels[:20], 32)
    start_from(network, RECIPE, RECIPE.stages[0], start, samples, pixels)
    fitted = module.evaluate_network(network, samples[:20], pixels[:20], 32)
    assert fitted["age_mae"] < fresh["age_mae"]
    given = read_tensors(start)
    values = {variable.path: np.asarray(variable) for variable in network.variables}
    assert all(np.array_equal(values[name], given[name]) for name in given)


@pytest.mark.usefixtures("small_network")
def test_a_teacher_is_learned_beside_the_labels(pretraining: Pretraining, tmp_path: Path) -> None:
    start = tmp_path / "weights.safetensors"
    save_weights(tiny_backbone(None), start)
    start.with_name("seen.npy").touch()
    recipe = replace(RECIPE, teacher_weight=1.0)
    table = pd.read_parquet(pretraining.samples_file)
    pixels = load_pixels(table, 32, tmp_path / "pixels.npy")
    network = build_network(recipe)
    table = table.assign(teacher=[np.zeros(128, "float32")] * len(table))
    start_from(network, recipe, recipe.stages[0], start, table, pixels)
    before = np.asarray(network.predict_on_batch(pixels[:])["teacher"])
    # Nothing is known of validation's faces.
    answers = np.where(table[["split"]] == "train", before + 5, np.nan).astype("float32")
    table = table.assign(teacher=list(answers))
    start_from(network, recipe, recipe.stages[0], start, table, pixels)
    after = np.asarray(network.predict_on_batch(pixels[:])["teacher"])
    assert np.nanmean((after - answers) ** 2) < 0.5 * np.nanmean((before - answers) ** 2)

    prepare_pretraining(pretraining, recipe, Samples(table, {}), start=start)
    assert pretrain(pretraining)
    assert pd.read_csv(pretraining.metrics_file)["loss"].gt(0).all()


@pytest.mark.usefixtures("small_network")
def test_a_stage_without_faces_is_passed_over_by_a_start(
    pretraining: Pretraining, tmp_path: Path
) -> None:
    start = tmp_path / "weights.safetensors"
    save_weights(tiny_backbone(None), start, metadata={})
    start.with_name("seen.npy").write_bytes(b"")
    [stage] = RECIPE.stages
    absent = replace(stage, size=48, sources=("celeba",))
    samples = Samples(pd.read_parquet(pretraining.samples_file), {})
    other = Pretraining(tmp_path / "other")
    prepare_pretraining(other, replace(RECIPE, stages=(absent, stage)), samples, start=start)
    assert not pretrain(other, should_stop=lambda: True)
    assert not list(other.folder.glob("train-48.npy"))


@pytest.mark.usefixtures("small_network")
def test_weights_of_another_architecture_are_no_start(
    pretraining: Pretraining, tmp_path: Path
) -> None:
    samples = train_samples(pretraining)
    pixels = load_pixels(samples, 32, pretraining.folder / "pixels.npy")
    start = tmp_path / "weights.safetensors"
    save_weights(tiny_backbone(None), start)
    tensors = read_tensors(start)
    for wrong in (
        {**tensors, "conv9/kernel": np.zeros((3, 3, 3, 4), "float32")},
        dict(list(tensors.items())[:-1]),
    ):
        save_tensors(wrong, start, {})
        with pytest.raises(InvalidModelError, match="another architecture"):
            start_from(build_network(RECIPE), RECIPE, RECIPE.stages[0], start, samples, pixels)


@pytest.mark.usefixtures("small_network")
def test_a_kill_while_heads_are_fitted_changes_nothing(
    pretraining: Pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "weights.safetensors"
    save_weights(tiny_backbone(None), start)
    start.with_name("seen.npy").touch()
    samples = Samples(pd.read_parquet(pretraining.samples_file), {})
    fitted = []
    for name, killed in (("whole", False), ("killed", True)):
        other = Pretraining(tmp_path / name)
        prepare_pretraining(other, RECIPE, samples, start=start)
        if killed:
            with monkeypatch.context() as patch:
                patch.setattr("keras.Model.fit", kill)
                with pytest.raises(KeyboardInterrupt):
                    pretrain(other)
            assert not other.checkpoint.exists()
        pretrain(other, should_stop=lambda: True)
        network = build_network(RECIPE)
        network.load_weights(other.checkpoint)
        fitted.append([np.asarray(variable) for variable in network.variables])
    for one, other_one in zip(*fitted, strict=True):
        np.testing.assert_allclose(one, other_one, atol=1e-5)


def test_what_a_killed_start_left_is_no_start(pretraining: Pretraining, tmp_path: Path) -> None:
    pretraining.start_file.parent.mkdir()
    pretraining.start_file.touch()
    samples = Samples(pd.read_parquet(pretraining.samples_file), {})
    prepare_pretraining(pretraining, RECIPE, samples)
    assert not pretraining.start_file.parent.exists()


@pytest.mark.usefixtures("small_network")
def test_layers_that_do_not_exist_cannot_be_frozen() -> None:
    with pytest.raises(RunError, match="freezes 'conv7', but no layer"):
        build_network(replace(RECIPE, frozen=("conv1", "conv7")))


def kill(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_damaged_recipe_is_one_sentence(pretraining: Pretraining) -> None:
    for text in ("{", "{}", '{"stages": [{"size": 32}]}'):
        pretraining.recipe_file.write_text(text)
        with pytest.raises(RunError, match="is not a recipe"):
            pretrain(pretraining)


def test_two_processes_do_not_train_in_one_folder(pretraining: Pretraining) -> None:
    with (
        FileLock(pretraining.folder / "run.lock"),
        pytest.raises(RunError, match="another process"),
    ):
        pretrain(pretraining)


def test_a_repeated_epoch_replaces_its_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for epoch, loss in ((1, 3.0), (2, 2.0), (2, 1.5)):
        module._append_row(path, {"epoch": epoch, "loss": loss})
    assert pd.read_csv(path)["loss"].tolist() == [3.0, 1.5]


def test_too_few_faces_for_a_step_are_told(pretraining: Pretraining) -> None:
    recipe = Recipe((replace(RECIPE.stages[0], batch_size=64),))
    pretraining.recipe_file.write_text(recipe.to_json())
    with pytest.raises(RunError, match="26 train and 6 validation faces, too few"):
        pretrain(pretraining)


def test_a_pretraining_keeps_its_recipe(
    pretraining: Pretraining,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other.json"
    other.write_text(Recipe(()).to_json())
    monkeypatch.setattr("agegender.commands.pretrain.find_pretraining", lambda name: pretraining)
    assert main(["pretrain", "--recipe", str(other)]) == 1
    assert "was started with another recipe" in capsys.readouterr().err
    for option in ("--dataset", "--extra"):
        assert main(["pretrain", option, str(tmp_path / "others")]) == 1
        error = capsys.readouterr().err
        assert f"was started without faces of {tmp_path / 'others'}" in error
        assert f"leave out {option} to go on" in error


def test_linked_faces_are_of_the_folder_with_the_links(
    pretraining: Pretraining, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    table = pd.read_parquet(pretraining.samples_file)
    for number, file in enumerate(table["file"]):
        link = links / Path(file).name
        link.symlink_to(file)
        table.loc[number, "file"] = str(link)
    table.to_parquet(pretraining.samples_file)
    assert pretraining.has_faces_of(links)
    # Where the links lead to.
    assert not pretraining.has_faces_of(Path(os.path.realpath(link)).parent)


def test_a_start_is_looked_up_before_any_work(
    pretraining: Pretraining,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refusal(name: str, found: Pretraining) -> str:
        monkeypatch.setattr("agegender.commands.pretrain.find_pretraining", lambda name: found)
        assert main(["pretrain", "--start", name]) == 1
        return capsys.readouterr().err

    new = Pretraining(tmp_path / "new")
    assert "cannot go on from 'imagenet'" in refusal("imagenet", new)
    assert "cannot go on from 'random:64'" in refusal("random:64", new)
    cut = tmp_path / "cut.safetensors"
    save_tensors({"any": np.zeros(9, "float32")}, cut, {"size": 32, "crop": 1.0})
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-1])
    assert "cut.safetensors" in refusal(str(cut), new)
    cut.write_bytes(whole)
    assert "was not started from" in refusal(str(cut), pretraining)

    monkeypatch.setattr("agegender.commands.pretrain.load_backbone", lambda weights: None)
    assert "asks for 87.5%" in refusal(str(cut), new)
    save_tensors({"any": np.zeros(9, "float32")}, cut, {"size": 32, "crop": 0.875})
    assert "has no seen.npy beside it" in refusal(str(cut), new)
    cut.with_name("seen.npy").write_bytes(b"")
    assert "seen.npy cannot be read" in refusal(str(cut), new)
    assert not new.folder.exists()


def test_frozen_layers_want_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(replace(RECIPE, frozen=("conv1",)).to_json())
    assert main(["pretrain", "--name", "frozen", "--recipe", str(recipe)]) == 1
    assert "give --start" in capsys.readouterr().err

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from agegender.cli import main
from agegender.config import workspace_dir
from agegender.dataset import duplicates, index
from agegender.dataset.dataset import open_dataset
from agegender.dataset.exclusion import write_exclusions
from agegender.errors import DatasetError, ModelNotFoundError, RunError, StorageError
from agegender.model.weights import find_weights, load_backbone
from agegender.training import features, trainer
from agegender.training.config import TrainConfig
from agegender.training.run import Run
from agegender.training.runs import create_run, list_runs
from agegender.training.seen import SEEN_NAME, is_seen
from agegender.training.trainer import choose_faces, train


@pytest.fixture(scope="module")
def extract():
    weights = find_weights("random:32")
    return features._compile_extractor(load_backbone(weights), weights.spec)


@pytest.fixture(autouse=True)
def one_network(monkeypatch, extract):
    """Build and compile the network once for the whole module."""
    monkeypatch.setattr(features, "load_backbone", lambda weights: None)
    monkeypatch.setattr(features, "_compile_extractor", lambda backbone, spec: extract)


@pytest.fixture
def config(make_faces):
    return TrainConfig(str(make_faces(80)), backbone="random:32", epochs=3, batch_size=16)


def test_training_ends_with_a_whole_run(config):
    run = create_run(config)
    states = []
    assert train(run, on_state=states.append).status == "finished"

    assert [phase for phase in dict.fromkeys(state.phase for state in states)] == [
        "dataset",
        "features",
        "heads",
    ]
    assert run.state.status == "finished"
    curve = run.metrics()
    assert curve["epoch"].tolist() == [1, 2, 3]
    best = curve.loc[curve["val_loss"].idxmin()]
    assert run.state.message == (
        f"Best epoch {best['epoch']:.0f}: {best['val_age_mae']:.1f} years off on the "
        f"{run.selection_faces} validation faces that chose it, "
        f"{best['val_gender_accuracy']:.1%} of genders right."
    )
    assert not run.is_alive()
    assert {path.name for path in run.folder.iterdir()} >= {
        "config.json",
        "heads.safetensors",
        "heads.json",
        "uncertainty.safetensors",
        "uncertainty.json",
        "metrics.csv",
        "state.json",
        "versions.json",
    }
    assert not (run.folder / "reserve").exists()
    description = json.loads(run.heads_file.with_suffix(".json").read_text())
    assert description["split_hash"] == open_dataset(Path(config.dataset)).split_hash
    assert not run.weights().has_skill
    assert run.load_model().count_params() == 24_145_539


def test_calibration_faces_decide_nothing_but_how_sure_the_answers_are(config, monkeypatch):
    validation = open_dataset(Path(config.dataset)).of("validation")
    chosen_by = []
    real = trainer.train_heads

    def watch(train, selection, *args, **options):
        chosen_by.extend(selection.age.tolist())
        return real(train, selection, *args, **options)

    monkeypatch.setattr(trainer, "train_heads", watch)
    run = create_run(config)
    train(run)
    halves = validation["is_calibration"]
    assert 0 < halves.sum() < len(halves)
    assert chosen_by == validation["age"][~halves].tolist()
    about = json.loads(run.uncertainty_file.with_suffix(".json").read_text())
    assert about["selection_faces"] == len(chosen_by)
    assert about["calibration_faces"] == halves.sum()
    uncertainty = run.load_uncertainty()
    # Nobody can promise 90% by a handful of faces.
    assert uncertainty is not None
    assert (uncertainty.temperature, uncertainty.intervals) == (1.0, None)
    run.uncertainty_file.unlink()
    with pytest.raises(ModelNotFoundError):
        run.load_uncertainty()
    run.uncertainty_file.with_suffix(".json").unlink()
    assert run.load_uncertainty() is None


def test_a_lone_validation_face_chooses_the_epoch():
    one = pd.DataFrame({"age": [30], "is_calibration": [True]})
    selection, calibration = trainer.split_validation(one)
    assert (len(selection), len(calibration)) == (1, 0)


def test_stop_and_resume_continue_from_the_cache(config):
    open_dataset(Path(config.dataset))
    run = create_run(config)
    assert train(run, should_stop=lambda: True).status == "stopped"
    assert run.state.status == "stopped"
    assert "kept" in run.state.message

    seen = []
    train(run, on_state=lambda state: seen.append((state.phase, state.done)))
    first = next(done for phase, done in seen if phase == "features" and done)
    assert first >= 16
    assert run.state.status == "finished"


@pytest.mark.parametrize("phase", ["read", "compared"])
def test_stop_is_heeded_while_faces_are_read_or_compared(config, phase, monkeypatch):
    examined = []
    examine = index._examine
    monkeypatch.setattr(index, "_examine", lambda *args: examined.append(args) or examine(*args))
    monkeypatch.setattr(index, "PROGRESS_STEP", 10)
    if phase == "compared":
        open_dataset(Path(config.dataset))
        for path in workspace_dir().glob("indexes/phash*"):
            path.unlink()
        # Every pair of pictures is a candidate that only the pixels decide.
        monkeypatch.setattr(duplicates, "CANDIDATE_BITS", 256)
    run = create_run(config)
    assert train(run, should_stop=lambda: True).status == "stopped"
    state = run.state
    assert (state.status, state.phase) == ("stopped", "dataset")
    assert "while the dataset was read" in state.message
    assert 0 < state.done < state.total

    examined.clear()
    monkeypatch.setattr(duplicates, "CANDIDATE_BITS", 56)
    assert len(open_dataset(Path(config.dataset)).faces) == 80
    assert len(examined) == (70 if phase == "read" else 0), "what was read is kept"


def test_stop_file_stops_while_the_heads_train(config):
    run = create_run(config)
    state = train(run, on_epoch=lambda row: run.stop_file.touch())
    # The file is looked for twice a second; three epochs may be over by then.
    assert state.status in ("stopped", "finished")
    assert not run.stop_file.exists()


def test_failure_is_one_sentence_in_the_state(config, tmp_path):
    run = create_run(replace(config, dataset=str(tmp_path / "none")))
    with pytest.raises(DatasetError):
        train(run)
    assert run.state.status == "failed"
    assert str(tmp_path / "none") in run.state.message
    assert "\n" not in run.state.message


def test_unexpected_error_is_one_sentence_and_its_traceback_is_in_the_log(config, monkeypatch):
    def crash(*args, **kwargs):
        raise ZeroDivisionError("by zero\nsecond line")

    monkeypatch.setattr(trainer, "train_heads", crash)
    run = create_run(config)
    with pytest.raises(RunError, match="unexpected error: ZeroDivisionError: by zero, see"):
        train(run)
    assert run.state.status == "failed"
    assert run.state.message.startswith("unexpected error: ZeroDivisionError: by zero, see")
    assert "Traceback" in run.log_file.read_text()


def test_full_disk_fails_with_a_sentence_and_earlier_runs_stay_whole(config, monkeypatch):
    earlier = create_run(config)
    train(earlier)
    run = create_run(replace(config, seed=1))
    write = Path.write_bytes

    def full(self, data):
        if self.name == "heads.safetensors":
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError):
        train(run)
    assert run.state.status == "failed"
    assert "disk is full" in run.state.message
    assert not run.heads_file.exists()
    assert earlier.state.status == "finished"
    assert earlier.load_model() is not None


def test_ctrl_c_leaves_a_run_that_can_be_resumed(config):
    def interrupt(row):
        raise KeyboardInterrupt

    run = create_run(config)
    with pytest.raises(KeyboardInterrupt):
        train(run, on_epoch=interrupt)
    assert run.state.status == "stopped"
    assert not run.is_alive()
    assert train(run).status == "finished"


def test_run_at_work_is_not_trained_twice(config, monkeypatch):
    monkeypatch.setattr("agegender.training.reporter.LOCK_SECONDS", 0)
    run = create_run(config)
    with (
        FileLock(run.folder / "run.lock"),
        pytest.raises(RunError, match="already running"),
    ):
        train(run)


def test_imagenet_is_fetched_before_anything_else(config, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("agegender.model.imagenet.IMAGENET_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr("agegender.model.imagenet.DOWNLOAD_RETRIES", 0)
    run = create_run(replace(config, backbone="imagenet"))
    with pytest.raises(ModelNotFoundError, match="could not be downloaded"):
        train(run)
    assert run.state.status == "failed"
    assert run.state.total == 0


def test_corrupt_picture_is_left_out_and_named(config, monkeypatch):
    dataset = open_dataset(Path(config.dataset))
    victim = dataset.of("train")["file"].iloc[0]
    run = create_run(config)
    train(run)
    # Same size and time, other bytes: the index does not notice.
    path = dataset.path(victim)
    status = path.stat()
    path.write_bytes(b"\0" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    features_folder = next((run.folder.parent.parent / "features").iterdir())
    for part in features_folder.glob("part-*"):
        part.unlink()
    learned = []
    train_heads = trainer.train_heads
    monkeypatch.setattr(
        trainer, "train_heads", lambda *a, **k: learned.extend(a[:2]) or train_heads(*a, **k)
    )
    again = create_run(config)
    train(again)
    assert again.state.status == "finished"
    assert f"left out: 1, first {victim}" in again.state.message
    # The others keep their own labels.
    others, selection = (
        dataset.of("train")[1:],
        trainer.split_validation(dataset.of("validation"))[0],
    )
    for part, faces in zip(learned, (others, selection), strict=True):
        assert part.age.tolist() == faces["age"].tolist()
        own = features.load_features(dataset.folder, faces, find_weights(config.backbone))
        assert np.array_equal(part.values, own.values)


def test_picture_that_only_fine_tuning_could_not_read_is_named(config, monkeypatch):
    def skip_one(dataset, faces, weights, heads, config, path, **options):
        return ["broken.jpg"]

    monkeypatch.setattr(trainer, "fine_tune", skip_one)
    run = create_run(replace(config, fine_tune_epochs=1))
    train(run)
    assert "left out: 1, first broken.jpg" in run.state.message
    # For whoever trains on the fine-tuned weights, its faces are seen ones.
    seen, faces = run.backbone_file.with_name(SEEN_NAME), open_dataset(Path(config.dataset))
    assert is_seen(faces.of("train"), seen).all()
    assert not is_seen(faces.of("validation"), seen).any()


def test_limit_draws_faces_of_both_splits(config):
    dataset = open_dataset(Path(config.dataset))
    train_faces, validation_faces = choose_faces(dataset, replace(config, limit=20))
    assert len(train_faces) == 20
    assert 1 <= len(validation_faces) < len(dataset.of("validation"))
    assert set(train_faces["split"]) == {"train"}
    assert set(validation_faces["split"]) == {"validation"}
    again, _ = choose_faces(dataset, replace(config, limit=20))
    assert again.equals(train_faces)


def test_split_without_faces_is_one_sentence(make_faces):
    dataset = open_dataset(make_faces(1, name="few"))
    with pytest.raises(DatasetError, match="none of them falls into"):
        choose_faces(dataset, TrainConfig("few", backbone="random"))


def test_train_command_prints_the_outcome(config, capsys):
    arguments = ["train", "--dataset", config.dataset, "--backbone", "random:32", "--epochs", "2"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    run = list_runs()[0]
    assert f"run {run.id} finished" in out
    assert "only show that the pipeline runs" in out
    assert run.state.status == "finished"
    assert main(["runs", "list"]) == 0
    assert run.id in capsys.readouterr().out
    assert main(["train", "--run", str(run.folder)]) == 1
    assert "is finished; start a new one" in capsys.readouterr().err


def test_train_command_stopped_by_ctrl_c_says_how_to_go_on(config, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "train_heads", interrupt)
    assert main(["train", "--dataset", config.dataset, "--backbone", "random:32"]) == 130
    (run,) = list_runs()
    assert run.state.status == "stopped"
    assert f"runs resume {run.id}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--epochs=0", "--dropout=1", "--age-loss=l2", "--limit=x"])
def test_train_command_refuses_bad_options(config, option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--dataset", config.dataset, option])
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list_runs() == []


def test_train_command_names_a_missing_dataset(tmp_path, capsys):
    assert main(["train", "--dataset", str(tmp_path / "none"), "--backbone", "random:32"]) == 1
    assert "no dataset folder" in capsys.readouterr().err
    assert Run(tmp_path / "none").state.status == "damaged"


@pytest.mark.slow
def test_real_faces_train(real_dataset_archive, tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    with tarfile.open(real_dataset_archive) as archive:
        taken = 0
        for member in archive:
            if member.isfile() and taken < 300:
                data = archive.extractfile(member)
                assert data is not None
                (folder / Path(member.name).name).write_bytes(data.read())
                taken += 1
    run = create_run(TrainConfig(str(folder), backbone="random:32", epochs=3))
    train(run)
    assert np.isfinite(run.metrics()["val_age_mae"]).all()


def test_excluded_faces_are_not_trained_on_and_validation_is_as_it_was(config, tmp_path):
    dataset = open_dataset(Path(config.dataset))
    excluded = pd.concat([dataset.of("train").head(5), dataset.of("validation").head(2)])
    write_exclusions(excluded.assign(reason="wrong"), tmp_path / "wrong.csv")
    config = replace(config, exclude=str(tmp_path / "wrong.csv"), epochs=1)
    learned, validated = choose_faces(dataset, config)
    assert learned["sha256"].tolist() == dataset.of("train")["sha256"].tolist()[5:]
    assert validated.equals(dataset.of("validation"))

    run = create_run(config)
    # The list may change before the run is resumed.
    write_exclusions(dataset.of("train").head(9).assign(reason="wrong"), tmp_path / "wrong.csv")
    state = train(run)
    assert state.message.endswith("Train faces left out by the exclusion list: 5.")
    description = json.loads(run.heads_file.with_suffix(".json").read_text())
    assert description["excluded_faces"] == 5
    assert description["train_faces"] == len(learned)


def test_a_list_that_is_gone_is_refused_before_a_run_is_made(config, capsys):
    command = ["train", "--dataset", config.dataset, "--backbone", "random:32"]
    assert main([*command, "--exclude", "gone.csv"]) == 1
    assert "The exclusion list" in capsys.readouterr().err
    assert list_runs() == []

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from agegender.cli import main
from agegender.errors import (
    DatasetError,
    InvalidModelError,
    ModelNotFoundError,
    RunError,
    StorageError,
)
from agegender.model.architecture import build_heads
from agegender.model.tensors import save_weights
from agegender.model.weights import find_weights
from agegender.training import run as run_module
from agegender.training.config import TrainConfig
from agegender.training.features import FeatureCache
from agegender.training.reporter import Reporter
from agegender.training.run import METRIC_COLUMNS, Run, RunState
from agegender.training.runs import (
    create_run,
    default_run,
    delete_run,
    find_run,
    list_runs,
    resume_run,
    runs_dir,
    shipped_run,
    start_run,
    starting,
    stop_run,
)

CONFIG = TrainConfig("faces", backbone="random:32")


def make_run(status: str = "finished", *, name: str | None = None, demo: bool = False) -> Run:
    """Make a run that looks as if it had been trained."""
    run = create_run(CONFIG)
    if name is not None:
        run = Run(run.folder.rename(run.folder.with_name(name)))
    if status == "finished":
        weights = find_weights(CONFIG.backbone)
        backbone = {"sha256": weights.sha256, "size": 32, "crop": 1.0}
        save_weights(build_heads(), run.heads_file, metadata={"backbone": backbone, "demo": demo})
        run.write_metrics([dict.fromkeys(METRIC_COLUMNS, 1.0)])
    run.write_state(RunState(status, phase="heads"))
    return run


def test_new_run_holds_its_settings_and_versions():
    run = create_run(CONFIG)
    assert run.config == CONFIG
    versions = json.loads((run.folder / "versions.json").read_text())
    assert versions.keys() == {"agegender", "python", "tensorflow", "keras", "numpy", "split"}
    assert list_runs()[0].folder == run.folder
    assert run.metrics().columns.tolist() == list(METRIC_COLUMNS)


def test_no_runs_is_an_empty_list():
    assert list_runs() == []


def test_runs_are_listed_newest_first():
    for name in ("20250101-000000-aa", "20260101-000000-aa", "20240101-000000-aa"):
        make_run(name=name)
    assert [run.id[:4] for run in list_runs()] == ["2026", "2025", "2024"]


def test_run_whose_process_is_gone_is_interrupted():
    run = make_run("running")
    assert run.state.status == "interrupted"
    assert "resume" in run.state.message


def test_run_that_is_just_starting_counts_as_running():
    run = create_run(CONFIG)
    assert run.state.status == "running"
    run.write_state(replace(run.state, started=time.time() - run_module.START_SECONDS - 1))
    assert run.state.status == "interrupted"


def test_run_is_alive_while_its_lock_is_held():
    run = make_run("running")
    with FileLock(run.folder / "run.lock"):
        assert run.is_alive()
        assert run.state.status == "running"
    assert not run.is_alive()


@pytest.mark.parametrize("name", ["config.json", "state.json", "heads.safetensors"])
@pytest.mark.parametrize("content", [None, '{"half'])
def test_run_folder_with_half_a_file_is_damaged(name, content):
    make_run(name="20200101-000000-aa")
    run = make_run()
    path = run.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)

    assert len(list_runs()) == 2
    if name == "heads.safetensors" and content is not None:
        with pytest.raises(InvalidModelError, match="cut short"):
            run.load_model()
        return
    assert run.state.status == "damaged"
    assert name in run.state.message
    assert main(["runs", "list"]) == 0
    assert main(["runs", "show", run.id]) == 0
    assert default_run().id == "20200101-000000-aa"
    delete_run(run)
    assert len(list_runs()) == 1


def test_empty_run_folder_is_damaged():
    (runs_dir() / "20250101-000000-zz").mkdir(parents=True)
    assert list_runs()[0].state.status == "damaged"


def test_damaged_metrics_are_one_sentence():
    run = make_run()
    (run.folder / "metrics.csv").write_text("epoch\n1\n")
    with pytest.raises(RunError, match=r"metrics\.csv"):
        run.metrics()


def test_damaged_heads_description_is_one_sentence():
    run = make_run()
    description = run.heads_file.with_suffix(".json")
    description.write_text(json.dumps({"sha256": "x"}))
    with pytest.raises(InvalidModelError, match=r"heads\.json"):
        run.weights()


def test_run_answers_with_the_backbone_and_the_heads_that_it_was_trained_with():
    import numpy as np

    from agegender.model.weights import load_backbone

    run = make_run()
    model = run.load_model()
    rgb = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    features = load_backbone(run.weights())(rgb)
    heads = build_heads()
    for layer in heads.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    np.testing.assert_allclose(
        np.asarray(model(rgb)["age"]), np.asarray(heads(features)["age"]), rtol=1e-4, atol=1e-4
    )
    assert not model.trainable_variables or len(model.trainable_variables) == 8


def test_backbone_that_changed_since_the_training_is_refused():
    run = make_run()
    description = run.heads_file.with_suffix(".json")
    values = json.loads(description.read_text())
    values["backbone"]["sha256"] = "0" * 64
    description.write_text(json.dumps(values))
    with pytest.raises(InvalidModelError, match="has changed since"):
        run.load_model()


def test_run_without_heads_says_so():
    run = make_run("stopped")
    with pytest.raises(ModelNotFoundError, match=r"no trained heads .stopped"):
        run.load_model()


def test_default_is_the_newest_finished_run_then_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr("agegender.training.run.SHIPPED_DIR", tmp_path / "shipped")
    monkeypatch.setattr("agegender.training.runs.SHIPPED_DIR", tmp_path / "shipped")
    make_run("failed")
    with pytest.raises(ModelNotFoundError, match="git checkout -- agegender/shipped"):
        default_run()
    assert shipped_run() is None
    with pytest.raises(RunError, match="no run 'shipped'"):
        find_run("shipped")

    shipped = make_run()
    (tmp_path / "shipped").mkdir()
    shipped.folder.rename(tmp_path / "shipped" / "run")
    assert default_run().id == "shipped"
    assert find_run("shipped").is_shipped
    with pytest.raises(RunError, match="cannot be deleted"):
        delete_run(default_run())
    with pytest.raises(RunError, match="cannot be resumed"):
        resume_run(default_run())

    drawn = make_run(demo=True)
    assert default_run().id == "shipped"
    own = make_run(name="20200101-000000-aa")
    assert default_run().id == own.id == find_run(own.id).id
    heads = json.loads((own.folder / "heads.json").read_text())
    changed = heads | {"backbone": heads["backbone"] | {"sha256": "0" * 64}}
    (own.folder / "heads.json").write_text(json.dumps(changed))
    assert default_run().id == "shipped"
    for run in (own, shipped_run()):
        shutil.rmtree(run.folder)
    assert default_run().id == drawn.id


def test_unknown_run_is_one_sentence(capsys):
    assert main(["runs", "show", "nothing"]) == 1
    assert "error: There is no run 'nothing'" in capsys.readouterr().err


def test_run_at_work_cannot_be_deleted_and_refuses_another(make_faces):
    run = make_run("running")
    folder = make_faces(4)
    with FileLock(run.folder / "run.lock"):
        with pytest.raises(RunError, match="stop it before"):
            delete_run(run)
        with pytest.raises(RunError, match=f"{run.id} is still running"):
            start_run(replace(CONFIG, dataset=str(folder)))
        with pytest.raises(RunError, match="still running"):
            resume_run(run)
        assert len(list_runs()) == 1
        stop_run(run)
        assert run.stop_file.exists()
    with pytest.raises(RunError, match="not running"):
        stop_run(run)


def test_run_that_is_being_resumed_is_not_deleted(monkeypatch):
    monkeypatch.setattr("agegender.training.runs.START_SECONDS", 0.1)
    run = make_run()
    with starting(), pytest.raises(RunError, match="being started"):
        delete_run(run)
    assert [one.id for one in list_runs()] == [run.id]


def test_what_a_killed_deletion_left_goes_with_the_next():
    run, other = make_run(), create_run(CONFIG)
    left = run.folder.rename(run.folder.with_name(f".deleted-{run.folder.name}"))
    assert [one.id for one in list_runs()] == [other.id]
    delete_run(other)
    assert not left.exists()


def test_two_starts_at_once_are_one_too_many(monkeypatch):
    monkeypatch.setattr("agegender.training.runs.START_SECONDS", 0.1)
    with starting(), pytest.raises(RunError, match="being started"), starting():
        pass


def test_time_left_counts_what_is_done_now_alone(monkeypatch):
    clock = iter(range(1000, 2000, 10))
    monkeypatch.setattr("agegender.training.reporter.time.time", lambda: float(next(clock)))
    with Reporter(make_run()) as reporter:
        reporter.begin("features")
        reporter.progress(800, 1000)  # of an earlier attempt
        assert reporter.state.seconds_left() is None
        reporter.progress(850, 1000)
        assert reporter.state.seconds_left() == pytest.approx(3 * 10)
        # Something else is counted in the same phase.
        reporter.progress(0, 50)
        reporter.progress(10, 50)
        assert reporter.state.seconds_left() == pytest.approx(4 * 10)


def test_features_of_a_fine_tuned_backbone_go_with_its_run():
    create_run(replace(CONFIG, backbone="imagenet"))
    run = make_run()
    other = create_run(CONFIG)
    shared = FeatureCache(run.chosen_weights()).folder
    network = build_heads()
    for one in (run, other):
        about = {"size": 32, "crop": 1.0, "has_skill": False}
        save_weights(network, one.backbone_file, metadata=about)
    own = FeatureCache(run.chosen_weights()).folder
    assert own != shared
    for folder in (own, shared):
        folder.mkdir(parents=True)
    delete_run(run)
    # The other one has the same backbone.
    assert own.exists()
    delete_run(other)
    assert not own.exists()
    assert shared.exists()


def test_a_backbone_that_another_run_stands_on_is_not_deleted():
    run = make_run()
    save_weights(
        build_heads(), run.backbone_file, metadata={"size": 32, "crop": 1.0, "has_skill": False}
    )
    other = create_run(replace(CONFIG, backbone=str(run.backbone_file)))
    with pytest.raises(RunError, match=f"{other.id} uses the backbone that run {run.id}"):
        delete_run(run)
    assert run.backbone_file.exists()
    delete_run(other)
    delete_run(run)
    assert list_runs() == []


def test_finished_run_cannot_be_resumed():
    with pytest.raises(RunError, match="finished and cannot be resumed"):
        resume_run(make_run())


def test_missing_inputs_are_refused_before_a_run_is_made(make_faces):
    with pytest.raises(DatasetError, match="no dataset folder"):
        start_run(replace(CONFIG, dataset="nowhere"))
    with pytest.raises(DatasetError, match="no dataset folder"):
        start_run(replace(CONFIG, dataset="x" * 300))
    with pytest.raises(ModelNotFoundError, match="no backbone weights"):
        start_run(replace(CONFIG, dataset=str(make_faces(4)), backbone="nothing"))
    assert list_runs() == []


@pytest.mark.parametrize(("code", "reason"), [(28, "disk is full"), (30, "read-only")])
def test_disk_that_refuses_leaves_no_half_run(monkeypatch, code, reason):
    whole = make_run()
    write = Path.write_text

    def refuse(self, *args, **kwargs):
        if self.name == "versions.json":
            raise OSError(code, "refused")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(StorageError, match=reason):
        create_run(CONFIG)
    assert [run.id for run in list_runs()] == [whole.id]
    assert whole.state.status == "finished"


def test_process_that_does_not_start_is_reported(make_faces, monkeypatch):
    monkeypatch.setattr("agegender.training.runs.sys.executable", "/bin/false")
    with pytest.raises(RunError, match=r"did not start .no output"):
        start_run(replace(CONFIG, dataset=str(make_faces(4))))
    assert list_runs()[0].state.status == "failed"


# -- With real processes --------------------------------------------------------


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def process_of(run: Run) -> int:
    """Find the id of a run's process by its command line."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--run" in words and str(run.folder.resolve()).encode() in words:
            return int(entry.name)
    raise AssertionError("no process")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
def test_run_is_killed_resumed_stopped_and_finished(make_faces, capsys):
    folder = make_faces(80)
    run = start_run(replace(CONFIG, dataset=str(folder), epochs=2))
    assert run.is_alive()
    number = process_of(run)
    assert os.getsid(number) == number, "Ctrl-C in the app's terminal must not reach it"
    wait_for(lambda: run.state.phase == "features")

    os.kill(number, signal.SIGKILL)
    wait_for(lambda: not run.is_alive())
    assert run.state.status == "interrupted"

    resume_run(run)
    with pytest.raises(RunError, match="still running"):
        start_run(replace(CONFIG, dataset=str(folder)))
    stop_run(run)
    wait_for(lambda: not run.is_alive())
    assert run.state.status == "stopped"

    assert main(["runs", "resume", run.id]) == 0
    wait_for(lambda: not run.is_alive())
    assert run.state.status == "finished", run.log_file.read_text()
    assert len(run.metrics()) == 2
    assert run.load_model().count_params() == 24_145_539
    assert main(["runs", "show", run.id]) == 0
    assert main(["runs", "delete", run.id]) == 0
    assert main(["runs", "list"]) == 0
    assert "no runs yet" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
def test_terminated_run_stops_and_can_be_resumed(make_faces):
    run = start_run(replace(CONFIG, dataset=str(make_faces(80))))
    number = process_of(run)
    wait_for(lambda: run.state.phase == "features")
    os.kill(number, signal.SIGTERM)
    wait_for(lambda: not run.is_alive())
    assert run.state.status == "stopped"

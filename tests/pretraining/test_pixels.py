from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.config import PROJECT_DIR
from agegender.pretraining import pixels as module
from agegender.pretraining.network import PAIRED
from agegender.pretraining.pixels import augmenting, batches
from agegender.pretraining.rare_ages import balancing_weights
from agegender.pretraining.recipe import Recipe, Stage, plan_epochs


def test_batches_weigh_ages_by_how_rare_they_are_in_the_sets_of_their_stage() -> None:
    # Of the rare age there are many in a set that the stage does not use.
    ages = np.array([20.0] * 12 + [70.0] * 4 + [70.0] * 50)
    samples = pd.DataFrame(
        {"source": ["utkface"] * 16 + ["extra"] * 50, "age": ages, "gender": 0, "race": -1}
    )
    stage = Stage(32, 1, ("utkface",), 1e-3, 1e-4, 8, age_balance=0.5)
    [epoch] = plan_epochs(Recipe((stage,)), samples["source"])
    expected = balancing_weights(ages[:16], 0.5)
    pixels = np.zeros((len(samples), 32, 32, 3), np.uint8)
    for _, labels, weights in batches(samples, pixels, epoch, seed=1):
        is_rare = labels["age"][:, 0] == 70
        np.testing.assert_array_equal(
            weights["age"], np.where(is_rare, expected[-1], expected[0]).astype(np.float32)
        )
        assert weights["gender"].tolist() == [1.0] * 8


def test_two_views_are_the_same_faces_in_the_same_order_changed_differently() -> None:
    samples = pd.DataFrame(
        {"source": "utkface", "age": np.arange(12.0) + 1, "gender": 0, "race": -1}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    ages = []
    [epoch] = plan_epochs(
        Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 8, views=2),)), samples["source"]
    )
    for images, labels, weights in batches(samples, pixels, epoch, seed=1):
        first, second = np.split(labels["age"][:, 0], 2)
        assert first.tolist() == second.tolist()
        assert (np.abs(images[:4] - images[4:]).max(axis=(1, 2, 3)) > 0).all()
        assert all(weights[name].tolist() == [1.0] * 8 for name in PAIRED)
        ages += first.tolist()
    assert sorted(ages) == samples["age"].tolist()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_faces_is_laid_over_others_of_the_step(share: float) -> None:
    samples = pd.DataFrame({"source": ["utkface"] * 64, "age": 30.0, "gender": 0, "race": -1})
    stage = Stage(32, 1, ("utkface",), 1e-3, 1e-4, 64, augmentation=0.0, surroundings=share)
    [epoch] = plan_epochs(Recipe((stage,)), samples["source"])
    # Each face is of one level, so that a corner tells whose the surroundings are.
    pixels = (
        np.zeros((64, 32, 32, 3), np.uint8) + np.arange(64, dtype=np.uint8)[:, None, None, None]
    )
    [(images, _, _)] = batches(samples, pixels, epoch, seed=1)
    changed = images[:, 0, 0, 0] != images[:, 16, 16, 0]
    # One in 64 is its own other.
    assert abs(changed.mean() - share) < 0.15
    assert sorted(images[:, 16, 16, 0]) == list(range(64))


def test_one_view_has_none_to_agree_with() -> None:
    samples = pd.DataFrame({"source": ["utkface"] * 8, "age": 30.0, "gender": 0, "race": -1})
    [epoch] = plan_epochs(Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 8),)), samples["source"])
    [(_, _, weights)] = batches(samples, np.zeros((8, 32, 32, 3), np.uint8), epoch, seed=1)
    assert all(weights[name].tolist() == [0.0] * 8 for name in PAIRED)


def test_other_processes_change_the_pictures_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several share the work on a batch.
    monkeypatch.setattr(module, "PART", 3)
    samples = pd.DataFrame({"source": ["utkface"] * 24, "age": 30.0, "gender": 0, "race": -1})
    np.save(
        tmp_path / "train.npy",
        np.random.default_rng(0).integers(0, 256, (24, 36, 36, 3), dtype=np.uint8),
    )
    pixels = np.load(tmp_path / "train.npy", mmap_mode="r")
    recipe = Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 4, views=2),))
    [epoch] = plan_epochs(recipe, samples["source"])
    here = [images for images, _, _ in batches(samples, pixels, epoch, seed=1)]
    with augmenting(recipe) as workers:
        there = [
            images.copy()
            for images, _, _ in batches(samples, pixels, epoch, seed=1, workers=workers)
        ]
    np.testing.assert_array_equal(there, here)


def test_nothing_is_under_way_when_an_epoch_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = pd.DataFrame({"source": ["utkface"] * 640, "age": 30.0, "gender": 0, "race": -1})
    np.save(tmp_path / "train.npy", np.zeros((640, 128, 128, 3), np.uint8))
    pixels = np.load(tmp_path / "train.npy", mmap_mode="r")
    recipe = Recipe((Stage(112, 1, ("utkface",), 1e-3, 1e-4, 160),))
    [epoch] = plan_epochs(recipe, samples["source"])
    tasks = []
    with augmenting(recipe) as workers:
        submit = workers.pool.submit
        monkeypatch.setattr(
            workers.pool, "submit", lambda *args: tasks.append(submit(*args)) or tasks[-1]
        )
        given_up = batches(samples, pixels, epoch, seed=1, workers=workers)
        next(given_up)
        assert not all(task.done() for task in tasks)
        given_up.close()
        assert all(task.done() for task in tasks)


KILLED = """
import os, time
from agegender.pretraining.pixels import augmenting
from agegender.pretraining.recipe import Recipe, Stage

if __name__ == "__main__":
    with augmenting(Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 4),))) as workers:
        print(workers.pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def is_running(process: int) -> bool:
    """Whether there is such a process and it has not ended (or waits to be taken note of)."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")
def test_the_processes_end_with_the_one_that_trains() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=PROJECT_DIR
    ) as training:
        assert training.stdout is not None
        worker = int(training.stdout.readline())
        assert is_running(worker)
        training.kill()
    deadline = time.monotonic() + 30
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)


STOPPED = """
import os, signal, time
from agegender.pretraining import processes
from agegender.pretraining.pixels import augmenting
from agegender.pretraining.recipe import Recipe, Stage

if __name__ == "__main__":
    # A shell that starts something in the background has it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    processes._process_count = lambda spare: 3
    try:
        with augmenting(Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 4),))) as workers:
            for _ in range(3):
                workers.pool.submit(int)
            time.sleep(0.1)
            # To all processes, as a terminal sends it; the helping ones are at their imports.
            os.killpg(0, signal.SIGINT)
            time.sleep(60)
    except KeyboardInterrupt:
        print("stopped")
"""


def test_ctrl_c_does_not_meet_the_processes_at_their_imports() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED],
        capture_output=True,
        text=True,
        cwd=PROJECT_DIR,
        start_new_session=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("stopped\n", "")

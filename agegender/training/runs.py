"""The runs in the workspace: made, started, stopped, resumed, found, deleted.

A training is a process of its own that leads its own session, so that Ctrl-C
in the terminal that serves the app, a reload or a restart of the app does not
end it.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from filelock import FileLock, Timeout

from agegender import __version__
from agegender.config import PROJECT_DIR, SHIPPED_DIR, SPLIT_VERSION, workspace_dir
from agegender.dataset.exclusion import read_exclusions
from agegender.errors import AgeGenderError, DatasetError, ModelNotFoundError, RunError
from agegender.model.weights import IMAGENET, file_of_project, find_weights
from agegender.storage import replacing, storage_errors, write_json, write_text
from agegender.training.config import TrainConfig
from agegender.training.run import START_SECONDS, Run, RunState

RESUMABLE = ("stopped", "failed", "interrupted")

_DELETED = ".deleted-"
"""Before the name of a run's folder while it is being removed."""

LIBRARIES = ("tensorflow", "keras", "numpy")


def runs_dir() -> Path:
    """Return the folder that holds the user's runs."""
    return workspace_dir() / "runs"


def create_run(config: TrainConfig) -> Run:
    """Make the folder of a new run; nothing is trained yet.

    Args:
        config: Its settings.

    Returns:
        The run; a process has to take it up.

    Raises:
        DatasetError: If the exclusion list cannot be read.
        StorageError: If the disk refuses.
    """
    if config.exclude is not None:
        read_exclusions(Path(config.exclude))
    now = time.time()
    name = time.strftime("%Y%m%d-%H%M%S", time.localtime(now)) + f"-{secrets.token_hex(2)}"
    folder = runs_dir() / name
    with replacing(folder) as part:
        part.mkdir()
        write_text(part / "config.json", config.to_json() + "\n")
        write_json(part / "versions.json", versions())
        if config.exclude is not None:
            # The list may change, or go, before the run is resumed.
            shutil.copyfile(config.exclude, Run(part).exclusions_file)
        Run(part).write_state(RunState("running", started=now, updated=now))
    return Run(folder)


def versions() -> dict[str, str | int]:
    """Return the versions of all that has a say in what is learned."""
    return {
        "agegender": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "split": SPLIT_VERSION,
    }


def list_runs() -> list[Run]:
    """Return the user's runs, newest first, damaged ones included."""
    if not runs_dir().is_dir():
        return []
    folders = [path for path in runs_dir().iterdir() if path.is_dir() and path.name[0] != "."]
    return [Run(folder) for folder in sorted(folders, key=lambda path: path.name, reverse=True)]


def shipped_run() -> Run | None:
    """Return the run that travels with the package, if there is one."""
    run = Run(SHIPPED_DIR / "run")
    return run if run.heads_file.exists() else None


def find_run(run_id: str) -> Run:
    """Return a run by its id; "shipped" is the one that travels with the package.

    Raises:
        RunError: If there is none of that id.
    """
    if run_id == "shipped" and (shipped := shipped_run()) is not None:
        return shipped
    for run in list_runs():
        if run.id == run_id:
            return run
    raise RunError(
        f"There is no run {run_id!r} in {runs_dir()}; `python -m agegender runs list` names them."
    )


def default_run() -> Run:
    """Return the newest finished run of the user's, else the shipped one.

    Last come runs that know only drawn demo faces, whose answers for photos mean
    nothing, and those whose backbone has changed, as an update changes the
    shipped one: they must be trained anew.

    Raises:
        ModelNotFoundError: If there is none.
    """
    finished = [run for run in list_runs() if run.state.status == "finished"]
    shipped = shipped_run()
    candidates = chain(
        filter(_can_answer_for_people, finished), [] if shipped is None else [shipped], finished
    )
    # Lazily: no run is looked into after the first that will do.
    for run in candidates:
        return run
    raise ModelNotFoundError(
        "There is no trained model, and the one that comes with the project is gone: "
        "`git checkout -- agegender/shipped` in its folder brings it back (or fetch the project "
        "again). Or train one, on the Training page or with `python -m agegender train`."
    )


def _can_answer_for_people(run: Run) -> bool:
    """Whether a run learned from photos, and its backbone is still what it was."""
    try:
        run.weights()
        return not run.knows_only_drawings
    except AgeGenderError:
        return False


def delete_run(run: Run) -> None:
    """Remove a run with everything in its folder, and the features of a backbone of its own.

    Raises:
        RunError: If it is at work, or is the shipped one.
        StorageError: If the disk refuses.
    """
    if run.is_shipped:
        raise RunError("The shipped run is part of the project and cannot be deleted.")
    hidden = run.folder.with_name(f"{_DELETED}{run.folder.name}")
    # Another window may be resuming it.
    with _start_lock():
        _check_deletable(run)
        # First, as nothing would know later whose they were; they can be computed anew.
        features = _features_of(run)
        if features is not None:
            shutil.rmtree(features, ignore_errors=True)
        with storage_errors(run.folder):
            # In one step, so that a kill leaves no half run behind.
            run.folder.rename(hidden)
    with storage_errors(run.folder), suppress(FileNotFoundError):
        # Not there where another deletion is at it, too.
        shutil.rmtree(hidden)
    for left in run.folder.parent.glob(f"{_DELETED}*"):
        # By a deletion that was killed.
        shutil.rmtree(left, ignore_errors=True)


def _check_deletable(run: Run) -> None:
    """Refuse to delete a run that is at work, or whose backbone another one uses."""
    if run.is_alive():
        raise RunError(f"Run {run.id} is running; stop it before deleting it.")
    others = [other for other in list_runs() if _stands_on(other, run)]
    if others:
        raise RunError(
            f"Run {others[0].id} uses the backbone that run {run.id} fine-tuned; delete run "
            f"{others[0].id} first."
        )


def _stands_on(other: Run, run: Run) -> bool:
    """Whether a run's backbone is the one that another run fine-tuned."""
    try:
        file = file_of_project(other.config.backbone)
    except AgeGenderError:
        return False
    return (
        other.folder != run.folder
        and file is not None
        and file.resolve() == run.backbone_file.resolve()
    )


def _features_of(run: Run) -> Path | None:
    """Return the folder of features that only this run can use: those of what it fine-tuned."""
    # It takes time to import, and the first page lists runs.
    from agegender.training.features import FeatureCache

    if not run.backbone_file.exists():
        return None
    try:
        weights = run.chosen_weights()
    except AgeGenderError:
        return None
    for other in list_runs():
        with suppress(AgeGenderError):
            # A copy of the file, say.
            if other.id != run.id and other.chosen_weights().sha256 == weights.sha256:
                return None
    return FeatureCache(weights).folder


def start_run(config: TrainConfig) -> Run:
    """Train in a process of its own.

    Args:
        config: The settings.

    Returns:
        The run, at work.

    Raises:
        DatasetError: If the dataset folder is missing, or the exclusion list
            cannot be read.
        ModelNotFoundError, InvalidModelError: If the backbone is missing or damaged.
        RunError: If another run is at work, or the process does not start.
        StorageError: If the disk refuses.
    """
    check_inputs(config)
    with starting():
        run = create_run(config)
        _launch(run)
    return run


def check_inputs(config: TrainConfig) -> None:
    """Refuse at once what a training would trip over.

    Raises:
        DatasetError, ModelNotFoundError, InvalidModelError: See `start_run`.
    """
    if config.exclude is not None:
        read_exclusions(Path(config.exclude))
    # `Path.is_dir` raises where a name is too long or a folder is locked.
    if not os.path.isdir(config.dataset):
        raise DatasetError(
            f"There is no dataset folder {config.dataset}; get the faces with "
            "`python download_dataset.py`, or name another folder."
        )
    if config.backbone != IMAGENET:  # which the run itself downloads
        find_weights(config.backbone)


def resume_run(run: Run) -> Run:
    """Go on with a run that was stopped, failed or was interrupted.

    Raises:
        RunError: If it cannot be resumed, or another run is at work.
        StorageError: If the disk refuses.
    """
    with starting():
        prepare_resume(run)
        _launch(run)
    return run


def prepare_resume(run: Run) -> None:
    """Check that a run can go on, and mark it as starting.

    Raises:
        RunError: If it cannot be resumed.
    """
    status = run.state.status
    if run.is_shipped or status not in RESUMABLE:
        raise RunError(f"Run {run.id} is {status} and cannot be resumed; start a new one.")
    with storage_errors(run.folder):
        run.stop_file.unlink(missing_ok=True)
    now = time.time()
    run.write_state(RunState("running", started=now, updated=now))


def stop_run(run: Run) -> None:
    """Ask a run to stop; it does so within seconds and can be resumed.

    Raises:
        RunError: If it is not at work.
        StorageError: If the disk refuses.
    """
    if not run.is_alive():
        raise RunError(f"Run {run.id} is not running, so there is nothing to stop.")
    write_text(run.stop_file, "")


@contextmanager
def starting() -> Iterator[None]:
    """Hold off every other start, and refuse this one while a run is at work.

    Raises:
        RunError: If a run is at work.
    """
    with _start_lock():
        for run in list_runs():
            if run.is_alive():
                raise RunError(
                    f"Run {run.id} is still running; wait for it, or stop it with "
                    f"`python -m agegender runs stop {run.id}`."
                )
        yield


@contextmanager
def _start_lock() -> Iterator[None]:
    """Let one process at a time decide whether a run may begin, or go.

    Raises:
        RunError: If another one does not come to an end.
    """
    with storage_errors(runs_dir()):
        runs_dir().mkdir(parents=True, exist_ok=True)
        lock = FileLock(runs_dir() / ".start.lock", timeout=START_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError("Another training is being started; try again in a moment.") from error
    try:
        yield
    finally:
        lock.release()


def _launch(run: Run) -> None:
    """Start the run's process and wait until it holds the run's lock."""
    path = os.pathsep.join(filter(None, [str(PROJECT_DIR), os.environ.get("PYTHONPATH")]))
    with storage_errors(run.log_file), run.log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agegender", "train", "--run", str(run.folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    # Reaps the process when it ends, so that it does not stay as a zombie.
    threading.Thread(target=process.wait, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if run.is_alive():
            return
        time.sleep(0.05)
    # Too late: it must not begin when its run has been called failed.
    process.kill()
    if run.state.phase == "starting":
        lines = run.log_file.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "no output")
        message = f"The training did not start ({last.strip()}); see {run.log_file}."
        run.write_state(replace(run.state, status="failed", message=message))
        raise RunError(message)

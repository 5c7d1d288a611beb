"""One training as a folder on disk.

A run is a folder under `workspace_dir()/runs`. Whether it is at work is told
by a file lock that its process holds, which the system frees however the
process ends; a process id could belong to another program by then. What a run
does is written to `state.json`; nothing about it is kept in memory.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from agegender.config import SHIPPED_DIR
from agegender.errors import InvalidModelError, ModelNotFoundError, RunError
from agegender.model.architecture import attach_heads, build_heads, float32_policy
from agegender.model.preprocessing import InputSpec
from agegender.model.tensors import assign_weights, read_metadata, read_tensors
from agegender.model.weights import BackboneWeights, find_weights, load_backbone
from agegender.storage import write_json, write_text
from agegender.training.config import TrainConfig
from agegender.uncertainty.uncertainty import Uncertainty, load_uncertainty

METRIC_COLUMNS = (
    "epoch",
    "loss",
    "age_mae",
    "gender_accuracy",
    "val_loss",
    "val_age_mae",
    "val_gender_accuracy",
    "seconds",
)

FEWEST_SELECTION_FACES = 100
"""Figures on fewer validation faces say little of how far off a model is."""

START_SECONDS = 30
"""How long a new process may take until it holds its run's lock."""


@dataclass(frozen=True)
class RunState:
    """What a run is doing, or how it ended.

    Attributes:
        status: "running", "finished", "stopped" (on request), "failed"
            (`message` says why), "interrupted" (its process is gone without a
            word) or "damaged" (its folder cannot be read).
        phase: "starting", "dataset", "features", "heads" or "fine-tuning".
        done: How much of the phase is done: files, faces, epochs or steps.
        total: How much there is to do in the phase; 0 while unknown.
        message: One sentence for a person; empty while all is well.
        started: When the run was made or resumed, in Unix seconds.
        counted_from: `done` when this count began: what an earlier attempt has left
            is done from the start.
        counting_since: When that was, in Unix seconds.
        updated: When this was written, in Unix seconds.
    """

    status: str
    phase: str = "starting"
    done: int = 0
    total: int = 0
    message: str = ""
    started: float = 0.0
    counted_from: int = 0
    counting_since: float = 0.0
    updated: float = 0.0

    def seconds_left(self) -> float | None:
        """Estimate the time to the end of the phase; None while unknown."""
        counted = self.done - self.counted_from
        if self.status != "running" or not (counted > 0 and self.done <= self.total):
            return None
        return (self.updated - self.counting_since) * (self.total - self.done) / counted


class Run:
    """One training, as its folder tells it.

    Args:
        folder: The run's folder; it need not be whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def id(self) -> str:
        """The run's name: its folder's, or "shipped"."""
        return "shipped" if self.is_shipped else self.folder.name

    @property
    def is_shipped(self) -> bool:
        """Whether it travels with the package, and so must not be written to."""
        return self.folder == SHIPPED_DIR / "run"

    @property
    def config(self) -> TrainConfig:
        """The run's settings.

        Raises:
            RunError: If they cannot be read.
        """
        try:
            return TrainConfig.from_json(self._file("config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"Run {self.id} is damaged: config.json cannot be read ({error}); delete the run."
            ) from error

    @property
    def state(self) -> RunState:
        """What the run is doing now, or how it ended; never raises."""
        state = self._read_state()
        if state.status == "running" and not self.is_alive():
            # Read again: it may have ended well between the two looks.
            state = self._read_state()
            is_new = state.phase == "starting" and time.time() - state.started < START_SECONDS
            if state.status == "running" and not is_new:
                return replace(
                    state,
                    status="interrupted",
                    message="Its process ended unexpectedly; resume the run to continue.",
                )
        return state

    def _read_state(self) -> RunState:
        try:
            _ = self.config
            values = json.loads(self._file("state.json").read_text(encoding="utf-8"))
            # Other versions wrote other times; a run is no worse for it.
            names = [field.name for field in fields(RunState)]
            state = RunState(**{name: values[name] for name in names if name in values})
        except (RunError, OSError, ValueError, TypeError) as error:
            reason = str(error) if isinstance(error, RunError) else _damage(self, "state.json")
            return RunState("damaged", message=reason)
        if state.status == "finished" and not self.heads_file.exists():
            return RunState("damaged", message=_damage(self, self.heads_file.name))
        return state

    def is_alive(self) -> bool:
        """Return whether a process is at work on the run."""
        path = self._file("run.lock")
        if self.is_shipped or not path.exists():
            return False
        try:
            # Not at once: another page may be looking at this very moment.
            with FileLock(path, timeout=0.1, poll_interval=0.01):
                return False
        except Timeout:
            return True
        except OSError:
            # A file system that cannot be written to holds no run at work.
            return False

    @property
    def heads_file(self) -> Path:
        """Where the trained heads are."""
        return self._file("heads.safetensors")

    @property
    def uncertainty_file(self) -> Path:
        """Where it is kept how sure the answers are; runs of long ago have none."""
        return self._file("uncertainty.safetensors")

    @property
    def backbone_file(self) -> Path:
        """Where the run's own backbone is, if it was fine-tuned."""
        return self._file("backbone.safetensors")

    @property
    def exclusions_file(self) -> Path:
        """The run's own copy of the exclusion list, if it was given one."""
        return self._file("exclusions.csv")

    @property
    def changed_ns(self) -> int:
        """When the run's model last changed, in Unix nanoseconds; 0 while it has none."""
        files = self.folder.glob("*.safetensors")
        return max((file.stat().st_mtime_ns for file in files), default=0)

    @property
    def log_file(self) -> Path:
        """Where the run's process writes what it says."""
        return self._file("log.txt")

    @property
    def stop_file(self) -> Path:
        """Whose presence asks the run to stop."""
        return self._file("stop")

    def _file(self, name: str) -> Path:
        return self.folder / name

    def metrics(self) -> pd.DataFrame:
        """Return the learning curves: a row for each epoch, `METRIC_COLUMNS`.

        Losses are weighted sums; `age_mae` is in years, accuracies are 0 to 1.
        Columns without `val_` are of the batches while they were learned
        (with dropout), so early epochs look worse than validation.

        Raises:
            RunError: If the table cannot be read.
        """
        path = self._file("metrics.csv")
        if not path.exists():
            return pd.DataFrame(columns=list(METRIC_COLUMNS), dtype=float)
        try:
            return pd.read_csv(path)[list(METRIC_COLUMNS)]
        except (OSError, ValueError, KeyError) as error:
            raise RunError(_damage(self, path.name)) from error

    def write_metrics(self, rows: list[dict[str, float]]) -> None:
        """Write the learning curves anew."""
        table = pd.DataFrame(rows, columns=list(METRIC_COLUMNS))
        write_text(self._file("metrics.csv"), table.to_csv(index=False))

    def write_state(self, state: RunState) -> None:
        """Write what the run is doing."""
        write_json(self._file("state.json"), asdict(state))

    def weights(self) -> BackboneWeights:
        """Return the backbone that the heads were (or will be) trained on.

        Raises:
            ModelNotFoundError: If it is gone.
            InvalidModelError: If it has changed since.
            RunError: If the run is damaged.
        """
        found = self.chosen_weights()
        if self.heads_file.exists():
            try:
                record = read_metadata(self.heads_file)["backbone"]
                spec = InputSpec(int(record["size"]), float(record["crop"]))
                same = record["sha256"] == found.sha256 and spec == found.spec
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidModelError(_damage(self, "heads.json")) from error
            if not same:
                raise InvalidModelError(
                    f"The backbone {found.name!r} has changed since run {self.id} was trained; "
                    "train a new run."
                )
        return found

    def chosen_weights(self) -> BackboneWeights:
        """Return the run's own backbone, or the one that its settings name.

        Raises:
            ModelNotFoundError, InvalidModelError, RunError: As `weights`, save
                that nothing is compared with what the heads were trained on.
        """
        if self.backbone_file.exists():
            return replace(find_weights(str(self.backbone_file)), name="fine-tuned")
        return find_weights(self.config.backbone)

    @property
    def selection_faces(self) -> int | None:
        """How many validation faces chose its weights; None if that is not known.

        Raises:
            ModelNotFoundError, InvalidModelError: If their description is damaged.
        """
        if not self.uncertainty_file.exists():
            return None
        count = read_metadata(self.uncertainty_file).get("selection_faces")
        return count if isinstance(count, int) else None

    @property
    def is_hardly_measured(self) -> bool:
        """Whether known to be chosen on too few validation faces to tell how good it is.

        Raises:
            ModelNotFoundError, InvalidModelError: If their description is damaged.
        """
        count = self.selection_faces
        return count is not None and count < FEWEST_SELECTION_FACES

    @property
    def knows_only_drawings(self) -> bool:
        """Whether its heads were trained on drawn demo faces, which show nobody.

        Raises:
            ModelNotFoundError, InvalidModelError: If the heads' description is
                missing or damaged.
        """
        return self.heads_file.exists() and bool(read_metadata(self.heads_file).get("demo"))

    def need_heads(self) -> Path:
        """Return where the trained heads are, or say that there are none.

        Raises:
            ModelNotFoundError: If the run has no heads yet.
        """
        if not self.heads_file.exists():
            raise ModelNotFoundError(
                f"Run {self.id} has no trained heads ({self.state.status}); resume it, or choose "
                "another run."
            )
        return self.heads_file

    def load_heads(self) -> Any:
        """Build the run's heads without the backbone, for faces whose features are at hand.

        Returns:
            The `keras.Model` that `architecture.build_heads` describes.

        Raises:
            ModelNotFoundError: If the run has no heads yet.
            InvalidModelError: If their file is damaged or of another architecture.
        """
        tensors = read_tensors(self.need_heads())
        with float32_policy():
            heads = build_heads()
        assign_weights(heads, tensors, source=str(self.heads_file))
        return heads

    def load_model(self) -> Any:
        """Build the whole model with the run's backbone and heads.

        Returns:
            The `keras.Model` that `architecture.build_model` describes.

        Raises:
            ModelNotFoundError: If the run has no heads yet, or its backbone is gone.
            InvalidModelError: If a file is damaged or of another architecture.
            RunError: If the run is damaged.
        """
        heads = read_tensors(self.need_heads())
        backbone = load_backbone(self.weights())
        with float32_policy():
            model = attach_heads(backbone)
        own = {variable.path: variable.numpy() for variable in backbone.variables}
        assign_weights(model, {**own, **heads}, source=str(self.heads_file))
        return model

    def load_uncertainty(self) -> Uncertainty | None:
        """Read what tells how sure the run's answers are.

        Returns:
            It, or None for a run that was trained before there was such a thing.

        Raises:
            ModelNotFoundError, InvalidModelError: If it is damaged, or belongs
                to other heads.
        """
        file = self.uncertainty_file
        if not file.exists() and not file.with_suffix(".json").exists():
            return None
        return load_uncertainty(file, heads=self.heads_file)


def _damage(run: Run, name: str) -> str:
    return f"Run {run.id} is damaged: {name} is missing or cannot be read; delete the run."


def best_epoch(history: pd.DataFrame) -> pd.Series[float] | None:
    """Return the row of `Run.metrics` whose weights were kept; None before the first epoch."""
    return None if history.empty else history.iloc[int(history["val_loss"].argmin())]

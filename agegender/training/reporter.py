"""Keeping a run's state on disk while it is at work."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from filelock import FileLock, Timeout

from agegender.errors import AgeGenderError, RunError, StoppedError
from agegender.storage import storage_errors
from agegender.training.run import Run, RunState

WRITE_SECONDS = 0.5
"""How often a change is written to disk, at most, and a stop file is looked for."""

LOCK_SECONDS = 10

RESERVE_BYTES = 65_536
"""Kept in the run folder and given back in the end, so that a run can still
say on a full disk that the disk is full."""


class Reporter:
    """Keeps a run's state on disk while it is at work, and says how it ended.

    Used as a context manager around the work: `StoppedError` and Ctrl-C leave
    the run "stopped", any other exception "failed" with a sentence.

    Args:
        run: The run.
        on_state: Called with each new state.
        should_stop: A reason to stop besides the run's stop file.
    """

    def __init__(
        self,
        run: Run,
        *,
        on_state: Callable[[RunState], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self.run = run
        self.state = RunState("running", started=time.time())
        self._on_state = on_state
        self._should_stop = should_stop
        self._written = self._looked = 0.0
        self._lock = FileLock(run.folder / "run.lock", timeout=LOCK_SECONDS)
        self._reserve = run.folder / "reserve"

    def __enter__(self) -> Reporter:
        try:
            with storage_errors(self.run.folder):
                self._lock.acquire()
        except Timeout as error:
            raise RunError(f"Run {self.run.id} is already running in another process.") from error
        try:
            self.begin("dataset")
            with storage_errors(self._reserve):
                self._reserve.write_bytes(bytes(RESERVE_BYTES))
        except BaseException as error:
            self._conclude(error)
            raise
        return self

    def begin(self, phase: str) -> None:
        """Note that a phase begins."""
        now = time.time()
        self.state = replace(self.state, phase=phase, done=0, total=0, updated=now)
        self._publish()

    def progress(self, done: int, total: int) -> None:
        """Note how far the phase is."""
        now = time.time()
        if total != self.state.total or done < self.state.done:
            # A new count: of another phase, or of something else in the same.
            self.state = replace(self.state, counted_from=done, counting_since=now)
        self.state = replace(self.state, done=done, total=total, updated=now)
        if time.monotonic() - self._written >= WRITE_SECONDS or done == total:
            self._publish()

    def progress_or_stop(self, done: int, total: int) -> None:
        """Note how far the phase is, for work that asks for nothing but progress.

        Raises:
            StoppedError: If the run was asked to stop.
        """
        self.progress(done, total)
        if self.should_stop():
            raise StoppedError("Stopped while the dataset was read; resume the run to go on.")

    def finish(self, message: str) -> None:
        """Note that all is done; `message` is a sentence on the outcome."""
        self.state = replace(self.state, status="finished", message=message, updated=time.time())

    def should_stop(self) -> bool:
        """Return whether the run was asked to stop."""
        if self._should_stop is not None and self._should_stop():
            return True
        if time.monotonic() - self._looked < WRITE_SECONDS:
            return False
        self._looked = time.monotonic()
        return self.run.stop_file.exists()

    def _publish(self) -> None:
        self._written = time.monotonic()
        self.run.write_state(self.state)
        if self._on_state is not None:
            self._on_state(self.state)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return self._conclude(error)

    def _conclude(self, error: BaseException | None) -> bool:
        """Write how the run ended and let go of it.

        Returns:
            True if the exception has been dealt with: a stop is no failure.
        """
        unexpected: RunError | None = None
        try:
            if isinstance(error, StoppedError):
                self.state = replace(self.state, status="stopped", message=str(error))
            elif isinstance(error, AgeGenderError):
                self.state = replace(self.state, status="failed", message=str(error))
            elif isinstance(error, Exception):
                unexpected = RunError(
                    f"unexpected error: {type(error).__name__}: {_first_line(error)}, "
                    f"see {self.run.log_file}"
                )
                self.state = replace(self.state, status="failed", message=str(unexpected))
            elif error is not None:  # Ctrl-C
                self.state = replace(self.state, status="stopped", message="Stopped with Ctrl-C.")
            with storage_errors(self.run.folder):
                self._reserve.unlink(missing_ok=True)
                self.run.stop_file.unlink(missing_ok=True)
            self.state = replace(self.state, updated=time.time())
            self._publish()
            if unexpected is not None:
                with storage_errors(self.run.log_file), self.run.log_file.open("a") as log:
                    traceback.print_exception(error, file=log)
        finally:
            self._lock.release()
        if unexpected is not None:
            raise unexpected from error
        return isinstance(error, StoppedError)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"

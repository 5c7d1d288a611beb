"""TensorFlow's start-up messages, kept out of what commands print.

Its C++ libraries print some before they look at `TF_CPP_MIN_LOG_LEVEL`: that there is no
GPU, say. They tell a user nothing to act on, and stood before every answer. Whoever sets that
variable sees them, and the last words of a TensorFlow that aborts while it is imported.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

_MESSAGE = re.compile(rb"[IWE]\d{4} |WARNING: All log messages before absl::InitializeLog")
"""How a line of Abseil's log begins, and the line that comes before the first."""


def quiet_tensorflow() -> None:
    """Have TensorFlow imported without its messages, whoever imports it first."""
    is_waiting = any(isinstance(finder, _QuietTensorFlow) for finder in sys.meta_path)
    if "tensorflow" not in sys.modules and not is_waiting:
        sys.meta_path.insert(0, _QuietTensorFlow())


class _QuietTensorFlow(MetaPathFinder, Loader):
    """Finds and loads TensorFlow as Python would, with `without_messages` around it."""

    def __init__(self) -> None:
        self._loader: Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Take the place of the loader that Python finds for `tensorflow`, once."""
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the loader."""
        assert self._loader is not None
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Import it, and leave no trace of this loader."""
        assert self._loader is not None
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        with without_messages():
            self._loader.exec_module(module)


@contextmanager
def without_messages() -> Iterator[None]:
    """Leave Abseil's messages out of what is written to the process's standard error."""
    with ExitStack() as opened:
        try:
            caught = opened.enter_context(tempfile.TemporaryFile())
            terminal = os.dup(2)
        except OSError:
            # There is no terminal, as under some services, or no place for a file.
            yield
            return
        opened.callback(os.close, terminal)
        sys.stderr.flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            caught.seek(0)
            for line in caught:
                if not _MESSAGE.match(line):
                    os.write(2, line)

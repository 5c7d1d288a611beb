"""TensorFlow started without the lines in which it introduces itself.

Its libraries write some of them while they are loaded, before they have looked at
TF_CPP_MIN_LOG_LEVEL (2.21 does): no setting keeps those off the terminal.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

_INTRODUCTION = (b"I0000 ", b"WARNING: All log messages before absl::InitializeLog() ")
"""How lines begin that only inform; warnings and errors begin with W and E."""


def quiet_tensorflow() -> None:
    """Keep what TensorFlow says of itself off stderr from now on, unless the user wants to see it.

    Whoever sets TF_CPP_MIN_LOG_LEVEL has chosen; at 0 everything is shown.
    """
    if os.environ.setdefault(LOG_LEVEL, "3") == "0" or sys.stderr is None:
        return
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder(MetaPathFinder):
    """Finds TensorFlow where Python does, to be loaded by `_Loader`."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find TensorFlow, and leave everything else to the other finders."""
        found = PathFinder.find_spec(name, path) if name == "tensorflow" else None
        if found is None or found.origin is None:
            return None
        return spec_from_file_location(name, found.origin, loader=_Loader(name, found.origin))


class _Loader(SourceFileLoader):
    """Loads a package, and shows afterwards what was written to stderr meanwhile."""

    def exec_module(self, module: ModuleType) -> None:
        """Load the package. Should that kill the process, TF_CPP_MIN_LOG_LEVEL=0 shows why."""
        # Not `sys.stderr`: it is C++ that writes.
        with tempfile.TemporaryFile() as said:
            terminal = os.dup(2)
            os.dup2(said.fileno(), 2)
            try:
                super().exec_module(module)
            finally:
                os.dup2(terminal, 2)
                os.close(terminal)
                said.seek(0)
                os.write(2, b"".join(line for line in said if not line.startswith(_INTRODUCTION)))

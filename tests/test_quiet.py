"""TensorFlow's start-up messages stay off the terminal, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

TENSORFLOW = """
import os, sys
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written ...\\n")
os.write(2, b"I0000 00:00:1795764501.062853   13812 cudart_stub.cc:31] Could not find cuda\\n")
print("a real warning", file=sys.stderr)
{}
"""


def imported(folder: Path, end: str = "") -> subprocess.CompletedProcess[str]:
    """Import a module of TensorFlow's name, quietly, in a process of its own."""
    (folder / "tensorflow.py").write_text(TENSORFLOW.format(end))
    script = """
        import importlib, os, sys
        from agegender.quiet import quiet_tensorflow

        quiet_tensorflow()
        quiet_tensorflow()
        module = importlib.import_module("tensorflow")
        os.write(2, b"I0000 later\\n")
        print(module.__name__, type(module.__spec__.loader).__name__, len(sys.meta_path))
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{Path(__file__).parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_messages_of_the_import_are_left_out_and_warnings_stay(tmp_path: Path) -> None:
    done = imported(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "a real warning\nI0000 later\n"
    # As if nobody had been in between.
    name, loader, _ = done.stdout.split()
    assert (name, loader) == ("tensorflow", "SourceFileLoader")


def test_an_import_that_fails_says_why(tmp_path: Path) -> None:
    done = imported(tmp_path, "raise ImportError('libtensorflow is cut short')")
    assert done.returncode == 1
    assert done.stderr.startswith("a real warning\n")
    assert "ImportError: libtensorflow is cut short" in done.stderr

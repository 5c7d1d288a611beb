"""What is imported for a command, and what TensorFlow says of itself meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

INTRODUCTION = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1 1 port.cc:153] oneDNN custom operations are on.\n"
)

ERROR = "E0000 00:00:1 1 cuda.cc:52] the driver is broken\n"


def call(code: str, *search: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run some code in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    path = os.pathsep.join(map(str, (*search, PROJECT)))
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_wrong_path_is_told_before_anything_slow_is_imported(tmp_path: Path) -> None:
    done = call(
        "import sys\n"
        "from agegender.cli import main\n"
        f"code = main(['predict', {str(tmp_path / 'missing.png')!r}])\n"
        "print(code, sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)))\n"
    )
    assert done.stdout.splitlines()[-1] == "1 []"
    assert "missing.png: there is no such file" in done.stderr


@pytest.mark.parametrize(
    ("environment", "shown"),
    [({}, ERROR), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, INTRODUCTION + ERROR)],
)
def test_of_what_is_said_while_tensorflow_is_loaded_errors_are_shown(
    environment: dict[str, str], shown: str, tmp_path: Path
) -> None:
    package = tmp_path / "tensorflow"
    package.mkdir()
    said = (INTRODUCTION + ERROR).encode()
    (package / "__init__.py").write_text(f"import os\nos.write(2, {said!r})\n")
    (package / "part.py").touch()
    done = call(
        "from agegender.cli import exit_code\n"
        "def work():\n"
        "    import tensorflow.part\n"
        "    return 0\n"
        "exit_code(work)\n",
        tmp_path,
        **environment,
    )
    assert done.stderr == shown


@pytest.mark.slow
def test_tensorflow_says_nothing() -> None:
    done = call(
        "from agegender.cli import exit_code\n"
        "def work():\n"
        "    import tensorflow\n"
        "    tensorflow.constant(1) + 1\n"
        "    return 0\n"
        "exit_code(work)\n"
    )
    assert done.stderr == ""

"""What is imported for a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agegender.cli import COMMANDS, main
from agegender.config import PROJECT_DIR


def test_a_wrong_path_is_told_before_anything_slow_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from agegender.cli import main\n"
        f"code = main(['predict', {str(tmp_path / 'missing.png')!r}])\n"
        "print(code, sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "1 []"
    assert "missing.png: there is no such file or folder" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["predictt"]])
def test_whatever_is_no_command_shows_them_all(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    shown = "".join(capsys.readouterr())
    assert all(command in shown for command in COMMANDS)


def test_closed_streams_do_no_harm(tmp_path: Path) -> None:
    command = f"{sys.executable} -m agegender predict missing.png >&- 2>&-; echo $?"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=PROJECT_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
    code = (
        "import os, sys\n"
        "from agegender.cli import exit_code\n"
        f"def work():\n    os.write(2, b'lost'); open({str(tmp_path / 'code')!r}, 'w').write('7')\n"
        "    print('lost', file=sys.stderr); return 7\n"
        "sys.exit(exit_code(work))\n"
    )
    (tmp_path / "work.py").write_text(code)
    command = f"{sys.executable} {tmp_path / 'work.py'} >&- 2>&-; echo $?"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=PROJECT_DIR, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(PROJECT_DIR)},
    )  # fmt: skip
    assert done.stdout == "7\n"
    assert (tmp_path / "code").read_text() == "7"


def test_a_size_that_the_network_cannot_take_is_misuse(capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["architecture", "--size", "31"])
    assert "at least 32 pixels" in capsys.readouterr().err

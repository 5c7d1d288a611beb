"""What is imported for a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    assert "missing.png: there is no such file" in done.stderr

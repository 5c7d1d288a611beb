"""Downloads against a server on this machine that fails in every way."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agegender.dataset import transfer
from agegender.dataset.transfer import Source, UnreachableError, download
from agegender.errors import DownloadError, StorageError

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FaultyServer(ThreadingHTTPServer):
    """Serves `content` after the faults that a test has set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.content_type = "application/octet-stream"
        self.extra_headers: dict[str, str] = {}
        self.statuses: list[int] = []
        """Answered first, one a request."""
        self.drops: list[int] = []
        """How many bytes of the body are sent before the connection is closed, one a request."""
        self.supports_range = True
        self.range_shift = 0
        self.sends_length = True
        self.stall = threading.Event()
        self.stalls = False
        self.requests: list[dict[str, str]] = []

    def source(self, *, size: int | None = len(CONTENT), sha256: str | None = SHA256) -> Source:
        url = f"http://127.0.0.1:{self.server_port}/faces.tar.gz"
        return Source("local", url, size, sha256, "for tests")

    def ranges(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        body, start = server.content, 0
        wanted = self.headers.get("Range")
        current = server.extra_headers.get("ETag")
        if self.headers.get("If-Range") not in (None, current):
            wanted = None
        if wanted and server.supports_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            first = start + server.range_shift
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        body = body[start:]
        self.send_header("Content-Type", server.content_type)
        if server.sends_length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in server.extra_headers.items():
            self.send_header(name, value)
        self.end_headers()
        if server.stalls:
            self.wfile.write(body[:1000])
            self.wfile.flush()
            server.stall.wait(10)
            return
        self.wfile.write(body[: server.drops.pop(0)] if server.drops else body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stall.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(transfer, "LONGEST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "faces.archive"


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_download_is_whole_and_leaves_nothing_else(server: FaultyServer, target: Path) -> None:
    calls: list[tuple[int, int]] = []
    assert download(server.source(), target, on_progress=lambda *call: calls.append(call)) == target
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == [target.name]
    assert calls[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_second_download_asks_for_nothing(server: FaultyServer, target: Path) -> None:
    download(server.source(), target)
    download(server.source(), target)
    assert len(server.requests) == 1


def test_dropped_connections_are_resumed_where_they_broke(
    server: FaultyServer, target: Path
) -> None:
    # More drops than are borne without progress: each of them brought something.
    server.drops = [100_000] * (transfer.MAX_DROPS_WITHOUT_PROGRESS + 2)
    download(server.source(), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges()[:3] == [None, "bytes=100000-", "bytes=200000-"]


def test_part_survives_giving_up_and_is_resumed(server: FaultyServer, target: Path) -> None:
    server.drops = [300_000] + [0] * transfer.MAX_DROPS_WITHOUT_PROGRESS
    with pytest.raises(DownloadError, match="broke"):
        download(server.source(), target)
    assert leftovers(target) == [f"{target.name}.part"]
    server.requests.clear()
    server.drops.clear()
    download(server.source(), target)
    assert server.ranges() == ["bytes=300000-"]
    assert target.read_bytes() == CONTENT


def test_answer_without_length_that_ends_early_is_resumed(
    server: FaultyServer, target: Path
) -> None:
    server.sends_length = False
    server.drops = [1234]
    download(server.source(), target)
    assert server.ranges() == [None, "bytes=1234-"]
    assert target.read_bytes() == CONTENT


def test_interrupt_keeps_the_part(server: FaultyServer, target: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.source(), target, on_progress=interrupt)
    kept = (target.parent / f"{target.name}.part").stat().st_size
    assert kept > 500_000
    download(server.source(), target)
    assert server.ranges()[-1] == f"bytes={kept}-"
    assert target.read_bytes() == CONTENT


def test_server_without_range_starts_over(server: FaultyServer, target: Path) -> None:
    server.supports_range = False
    server.drops = [200_000]
    download(server.source(), target)
    assert target.read_bytes() == CONTENT


def test_server_that_sends_another_range_is_not_trusted(server: FaultyServer, target: Path) -> None:
    server.range_shift = 7
    server.drops = [200_000]
    download(server.source(), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=200000-", None]


def test_errors_of_the_server_are_retried(server: FaultyServer, target: Path) -> None:
    server.statuses = [503, 429, 500]
    download(server.source(), target)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 4


def test_lasting_errors_of_the_server_are_told(server: FaultyServer, target: Path) -> None:
    server.statuses = [503] * 20
    with pytest.raises(DownloadError, match="answered 503"):
        download(server.source(), target)
    assert len(server.requests) == transfer.STATUS_RETRIES + 1
    assert leftovers(target) == []


def test_missing_file_is_told_at_once(server: FaultyServer, target: Path) -> None:
    server.statuses = [404]
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 answered 404"):
        download(server.source(), target)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("text/html; charset=utf-8", b"quota exceeded"),
        ("application/octet-stream", b"\n <!DOCTYPE html><html>sign in</html>"),
    ],
)
def test_web_page_with_status_200_is_recognised(
    server: FaultyServer, target: Path, content_type: str, content: bytes
) -> None:
    server.content, server.content_type = content, content_type
    with pytest.raises(DownloadError, match="web page"):
        download(server.source(size=None, sha256=None), target)
    assert leftovers(target) == []


def test_wrong_size_is_refused_before_the_body(server: FaultyServer, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"1,048,576 bytes instead of 1,000"):
        download(server.source(size=1000), target)
    assert leftovers(target) == []


def test_endless_answer_is_cut_off(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_BYTES", 300_000)
    server.sends_length = False
    with pytest.raises(DownloadError, match="at most 300,000"):
        download(server.source(size=None, sha256=None), target)
    assert not target.exists()


def test_wrong_hash_is_thrown_away(server: FaultyServer, target: Path) -> None:
    with pytest.raises(DownloadError, match="SHA-256"):
        download(server.source(sha256="0" * 64), target)
    assert leftovers(target) == []


def test_part_that_is_already_whole_needs_no_request(server: FaultyServer, target: Path) -> None:
    target.parent.mkdir()
    (target.parent / f"{target.name}.part").write_bytes(CONTENT)
    download(server.source(), target)
    assert server.requests == []
    assert target.read_bytes() == CONTENT


def test_whole_part_of_unknown_size_is_accepted(server: FaultyServer, target: Path) -> None:
    target.parent.mkdir()
    (target.parent / f"{target.name}.part").write_bytes(CONTENT)
    download(server.source(size=None), target)
    assert server.ranges() == [f"bytes={len(CONTENT)}-"]
    assert target.read_bytes() == CONTENT


def test_part_longer_than_the_file_starts_over(server: FaultyServer, target: Path) -> None:
    target.parent.mkdir()
    (target.parent / f"{target.name}.part").write_bytes(CONTENT + b"more")
    download(server.source(size=None), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ['"one"', None])
def test_part_of_a_changed_file_is_not_continued(
    server: FaultyServer, target: Path, etag: str | None
) -> None:
    source = server.source(size=None, sha256=None)
    if etag:
        server.extra_headers["ETag"] = etag
    server.drops = [400_000] + [0] * 10
    with pytest.raises(DownloadError, match="broke"):
        download(source, target)
    server.content = CONTENT[::-1]
    server.drops.clear()
    if etag:
        server.extra_headers["ETag"] = '"two"'
    download(source, target)
    assert target.read_bytes() == CONTENT[::-1]
    assert leftovers(target) == [target.name]


def test_part_of_an_unchanged_file_of_unknown_hash_is_continued(
    server: FaultyServer, target: Path
) -> None:
    server.extra_headers["ETag"] = '"one"'
    server.drops = [400_000]
    download(server.source(size=None, sha256=None), target)
    assert server.requests[1]["Range"] == "bytes=400000-"
    assert server.requests[1]["If-Range"] == '"one"'
    assert target.read_bytes() == CONTENT


def test_archive_labelled_as_compressed_is_kept_as_sent(server: FaultyServer, target: Path) -> None:
    server.extra_headers["Content-Encoding"] = "gzip"
    download(server.source(), target)
    assert target.read_bytes() == CONTENT


def test_stalled_connection_times_out(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "READ_SECONDS", 0.1)
    monkeypatch.setattr(transfer, "MAX_DROPS_WITHOUT_PROGRESS", 2)
    server.stalls = True
    server.supports_range = False
    with pytest.raises(DownloadError, match="broke 2 times"):
        download(server.source(), target)


def test_closed_port_is_told_as_unreachable(target: Path) -> None:
    with FaultyServer() as closed:
        source = closed.source()
    with pytest.raises(UnreachableError, match=r"no connection to 127\.0\.0\.1"):
        download(source, target)


def test_proxy_is_honoured(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    source = Source("far", "http://faces.invalid/faces.tar.gz", len(CONTENT), SHA256, "for tests")
    download(source, target)
    assert server.requests[0]["Host"] == "faces.invalid"
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_full_disk_keeps_what_came(
    server: FaultyServer,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    part = target.parent / f"{target.name}.part"
    real_open = Path.open

    class FullDisk(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() >= 2 * transfer._CHUNK_BYTES:
                raise OSError(number, "refused")
            return super().write(data)

    def open_part(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if self == part and mode == "r+b":
            return FullDisk(self, mode)
        return real_open(self, mode, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_part)
        with pytest.raises(StorageError, match=r"could not be written"):
            download(server.source(), target)
    assert part.stat().st_size == 2 * transfer._CHUNK_BYTES
    download(server.source(), target)
    assert server.ranges()[-1] == f"bytes={2 * transfer._CHUNK_BYTES}-"
    assert target.read_bytes() == CONTENT

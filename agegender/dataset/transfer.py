"""Downloading one file over HTTP so that nothing is fetched twice or half.

The bytes go to `<name>.part`, which survives failures and kills; the next try
asks for the rest with a Range request. The file gets its name only when its
size and hash are right.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import tenacity
import urllib3
from requests.adapters import HTTPAdapter

from agegender.dataset.archives import looks_like_html
from agegender.errors import DownloadError
from agegender.storage import hash_file, storage_errors

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
"""Without a byte for so long, a connection counts as dropped."""

CONNECT_RETRIES = 2
STATUS_RETRIES = 4
STATUS_TO_RETRY = (429, 500, 502, 503, 504)
LONGEST_RETRY_AFTER_SECONDS = 60
MAX_DROPS_WITHOUT_PROGRESS = 4
BACKOFF_SECONDS = 1.0
"""First pause before a retry; each further one is twice as long."""

LONGEST_BACKOFF_SECONDS = 20.0
MAX_BYTES = 4 * 2**30
"""Of a file whose size is not known beforehand."""

_CHUNK_BYTES = 2**18
_HEAD_BYTES = 512

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """A place to download from.

    Attributes:
        name: What to call it in messages.
        url: Address of the archive itself.
        size_bytes: Its size; `None` where it is not known.
        sha256: Its SHA-256, 64 hexadecimal digits; `None` where it is not known.
        note: What it is, and who says so.
    """

    name: str
    url: str
    size_bytes: int | None
    sha256: str | None
    note: str

    @property
    def host(self) -> str:
        """The host's name, for messages."""
        return urlsplit(self.url).hostname or self.url


class UnreachableError(DownloadError):
    """No connection to a host; its other addresses need not be tried."""


class _DroppedError(Exception):
    """A connection broke while the file came in; what came is kept."""


def download(source: Source, path: Path, *, on_progress: Progress | None = None) -> Path:
    """Download a file, going on from where an earlier try stopped.

    Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY, ...).

    Args:
        source: Where from. With a known size and hash, both are checked.
        path: The file to make; `<path>.part` beside it holds what has come so far.
        on_progress: Called with (bytes so far, bytes in all or 0 if unknown).

    Returns:
        `path`.

    Raises:
        UnreachableError: If the host cannot be connected to.
        DownloadError: If the answer is not the file, or is not whole after
            all retries.
        StorageError: If the disk refuses; what has come so far is kept.
    """
    part = path.with_name(path.name + ".part")
    with storage_errors(path):
        # Whole from an earlier time, when unpacking it failed or was stopped.
        if path.exists() and source.sha256 in (None, hash_file(path)):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_DroppedError),
            stop=_StopWithoutProgress(part),
            wait=tenacity.wait_exponential_jitter(
                multiplier=BACKOFF_SECONDS, max=LONGEST_BACKOFF_SECONDS, jitter=BACKOFF_SECONDS
            ),
            reraise=True,
        )
        try:
            with _session() as session:
                retrying(_receive, session, source, part, on_progress)
        except _DroppedError as error:
            raise DownloadError(
                f"the connection to {source.host} broke {MAX_DROPS_WITHOUT_PROGRESS} times "
                f"({error}); what came is kept, and the next try goes on from there"
            ) from error
        finally:
            if part.exists() and part.stat().st_size == 0:
                _discard(part)
        _check(source, part)
        os.replace(part, path)
        _etag_file(part).unlink(missing_ok=True)
    return path


class _StopWithoutProgress:
    """Gives up after some drops in a row that brought no further byte."""

    def __init__(self, part: Path) -> None:
        self._part = part
        self._size_bytes = part.stat().st_size
        self._drops = 0

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        size_bytes = self._part.stat().st_size
        if size_bytes > self._size_bytes:
            self._drops = 0
            self._size_bytes = size_bytes
        self._drops += 1
        return self._drops >= MAX_DROPS_WITHOUT_PROGRESS


def _session() -> requests.Session:
    retries = urllib3.Retry(
        total=None,
        connect=CONNECT_RETRIES,
        read=CONNECT_RETRIES,
        redirect=10,
        status=STATUS_RETRIES,
        status_forcelist=STATUS_TO_RETRY,
        backoff_factor=BACKOFF_SECONDS,
        backoff_max=LONGEST_BACKOFF_SECONDS,
        retry_after_max=LONGEST_RETRY_AFTER_SECONDS,
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    return session


def _receive(
    session: requests.Session, source: Source, part: Path, on_progress: Progress | None
) -> None:
    """Fetch what is missing of the file, in one connection."""
    have = part.stat().st_size
    etag = _etag_file(part).read_text(encoding="utf-8") if _etag_file(part).exists() else ""
    if have and source.sha256 is None and not etag:
        # Nothing would tell whether the rest belongs to the same file.
        have = 0
    if have and have == source.size_bytes:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if etag:
            headers["If-Range"] = etag
    try:
        response = session.get(
            source.url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
    except requests.exceptions.SSLError as error:
        raise UnreachableError(f"the certificate of {source.host} is not trusted") from error
    except requests.exceptions.ProxyError as error:
        raise UnreachableError(f"the proxy does not connect to {source.host}") from error
    except requests.exceptions.ConnectionError as error:
        raise UnreachableError(f"no connection to {source.host}") from error
    except requests.exceptions.Timeout as error:
        raise UnreachableError(f"{source.host} did not answer in time") from error
    except requests.exceptions.RequestException as error:
        raise DownloadError(f"{source.host} cannot be asked ({error})") from error
    with response:
        if response.status_code == requests.codes.requested_range_not_satisfiable and have:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            _start_over(part)
            raise _DroppedError("the part kept from an earlier try was longer than the file")
        if not response.ok:
            reason = f"{response.status_code} {response.reason}".strip()
            raise DownloadError(f"{source.host} answered {reason}")
        content_range = response.headers.get("Content-Range", "")
        resumed = response.status_code == requests.codes.partial_content
        if resumed and not content_range.startswith(f"bytes {have}-"):
            _start_over(part)
            raise _DroppedError("the server sent another part than was asked for")
        _store(response, source, part, have if resumed else 0, on_progress)


def _store(
    response: requests.Response,
    source: Source,
    part: Path,
    have: int,
    on_progress: Progress | None,
) -> None:
    """Write the body of an answer after the first `have` bytes of the part."""
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else (source.size_bytes or 0)
    limit = source.size_bytes or MAX_BYTES
    if total > limit or (source.size_bytes and total != source.size_bytes):
        raise _wrong_size(source, total)
    # The body as it was sent: a server that labels a .tar.gz as
    # "Content-Encoding: gzip" would have it unpacked on the way otherwise.
    chunks = response.raw.stream(_CHUNK_BYTES, decode_content=False)
    try:
        first = next(chunks, b"")
        is_html = response.headers.get("Content-Type", "").startswith("text/html")
        if have == 0 and (is_html or looks_like_html(first[:_HEAD_BYTES])):
            raise DownloadError(
                f"{source.host} answered with a web page instead of the archive "
                "(often a log-in or quota notice)"
            )
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            _etag_file(part).write_text(etag, encoding="utf-8")
        with part.open("r+b") as file:
            file.truncate(have)
            file.seek(have)
            chunk = first
            while chunk:
                file.write(chunk)
                have += len(chunk)
                if have > limit:
                    raise _wrong_size(source, have)
                if on_progress is not None:
                    on_progress(have, total)
                chunk = next(chunks, b"")
    except urllib3.exceptions.HTTPError as error:
        raise _DroppedError(f"after {have:,} bytes") from error
    if source.size_bytes is not None and have < source.size_bytes:
        # Only an answer that did not give its length can end so.
        raise _DroppedError(f"after {have:,} bytes")


def _check(source: Source, part: Path) -> None:
    """Compare a whole part, whose size was checked as it came, with the hash it should have."""
    if source.sha256 is not None and (found := hash_file(part)) != source.sha256:
        _discard(part)
        raise DownloadError(
            f"{source.host} sent another file: its SHA-256 is {found[:12]}... instead of "
            f"{source.sha256[:12]}..., so it was thrown away"
        )


def _wrong_size(source: Source, size_bytes: int) -> DownloadError:
    expected = f"{source.size_bytes:,}" if source.size_bytes else f"at most {MAX_BYTES:,}"
    return DownloadError(
        f"{source.host} sent another file: {size_bytes:,} bytes instead of {expected}"
    )


def _etag_file(part: Path) -> Path:
    """Where the part's version, as its server calls it, is kept for If-Range."""
    return part.with_name(part.name + ".etag")


def _start_over(part: Path) -> None:
    _discard(part)
    part.touch()


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _etag_file(part).unlink(missing_ok=True)

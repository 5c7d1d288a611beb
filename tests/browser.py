"""What everything that looks at the app in a real browser shares."""

from __future__ import annotations

import shutil
import time

import requests

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """Return the system's Chromium, or None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def wait_for_app(address: str, *, seconds: float = 60) -> None:
    """Wait until the app answers.

    Raises:
        TimeoutError: If it does not.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            requests.get(f"{address}/_stcore/health", timeout=2).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise TimeoutError(f"the app did not answer at {address} within {seconds:.0f} seconds")

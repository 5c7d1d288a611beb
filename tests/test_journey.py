"""One visitor's way through the whole app, in a real browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agegender.dataset.synthetic import draw_demo_faces
from agegender.training.runs import list_runs
from tests.browser import CHROMIUM_OPTIONS, find_chromium, wait_for_app

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="needs Playwright for Python (requirements-dev.txt)"
)
expect = playwright_api.expect

PROJECT = Path(__file__).resolve().parents[1]

SLOW_MS = 150_000
"""For what starts TensorFlow, on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright_api.Browser]:
    """Start the system's Chromium, or skip."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs a browser: no chromium on the path (apt-get install chromium)")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def address(workspace: Path) -> Iterator[str]:
    """Serve the app over a workspace of the test's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"],
        cwd=PROJECT,
        env=os.environ | {"AGEGENDER_HOME": str(workspace)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_app(address)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
        for run in list_runs():
            if run.is_alive():
                run.stop_file.touch()


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_from_demo_faces_to_a_zip_of_predictions(
    browser: playwright_api.Browser, address: str, workspace: Path, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(address)

    # Demo faces. A shipped model is tried first, where there is one: then there is only a link.
    page.get_by_role("link", name="Get a dataset").click()
    page.get_by_role("button", name="Draw demo faces").click()
    expect(page.get_by_text("drawings, not people").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Age (n = 403)").first).to_be_visible(timeout=60_000)

    # Train: features are computed, the curves move, and a reload finds the run.
    page.get_by_role("link", name="Next: train a model").click()
    page.get_by_role("combobox", name="Backbone").click()
    page.get_by_role("option", name="Random, 64 px").click()
    # Few faces and no early end: features are quick, and the heads can be watched.
    page.get_by_text("More settings").click()
    for name, value in (
        ("Faces to learn from, at most", "100"),
        ("Epochs, at most", "400"),
        ("Patience, epochs", "400"),
    ):
        field = page.get_by_role("spinbutton", name=name)
        field.fill(value)
        field.press("Enter")
    expect(page.get_by_text("on this computer").last).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", name="Running")).to_be_visible(timeout=SLOW_MS)
    first = epoch_shown(page)
    page.reload()
    expect(page.get_by_role("heading", name="Running")).to_be_visible(timeout=60_000)
    deadline = time.monotonic() + 60
    while epoch_shown(page) <= first and time.monotonic() < deadline:
        time.sleep(0.5)
    assert epoch_shown(page) > first
    [run] = list_runs()
    if run.is_alive():
        page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Delete")).to_be_visible(timeout=SLOW_MS)
    status = run.state.status
    assert status in ("stopped", "finished")
    if status == "stopped":
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("heading", name="Running")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("button", name="Evaluate it")).to_be_visible(timeout=SLOW_MS)

    # Evaluate on validation.
    page.get_by_role("button", name="Evaluate it").click()
    # Not all of the validation faces were needed for a hundred train faces.
    page.get_by_role("button", name="Evaluate", exact=True).click()
    expect(page.get_by_text("Age MAE").first).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("random weights").first).to_be_visible()

    # Explain.
    page.get_by_role("link", name="Grad-CAM").click()
    expect(page.get_by_text(re.compile(r"^Age: \d+ years$"))).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_alt_text("Heatmap of the age head")).to_be_visible()

    # Predict an upload and take the answers away.
    faces = draw_demo_faces(tmp_path / "faces", count=10)
    face = max(faces.glob("*.jpg"), key=lambda path: path.stat().st_size)
    page.get_by_role("link", name="Prediction").click()
    # A finder of faces need not find drawn ones.
    page.get_by_text("These are already face crops").click()
    page.locator("input[type=file]").set_input_files(face)
    page.get_by_role("button", name="Prepare a ZIP with heatmaps").click(timeout=SLOW_MS)
    with page.expect_download(timeout=SLOW_MS) as download:
        page.get_by_role("button", name="ZIP with heatmaps", exact=True).click(timeout=SLOW_MS)
    taken = tmp_path / "taken.zip"
    download.value.save_as(taken)
    with zipfile.ZipFile(taken) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "predictions.csv" in names
    assert "predictions.jsonl" in names
    assert any(name.endswith("/1-age-overlay.png") for name in names)
    # A photo that is added is the one that is looked at.
    added = next(path for path in sorted(faces.glob("*.jpg")) if path != face)
    page.locator("input[type=file]").set_input_files(added)
    chosen = page.get_by_role("combobox", name="Photo", exact=True)
    expect(chosen).to_have_value(f"2. {added.name}: 1 face", timeout=SLOW_MS)

    # Delete the run, after a second yes.
    page.get_by_role("link", name="Training").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("What you train appears here")).to_be_visible(timeout=60_000)
    assert list_runs() == []
    page.close()


def epoch_shown(page: playwright_api.Page) -> int:
    """Wait for the curves, and return how many epochs the page shows."""
    tile = page.get_by_test_id("stMetric").filter(has_text="Best epoch").first
    tile.wait_for(timeout=SLOW_MS)
    value = tile.get_by_test_id("stMetricValue").inner_text()
    return int(value.partition(" of ")[2])

"""Make the pictures of the pages in `docs/screenshots`, from demo faces only.

    python docs/make_screenshots.py

It serves the app over a workspace of its own, draws the demo faces, trains a
run on them, and photographs every page in Chromium, 1440 pixels wide.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from agegender.config import demo_dataset_dir  # noqa: E402 - the project need not be installed
from agegender.dataset.synthetic import draw_demo_faces  # noqa: E402
from agegender.model.weights import default_weights  # noqa: E402
from agegender.training.config import TrainConfig  # noqa: E402
from agegender.training.runs import create_run  # noqa: E402
from agegender.training.trainer import train  # noqa: E402
from tests.browser import CHROMIUM_OPTIONS, find_chromium, wait_for_app  # noqa: E402

OUTPUT = PROJECT / "docs" / "screenshots"

PAGES = {
    "home": "",
    "dataset": "dataset",
    "training": "training",
    "evaluation": "evaluation",
    "gradcam": "gradcam",
    "prediction": "prediction",
}

WIDTH = 1440
TALLEST = 1500
COLORS = 128
"""A palette keeps the files small; the pages have few colours besides the faces'."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser."""
    parser = argparse.ArgumentParser(description="Make docs/screenshots from demo faces.")
    parser.add_argument("--port", type=int, default=5055, help="for the app (default: 5055)")
    parser.add_argument("--epochs", type=int, default=30, help="of the demo run (default: 30)")
    parser.add_argument(
        "--backbone",
        default=default_weights(),
        help="of the demo run: shipped, random or random:64 (default: %(default)s)",
    )
    return parser


def photograph(page: Page, address: str, name: str) -> None:
    """Open a page, wait until it stands still, and keep its picture."""
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.goto(f"{address}/{PAGES[name]}")
    page.wait_for_selector("h1", timeout=60_000)
    if name == "prediction":
        faces = sorted(demo_dataset_dir().glob("*.jpg"), key=lambda path: path.stat().st_size)
        # A finder of faces need not find drawn ones.
        page.get_by_text("These are already face crops").click()
        page.locator("input[type=file]").set_input_files(faces[-4:])
        page.get_by_role("button", name="JSONL", exact=True).wait_for(timeout=120_000)
    page.wait_for_selector("[data-test-script-state=notRunning]", timeout=120_000)
    page.wait_for_timeout(2500)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(int(height), TALLEST)})
    page.wait_for_timeout(1500)
    with Image.open(BytesIO(page.screenshot())) as picture:
        small = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        small.save(OUTPUT / f"{name}.png", optimize=True)
    print(OUTPUT / f"{name}.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Make every picture."""
    args = build_parser().parse_args(argv)
    program = find_chromium()
    if program is None:
        print("error: there is no chromium on the path; install it.", file=sys.stderr)
        return 1
    OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["AGEGENDER_HOME"] = str(Path(home) / "workspace")
        os.environ["AGEGENDER_DATASET"] = str(Path(home) / "UTKFace")
        faces = draw_demo_faces(demo_dataset_dir())
        train(create_run(TrainConfig(str(faces), backbone=args.backbone, epochs=args.epochs)))
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={args.port}"],
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
        )
        address = f"http://127.0.0.1:{args.port}"
        try:
            wait_for_app(address)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
                page = browser.new_page()
                for name in PAGES:
                    photograph(page, address, name)
                browser.close()
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

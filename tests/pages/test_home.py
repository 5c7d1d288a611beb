from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from agegender.config import SHIPPED_DIR
from agegender.errors import InvalidModelError
from agegender.training.run import Run
from tests.pages.conftest import APP, text_of

OpenPage = Callable[[str], AppTest]

OPEN_WITHOUT_TENSORFLOW = f"""
import sys
from streamlit.testing.v1 import AppTest
for page in ("home", "dataset", "training"):
    at = AppTest.from_file({str(APP)!r}, default_timeout=60)
    if page != "home":
        at.switch_page(f"pages/{{page}}.py")
    at.run()
    assert not at.exception, at.exception
    print(page, at.title[0].value)
print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""

OPEN_HOME_WITHOUT_WHAT_IS_SLOW = f"""
import sys
from streamlit.testing.v1 import AppTest
# Importing them fails from here on, so that the page gets as far as it does without them.
sys.modules.update(dict.fromkeys(("pandas", "scipy", "cv2", "matplotlib", "tensorflow")))
at = AppTest.from_file({str(APP)!r}, default_timeout=60).run()
print([subheader.value for subheader in at.subheader])
"""


def test_home_without_anything_leads_to_the_dataset(open_page: OpenPage) -> None:
    at = open_page("home")
    assert "Age and gender from a face" in at.title[0].value
    assert "None yet" in text_of(at)
    assert [button.label for button in at.button] == ["Get a dataset"]
    at.button[0].click().run()
    assert at.title[0].value == "Dataset"


def test_home_with_faces_leads_to_training(open_page: OpenPage, demo_faces: Path) -> None:
    at = open_page("home")
    assert "Demo faces" in text_of(at)
    assert [button.label for button in at.button] == ["Train a model"]


def test_home_with_a_model_leads_to_prediction_and_marks_random_weights(
    open_page: OpenPage, shared_run: Run
) -> None:
    at = open_page("home")
    assert [button.label for button in at.button] == ["Try a photo"]
    assert "answers mean nothing" in text_of(at)
    assert "Learned from drawings" in text_of(at)
    assert "random backbone, 32 px" in text_of(at)


def test_home_says_that_the_shipped_weights_are_damaged(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: Run) -> None:
        raise InvalidModelError("backbone.safetensors is cut short; fetch it again.")

    monkeypatch.setattr("agegender.training.run.Run.weights", refuse)
    monkeypatch.setattr("pages.current_run.usable_runs", lambda: [Run(SHIPPED_DIR / "run")])
    at = open_page("home")
    assert [error.value for error in at.error] == [
        "backbone.safetensors is cut short; fetch it again."
    ]
    assert [button.label for button in at.button] == ["Get a dataset"]


def test_home_survives_half_a_file_of_choices(
    open_page: OpenPage, workspace: Path, demo_faces: Path
) -> None:
    (workspace / "app.json").write_text('{"datas')
    assert "**6" in text_of(open_page("home"))


def test_pages_that_need_no_model_do_not_import_tensorflow(demo_faces: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN_WITHOUT_TENSORFLOW],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=APP.parent,
    )
    assert done.stdout.splitlines()[1:] == ["dataset Dataset", "training Training", "[]"], (
        done.stderr
    )


def test_the_first_words_and_faces_of_home_wait_for_nothing_slow(workspace: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN_HOME_WITHOUT_WHAT_IS_SLOW],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=APP.parent,
    )
    # The first card has its title; what it tells takes pandas.
    assert "Trainings" in done.stdout, done.stderr

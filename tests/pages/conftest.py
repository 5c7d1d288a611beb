"""What the page tests share: the app, demo faces, and a run trained on them."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.dataset.synthetic import draw_demo_faces
from agegender.training.config import TrainConfig
from agegender.training.run import Run
from agegender.training.runs import create_run, list_runs
from agegender.training.trainer import train

APP = Path(__file__).resolve().parents[2] / "app.py"

DEMO_COUNT = 60


@pytest.fixture(autouse=True)
def _pages_run_through_the_app(monkeypatch: pytest.MonkeyPatch, no_cover: None) -> None:
    """Run app.py for every page, as a server does.

    What a page calls of the library has tests of its own, so its coverage is not
    measured here, which would take half as long again.

    AppTest forgets before each run that the app calls `st.navigation`; Streamlit
    then takes the folder `pages/` for its older kind of app, and runs a page alone.
    """
    monkeypatch.setattr(
        "streamlit.runtime.scriptrunner.script_runner._mpa_v1",
        lambda main_script: runpy.run_path(main_script, run_name="__main__"),
    )


@pytest.fixture
def open_page() -> Callable[[str], AppTest]:
    """Return a function that opens a page of the app, as a visitor would."""

    def open_page(name: str) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=120).run()
        if name != "home":
            at.switch_page(f"pages/{name}.py").run()
        assert not at.exception, at.exception
        return at

    return open_page


@pytest.fixture(scope="session")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the demo faces once."""
    return draw_demo_faces(tmp_path_factory.mktemp("drawn") / "demo-faces", count=DEMO_COUNT)


@pytest.fixture(scope="session")
def trained_workspace(drawn_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train once, on a random backbone of 32 pixels."""
    home = tmp_path_factory.mktemp("trained") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGEGENDER_HOME", str(home))
        shutil.copytree(drawn_faces, demo_dataset_dir())
        config = TrainConfig(str(demo_dataset_dir()), backbone="random:32", epochs=3)
        assert train(create_run(config)).status == "finished"
    return home


@pytest.fixture
def demo_faces(workspace: Path, drawn_faces: Path) -> Path:
    """Put the demo faces where the app looks for them."""
    return Path(shutil.copytree(drawn_faces, demo_dataset_dir()))


@pytest.fixture
def shared_run(trained_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give the test the one trained workspace itself, whose model is loaded once.

    For tests that leave it as it is.
    """
    monkeypatch.setenv("AGEGENDER_HOME", str(trained_workspace))
    [run] = list_runs()
    return run


@pytest.fixture
def trained_run(workspace: Path, trained_workspace: Path) -> Run:
    """Give the test a workspace of its own with demo faces and a finished run."""
    shutil.copytree(trained_workspace, workspace)
    [run] = list_runs()
    return run


def text_of(at: AppTest) -> str:
    """Return everything that a page says in words."""
    kinds = (
        at.title, at.subheader, at.markdown, at.caption, at.info, at.success, at.warning, at.error
    )  # fmt: skip
    return "\n".join(str(element.value) for kind in kinds for element in kind)

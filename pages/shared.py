"""What the pages share: where they are, cached loaders, session keys, messages.

The library knows nothing of Streamlit, and the pages know nothing of files: a
page asks here for the dataset or a run. Nothing is kept in module variables,
since they would be shared by every visitor; what lasts is in
`st.cache_resource` (read-only), in `st.session_state`, or on disk.

What takes time to import (pandas, OpenCV, SciPy) is imported where it is used,
so that the first page stands before they are loaded.
"""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from agegender.config import default_dataset_dir, demo_dataset_dir, workspace_dir
from agegender.errors import AgeGenderError, ModelNotFoundError
from agegender.storage import write_json

if TYPE_CHECKING:
    from streamlit.navigation.page import Page as StreamlitPage

    from agegender.dataset.dataset import Dataset
    from agegender.training.run import Run

# -- The pages, relative to app.py ---------------------------------------------

HOME = "pages/home.py"
DATASET = "pages/dataset.py"
TRAINING = "pages/training.py"
EVALUATION = "pages/evaluation.py"
GRADCAM = "pages/gradcam.py"
PREDICTION = "pages/prediction.py"

NAVIGATION = {
    "": [(HOME, "Home", ":material/home:")],
    "Build": [
        (DATASET, "Dataset", ":material/photo_library:"),
        (TRAINING, "Training", ":material/model_training:"),
    ],
    "Understand": [
        (EVALUATION, "Evaluation", ":material/monitoring:"),
        (GRADCAM, "Grad-CAM", ":material/center_focus_strong:"),
    ],
    "Use": [(PREDICTION, "Prediction", ":material/face:")],
}

LOGO = Path(__file__).with_name("logo.svg")
MARK = Path(__file__).with_name("logo-mark.svg")

# -- Keys of st.session_state ---------------------------------------------------

RUN_KEY = "run"
"""The id of the run that Evaluation, Grad-CAM and Prediction look at."""

_SHELL_KEY = "in_app"
"""Set by `run` for the page; missing when Streamlit ran a page's file by itself."""

NO_INTERVALS = (
    "This run has no age intervals: it was trained before there were any, or on too few faces. "
    "Train a new run on more faces."
)

MAPS_CAUTION = (
    "A map need not show what the answer rests on. The Grad-CAM page tests how well a model's maps "
    "do; what came out for the shipped model is in docs/model-card.md, Heatmaps."
)

NO_RUN_YET = "There is no trained model yet. Training one on demo faces takes a few minutes."


# -- Navigation ------------------------------------------------------------------


def navigation() -> StreamlitPage:
    """Declare the pages; return the one to run."""
    return st.navigation(
        {
            section: [
                st.Page(page, title=title, icon=icon, default=page == HOME)
                for page, title, icon in pages
            ]
            for section, pages in NAVIGATION.items()
        }
    )


def run(page: StreamlitPage) -> None:
    """Run a page, and show what the library refuses as one sentence."""
    st.session_state[_SHELL_KEY] = True
    with errors_as_messages():
        page.run()


def require_app() -> None:
    """Run a page through app.py if it is not; the first thing that every page does.

    Streamlit runs a file in `pages/` by itself when its address is the very first
    that a new server is asked for: it has not seen `st.navigation` by then.
    """
    if not st.session_state.pop(_SHELL_KEY, False):
        navigation()
        st.rerun()


# -- Messages ------------------------------------------------------------------


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Show whatever the library refuses to do as one sentence; bugs pass through."""
    try:
        yield
    except AgeGenderError as error:
        st.error(str(error), icon=":material/error:")


def header(title: str, lead: str) -> None:
    """Open a page with its title and one sentence."""
    require_app()
    st.title(title, anchor=False)
    st.markdown(f":gray[{lead}]")


def link(page: str, label: str, icon: str = ":material/arrow_forward:") -> None:
    """Lead to another page."""
    st.page_link(page, label=label, icon=icon)


def next_step(message: str, page: str, label: str) -> None:
    """Say what is missing and lead to the page that gets it."""
    with st.container(border=True):
        st.markdown(message)
        link(page, label)


def demo_badge(dataset: Dataset) -> None:
    """Mark drawn faces, so that nobody takes them or their figures for real."""
    if dataset.is_demo:
        st.badge("Demo faces: drawings, not people", icon=":material/brush:", color="orange")


def skill_note(run: Run) -> None:
    """Mark a model that knows nothing of people, so that nothing it says is taken for skill."""
    reasons = []
    if not run.weights().has_skill:
        reasons.append(
            "This model's backbone has random weights: its figures and answers show that "
            "the pipeline works, not that it can tell an age or a gender."
        )
    if run.knows_only_drawings:
        from agegender.training.runs import shipped_run

        reasons.append(
            "This model was trained on drawn demo faces: what it says about people means nothing."
            + (" Choose the one that is shipped with the app for people." if shipped_run() else "")
        )
    if reasons:
        st.warning("  \n".join(reasons), icon=":material/science:")


@contextmanager
def progress(label: str, *, stop: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while something long is done.

    Args:
        label: What is counted.
        stop: Whether it can be stopped. Only what a button has started: anything else
            would begin again at once.

    Yields:
        A callback for the library, called with (done, total).
    """
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text=f"{label} …")
        if stop:
            # A click on anything ends what the page is doing and draws it anew.
            st.button("Stop", icon=":material/stop:", key=f"stop-{label}")
    shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        # A message to the browser for every face would slow the work down.
        # A total of 0 means that nobody knows it.
        if time.monotonic() - shown > 0.15 or (total and done >= total):
            shown = time.monotonic()
            share, of_total = (min(done / total, 1.0), f" of {total:,}") if total else (0.0, "")
            bar.progress(share, text=f"{label}: {done:,}{of_total}")

    try:
        yield show
    finally:
        place.empty()


# -- The dataset ---------------------------------------------------------------


@dataclass
class _Slot:
    """A dataset that is read once, by whoever comes first, while the others wait.

    `st.cache_data` cannot be used: a cached function may not draw a progress bar.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    dataset: Dataset | None = None


@st.cache_resource(max_entries=4, show_spinner=False)
def _slot(folder: str, modified_ns: int) -> _Slot:
    """Return the one slot of a folder in its present state."""
    return _Slot()


def _choice_file() -> Path:
    """Return the file that remembers the chosen folder across reloads and restarts."""
    return workspace_dir() / "app.json"


def chosen_folder() -> Path | None:
    """Return the dataset folder in use, or None when there is none yet."""
    try:
        folder = Path(json.loads(_choice_file().read_text(encoding="utf-8"))["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        # Nothing chosen, or half a file: look in the usual places.
        folder = default_dataset_dir()
    candidates = [folder, default_dataset_dir(), demo_dataset_dir()]
    return next((candidate for candidate in candidates if _changed_ns(candidate)), None)


def _changed_ns(folder: Path) -> int:
    """Return when a folder last changed; 0 when it is none, or may not be looked into."""
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return 0
    return status.st_mtime_ns if stat.S_ISDIR(status.st_mode) else 0


def choose_folder(folder: Path) -> None:
    """Use a folder from now on.

    Raises:
        DatasetError: If it holds no labelled face; the choice then stays as it was.
    """
    read_dataset(folder)
    write_json(_choice_file(), {"dataset": str(folder.resolve())})


def read_dataset(folder: Path) -> Dataset:
    """Index a folder, with a progress bar, or take it from the cache.

    Raises:
        DatasetError: If the folder is missing, empty or holds no labelled face.
    """
    from agegender.dataset.dataset import open_dataset

    slot = _slot(str(folder.resolve()), _changed_ns(folder))
    # One element, with or without progress in it: tabs that moved would go back to the first.
    with slot.lock, st.container():
        if slot.dataset is None:
            with progress("Reading faces") as on_progress:
                slot.dataset = open_dataset(folder, on_progress=on_progress)
        return slot.dataset


def forget_datasets() -> None:
    """Read every folder anew at the next visit."""
    _slot.clear()


def need_dataset() -> Dataset:
    """Return the dataset in use, or lead to the Dataset page and stop."""
    folder = chosen_folder()
    if folder is None:
        next_step(
            "There are no faces yet. Draw demo faces, fetch UTKFace or name a folder.",
            DATASET,
            "Get a dataset",
        )
        st.stop()
    return read_dataset(folder)


# -- Runs and models -----------------------------------------------------------


def usable_runs() -> list[Run]:
    """Return the runs that have a model: the default one, then the others, newest first."""
    from agegender.training.runs import default_run, list_runs

    try:
        first = [default_run()]
    except ModelNotFoundError:
        first = []
    others = [run for run in list_runs() if run.heads_file.exists()]
    named = {run.id: run for run in [*first, *others]}
    return [run for run in named.values() if run.state.status != "damaged"]


def run_label(run: Run) -> str:
    """Name a run as a person would: when it was trained, with what, on what.

    To the second, as a selectbox takes two runs of one name for the same.
    """
    if run.is_shipped:
        return "Shipped with the app"
    from agegender.model.weights import backbone_label

    when = time.strftime("%d %b %Y, %H:%M:%S", time.localtime(run.state.started))
    return f"{when} · {backbone_label(run.config.backbone)} · {Path(run.config.dataset).name}"


def need_run() -> Run:
    """Let the visitor choose a run, or lead to the Training page and stop."""
    runs = {run.id: run for run in usable_runs()}
    if not runs:
        next_step(NO_RUN_YET, TRAINING, "Train a model")
        st.stop()
    chosen = st.selectbox(
        "Model",
        list(runs),
        format_func=lambda run_id: run_label(runs[run_id]),
        key=RUN_KEY,
        persist_state="session",
        help="A finished training. At first the newest is chosen that has learned from photos.",
    )
    return runs[chosen]


# -- Uploads ---------------------------------------------------------------------


def picture_types() -> list[str]:
    """Return the endings of pictures that can be read, for an upload field.

    The field has room for the first of them only: those are the usual ones.
    """
    from agegender.images import picture_suffixes

    usual = [".jpg", ".jpeg", ".png", ".webp", ".heic", ".tiff", ".bmp", ".gif"]
    return [*usual, *sorted(picture_suffixes().difference(usual))]


# -- Numbers as a person would say them ------------------------------------------


def duration(seconds: float) -> str:
    """Format a length of time, rounded the more the longer it is."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"

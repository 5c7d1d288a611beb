"""The dataset that the pages look at: which folder is chosen, and its faces, read once.

Nothing is kept in module variables, since they would be shared by every visitor; what
lasts is in `st.cache_resource` (read-only) or on disk. The library's part, which takes
time to import, is imported where it is used, so that the first page stands before it is
loaded.
"""

from __future__ import annotations

import json
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from agegender.config import default_dataset_dir, demo_dataset_dir, workspace_dir
from agegender.storage import write_json
from pages import shared
from pages.navigation import DATASET, next_step

if TYPE_CHECKING:
    from agegender.dataset.dataset import Dataset


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


def _remembered_folder() -> Path | None:
    """Return the folder that was chosen, wherever it is now; None if none was."""
    try:
        return Path(json.loads(_choice_file().read_text(encoding="utf-8"))["dataset"])
    except (OSError, ValueError, KeyError, TypeError):
        # Nothing chosen, or half a file.
        return None


def chosen_folder() -> Path | None:
    """Return the dataset folder in use, or None when there is none yet."""
    usual = [default_dataset_dir(), demo_dataset_dir()]
    chosen = _remembered_folder()
    candidates = usual if chosen is None else [chosen, *usual]
    return next((candidate for candidate in candidates if _changed_ns(candidate)), None)


def tell_lost_folder() -> None:
    """Say that the chosen folder is gone, and what is used in its place."""
    chosen, used = _remembered_folder(), chosen_folder()
    if chosen is None or chosen == used:
        return
    instead = "" if used is None else f" In its place you see the faces of {used}."
    st.warning(
        f"{chosen} is not there any more, or cannot be opened.{instead}",
        icon=":material/folder_off:",
    )


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
            with shared.progress("Reading faces") as on_progress:
                slot.dataset = open_dataset(folder, on_progress=on_progress)
        return slot.dataset


def forget_datasets() -> None:
    """Read every folder anew at the next visit."""
    _slot.clear()


def need_dataset() -> Dataset:
    """Return the dataset in use, or lead to the Dataset page and stop."""
    tell_lost_folder()
    folder = chosen_folder()
    if folder is None:
        next_step(
            "There are no faces yet. Draw demo faces, fetch UTKFace or name a folder.",
            DATASET,
            "Get a dataset",
        )
        st.stop()
    return read_dataset(folder)


def demo_badge(dataset: Dataset) -> None:
    """Mark drawn faces, so that nobody takes them or their figures for real."""
    if dataset.is_demo:
        st.badge("Demo faces: drawings, not people", icon=":material/brush:", color="orange")

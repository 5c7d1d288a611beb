"""The pages: where they are, how they are opened, and the way from one to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.shared import errors_as_messages

if TYPE_CHECKING:
    from streamlit.navigation.page import Page as StreamlitPage

# Relative to app.py.
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

_SHELL_KEY = "in_app"
"""Set by `show_page` for the page; missing when Streamlit ran a page's file by itself."""


def navigation() -> StreamlitPage:
    """Declare the pages; return the one to show."""
    return st.navigation(
        {
            section: [
                st.Page(page, title=title, icon=icon, default=page == HOME)
                for page, title, icon in pages
            ]
            for section, pages in NAVIGATION.items()
        }
    )


def show_page(page: StreamlitPage) -> None:
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

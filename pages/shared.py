"""What several pages show alike: messages, progress, kinds of pictures, lengths of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from agegender.errors import AgeGenderError

MAPS_CAUTION = (
    "A map need not show what the answer rests on: {test} can test a model's maps; what came out "
    "for the shipped one is in docs/model-card.md, Heatmaps."
)


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Show whatever the library refuses to do as one sentence; bugs pass through."""
    try:
        yield
    except AgeGenderError as error:
        st.error(str(error), icon=":material/error:")


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


def ask_path(label: str, example: str, use: str, *, button: str, icon: str) -> str | None:
    """Let the visitor type a path and press a button.

    Args:
        label: Of the field.
        example: Of a path, shown in the empty field.
        use: What is done with what the path leads to, for the field's help.
        button: Its words.
        icon: Of the button.

    Returns:
        The path as it was typed, once the button is pressed; None otherwise.
    """
    # A form takes what is typed when the button is pressed: outside of one, a button that waits
    # for it is grey until the field is left.
    with st.form(label, border=False):
        text = st.text_input(label, placeholder=example, help=use).strip()
        is_asked = st.form_submit_button(button, type="primary", icon=icon)
    if is_asked and not text:
        st.error("The path is empty; name one.", icon=":material/error:")
    return text if is_asked and text else None


def picture_types() -> list[str]:
    """Return the endings of pictures that can be read, for an upload field.

    The field has room for the first of them only: those are the usual ones.
    """
    # It imports Pillow and HEIC, which the first page need not wait for.
    from agegender.images import picture_suffixes

    usual = [".jpg", ".jpeg", ".png", ".webp", ".heic", ".tiff", ".bmp", ".gif"]
    return [*usual, *sorted(picture_suffixes().difference(usual))]


def duration(seconds: float) -> str:
    """Format a length of time, rounded the more the longer it is."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"

"""The Dataset page's ways to get faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from agegender.config import demo_dataset_dir, workspace_dir
from agegender.dataset.download import (
    ARCHIVE_SIZE,
    MANUAL_WAY,
    fetch_dataset,
    free_folder,
    utkface_folder,
)
from agegender.dataset.paths import look_up
from agegender.dataset.synthetic import DEMO_FACES, draw_demo_faces, has_demo_faces
from agegender.storage import scratch_folder, storage_errors
from pages import shared
from pages.current_dataset import choose_folder, forget_datasets


def get_faces() -> None:
    """Offer the four ways to get faces."""
    ways = {
        "demo": ":material/brush: Demo faces",
        "download": ":material/download: Download",
        "upload": ":material/upload: Upload an archive",
        "path": ":material/folder_open: On this computer",
    }
    way = st.segmented_control(
        "Where from", list(ways), default="demo", required=True, format_func=ways.__getitem__
    )
    {"demo": get_demo, "download": get_download, "upload": get_upload, "path": get_path}[way]()


def get_demo() -> None:
    """Draw the demo faces."""
    st.markdown(
        f"{DEMO_FACES} drawn faces in UTKFace's layout, ready in seconds. They show nobody, "
        "and figures measured on them say nothing about people."
    )
    if st.button("Draw demo faces", type="primary", icon=":material/brush:"):
        with taking_up("Drawing faces") as on_progress:
            folder = demo_dataset_dir()
            # What is there stays: somebody may have put faces of their own beside the drawn ones.
            if not has_demo_faces(folder):
                draw_demo_faces(folder, on_progress=on_progress)
            use(folder)


def get_download() -> None:
    """Fetch UTKFace from the network."""
    st.markdown(
        f"UTKFace, aligned and cropped: 23,708 faces, {ARCHIVE_SIZE}, for **non-commercial "
        "research only**. It goes on where it stopped if it is interrupted."
    )
    if st.button("Download UTKFace", type="primary", icon=":material/download:"):
        with taking_up("Fetching UTKFace") as on_progress:
            use(fetch_dataset(utkface_folder(), on_progress=on_progress))
    with st.expander("By hand"):
        st.markdown(MANUAL_WAY + ", or choose “Upload an archive” above.")


def get_upload() -> None:
    """Unpack an archive that was uploaded."""
    upload = st.file_uploader(
        "UTKFace.tar.gz or a ZIP of faces",
        help="Every face is a file named age_gender_race_date.jpg, for example "
        "25_0_1_20170116220224657.jpg.",
    )
    if upload is not None and st.button("Unpack it", type="primary", icon=":material/unarchive:"):
        with taking_up("Unpacking") as on_progress:
            home = workspace_dir()
            with storage_errors(home), scratch_folder(home / "upload") as folder:
                archive = folder / Path(upload.name).name
                archive.write_bytes(upload.getbuffer())
                dest = free_folder(archive)
                faces = fetch_dataset(dest, archive=archive, on_progress=on_progress)
            use(faces)


def get_path() -> None:
    """Use a folder or an archive that is on this computer."""
    text = shared.ask_path(
        "Folder or archive",
        "/home/me/UTKFace or /home/me/UTKFace.tar.gz",
        "A folder is used where it is and never written to. An archive is unpacked.",
        button="Use it",
        icon=":material/check:",
    )
    if text is not None:
        with shared.errors_as_messages():
            path = look_up(text)
            if path.is_file():
                dest = free_folder(path)
                with shared.progress("Unpacking", stop=True) as on_progress:
                    path = fetch_dataset(dest, archive=path, on_progress=on_progress)
            use(path)


@contextmanager
def taking_up(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress, and an error as a sentence, while faces are got."""
    with shared.errors_as_messages(), shared.progress(label, stop=True) as on_progress:
        yield on_progress


def use(folder: Path) -> None:
    """Take a folder as the dataset and draw the page anew."""
    forget_datasets()
    choose_folder(folder)
    st.rerun()

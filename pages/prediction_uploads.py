"""What the Prediction page is given: photos, a folder of them, or one taken right now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from agegender.prediction.sources import is_wanted
from pages import shared

if TYPE_CHECKING:
    from streamlit.typing import UploadedFile

FORMATS = "JPEG, PNG, WebP, HEIC, TIFF, BMP or GIF"

LEFTOVERS = (".ds_store", ".db", ".ini")
"""What systems leave in folders. It is let in and passed over, since the upload field
shows in red what it does not let in."""


def take_photos() -> tuple[list[UploadedFile], bool]:
    """Let the visitor upload photos or take one, and say whether they are crops."""
    source = st.segmented_control(
        "Photos",
        ["upload", "folder", "camera"],
        default="upload",
        required=True,
        format_func={
            "upload": ":material/upload: Upload",
            "folder": ":material/folder_open: A folder",
            "camera": ":material/photo_camera: Camera",
        }.__getitem__,
    )
    uploads = {"upload": take_files, "folder": take_folder, "camera": take_picture}[source]()
    crops = st.toggle(
        "These are already face crops",
        help="Each picture shows one face, cut out as in UTKFace. The centre square is taken "
        "as it is, and no face is looked for.",
    )
    what = "Each picture is one face." if crops else "Every face is found and answered."
    st.caption(
        f"{what} Photos stay in memory and are not kept: leaving or reloading the page clears them."
    )
    return uploads, crops


def take_files() -> list[UploadedFile]:
    """Let the visitor upload photos and ZIPs."""
    return st.file_uploader(
        "One or more photos, or a ZIP of them",
        type=[*shared.picture_types(), ".zip"],
        accept_multiple_files=True,
        help=f"{FORMATS}.",
    )


def take_folder() -> list[UploadedFile]:
    """Let the visitor upload a folder; what is no picture is passed over."""
    uploads = st.file_uploader(
        "A folder of photos, with all that are in it",
        type=[*shared.picture_types(), ".zip", *LEFTOVERS],
        accept_multiple_files="directory",
        help=f"{FORMATS}, and ZIPs of them; what else is in it is passed over.",
    )
    wanted = [upload for upload in uploads if is_wanted(upload.name)]
    if uploads and not wanted:
        st.error("There is no picture in this folder; choose another.", icon=":material/error:")
    return sorted(wanted, key=lambda upload: upload.name)


def take_picture() -> list[UploadedFile]:
    """Let the visitor take a photo."""
    taken = st.camera_input("Take a photo", width=480)
    return [taken] if taken is not None else []

"""The facts that more than one module needs, each in its only home.

Nothing here imports more than the standard library, so that every command
can read it without waiting for TensorFlow.
"""

import os
from bisect import bisect_left
from pathlib import Path

# -- Places on disk ----------------------------------------------------------

PROJECT_DIR = Path(__file__).resolve().parent.parent

SHIPPED_DIR = Path(__file__).resolve().parent / "shipped"
"""Weights and the default run that travel with the package (read-only)."""


def workspace_dir() -> Path:
    """Return the folder for indexes, cached features and runs.

    It is `workspace/` beside the app, or the folder named by the environment
    variable AGEGENDER_HOME. It is read anew at every call so that tests and
    several workspaces can live in one process.
    """
    return Path(os.environ.get("AGEGENDER_HOME") or PROJECT_DIR / "workspace")


def default_dataset_dir() -> Path:
    """Return where the dataset is looked for when no folder is named."""
    return Path(os.environ.get("AGEGENDER_DATASET") or PROJECT_DIR / "UTKFace")


def demo_dataset_dir() -> Path:
    """Return where the drawn demo faces are kept."""
    return workspace_dir() / "demo-faces"


def datasets_dir() -> Path:
    """Return where the app unpacks archives of faces, a folder each."""
    return workspace_dir() / "datasets"


def reports_dir() -> Path:
    """Return where the app writes reports, a folder each."""
    return workspace_dir() / "reports"


# -- Labels (UTKFace's order; the number in a file name is the index here) ---

GENDER_NAMES = ("male", "female")
RACE_NAMES = ("White", "Black", "Asian", "Indian", "Others")
MAX_AGE_YEARS = 116
"""The oldest label in UTKFace; a larger number in a file name is a mistake."""

AGE_BANDS = ((0, 25, "young 0-25"), (26, 50, "adult 26-50"), (51, MAX_AGE_YEARS, "senior 51+"))
"""(youngest, oldest, name), both ends included, in whole years."""


def age_band(years: float) -> int:
    """Return which of `AGE_BANDS` an age is in; the last has all older ones as well."""
    return bisect_left(AGE_BANDS[:-1], years, key=lambda band: band[1])


ADULT_AGE_YEARS = 18

# -- The split ---------------------------------------------------------------

SPLIT_NAMES = ("train", "validation", "test")
SPLIT_FRACTIONS = (0.8, 0.1, 0.1)
SPLIT_VERSION = "utkface-1"
"""Part of the hash that draws an image's split; changing it draws anew."""

# -- The picture that the model sees -----------------------------------------

FRAME_SIZE = 200
"""Side in pixels of UTKFace's aligned chip, the frame every crop refers to."""

IMAGE_SIZE = 224
"""Side in pixels of ResNet50's standard input, for backbones without another."""

# -- Chance ------------------------------------------------------------------

SEED = 20170116

# -- Looks: one colour-blind-safe palette (Okabe and Ito, 2008) ---------------

GENDER_COLORS = {"male": "#0072B2", "female": "#D55E00"}
RACE_COLORS = {
    "White": "#56B4E9",
    "Black": "#009E73",
    "Asian": "#E69F00",
    "Indian": "#CC79A7",
    "Others": "#7F7F7F",
}
SPLIT_COLORS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
ACCENT_COLOR = "#0072B2"
MUTED_COLOR = "#8C8C8C"
WRONG_COLOR = "#5F6B7A"
"""Fields of wrong answers; dark enough for white numbers on either theme."""

"""The one split into train, validation and test.

An image's split is drawn by its own content and nothing else, so it is the
same on every machine, in every order, and does not move when files come or
go. Near duplicates that were drawn into different splits are then set aside
(see `duplicates`), so that no face stands on both sides.
"""

from __future__ import annotations

import hashlib

from agegender.config import SPLIT_FRACTIONS, SPLIT_NAMES, SPLIT_VERSION


def draw_split(sha256: str) -> str:
    """Draw the split of an image from its content.

    Args:
        sha256: The file's SHA-256, 64 hexadecimal digits.

    Returns:
        "train", "validation" or "test", with the odds of `SPLIT_FRACTIONS`.
    """
    # Hashed again with the version so that a new version draws afresh.
    digest = hashlib.sha256(f"{SPLIT_VERSION}:{sha256}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    reached = 0.0
    for name, fraction in zip(SPLIT_NAMES, SPLIT_FRACTIONS, strict=True):
        reached += fraction
        if position < reached:
            return name
    return SPLIT_NAMES[-1]

"""Figures made of pictures of faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from agegender.config import MUTED_COLOR
from agegender.evaluation.plots.style import INK_COLOR, new_figure, title_above

if TYPE_CHECKING:
    from agegender.evaluation.cards import FaceCard

MOST_ACROSS = 6
"""Pictures side by side in a figure."""


def plot_cards(cards: Sequence[FaceCard], *, title: str) -> Figure:
    """Draw faces with their labels and answers.

    Args:
        cards: At least one.
        title: What they are.

    Raises:
        ValueError: If there are none.
    """
    if not cards:
        raise ValueError("there are no faces to draw")
    views = len(cards[0].pictures)
    across = max(1, min(MOST_ACROSS // views, len(cards)))
    down = math.ceil(len(cards) / across)
    figure = new_figure(1.65 * across * views, 0.5 + 2.25 * down)
    grid = figure.subplots(down, across * views, squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for number, card in enumerate(cards):
        row, column = divmod(number, across)
        for view, (caption, picture) in enumerate(card.pictures.items()):
            ax = grid[row, column * views + view]
            ax.imshow(picture)
            if not view:
                text = f"true: {card.truth}\nmodel: {card.answer} ({card.confidence})"
                ax.set_title(text, loc="left", fontsize=8.5, color=INK_COLOR, linespacing=1.4)
            elif caption:
                ax.set_title(caption, loc="left", fontsize=8, color=MUTED_COLOR)
    title_above(figure, title)
    return figure

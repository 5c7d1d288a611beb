"""One figure per face: the picture and what each head looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from agegender.config import GENDER_NAMES
from agegender.explanation.overlay import color_scale, overlay_heatmap

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from agegender.explanation.gradcam import Explanation


def plot_explanation(
    face: NDArray[np.uint8],
    explanation: Explanation,
    *,
    title: str = "",
) -> Figure:
    """Draw a face beside the overlays of its age and gender maps.

    Args:
        face: The square that the model saw, RGB, uint8, shape (size, size, 3).
        explanation: Its heatmaps.
        title: What the model answered, below the face.

    Returns:
        A figure of four panels that belongs to no window.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    # Pictures above; what they mean below.
    grid = figure.add_gridspec(2, 2 + len(GENDER_NAMES), height_ratios=(22, 1))
    shown = {
        "Face": face,
        "Age": overlay_heatmap(face, explanation.age, signed=True),
    }
    for name in GENDER_NAMES:
        heatmap = explanation.gender(name)
        shown[f"Speaks for {name}"] = overlay_heatmap(face, heatmap)
    for column, (label, picture) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(picture)
        axes.set_title(label)
        axes.set_axis_off()
    answer = figure.add_subplot(grid[1, 0])
    answer.set_axis_off()
    answer.text(0.5, 0.5, title, ha="center", va="center", size="large")
    _color_bar(figure.add_subplot(grid[1, 1]), {-1: "lowers", 0: "0", 1: "raises"}, signed=True)
    _color_bar(figure.add_subplot(grid[1, 2:]), {0: "nothing", 1: "most"}, signed=False)
    return figure


def _color_bar(axes: Axes, ticks: dict[int, str], *, signed: bool) -> None:
    """Draw a colour scale with words at some values."""
    scale = ScalarMappable(Normalize(min(ticks), max(ticks)), color_scale(signed=signed))
    bar = axes.figure.colorbar(scale, cax=axes, orientation="horizontal", ticks=list(ticks))
    bar.set_ticklabels(list(ticks.values()))
    bar.outline.set_visible(False)

"""One figure per face: the picture and what each head looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from agegender.config import GENDER_NAMES
from agegender.explanation.overlay import DEFAULT_OPACITY, color_scale, overlay_heatmap

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
    opacity: float = DEFAULT_OPACITY,
) -> Figure:
    """Draw a face beside the overlays of its age and gender maps.

    Args:
        face: The square that the model saw, RGB, uint8, shape (size, size, 3).
        explanation: Its heatmaps.
        title: What the model answered, above the figure.
        opacity: Cover where a map is strongest, from 0 to 1.

    Returns:
        A figure of four panels that belongs to no window.
    """
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    original, *panels = figure.subplots(1, 2 + len(GENDER_NAMES))
    _show(original, face, "Face")
    _show(
        panels[0],
        overlay_heatmap(face, explanation.age, signed=True, opacity=opacity),
        "Age",
    )
    for axes, name in zip(panels[1:], GENDER_NAMES, strict=True):
        heatmap = explanation.gender(name)
        _show(axes, overlay_heatmap(face, heatmap, opacity=opacity), f"Speaks for {name}")
    _colorbar(figure, panels[:1], True, (-1, 0, 1), ("lowers", "0", "raises"))
    _colorbar(figure, panels[1:], False, (0, 1), ("nothing", "most"))
    figure.suptitle(title)
    return figure


def _show(axes: Axes, rgb: NDArray[np.uint8], title: str) -> None:
    """Show a picture without ticks."""
    axes.imshow(rgb)
    axes.set_title(title)
    axes.set_axis_off()


def _colorbar(
    figure: Figure, axes: list[Axes], signed: bool, ticks: tuple[int, ...], labels: tuple[str, ...]
) -> None:
    """Draw a colour scale below some panels."""
    scale = ScalarMappable(Normalize(ticks[0], ticks[-1]), color_scale(signed=signed))
    bar = figure.colorbar(scale, ax=axes, location="bottom", ticks=ticks, shrink=0.8, aspect=30)
    bar.set_ticklabels(list(labels))
    bar.outline.set_visible(False)

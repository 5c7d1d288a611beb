"""Figures of the heatmaps of many faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from agegender.config import ACCENT_COLOR, FRAME_SIZE, GENDER_COLORS, MUTED_COLOR, SEED
from agegender.evaluation.heatmap_tables import mean_maps
from agegender.evaluation.heatmaps import HEADS, OTHER_MAPS
from agegender.evaluation.intervals import bootstrap_mean
from agegender.evaluation.plots.style import (
    INK_COLOR,
    label,
    new_axes,
    new_figure,
    percent_ticks,
    style_axes,
    title_above,
)
from agegender.evaluation.titles import titled
from agegender.explanation.faithfulness import KINDS, SHARES
from agegender.explanation.overlay import color_scale, resize_heatmap
from agegender.prediction.alignment import FRAME_LANDMARKS

if TYPE_CHECKING:
    from agegender.evaluation.heatmaps import HeatmapCheck

_LOOKS = (
    ("Grad-CAM", ACCENT_COLOR, "-"),
    ("random map", MUTED_COLOR, "--"),
    ("centre only", "#E69F00", ":"),
)
_CHANGES = {"age": "Change of the age, years", "gender": "Probability lost"}
_PIXELS = {"deletion": "Share of pixels taken away", "insertion": "Share of pixels put back"}
_PANEL_PIXELS = 96


def plot_faithfulness(check: HeatmapCheck, *, seed: int = SEED) -> Figure:
    """Draw the deletion and insertion curves of both heads, with 95% intervals.

    Args:
        check: What `measure_heatmaps` returned.
        seed: Of the bootstrap.
    """
    figure = new_figure(9.6, 6.4)
    grid = figure.subplots(len(HEADS), len(KINDS), sharey="row")
    for head, row in zip(HEADS, grid, strict=True):
        for kind, ax in zip(KINDS, row, strict=True):
            style_axes(ax)
            for name, (text, color, line) in zip((head, *OTHER_MAPS), _LOOKS, strict=True):
                changes = check.changes(head, name, kind).astype(np.float64)
                low, high = np.transpose([bootstrap_mean(step, seed=seed) for step in changes.T])
                ax.fill_between(SHARES, low, high, color=color, alpha=0.15, linewidth=0)
                ax.plot(SHARES, changes.mean(axis=0), line, color=color, linewidth=2, label=text)
            percent_ticks(ax.xaxis)
            label(ax, f"{head.capitalize()}: {kind}", _PIXELS[kind], _CHANGES[head])
    title_above(
        figure, titled("Change of the answer from that for the whole face", len(check.faces))
    )
    return figure


def plot_mean_maps(check: HeatmapCheck, crop: float) -> Figure:
    """Draw the mean map of each head over all faces and over each group.

    Args:
        check: What `measure_heatmaps` returned.
        crop: Share of the frame that the model sees (see `InputSpec`); tells where
            in its square eyes, nose and mouth corners are, which are marked.
    """
    means = {head: mean_maps(check, head) for head in HEADS}
    groups = list(means["age"])
    figure = new_figure(1.15 * len(groups) + 0.6, 3.2)
    grid = figure.subplots(len(HEADS), len(groups), squeeze=False)
    places = ((FRAME_LANDMARKS / FRAME_SIZE - 0.5) / crop + 0.5) * _PANEL_PIXELS - 0.5
    for head, row in zip(HEADS, grid, strict=True):
        signed = head == "age"
        # One scale for all groups, so that they can be compared.
        largest = max(float(np.abs(mean).max()) for _, mean in means[head].values()) or 1.0
        scale = Normalize(-largest if signed else 0.0, largest)
        colors = color_scale(signed=signed)
        for group, ax in zip(groups, row, strict=True):
            count, mean = means[head][group]
            enlarged = resize_heatmap(mean, _PANEL_PIXELS, _PANEL_PIXELS)
            ax.imshow(enlarged, cmap=colors, norm=scale)
            ink = "black" if signed else "white"
            ax.plot(places[:, 0], places[:, 1], "o", color=ink, fillstyle="none", markersize=4)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if head == HEADS[0]:
                ax.set_title(f"{group}\nn = {count:,}", fontsize=8, color=INK_COLOR)
        row[0].set_ylabel(head, fontsize=9.5, color=INK_COLOR)
        bar = figure.colorbar(ScalarMappable(scale, colors), ax=list(row), fraction=0.012, pad=0.01)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7, colors=INK_COLOR)
    title_above(figure, titled("Mean heatmaps", len(check.faces)))
    return figure


def plot_sanity(check: HeatmapCheck) -> Figure:
    """Draw how alike the maps stay as the network is destroyed from the heads down.

    Args:
        check: What `measure_heatmaps` returned.
    """
    ax = new_axes()
    colors = {"age": ACCENT_COLOR, **GENDER_COLORS}
    # The whole network's maps are those that the others are compared with.
    parts = ["nothing", *check.sanity["destroyed"]]
    marks = zip(("age", "male", "female"), ("o-", "s--", "^:"), strict=True)
    for name, mark in marks:
        values = [1.0, *check.sanity[name]]
        ax.plot(range(len(parts)), values, mark, color=colors[name], linewidth=2, label=name)
    ax.axhline(0, color=MUTED_COLOR, linewidth=1.2)
    ax.set_xticks(range(len(parts)), parts, fontsize=8.5)
    ax.set_ylim(top=1.05)
    title = "Maps of a network that is destroyed part by part"
    return label(ax, title, "Randomised down to", "Rank correlation with the whole one's")

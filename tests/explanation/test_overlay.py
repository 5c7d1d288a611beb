"""Colours of heatmaps, and their cover over a face."""

from __future__ import annotations

import numpy as np
import pytest

from agegender.explanation.figure import plot_explanation
from agegender.explanation.gradcam import Explanation
from agegender.explanation.overlay import (
    color_heatmap,
    explanation_pictures,
    overlay_heatmap,
    resize_heatmap,
)

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def spot(value: float = 1.0) -> np.ndarray:
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[1, 1] = value
    return heatmap


def explanation() -> Explanation:
    return Explanation(age=-spot(), male=spot(), female=spot(0.0), layer="conv")


def test_resizing_is_smooth_and_stays_in_range() -> None:
    large = resize_heatmap(spot(), 140, 210)
    assert large.shape == (140, 210)
    assert 0 <= large.min() <= large.max() <= 1
    assert np.abs(np.diff(large, axis=0)).max() < 0.15
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert row // 20 == 1
    assert column // 30 == 1


def test_signed_colours_tell_raising_from_lowering() -> None:
    heatmap = np.array([[-1.0, 0.0, 1.0]], np.float32)
    lowers, nothing, raises = color_heatmap(heatmap, signed=True, height=1, width=3)[0].astype(int)
    assert lowers[2] > lowers[0]
    assert raises[0] > raises[2]
    assert nothing.min() > 240


def test_unsigned_colours_rise_in_lightness() -> None:
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[None]
    lightness = color_heatmap(ramp, signed=False, height=1, width=16)[0].mean(axis=-1)
    assert (np.diff(lightness) > 0).all()


def test_overlay_at_opacity_zero_is_the_picture() -> None:
    assert np.array_equal(overlay_heatmap(RGB, spot(), opacity=0), RGB)


@pytest.mark.parametrize("signed", [True, False])
def test_overlay_covers_most_where_the_map_is_strongest(signed: bool) -> None:
    covered = overlay_heatmap(RGB, spot(), signed=signed, opacity=1)
    assert covered.shape == RGB.shape
    assert covered.dtype == np.uint8
    # Far from the spot only the grey picture is left, and no colour at all.
    far = covered[30:, 40:]
    assert np.array_equal(far[..., 0], far[..., 2])
    strongest = covered[8, 12]
    expected = color_heatmap(spot(), signed=signed, height=40, width=60)[8, 12]
    assert np.abs(strongest.astype(int) - expected).max() < 40


def test_overlay_draws_no_line_where_the_sign_changes() -> None:
    black = np.zeros((1, 201, 3), np.uint8)
    ramp = np.linspace(-1, 1, 201, dtype=np.float32)[None]
    [lightness] = overlay_heatmap(black, ramp, signed=True, opacity=1).mean(axis=-1)
    assert lightness[95:106].max() <= 3
    # What is a little stronger can be seen.
    assert lightness[[70, 130]].min() > 40


def test_overlay_leaves_its_arguments_alone() -> None:
    picture, heatmap = RGB.copy(), spot()
    overlay_heatmap(picture, heatmap, opacity=0.5)
    assert np.array_equal(picture, RGB)
    assert np.array_equal(heatmap, spot())


@pytest.mark.parametrize("opacity", [-0.1, 1.1])
def test_opacity_out_of_range_is_refused(opacity: float) -> None:
    with pytest.raises(ValueError, match=str(opacity)):
        overlay_heatmap(RGB, spot(), opacity=opacity)


def test_pictures_of_every_map() -> None:
    pictures = explanation_pictures(RGB, explanation())
    assert set(pictures) == {
        f"{head}-{kind}" for head in ("age", "male", "female") for kind in ("heatmap", "overlay")
    }
    # The age map is negative: it must have been drawn on the signed scale.
    assert pictures["age-heatmap"][8, 12, 2] > pictures["age-heatmap"][8, 12, 0]
    assert not np.array_equal(pictures["male-heatmap"], pictures["female-heatmap"])


def test_figure_has_a_panel_per_map() -> None:
    figure = plot_explanation(RGB, explanation(), title="31 years, male (97%)")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["Face", "Age", "Speaks for male", "Speaks for female"]
    [answer] = [text for axes in figure.axes for text in axes.texts]
    assert answer.get_text() == "31 years, male (97%)"

"""What the check of many faces' heatmaps comes to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from agegender.config import SEED
from agegender.evaluation.formats import MISSING
from agegender.evaluation.groups import group_of
from agegender.evaluation.heatmaps import HEADS, OTHER_MAPS
from agegender.evaluation.intervals import bootstrap_mean
from agegender.evaluation.strata import STRATA
from agegender.explanation.faithfulness import KINDS, area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.evaluation.heatmaps import HeatmapCheck


def area_table(check: HeatmapCheck, *, seed: int = SEED) -> pd.DataFrame:
    """Sum the curves up by the areas under them.

    Args:
        check: What `measure_heatmaps` returned.
        seed: Of the bootstrap.

    Returns:
        A row for each head, kind of curve and map: `head`, `kind`, `map` (as in
        `changes`), `area` (mean change of the answer along the curve: years, or
        probability) with `area_low` and `area_high`, and `advantage` with
        `advantage_low` and `advantage_high`: by how much the head's own map is better
        than this one on the same faces, above 0 if it is. Intervals are 95%
        percentile bootstraps over the faces.
    """
    rows = []
    for head in HEADS:
        for kind in KINDS:
            own = area(check.changes(head, head, kind)).astype(np.float64)
            # A good map changes the answer soon when it deletes, and restores it soon.
            better = 1 if kind == "deletion" else -1
            for name in (head, *OTHER_MAPS):
                areas = area(check.changes(head, name, kind)).astype(np.float64)
                low, high = bootstrap_mean(areas, seed=seed)
                gains = better * (own - areas)
                gain_low, gain_high = bootstrap_mean(gains, seed=seed)
                rows.append(
                    {
                        "head": head,
                        "kind": kind,
                        "map": name,
                        "area": areas.mean(),
                        "area_low": low,
                        "area_high": high,
                        "advantage": gains.mean(),
                        "advantage_low": gain_low,
                        "advantage_high": gain_high,
                    }
                )
    return pd.DataFrame(rows)


def mean_maps(check: HeatmapCheck, head: str) -> dict[str, tuple[int, NDArray[np.float32]]]:
    """Average the maps of a head over all faces, and over each group.

    Args:
        check: What `measure_heatmaps` returned.
        head: One of `HEADS`.

    Returns:
        By group (all, age bands, genders, race groups; empty ones left out): how
        many faces, and the mean of their maps, each scaled to its own maximum before.
    """
    # The two gender maps of a face share a scale (`gradcam.Explainer`).
    peaks = np.abs(check.maps[head]).max(axis=(1, 2), keepdims=True)
    maps = check.maps[head] / np.where(peaks > 0, peaks, 1)
    means = {"all": (len(maps), maps.mean(axis=0))}
    for by in STRATA:
        groups = group_of(check.faces, by)
        for name in groups.categories:
            chosen = np.asarray(groups == name)
            if chosen.any():
                means[name] = int(chosen.sum()), maps[chosen].mean(axis=0)
    return means


def reading_tables(check: HeatmapCheck, *, seed: int = SEED) -> list[tuple[str, pd.DataFrame]]:
    """Lay the figures out for people.

    Args:
        check: What `measure_heatmaps` returned.
        seed: Of the bootstrap.

    Returns:
        Titles and tables of text: the areas, and the sanity check.
    """
    rows = []
    for (head, kind), areas in area_table(check, seed=seed).groupby(["head", "kind"], sort=False):
        # Two digits of a year, one of a percentage point.
        scale, form = (1, ".2f") if head == "age" else (100, ".1f")
        unit = "years" if head == "age" else "points of probability"
        texts = {
            figure: [
                f"{scale * middle:{sign}{form}} "
                + (
                    f"({MISSING})"
                    if math.isnan(low)
                    else f"({scale * low:{sign}{form}} to {scale * high:{sign}{form}})"
                )
                for middle, low, high in areas[[figure, f"{figure}_low", f"{figure}_high"]].values
            ]
            for figure, sign in (("area", ""), ("advantage", "+"))
        }
        # By how much a map is better than itself says nothing.
        rows.append([f"{head}, {unit}", kind, *texts["area"], *texts["advantage"][1:]])
    columns = ["Head", "Curve", "Grad-CAM", "Random map", "Centre-only map"]
    columns += ["Better than random by", "Better than centre by"]
    areas_text = pd.DataFrame(rows, columns=columns)
    sanity = check.sanity.rename(
        columns={
            "destroyed": "Randomised down to",
            "age": "Age",
            "male": "Male",
            "female": "Female",
        }
    )
    for name in sanity.columns[1:]:
        sanity[name] = [f"{value:.2f}" for value in sanity[name]]
    return [
        (
            f"Area under the curves, with 95% intervals (n = {len(check.faces):,}); under deletion "
            "larger is better, under insertion smaller",
            areas_text,
        ),
        ("Rank correlation of the maps with the whole network's, weights destroyed", sanity),
    ]

"""Drawing faces so that every group is there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from agegender.config import SEED
from agegender.evaluation.groups import group_of

STRATA = ("band", "gender", "race")
"""Groupings that a stratum is one combination of."""


def draw_stratified(
    faces: pd.DataFrame, count: int, *, seed: int = SEED, balanced: bool = False
) -> pd.DataFrame:
    """Draw faces stratum by stratum: age band, gender and race group.

    A smaller draw is part of a larger one with the same seed.

    Args:
        faces: Rows with `age`, `gender` and `race`.
        count: How many; all where there are fewer.
        seed: Of the draw.
        balanced: Give every stratum as many faces as the others as long as it
            has them, for comparing groups. By default each gets its share, so
            that a mean over the faces stands for all.

    Returns:
        Rows of `faces`, in their order, with their index.

    Raises:
        ValueError: If the count is below 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}, but must be at least 1")
    groups = [group_of(faces, by).codes for by in STRATA]
    strata = pd.MultiIndex.from_arrays(groups)
    shuffled = pd.Series(np.random.default_rng(seed).permutation(len(faces)), index=faces.index)
    within = shuffled.groupby(strata)
    place = within.rank() - 0.5
    # Taking the first by their place in line serves every stratum alike; by the
    # share of the line that is before them, in proportion to its length.
    turn = place if balanced else place / within.transform("size")
    order = np.lexsort([shuffled.to_numpy(), turn.to_numpy()])
    return faces.iloc[np.sort(order[:count])]

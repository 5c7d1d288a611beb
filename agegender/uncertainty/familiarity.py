"""Faces unlike those that the model learned from, told by their features.

The features of the training faces lie near a subspace of few dimensions. What
share of a face's features lies outside of it grows for anything that is no
upright, sharp, well lit face (the residual of ViM: Wang, Li, Feng and Zhang,
"ViM: Out-of-Distribution with Virtual-logit Matching", CVPR 2022; here relative
to the features' length, which shrinks for such pictures as well).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agegender.uncertainty.conformal import conformal_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIRECTIONS = 64
"""Dimensions of the subspace; with 32 to 256 it tells about the same."""

FLAGGED = 0.01
"""Share of ordinary faces that may be called unfamiliar."""

FITTED_FACES = 4096
"""Training faces, at most, that the subspace is found from."""


@dataclass(frozen=True)
class Familiarity:
    """What ordinary faces look like to the backbone.

    Attributes:
        directions: Orthonormal columns that span the subspace, float32,
            shape (2048, d), exact in float16.
        threshold: A face that is stranger is unfamiliar.
    """

    directions: NDArray[np.float32]
    threshold: float

    def is_unfamiliar(self, features: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which faces are unlike the training faces.

        Args:
            features: Mean over both views, shape (n, 2048).

        Returns:
            bool, shape (n,).
        """
        return measure_strangeness(features, self.directions) > self.threshold


def measure_strangeness(
    features: NDArray[np.float32], directions: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the share of features' length that lies outside of a subspace.

    Args:
        features: Shape (n, f).
        directions: Orthonormal columns, shape (f, d).

    Returns:
        The sine of the angle to the subspace, in 0..1, shape (n,); 1 for
        features that are all zero.
    """
    # Not a matrix product, whose threads cost more than they bring here.
    along = np.einsum("nf,fd->nd", features, directions)
    inside, whole = (np.einsum("nf,nf->n", part, part) for part in (along, features))
    return np.asarray(np.sqrt(np.clip(1 - inside / np.maximum(whole, 1e-30), 0, 1)))


def fit_familiarity(
    train: NDArray[np.float32], selection: NDArray[np.float32], *, seed: int
) -> Familiarity | None:
    """Find the subspace of the training faces, and the threshold by faces beside them.

    Args:
        train: Features of training faces, mean over both views, shape (n, 2048).
        selection: Those of the selection half of validation.
        seed: Of the approximate decomposition.

    Returns:
        The familiarity; None if the selection half is too small (below 99)
        to tell what one face in a hundred is.
    """
    if not math.isfinite(conformal_quantile(np.zeros(len(selection)), FLAGGED)):
        return None
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    count = min(DIRECTIONS, *train.shape)
    # On a busy machine several threads wait for each other longer than they work.
    with threadpool_limits(1):
        _, _, rows = randomized_svd(train, count, n_iter=3, random_state=seed)
    # Half the size on disk, and the threshold is of what will be read back.
    directions = np.ascontiguousarray(rows.T).astype(np.float16).astype(np.float32)
    strangeness = measure_strangeness(selection, directions)
    return Familiarity(directions, conformal_quantile(strangeness, FLAGGED))

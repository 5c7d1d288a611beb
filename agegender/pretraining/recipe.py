"""The recipe of a pretraining: its settings and the plan that follows from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from agegender.config import SEED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Stage:
    """Some epochs at one image size.

    Attributes:
        size: Side of the input, in pixels.
        epochs: Passes over the stage's samples.
        sources: Names of the sets of faces that are used.
        learning_rate: At the stage's first step.
        final_learning_rate: At its last step; linear between.
        batch_size: Pictures a step.
        augmentation: Strength of the changes to the pictures (`augmentation.augment`).
        age_balance: How far rare ages are weighted up, 0 to 1
            (`rare_ages.balancing_weights`).
        views: Differently changed pictures of each face in a step, 1 or 2.
            The ages that a face's two get are drawn together
            (`network.disagreement`).
        surroundings: Share of the pictures in which a face gets the hair, clothes and
            background of a random face of the step, or one colour, so that the network
            cannot rely on its own (`augmentation.augment`).

    Raises:
        ValueError: If a step cannot hold whole pairs of views, or `surroundings` is no share.
    """

    size: int
    epochs: int
    sources: tuple[str, ...]
    learning_rate: float
    final_learning_rate: float
    batch_size: int
    augmentation: float = 1.0
    age_balance: float = 0.0
    views: int = 1
    surroundings: float = 0.0

    def __post_init__(self) -> None:
        if self.views not in (1, 2) or self.batch_size % self.views:
            raise ValueError(
                f"views is {self.views} with {self.batch_size} pictures a step; it must be 1, or "
                "2 with an even number of pictures"
            )
        if not 0 <= self.surroundings <= 1:
            raise ValueError(f"surroundings is {self.surroundings}, but must be 0 to 1")


@dataclass(frozen=True)
class Recipe:
    """The recipe. The defaults are those of the first part of the shipped weights' pretraining.

    Attributes:
        stages: In order of training.
        crop: Share of the frame that the model sees (`InputSpec.crop`).
        weight_decay: AdamW's.
        warmup_steps: Steps over which the first learning rate is reached.
        age_sigma_years: Width of the Gaussian that an age label becomes.
        age_l1_weight: Weight of the L1 loss of the mean age, per year.
        agreement_weight: Weight of the difference between the mean ages of two
            views of a face, per year; counts in stages with two.
        steadiness_weight: Weight of the features' difference between two views
            (`network.unsteadiness`), counted likewise.
        gender_weight: Weight of gender's cross-entropy.
        race_weight: Weight of the race group's cross-entropy.
        teacher_weight: Weight of the mean squared error from what a teacher says of the
            faces (`teacher.ask_teacher`); 0 for none.
        dropout: Share of the features that the heads do not see in a step.
        average_momentum: Share of the running average of the weights that a step keeps; 0
            for none. Measured and shipped is the average then (`network.averaged`).
        frozen: Beginnings of the names of layers that keep the weights that they
            start with; for pretrainings that go on from a set of weights.
        seed: Of all chance.

    Raises:
        ValueError: If `frozen`, `teacher_weight`, `dropout` or `average_momentum` is something
            else.
    """

    stages: tuple[Stage, ...]
    crop: float = 0.875
    weight_decay: float = 0.05
    warmup_steps: int = 300
    age_sigma_years: float = 2.5
    age_l1_weight: float = 0.1
    agreement_weight: float = 0.2
    steadiness_weight: float = 0.0
    gender_weight: float = 2.0
    race_weight: float = 0.5
    teacher_weight: float = 0.0
    dropout: float = 0.0
    average_momentum: float = 0.0
    frozen: tuple[str, ...] = ()
    seed: int = SEED

    def __post_init__(self) -> None:
        if not isinstance(self.frozen, tuple) or not all(
            isinstance(name, str) and name for name in self.frozen
        ):
            raise ValueError(
                f"frozen is {self.frozen!r}, but must be a list of beginnings of names"
            )
        if self.teacher_weight < 0:
            raise ValueError(f"teacher_weight is {self.teacher_weight}, but must not be negative")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, but must be at least 0 and below 1")
        if not 0 <= self.average_momentum < 1:
            raise ValueError(
                f"average_momentum is {self.average_momentum}, but must be at least 0 and below 1"
            )

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: If it is something else.
        """
        values = json.loads(text)
        stages = tuple(
            Stage(**{**stage, "sources": tuple(stage["sources"])}) for stage in values["stages"]
        )
        frozen = values.get("frozen", [])
        if isinstance(frozen, list):
            frozen = tuple(frozen)
        return cls(**{**values, "stages": stages, "frozen": frozen})

    def to_json(self) -> str:
        """Write every setting as JSON."""
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True)
class Epoch:
    """One pass over a stage's samples, in the order of the whole plan."""

    number: int
    stage: Stage
    first_step: int
    steps: int


def plan_epochs(recipe: Recipe, sources: pd.Series[str]) -> list[Epoch]:
    """Lay out every epoch of a recipe.

    Args:
        recipe: The recipe.
        sources: Name of the set of each sample.

    Returns:
        The epochs with their first optimizer step and number of steps; of a stage without
        samples for one step there are none.
    """
    epochs: list[Epoch] = []
    step = 0
    for stage in recipe.stages:
        steps = int(sources.isin(stage.sources).sum()) * stage.views // stage.batch_size
        for _ in range(stage.epochs if steps else 0):
            epochs.append(Epoch(len(epochs), stage, step, steps))
            step += steps
    return epochs


def learning_rate_knots(recipe: Recipe, epochs: list[Epoch]) -> list[tuple[int, float]]:
    """Return (step, learning rate) points between which the rate is linear."""
    knots: list[tuple[int, float]] = [(0, 0.0)]
    for stage in recipe.stages:
        own = [epoch for epoch in epochs if epoch.stage is stage]
        if not own:
            continue
        start = max(own[0].first_step, recipe.warmup_steps if len(knots) == 1 else 0)
        knots.append((start, stage.learning_rate))
        knots.append((own[-1].first_step + own[-1].steps, stage.final_learning_rate))
    return knots


_ALL = ("utkface", "all_age_faces", "celeba")

FIRST_RECIPE = Recipe(
    stages=(
        Stage(64, 6, ("utkface",), 1.2e-3, 1e-6, 64, 0.4),
        Stage(64, 3, _ALL, 9e-4, 6e-4, 64, 0.6),
        Stage(112, 2, _ALL, 6e-4, 2.5e-4, 64, 0.7),
        Stage(112, 4, ("utkface",), 2.5e-4, 1e-6, 64, 0.8),
        Stage(112, 3, _ALL, 5e-4, 3e-4, 64, 1.0, age_balance=0.5),
        Stage(112, 6, ("utkface",), 3e-4, 1e-6, 64, 1.0, age_balance=0.5),
    )
)
"""For starting from nothing on a processor: the first part of the shipped weights' pretraining.
Their whole history is in the JSON beside them. A set that is not at hand is left out."""

CONTINUED_RECIPE = Recipe(
    stages=(Stage(160, 1, ("utkface",), 2e-4, 1e-6, 64, 1.0, age_balance=0.5, views=2),),
    warmup_steps=100,
    agreement_weight=0.6,
    frozen=("conv1", "conv2"),
)
"""For going on from the shipped weights on a processor. What finds edges and textures
stays as it is: a step without training it is an eighth shorter."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from agegender.pretraining.recipe import Recipe, Stage, learning_rate_knots, plan_epochs

STAGES = (
    Stage(32, 2, ("utkface", "extra"), 1e-3, 5e-4, 4),
    Stage(64, 1, ("utkface",), 5e-4, 1e-6, 2),
)
SOURCES = pd.Series(["utkface"] * 6 + ["extra"] * 4 + ["other"] * 100)


def test_recipe_survives_json() -> None:
    recipe = Recipe(STAGES, gender_weight=3.0, frozen=("conv1", "conv2"))
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_plan_counts_only_the_faces_of_a_stages_sources() -> None:
    epochs = plan_epochs(Recipe(STAGES), SOURCES)
    assert [(epoch.first_step, epoch.steps) for epoch in epochs] == [(0, 2), (2, 2), (4, 3)]
    assert [epoch.stage.size for epoch in epochs] == [32, 32, 64]


def test_stage_without_faces_is_left_out() -> None:
    recipe = Recipe((Stage(32, 2, ("gone",), 1e-3, 5e-4, 4), *STAGES), warmup_steps=0)
    epochs = plan_epochs(recipe, SOURCES)
    assert epochs == plan_epochs(Recipe(STAGES), SOURCES)
    assert learning_rate_knots(recipe, epochs)[1] == (0, STAGES[0].learning_rate)


def test_two_views_of_each_face_take_twice_the_steps() -> None:
    recipe = Recipe(tuple(replace(stage, views=2) for stage in STAGES))
    assert [epoch.steps for epoch in plan_epochs(recipe, SOURCES)] == [5, 5, 6]


def test_learning_rate_rises_from_zero_and_ends_at_the_last_stages_rate() -> None:
    recipe = Recipe(STAGES, warmup_steps=1)
    knots = learning_rate_knots(recipe, plan_epochs(recipe, SOURCES))
    assert knots == [(0, 0.0), (1, 1e-3), (4, 5e-4), (4, 5e-4), (7, 1e-6)]


@pytest.mark.parametrize(("batch_size", "views"), [(8, 3), (8, 0), (7, 2)])
def test_views_that_cannot_be_paired_are_refused(batch_size: int, views: int) -> None:
    with pytest.raises(ValueError, match="views is"):
        replace(STAGES[0], batch_size=batch_size, views=views)


@pytest.mark.parametrize("surroundings", [-0.1, 1.5])
def test_surroundings_that_are_no_share_are_refused(surroundings: float) -> None:
    with pytest.raises(ValueError, match="surroundings is"):
        replace(STAGES[0], surroundings=surroundings)


@pytest.mark.parametrize("name", ["dropout", "average_momentum"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_shares_that_leave_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Recipe(STAGES, **{name: value})


def test_a_teacher_cannot_count_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="teacher_weight is -1"):
        Recipe(STAGES, teacher_weight=-1.0)


@pytest.mark.parametrize("frozen", ["conv1", ["conv1", ""], [1]])
def test_frozen_is_a_list_of_names(frozen: object) -> None:
    values = json.loads(Recipe(STAGES).to_json())
    with pytest.raises(ValueError, match="frozen is"):
        Recipe.from_json(json.dumps({**values, "frozen": frozen}))

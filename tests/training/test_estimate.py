from __future__ import annotations

import pytest

from agegender.training.config import TrainConfig
from agegender.training.estimate import STARTUP_SECONDS, estimate_seconds

CONFIG = TrainConfig("faces", backbone="random:64", epochs=10)


@pytest.mark.parametrize(("size", "view_seconds"), [(112, 0.0145), (224, 4 * 0.0145)])
def test_features_take_as_long_as_was_measured(size: int, view_seconds: float) -> None:
    without = estimate_seconds(CONFIG, size=size, train_faces=0, missing=0, cores=2)
    seconds = estimate_seconds(CONFIG, size=size, train_faces=0, missing=1000, cores=2)
    assert without == STARTUP_SECONDS
    assert seconds - without == pytest.approx(1000 * 2 * view_seconds, rel=0.1)


def test_heads_take_as_long_as_was_measured_when_features_are_kept() -> None:
    seconds = estimate_seconds(CONFIG, size=224, train_faces=17_000, missing=0)
    assert seconds - STARTUP_SECONDS == pytest.approx(10 * 2.5)


def test_cores_share_the_work_up_to_four() -> None:
    one, two, four, many = (
        estimate_seconds(CONFIG, size=64, train_faces=0, missing=100, cores=cores) - STARTUP_SECONDS
        for cores in (1, 2, 4, 64)
    )
    assert (one / two, one / four, one / many) == pytest.approx((2, 4, 4))


def test_fine_tuning_costs_more_than_features() -> None:
    tuned = TrainConfig("faces", backbone="random:64", epochs=10, fine_tune_epochs=2)
    nothing, plain, with_tuning, with_features = (
        estimate_seconds(config, size=64, train_faces=faces, missing=missing, cores=2)
        for config, faces, missing in (
            (CONFIG, 0, 0),
            (CONFIG, 500, 0),
            (tuned, 500, 0),
            (CONFIG, 500, 500),
        )
    )
    # Two epochs, the features of the new backbone, and heads on them.
    features, heads = with_features - plain, plain - nothing
    assert with_tuning - plain == pytest.approx((2 * 3 + 1) * features + heads)

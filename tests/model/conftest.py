from __future__ import annotations

from typing import Any

import pytest

from agegender.model.weights import find_weights, load_backbone


@pytest.fixture(scope="module")
def backbone() -> Any:
    """A backbone with random weights for small pictures."""
    return load_backbone(find_weights("random:32"))

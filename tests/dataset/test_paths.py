"""Paths that somebody has typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agegender.dataset.paths import look_up
from agegender.errors import DatasetError


def test_nothing_need_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    assert look_up("~/faces") == tmp_path / "faces"
    assert look_up(str(tmp_path / "file" / "faces")) == tmp_path / "file" / "faces"


@pytest.mark.parametrize("text", ["~nobody-of-that-name", "/" + 300 * "x", "/a\0b"])
def test_what_cannot_be_a_path_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(DatasetError, match=r"cannot be opened \(.+\); check the path\.$") as caught:
        look_up(text)
    assert len(str(caught.value)) < 200

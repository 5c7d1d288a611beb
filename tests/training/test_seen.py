from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.errors import InvalidModelError
from agegender.model.tensors import save_tensors
from agegender.training import seen as seen_module
from agegender.training.seen import is_seen, seen_file, write_seen


def faces(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sha256": [hashlib.sha256(rng.bytes(8)).hexdigest() for _ in range(count)],
            "phash": [rng.bytes(32).hex() for _ in range(count)],
        }
    )


def npy(table: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, table)
    return buffer.getvalue()


def test_exact_and_near_faces_are_seen_and_new_ones_are_not(tmp_path: Path) -> None:
    train, new = faces(50, 1), faces(50, 2)
    write_seen(train, tmp_path / "seen.npy")
    near = new.head(1).copy()
    bits = bytearray(bytes.fromhex(train["phash"][7]))
    bits[3] ^= 0b101
    near["phash"] = bits.hex()
    exact = new.tail(1).assign(sha256=train["sha256"][9])
    asked = pd.concat([new, near, exact], ignore_index=True)
    assert is_seen(asked, tmp_path / "seen.npy").tolist() == [False] * 50 + [True, True]


def test_faces_of_the_weights_that_others_went_on_from_count_as_well(tmp_path: Path) -> None:
    first, second, new = faces(20, 1), faces(20, 2), faces(5, 3)
    write_seen(first, tmp_path / "first.npy")
    # Some faces are in both, and count once.
    again = pd.concat([second, first.head(3)])
    write_seen(again, tmp_path / "second.npy", earlier=tmp_path / "first.npy")
    assert len(np.load(tmp_path / "second.npy")) == 40
    asked = pd.concat([first, second, new], ignore_index=True)
    assert is_seen(asked, tmp_path / "second.npy").tolist() == [True] * 40 + [False] * 5


def test_weights_that_name_their_list_are_not_measured_without_it(tmp_path: Path) -> None:
    weights, seen = tmp_path / "weights.safetensors", tmp_path / "seen.npy"
    write_seen(faces(5, 1), seen)
    sha256 = hashlib.sha256(seen.read_bytes()).hexdigest()
    tensors = {"a": np.zeros(1, np.float32)}
    save_tensors(tensors, weights, {"seen_sha256": sha256})
    assert seen_file(str(weights)) == seen
    write_seen(faces(4, 1), seen)
    with pytest.raises(InvalidModelError, match=r"seen\.npy cannot be read \(it has changed\)"):
        seen_file(str(weights))
    seen.unlink()
    with pytest.raises(InvalidModelError, match=r"seen\.npy cannot be read \(it is missing\)"):
        seen_file(str(weights))
    save_tensors(tensors, weights, {})
    assert seen_file(str(weights)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY cut short",
        b"text",
        b"PK\x03\x04 cut short",
        npy(np.zeros(5, np.uint8)),
        npy(np.zeros((2, 40))),
    ],
)
def test_a_damaged_list_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seen.npy").write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"seen\.npy cannot be read"):
        is_seen(faces(1, 1), tmp_path / "seen.npy")


def test_faces_are_compared_once_until_the_list_or_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    compare = seen_module._compare
    monkeypatch.setattr(seen_module, "_compare", lambda *args: compared.append(1) or compare(*args))
    path, train = tmp_path / "seen.npy", faces(20, 1)
    write_seen(train.head(10), path)
    is_seen(train, path)[:] = True
    assert is_seen(train, path).sum() == 10
    assert len(compared) == 1
    assert is_seen(train.tail(5), path).sum() == 0
    assert len(compared) == 2
    write_seen(train, path)
    assert is_seen(train, path).all()
    assert len(compared) == 3
    for seed in range(2, 20):
        is_seen(faces(1, seed), path)
    assert len(seen_module._kept) <= seen_module._MAX_KEPT

"""The progress bar of the commands that count (done, total)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where that is a terminal, as long as the block runs.

    Args:
        what: A word for what is being done.

    Yields:
        A callback that takes (done, total).
    """
    bar: tqdm[Never] = tqdm(desc=what, disable=None, leave=False, file=sys.stderr)

    def show(done: int, total: int) -> None:
        if total != bar.total:
            bar.reset(total)
        bar.update(done - bar.n)

    with bar:
        yield show

"""The progress bar of the commands that count (done, total), and words beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm


@contextmanager
def progress_bar(what: str, *, with_prefixes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where that is a terminal, as long as the block runs.

    Args:
        what: A word for what is being done.
        with_prefixes: Whether to write thousands as k and millions as M, as for bytes.

    Yields:
        A callback that takes (done, total); a total of 0 means that nobody knows it.
    """
    bar: tqdm[Never] = tqdm(
        desc=what, unit_scale=with_prefixes, disable=None, leave=False, file=sys.stderr
    )

    def show(done: int, total: int) -> None:
        if total != bar.total:
            bar.reset(total)
        bar.update(done - bar.n)

    with bar:
        yield show


def tell(sentence: str) -> None:
    """Write a line on stderr, above the bar if there is one.

    Args:
        sentence: What to say.
    """
    tqdm.write(sentence, file=sys.stderr)

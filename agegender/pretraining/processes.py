"""Processes beside the one that trains, for work that one processor is too slow at."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import cv2

MOST_PROCESSES = 16
"""Each holds some 100 MB."""

# A fork of a process with a network in it may hang.
CONTEXT = multiprocessing.get_context("spawn")


@contextmanager
def helping_processes(
    begin: Callable[..., object] | None = None, *args: Any, spare: int = 1
) -> Iterator[ProcessPoolExecutor]:
    """Start processes, and end them with the block; what they have not begun is left undone.

    They leave Ctrl-C to this process and end when it is killed.

    Args:
        begin: Called once in each process.
        args: Its arguments; memory shared by `CONTEXT` may be among them.
        spare: Processors that are left to this process.

    Yields:
        The pool.
    """
    count = _process_count(spare)
    pool = ProcessPoolExecutor(
        count, mp_context=CONTEXT, initializer=_begin, initargs=(begin, args)
    )
    try:
        with _without_ctrl_c():
            # As long as none is idle, each task starts a process: one that Ctrl-C finds at its
            # imports would print a traceback.
            for _ in range(count):
                pool.submit(int)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C, as processes that start meanwhile go on to do."""
    if threading.current_thread() is not threading.main_thread():
        # Python lets no other thread decide it.
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _process_count(spare: int) -> int:
    # Of the processors that this process may use, where the system tells.
    usable = getattr(os, "sched_getaffinity", None)
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return min(max(1, count - spare), MOST_PROCESSES)


def _begin(begin: Callable[..., object] | None, args: tuple[Any, ...]) -> None:
    # Where `_without_ctrl_c` is not inherited.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # There is a process for each processor already.
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*args)

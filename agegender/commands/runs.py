"""`python -m agegender runs`: list, show, stop, resume and delete runs."""

from __future__ import annotations

import argparse
import time
from typing import Any

from agegender.errors import RunError
from agegender.training.run import Run
from agegender.training.runs import (
    delete_run,
    find_run,
    list_runs,
    resume_run,
    shipped_run,
    stop_run,
)


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("runs", help="list, show, stop, resume or delete runs")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    texts = {
        "list": "list all runs, newest first",
        "show": "show one run",
        "stop": "stop a run; it can be resumed",
        "resume": "go on with a run in the background",
        "delete": "delete a run with all its files",
    }
    for action, text in texts.items():
        sub = actions.add_parser(action, help=text, description=text[0].upper() + text[1:] + ".")
        if action != "list":
            sub.add_argument("id", help="the run's id, as in `runs list`")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.action == "list":
        _list()
        return 0
    found = find_run(args.id)
    if args.action == "show":
        _show(found)
    elif args.action == "stop":
        stop_run(found)
        print(
            f"run {found.id} stops within seconds; continue with: "
            f"python -m agegender runs resume {found.id}"
        )
    elif args.action == "resume":
        resume_run(found)
        print(
            f"run {found.id} continues in the background; watch it with: "
            f"python -m agegender runs show {found.id}"
        )
    else:
        delete_run(found)
        print(f"run {found.id} deleted")
    return 0


def _list() -> None:
    runs = list_runs()
    if (shipped := shipped_run()) is not None:
        runs.append(shipped)
    if not runs:
        print("no runs yet; start one with: python -m agegender train")
    for found in runs:
        state = found.state
        print(f"{found.id}  {state.status:<11}  {_progress(found)}{state.message}")


def _progress(found: Run) -> str:
    """Say how far a run at work is; empty for others."""
    state = found.state
    if state.status != "running":
        return ""
    left = state.seconds_left()
    time_left = "" if left is None else f", about {left:.0f} s left of this phase"
    return f"{state.phase} {state.done} of {state.total or '?'}{time_left} "


def _show(found: Run) -> None:
    state = found.state
    print(f"run      {found.id}\nfolder   {found.folder}")
    print(f"status   {state.status} {_progress(found)}\n{state.message}".rstrip())
    if state.started:
        print(f"started  {time.strftime('%Y-%m-%d %H:%M', time.localtime(state.started))}")
    try:
        config, metrics = found.config, found.metrics()
    except RunError:
        return  # its status has said so
    print(f"dataset  {config.dataset}\nbackbone {config.backbone}")
    if len(metrics):
        print(metrics.round(3).to_string(index=False))

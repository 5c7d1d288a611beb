"""Test figures that travel with a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agegender.errors import RunError
from agegender.evaluation import report
from agegender.evaluation.published import publish, read_published
from agegender.evaluation.report import METRICS_FILE, RECORD_FILE, write_report


def test_the_figures_of_all_test_faces_are_kept_with_the_run(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = trained
    monkeypatch.setattr(report, "SECTIONS", ())
    assert read_published(run) is None
    folder = tmp_path / "results"
    write_report(run, dataset, "test", folder)
    file = publish(folder, run)
    try:
        figures = read_published(run)
        assert figures is not None
        metrics = json.loads((folder / METRICS_FILE).read_text())
        about = json.loads((folder / RECORD_FILE).read_text())["about"]
        kept = ("n", "age", "gender", "uncertainty")
        assert figures == {"about": about, **{name: metrics[name] for name in kept}}
        published = json.loads(file.read_text())
        # Of another model, or not whole.
        file.write_text(json.dumps({**published, "model": "0" * 64}))
        assert read_published(run) is None
        for damaged in ("{", "[]", json.dumps({"model": published["model"]})):
            file.write_text(damaged)
            assert read_published(run) is None
    finally:
        file.unlink()

    # The run has learned something else since.
    record = json.loads((folder / RECORD_FILE).read_text())
    (folder / RECORD_FILE).write_text(json.dumps({**record, "model": "0" * 64}))
    with pytest.raises(RunError, match="as it is now, on all test faces"):
        publish(folder, run)

    # Other faces than those that it was trained beside.
    (folder / RECORD_FILE).write_text(json.dumps({**record, "split_hash": "0" * 64}))
    with pytest.raises(RunError, match="of what it was trained on"):
        publish(folder, run)

    write_report(run, dataset, "validation", folder)
    with pytest.raises(RunError, match="on all test faces"):
        publish(folder, run)
    write_report(run, dataset, "test", folder, limit=2)
    with pytest.raises(RunError, match="on all test faces"):
        publish(folder, run)
    assert read_published(run) is None


def test_any_other_folder_is_no_report(trained: Any, tmp_path: Path) -> None:
    run, _ = trained
    (tmp_path / RECORD_FILE).write_text("{}")
    (tmp_path / METRICS_FILE).write_text("{}")
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RunError, match="is not a report"):
            publish(folder, run)

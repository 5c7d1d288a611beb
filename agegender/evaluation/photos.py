"""How well whole photos with known ages and genders are answered.

A folder of photos of one person each, and `labels.csv` beside them with the columns
`filename`, `age` (years) and `gender` ("male" or "female"); a column `subject` says
who it is, where the same person is on several photos, and a column `race` names the
group (one of RACE_NAMES) where it is known. Other columns do not matter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import GENDER_NAMES, MAX_AGE_YEARS, RACE_NAMES, SEED
from agegender.errors import DatasetError, InvalidImageError
from agegender.evaluation.crossings import FIGURES, group_gaps, plain_rows
from agegender.evaluation.fairness import gap_table
from agegender.evaluation.formats import MISSING
from agegender.evaluation.groups import group_of
from agegender.evaluation.intervals import bootstrap_mean, wilson
from agegender.evaluation.metrics import SMALLEST_COMPARED_GROUP
from agegender.evaluation.titles import FIGURE_TITLES
from agegender.images import read_image
from agegender.model.answer import answered_gender
from agegender.prediction.photos import predict_photo

if TYPE_CHECKING:
    from agegender.prediction.predictor import Predictor

LABELS_FILE = "labels.csv"
COLUMNS = ("filename", "age", "gender")
SUBJECT = "subject"
RACE = "race"
UNKNOWN_RACE = -1

GROUPINGS = ("band", "gender", "band_and_gender", "race", "race_and_gender")
"""By what the figures are broken down; photos of unknown race group are in no group of these."""

GAP_NOTE = (
    "Gaps between groups are of one photo of each person, in groups of "
    f"{SMALLEST_COMPARED_GROUP} people or more; where race groups are compared, people of unknown "
    "group are left out. A gap is called significant if it stays after "
    "Holm's correction for all comparisons."
)
"""What is to be said with `photo_gap_table`."""

FAR_OFF_YEARS = 10
"""An age that is off by more is listed as a failure."""


def read_labels(folder: Path) -> pd.DataFrame:
    """Read the labels of a folder of photos.

    Args:
        folder: With `LABELS_FILE` in it.

    Returns:
        A row for each photo: `file`, `age` (years), `gender` (index into
        GENDER_NAMES), `race` (index into RACE_NAMES, `UNKNOWN_RACE` where nothing names
        it), `subject` (the file itself where nothing says who it is).

    Raises:
        DatasetError: If there is no such folder, it has no labels, or one of them cannot
            be understood.
    """
    # `Path.is_dir` raises where a name is too long.
    if not os.path.isdir(folder):
        raise DatasetError(f"{folder}: there is no such folder; check the path.")
    path = folder / LABELS_FILE
    try:
        # Everything as text: "007" is somebody else than "7".
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        # Names of rows without a column of their own, as R writes them, become the index.
        table = table.reset_index(drop=True)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{folder} has no {LABELS_FILE}; add one with the columns {', '.join(COLUMNS)}."
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be read as a table ({error}); save it as CSV."
        ) from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table.empty:
        lack = f"the columns {', '.join(missing)}" if missing else "rows"
        raise DatasetError(f"{path} lacks {lack}; it needs {', '.join(COLUMNS)}.")
    age = pd.to_numeric(table["age"], errors="coerce")
    gender = table["gender"].str.strip().str.lower()
    is_known = age.between(0, MAX_AGE_YEARS) & gender.isin(GENDER_NAMES)
    if not is_known.all():
        first = table[~is_known].iloc[0]
        raise DatasetError(
            f"{path} gives {first['filename']} the age {first['age']!r} and the gender "
            f"{first['gender']!r}; it needs 0 to {MAX_AGE_YEARS} years and one of "
            f"{', '.join(GENDER_NAMES)}."
        )
    subject = table[SUBJECT if SUBJECT in table.columns else "filename"]
    race = pd.Series("", index=table.index)
    if RACE in table.columns:
        race = table[RACE].str.strip().str.lower()
    races = {"": UNKNOWN_RACE, **{name.lower(): number for number, name in enumerate(RACE_NAMES)}}
    if not race.isin(races).all():
        first = table[~race.isin(races)].iloc[0]
        raise DatasetError(
            f"{path} gives {first['filename']} the race group {first[RACE]!r}; it needs one of "
            f"{', '.join(RACE_NAMES)}, or an empty cell."
        )
    return pd.DataFrame(
        {
            "file": table["filename"],
            "age": age.astype(np.float64),
            "gender": gender.map({name: number for number, name in enumerate(GENDER_NAMES)}),
            "race": race.map(races),
            # A cell that was left empty tells of nobody who is there twice.
            "subject": subject.where(subject.str.strip() != "", table["filename"]),
        }
    )


def answer_photos(
    predictor: Predictor,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Find and answer the faces of labelled photos.

    Args:
        predictor: The model.
        folder: What `read_labels` takes.
        on_progress: Called with (done, total), in photos.

    Returns:
        What `read_labels` returns, with `faces` (how many were found) and, of the
        largest face, `age_pred`, `age_low`, `age_high` (years), `p_female` and
        `gender_pred`, NaN where there is none; `error`: why the photo could not
        be read, else empty.

    Raises:
        DatasetError: If the labels cannot be used.
    """
    labels = read_labels(folder)
    rows = []
    for done, file in enumerate(labels["file"], 1):
        row: dict[str, Any] = {"faces": 0, "error": ""}
        try:
            answers = predict_photo(predictor, read_image(folder / file))
        except InvalidImageError as error:
            row["error"] = str(error)
        else:
            row["faces"] = len(answers)
            if answers:
                main = answers[0].prediction
                row |= {
                    "age_pred": main.age,
                    "age_low": main.age_low,
                    "age_high": main.age_high,
                    "p_female": main.p_female,
                    "gender_pred": int(answered_gender(main.p_female)),
                }
        rows.append(row)
        if on_progress is not None:
            on_progress(done, len(labels))
    numbers = ["age_pred", "age_low", "age_high", "p_female", "gender_pred"]
    table = pd.DataFrame(rows, columns=["faces", "error", *numbers])
    return pd.concat([labels, table.astype(dict.fromkeys(numbers, np.float64))], axis=1)


def photo_metrics(photos: pd.DataFrame, *, seed: int = SEED) -> dict[str, Any]:
    """Compute the figures of labelled photos, with 95% intervals.

    Photos of one person are not independent: the bootstrap draws whole persons,
    and Wilson's interval of a share counts as many faces as there would be if all
    photos of one person had the same outcome, which errs on the wide side:
    (sum m)^2 / sum m^2, where m is each person's number of photos (Kish, "Survey
    Sampling", 1965).

    Args:
        photos: What `answer_photos` returned.
        seed: Of the bootstrap.

    Returns:
        Numbers for JSON: `n`, `subjects`, `unreadable`; of the photos that could be
        read, the shares `one_face` and `any_face`; of those with a face, `answered`,
        `mae`, `bias` (years), `gender_accuracy`, and of the 90% intervals
        `coverage` and `width` (years, mean). Each share and mean but the width has
        an interval, `..._ci95`. None where there is nothing to compute it from.
        Under `by_…` of `GROUPINGS`, `answered`, `mae`, `bias` and `gender_accuracy`
        of each group that has an answer. Under `gaps` the rows of
        `crossings.group_gaps`, of the first answered photo of each person, because its
        tests are of independent faces.
    """
    readable = photos[photos["error"] == ""]
    answered = readable[readable["faces"] > 0]
    with_range = answered[answered["age_low"].notna()]
    within = with_range["age"].between(with_range["age_low"], with_range["age_high"])
    width = (with_range["age_high"] - with_range["age_low"]).mean()
    return {
        "n": len(photos),
        "subjects": int(photos["subject"].nunique()),
        "unreadable": len(photos) - len(readable),
        **_share("one_face", readable["faces"] == 1, readable["subject"]),
        **_share("any_face", readable["faces"] > 0, readable["subject"]),
        **_answer_figures(answered, seed),
        **_share("coverage", within, with_range["subject"]),
        "width": None if with_range.empty else float(width),
        **{f"by_{by}": _by(answered, by, seed) for by in GROUPINGS},
        "gaps": plain_rows(group_gaps(answered.drop_duplicates("subject"))),
    }


def photo_note(metrics: dict[str, Any]) -> str:
    """Say what the figures are of, and how they count.

    Args:
        metrics: What `photo_metrics` returned.
    """
    return (
        f"Photos: {metrics['n']:,}, people: {metrics['subjects']:,}. They are not cropped: the "
        "largest face that is found counts, and a photo in which none is found is a failure. "
        "Photos of one person are not independent; intervals allow for that."
    )


def photo_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Lay the figures out for people.

    Args:
        metrics: What `photo_metrics` returned.

    Returns:
        Text and counts: `Figure`, `Photos`, `Value`, `95% interval`.
    """
    readable, answered = metrics["n"] - metrics["unreadable"], metrics["answered"]
    rows = []
    for name, title, count, form in (
        ("one_face", "Exactly one face found", readable, ".1%"),
        ("any_face", "At least one face found", readable, ".1%"),
        ("mae", "Age MAE, years", answered, ".1f"),
        ("bias", "Bias (predicted minus true), years", answered, "+.1f"),
        ("gender_accuracy", "Gender accuracy", answered, ".1%"),
        ("coverage", "Ages within their 90% interval", answered, ".1%"),
    ):
        value = metrics[name]
        if value is not None:
            rows.append((title, count, f"{value:{form}}", _range(metrics[f"{name}_ci95"], form)))
    if metrics["width"] is not None:
        width = f"{metrics['width']:.1f}"
        rows.append(("Mean width of the 90% interval, years", answered, width, ""))
    return pd.DataFrame(rows, columns=["Figure", "Photos", "Value", "95% interval"])


def photo_group_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Lay out for people how well each group is answered.

    Args:
        metrics: What `photo_metrics` returned.

    Returns:
        Text and counts: `Group`, `Photos`, and the figures with 95% intervals.
    """
    forms = {"mae": ".1f", "bias": "+.1f", "gender_accuracy": ".0%"}
    rows = []
    for by in GROUPINGS:
        for name, group in metrics[f"by_{by}"].items():
            figures = []
            for figure, form in forms.items():
                figures.append(f"{group[figure]:{form}} ({_range(group[f'{figure}_ci95'], form)})")
            rows.append((name, group["answered"], *figures))
    columns = ["Group", "Photos", "Age MAE, years", "Age bias, years", "Gender accuracy"]
    return pd.DataFrame(rows, columns=columns)


def photo_gap_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Lay out for people how far groups of photos are apart.

    Args:
        metrics: What `photo_metrics` returned.

    Returns:
        Text: `Figure` and the columns of `fairness.gap_table`, of the groups that have
        enough people to be tested, the largest gap of each figure first; maybe no rows.
    """
    gaps = pd.DataFrame(metrics["gaps"])
    if gaps.empty or (tested := gaps[~gaps["is_small"]]).empty:
        return pd.DataFrame()
    tables = []
    for figure in FIGURES:
        table = gap_table(tested, figure, len(tested)).rename(columns={"Faces": "People"})
        table.insert(0, "Figure", FIGURE_TITLES[figure])
        tables.append(table)
    return pd.concat(tables)


def photo_failures(photos: pd.DataFrame) -> pd.DataFrame:
    """List what went wrong, a row for each photo with a reason.

    Args:
        photos: What `answer_photos` returned.

    Returns:
        Text: `Photo`, `True`, `Answer`, `What went wrong`: no face, several faces,
        the wrong gender, an age off by more than `FAR_OFF_YEARS`, or why the photo
        could not be read.
    """
    rows = []
    for photo in photos.to_dict("records"):
        reasons = []
        answer = ""
        if photo["error"]:
            reasons.append(photo["error"])
        elif not photo["faces"]:
            reasons.append("no face found")
        else:
            gender = GENDER_NAMES[int(photo["gender_pred"])]
            answer = f"{gender}, {photo['age_pred']:.0f}"
            if photo["faces"] > 1:
                reasons.append(f"{photo['faces']} faces found")
            if photo["gender_pred"] != photo["gender"]:
                reasons.append("wrong gender")
            error = photo["age_pred"] - photo["age"]
            if abs(error) > FAR_OFF_YEARS:
                reasons.append(f"{error:+.1f} years")
        if reasons:
            truth = f"{GENDER_NAMES[photo['gender']]}, {photo['age']:.0f}"
            rows.append((photo["file"], truth, answer, "; ".join(reasons)))
    return pd.DataFrame(rows, columns=["Photo", "True", "Answer", "What went wrong"])


def _range(ends: list[float] | None, form: str) -> str:
    """Write an interval."""
    return MISSING if ends is None else f"{ends[0]:{form}} to {ends[1]:{form}}"


def _answer_figures(answered: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Compute the figures of photos with a face."""
    residuals, subjects = answered["age_pred"] - answered["age"], answered["subject"]
    return {
        "answered": len(answered),
        **_mean("mae", residuals.abs(), subjects, seed),
        **_mean("bias", residuals, subjects, seed),
        **_share("gender_accuracy", answered["gender_pred"] == answered["gender"], subjects),
    }


def _by(answered: pd.DataFrame, by: str, seed: int) -> dict[str, Any]:
    """Compute the figures of each group of photos, if it has any."""
    groups = group_of(answered, by)
    parts = {str(name): answered[groups == name] for name in groups.categories}
    return {name: _answer_figures(part, seed) for name, part in parts.items() if len(part)}


def _share(name: str, hits: pd.Series[bool], subjects: pd.Series[str]) -> dict[str, Any]:
    if hits.empty:
        return {name: None, f"{name}_ci95": None}
    share, sizes = float(hits.mean()), subjects.value_counts().to_numpy()
    count = float(sizes.sum() ** 2 / (sizes**2).sum())
    return {name: share, f"{name}_ci95": list(wilson(share * count, count))}


def _mean(
    name: str, values: pd.Series[float], subjects: pd.Series[str], seed: int
) -> dict[str, Any]:
    if values.empty:
        return {name: None, f"{name}_ci95": None}
    low, high = bootstrap_mean(
        np.asarray(values, np.float64), clusters=pd.factorize(subjects)[0], seed=seed
    )
    return {
        name: float(values.mean()),
        f"{name}_ci95": None if math.isnan(low) else [low, high],
    }

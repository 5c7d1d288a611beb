"""Labels in file names."""

from __future__ import annotations

import pytest

from agegender.dataset.utkface import FaceLabels, parse_name
from agegender.errors import DatasetError


def test_reads_the_four_fields() -> None:
    labels = parse_name("100_1_4_20170112213500903.jpg.chip.jpg")
    assert labels == FaceLabels(age=100, gender=1, race=4, date="20170112213500903")


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("24_0_1_20170116220224657 .jpg.chip.jpg", "20170116220224657"),
        ("55_0_0_20170116232725357jpg.chip.jpg", "20170116232725357"),
        ("55_0_0_1.JPEG", "1"),
        ("55_0_0_1.png", "1"),
    ],
)
def test_accepts_odd_but_whole_names(name: str, date: str) -> None:
    assert parse_name(name).date == date


@pytest.mark.parametrize(
    "name",
    [
        "39_1_20170116174525125.jpg.chip.jpg",
        "61_1_20170109142408075.jpg.chip.jpg",
        "61_1_20170109150557335.jpg.chip.jpg",
    ],
)
def test_refuses_the_real_names_without_a_field(name: str) -> None:
    with pytest.raises(DatasetError, match=r"four fields, but the name has 3; rename"):
        parse_name(name)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("holiday.jpg", "has 1"),
        ("117_0_0_2017.jpg", "the age is '117'"),
        ("-1_0_0_2017.jpg", "the age is '-1'"),
        ("_0_0_2017.jpg", "the age is ''"),
        ("٣_0_0_2017.jpg", "the age is"),
        ("30_2_0_2017.jpg", "the gender is '2'"),
        ("30_0_5_2017.jpg", "the race is '5'"),
        ("30_0_0_today.jpg", "'today.jpg'"),
        ("30_0_0_2017.txt", "'2017.txt'"),
    ],
)
def test_names_the_field_that_is_wrong(name: str, complaint: str) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_name(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert complaint in str(caught.value)

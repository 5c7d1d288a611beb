"""Answers put into words."""

from __future__ import annotations

from agegender.prediction.predictor import Prediction
from agegender.prediction.words import confidence_words, describe, gender_words


def test_words_for_an_answer() -> None:
    assert describe(Prediction(30.6, 0.03)) == "31 years, male (97%)"
    assert describe(Prediction(30.6, 0.97, 24.4, 38.6)) == "31 years (24 to 39), female (97%)"


def test_nothing_is_sure_to_100_percent() -> None:
    assert gender_words(Prediction(30.6, 0.9996)) == "female (over 99%)"
    assert gender_words(Prediction(30.6, 0.994)) == "female (99%)"
    assert [confidence_words(share) for share in (0.006, 0.005, 0)] == [
        "1%",
        "under 1%",
        "under 1%",
    ]


def test_gender_below_the_users_threshold_is_unsure() -> None:
    prediction = Prediction(30.6, 0.38)
    assert gender_words(prediction, unsure_below=0.7) == "unsure (male 62%)"
    assert gender_words(prediction, unsure_below=0.6) == "male (62%)"

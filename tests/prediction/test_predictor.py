"""Answers: right, the same in every batch, and from any number of threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agegender.errors import InvalidModelError
from agegender.model.architecture import FEATURE_COUNT, FEATURES_LAYER
from agegender.prediction import predictor as predictor_module
from agegender.prediction.predictor import MAX_BATCH, Prediction, Predictor, load_predictor


def test_prediction_names_the_likelier_gender() -> None:
    assert Prediction(31.0, 0.9).gender == "female"
    assert Prediction(31.0, 0.9).confidence == pytest.approx(0.9)
    assert Prediction(31.0, 0.2).gender == "male"
    assert Prediction(31.0, 0.2).confidence == pytest.approx(0.8)


def test_answers_are_the_average_of_both_views(
    predictor: Predictor, faces: list[np.ndarray]
) -> None:
    answers = predictor.predict(faces[:5])
    for face, answer in zip(faces, answers, strict=False):
        pixels = predictor.prepare(face).astype(np.float32)[None]
        plain = predictor.model(pixels, training=False)
        mirrored = predictor.model(pixels[:, :, ::-1], training=False)
        age = (float(plain["age"][0, 0]) + float(mirrored["age"][0, 0])) / 2
        p_female = (float(plain["gender"][0, 1]) + float(mirrored["gender"][0, 1])) / 2
        assert answer.age == pytest.approx(max(0, age), abs=0.01)
        assert answer.p_female == pytest.approx(p_female, abs=1e-4)


def test_mirror_image_gets_the_same_answer(predictor: Predictor) -> None:
    face = np.random.default_rng(2).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    plain, mirrored = predictor.predict([face, np.ascontiguousarray(face[:, ::-1])])
    assert plain.age == pytest.approx(mirrored.age, abs=0.01)


def test_answers_do_not_depend_on_the_batch(predictor: Predictor, faces: list[np.ndarray]) -> None:
    together = predictor.predict(faces)
    assert len(together) == len(faces) > MAX_BATCH
    assert len({round(answer.age, 3) for answer in together}) > MAX_BATCH
    for number in (0, 7, MAX_BATCH - 1, MAX_BATCH, len(faces) - 1):
        [alone] = predictor.predict([faces[number]])
        assert alone.age == pytest.approx(together[number].age, abs=0.01)
        assert alone.p_female == pytest.approx(together[number].p_female, abs=1e-4)
    assert [answer.age for answer in predictor.predict(faces[::-1])] == pytest.approx(
        [answer.age for answer in together[::-1]], abs=0.01
    )


def test_no_faces_give_no_answers(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_graph_is_traced_once_whatever_the_number_of_faces(
    predictor: Predictor, faces: list[np.ndarray]
) -> None:
    for count in (1, 2, 9, 33):
        predictor.predict(faces[:count])
    assert predictor._both_views.experimental_get_tracing_count() == 1


def test_network_sees_a_few_shapes_only(
    predictor: Predictor, faces: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = set()
    call = predictor._both_views

    def watch(batch: np.ndarray) -> Any:
        shapes.add(len(batch))
        return call(batch)

    monkeypatch.setattr(predictor, "_both_views", watch)
    for count in range(1, len(faces) + 1, 3):
        predictor.predict(faces[:count])
    assert shapes == {1, 8, 32}


def test_images_are_taken_one_by_one(predictor: Predictor, faces: list[np.ndarray]) -> None:
    taken = []

    def images() -> Any:
        for number, face in enumerate(faces):
            taken.append(number)
            yield face

    assert len(predictor.predict(images())) == len(faces)
    assert taken == list(range(len(faces)))


def test_threads_get_their_own_answers(predictor: Predictor, faces: list[np.ndarray]) -> None:
    expected = [answer.age for answer in predictor.predict(faces[:12])]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda face: predictor.predict([face])[0].age, faces[:12]))
    assert answers == pytest.approx(expected, abs=0.01)


def always(age: float, p_female: float, fake_run: Any) -> Predictor:
    """A predictor whose network says the same for every view."""
    import keras

    def says(*answers: float) -> Any:
        bias = np.array(answers, np.float32)
        return keras.layers.Dense(
            len(bias),
            kernel_initializer="zeros",
            bias_initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(bias),
        )

    pixels = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(pixels)
    features = keras.layers.Dense(FEATURE_COUNT, name=FEATURES_LAYER)(pooled)
    outputs = {"age": says(age)(features), "gender": says(1 - p_female, p_female)(features)}
    return Predictor(replace(fake_run, model=keras.Model(pixels, outputs)))


def test_ages_below_zero_become_zero(fake_run: Any, faces: list[np.ndarray]) -> None:
    assert always(-2.0, 0.5, fake_run).predict(faces[:1]) == [Prediction(0.0, 0.5)]


@pytest.mark.parametrize("answer", [(np.nan, 0.5), (30.0, np.nan), (np.inf, 0.5)])
def test_damaged_weights_are_named(
    answer: tuple[float, float], fake_run: Any, faces: list[np.ndarray]
) -> None:
    with pytest.raises(InvalidModelError, match="run fake"):
        always(*answer, fake_run).predict(faces[:1])


def test_display_face_shows_what_the_model_saw(predictor: Predictor) -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[:, 60:240] = 255  # all that a central crop of 0.8 keeps, and more
    face = predictor.display_face(image)
    assert face.shape[0] == face.shape[1] > predictor.spec.size
    assert (face == 255).all()


def test_explain_belongs_to_the_prepared_face(
    predictor: Predictor, faces: list[np.ndarray]
) -> None:
    from agegender.explanation.gradcam import explain

    expected = explain(predictor.model, predictor.prepare(faces[0]))
    assert np.allclose(predictor.explain(faces[0]).age, expected.age, atol=1e-3)


def test_loading_happens_once_for_all_threads(
    fake_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor_module, "_loaded", {})
    built = []

    class Slow:
        def __init__(self, run: Any) -> None:
            threading.Event().wait(0.05)
            built.append(run)

    monkeypatch.setattr(predictor_module, "Predictor", Slow)
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: load_predictor(fake_run), range(4)))
    assert len(built) == 1
    assert len(set(map(id, loaded))) == 1


def test_loading_again_after_more_training(
    fake_run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(predictor_module, "_loaded", {})
    monkeypatch.setattr(predictor_module, "Predictor", lambda run: object())
    run = replace(fake_run, folder=tmp_path)
    first = load_predictor(run)
    assert load_predictor(run) is first
    (tmp_path / "heads.safetensors").write_bytes(b"new")
    assert load_predictor(run) is not first
    for number in range(3):
        load_predictor(replace(run, folder=tmp_path / str(number)))
    assert len(predictor_module._loaded) == 2

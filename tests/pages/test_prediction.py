from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.runtime.scriptrunner import StopException
from streamlit.testing.v1 import AppTest

from agegender.config import demo_dataset_dir
from agegender.images import jpeg_bytes
from agegender.prediction import drawing
from agegender.prediction.drawing import draw_answers
from agegender.prediction.faces import Face, crop_face
from agegender.prediction.predictor import load_predictor
from agegender.training.run import Run
from pages import prediction_result
from tests.pages.conftest import text_of

OpenPage = Callable[[str], AppTest]

Upload = tuple[str, bytes, str]


@pytest.fixture
def demo_face(shared_run: Run) -> Upload:
    path = next(
        path for path in sorted(demo_dataset_dir().glob("*.jpg")) if path.stat().st_size > 5000
    )
    return "face.jpg", path.read_bytes(), "image/jpeg"


def test_prediction_without_a_model_leads_to_training(
    open_page: OpenPage, demo_faces: Path
) -> None:
    assert "no trained model yet" in text_of(open_page("prediction"))


def test_prediction_states_known_error_proper_use_and_what_becomes_of_photos(
    open_page: OpenPage, shared_run: Run
) -> None:
    said = text_of(open_page("prediction"))
    assert "how far off it is with people is not known" in said
    assert "children" in said
    assert "Not for decisions about people" in said
    assert "not kept: leaving or reloading the page clears them" in said
    assert "random weights" in said


@pytest.mark.parametrize(
    ("count", "words"),
    [(99, "too few to tell how good it is"), (1000, "On the 1,000 validation faces")],
)
def test_an_error_on_few_faces_is_not_stated(
    open_page: OpenPage, shared_run: Run, monkeypatch: pytest.MonkeyPatch, count: int, words: str
) -> None:
    monkeypatch.setattr(Run, "knows_only_drawings", False)
    monkeypatch.setattr(Run, "selection_faces", count)
    said = text_of(open_page("prediction"))
    assert words in said
    assert ("it was off by **" in said) == (count > 99)


@pytest.mark.shipped
def test_the_shipped_model_can_be_chosen_after_a_training(
    open_page: OpenPage, shared_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "knows_only_drawings", False)
    at = open_page("prediction")
    [model] = [box for box in at.selectbox if box.label == "Model"]
    assert model.value == shared_run.id
    assert model.options[-1] == "Shipped with the app"
    model.select("shipped").run()
    assert not at.exception
    assert "test faces, which were kept apart from its training, it was off by" in text_of(at)


def photo(faces: int) -> Upload:
    """A photo, in a size of its own for each number of faces."""
    image = np.random.default_rng(faces).integers(0, 255, (300, 400 + faces, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"{faces}-faces.png", file.getvalue(), "image/png"


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Find as many faces in a `photo` as it is made for; count the searches."""
    searched = []

    def find(image: np.ndarray) -> list[Face]:
        count = image.shape[1] - 400
        searched.append(count)
        return [crop_face(image[: 100 - number % 50]) for number in range(count)]

    monkeypatch.setattr("agegender.prediction.photos.find_faces", find)
    return searched


def answers_of(at: AppTest) -> list[str]:
    return [markdown.value for markdown in at.markdown if markdown.value.startswith("#### ")]


def test_every_face_of_a_photo_is_answered_explained_and_taken_away(
    open_page: OpenPage,
    shared_run: Run,
    finder: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    monkeypatch.setattr(
        drawing, "draw_answers", lambda *a, **k: drawn.append(len(a[1])) or draw_answers(*a, **k)
    )
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(3)]).run()
    assert not at.exception
    assert len(answers_of(at)) == 3
    [table] = [frame.value for frame in at.dataframe]
    assert table["face"].tolist() == [1, 2, 3]
    assert set(table["gender"]) <= {"male", "female"}
    assert {button.label for button in at.download_button} == {"This picture", "CSV", "JSONL"}
    for view in ("age-map", "gender-map"):
        at.button_group[1].set_value(view).run()
        assert not at.exception
        assert "need not show what the answer rests on" in text_of(at)
        # Boxes and numbers stay over the maps.
        assert drawn.pop() == 3
        assert len(answers_of(at)) == 3
    [prepare] = [button for button in at.button if button.label == "Prepare a ZIP with heatmaps"]
    prepare.click().run()
    assert not at.exception
    assert "ZIP with heatmaps" in [button.label for button in at.download_button]
    assert finder == [3]


def test_gender_is_unsure_below_what_the_visitor_sets(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(1)]).run()
    [table] = [frame.value for frame in at.dataframe]
    words = table["gender_confidence"][0]
    confidence = int("".join(filter(str.isdigit, words)))
    at.slider[0].set_value(95 if confidence < 95 else 50).run()
    bars = [bar.proto.text for bar in at.get("progress")]
    assert [bar.startswith("Unsure (") for bar in bars] == [confidence < 95]
    # The card says it as the table does.
    assert words in bars[0]


def test_pictures_in_the_zip_call_genders_unsure_as_the_page_does(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    one = photo(1)
    at = open_page("prediction")
    at.file_uploader[0].set_value([one]).run()
    at.slider[0].set_value(95).run()
    [prepare] = [button for button in at.button if button.label.startswith("Prepare a ZIP")]
    prepare.click().run()
    assert not at.exception
    result = at.session_state["prediction"]
    archive = zipfile.ZipFile(io.BytesIO(result.archive))
    image = np.asarray(Image.open(io.BytesIO(one[1])))
    loose, strict = (
        jpeg_bytes(draw_answers(image, result.answers[0].faces, unsure_below=threshold))
        for threshold in (0.5, 0.95)
    )
    assert archive.read("1-faces/photo.jpg") == strict != loose
    at.slider[0].set_value(50).run()
    # The ZIP of another threshold is gone.
    assert "ZIP with heatmaps" not in [button.label for button in at.download_button]


def test_a_photo_without_faces_does_not_hide_when_the_others_are_unsure(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(0), photo(1)]).run()
    [choice] = [box for box in at.selectbox if box.label == "Photo"]
    choice.set_value(0).run()
    assert "No face was found in 0-faces.png" in text_of(at)
    at.slider[0].set_value(95).run()
    assert not at.exception
    assert at.session_state["prediction"].unsure_below == 0.95


def test_five_hundred_faces_do_not_fill_the_page(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    bad = ("notes.jpg", b"just text", "image/jpeg")
    at.file_uploader[0].set_value([photo(500), photo(1), bad]).run()
    assert not at.exception
    assert len(answers_of(at)) == 12
    [sheet] = at.number_input
    assert sheet.label == "Faces by size: page (of 42)"
    [table] = [frame.value for frame in at.dataframe]
    assert len(table) == 502
    # Not kept to be looked at, and named all the same.
    [error] = at.error
    assert "notes.jpg" in error.value


def test_every_face_of_a_group_can_be_leafed_to_and_explained(
    open_page: OpenPage, shared_run: Run, finder: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    laid = []
    lay = drawing.lay_over_photo
    monkeypatch.setattr(
        drawing, "lay_over_photo", lambda *a, **k: laid.append(len(a[1])) or lay(*a, **k)
    )
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(14)]).run()
    at.number_input[0].set_value(2).run()
    assert not at.exception
    assert [answer[-3:-1] for answer in answers_of(at)] == ["13", "14"]
    at.button_group[1].set_value("age-map").run()
    assert not at.exception
    assert laid == [2]
    assert sorted(at.session_state["prediction"].maps[0]) == [12, 13]
    at.number_input[0].set_value(1).run()
    assert laid == [2, 12]
    assert len(at.session_state["prediction"].maps[0]) == 14


def test_another_photo_opens_at_its_largest_faces(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(14), photo(20)]).run()
    at.number_input[0].set_value(2).run()
    assert len(answers_of(at)) == 2
    at.selectbox[1].set_value(1).run()
    assert not at.exception
    assert answers_of(at)[0][-2] == "1"
    assert len(answers_of(at)) == 12


def test_photo_without_a_face_has_no_answer_until_it_is_said_to_be_a_crop(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(0)]).run()
    assert not at.exception
    assert "No face was found in 0-faces.png" in text_of(at)
    assert answers_of(at) == []
    [table] = [frame.value for frame in at.dataframe]
    assert table.to_dict("records") == [{"file": "0-faces.png", "reason": "no face was found"}]
    [crop] = [button for button in at.button if button.label == "It is already a face crop"]
    crop.click().run()
    assert not at.exception
    assert len(answers_of(at)) == 1
    assert "No face was found" not in text_of(at)


def test_crops_are_taken_as_they_are(
    open_page: OpenPage, demo_face: Upload, finder: list[int]
) -> None:
    at = open_page("prediction")
    at.toggle[0].set_value(True).run()
    at.file_uploader[0].set_value([demo_face]).run()
    assert not at.exception
    assert len(answers_of(at)) == 1
    assert finder == []
    # A crop has no picture with boxes.
    assert {button.label for button in at.download_button} == {"CSV", "JSONL"}


def test_a_folder_is_answered_and_what_is_no_picture_in_it_is_passed_over(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    _, first, kind = photo(1)
    _, second, _ = photo(2)
    at = open_page("prediction")
    at.button_group[0].set_value("folder").run()
    assert at.file_uploader[0].accept_directory
    at.file_uploader[0].set_value(
        [
            ("trip/day 2/b.png", second, kind),
            ("trip/.DS_Store", b"a note", ""),
            ("trip/._a.png", b"another", kind),
            ("trip/Thumbs.db", b"and another", ""),
            ("trip/a.png", first, kind),
        ]
    ).run()
    assert not at.exception
    assert not at.error
    [table] = [frame.value for frame in at.dataframe]
    assert table["file"].tolist() == ["trip/a.png"] + 2 * ["trip/day 2/b.png"]
    assert len(answers_of(at)) == 1
    at.file_uploader[0].set_value([("trip/.DS_Store", b"a note", "")]).run()
    [error] = at.error
    assert "no picture in this folder" in error.value


def test_several_photos_are_looked_at_one_at_a_time(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    at.file_uploader[0].set_value([photo(2), photo(0), photo(1)]).run()
    assert not at.exception
    [choice] = [box for box in at.selectbox if box.label == "Photo"]
    assert choice.options == [
        "1. 2-faces.png: 2 faces",
        "2. 0-faces.png: no faces",
        "3. 1-faces.png: 1 face",
    ]
    assert len(answers_of(at)) == 2
    choice.set_value(2).run()
    assert not at.exception
    assert len(answers_of(at)) == 1
    assert finder == [2, 0, 1]
    # What is said to be a crop stays in view, though its own words change.
    [choice] = [box for box in at.selectbox if box.label == "Photo"]
    choice.set_value(1).run()
    [crop] = [button for button in at.button if button.label == "It is already a face crop"]
    crop.click().run()
    [choice] = [box for box in at.selectbox if box.label == "Photo"]
    assert choice.value == 1
    assert choice.options[1] == "2. 0-faces.png: 1 face"


def test_the_first_photo_with_an_answer_is_looked_at(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    bad = ("notes.jpg", b"just text", "image/jpeg")
    at = open_page("prediction")
    at.file_uploader[0].set_value([bad, photo(0), photo(2), photo(1)]).run()
    assert not at.exception
    [choice] = [box for box in at.selectbox if box.label == "Photo"]
    assert choice.options[choice.index] == "3. 2-faces.png: 2 faces"
    assert len(answers_of(at)) == 2


def test_two_photos_of_one_name_can_be_told_apart(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    at = open_page("prediction")
    name, *rest = photo(1)
    at.file_uploader[0].set_value([(name, *rest), (name, *rest)]).run()
    [choice] = [box for box in at.selectbox if box.label == "Photo"]
    assert choice.options == [f"1. {name}: 1 face", f"2. {name}: 1 face"]


@dataclass
class Uploaded:
    """An upload, as far as the answers need it."""

    file_id: str
    name: str
    data: bytes

    def getvalue(self) -> bytes:
        return self.data


def test_a_click_while_photos_are_answered_does_not_begin_them_again(
    shared_run: Run, finder: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [Uploaded(str(faces), *photo(faces)[:2]) for faces in (1, 2, 3)]
    session: dict[str, Any] = {}
    monkeypatch.setattr(prediction_result.st, "session_state", session)
    predictor = load_predictor(shared_run)

    @contextmanager
    def clicked(label: str) -> Iterator[Callable[[int, int], None]]:
        def on_progress(done: int, total: int) -> None:
            if done == 2:
                raise StopException

        yield on_progress

    with monkeypatch.context() as patch:
        patch.setattr(prediction_result.shared, "progress", clicked)
        with pytest.raises(StopException):
            prediction_result.result_of(predictor, shared_run, uploads, False)
    finder.clear()
    uploads.append(Uploaded("4", *photo(4)[:2]))
    result = prediction_result.result_of(predictor, shared_run, uploads, False)
    assert finder == [3, 4]
    assert [len(rows) for rows in result.rows] == [1, 2, 3, 4]
    assert result.shown is not None
    assert result.shown[0] == 0
    assert prediction_result.result_of(predictor, shared_run, uploads, False) is result


def test_a_photo_that_is_added_is_looked_at_and_the_others_keep_their_answers(
    shared_run: Run, finder: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [Uploaded(str(faces), *photo(faces)[:2]) for faces in (0, 1, 2)]
    session: dict[str, Any] = {}
    monkeypatch.setattr(prediction_result.st, "session_state", session)
    predictor = load_predictor(shared_run)
    result = prediction_result.result_of(predictor, shared_run, uploads[:2], False)
    prediction_result.take_as_crop(predictor, uploads[:2], result, 0)
    assert (result.first, finder) == (0, [0, 1])
    result = prediction_result.result_of(predictor, shared_run, uploads, False)
    assert (result.first, result.crops, finder) == (2, {0}, [0, 1, 2])
    assert [len(answer.faces) for answer in result.answers] == [1, 1, 2]
    assert result.shown is not None
    assert result.shown[0] == 2
    # Another choice, about the same photos: the one in view stays.
    again = prediction_result.result_of(predictor, shared_run, uploads, True)
    assert (again.first, again.crops) == (2, {0, 1, 2})


def test_bad_files_get_a_sentence_each_and_stop_nothing(
    open_page: OpenPage, shared_run: Run, finder: list[int]
) -> None:
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    at = open_page("prediction")
    at.file_uploader[0].set_value(
        [
            ("notes.jpg", b"just text", "image/jpeg"),
            ("empty.zip", empty.getvalue(), "application/zip"),
            ("nothing.png", b"", "image/png"),
            photo(1),
        ]
    ).run()
    assert not at.exception
    [error] = at.error
    for name in ("notes.jpg", "empty.zip", "nothing.png"):
        assert error.value.count(f"{name}: ") == 1
    assert len(answers_of(at)) == 1
    [table] = [frame.value for frame in at.dataframe]
    assert table["reason"][0].startswith("not a picture of a known format")
    assert len(table) == 4
    assert table["age"].notna().sum() == 1

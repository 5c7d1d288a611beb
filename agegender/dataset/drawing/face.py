"""One schematic face whose age and gender can be seen.

The drawings stand in for photographs wherever none may be shown: in the demo
set, in screenshots and in tests. They are flat shapes, plainly not people.
Age shows in the proportions (small children have a rounder head and lower,
larger eyes), wrinkles, hair and glasses; gender in hair, lashes, brows, jaw
and beard. The race group moves the range of skin and hair colours only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agegender.config import GENDER_NAMES, MAX_AGE_YEARS, RACE_NAMES
from agegender.dataset.drawing.canvas import Canvas, Color, arc, mix, pick, ramp
from agegender.dataset.drawing.hair import (
    draw_beard,
    draw_brows,
    draw_hair_behind,
    draw_hair_in_front,
)
from agegender.dataset.drawing.look import (
    BACKGROUNDS,
    CLOTHES,
    INK,
    IRIS,
    WHITE,
    Look,
    choose_look,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw_face(age: int, gender: int, race: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one face.

    Args:
        age: In whole years, 0 to `MAX_AGE_YEARS`.
        gender: Index in `GENDER_NAMES`.
        race: Index in `RACE_NAMES`; moves skin and hair colours only.
        rng: Source of everything that the labels leave open.

    Returns:
        RGB pixels, uint8, shape (FRAME_SIZE, FRAME_SIZE, 3).

    Raises:
        ValueError: If a label is out of its range.
    """
    if not 0 <= age <= MAX_AGE_YEARS:
        raise ValueError(f"age is {age}, but must be 0 to {MAX_AGE_YEARS} years")
    if not 0 <= gender < len(GENDER_NAMES):
        raise ValueError(f"gender is {gender}, but must be 0 to {len(GENDER_NAMES) - 1}")
    if not 0 <= race < len(RACE_NAMES):
        raise ValueError(f"race is {race}, but must be 0 to {len(RACE_NAMES) - 1}")
    look = choose_look(age, gender, race, rng)
    backdrop, accent = (BACKGROUNDS[i] for i in rng.choice(len(BACKGROUNDS), 2, replace=False))
    canvas = Canvas(backdrop)
    _draw_backdrop(canvas, backdrop, accent, rng)
    canvas.place(
        tilt_degrees=rng.uniform(-13, 13),
        scale=rng.uniform(1.0, 1.24),
        shift=(rng.uniform(-11, 11), rng.uniform(-4, 10)),
        mirror=rng.random() < 0.5,
    )
    draw_hair_behind(canvas, look)
    _draw_body(canvas, look, rng)
    _draw_head(canvas, look, rng)
    _draw_wrinkles(canvas, look)
    draw_beard(canvas, look, rng)
    _draw_features(canvas, look, rng)
    draw_hair_in_front(canvas, look)
    _draw_accessories(canvas, look, rng)
    return canvas.finish()


def _draw_backdrop(
    canvas: Canvas, backdrop: Color, accent: Color, rng: np.random.Generator
) -> None:
    pattern = rng.integers(6)
    if pattern == 0:
        x, y = rng.uniform(-30, 30, 2)
        radius = rng.uniform(70, 92)
        canvas.ellipse(x, y, radius, radius, accent)
    elif pattern == 1:
        low, high = rng.uniform(-110, 110, 2)
        canvas.polygon([(-100, low), (100, high), (100, 100), (-100, 100)], accent)
    elif pattern == 2:
        low, high = rng.uniform(-90, 90, 2)
        canvas.polygon([(low, -100), (100, -100), (100, 100), (high, 100)], accent)
    elif pattern == 3:
        middle, width = rng.uniform(-70, 70), rng.uniform(14, 34)
        lean = rng.uniform(-60, 60)
        for side in (-2, 0, 2):
            left = middle + side * width
            corners = [(left + lean, -100), (left + width + lean, -100)]
            canvas.polygon([*corners, (left + width - lean, 100), (left - lean, 100)], accent)
    elif pattern == 4:
        for x, y in rng.uniform(-95, 95, (9, 2)):
            radius = rng.uniform(8, 24)
            canvas.ellipse(x, y, radius, radius, accent)
    else:
        x = rng.choice([-100, 100])
        for radius, share in ((190, 0.35), (140, 0.65), (85, 1.0)):
            y = rng.uniform(-100, -20)
            canvas.ellipse(x, y, radius, radius, mix(backdrop, accent, share))


def _draw_body(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    grown = ramp(look.age, 0, 18)
    color, trim = (CLOTHES[i] for i in rng.choice(len(CLOTHES), 2, replace=False))
    if look.age <= 2:
        color = mix(color, WHITE, 0.55)
    shoulder = 50 + 22 * grown + (0 if look.female else 12 * ramp(look.age, 12, 20))
    neck = look.half_width * (0.34 + 0.1 * grown) + (0 if look.female else 4 * grown)
    collar = look.chin + 4 + 5 * grown
    torso = arc(0, collar + 60, shoulder + 14, 60, 180, 360, power=2.6)
    canvas.polygon(np.concatenate([torso, [(110, 140), (-110, 140)]]), color)
    canvas.polygon([(-neck, 20), (neck, 20), (neck, collar + 4), (-neck, collar + 4)], look.shade)
    style = rng.integers(4)
    if style == 0:
        canvas.polygon(arc(0, collar + 1, neck + 3, 12, 0, 180), look.shade)
    elif style == 1:
        canvas.polygon([(-neck - 4, collar - 1), (neck + 4, collar - 1), (0, collar + 24)], trim)
        canvas.polygon([(-neck, collar - 2), (neck, collar - 2), (0, collar + 14)], look.shade)
    elif style == 2:
        for side in (-1, 1):
            inner = (side * 2, collar + 11)
            corners = [(side * neck, collar - 8), inner, (side * (neck + 13), collar + 12)]
            canvas.polygon(corners, mix(color, WHITE, 0.6))
    else:
        stripe = mix(color, trim, 0.6)
        for top in np.arange(collar + 10, 110, 14):
            # The stripe ends where the torso, a superellipse, does.
            height = np.clip((collar + 60 - np.array([top, top + 6])) / 60, 0, 1)
            left, low = (shoulder + 14) * (1 - height**2.6) ** (1 / 2.6)
            corners = [(-left, top), (left, top), (low, top + 6), (-low, top + 6)]
            canvas.polygon(corners, stripe)
        canvas.polygon(arc(0, collar, neck + 3, 8, 0, 180), look.shade)


def _draw_head(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    ear = 9 + 3 * ramp(look.age, 40, 90)
    for side in (-1, 1):
        canvas.ellipse(side * (look.half_width + 1), look.eye_y + 9, 8, ear, look.skin)
        canvas.ellipse(side * (look.half_width + 2), look.eye_y + 9, 4, ear - 5, look.shade)
    upper = arc(0, 0, look.half_width, -look.top, 180, 360, power=2.15)
    lower = arc(0, 0, look.half_width, look.chin, 0, 180, power=look.jaw)
    canvas.polygon(np.concatenate([upper, lower]), look.skin)
    flush = 0.34 - 0.2 * ramp(look.age, 3, 25) + rng.uniform(-0.04, 0.06)
    cheek = mix(look.skin, (226, 88, 92), flush)
    for side in (-1, 1):
        x, y = side * (look.eye_x + 7), look.eye_y + 20
        canvas.ellipse(x, y, 9.5, 6.5, cheek)
    if look.age < 45 and rng.random() < 0.2:
        for x, y in rng.uniform((-26, 12), (26, 22), (9, 2)):
            canvas.ellipse(x, look.eye_y + y, 1.1, 1.1, look.line)


def _draw_wrinkles(canvas: Canvas, look: Look) -> None:
    def tint(start: float, end: float) -> Color:
        return mix(look.skin, look.line, 0.35 + 0.65 * ramp(look.age, start, end))

    for index, start in enumerate((38, 50, 62)):
        if look.age >= start:
            y = look.eye_y - 24 - 6.5 * index
            line = arc(0, y + 5, 24 - 3 * index, 6, 215, 325)
            canvas.stroke(line, 1.7, tint(start, start + 22))
    for side in (-1, 1):
        outer = side * (look.eye_x + 13)
        if look.age >= 44:
            for dy in (-5, 0, 5) if look.age >= 58 else (-2, 3):
                fold = [(outer, look.eye_y + dy * 0.4), (outer + side * 7, look.eye_y + dy)]
                canvas.stroke(fold, 1.5, tint(44, 70))
        if look.age >= 34:
            fold = [(side * 12, look.eye_y + 21), (side * 18, look.mouth_y - 4)]
            fold.append((side * (18 + 2 * ramp(look.age, 50, 80)), look.mouth_y + 4))
            canvas.stroke(fold, 1.8, tint(34, 64))
        if look.age >= 54:
            bag = arc(side * look.eye_x, look.eye_y + 7, 8, 5, 25, 155)
            canvas.stroke(bag, 1.7, tint(54, 78))
        if look.age >= 72:
            jowl = [(side * 23, look.mouth_y + 6), (side * 20, look.mouth_y + 16)]
            canvas.stroke(jowl, 1.8, tint(66, 90))
    if look.age >= 78:
        for x, y in ((-30, -34), (24, -40), (33, 14), (-34, 8)):
            canvas.ellipse(x, look.eye_y + y, 2.6, 2.0, mix(look.skin, look.line, 0.5))


def _draw_features(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    draw_brows(canvas, look, lift=rng.uniform(-0.5, 3))
    _draw_eyes(canvas, look, rng)
    nose = 4.5 + 2.5 * ramp(look.age, 2, 20) + 1.5 * ramp(look.age, 50, 90)
    nose -= 1.0 if look.female else 0.0
    y = look.eye_y + 0.36 * (look.chin - look.eye_y)
    canvas.stroke(arc(0, y - 2, nose, 5, 15, 165), 2.4, look.line)
    if look.age > 14 and rng.random() < 0.5:
        canvas.stroke([(nose * 0.5, look.eye_y + 7), (nose * 0.9, y - 1)], 1.8, look.shade)
    _draw_mouth(canvas, look, rng)


def _draw_eyes(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    size, glance, iris = look.eye_size, rng.uniform(-1.6, 1.6), pick(IRIS, rng)
    closed = rng.random() < 0.07
    for side in (-1, 1):
        x, y = side * look.eye_x, look.eye_y
        if closed:
            canvas.stroke(arc(x, y - 2, 8 * size, 6 * size, 25, 155), 2.4, INK)
        else:
            droop = 0.22 * ramp(look.age, 50, 90)
            canvas.ellipse(x, y, 8.5 * size, (6.6 - 8 * droop / 2) * size, WHITE)
            canvas.ellipse(x + glance, y + 0.3, 5.2 * size, 5.4 * size * (1 - droop), iris)
            canvas.ellipse(x + glance, y + 0.3, 2.9 * size, 3.0 * size * (1 - droop), INK)
            canvas.ellipse(x + glance + 1.7, y - 1.8, 1.5 * size, 1.5 * size, WHITE)
            lid = arc(x, y + 0.5, 9 * size, (7.2 - 4 * droop) * size, 190, 350)
            canvas.stroke(lid, 2.6 if look.female else 1.8, INK)
        if look.female:
            for angle in (-8, -30, -52):
                turn = np.radians(angle if side > 0 else 180 - angle)
                root = np.array([x + 8.6 * size * np.cos(turn), y + 6.6 * size * np.sin(turn)])
                tip = root + 5.2 * np.array([np.cos(turn), np.sin(turn) - 0.15])
                canvas.stroke(np.stack([root, tip]), 1.7, INK)


def _draw_mouth(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    y, wide = look.mouth_y, 10 + 5 * ramp(look.age, 0, 18) + rng.uniform(-1.5, 1.5)
    made_up = look.female and look.age >= 16
    lip = mix(look.skin, (188, 42, 62), 0.75 if made_up else 0.0)
    lip = lip if made_up else mix(look.line, (150, 40, 50), 0.3)
    mood = rng.choice(["smile", "smile", "laugh", "calm", "smirk", "surprise"])
    if mood == "smile":
        canvas.stroke(arc(0, y - 6, wide, 9, 20, 160), 4.2 if made_up else 2.8, lip)
    elif mood == "laugh":
        canvas.polygon(arc(0, y - 3, wide + (2.5 if made_up else 1.5), 12, 0, 180), lip)
        canvas.polygon(arc(0, y - 2, wide, 9.5, 0, 180), (120, 36, 44))
        if look.age >= 1:
            canvas.polygon(arc(0, y - 2, wide - 1.5, 4, 0, 180), WHITE)
    elif mood == "calm":
        line = [(-wide * 0.8, y), (0, y + 0.8), (wide * 0.8, y)]
        canvas.stroke(line, 4.4 if made_up else 2.8, lip)
    elif mood == "smirk":
        curve = [(-wide * 0.8, y + 1), (0, y + 2.2), (wide * 0.7, y - 1), (wide, y - 4)]
        canvas.stroke(curve, 4.2 if made_up else 2.8, lip)
    else:
        canvas.ellipse(0, y, wide * 0.45 + 1.5, 7, lip)
        canvas.ellipse(0, y, wide * 0.45 - 0.5, 5, (120, 36, 44))


def _draw_accessories(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    color = pick(CLOTHES[:6], rng)
    if look.age <= 2 and rng.random() < 0.45:
        canvas.ellipse(0, look.mouth_y, 11, 8, mix(color, WHITE, 0.3))
        canvas.ellipse(0, look.mouth_y, 4.5, 4.5, WHITE)
    if look.female and look.age <= 9 and rng.random() < 0.5:
        x, y = rng.choice([-20.0, 20.0]), look.top + 5
        for side in (-1, 1):
            canvas.polygon([(x, y), (x + side * 15, y - 9), (x + side * 15, y + 9)], color)
        canvas.ellipse(x, y, 4, 4, mix(color, INK, 0.25))
    if look.female and look.age >= 15 and rng.random() < 0.5:
        for side in (-1, 1):
            canvas.ellipse(side * (look.half_width + 3), look.eye_y + 23, 3.6, 3.6, (236, 190, 70))
    if rng.random() < 0.06 + 0.6 * ramp(look.age, 38, 72) and look.age >= 5:
        _draw_glasses(canvas, look, mix(color, INK, 0.55), round_frame=rng.random() < 0.5)


def _draw_glasses(canvas: Canvas, look: Look, color: Color, *, round_frame: bool) -> None:
    rx, ry, power = (14.5, 13.5, 2.0) if round_frame else (15.5, 11.5, 4.5)
    for side in (-1, 1):
        x = side * (look.eye_x + 0.5)
        canvas.stroke(arc(x, look.eye_y + 1, rx, ry, 0, 360, power), 2.4, color)
        hinge = [(x + side * rx, look.eye_y - 1), (side * look.half_width, look.eye_y - 4)]
        canvas.stroke(hinge, 2.4, color)
    gap = max(look.eye_x + 0.5 - rx, 1)
    canvas.stroke([(-gap, look.eye_y), (0, look.eye_y - 2), (gap, look.eye_y)], 2.4, color)

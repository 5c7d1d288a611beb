"""Hair, beards and brows of a drawn face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agegender.dataset.drawing.canvas import arc, mix, ramp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.dataset.drawing.canvas import Canvas, Color
    from agegender.dataset.drawing.look import Look

LONG_STYLES = ("long", "long fringe")
BOB_STYLES = ("bob", "bob fringe")


def draw_hair_behind(canvas: Canvas, look: Look) -> None:
    """Draw the hair that hangs or sticks out behind the head."""
    width, back = look.half_width, _darker(look.hair)
    if look.style in LONG_STYLES:
        canvas.polygon(_curtain(look, outward=15, bottom=look.chin + 34), back)
    elif look.style in BOB_STYLES:
        canvas.polygon(_curtain(look, outward=14, bottom=look.chin - 6), back)
    elif look.style == "bun":
        canvas.ellipse(0, look.top - 10, 19, 17, back)
        canvas.ellipse(0, look.top - 11, 15, 13, look.hair)
    elif look.style == "ponytail":
        canvas.polygon(arc(width * 0.98, look.eye_y + 26, 15, 46, 0, 360, power=2.4), back)
    elif look.style.startswith("pigtails"):
        for side in (-1, 1):
            canvas.ellipse(side * (width + 11), look.eye_y + 14, 14, 25, look.hair)
            canvas.ellipse(side * (width + 4), look.eye_y - 8, 6, 5, (213, 94, 0))
    elif look.style == "curly":
        for x, y in arc(0, look.eye_y - 4, width + 6, look.eye_y - look.top, 150, 390)[::4]:
            canvas.ellipse(x, y, 17, 17, back)


def draw_hair_in_front(canvas: Canvas, look: Look) -> None:
    """Draw the hair on top of the head and over the forehead."""
    style, width, hair = look.style, look.half_width, look.hair
    brow = look.eye_y - 17 * look.eye_size
    if style == "tuft":
        for lean in (-9.0, 0.0, 10.0):
            strand = [(0.0, look.top + 7), (lean * 0.6, look.top - 5), (lean, look.top - 11)]
            canvas.stroke(strand, 3.2, hair)
    elif style == "fuzz":
        soft = mix(look.skin, hair, 0.45)
        canvas.polygon(_cap(look, thickness=1.5, edge=look.top + 17, dip=-4), soft)
    elif style == "bald":
        _draw_side_patches(canvas, look)
    elif style == "receding":
        _draw_side_patches(canvas, look)
        canvas.polygon(_cap(look, thickness=4, edge=look.top + 13, dip=6, reach=0.62), hair)
    elif style == "curly":
        canvas.polygon(_cap(look, thickness=7, edge=brow - 12, dip=-5), hair)
        for x, y in arc(0, look.eye_y - 12, width * 0.9, look.eye_y - look.top - 12, 196, 344)[::3]:
            canvas.ellipse(x, y, 14, 14, hair)
    elif style == "spiky":
        canvas.polygon(_cap(look, thickness=5, edge=brow - 10, dip=-3), hair)
        for x in np.linspace(-width * 0.72, width * 0.72, 6):
            root = look.top * np.sqrt(1 - (x / width) ** 2 * 0.9)
            tip = (x * 1.16 + 3, root - 14)
            canvas.polygon([(x - 11, root + 9), tip, (x + 11, root + 9)], hair)
    elif style == "parted":
        canvas.polygon(_cap(look, thickness=9, edge=brow - 11, dip=0, part=-0.45), hair)
    elif style.endswith("fringe"):
        canvas.polygon(_cap(look, thickness=8, edge=brow - 3, dip=3), hair)
    elif style == "crop":
        canvas.polygon(_cap(look, thickness=5, edge=brow - 13, dip=-4), hair)
    else:
        part = 0.0 if style in ("long", "bun") else 0.5
        canvas.polygon(_cap(look, thickness=8, edge=brow - 2, dip=0, part=part), hair)
    if style in LONG_STYLES + BOB_STYLES:
        _draw_side_locks(canvas, look)


def draw_beard(canvas: Canvas, look: Look, rng: np.random.Generator) -> None:
    """Give some men stubble, a beard or a moustache."""
    if look.female or look.age < 18:
        return
    kind = rng.choice(["none", "none", "stubble", "beard", "moustache", "goatee"])
    color = mix(look.skin, look.hair, 0.28) if kind == "stubble" else _darker(look.hair, 0.08)
    if kind in ("stubble", "beard"):
        grow = 0.5 if kind == "stubble" else 6
        jaw = arc(0, 0, look.half_width + grow * 0.3, look.chin + grow, -2, 182, look.jaw)
        upper = arc(0, look.eye_y + 12, look.half_width * 0.84, 24, 172, 8)
        canvas.polygon(np.concatenate([jaw, upper]), color)
    if kind == "goatee":
        canvas.ellipse(0, look.chin - 6, 15, 13, color)
    if kind in ("beard", "moustache", "goatee"):
        for side in (-1, 1):
            canvas.polygon(arc(side * 8, look.mouth_y - 6.5, 11, 5, 0, 360, 2.4), color)


def draw_brows(canvas: Canvas, look: Look, lift: float) -> None:
    """Draw the eyebrows, `lift` pixels above their usual height."""
    thick = 2.2 if look.female else 2.6 + 1.8 * ramp(look.age, 8, 22)
    color = mix(look.skin, look.hair, 0.55 + 0.4 * ramp(look.age, 0, 6))
    y = look.eye_y - 13.5 * look.eye_size - lift
    for side in (-1, 1):
        arch = 4.5 if look.female else 2.5
        x = side * look.eye_x
        canvas.stroke(arc(x, y + arch, 10 * look.eye_size, arch * 1.6, 205, 335), thick, color)


def _darker(color: Color, share: float = 0.2) -> Color:
    return mix(color, (20, 12, 16), share)


def _curtain(look: Look, *, outward: float, bottom: float) -> NDArray[np.float64]:
    """The outline of hair that falls from the top of the head down to `bottom`."""
    side = look.half_width + outward
    crown = arc(0, look.eye_y, side - 3, look.eye_y - look.top + 10, 180, 360)
    ends = [(side, bottom - 12), (side - 12, bottom), (12 - side, bottom), (-side, bottom - 12)]
    return np.concatenate([crown, ends])


def _cap(
    look: Look,
    *,
    thickness: float,
    edge: float,
    dip: float,
    part: float | None = None,
    reach: float = 1.0,
) -> NDArray[np.float64]:
    """The outline of hair on top of the head.

    Args:
        look: The face.
        thickness: How far it stands out above the head.
        edge: Height of the hairline at its middle, or at the temples for
            parted hair.
        dip: How far the hairline's middle lies below its ends.
        part: Where the hair is parted, as a share of the half width; `None`
            for a plain hairline.
        reach: Share of the head's width that is covered.
    """
    width = (look.half_width + min(thickness, 4)) * reach
    bottom = look.eye_y - 4 if reach == 1 else edge
    crown = arc(0, bottom, width, bottom - look.top + thickness, 180, 360)
    inner = (look.half_width - 4) * reach
    across = np.linspace(inner, -inner, 25)
    if part is None:
        line = edge + dip * (1 - (across / inner) ** 2)
        line += (bottom - edge) * np.abs(across / inner) ** 6
    else:
        away = np.abs(across - part * inner) / (inner * (1 + abs(part)))
        line = look.top + 12 + (bottom - look.top - 12) * np.clip(away, 0, 1) ** 0.85
    return np.concatenate([crown, np.stack([across, line], axis=1)])


def _draw_side_patches(canvas: Canvas, look: Look) -> None:
    for side in (-1, 1):
        canvas.ellipse(side * (look.half_width - 1), look.eye_y - 9, 6.5, 19, look.hair)


def _draw_side_locks(canvas: Canvas, look: Look) -> None:
    length = 34 if look.style in BOB_STYLES else 58
    for side in (-1, 1):
        x = side * (look.half_width + 3)
        canvas.polygon(arc(x, look.eye_y + length * 0.5 - 8, 8, length, 0, 360, 2.6), look.hair)

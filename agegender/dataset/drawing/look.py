"""What a drawn face looks like, chosen from its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agegender.config import RACE_NAMES
from agegender.dataset.drawing.canvas import Color, mix, pick, ramp

INK: Color = (52, 43, 48)
WHITE: Color = (255, 253, 250)
GREY_HAIR: Color = (203, 203, 207)
SKIN_TONES: tuple[Color, ...] = (
    (252, 228, 210),
    (244, 205, 172),
    (222, 168, 122),
    (178, 120, 78),
    (124, 78, 50),
    (84, 52, 36),
)
"""From light to dark; a tone is a position between the first and the last."""

TONE_RANGES = ((0.0, 0.3), (0.65, 1.0), (0.1, 0.4), (0.4, 0.72), (0.2, 0.6))
"""Range of skin tones of each race group, in [0, 1], in `RACE_NAMES` order."""

DARK_HAIR: tuple[Color, ...] = ((38, 32, 34), (54, 40, 36), (74, 50, 40))
FAIR_HAIR: tuple[Color, ...] = ((112, 72, 46), (158, 106, 58), (214, 168, 96), (172, 78, 44))
IRIS: tuple[Color, ...] = ((74, 52, 40), (96, 68, 44), (70, 110, 140), (84, 118, 84))
CLOTHES: tuple[Color, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 140, 110),
    (230, 159, 0),
    (188, 96, 148),
    (70, 84, 110),
    (240, 236, 226),
    (156, 62, 62),
)
BACKGROUNDS: tuple[Color, ...] = (
    (200, 224, 238),
    (248, 222, 196),
    (206, 230, 212),
    (238, 212, 226),
    (250, 236, 186),
    (216, 212, 236),
    (150, 186, 206),
    (226, 170, 140),
    (146, 190, 168),
    (94, 120, 150),
)


@dataclass(frozen=True)
class Look:
    """What several parts of one drawing share; lengths in pixels of the frame.

    The origin is the middle of the head; x points right and y down.
    """

    age: int
    female: bool
    skin: Color
    hair: Color
    half_width: float
    top: float
    chin: float
    jaw: float
    eye_y: float
    eye_x: float
    eye_size: float
    style: str

    @property
    def shade(self) -> Color:
        """The skin in shadow."""
        return mix(self.skin, (92, 40, 40), 0.24)

    @property
    def line(self) -> Color:
        """Lines on the skin: wrinkles and the nose."""
        return mix(self.skin, (70, 28, 30), 0.42)

    @property
    def mouth_y(self) -> float:
        """Height of the mouth."""
        return self.eye_y + 0.62 * (self.chin - self.eye_y)


def choose_look(age: int, gender: int, race: int, rng: np.random.Generator) -> Look:
    female = gender == 1
    grown = ramp(age, 0, 17) ** 0.7
    masculine = 0.0 if female else ramp(age, 11, 20)
    tone = rng.uniform(*TONE_RANGES[race]) * (len(SKIN_TONES) - 1)
    step = min(int(tone), len(SKIN_TONES) - 2)
    skin = mix(SKIN_TONES[step], SKIN_TONES[step + 1], tone - step)
    fair = RACE_NAMES[race] in ("White", "Others")
    hair = pick(DARK_HAIR + FAIR_HAIR if fair else DARK_HAIR, rng)
    greying = ramp(age + rng.uniform(-5, 5), 36, 70)
    hair = mix(hair, mix(GREY_HAIR, WHITE, ramp(age, 70, 95) * 0.7), greying)
    wide = rng.uniform(-2.5, 2.5)
    return Look(
        age=age,
        female=female,
        skin=skin,
        hair=hair,
        half_width=54 - 8 * grown + 1.5 * masculine + wide,
        top=-54 - 3 * grown,
        chin=41 + 15 * grown + 3 * masculine + rng.uniform(-2, 2),
        jaw=2.05 + 0.55 * masculine + rng.uniform(-0.1, 0.1),
        eye_y=13 - 15 * grown + rng.uniform(-1.5, 1.5),
        eye_x=22 - 2.5 * grown + rng.uniform(-1, 1),
        eye_size=1.42 - 0.5 * grown - 0.12 * ramp(age, 55, 90) + rng.uniform(-0.05, 0.05),
        style=_choose_style(age, female, rng),
    )


def _choose_style(age: int, female: bool, rng: np.random.Generator) -> str:
    if age <= 1:
        return str(rng.choice(["tuft", "fuzz"]))
    if female:
        styles = ["long", "long fringe", "bob", "bob fringe", "bun", "ponytail", "curly"]
        if age < 13:
            styles = ["pigtails", "pigtails fringe", "long fringe", "bob fringe", "ponytail"]
        if age > 60:
            styles = ["bun", "bun", "curly", "curly", "bob", "crop"]
        return str(rng.choice(styles))
    if age > 32 and rng.random() < 0.75 * ramp(age, 30, 68):
        return "bald" if rng.random() < ramp(age, 35, 85) else "receding"
    return str(rng.choice(["crop", "parted", "spiky", "crop fringe"]))

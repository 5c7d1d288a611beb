"""The report as one HTML page with everything in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from agegender.config import ACCENT_COLOR, MUTED_COLOR
from agegender.evaluation.plots.style import INK_COLOR, PAPER_COLOR
from agegender.evaluation.tables import cell
from agegender.images import jpeg_bytes

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from agegender.evaluation.cards import FaceCard

TEMPLATE = "report.html.j2"

JPEG_QUALITY = 88


@dataclass(frozen=True)
class Headline:
    """A figure that stands at the top of the page.

    Attributes:
        name: What it is.
        value: The number.
        unit: Its unit; may be empty.
        notes: Lines below it: the interval, the zero-skill floor.
    """

    name: str
    value: str
    unit: str
    notes: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading.

    Attributes:
        title: The heading.
        lead: What there is to see, in a sentence or two.
        figures: SVG texts with their captions.
        tables: Tables of text with their captions.
        cards: Faces.
    """

    title: str
    lead: str
    figures: Sequence[tuple[str, str]] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    cards: Sequence[FaceCard] = field(default_factory=list)


def render_report(
    *,
    title: str,
    lead: str,
    banners: Sequence[str],
    headlines: Sequence[Headline],
    sections: Sequence[Section],
    about: Mapping[str, str],
) -> str:
    """Write the page.

    Args:
        title: Of the page.
        lead: What was measured, in a sentence.
        banners: Warnings that a reader must not miss.
        headlines: The figures at the top.
        sections: What follows, in order.
        about: How the figures came about, by name.

    Returns:
        HTML that refers to no other file.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(svg=_inline_svg, picture=_inline_picture, cell=cell)
    context: dict[str, Any] = {
        "title": title,
        "lead": lead,
        "banners": banners,
        "headlines": headlines,
        "sections": sections,
        "about": about,
        "accent": ACCENT_COLOR,
        "muted": MUTED_COLOR,
    }
    return environment.get_template(TEMPLATE).render(context)


def _inline_svg(text: str) -> str:
    """Fit a figure's SVG file into the page: its own background, its own text colour."""
    start = text.index("<svg")
    body = text[start:]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    # The view box keeps the proportions; the page sets the width.
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    return body.replace(PAPER_COLOR, "none").replace(INK_COLOR, "currentColor")


def _inline_picture(pixels: NDArray[np.uint8]) -> str:
    """Write RGB pixels as a data address."""
    picture = jpeg_bytes(pixels, quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()

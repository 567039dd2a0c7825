"""How the pictures look: colours that colour-blind people can tell apart, thin lines, room to breathe."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008, Color Universal Design
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")  # fmt: skip
COLORS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
INK, GREY, PALE = "#1f2328", "#6b7280", "#e5e7eb"
FONTS = ("Inter", "Segoe UI", "Helvetica Neue", "Arial", "Noto Sans", "DejaVu Sans", "Noto Sans CJK KR", "Noto Sans KR",
         "Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic")  # fmt: skip


@contextmanager
def in_style() -> Iterator[None]:
    """Draw in this style inside a `with` block, and only there."""
    from matplotlib import rc_context

    with rc_context(_style()):
        yield


@cache
def _style() -> Any:
    """Matplotlib's settings. Of the fonts those that are there: the later ones have what the first ones lack."""
    from cycler import cycler
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    return {
        "font.family": [font for font in FONTS if font in known] or ["sans-serif"],
        "font.size": 9,
        "text.parse_math": False,  # a class may be called "$5-$10"
        "text.color": INK,
        "axes.prop_cycle": cycler(color=COLORS),
        "axes.edgecolor": GREY,
        "axes.labelcolor": GREY,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.formatter.useoffset": False,
        "grid.color": PALE,
        "grid.linewidth": 0.6,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "lines.linewidth": 1.6,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.1,  # inches around the axes
        "figure.constrained_layout.w_pad": 0.1,
    }


def new_figure(rows: int = 1, columns: int = 1, *, width: float = 6, height: float = 4, **options: Any) -> Any:
    """A figure of so many inches and its axes, as `Figure.subplots` gives them: (figure, axes)."""
    from matplotlib.figure import Figure  # without pyplot, which keeps every figure

    with in_style():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots(rows, columns, **options)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG."""
    with in_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Glyph .* missing")  # a class's name in a script without a font
        write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=144))

"""Draws the overview picture: python docs/figure.py writes docs/_static/overview.svg.

A spec goes to every engine, the reference judges, and a divergence is explained.
"""

import pathlib
from collections.abc import Iterator

PATH = pathlib.Path(__file__).parent / "_static" / "overview.svg"
WIDTH, HEIGHT = 900, 352
INK, PALE, BLUE, GREEN, AMBER, RED = "#1f2933", "#52606d", "#1d4ed8", "#15803d", "#b45309", "#b91c1c"
ENGINES = (  # engine, verdict, colour
    ("keras-tensorflow", "= rounded", GREEN),
    ("keras-jax", "~ known", AMBER),
    ("keras-torch", "= rounded", GREEN),
    ("jax-scan", "= rounded", GREEN),
    ("your port", "! diverges", RED),
)


def text(
    x: float, y: float, words: str, size: int = 14, colour: str = INK, weight: int = 400, mono: bool = False
) -> str:
    """Return one line of text, its baseline at y."""
    family = "ui-monospace, DejaVu Sans Mono, monospace" if mono else "system-ui, DejaVu Sans, sans-serif"
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    font = f'font-family="{family}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" {font} fill="{colour}">{words}</text>'


def box(x: float, y: float, width: float, height: float, line: str, fill: str = "#ffffff") -> str:
    """Return a box with round corners."""
    place = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="8"'
    return f'<rect {place} fill="{fill}" stroke="{line}" stroke-width="1.5"/>'


def arrow(x1: float, y1: float, x2: float, y2: float, colour: str = PALE) -> str:
    """Return an arrow that leaves and arrives horizontally."""
    middle = (x1 + x2) / 2
    path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2 - 7} {y2}"
    head = f"M{x2} {y2} l-9 -4.5 v9 z"
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/><path d="{head}" fill="{colour}"/>'


def shapes() -> Iterator[str]:
    """Yield all elements of the picture, from left to right."""
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#f8fafc"/>'
    for x, words in ((24, "spec"), (262, "engines"), (492, "reference"), (690, "verdicts")):
        yield text(x, 36, words, 17, weight=700)
    yield text(24, 56, "your model as data", 12, PALE)
    yield text(262, 56, "one process each", 12, PALE)
    yield text(492, 56, "NumPy float64, by hand", 12, PALE)
    yield text(690, 56, "for each quantity", 12, PALE)
    yield box(24, 112, 190, 104, BLUE, "#eff6ff")
    for row, words in enumerate(("Embedding", "LSTM(32, stateful)", "LSTM(8)", "Dense, softmax")):
        yield text(40, 137 + 22 * row, words, 14, INK, mono=True)
    yield box(492, 112, 150, 104, INK)
    for row, words in enumerate(("outputs", "states h, c", "gradients", "training")):
        yield text(508, 137 + 22 * row, words, 14, INK)
    for row, (engine, verdict, colour) in enumerate(ENGINES):
        y = 74 + 38 * row
        yield arrow(214, 164, 262, y + 14)
        yield box(262, y, 180, 28, PALE)
        yield text(274, y + 19, engine, 14, INK, mono=True)
        yield arrow(442, y + 14, 492, 164)
        yield arrow(642, 164, 690, y + 14, colour)
        yield box(690, y, 130, 28, colour)
        yield text(702, y + 19, verdict, 14, colour, 700)
    yield box(262, 278, 614, 56, RED, "#fef2f2")
    yield f'<path d="M755 254 v24" stroke="{RED}" stroke-width="1.5"/>'
    yield text(278, 301, "first in LSTM 'lstm', timestep 0, row 0, unit 2, gate f", 14, INK, mono=True)
    yield text(278, 322, "as if gates f and c were exchanged", 14, RED, 700, mono=True)


def draw() -> str:
    """Return the picture as SVG."""
    title = (
        "A spec goes to every engine; the float64 reference judges each quantity; a divergence is located and explained"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
    return "\n".join((head, f"<title>{title}</title>", *shapes(), "</svg>\n"))


if __name__ == "__main__":
    PATH.write_text(draw(), encoding="utf-8")

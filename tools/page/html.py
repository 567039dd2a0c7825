"""HTML in which text is text: everything that is no `Html` already is escaped."""

import base64
import hashlib
import html
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

VOID = ("br", "col", "img", "input", "meta")
NONE = "\N{EN DASH}"
NUMBER = re.compile(rf"(<b>)?([-+\d.,e]+%?|{NONE})(</b>)?$")
MAX_TEXT = 20_000  # characters of one text; a stranger's file can hold any number


class Html(str):
    """Markup: made by `element` and `join`, never from what a file holds."""


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """An element with its children, of which None is left out. class_="a" is class, data_x="b" is data-x."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    text = "".join(f' {name}="{html.escape(_plain(value), quote=True)}"' for name, value in named.items())
    return Html(f"<{tag}{text}>" if tag in VOID else f"<{tag}{text}>{join(*children)}</{tag}>")


def join(*children: Any) -> Html:
    """Some elements and texts in a row."""
    parts = [
        child if isinstance(child, Html) else html.escape(_plain(child)) for child in children if child is not None
    ]
    return Html("".join(parts))


def _plain(value: Any) -> str:
    """A text that UTF-8 can hold, and that is not endless."""
    text = str(value)
    text = text if len(text) <= MAX_TEXT or text.startswith(("data:", "[")) else f"{text[:MAX_TEXT]} ..."
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def number(value: Any) -> str:
    """A number for people: 1,437 or 0.9861 or 2.1e-05; a dash for none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NONE if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 1e15 else f"{float(min(value, 1e300)):.3g}"
    if not math.isfinite(value):
        return NONE
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.3g}"


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Html:
    """A table whose first column names the rows; a column of numbers stands at the right, figure below figure."""
    cells = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    classes = ["n" if i > 0 and all(NUMBER.match(row[i]) for row in cells) else None for i in range(len(head))]
    names = [element("th", name, scope="col", class_=class_) for name, class_ in zip(head, classes, strict=True)]
    body = [element("tr", element("th", row[0], scope="row"), *(element("td", cell, class_=class_)
            for cell, class_ in zip(row[1:], classes[1:], strict=True))) for row in cells]  # fmt: skip
    top = element("thead", element("tr", *names)) if any(head) else None
    return element("div", element("table", top, element("tbody", *body)), class_="scroll")


def sentence(text: str) -> str:
    """A text with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def section(title: str, *content: Any, note: Any = None) -> Html:
    """A part of a page; its title stands beside it where there is room."""
    beside = element("p", note, class_="note") if note else None
    return element(
        "section", element("div", element("h2", title), beside, class_="rail"), element("div", *content, class_="body")
    )


def page(title: str, kind: str, lede: Any, *content: Any) -> str:
    """A whole page. kind: what it is, above its title. lede: what there is to say first, in words.

    It loads nothing: its one script is named by its hash, and no other one would run.
    """
    here = Path(__file__).parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )
    top = element("header", element("p", kind, class_="kind"), element("h1", title), element("p", lede, class_="lede"))
    body = element("body", element("main", top, *content), element("script", Html(script)))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"

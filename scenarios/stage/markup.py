"""HTML and SVG that is escaped by construction: text is text unless it is Markup."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Union

Content = Union[str, "Markup", Iterable["Content"]]
VOID = {"br", "meta", "line", "circle", "path", "rect"}


class Markup(str):
    """Text that is HTML already."""


def escape(text: str) -> Markup:
    """Returns text as HTML. What no reader can see is shown as an escape."""
    text = text.replace("\r\n", "\n")
    if not text.replace("\n", "").replace("\t", "").isprintable():  # few texts
        text = "".join(
            c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
            for c in text
        )
    return Markup(html.escape(text))


def tag(name: str, *content: Content, **attributes: object) -> Markup:
    """Returns an element. Attributes that are False, None or "" are left out.

    An underscore at the end of an attribute's name is dropped, one inside becomes a hyphen.
    """
    words = [name]
    for key, value in attributes.items():
        if value is True:
            words.append(key)
        elif value not in (None, False, ""):
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(str(value))}"')
    start = " ".join(words)
    return Markup(f"<{start}/>" if name in VOID else f"<{start}>{join(content)}</{name}>")


def join(content: Content) -> Markup:
    """Returns contents one after the other."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return escape(content)
    return Markup("".join(join(one) for one in content))

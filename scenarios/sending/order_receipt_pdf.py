"""The PDF of a receipt, by fpdf2. The same order always becomes the same bytes.

What every reader of PDF has, Helvetica, can write the languages of Western Europe. Orders with
other characters need a TrueType font, of which the PDF then contains what it uses. The characters
of right-to-left scripts, and those that combine with others, would have to be shaped: no receipt
is better than a name that is written wrongly.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from comms.errors import SettingsError
from comms.words import one_line
from scenarios.sending.order_receipt_input import Order

BUILT_IN = "cp1252"  # what Helvetica can write
GREY = 120


class Paper:
    """The paper of a shop: its name, and the font for what Helvetica cannot write.

    Raises SettingsError if the font, or what the seller is called, cannot be used.
    """

    def __init__(self, seller: str, font: Path | None) -> None:
        self._seller, self._font = seller, font
        self._has = _characters(font) if font else frozenset()
        try:
            self._needs_font([("seller", seller)])
        except ValueError as error:
            raise SettingsError(f"order-receipt.{error}") from None

    def receipt(self, order: Order) -> bytes:
        """Returns the receipt. Raises ValueError for a character that it cannot be written with."""
        embedded = self._needs_font([("seller", self._seller), *order.texts()])
        pdf = FPDF(format="A4")
        pdf.set_compression(False)  # zlib's versions differ
        pdf.set_creation_date(order.paid)
        pdf.set_title(f"Receipt {order.order}")
        pdf.set_lang("en")
        pdf.alias_nb_pages("")  # no text stands for the number of pages
        pdf.core_fonts_encoding = BUILT_IN
        family = "Helvetica"
        if embedded:
            family = "embedded"
            pdf.add_font(family, fname=self._font)
        pdf.set_margin(20)
        pdf.add_page()
        pdf.set_font(family, size=10)
        _line(pdf, self._seller, grey=True)
        pdf.ln(12)
        pdf.set_font(family, size=20)
        _line(pdf, f"Receipt {order.order}", height=10)
        pdf.ln(2)
        pdf.set_font(family, size=10)
        _line(pdf, f"Paid on {order.paid:%Y-%m-%d}")
        _line(pdf, f"by {order.name}")
        pdf.ln(8)
        self._table(pdf, order)
        if order.tax is not None:
            pdf.ln(2)
            _line(pdf, f"includes {order.tax} {order.currency} of tax", grey=True, align="R")
        return bytes(pdf.output())

    def _table(self, pdf: FPDF, order: Order) -> None:
        pdf.set_draw_color(GREY)
        with pdf.table(
            borders_layout="HORIZONTAL_LINES",
            col_widths=(8, 2, 3, 3),
            headings_style=FontFace(color=GREY),
            line_height=5,
            padding=(1.5, 1),
            text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"),
            v_align="TOP",
        ) as table:
            table.row(["Item", "Quantity", "Price", f"Amount in {order.currency}"])
            for item in order.items:
                table.row([item.name, str(item.quantity), str(item.price), str(item.amount)])
            table.row(["Total", "", "", f"{order.total} {order.currency}"])

    def _needs_font(self, texts: Iterable[tuple[str, str]]) -> bool:
        """Returns whether Helvetica lacks a character. Raises ValueError if the font lacks one."""
        found = [(key, character) for key, text in texts for character in text]
        beyond = [(key, character) for key, character in found if not _is_built_in(character)]
        for key, character in beyond:
            if _needs_shaping(character):
                problem = f"{_shown(character)} cannot be drawn, because it needs shaping"
                raise ValueError(f"{key}: {problem}; write it in another script")
        # Without a font, only what Helvetica lacks is missing; with one, it must have everything.
        for key, character in found if beyond and self._font else beyond:
            if ord(character) not in self._has:
                name = self._font.name if self._font else "Helvetica"
                remedy = "set order-receipt.font to a font that has it"
                raise ValueError(f"{key}: {name} lacks {_shown(character)}; {remedy}")
        return bool(beyond)


def _line(pdf: FPDF, text: str, height: float = 5, grey: bool = False, align: str = "L") -> None:
    """Writes a text across the page, on as many lines as it needs."""
    pdf.set_text_color(GREY if grey else 0)
    pdf.multi_cell(0, height, text, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _characters(font: Path) -> frozenset[int]:
    """Returns what a font can write, after it was tried. Raises SettingsError."""
    try:
        with font.open("rb") as file:
            found = frozenset(TTFont(file, lazy=True).getBestCmap())
        pdf = FPDF()
        pdf.add_font("tried", fname=font)
        pdf.set_font("tried")
        pdf.add_page()
        _line(pdf, chr(min(found)))
        pdf.output()
    except Exception as error:  # what is no font, or a broken one, may raise anything
        problem = f"{font} is not a TrueType font: {one_line(str(error))}"
        raise SettingsError(f"order-receipt.font: {problem}; write a *.ttf") from None
    return found


def _is_built_in(character: str) -> bool:
    try:
        return bool(character.encode(BUILT_IN))
    except UnicodeEncodeError:
        return False


def _shown(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _needs_shaping(character: str) -> bool:
    right_to_left = unicodedata.bidirectional(character) in ("R", "AL", "AN")
    return right_to_left or unicodedata.category(character).startswith("M")

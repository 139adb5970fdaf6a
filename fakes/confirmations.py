"""What a confirmation mail carries: links to follow, and codes to type.

A link is whatever a reader would copy from the text: without the full stop that ends the sentence.
A code is harder to tell, because the same mail holds dates, prices, phone numbers and the year of
its copyright. Each number is judged by the words next to it, in three steps:

1. What is certainly something else is left out: a part of a date or of a phone number, an amount,
   an order number.
2. If a number is called a code (`code: 482913`, `482913 is your PIN`), or is alone on its line in a
   mail about codes, only such numbers count. Only here may a code have letters.
3. In a mail that calls nothing a code, each remaining number of four to eight digits counts.

No pattern here looks further than a fixed number of characters, and only the first thousand numbers
of a text are judged, so that the time grows with the size of the mail.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# ── links ────────────────────────────────────────────────────────────────────

# Typographic quotes and dashes, arrows, emoji, what cannot be seen, and the punctuation of Arabic,
# Chinese and Japanese end an address, too; so does a comma before the next one.
_URL = re.compile(
    r"https?://(?:(?![,;|]https?://)[^\s<>\"`«»،؛؟！（），：；？\u200b-\u200f\u2014-\u2060\u2190-\u21ff"
    r"\u3000-\u3003\u3008-\u301f\ufeff\U0001f300-\U0001faff])+",
    re.I,
)
_IN_BRACKETS = re.compile(r"<(?:URL:)?(https?://[^<>]{1,4000})>", re.I)
_CLOSES = {")": "(", "]": "[", "}": "{"}


def find_urls(text: str) -> list[str]:
    """Returns the http and https addresses that are written out in a text, in order."""
    # Within angle brackets an address may be broken into lines.
    text = _IN_BRACKETS.sub(lambda match: f"<{''.join(match[1].split())}>", text)
    found = []
    for match in _URL.finditer(text):
        url = _without_punctuation(match[0])
        before = text[max(0, match.start() - 2) : match.start()]
        around = before[len(before.rstrip("_")) :]  # an address in Markdown
        found.append(url.removesuffix(around))
    return [url for url in found if not url.endswith("://")]


def is_url(text: str) -> bool:
    """Whether a text is one http or https address."""
    return text[:8].lower().startswith(("http://", "https://"))


def _without_punctuation(url: str) -> str:
    """Returns the address without the punctuation of the sentence or the markup around it."""
    opened: list[str] = []
    for at, character in enumerate(url):
        if character in "([{":
            opened.append(character)
        elif character in _CLOSES and (not opened or opened.pop() != _CLOSES[character]):
            url = url[:at]  # this bracket was opened before the address
            break
    # An underscore and a hyphen may end a token in base64url, so they stay.
    return url.rstrip(".,;:!?'*|\\")


# ── codes ────────────────────────────────────────────────────────────────────

# What a code is called, in many languages. `barcode` and the like are below.
_CODE = re.compile(
    r"(?<!de)(?<!en)(?:codes?\b|codice|código|codigo|kod[eu]?\b|kód|koodi|pass-?code)|\bpins?\b|"
    r"\botps?\b|\bm?tan\b|\btoken\b|one[- ]time[- ]password|passwort|"
    r"код|κωδικ|验证码|驗證碼|校验码|動態碼|コード|認証番号|確認番号|인증|코드|رمز|קוד|รหัส|\bmã\b",
    re.I,
)
# Whatever matches contains one of these, which are found much faster.
_CODE_HINTS = tuple(
    "cod cód kod kód koodi pin otp tan token password passwort mã код κωδικ رمز קוד รหัส"
    " 验证码 驗證碼 校验码 動態碼 コード 認証番号 確認番号 인증 코드".split()
)
# A code that confirms nothing.
_OTHER_CODE = re.compile(
    r"(?:zip|postal|area|country|error|status|product|qr|bar|sort|bank|swift|dress|source|order|"
    r"booking|reservation|customer|article|item|promo|promotion|coupon|discount|voucher|gift|referral|tracking|response|exit|dial(?:l?ing)?)"
    r"(?:[- ]?codes?\b)",
    re.I,
)
# What another number is called, directly before it.
_OTHER = re.compile(
    r"(?:\b(?:orders?|order id|invoices?|receipts?|tickets?|reference|ref|customers?|clients?|"
    r"account|members?|membership|case|booking|reservation|phone|tel|telephone|telefon|mobile|fax|"
    r"call|text|hotline|whatsapp|ext|extension|zip|postcode|plz|suite|ste|floor|room|apt|"
    r"apartment|unit|box|postfach|street|st|article|item|sku|product|model|serial|part|version|"
    r"build|error|port|rfc|iso|vat|ust|hrb|tax|iban|account|card|ending|ends|tracking|shipment|"
    r"parcel|package|flight|seat|gate|door|locker|building|terminal|platform|page|total|amount|"
    r"price|sum|subtotal|balance|paid|since|"
    r"established|founded|copyright|registered|registration|company|reg|license|licence|"
    r"bestellung|bestellnummer|rechnung|rechnungsnummer|kundennummer|kunde|vorgang|auftrag|"
    r"artikel|commande|facture|client|pedido|factura|ordine|fattura|bestelling|factuur|"
    r"transaction|payment|id|user|policy|contract|session)|注文番号|订单号|訂單|电话|電話)"
    r"(?:['’]?s)?(?:[ -](?:numbers?|no|nr|num|id|in|with|nummer))*"
    r"\.?[ \t]*(?P<sign>[:=#№：]*)[ \t]*(?:is |was |ist )?[#№(*]*$",
    re.I,
)
_MONTHS = (
    r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez|fév|avr|juin|juil|août|"
    r"déc|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|mrt|mei)[a-zéû]{0,8}\.?"
)
# Certainly no code: an amount, a phone number, a duration, the year of a date.
_NOT_BEFORE = re.compile(
    r"(?:[€$£¥₹₽+©&]|\(c\)|\b(?:USD|EUR|GBP|CHF|JPY|Rs\.?|kr\.?)) ?$"
    rf"|\b{_MONTHS}(?: [0-9]{{1,2}}(?:st|nd|rd|th)?,?)?,? $"
    r"|[0-9]\)? ?[/)] ?$|[0-9](?:st|nd|rd|th) $|[\w/.,][.,/_@'’-]$|[@&]$",
    re.I,
)
_MASKED = re.compile(r"(?:^|[\s+(0-9*•-])[*•·●xX]{2,}[\s-]?$")  # +49 *** **4711
_MASKED_RUN = re.compile(r"(?:[xX]{2,}+(?:-(?=[xX]))?)++[0-9-]{2,}")  # XXX-XXX-4711
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2} ?$")
_STATE = re.compile(r", ?[A-Z]{2},? $")
_NOT_AFTER = re.compile(
    r" ?(?:%|[€$£¥₹₽]|(?:USD|EUR|GBP|CHF|JPY|kr|px|pt|ms|s|sec|secs|seconds?|mins?|minutes?|hours?|"
    r"hrs?|days?|weeks?|months?|years?|bytes|kb|mb|gb|tb|km|kg|per|times|characters|digits?|"
    r"sekunden?|minuten?|stunden?|tagen?|tage|heures?|jours?|minutos?|horas?|días|minuti|ore)\b)"
    r"| ?[-–] ?[0-9]| ?(?:分钟|分鐘|分間|分|小时|小時|時間|日|天|年|月|元|円|秒)|[/:_@'’]\w|\.\w",
    re.I,
)
_TIME_WORD = re.compile(
    r"\b(?:at|in|on|until|till|by|before|within|since|after|from|to|um|bis|vor|ab|jusqu'à|avant|"
    r"hasta|antes de|dal|entro)(?: the)? $",
    re.I,
)
_SENTENCE_END = re.compile(r"[.!?](?=[\s\"')*]|$)|[。！？]")
# Between what is called a code and the code: `code: 482913`, `code is "482913"`, `code 482913`.
_NAMES_DIRECTLY = re.compile(
    r"(?:[:=：→-]|\b(?:is|are|ist|lautet|est|es|è|é|är|er|jest|là|code|pin|otp|tan|token)|是|为|為)"
    r"[ \t]*[\"'“„«‘`*(\[【「]*$",
    re.I,
)
_IS_CALLED = re.compile(
    r"[\"'”“»’`*)\]】」]* ?(?:is|ist|est|es|è|é|är|er|jest|là|as|als|para|[-–—:(]|是|为)(?!\w)",
    re.I,
)
_YOUR = ("", "your", "the", "our")
_NOUN = re.compile(
    r" (?!(?:is|as|to|in|at|on|for|and|or|when|if|it|the|your|this|that|will|expires?|below|above|"
    r"into|within|before|until|ist|als|und|oder|um|ein|est|pour|et|ou|es|para|y|o|come|per)\b)"
    r"[a-zäöüß]{2,}"
)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_AND = re.compile(r"\s*+(?:[,;/|·•]|\b(?:or|and|oder|und|ou|et|o|y)\b)?\s*", re.I)

_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u034f"))
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u3000"), " ")
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[!-~]+|[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}", re.I
)
# Words and numbers with the punctuation that holds them together: 2026-11-30, 10:15, G-482913.
_RUN = re.compile(r"[A-Za-z0-9]+(?:(?:[-/._]|(?<=[0-9])[,:'’](?=[0-9]))[A-Za-z0-9]+)*")
_GROUPS = re.compile(r"(?<![A-Za-z0-9])[0-9]++(?:[ \t][0-9][0-9]*+)++")
_GROUPED = {(3, 3), (4, 4), (2, 2, 2), (3, 3, 3), *((1,) * n for n in range(4, 9))}
_LETTERED = re.compile(r"(?=[A-Za-z0-9-]{4,20}$)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_DECORATION = " \t*_`'\"“”„«»‘’()[]|>•·-–—【】「」:="
_NEAR = 80  # characters around a number that are read
_MOST = 1000  # candidates of a text that are judged; no mail that asks for a code has as many


@dataclass
class _Found:
    """A number or word that may be a code: where it is in its line, and how it is returned."""

    line: int
    start: int
    end: int
    code: str
    digits: bool


def find_codes(texts: Iterable[str]) -> list[str]:
    """Returns the codes in the texts of one mail: its subject, its text. Each once, in order.

    Digits in groups are returned without what separates them (`482 913` and `482-913` as 482913), a
    code with letters as it is written (`G-482913`).
    """
    mails = [_Lines(text) for text in texts]
    about_codes = any(mail.about_codes for mail in mails)
    called: list[str] = []
    others: list[str] = []
    for mail in mails:
        for code, is_called in mail.codes(about_codes):
            (called if is_called else others).append(code)
    return list(dict.fromkeys(called or others))


class _Lines:
    """One text of a mail, in lines without addresses, which may hold any number."""

    def __init__(self, text: str) -> None:
        text = text.translate({**_UNSEEN, **_SPACES, **_HYPHENS})
        self._lines = _ADDRESS.sub("\ufffc", text).split("\n")
        self.about_codes = any(line and _names_code(line) for line in self._lines)
        self._undecorated: dict[int, tuple[int, int]] = {}  # where a line's text begins and ends

    def codes(self, about_codes: bool) -> Iterator[tuple[str, bool]]:
        """Yields each code, and whether it is called one. `about_codes`: whether the mail is."""
        last: _Found | None = None  # the last one that is called a code
        for found in itertools.islice(self._candidates(), _MOST):
            listed = last is not None and last.line == found.line and self._listed(last, found)
            if self._is_something_else(found) and not listed:
                continue
            if self._is_called_code(found, last, about_codes) or listed:
                last = found
                yield found.code, True
            elif found.digits and not self._is_unlikely(found):
                yield found.code, False

    # ── candidates ───────────────────────────────────────────────────────────

    def _candidates(self) -> Iterator[_Found]:
        for number, line in enumerate(self._lines):
            if not line:
                continue
            # The first ones of each kind are enough: no group holds more than two single ones.
            grouped = list(itertools.islice(self._grouped(number, line), _MOST))
            # What follows the last one may be in groups, too.
            end = grouped[-1].end if len(grouped) == _MOST else len(line)
            starts = [one.start for one in grouped]
            single = [
                one
                for one in itertools.islice(self._single(number, line), 2 * _MOST)
                if one.end <= end
                and (not (at := bisect_left(starts, one.end)) or grouped[at - 1].end <= one.start)
            ]
            for one in sorted([*grouped, *single], key=lambda one: one.start):
                if one.code:
                    yield one

    def _grouped(self, number: int, line: str) -> Iterator[_Found]:
        """Digits in groups with spaces between them. A phone number is found without a code."""
        for match in _GROUPS.finditer(line):
            groups = match[0].split()
            lengths = tuple(map(len, groups))
            code = "".join(groups)
            of_cells = "\t" in match[0]
            before = line[match.start() - 1 : match.start()]
            after = line[match.end() : match.end() + 1]
            if lengths in _GROUPED and (not of_cells or set(lengths) == {1}):
                glued = (
                    before.isalnum()
                    or before in tuple("+-./,")
                    or after.isalnum()
                    or after in ("-", "/")
                )
                yield _Found(number, match.start(), match.end(), "" if glued else code, True)
            elif not of_cells and (
                before == "+"
                or _is_phone_or_card(lengths)
                or _IBAN.search(line, max(0, match.start() - 6), match.start())
            ):
                yield _Found(number, match.start(), match.end(), "", True)

    def _single(self, number: int, line: str) -> Iterator[_Found]:
        for match in _RUN.finditer(line):
            run = match[0]
            around = line[match.start() - 1 : match.start()] + line[match.end() : match.end() + 1]
            if not around.isascii() and any(
                "À" <= letter < "\u2e80" and letter.isalpha() for letter in around
            ):
                continue  # a part of a word with other letters
            digits = run.replace("-", "")
            if run.isdigit():
                code = run if 4 <= len(run) <= 8 else ""
            elif digits.isdigit():
                code = digits if tuple(map(len, run.split("-"))) in _GROUPED else ""
                if code and all(_YEAR.fullmatch(part) for part in run.split("-")):
                    code = ""  # 2025-2026
            else:
                code = run if _LETTERED.fullmatch(run) and _may_be_lettered(run) else ""
            if code:
                yield _Found(number, match.start(), match.end(), code, digits.isdigit())

    # ── what is said about them ──────────────────────────────────────────────

    def _before(self, found: _Found) -> str:
        return self._lines[found.line][max(0, found.start - _NEAR) : found.start]

    def _after(self, found: _Found) -> str:
        return self._lines[found.line][found.end : found.end + _NEAR]

    def _is_something_else(self, found: _Found) -> bool:
        before, after = self._before(found), self._after(found)
        if _NOT_BEFORE.search(before[-24:].replace("\t", " ")):
            return True
        if _MASKED.search(before[-24:]) and not after.lstrip().startswith("*"):
            return True
        if found.digits and _NOT_AFTER.match(after):
            return True
        other = _OTHER.search(before[-48:])
        if other is None:
            return _OTHER_CODE.search(before[-24:]) is not None
        # `Enter this code to open your account: 482913`, but `Code: 482913, account: 4711`.
        claimed = _names_code(_clause(before[: len(before) - len(other[0])]))
        return not (claimed and other["sign"] and not re.search(r"[0-9]{4}", before))

    def _is_called_code(self, found: _Found, last: _Found | None, about_codes: bool) -> bool:
        before, after = self._before(found), self._after(found)
        if last is not None and last.line == found.line:
            before = before[max(0, len(before) - (found.start - last.end)) :]
        clause = _clause(before)
        end = _SENTENCE_END.search(after)
        rest = after[: end.start()] if end else after
        words = found.code.replace("-", "").isalpha() and found.code.islower()
        if words:  # `quiet-blue-fawn` is a code only on a line for itself
            return about_codes and self._is_alone(found, last)
        year = found.digits and _YEAR.fullmatch(found.code)
        if _names_code(clause):
            directly = bool(_NAMES_DIRECTLY.search(clause.replace("\t", ": ")))
            timed = len(found.code) == 4 and _TIME_WORD.search(clause)
            if directly or (found.digits and not year and not timed):
                return True
        own = found.digits and not year and not re.search(r"[0-9]{4}", rest)  # of the next words
        if _names_code(rest) and (own or _IS_CALLED.match(rest)):
            return True
        return about_codes and self._is_alone(found, last)

    def _is_alone(self, found: _Found, last: _Found | None) -> bool:
        """Whether it has a line for itself, and for letters, whether a line beside it says why."""
        if found.line not in self._undecorated:
            line = self._lines[found.line]
            begin = len(line) - len(line.lstrip(_DECORATION))
            self._undecorated[found.line] = begin, len(line.rstrip(_DECORATION))
        begin, end = self._undecorated[found.line]
        if not (found.start <= begin and end <= found.end):
            return False
        lines, at = self._lines, found.line
        above = next((one for one in lines[max(0, at - 4) : at][::-1] if one.strip()), "")
        if found.digits:
            label = _OTHER.search(above[-_NEAR:])  # `Order number`, and below it the number
            return not (label and above[: -len(label[0])].strip().casefold() in _YOUR)
        below = next((one for one in lines[at + 1 : at + 5] if one.strip()), "")
        if last is not None and self._lines[last.line] is above:  # a list of codes goes on
            return len(last.code) == len(found.code)
        if not any(map(str.isdigit, found.code)) and (
            "-" not in found.code or found.code.islower()
        ):
            return _names_code(above) and above.rstrip().endswith(":")
        return _names_code(above) or _names_code(below)

    def _listed(self, last: _Found, found: _Found) -> bool:
        """Whether it continues a list of codes: `1111-2222, 3333-4444 or 5555-6666`."""
        same_kind = last.digits == found.digits and len(last.code) == len(found.code)
        between = self._lines[found.line][last.end : found.start]
        return same_kind and bool(_AND.fullmatch(between))

    def _is_unlikely(self, found: _Found) -> bool:
        """Whether a number that nothing calls a code is rather a year, a count or an address."""
        before, after = self._before(found), self._after(found)
        if _YEAR.fullmatch(found.code) or _NOUN.match(after) or _STATE.search(before):
            return True
        # `1600 Main Street`, `10115 Berlin`; `#4711`
        place = len(found.code) <= 5 and re.match(r" [A-ZÄÖÜ]", after)
        return bool(place) or before.endswith("#") or bool(_TIME_WORD.search(before[-24:]))


def _names_code(text: str) -> bool:
    lower = text.lower()
    if not any(hint in lower for hint in _CODE_HINTS):
        return False
    return _CODE.search(_OTHER_CODE.sub("", text)) is not None


def _clause(before: str) -> str:
    """The end of the text that is in the same sentence."""
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    return before[ends[-1] :] if ends else before


def _is_phone_or_card(lengths: tuple[int, ...]) -> bool:
    """Whether digits in groups of these lengths are one number: `030 123 4567`, no `482913 10`."""
    if lengths == (4, 4, 4, 4):
        return True
    *small, longest = sorted(lengths)
    return 7 <= sum(lengths) <= 15 and not (longest >= 6 and max(small) <= 2)


def _may_be_lettered(run: str) -> bool:
    """Whether letters may be a code: `A1B2C3`, `WDJB-MJHT`, `quiet-fawn`, and no `6-digit`."""
    if re.fullmatch(r"[0-9]{1,4}-?[a-z]{2,}|[A-Z]?[a-z]+-?[0-9]{0,2}", run) or (
        _MASKED_RUN.fullmatch(run)
    ):
        return False
    words = run.islower() and "-" in run
    return words or any(map(str.isdigit, run)) or run.isupper()

"""The grammar of SMTP commands: paths (RFC 5321 §4.1.2, RFC 6531 §3.3) and ESMTP parameters."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

# Everything beyond ASCII may be in an address (RFC 6531 §3.3). The sets name what is not in them,
# because `re` compiles that without a table of 65,536 characters. Each table took milliseconds, and
# all of them a third of the time in which `import fakes` ran.
_ATOM = r"[^\x00-\x20\"(),.:;<>@\[\\\]\x7f]+"
# RFC 5321 §4.1.2 has no underscore in a domain, but DNS has, and real servers accept it.
_NOT_IN_LABEL = r"\x00-,./:-@\[-\^`{-\x7f"
_LABEL = rf"[^{_NOT_IN_LABEL}-](?:[^{_NOT_IN_LABEL}]*[^{_NOT_IN_LABEL}-])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+|[A-Za-z0-9-]*[A-Za-z0-9]:[!-Z^-~]+)\]"
_QUOTED = r'"(?:[^\x00-\x1f"\\\x7f]|\\[ -~])*"'
# A byte that is not UTF-8 arrives as one of these. It may not be in an address.
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# Nearly every path is this simple, and the full grammar costs several times as much.
_SIMPLE = re.compile(rf"<({_ATOM}(?:\.{_ATOM})*@{_DOMAIN})>(?: (.*))?", re.S)
_SPECIAL = re.compile(r"<(|postmaster)>(?: (.*))?", re.I | re.S)


@cache
def _full() -> re.Pattern[str]:
    """The whole grammar, which takes long to compile, and which few programs need."""
    return re.compile(
        # A source route is ignored (RFC 5321 §4.1.1.3).
        rf"<(?P<path>(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
        rf"(?:(?P<atoms>{_ATOM}(?:\.{_ATOM})*)|(?P<quoted>{_QUOTED}))"
        rf"@(?P<domain>{_DOMAIN}|{_LITERAL}))>(?: (?P<rest>.*))?",
        re.S,
    )


@lru_cache(128)  # most programs write to few addresses
def parse_path(text: str, *, null: bool) -> tuple[str, str]:
    """Splits `<address> parameters` into the address and the parameters.

    All quoted forms of an address give the same one. `null` says whether `<>` is a path here;
    where it is not, `<Postmaster>` is. Raises ValueError, which says what is wrong, if there is no
    path.
    """
    match = _SIMPLE.fullmatch(text)
    if match and not _SURROGATE.search(match[1]):
        return match[1], match[2] or ""
    match = _full().fullmatch(text)
    if match and not _SURROGATE.search(match["path"]):
        local = match["atoms"] or _unquoted(match["quoted"])
        return f"{local}@{match['domain']}", match["rest"] or ""
    match = _SPECIAL.fullmatch(text)
    if match and bool(match[1]) != null:
        return match[1], match[2] or ""
    if text.startswith(" ") and text.lstrip(" ").startswith("<"):
        raise ValueError("No space is allowed after the colon")
    raise ValueError("No address in angle brackets")


def _unquoted(quoted: str) -> str:
    """A quoted local part in its shortest form: without quotes where they are not needed."""
    content = re.sub(r"\\(.)", r"\1", quoted[1:-1])
    if re.fullmatch(rf"{_ATOM}(?:\.{_ATOM})*", content):
        return content
    return '"' + re.sub(r'(["\\])', r"\\\1", content) + '"'


class Parameter(NamedTuple):
    """A parameter of MAIL or RCPT: the extensions that bring it, and the form of its value.

    `form` is a regular expression, "" for a parameter without a value. A value listed in `needs`
    requires one more extension.
    """

    extension: str
    form: str
    section: str
    needs: tuple[tuple[str, str], ...] = ()


_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"  # RFC 3461 §4
MAIL_PARAMETERS = {
    "SIZE": Parameter("SIZE", r"\d{1,20}", "RFC 1870 §6"),
    "BODY": Parameter(
        "8BITMIME",
        r"7BIT|8BITMIME|BINARYMIME",
        "RFC 6152 §2",
        needs=(("BINARYMIME", "BINARYMIME"),),
    ),
    "SMTPUTF8": Parameter("SMTPUTF8", "", "RFC 6531 §3.4"),
    "RET": Parameter("DSN", r"FULL|HDRS", "RFC 3461 §4.3"),
    "ENVID": Parameter("DSN", rf"(?=.{{1,100}}$){_XTEXT}", "RFC 3461 §4.4"),
    "AUTH": Parameter("AUTH", rf"<>|{_XTEXT}", "RFC 4954 §5"),
}
RCPT_PARAMETERS = {
    "NOTIFY": Parameter(
        "DSN",
        r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*",
        "RFC 3461 §4.1",
    ),
    "ORCPT": Parameter(
        "DSN",
        r"(?=.{1,500}$)[a-z0-9-]+;(?:[^\x00-\x20+=\x7f]|\+[0-9A-F]{2})+",
        "RFC 3461 §4.2",
    ),
}
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f\udc80-\udcff]+))?")


def parse_parameters(text: str) -> dict[str, str | None]:
    """Returns `KEYWORD` and `KEYWORD=value` words as a mapping with keywords in capitals.

    Raises ValueError for a word of another form, and for a keyword that occurs twice.
    """
    parameters: dict[str, str | None] = {}
    for word in text.split(" "):
        if not word:
            continue
        match = _PARAMETER.fullmatch(word)
        if match is None or match[1].upper() in parameters:
            raise ValueError("Parameters are KEYWORD or KEYWORD=value, each once")
        parameters[match[1].upper()] = match[2]
    return parameters

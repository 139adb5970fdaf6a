"""Which words of a command are passwords, what stands there instead in transcripts, and what such a label stands for.

`{roasted NAME}` the password as sign-on commands carry it, `{code NAME}` the number that TOC2 derives from it, `{old NAME}`
and `{new NAME}` for toc_change_passwd; ` wrong` behind makes it a wrong one. `{hidden command}`: no word can be told from
another there, so all of it is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fakes.toc.aim import Aim
from fakes.toc.arguments import Word
from fakes.toc.frames import HEADER
from fakes.toc.lists import fold
from fakes.toc.roasting import code, roast, unroast
from fakes.wire import Secret

SIGN_ONS = ("toc_signon", "toc2_signon", "toc2_login")
SECRETIVE = frozenset({*SIGN_ONS, "toc_change_passwd"})  # commands that hold a password
KINDS = ("roasted", "code", "old", "new")
NOT_READABLE = "hidden command"
NEW_PASSWORD = "changed"  # what `{new NAME}` says


def masks(verb: str, text: str, said: Sequence[Word], aim: Aim, user: str) -> Iterator[Secret]:
    """The spans, in the whole frame, of the secrets in a command; `said` are the words behind its verb."""
    if not said:
        begin = text.lower().index(verb) + len(verb)
        begin = len(text) - len(text[begin:].lstrip())
        if text[begin:]:
            yield Secret(HEADER + begin, HEADER + len(text), NOT_READABLE)
    elif verb == "toc_change_passwd":
        for word, kind in zip(said, ("old", "new"), strict=False):
            if word.text:
                yield _mask(word, user, kind, aim)
    else:
        name = said[2].text if len(said) > 2 else ""
        for word in said[3:4]:
            yield _mask(word, name, "roasted", aim)
        if verb != "toc_signon" and len(said) > 7:
            yield _mask(said[-1], name, "code", aim)


def _mask(word: Word, name: str, kind: str, aim: Aim) -> Secret:
    account = aim.known.find(name)
    who = fold(name) if account is not None else "nobody"
    right = False
    if account is not None and kind == "roasted":
        right = aim.authenticate(name, unroast(word.text)) is not None
    elif account is not None:
        right = kind == "new" or word.text == (account.password if kind == "old" else str(code(name, account.password)))
    return Secret(HEADER + word.start, HEADER + word.end, f"{kind} {who}" + ("" if right else " wrong"))


def unmasked(label: str, aim: Aim) -> bytes:
    """The word that a label stands for."""
    if label == NOT_READABLE:
        return b'"'
    kind, _, rest = label.partition(" ")
    name, _, wrong = rest.partition(" ")
    account = aim.known.find(name)
    password = "wrong" if wrong or account is None else account.password
    if kind == "roasted":
        return roast(password.encode()).encode()
    if kind == "code":
        return b"0" if wrong or account is None else str(code(name, password)).encode()
    return (NEW_PASSWORD if kind == "new" else password).encode()

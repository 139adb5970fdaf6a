"""Labels that hide passwords in transcripts.

    {roasted NAME}        the password, as sign-on commands carry it
    {code NAME}           the number that TOC2 clients derive from it
    {old NAME}            the first argument of toc_change_passwd: the password
    {new NAME}            the second argument: the new password
    {hidden command}      all arguments, if the command cannot be split into words

` wrong` after the name marks a value that does not fit the account.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fakes.toc.aim import Aim, encodings
from fakes.toc.arguments import Word
from fakes.toc.frames import HEADER
from fakes.toc.lists import fold
from fakes.toc.presence import Account
from fakes.toc.roasting import code, roast, unroast
from fakes.wire import Secret

SIGN_ONS = ("toc_signon", "toc2_signon", "toc2_login")
WITH_PASSWORD = frozenset({*SIGN_ONS, "toc_change_passwd"})
KINDS = ("roasted", "code", "old", "new")
HIDDEN_COMMAND = "hidden command"
NEW_PASSWORD = "changed"  # the value of `{new NAME}` in a transcript


def masks(verb: str, text: str, arguments: Sequence[Word], aim: Aim, user: str) -> Iterator[Secret]:
    """Yields the secrets of a command, with their positions in the whole frame.

    `text` is the command, `arguments` its words after the verb, `user` the name signed on.
    """
    if not arguments:
        begin = text.lower().index(verb) + len(verb)
        begin = len(text) - len(text[begin:].lstrip())
        if text[begin:]:
            yield Secret(HEADER + begin, HEADER + len(text), HIDDEN_COMMAND)
    elif verb == "toc_change_passwd":
        for word, kind in zip(arguments, ("old", "new"), strict=False):
            if word.text:
                yield _mask(word, user, kind, aim)
    else:
        name = arguments[2].text if len(arguments) > 2 else ""
        for word in arguments[3:4]:
            yield _mask(word, name, "roasted", aim)
        if verb != "toc_signon" and len(arguments) > 7:
            yield _mask(arguments[-1], name, "code", aim)


def _mask(word: Word, name: str, kind: str, aim: Aim) -> Secret:
    account = aim.known.find(name)
    if account is None:
        label = f"{kind} nobody wrong"
    elif kind == "new" or _is_right(word.text, name, account, kind):
        label = f"{kind} {fold(name)}"
    else:
        label = f"{kind} {fold(name)} wrong"
    return Secret(HEADER + word.start, HEADER + word.end, label)


def _is_right(text: str, name: str, account: Account, kind: str) -> bool:
    """Whether a word fits the account's password. `name` is as the client wrote it."""
    if kind == "roasted":
        return unroast(text) in encodings(account.password)
    expected = account.password if kind == "old" else str(code(name, account.password))
    return text == expected


def unmasked(label: str, aim: Aim) -> bytes:
    """Returns the word that a label hides."""
    if label == HIDDEN_COMMAND:
        return b'"'  # any command that cannot be split will do
    kind, _, rest = label.partition(" ")
    name, _, wrong = rest.partition(" ")
    account = aim.known.find(name)
    password = "wrong" if wrong or account is None else account.password
    if kind == "roasted":
        return roast(password.encode()).encode()
    if kind == "code":
        return b"0" if wrong or account is None else str(code(name, password)).encode()
    return (NEW_PASSWORD if kind == "new" else password).encode()

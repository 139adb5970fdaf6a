"""What is said in TOC's frames: commands to the server, messages from it. Text and octets; no sockets here.

Octets are Latin-1, so that each of them survives; a character beyond it goes as an HTML reference (`&#8364;`), since
whatever people read over TOC is HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

COMMAND = (
    2048 - 6 - 1
)  # octets of a command: with header and NUL it stays within the 2,048 on which servers hang up

# Fields are parted by colons and not escaped; the last one of each message runs to the end, colons included.
FIELDS: dict[str, tuple[str, ...]] = {
    word: tuple(fields.split())
    for word, fields in {
        "SIGN_ON": "version",
        "CONFIG": "text",
        "CONFIG2": "text",
        "NICK": "name",
        "IM_IN": "sender auto text",
        "IM_IN2": "sender auto whisper text",
        "IM_IN_ENC2": "sender auto - - class - encoding language text",
        "UPDATE_BUDDY": "name online evil signon idle class",
        "UPDATE_BUDDY2": "name online evil signon idle class code",
        "BUDDY_CAPS2": "name capabilities",
        "ERROR": "code argument",
        "EVILED": "level by",
        "CHAT_JOIN": "id room",
        "CHAT_IN": "id sender whisper text",
        "CHAT_IN_ENC": "id sender whisper encoding language text",
        "CHAT_UPDATE_BUDDY": "id inside names",
        "CHAT_INVITE": "room id sender text",
        "CHAT_LEFT": "id",
        "GOTO_URL": "window url",
        "DIR_STATUS": "status",
        "ADMIN_NICK_STATUS": "status",
        "ADMIN_PASSWD_STATUS": "status",
        "NEW_BUDDY_REPLY2": "name status",
        "CLIENT_EVENT2": "name event",
        "INSERTED2": "kind text",
        "DELETED2": "kind text",
        "UPDATED2": "kind text",
        "PAUSE": "",
    }.items()
}
_OPTIONAL = {
    ("ERROR", "argument"),
    ("EVILED", "by"),
    ("UPDATE_BUDDY", "class"),
    ("CHAT_UPDATE_BUDDY", "names"),
}

# What the codes of ERROR mean; $1 is its argument.
ERRORS: dict[int, str] = {
    901: "$1 is not available",
    902: "a warning of $1 is not available",
    903: "a message was dropped: faster than the server allows",
    911: "the input is not valid",
    912: "the account is not valid",
    913: "an error while the request was processed",
    914: "the service is not available",
    915: "another request is still under way",
    930: "the list server is down",
    931: "the buddy or group cannot be added",
    950: "the chat in $1 is not available",
    960: "messages go too fast to $1",
    961: "an IM from $1 was too big and is lost",
    962: "an IM from $1 came too fast and is lost",
    970: "the directory failed",
    971: "the directory found too many matches",
    972: "the directory needs more to search by",
    973: "the directory is not available for now",
    974: "the look-up by e-mail address is restricted",
    975: "the keyword was ignored",
    976: "there are no keywords",
    977: "the language is not supported",
    978: "the country is not supported",
    979: "the directory failed: $1",
    980: "the screen name or the password is wrong",
    981: "the service is not available for now",
    982: "the warning level is too high to sign on",
    983: "connecting too often: wait ten minutes, longer if it goes on",
    989: "the sign-on failed: $1",
    998: "the server finds this client outdated",
}


@dataclass(frozen=True)
class Message:
    """One message of the server, by the names of FIELDS. A word that is not known has one field, `text`."""

    kind: str
    fields: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.fields[name]


@dataclass(frozen=True)
class Complaint:
    """An ERROR of the server: its number, and what that means."""

    code: int
    argument: str = ""

    @property
    def text(self) -> str:
        """What the code means, with the argument filled in."""
        return ERRORS.get(self.code, "unknown to this client: $1").replace(
            "$1", self.argument or "?"
        )

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def parse(payload: bytes) -> Message:
    """The message in a DATA frame's payload. Raises ValueError when fields are missing."""
    word, _, rest = payload.rstrip(b"\0").decode("latin-1").partition(":")
    names = FIELDS.get(word, ("text",))
    values = rest.split(":", max(len(names) - 1, 0))
    for name in names[len(values) :]:
        if (word, name) not in _OPTIONAL:
            raise ValueError(f"{word} has no field {name!r}: {rest!r}")
        values.append("")
    fields = dict(zip(names, values, strict=False))
    if fields.get("encoding") == "U":
        fields["text"] = fields["text"].encode("latin-1").decode("utf-8", "replace")
    return Message(word, fields)


def complaint(message: Message) -> Complaint:
    """The ERROR in a message; a code that is no number counts as 0."""
    code = message["code"]
    return Complaint(int(code) if code.isdecimal() else 0, message["argument"])


# ── commands ─────────────────────────────────────────────────────────────────


def encode_command(line: str) -> bytes:
    """A command as the payload of a DATA frame. Raises ValueError when it is longer than servers take."""
    raw = line.encode("latin-1", "xmlcharrefreplace")
    if len(raw) > COMMAND:
        raise ValueError(
            f"{line.split()[0]} has {len(raw)} octets; servers hang up on more than {COMMAND}"
        )
    return raw + b"\0"


def normalize(name: str) -> str:
    """A screen name as servers compare it: lower case, no blanks."""
    return "".join(name.lower().split())


def argument(text: str) -> str:
    """An argument, quoted where it must be."""
    return text if re.fullmatch(r"[\w@.,:;#!/+-]+", text, re.ASCII) else quote(text)


def quote(text: str) -> str:
    """An argument in quotes. Whatever a server might take for more than itself gets a backslash; NUL ends nothing."""
    return '"' + escape(text) + '"'


def escape(text: str) -> str:
    """Text within quotes or braces."""
    return re.sub(r'([${}\[\]()"\\])', r"\\\1", text.replace("\0", "\ufffd"))


def signon_command(name: str, password: str) -> str:
    """`toc2_signon`. Raises ValueError for a name or password that TOC cannot carry."""
    own = normalize(name)
    if not own or not password:
        raise ValueError("a screen name and a password are needed, both of one character at least")
    return (
        f"toc2_signon login.oscar.aol.com 5190 {argument(own)} {roast(password)} english {quote('TIC:comms')} 160 "
        f"{signon_code(own, password)}"
    )


def roast(password: str) -> str:
    """The password as the sign-on command carries it: hidden from a glance, from nobody else."""
    try:
        raw = password.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            "the password has characters beyond Latin-1, which TOC cannot carry"
        ) from None
    key = b"Tic/Toc"
    return "0x" + bytes(octet ^ key[at % len(key)] for at, octet in enumerate(raw)).hex()


def signon_code(name: str, password: str) -> int:
    """The number behind `160` in toc2_signon. Two recipes are published, and give the same."""
    return 7696 * ord(name[0]) * ord(password[0])

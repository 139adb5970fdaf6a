"""What TOC's frames contain: commands to the server, and messages from it. No sockets.

Text is encoded in Latin-1, which every byte survives. Other characters are sent as HTML references
(`&#8364;`), because everything that people read over TOC is HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from comms import numbers

# Bytes of a command. Servers hang up on more than 2,048, which include the frame's header (6 bytes)
# and a NUL at the end.
COMMAND = 2048 - 6 - 1

# The fields of each kind of message. They are separated by colons and not escaped, so the last one
# extends to the end of the message, colons included. `-` is a field that is not used here.
FIELDS: dict[str, tuple[str, ...]] = {
    kind: tuple(names.split())
    for kind, names in {
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
# Fields that servers leave out.
_OPTIONAL = {
    ("ERROR", "argument"),
    ("EVILED", "by"),
    ("UPDATE_BUDDY", "class"),
    ("CHAT_UPDATE_BUDDY", "names"),
}

# What the codes of ERROR mean. $1 is replaced by its argument.
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


# What codes about a sign-on mean when they come later, about something else.
MID_SESSION: dict[int, str] = {
    982: "an error in mid-session: the warning level is too high",
    983: "an error in mid-session: too much in a short time; wait before the next command",
    989: "an unknown error in mid-session: $1",
}


# ── messages from the server ─────────────────────────────────────────────────


@dataclass(frozen=True)
class Message:
    """A message from the server. `fields` has the names in FIELDS.

    A message of an unknown kind has one field, `text`.
    """

    kind: str
    fields: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.fields[name]


@dataclass(frozen=True)
class Complaint:
    """An ERROR from the server. A value, and not an exception, because most of them are news.

    `mid_session`: it came after the sign-on, where some codes mean something else.
    """

    code: int
    argument: str = ""
    mid_session: bool = field(default=False, compare=False)

    @property
    def text(self) -> str:
        """What the code means, with the argument filled in."""
        meaning = ERRORS.get(self.code, "unknown to this client: $1")
        if self.mid_session:
            meaning = MID_SESSION.get(self.code, meaning)
        return meaning.replace("$1", self.argument or "?")

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


def parse(payload: bytes) -> Message:
    """Returns the message in the payload of a DATA frame.

    Raises ValueError if a field is missing.
    """
    kind, _, rest = payload.rstrip(b"\0").decode("latin-1").partition(":")
    names = FIELDS.get(kind, ("text",))
    values = rest.split(":", max(len(names) - 1, 0))
    for name in names[len(values) :]:
        if (kind, name) not in _OPTIONAL:
            raise ValueError(f"{kind} has no field {name!r}: {rest!r}")
        values.append("")
    fields = dict(zip(names, values, strict=False))
    if fields.get("encoding") == "U":
        # This field alone is UTF-8; the others are Latin-1.
        fields["text"] = fields["text"].encode("latin-1").decode("utf-8", "replace")
    return Message(kind, fields)


def complaint(message: Message, mid_session: bool = True) -> Complaint:
    """Returns the content of an ERROR. A code that is not a number becomes 0.

    `mid_session` says whether it came after the sign-on.
    """
    try:
        code = number(message["code"])
    except ValueError:
        code = 0
    return Complaint(code, message["argument"], mid_session)


def number(text: str) -> int:
    """Returns a field that is a number; 0 if it is empty. Raises ValueError if it is not one.

    It has at most 18 digits. Python refuses to convert some thousand digits, and 400 of them are
    too large for a float, so that a server's mistake would look like one of ours.
    """
    found = numbers.number(text or "0", 10**18 - 1)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a number of at most 18 digits")
    return found


# ── commands to the server ───────────────────────────────────────────────────


def encode_command(line: str) -> bytes:
    """Returns a command as the payload of a DATA frame.

    Raises ValueError if it is longer than servers accept, or contains a NUL.
    """
    raw = encode(line)
    command = line.partition(" ")[0][:40]
    if b"\0" in raw:
        position = line.index("\0")
        raise ValueError(f"{command}: a NUL at position {position} would end the command")
    if len(raw) > COMMAND:
        raise ValueError(
            f"{command} has {len(raw)} bytes; servers hang up on more than {COMMAND}: shorten it"
        )
    return raw + b"\0"


def encode(text: str) -> bytes:
    """Returns text in Latin-1, with a reference for each character that Latin-1 does not have."""
    return text.encode("latin-1", "xmlcharrefreplace")


def normalize(name: str) -> str:
    """Returns a screen name in the form that servers compare: lower case, without spaces."""
    return "".join(name.lower().split())


def argument(text: str) -> str:
    """Returns text as an argument, in quotes if necessary."""
    return text if re.fullmatch(r"[\w@.,:;#!/+-]+", text, re.ASCII) else quote(text)


def quote(text: str) -> str:
    """Returns text as an argument in quotes."""
    return '"' + escape(text) + '"'


def escape(text: str) -> str:
    """Escapes text inside quotes or braces.

    Every character that has a meaning to some server gets a backslash. NUL would end the command,
    and becomes U+FFFD.
    """
    return re.sub(r'([${}\[\]()"\\])', r"\\\1", text.replace("\0", "\ufffd"))


def signon_command(name: str, password: str) -> str:
    """Returns the `toc2_signon` command.

    Raises ValueError for a name or password that TOC cannot transmit, or that is too long.
    """
    own = normalize(name)
    if not own or not password:
        raise ValueError("a screen name and a password of at least one character are necessary")
    command = (
        f"toc2_signon login.oscar.aol.com 5190 {argument(own)} {roast(password)} english "
        f"{quote('TIC:comms')} 160 {signon_code(own, password)}"
    )
    encode_command(command)  # raises ValueError now, and not at each attempt to sign on
    return command


def roast(password: str) -> str:
    """Returns the password as it is sent: XORed with a published key, so not secret at all.

    Raises ValueError for characters beyond Latin-1.
    """
    try:
        raw = password.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            "the password contains characters beyond Latin-1, which TOC cannot transmit"
        ) from None
    key = b"Tic/Toc"
    return "0x" + bytes(byte ^ key[at % len(key)] for at, byte in enumerate(raw)).hex()


def signon_code(name: str, password: str) -> int:
    """Returns the number after `160` in toc2_signon.

    Two formulas for it have been published. They have the same result.
    """
    return 7696 * ord(name[0]) * ord(password[0])

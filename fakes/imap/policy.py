"""How the IMAP server is configured, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fakes import sasl

# Capability → the commands that exist only with it, in the order in which CAPABILITY lists them.
# All other commands always exist.
BRINGS: dict[str, tuple[str, ...]] = {
    "SASL-IR": (),  # RFC 4959
    "ID": ("ID",),  # RFC 2971
    "ENABLE": ("ENABLE",),  # RFC 5161
    "IDLE": ("IDLE",),  # RFC 2177
    "LITERAL+": (),  # RFC 7888
    "STARTTLS": ("STARTTLS",),
    "NAMESPACE": ("NAMESPACE",),  # RFC 2342
    "UIDPLUS": ("UID_EXPUNGE",),  # RFC 4315
    "UNSELECT": ("UNSELECT",),  # RFC 3691
    "CHILDREN": (),  # RFC 3348
    "MOVE": ("MOVE", "UID_MOVE"),  # RFC 6851
    "SPECIAL-USE": (),  # RFC 6154
    "CREATE-SPECIAL-USE": (),
    "LIST-EXTENDED": (),  # RFC 5258
    "ESEARCH": (),  # RFC 4731
    "SORT": ("SORT", "UID_SORT"),  # RFC 5256
    "THREAD=ORDEREDSUBJECT": (),
    "THREAD=REFERENCES": (),
    "CONDSTORE": (),  # RFC 7162
    "QUOTA": ("GETQUOTA", "GETQUOTAROOT", "SETQUOTA"),  # RFC 9208
    "QUOTA=RES-STORAGE": (),
    "STATUS=SIZE": (),  # RFC 8438
    "UTF8=ACCEPT": (),  # RFC 6855
}
# What cannot be there without another one (RFC 9208 §3.1.1, RFC 6154 §3).
NEEDS = {"QUOTA=RES-STORAGE": "QUOTA", "CREATE-SPECIAL-USE": "SPECIAL-USE"}
BEFORE_LOGIN = ("SASL-IR", "ID", "ENABLE", "IDLE", "LITERAL+", "STARTTLS")
MECHANISMS = tuple(sasl.offered(True, frozenset()))
# Where TLS is required, these are not allowed before it: they send the password.
CLEAR = frozenset({"PLAIN", "LOGIN"})


@dataclass(frozen=True, slots=True)
class Policy:
    """How this server is configured. `off` names capabilities that it does not have."""

    tls: Literal["off", "optional", "required"] = "off"  # STARTTLS; required: before any login
    size: int = 52_428_800  # bytes of a message that APPEND brings
    # Failed commands in a row, the last of which ends the connection; 0: any number.
    bad_commands: int = 20
    preauth: str = ""  # the address of an account that is logged in from the start (PREAUTH)
    literal_minus: bool = False  # LITERAL- instead of LITERAL+ (RFC 7888 §5)
    # Accept UTF-8 in the header of a message from a client that has not enabled UTF8=ACCEPT, as
    # real servers do. RFC 6855 §4 demands that it is refused.
    lenient_utf8: bool = False
    # Accept any escape in a quoted string, more than one space between arguments, spaces at the
    # end of a command, and arguments of a command that takes none, against RFC 3501 §9.
    lenient_syntax: bool = False
    bare_lf: bool = False  # a bare LF ends a line, too, against RFC 3501 §2.2
    # BADs before the login, in a row or not, the last of which is BYE; 0: as `bad_commands`.
    bad_commands_before_login: int = 0
    ignore_initial_response: bool = False  # where the server begins, against RFC 4959 §3
    # What becomes of commands that come together with STARTTLS (RFC 3501 §6.2.1). They never run.
    starttls_pipelined: Literal["drop", "hang-up"] = "drop"
    # Answer ENABLE with ENABLED even if it had no effect (RFC 5161 §3.1).
    empty_enabled: bool = True
    # Under EXAMINE, MOVE and EXPUNGE work, and STORE has no effect, against RFC 3501 §6.3.2.
    examine_permits: bool = False
    rename_inbox: bool = True  # its mail moves (RFC 3501 §6.3.5); false: refuse
    store_answers: Literal["all", "changed"] = "all"  # of its messages (RFC 3501 §6.4.6)
    # FETCH of the text of a mail that another session has removed (RFC 5530 §3, EXPUNGEISSUED).
    removed_mails: Literal["served", "nil"] = "served"
    # A literal that is not waited for, after a command that does not exist: it is swallowed
    # (RFC 7888 §3), or after the login it is run as commands.
    unknown_literals: Literal["swallow", "run"] = "swallow"
    # No code for a mailbox that SELECT, STATUS or SUBSCRIBE does not find, nor for DELETE of INBOX
    # (RFC 5530 §3), and BADCHARSET without the charsets.
    fewer_codes: bool = False
    # What a structure has for an invalid Content-Type: its only word, or "", and not text/plain
    # (RFC 2045 §5.2).
    broken_types: bool = False
    wrong_login_delay: float = 0.0  # seconds until a wrong login is answered (RFC 3501 §11.2)
    scram: bool = False  # offer SCRAM, too, which many mail servers do not
    off: frozenset[str] = frozenset()

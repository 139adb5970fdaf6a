"""What can go wrong, told apart: each error knows the exit code that a program ends with."""

from __future__ import annotations


class CommsError(Exception):
    """Any failure of talking that a program should expect."""

    exit_code = 70


class SettingsError(CommsError):
    """The settings cannot be used; the text names the file, the key and the remedy."""

    exit_code = 2


class Unreachable(CommsError):
    """No server there, no answer in time, or the link was lost before anything took effect: try again, lose nothing."""

    exit_code = 3


class Refused(CommsError):
    """The server said no, for good (SMTP 5yz, POP3 -ERR): trying the same again is pointless."""

    exit_code = 4


class TryLater(CommsError):
    """The server said no, for now (SMTP 4yz, POP3 [IN-USE]): the same may succeed later."""

    exit_code = 4


class Unknown(CommsError):
    """The link was lost between asking and hearing: it may have happened, or not."""

    exit_code = 5


class StateError(CommsError):
    """What a program must remember cannot be read or written, or another instance holds it."""

    exit_code = 5

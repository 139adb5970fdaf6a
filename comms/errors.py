"""The errors of this package. Each class has the exit code that a program should end with."""

from __future__ import annotations


class CommsError(Exception):
    """Base class of the failures that a program should expect when it communicates."""

    exit_code = 70


class SettingsError(CommsError):
    """The settings cannot be used. The text is `FILE: KEY: PROBLEM; REMEDY`."""

    exit_code = 2


class Unreachable(CommsError):
    """There was no server, no answer in time, or the connection was lost.

    Nothing has taken effect, so trying again loses nothing and repeats nothing.
    """

    exit_code = 3


class Refused(CommsError):
    """The server refused permanently (SMTP 5yz, POP3 -ERR). Trying the same again is pointless."""

    exit_code = 4


class RefusedNow(Refused):
    """The server refused what it must be able to do, such as to list the mails.

    Unlike a refused login, this may be different at the next attempt, so a program goes on.
    """


class OddReply(RefusedNow, Unreachable):
    """The server's answer has a number that is none. It is refused, and the connection cut."""


class TryLater(CommsError):
    """The server refused for now (SMTP 4yz, POP3 [IN-USE]). The same may succeed later."""

    exit_code = 4


class Unknown(CommsError):
    """The connection was lost between a request and its answer. It may have taken effect or not."""

    exit_code = 5


class StateError(CommsError):
    """What a program must remember cannot be read or written, or another instance has locked it."""

    exit_code = 5

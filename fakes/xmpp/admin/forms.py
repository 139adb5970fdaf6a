"""The forms of service administration, and what is read from them (XEP-0133 §8.2)."""

from __future__ import annotations

from fakes.xmpp.extensions.commands import COMMANDS, Step
from fakes.xmpp.forms import Field, Form, build
from fakes.xmpp.markup import element
from fakes.xmpp.stanzas import StanzaError

ADMIN = "http://jabber.org/protocol/admin"
KINDS = ("registered", "disabled", "online")  # of users
_SHOWN = ("25", "50", "75", "100", "150", "200", "none")  # of a list of users
_DELAYS = ("0", "30", "60", "90", "120", "180", "240", "300")  # seconds

_ACCOUNT = Field("accountjid", "jid-single", "The Jabber ID of the account", required=True)
_ACCOUNTS = Field("accountjids", "jid-multi", "The Jabber IDs of the accounts", required=True)
_PASSWORD = Field("password", "text-private", "The password for this account", required=True)
_AGAIN = Field("password-verify", "text-private", "Retype password")
_MOST = Field("max_items", "list-single", "Maximum number of users", ("none",), _SHOWN)
_DELAY = Field("delay", "list-single", "Seconds to wait", ("0",), _DELAYS)
_ANNOUNCEMENT = Field("announcement", "text-multi", "Announcement")
_TEXT = Field("announcement", "text-multi", "Announcement", required=True)
_MOTD = Field("motd", "text-multi", "Message of the Day", required=True)
_WELCOME = Field("welcome", "text-multi", "Welcome Message", required=True)

# Of each command: its title, and the fields of its form.
FORMS: dict[str, tuple[str, tuple[Field, ...]]] = {
    "add-user": ("Adding a User", (_ACCOUNT, _PASSWORD, _AGAIN)),
    "delete-user": ("Deleting a User", (_ACCOUNTS,)),
    "disable-user": ("Disabling a User", (_ACCOUNTS,)),
    "reenable-user": ("Re-Enabling a User", (_ACCOUNTS,)),
    "end-user-session": ("Ending a User Session", (_ACCOUNTS,)),
    "change-user-password": ("Changing a User Password", (_ACCOUNT, _PASSWORD)),
    "get-user-roster": ("Getting a User's Roster", (_ACCOUNTS,)),
    "user-stats": ("Getting User Statistics", (_ACCOUNT,)),
    **{f"get-{kind}-users-num": (f"Getting the Number of {kind} Users", ()) for kind in KINDS},
    **{f"get-{kind}-users-list": (f"Getting a List of {kind} Users", (_MOST,)) for kind in KINDS},
    "announce": ("Making an Announcement", (_TEXT,)),
    "set-motd": ("Setting the Message of the Day", (_MOTD,)),
    "edit-motd": ("Editing the Message of the Day", (_MOTD,)),
    "delete-motd": ("Deleting the Message of the Day", ()),
    "set-welcome": ("Setting the Welcome Message", (_WELCOME,)),
    "delete-welcome": ("Deleting the Welcome Message", ()),
    "restart": ("Restarting the Service", (_DELAY, _ANNOUNCEMENT)),
    "shutdown": ("Shutting Down the Service", (_DELAY, _ANNOUNCEMENT)),
}


def bad(text: str) -> StanzaError:
    """XEP-0050 §4.4: the form cannot be accepted."""
    return StanzaError("bad-request", text, element(f"{{{COMMANDS}}}bad-payload"))


def check(form: Form, fields: tuple[Field, ...]) -> None:
    """Raises StanzaError if a form was not submitted, or lacks something."""
    if form.type != "submit":
        raise bad("the form was not submitted")
    for one in fields:
        found = form.values.get(one.name, [])
        if one.required and not any(found):
            raise bad(f"{one.name} is required")
        if one.options and not set(found) <= set(one.options):
            raise bad(f"{one.name} is one of {', '.join(one.options)}")


def lines(form: Form, name: str) -> str:
    """The text of a field of several lines."""
    return "\n".join(form.values.get(name, ())).strip("\n")


def result(*fields: Field) -> Step:
    """The end of a command that returns something."""
    return Step(build(ADMIN, fields, type="result"))

"""A user's lists: whom it watches, whom it lets see it, and the configuration that is stored.

In TOC 1.0 the buddies and permissions that a client sends end with the session, and only the text
of `toc_set_config` is kept. In TOC2 every change is stored at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakes.toc import messages
from fakes.toc.arguments import arguments, whole_argument
from fakes.toc.lists import FIRST_GROUP, add, is_name, remove
from fakes.toc.messages import Form, error
from fakes.toc.refusals import Drop
from fakes.wire import Refuse, Unit

if TYPE_CHECKING:
    from fakes.toc.session import Toc


# ── TOC 1.0 ──────────────────────────────────────────────────────────────────


def toc_set_config(session: Toc, unit: Unit) -> None:
    """`text`: store the configuration."""
    with session.aim.changing(session.presence):
        stored = session.presence.account.lists.store(whole_argument(unit))
    if not stored:
        raise Refuse(error(messages.INVALID_INPUT))


def toc_add_buddy(session: Toc, unit: Unit) -> None:
    """`user…`: watch users in this session."""
    new = session.presence.watch(arguments(unit))
    if session.presence.visible:
        session.aim.show_status(session.presence, new)


def toc_remove_buddy(session: Toc, unit: Unit) -> None:
    """`user…`: stop watching users."""
    session.presence.unwatch(arguments(unit))


def toc_add_permit(session: Toc, unit: Unit) -> None:
    """`[user…]`: permit only these users and those permitted before."""
    names = [name for name in arguments(unit) if name]
    _change_permissions(session, lambda: session.presence.permissions.permit(names))


def toc_add_deny(session: Toc, unit: Unit) -> None:
    """`[user…]`: deny these users and those denied before."""
    names = [name for name in arguments(unit) if name]
    _change_permissions(session, lambda: session.presence.permissions.deny(names))


# ── TOC2: permissions ────────────────────────────────────────────────────────


def toc2_add_permit(session: Toc, unit: Unit) -> None:
    """`user…`: add to the permit list."""
    names = arguments(unit)
    _change_permissions(session, lambda: add(session.presence.permissions.permitted, names))


def toc2_remove_permit(session: Toc, unit: Unit) -> None:
    """`user…`: remove from the permit list."""
    names = arguments(unit)
    _change_permissions(session, lambda: remove(session.presence.permissions.permitted, names))


def toc2_add_deny(session: Toc, unit: Unit) -> None:
    """`user…`: add to the deny list."""
    names = arguments(unit)
    _change_permissions(session, lambda: add(session.presence.permissions.denied, names))


def toc2_remove_deny(session: Toc, unit: Unit) -> None:
    """`user…`: remove from the deny list."""
    names = arguments(unit)
    _change_permissions(session, lambda: remove(session.presence.permissions.denied, names))


def toc2_set_pdmode(session: Toc, unit: Unit) -> None:
    """`1-5`: choose who may see the user; the modes are in fakes/toc/lists.py."""
    mode = arguments(unit, 1)[0]
    if mode not in ("1", "2", "3", "4", "5"):
        raise Drop("a mode is 1 to 5")
    permissions = session.presence.permissions
    _change_permissions(session, lambda: setattr(permissions, "mode", int(mode)))


# ── TOC2: buddies in groups ──────────────────────────────────────────────────


def toc2_new_group(session: Toc, unit: Unit) -> None:
    """`group`: add a group."""
    _add_group(session, _group_name(arguments(unit, 1)))


def toc2_del_group(session: Toc, unit: Unit) -> None:
    """`group`: remove a group and its buddies."""
    group = _group_name(arguments(unit, 1))
    _edit(session, lambda: session.presence.account.lists.groups.pop(group, None))


def toc2_new_buddies(session: Toc, unit: Unit) -> None:
    """`{g:group LF b:buddy LF …}`: add buddies, and groups if needed."""
    group = FIRST_GROUP
    arguments(unit, 1)
    for line in whole_argument(unit).split("\n"):
        kind, _, entry = line.strip("\r").partition(":")
        if kind == "g" and entry:
            group = entry
            _add_group(session, group)
        elif kind == "b" and is_name(entry.partition(":")[0]):
            _add_buddy(session, group, entry)


def toc2_remove_buddy(session: Toc, unit: Unit) -> None:
    """`user… group`: remove buddies from a group."""
    *names, group = arguments(unit, 2)
    lists = session.presence.account.lists
    # One client does not quote a group whose name has spaces, so the last words together may be
    # the group. The shortest name that exists wins, and one name at least remains to be removed.
    for length in range(1, len(names)):
        longer = " ".join([*names[-length:], group])
        if longer in lists.groups:
            names, group = names[:-length], longer
            break
    _edit(session, lambda: lists.remove_buddies(group, names))


def _group_name(texts: list[str]) -> str:
    """Returns the name of a group, a single line that is not empty. Raises Drop."""
    name = " ".join(texts)  # some clients do not quote a name that has a space
    if not name or "\n" in name or "\r" in name:
        raise Drop("the name of a group is one line")
    return name


def _add_group(session: Toc, group: str) -> None:
    groups = session.presence.account.lists.groups
    _edit(session, lambda: groups.setdefault(group, {}), name=group)


def _add_buddy(session: Toc, group: str, entry: str) -> None:
    """Adds a buddy, `name[:alias[…]]`, to a group."""
    presence = session.presence
    name = entry.partition(":")[0]
    known = presence.watches(name)
    _edit(session, lambda: presence.account.lists.add_buddy(group, entry), name=name)
    if session.form is not Form.TOC1:
        session.say(f"NEW_BUDDY_REPLY2:{name}:added")
    if presence.visible and presence.watches(name) and not known:
        session.aim.show_status(presence, [name])


# ── how a change is made ─────────────────────────────────────────────────────


def _change_permissions(session: Toc, edit: Callable[[], object]) -> None:
    """Changes who may see the user. In TOC 1.0 the stored lists stay as they are."""
    if session.presence.stored:
        _edit(session, edit)
    else:
        with session.aim.changing(session.presence):
            edit()


def _edit(session: Toc, edit: Callable[[], object], name: str = "") -> None:
    """Changes the stored lists, and notifies those who see the user from now on, or no longer.

    Raises Refuse if the lists would become too long; the error repeats `name`.
    """
    with session.aim.changing(session.presence):
        has_room = session.presence.account.lists.change(edit)
    if not has_room:
        raise Refuse(error(messages.LIST_IS_FULL, *([name] if name else [])))

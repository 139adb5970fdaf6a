"""XEP-0133 (1.3.1): ad-hoc commands with which administrators govern the server.

Administrators are the `admins` of the world file; without them there are no such commands. Each
command returns a form, and the form that is submitted is carried out at once or refused as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from fakes.xmpp.addresses import Jid, parse_or_none
from fakes.xmpp.admin.forms import ADMIN, FORMS, KINDS, bad, check, lines, result
from fakes.xmpp.admin.messages import Messages
from fakes.xmpp.extensions.commands import Command, Step
from fakes.xmpp.forms import Field, Form, build
from fakes.xmpp.markup import ROSTER, ascii_text, element
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import StanzaError


class Administration(Messages):
    """The commands, which accounts are disabled, and the messages for those who log in.

    Raises ValueError for an administrator whose address is not a bare one.
    """

    name = "administration"
    section = "XEP-0133"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._admins = frozenset(map(_bare, service.policy.admins))
        if not self._admins:
            self.hooks = ()

    def commands(self) -> Mapping[str, Command]:
        if not self._admins:
            return {}
        acts: dict[str, Callable[[Form], Step]] = {
            "add-user": self._add,
            "delete-user": self._delete,
            "disable-user": self._disable,
            "reenable-user": self._enable,
            "end-user-session": self._end_sessions,
            "change-user-password": self._change_password,
            "get-user-roster": self._roster,
            "user-stats": self._statistics,
            **{f"get-{kind}-users-num": partial(self._number, kind) for kind in KINDS},
            **{f"get-{kind}-users-list": partial(self._list, kind) for kind in KINDS},
            "announce": self.announce,
            "set-motd": self.set_motd,
            "edit-motd": self.set_motd,
            "delete-motd": partial(self.forget_text, "motd"),
            "set-welcome": self.set_welcome,
            "delete-welcome": partial(self.forget_text, "welcome"),
            "restart": self._shut_down,
            "shutdown": self._shut_down,
        }
        return {
            f"{ADMIN}#{name}": Command(FORMS[name][0], partial(self._run, name, act), self._allows)
            for name, act in acts.items()
        }

    def _allows(self, user: Jid) -> bool:
        return user.bare in self._admins

    def _run(self, name: str, act: Callable[[Form], Step], stage: int, form: Form | None) -> Step:
        title, fields = FORMS[name]
        if form is not None or not fields:
            found = form or Form("submit")
            check(found, fields)
            return act(found)
        if name in ("edit-motd", "set-welcome"):
            text = self.motd.text if name == "edit-motd" else self.stored.get("welcome", "")
            fields = (replace(fields[0], values=text.split("\n") if text else ()),)
        instructions = "Fill out this form."
        return Step(build(ADMIN, fields, title=title, instructions=instructions), done=False)

    # ── accounts ─────────────────────────────────────────────────────────────

    def _account(self, text: str) -> Account:
        address = parse_or_none(text)
        account = self.service.accounts.find(address) if address is not None else None
        if account is None or account.person is None:
            raise StanzaError("item-not-found", f"no account {ascii_text(text)}")
        return account

    def _accounts(self, form: Form) -> list[Account]:
        """The accounts of a form, each once. Raises StanzaError if one of them does not exist."""
        named = [text for text in form.values["accountjids"] if text]
        return list({one.address: one for one in map(self._account, named)}.values())

    def _add(self, form: Form) -> Step:
        address, password = parse_or_none(form.text("accountjid")), form.text("password")
        if address is None or not address.local or address.resource:
            raise bad("accountjid is not a bare address")
        if address.domain not in self.service.domains:
            raise StanzaError("not-allowed", f"the domain {address.domain} is not served here")
        if form.text("password-verify", password) != password:
            raise bad("the passwords differ")
        if not self.service.accounts.open(address, password):
            raise StanzaError("conflict", "there is such an account")
        return Step()

    def _delete(self, form: Form) -> Step:
        accounts = self._accounts(form)
        return Step(after=partial(self._remove, accounts))

    def _remove(self, accounts: list[Account]) -> None:
        for account in accounts:
            self.service.remove(account)

    def _disable(self, form: Form) -> Step:
        accounts = self._accounts(form)
        for account in accounts:
            self.stored[account.address] = "disabled"
        sessions = [one for account in accounts for one in account.resources.values()]
        return Step(after=partial(self._end, sessions, "not-authorized", "the account is disabled"))

    def _enable(self, form: Form) -> Step:
        for account in self._accounts(form):
            self.stored.pop(account.address, None)
        return Step()

    def _end_sessions(self, form: Form) -> Step:
        found = []
        for text in filter(None, form.values["accountjids"]):
            account, name = self._account(text), text.partition("/")[2]
            sessions = [one for one in account.resources.values() if name in ("", one.jid.resource)]
            if name and not sessions:
                raise StanzaError("item-not-found", f"no session {ascii_text(text)}")
            found += sessions
        text = "an administrator has ended the session"
        return Step(after=partial(self._end, found, "policy-violation", text))

    def _change_password(self, form: Form) -> Step:
        person = self._account(form.text("accountjid")).person
        assert person is not None
        person.password = form.text("password")
        return Step()

    def _roster(self, form: Form) -> Step:
        found = build(ADMIN, [], type="result")
        for account in self._accounts(form):
            found.append(Field("accountjids", values=(account.address,)).element("result"))
            query = element(f"{{{ROSTER}}}query")
            for item in account.roster.visible():
                attributes = {"jid": item.jid, "name": item.name or None}
                attributes |= {"subscription": item.subscription}
                groups = (element(f"{{{ROSTER}}}group", text=group) for group in item.groups)
                query.append(element(f"{{{ROSTER}}}item", attributes, *groups))
            found.append(query)
        return Step(found)

    def _statistics(self, form: Form) -> Step:
        account = self._account(form.text("accountjid"))
        size = str(sum(1 for _ in account.roster.visible()))
        return result(
            Field("rostersize", values=(size,)),
            Field("onlineresources", values=tuple(account.resources)),
        )

    # ── users ────────────────────────────────────────────────────────────────

    def _users(self, kind: str) -> Iterator[str]:
        for account in self.service.accounts.all():
            shown = {
                "registered": account.person is not None,
                "disabled": account.address in self.stored,
                "online": bool(account.resources),
            }
            if shown[kind]:
                yield account.address

    def _number(self, kind: str, form: Form) -> Step:
        return result(Field(f"{kind}usersnum", values=(str(len(list(self._users(kind)))),)))

    def _list(self, kind: str, form: Form) -> Step:
        most = form.text("max_items", "none")
        found = list(self._users(kind))[: None if most == "none" else int(most)]
        return result(Field(f"{kind}userjids", values=found))

    # ── the server ───────────────────────────────────────────────────────────

    def _shut_down(self, form: Form) -> Step:
        """Ends all sessions. The ports stay open, so that clients may try again at once."""
        delay = form.text("delay", "0")
        text = lines(form, "announcement")
        if text:
            self.tell_all(text)
        runtime = self.service.runtime
        if delay == "0":
            return Step(after=self._end_all)
        runtime.timers.at(
            f"shutdown of {self.service.domains[0]}", runtime.now() + int(delay), self._end_all
        )
        return Step()

    def _end_all(self) -> None:
        accounts = self.service.accounts.all()
        sessions = [one for account in accounts for one in account.resources.values()]
        self._end(sessions, "system-shutdown", "")

    def _end(self, sessions: list[Resource], condition: str, text: str) -> None:
        for resource in sessions:
            self.service.unbind(resource)
            resource.outlet.end(condition, text)

    # ── logins ───────────────────────────────────────────────────────────────

    def admits(self, account: Account) -> bool:
        return account.address not in self.stored


def _bare(text: str) -> str:
    address = parse_or_none(text)
    if address is None or not address.local or address.resource:
        raise ValueError(
            f'admins: {text!r} is not a bare address; write admins = ["ops@example.test"]'
        )
    return address.bare

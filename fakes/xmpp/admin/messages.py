"""What administrators tell the users: at once, once to each, and when an account is new."""

from __future__ import annotations

from dataclasses import dataclass, field

from fakes.xmpp.addresses import Jid
from fakes.xmpp.admin.forms import lines
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.commands import Step
from fakes.xmpp.forms import Form
from fakes.xmpp.markup import CLIENT, element
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza, build_stanza


@dataclass
class _Motd:
    """The message of the day, and the accounts that have got it."""

    text: str
    told: set[str] = field(default_factory=set)


class Messages(Extension):
    """The messages, and who has got them. They are headlines of the domain."""

    @property
    def motd(self) -> _Motd:
        found: _Motd = self.stored.get("motd") or _Motd("")
        return found

    def announce(self, form: Form) -> Step:
        self.tell_all(lines(form, "announcement"))
        return Step()

    def tell_all(self, text: str) -> list[str]:
        """Sends a message to everyone who is available; returns their addresses."""
        told = [one for one in self.service.accounts.all() if any(one.available())]
        for account in told:
            self._tell(account.jid, text)
        return [account.address for account in told]

    def _tell(self, to: Jid, text: str) -> None:
        body = element(f"{{{CLIENT}}}body", text=text)
        message = build_stanza(
            "message", type="headline", sender=to.domain, to=to.text, children=(body,)
        )
        self.service.router.route(message)

    def set_motd(self, form: Form) -> Step:
        text = lines(form, "motd")
        self.stored["motd"] = _Motd(text, set(self.tell_all(text)))
        return Step()

    def set_welcome(self, form: Form) -> Step:
        self.stored["welcome"] = lines(form, "welcome")
        return Step()

    def forget_text(self, name: str, form: Form) -> Step:
        self.stored.pop(name, None)
        return Step()

    def presence_sent(
        self, resource: Resource, stanza: Stanza, to: Jid | None, first: bool
    ) -> None:
        if not first:
            return
        address, opened = resource.account.address, self.service.accounts.opened
        if address in opened:
            opened.discard(address)
            if "welcome" in self.stored:
                self._tell(resource.jid, self.stored["welcome"])
        motd = self.motd
        if motd.text and address not in motd.told:
            motd.told.add(address)
            self._tell(resource.jid, motd.text)

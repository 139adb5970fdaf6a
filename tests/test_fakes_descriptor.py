"""The descriptor of a server: how its cores are made, and what can be set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fakes.descriptor import Server
from fakes.people import Person
from fakes.servers import SERVERS
from fakes.wire import Runtime, Session
from tests import linechat

RUNTIME = Runtime(lambda: 0.0, lambda length: "x" * length)


@dataclass(frozen=True)
class Policy:
    """A policy with both switches that the world sets itself."""

    welcome: str = "hello"
    tls: str = "off"
    off: frozenset[str] = frozenset()


def test_the_world_file_may_set_every_switch_but_tls_and_off() -> None:
    assert replace(linechat.SERVER, policy=Policy).switches == ["welcome"]
    assert replace(linechat.SERVER, policy=None).switches == []


def test_a_server_can_use_tls_if_its_policy_has_the_switch() -> None:
    assert replace(linechat.SERVER, policy=Policy).secure
    assert not linechat.SERVER.secure
    secure = {server.name: server.secure for server in SERVERS}
    assert secure == {
        **dict.fromkeys(("smtp", "pop3", "imap", "xmpp", "xmpp-server"), True),
        **dict.fromkeys(("toc", "irc", "component", "webhook"), False),
    }


def test_a_policy_takes_its_own_switches_and_ignores_the_others() -> None:
    server = replace(linechat.SERVER, policy=Policy)
    settings = {"welcome": "good day", "greylist": 300, "tls": "required"}
    assert server.configured(settings) == Policy("good day", "required")
    assert replace(server, policy=None).configured(settings) is None


def test_a_core_is_made_by_its_class_or_by_a_function() -> None:
    room, policy = linechat.Room(), linechat.Policy("good day")
    core = linechat.SERVER.factory(RUNTIME, room, policy)()
    assert isinstance(core, linechat.LineChat)
    assert (core.runtime, core.room, core.policy) == (RUNTIME, room, policy)

    made: list[tuple[Any, ...]] = []

    def make(session: type[Session], *arguments: Any) -> Session:
        made.append((session, *arguments))
        return session(RUNTIME)

    server = replace(linechat.SERVER, make=make)
    assert isinstance(server.factory(RUNTIME, room, policy)(), linechat.LineChat)
    assert made == [(linechat.LineChat, RUNTIME, room, policy)]


def test_a_server_that_defines_no_login_uses_the_mail_account() -> None:
    server = Server(name="chat", session=linechat.LineChat, ports=())
    person = Person("alice@example.test", "hunter2")
    assert server.login is not None
    login = server.login(None, person, "")
    assert login == {"user": "alice@example.test", "password": "hunter2"}

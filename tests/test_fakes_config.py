"""The world file: what is read, and one line for each kind of mistake."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.config import Reader, WorldError
from fakes.faults import Fault
from fakes.people import Person
from fakes.servers import SERVERS
from fakes.world import World

EVERYTHING: dict[str, Any] = {
    "tls": "optional",
    "program": "ops@example.test",
    "servers": ["pop3", "smtp"],
    "person": [
        {
            "address": "ops@example.test",
            "password": "other",
            "aliases": ["root@example.test"],
            "quota": 1_000_000,
            "login_delay": 60,
            "contacts": {"bob@example.test": "both"},
        }
    ],
    "aim": [{"screen_name": "OpsBot", "buddies": {"Admins": ["SysAdmin"]}, "profile": "<b>hi</b>"}],
    "mail": {"domains": ["example.test"], "relay": "refuse", "size": 1000, "login_delay": 5},
    "host": {
        "name": "db1.example.test",
        "processes": ["sshd"],
        "services": ["mariadb"],
        "commands": [{"run": ["df", "-k"], "output": "full\n", "takes": 2, "code": 1}],
    },
    "xmpp": {"domains": ["example.test"], "conflict": "refuse"},
    "toc": {"init_done": 10},
    "off": {"smtp": ["PIPELINING"]},
    "fault": [{"where": "RCPT", "reply": "451 4.3.0 try later", "times": 2}],
    "scenario": {"anything": {"goes": 1}},
}


def read(config: dict[str, Any]) -> Any:
    return Reader(SERVERS, "world.toml").read(config)


def test_every_table_is_read_into_its_dataclass() -> None:
    config = read(EVERYTHING)
    assert config.person == (
        Person(
            "ops@example.test",
            "other",
            ("root@example.test",),
            1_000_000,
            60,
            {"bob@example.test": "both"},
        ),
    )
    assert config.aim[0].buddies == {"Admins": ("SysAdmin",)}
    assert config.mail.domains == ("example.test",)
    assert config.host.commands[0].run == ("df", "-k") and config.host.commands[0].takes == 2.0
    assert config.fault == (Fault("RCPT", reply="451 4.3.0 try later", times=2),)
    assert config.scenario == EVERYTHING["scenario"]


def test_a_policy_gets_the_switches_of_its_table_and_its_capabilities() -> None:
    config = read(EVERYTHING)
    policies = {server.name: config.policy(server) for server in SERVERS}
    assert policies["smtp"]["relay"] == "refuse" and policies["smtp"]["off"] == {"PIPELINING"}
    assert policies["pop3"]["login_delay"] == 5 and policies["pop3"]["off"] == frozenset()
    assert policies["xmpp"]["conflict"] == "refuse"
    assert policies["toc"]["init_done"] == 10.0


def test_an_empty_file_is_a_world() -> None:
    assert read({}).person == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        # Unknown tables and keys.
        (
            {"persons": []},
            "persons: unknown key (did you mean 'person'?); known keys: tls, program",
        ),
        ({"person": [{"adress": "a@b.c"}]}, "person.adress: unknown key (did you mean 'address'?)"),
        ({"mail": {"domain": ["a.b"]}}, "mail.domain: unknown key (did you mean 'domains'?)"),
        (
            {"host": {"commands": [{"run": ["df"], "ouput": "x"}]}},
            "host.commands.ouput: unknown key",
        ),
        ({"off": {"smpt": []}}, "off.smpt: unknown key (did you mean 'smtp'?)"),
        (
            {"fault": [{"where": "x", "repyl": "x"}]},
            "fault.repyl: unknown key (did you mean 'reply'?)",
        ),
        # Missing keys.
        ({"person": [{}]}, 'person.address: missing; write address = "alice@example.test"'),
        ({"aim": [{}]}, 'aim.screen_name: missing; write screen_name = "OpsBot"'),
        ({"host": {"commands": [{}]}}, 'host.commands.run: missing; write run = ["df", "-k"]'),
        ({"fault": [{"reply": "451"}]}, 'fault.where: missing; write where = "RCPT"'),
        # Wrong types.
        ({"mail": []}, "mail: expected a table, found []; write [mail]"),
        ({"person": {"address": "a@b.c"}}, "person: expected a list of tables"),
        ({"person": [5]}, "person: expected a table, found 5; write [[person]]"),
        (
            {"person": [{"address": 5}]},
            'person.address: expected a string, found 5; write address = "text"',
        ),
        (
            {"person": [{"address": "a@b.c", "quota": "x"}]},
            "person.quota: expected a whole number, found 'x'",
        ),
        (
            {"person": [{"address": "a@b.c", "quota": True}]},
            "person.quota: expected a whole number, found True",
        ),
        ({"person": [{"address": "a@b.c", "contacts": []}]}, "person.contacts: expected a table"),
        ({"mail": {"domains": "a.b"}}, "mail.domains: expected a list of strings, found 'a.b'"),
        ({"mail": {"domains": [1]}}, "mail.domains: expected a list of strings, found [1]"),
        (
            {"mail": {"hang_up_on_http": "no"}},
            "mail.hang_up_on_http: expected true or false, found 'no'",
        ),
        ({"toc": {"init_done": "x"}}, "toc.init_done: expected a number of seconds, found 'x'"),
        ({"fault": [{"where": "x", "nth": "x"}]}, "fault.nth: expected a whole number, found 'x'"),
        # Wrong values.
        (
            {"tls": "sometimes"},
            "tls: unknown value 'sometimes'; choose from off, optional, required",
        ),
        (
            {"mail": {"relay": "kepp"}},
            "mail.relay: unknown value 'kepp' (did you mean 'keep'?); choose from keep, "
            "refuse, login",
        ),
        (
            {"servers": ["smpt"]},
            "servers: unknown server 'smpt' (did you mean 'smtp'?); choose from smtp, pop3",
        ),
        (
            {"off": {"smtp": ["PIPELINE"]}},
            "off.smtp: unknown capability 'PIPELINE' (did you mean 'PIPELINING'?)",
        ),
        (
            {"person": [{"address": "alice"}]},
            "person.address: 'alice' is not an address; write address =",
        ),
        (
            {"host": {"commands": [{"run": []}]}},
            'host.commands.run: empty; write run = ["df", "-k"]',
        ),
        (
            {"fault": [{"where": "x"}]},
            "fault: the fault at 'x' has no failure; give exactly one of",
        ),
        (
            {"fault": [{"where": "x", "lost": "half"}]},
            "fault.lost: unknown value 'half'; choose from stored, unstored",
        ),
        ({"\x1b[31mtls\n": "off"}, "\\x1b[31mtls\\n: unknown key"),
        ({"mail": {"a\nb": 1}}, "mail.a\\nb: unknown key"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_remedy(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorldError) as caught:
        read(config)
    text = str(caught.value)
    assert text.startswith(f"world.toml: {message}") and "\n" not in text
    assert "; " in text, "the remedy follows a semicolon"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"person": {"password": "s3cret"}}, "person: expected a list of tables, found a table;"),
        ({"aim": [{"screen_name": {"x": "s3cret"}}]}, "aim.screen_name: expected a string, "),
        ({"irc": [{"password": "s3cret"}]}, "irc: expected a table, found a list of tables; write"),
        ({"person": ["ann:s3cret"]}, "person: expected a table, found another value; write [["),
        ({"person": "ann:s3cret"}, "person: expected a list of tables, found another value; "),
        ({"person": [{"address": "a@b.c", "password": ["s3cret"]}]}, "person.password: expected a"),
        ({"irc": {"oper": "root:s3cret"}}, "irc.oper: expected a list of strings, found another"),
        ({"irc": {"oper": ["root:s3cret", 5]}}, "irc.oper: expected a list of strings, found ano"),
        ({"irc": {"password": ["s3cret"]}}, "irc.password: expected a string, found another"),
        ({"xmpp": {"components": ["a.b:s3cret"]}}, "xmpp.components: expected a table, "),
        ({"xmpp": {"components": {"a.b": ["s3cret"]}}}, "xmpp.components.a.b: expected a string,"),
    ],
)
def test_a_wrong_type_does_not_show_what_may_be_a_password(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorldError) as caught:
        read(config)
    assert str(caught.value).startswith(f"world.toml: {message}")
    assert "s3cret" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*EVERYTHING, "other"]), JSON, max_size=3))
def test_any_mapping_is_a_configuration_or_a_world_error(config: dict[str, Any]) -> None:
    try:
        read(config)
    except WorldError as error:
        assert "\n" not in str(error)


@given(
    st.sampled_from([name for name in EVERYTHING if isinstance(EVERYTHING[name], list | dict)]),
    st.data(),
)
def test_any_value_of_a_known_key_is_read_or_a_world_error(table: str, data: st.DataObject) -> None:
    """Each known key with any value: one value in a file that is right otherwise."""
    found = EVERYTHING[table]
    one: Any = dict(found[0]) if isinstance(found, list) and isinstance(found[0], dict) else found
    if isinstance(one, dict) and one:
        key = data.draw(st.sampled_from(list(one)))
        one = {**one, key: data.draw(JSON)}
    config = {table: [one] if isinstance(found, list) and isinstance(one, dict) else one}
    try:
        read(config)
    except WorldError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"mail": {"greylist": -1}}, "mail.greylist: -1 is not possible; write 0 or more"),
        ({"mail": {"size": -1}}, "mail.size: -1 is not possible"),
        ({"mail": {"size": 0}}, "mail.size: 0 would refuse everything; write 1 or more, or leave"),
        ({"mail": {"recipients": 0}}, "mail.recipients: 0 would refuse everything"),
        ({"mail": {"bad_logins": 0}}, "mail.bad_logins: 0 would refuse everything"),
        ({"person": [{"address": "a@b.c", "quota": -1}]}, "person.quota: -1 is not possible"),
        ({"host": {"commands": [{"run": ["x"], "takes": -0.5}]}}, "takes: -0.5 is not possible"),
        (
            {"person": [{"address": "@@"}]},
            "person.address: '@@' is not an address; write address =",
        ),
        ({"person": [{"address": "\udcff@b.c"}]}, "person.address: '\\udcff@b.c' is not an"),
        ({"person": [{"address": "a@b.c> x"}]}, "person.address: 'a@b.c> x' is not an address"),
        (
            {"person": [{"address": "a@b.c", "folders": ["a//b"]}]},
            'person.folders: A part of the name is empty; write folders = ["Work", "Work/Bills"]',
        ),
        (
            {"person": [{"address": "a@b.c", "aliases": ["sales"]}]},
            "person.aliases: 'sales' is not",
        ),
        ({"mail": {"greylist": math.nan}}, "mail.greylist: nan is not possible"),
        ({"toc": {"init_done": math.inf}}, "toc.init_done: inf is not possible"),
        ({"mail": {"domains": ["a b"]}}, "mail.domains: 'a b' is not a domain; write domains ="),
        ({"xmpp": {"domains": [""]}}, "xmpp.domains: '' is not a domain"),
        (
            {"mail": {"wrong_login_text": "no\n+OK"}},
            r"mail.wrong_login_text: 'no\n+OK' has a control character; write one line",
        ),
        ({"irc": {"motd": "one\rtwo"}}, r"irc.motd: 'one\rtwo' has a control character; write"),
        ({"irc": {"password": "a\n"}}, "irc.password: another value has a control character; w"),
        ({"xmpp": {"domains": ["a/b"]}}, "xmpp.domains: 'a/b' is not a domain; write domains ="),
        (
            {"mail": {"catch_all": ["*", "a b"]}},
            """mail.catch_all: 'a b' is not a domain; write catch_all = ["hooks.test"]""",
        ),
        (
            {"xmpp": {"neighbours": ["a b"]}},
            """xmpp.neighbours: 'a b' is not a domain; write neighbours = ["partner.test"]""",
        ),
        ({"xmpp": {"denied": ["a b"]}}, "xmpp.denied: 'a b' is not a domain; write denied = ["),
        (
            {"xmpp": {"peers": {"a b": "127.0.0.1:5269"}}},
            "xmpp.peers: 'a b' is not a domain; write peers = {",
        ),
        (
            {"xmpp": {"components": {"a b": ""}}},
            "xmpp.components: 'a b' is not a domain; write components = {",
        ),
        (
            {"webhook": {"hosts": ["a b"]}},
            """webhook.hosts: 'a b' is not a domain; write hosts = ["hooks.example.test"]""",
        ),
        ({"irc": {"name": "a b"}}, "irc.name: 'a b' is not a domain; write name = "),
        ({"host": {"name": "a b"}}, "host.name: 'a b' is not a domain; write name = "),
        (
            {"irc": {"oper": ["root:toor", "s3cret"]}},
            'irc.oper: not a name and a password; write oper = ["root:toor"]',
        ),
        ({"irc": {"oper": [":x"]}}, "irc.oper: not a name and a password; write oper ="),
        ({"irc": {"oper": ["a b:x"]}}, "irc.oper: not a name and a password; write oper ="),
        (
            {"xmpp": {"web_url": "zz"}},
            """xmpp.web_url: 'zz' is not a web address; write web_url = "https://files.ex""",
        ),
        (
            {"xmpp": {"external_services": [{"host": "a b", "type": "turn"}]}},
            "xmpp.external_services.host: 'a b' is not a host; write host = ",
        ),
        (
            {"xmpp": {"external_services": [{"host": "a", "type": "turn", "port": 65536}]}},
            "xmpp.external_services.port: 65536 is not a port; write port = 3478",
        ),
        (
            {"person": [{"address": "a@b.c", "contacts": {"@@": "both"}}]},
            "person.contacts: '@@' is not an address; write contacts = {",
        ),
        ({"person": []}, "person: empty; write a table [[person]], or leave person out"),
        ({"aim": []}, "aim: empty; write a table [[aim]]"),
        ({"off": {"toc": ["x"]}}, "off.toc: toc has no capabilities; leave the key out"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(WorldError, match=re.escape(problem)):
        read(config)


@pytest.mark.parametrize(
    "config",
    [
        {"xmpp": {"denied": ["[::1]", "localhost", "münchen.test"], "web_url": "http://[::1]:80/"}},
        {"xmpp": {"external_services": [{"host": "2001:db8::1", "type": "turn", "port": 3478}]}},
        {"person": [{"address": "a@b.c", "contacts": {"aim.b.c": "both", "b@b.c": "to"}}]},
        {"irc": {"motd": "one\ntwo\n\x02bold\x02\tü"}},
        {"irc": {"name": "irc", "oper": ["root:a word: or two"]}, "mail": {"catch_all": ["*"]}},
    ],
)
def test_a_value_that_makes_sense_is_taken(config: dict[str, Any]) -> None:
    servers = ["smtp", "xmpp", "xmpp-server", "irc"]
    assert list(World({**config, "servers": servers}).servers) == servers


def test_a_fault_is_a_text_or_a_table() -> None:
    texts_and_tables = ["smtp-421", {"where": "RCPT", "reset": True}]
    assert read({"fault": texts_and_tables}).fault == ("smtp-421", Fault("RCPT", reset=True))


def test_a_command_of_the_host_may_end_by_a_signal() -> None:
    config = read({"host": {"commands": [{"run": ["x"], "code": -9}]}})
    assert config.host.commands[0].code == -9


def test_an_empty_list_of_servers_or_domains_has_a_meaning() -> None:
    people = [{"address": "ann@shop.test"}]
    config = {"person": people, "mail": {"domains": []}, "xmpp": {"domains": []}}
    with World(config) as world:
        assert world.mail.store.domains == ("shop.test",)
        assert world.jabber.actor("ann@shop.test")
    with World({"servers": []}) as world:
        assert list(world.servers) == []

"""Settings: what they become, and that every error says FILE: KEY: PROBLEM; REMEDY."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import trustme

from comms.errors import SettingsError
from comms.setting_types import CommandLine, MailAddress, NonEmpty, StateFile
from comms.settings import ROOM, load


@dataclass(frozen=True)
class Rules:
    admins: tuple[str, ...]
    poll: float = 30
    state: Path = Path("state.sqlite3")
    retries: int = 3
    loud: bool = False
    limit: int | None = None
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.poll <= 0:
            raise ValueError("poll: must be more than 0 seconds; write poll = 30")
        if self.retries < 0:
            raise ValueError("retries is negative; write retries = 3")


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


# ── servers ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_the_default_port_depends_on_protocol_and_tls(tmp_path: Path, tls: str, port: int) -> None:
    path = write(tmp_path, f'[smtp]\nhost = "mail.test"\ntls = "{tls}"\n')
    server = load(path).server("smtp")
    assert (server.port, server.tls, server.timeout) == (port, tls, 30)


def test_a_mapping_has_the_same_effect_as_a_file() -> None:
    assert load({"pop3": {"host": "mail.test"}}).server("pop3").port == 110
    with pytest.raises(SettingsError, match=r"^settings: smtp: missing table"):
        load({}).server("smtp")


def test_a_jabber_address_can_replace_the_host() -> None:
    server = load({"xmpp": {"jid": "bot@example.test"}}).server("xmpp")
    assert (server.host, server.jid, server.port) == ("", "bot@example.test", 5222)


@pytest.mark.parametrize(
    ("tables", "chosen", "protocol"),
    [
        (["pop3"], "", "pop3"),
        (["imap"], "", "imap"),
        (["imap", "smtp"], "", "imap"),
        (["pop3", "imap"], "pop3", "pop3"),
        (["pop3", "imap"], "imap", "imap"),
    ],
)
def test_a_mailbox_is_read_over_the_protocol_that_is_chosen_or_there(
    tables: list[str], chosen: str, protocol: str
) -> None:
    given = load({name: {"host": "mail.test"} for name in tables})
    assert given.mailbox("tickets", chosen).protocol == protocol


def test_without_a_choice_there_must_be_one_mailbox() -> None:
    both = load({name: {"host": "mail.test"} for name in ("pop3", "imap")})
    with pytest.raises(SettingsError, match=r"^settings: scenario\.tickets\.mailbox: missing key"):
        both.mailbox("tickets")
    with pytest.raises(SettingsError, match=r"^settings: imap: missing table; write \[imap\]"):
        load({"pop3": {"host": "mail.test"}}).mailbox("tickets", "imap")
    with pytest.raises(SettingsError, match=r"^settings: pop3: missing table; write \[pop3\]"):
        load({}).mailbox("tickets")


def test_an_account_is_named_with_its_folder_unless_that_is_the_inbox() -> None:
    table = {"host": "mail.test", "user": "ops"}
    for folder, account in (("INBOX", ""), ("inbox", ""), ("Work", "/Work")):
        server = load({"imap": {**table, "folder": folder}}).server("imap")
        assert server.account == f"ops@mail.test{account}"
    assert load({"pop3": table}).server("pop3").account == "ops@mail.test"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[smtpp]\n", "smtpp: unknown table (did you mean 'smtp'?); known tables: smtp, pop3, "),
        ("smtp = 1\n", "smtp: expected a table, found 1; write [smtp]"),
        ("[pop3]\n", 'smtp: missing table; write [smtp] with host = "mail.example.org"'),
        ("[smtp]\n", 'smtp.host: missing key; write host = "mail.example.org"'),
        (
            '[smtp]\nhost = "x"\nprot = 25\n',
            "smtp.prot: unknown key (did you mean 'port'?); known keys: host, port, tls, ",
        ),
        (
            '[smtp]\nhost = "x"\nport = "x"\n',
            'smtp.port: expected a number, found "x"; write port = 587',
        ),
        (
            '[smtp]\nhost = ["x"]\n',
            'smtp.host: expected a text in quotes, found ["x"]; write host = "mail.example.org"',
        ),
        (
            '[smtp]\nhost = "x"\nport = 70000\n',
            "smtp.port: expected a number from 1 to 65535, found 70000; write port = 587",
        ),
        (
            '[smtp]\nhost = "x"\ntls = "startls"\n',
            "smtp.tls: unknown value 'startls' (did you mean 'starttls'?); "
            "choose none, starttls or implicit",
        ),
        (
            '[smtp]\nhost = "x"\nauth = "cram"\n',
            "smtp.auth: unknown value 'cram' (did you mean 'cram-md5'?); "
            "choose auto, plain, login, cram-md5, scram-sha-1 or scram-sha-256",
        ),
        (
            '[smtp]\nhost = "x"\ntimeout = 0\n',
            "smtp.timeout: expected more than 0 seconds, found 0; write timeout = 30",
        ),
        (
            '[smtp]\nhost = "x"\npassword = "a"\npassword_env = "B"\n',
            "smtp.password_env: password is set, too; keep only one of them",
        ),
        (
            '[smtp]\nhost = "x"\npassword_env = "NO_SUCH_NAME"\n',
            "smtp.password_env: the environment has no variable of this name; set it, or use "
            "password_file",
        ),
    ],
)
def test_an_error_names_the_file_the_key_the_problem_and_the_remedy(
    tmp_path: Path, text: str, error: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=f"^{re.escape(f'{path}: {error}')}") as caught:
        load(path).server("smtp")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("ca_file", r"smtp\.ca_file: .*/missing cannot be read: No such file .*; write ca_file = "),
        (
            "password_file",
            r"smtp\.password_file: the file cannot be read: No such file .*; write",
        ),
    ],
)
def test_a_file_that_the_settings_name_must_be_readable(
    tmp_path: Path, key: str, error: str
) -> None:
    path = write(tmp_path, f'[smtp]\nhost = "x"\n{key} = "missing"\n')
    with pytest.raises(SettingsError, match=error):
        load(path).server("smtp")


@pytest.mark.parametrize("value", ['"{}"', '["{}"]', '{{ a = "{}" }}'])
@pytest.mark.parametrize(
    "url",
    ["postgresql://u:hunter2@db/x", "http://:hunter2@x", "x://u:hunter2%40/@x"],
)
def test_the_password_in_a_url_is_never_shown(tmp_path: Path, url: str, value: str) -> None:
    for key in ("poll", "state", "stat"):
        path = write(tmp_path, f"[scenario.x]\n{key} = {value.format(url)}\n")
        with pytest.raises(SettingsError) as caught:
            load(path).table("x", Rules)
        assert "hunter2" not in str(caught.value)


def test_a_file_without_an_end_is_an_error(tmp_path: Path) -> None:
    for endless in (write(tmp_path, "#" * (ROOM + 1)), Path("/dev/zero")):
        with pytest.raises(SettingsError, match=r"cannot be read: more than 1048576 bytes; "):
            load(endless)
        found = load({"smtp": {"host": "x", "password_file": str(endless)}})
        with pytest.raises(SettingsError, match=r"password_file: .* more than 1048576 bytes; "):
            found.server("smtp")
    assert load(write(tmp_path, "#" * ROOM)).tables == {}


def test_a_settings_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        load(tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match=r"site\.toml: not a TOML file: .*line 1.*; correct"):
        load(write(tmp_path, "[smtp\n"))


@pytest.mark.parametrize(
    ("protocol", "keys", "error"),
    [
        ("smtp", {"host": ""}, 'smtp.host: "" is not a host name or an IP address; write host = '),
        ("smtp", {"host": "mail.test:25"}, 'smtp.host: "mail.test:25" is not a host name'),
        ("smtp", {"port": 1.5}, "smtp.port: expected a whole number, found 1.5; write port = 587"),
        (
            "smtp",
            {"timeout": float("nan")},
            "smtp.timeout: expected more than 0 seconds, found nan",
        ),
        ("smtp", {"user": "a\nb"}, 'smtp.user: "a\\nb" contains a control character; write user'),
        ("smtp", {"password_env": ""}, "smtp.password_env: is empty; write password_env = "),
        ("smtp", {"a\nb": 1}, 'smtp."a\\nb": unknown key; known keys: host'),
        (
            "pop3",
            {"password": "a\nb"},
            "pop3.password: the password contains a control character; ",
        ),
        ("xmpp", {"jid": "a b@c"}, "xmpp.jid: 'a b@c' is not a Jabber address: "),
        ("xmpp", {"jid": "mail.test"}, 'xmpp.jid: "mail.test" is a server, not an account; write'),
        ("xmpp", {"user": ""}, "xmpp.jid: '@mail.test' is not a Jabber address"),
        ("imap", {"folder": ""}, 'imap.folder: is empty; write folder = "Work"'),
        ("imap", {"folder": "a\nb"}, 'imap.folder: "a\\nb" contains a control character; write'),
        ("imap", {"trash": "inbox"}, "imap.trash: mail would be moved to where it is; write"),
        ("imap", {"auth": "apop"}, "imap.auth: unknown value 'apop'; choose auto, plain, login"),
        ("irc", {}, 'irc.nick: missing key; write nick = "bot"'),
        ("irc", {"nick": "a b"}, 'irc.nick: "a b" is not a nick: it begins with a letter, and '),
        ("irc", {"nick": "a", "tls": "starttls"}, "irc.tls: unknown value 'starttls'; choose no"),
        ("irc", {"nick": "a", "channels": ["ops"]}, 'irc.channels[0]: "ops" is not a channel, or'),
        ("irc", {"nick": "a", "channels": ["ops key"]}, 'irc.channels[0]: "ops" is not a channel'),
        ("irc", {"nick": "a", "auth": "external"}, "irc.certificate: missing key, and auth is ex"),
        ("irc", {"nick": "a", "server_password": "€\n"}, "irc.server_password: the password con"),
        ("component", {"domain": "a b"}, "component.domain: "),
        ("component", {}, "component.domain: missing key; write domain = "),
        ("component", {"domain": "a.test"}, "component.password: missing key; write password_"),
        ("toc", {"screen_name": " "}, 'toc.screen_name: is empty; write screen_name = "YourScr'),
        ("toc", {}, "toc.screen_name: missing key; write screen_name = "),
        ("toc", {"user": "bot"}, "toc.password: missing key; write password_file = "),
        ("toc", {"user": "bot", "password": "€"}, "toc.password: it contains characters beyond"),
    ],
)
def test_a_server_that_cannot_exist_is_an_error_before_anybody_connects(
    protocol: str, keys: dict[str, object], error: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(f'settings: {error}')}") as caught:
        load({protocol: {"host": "mail.test", **keys}}).server(protocol)
    assert len(str(caught.value).splitlines()) == 1
    assert "€" not in str(caught.value), "a password is not shown"


def test_a_password_file_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    path = write(tmp_path, '[smtp]\nhost = "x"\npassword_file = "secret"\n')
    with pytest.raises(SettingsError, match=r"secret cannot be read: not a text file in UTF-8; "):
        load(path).server("smtp")


# ── passwords ────────────────────────────────────────────────────────────────


def test_a_password_can_come_from_the_environment_or_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_PASSWORD", "from env")
    (tmp_path / "secret").write_text("from file\n")
    (tmp_path / "secret").chmod(0o600)
    for key, value, password in (
        ("password_env", "OPS_PASSWORD", "from env"),
        ("password_file", "secret", "from file"),
    ):
        path = write(tmp_path, f'[smtp]\nhost = "x"\n{key} = "{value}"\n')
        server = load(path, warn=pytest.fail).server("smtp")
        assert server.password == password
        assert password not in repr(server)


def test_a_password_that_is_not_utf8_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_PASSWORD", "secr\udce4t")  # as Python has b"secr\xe4t"
    with pytest.raises(SettingsError, match="not in UTF-8; set it in UTF-8, or use pass") as caught:
        load({"smtp": {"host": "x", "password_env": "OPS_PASSWORD"}}).server("smtp")
    assert "secr" not in str(caught.value)


def test_files_may_begin_with_the_mark_of_utf8(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from file\n", "utf-8-sig")
    path = write(tmp_path, '\ufeff[smtp]\nhost = "x"\npassword_file = "secret"\n')
    assert load(path).server("smtp").password == "from file"


def test_a_password_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, '[smtp]\nhost = "x"\npassword = "open"\n')
    path.chmod(0o644)
    warnings: list[str] = []
    assert load(path, warn=warnings.append).server("smtp").password == "open"
    assert warnings == [f"smtp.password: {path} can be read by others; chmod 600 {path}"]
    path = write(tmp_path, '[irc]\nhost = "x"\nnick = "bot"\nserver_password = "open"\n')
    path.chmod(0o644)
    load(path, warn=warnings.append).server("irc")
    assert warnings[1:] == [f"irc.server_password: {path} can be read by others; chmod 600 {path}"]


def test_a_certificate_to_log_in_with_must_be_one_and_needs_tls(tmp_path: Path) -> None:
    """Else it would be taken for a server that cannot be reached, and tried again for ever."""
    irc = {"host": "x", "nick": "bot", "auth": "external", "certificate": "bot.pem"}
    (tmp_path / "bot.pem").write_text("no certificate\n")
    with pytest.raises(SettingsError, match=r"irc\.certificate: .*bot\.pem does not contain"):
        load({"irc": irc}, folder=tmp_path).server("irc")
    ca = trustme.CA()
    ca.issue_cert("bot.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "bot.pem")
    assert load({"irc": irc}, folder=tmp_path).server("irc").certificate == tmp_path / "bot.pem"
    with pytest.raises(SettingsError, match=r'irc\.auth: external .* needs TLS; write tls = "impl'):
        load({"irc": {**irc, "tls": "none"}}, folder=tmp_path).server("irc")


# ── a scenario's table ───────────────────────────────────────────────────────


def test_a_table_becomes_the_dataclass_of_its_scenario(tmp_path: Path) -> None:
    text = (
        '[scenario.watch]\nadmins = ["a@b.c"]\nstate = "x/y.db"\npoll = 5\nlimit = 9\n'
        'commands = { disk = ["df", "-k"] }\n'
    )
    rules = load(write(tmp_path, text)).table("watch", Rules)
    assert rules == Rules(
        ("a@b.c",), 5.0, tmp_path / "x/y.db", limit=9, commands={"disk": ("df", "-k")}
    )
    assert isinstance(rules.poll, float)


def test_a_path_starts_at_the_folder_of_the_settings_even_by_default(tmp_path: Path) -> None:
    settings = load({"scenario": {"watch": {"admins": []}}}, tmp_path)
    assert settings.table("watch", Rules).state == tmp_path / "state.sqlite3"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", 'admins: missing key; write admins = ["text"]'),
        ('admins = "a@b.c"', 'admins: expected a list, found "a@b.c"; write admins = ["text"]'),
        (
            "admins = [1]",
            'admins[0]: expected a text in quotes, found 1; write admins = ["text"]',
        ),
        ("admins = []\npol = 3", "pol: unknown key (did you mean 'poll'?); known keys: admins, "),
        (
            "admins = []\nretries = true",
            "retries: expected a number, found true; write retries = 3",
        ),
        ("admins = []\npoll = true", "poll: expected a number, found true; write poll = 30"),
        ("admins = []\nloud = 1", "loud: expected true or false, found 1; write loud = false"),
        (
            "admins = []\ncommands = { disk = 1 }",
            'commands.disk: expected a list, found 1; write commands = { name = ["text"] }',
        ),
    ],
)
def test_an_error_in_a_scenario_s_table_has_the_same_form(
    tmp_path: Path, text: str, error: str
) -> None:
    path = write(tmp_path, f"[scenario.watch]\n{text}\n")
    with pytest.raises(SettingsError, match=f"^{re.escape(f'{path}: scenario.watch.{error}')}"):
        load(path).table("watch", Rules)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("poll = -1", "poll: must be more than 0 seconds; write poll = 30"),
        ("retries = -1", "retries: is negative; write retries = 3"),
    ],
)
def test_a_dataclass_that_refuses_itself_names_the_key_first(
    tmp_path: Path, text: str, error: str
) -> None:
    path = write(tmp_path, f"[scenario.watch]\nadmins = []\n{text}\n")
    with pytest.raises(SettingsError, match=f"^{re.escape(f'{path}: scenario.watch.{error}')}$"):
        load(path).table("watch", Rules)


@dataclass(frozen=True)
class Checked:
    names: NonEmpty[tuple[MailAddress, ...]]
    way: Literal["", "poll", "push"] = ""
    owner: MailAddress | None = None
    commands: dict[NonEmpty[str], NonEmpty[CommandLine]] = field(default_factory=dict)
    state: StateFile = Path("absent/state.sqlite3")


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({}, 'names: missing key; write names = ["you@example.org"]'),
        ({"names": []}, 'names: is empty; write names = ["you@example.org"]'),
        ({"names": ["x"]}, 'names[0]: "x" is not a bare mail address; write names = ["you@'),
        (
            {"way": "pol"},
            "way: unknown value 'pol' (did you mean 'poll'?); choose \"\", poll or push",
        ),
        ({"owner": "x"}, 'owner: "x" is not a bare mail address; write owner = "you@example.org"'),
        ({"commands": {"": ["ls"]}}, 'commands."": is empty; write commands = { name = ["text"] }'),
        (
            {"commands": {"a.b": []}},
            'commands."a.b": is empty; write commands = { name = ["text"] }',
        ),
        ({"state": ""}, 'state: "" is not a path; write state = "absent/state.sqlite3"'),
        ({}, "state: the folder "),
    ],
)
def test_annotations_say_which_values_are_correct(
    tmp_path: Path, table: dict[str, object], error: str
) -> None:
    if "names" not in table and not error.startswith("names: missing"):
        table = {"names": ["a@b.test"], **table}
    with pytest.raises(SettingsError, match=f"^{re.escape(f'settings: scenario.x.{error}')}"):
        load({"scenario": {"x": table}}, tmp_path).table("x", Checked)

"""Settings: what they give, and that every error names the file, the key and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from comms.errors import SettingsError
from comms.settings import load


@dataclass(frozen=True)
class Rules:
    admins: tuple[str, ...]
    poll: float = 30
    state: Path = Path("state.sqlite3")
    retries: int = 3
    loud: bool = False

    def __post_init__(self) -> None:
        if self.poll <= 0:
            raise ValueError("poll is not more than 0 seconds")


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_server_has_the_port_of_its_protocol_and_tls(tmp_path: Path) -> None:
    for tls, port in (("starttls", 587), ("implicit", 465), ("none", 25)):
        server = load(write(tmp_path, f'[smtp]\nhost = "mail.test"\ntls = "{tls}"\n')).server(
            "smtp"
        )
        assert (server.port, server.tls, server.timeout) == (port, tls, 30)
    assert load({"pop3": {"host": "mail.test"}}).server("pop3").port == 110


@pytest.mark.parametrize(("text", "says"), [
    ("[smtpp]\n", "smtpp is not known.*did you mean 'smtp'"),
    ("[pop3]\n", r"smtp is missing; write \[smtp\]"),
    ("[smtp]\n", "smtp.host is missing"),
    ('[smtp]\nhost = "x"\nprot = 25\n', "smtp.prot is not known .did you mean 'port'"),
    ('[smtp]\nhost = "x"\nport = "25"\n', "smtp.port is '25'; it should be a number"),
    ('[smtp]\nhost = "x"\nport = 70000\n', "a port is 1 to 65535"),
    ('[smtp]\nhost = "x"\ntls = "yes"\n', "smtp.tls is 'yes'; choose none or starttls or implicit"),
    ('[smtp]\nhost = "x"\nauth = "cram"\n', "did you mean 'cram-md5'"),
    ('[smtp]\nhost = "x"\ntimeout = 0\n', "more than 0 seconds"),
    ('[smtp]\nhost = "x"\nca_file = "none.pem"\n', "no file"),
    ('[smtp]\nhost = "x"\npassword = "a"\npassword_env = "B"\n', "password_env stands beside password; keep one"),
    ('[smtp]\nhost = "x"\npassword_env = "NO_SUCH_NAME"\n', "not in the environment"),
    ('[smtp]\nhost = "x"\npassword_file = "none"\n', "password_file cannot be read"),
    ("[smtp\n", "is not TOML"),
])  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=says) as caught:
        load(path).server("smtp")
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml")


def test_a_password_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_PASSWORD", "from env")
    (tmp_path / "secret").write_text("from file\n")
    (tmp_path / "secret").chmod(0o600)
    for key, value, password in (
        ("password_env", "OPS_PASSWORD", "from env"),
        ("password_file", "secret", "from file"),
    ):
        settings = load(write(tmp_path, f'[smtp]\nhost = "x"\n{key} = "{value}"\n'))
        server = settings.server("smtp")
        assert (server.password, settings.warnings) == (password, [])
        assert password not in repr(server)


def test_a_password_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    path = write(tmp_path, '[smtp]\nhost = "x"\npassword = "open"\n')
    path.chmod(0o644)
    settings = load(path)
    assert settings.server("smtp").password == "open"
    assert settings.warnings == [f"smtp.password: {path} can be read by others; chmod 600 {path}"]


def test_a_scenario_s_table_becomes_its_dataclass(tmp_path: Path) -> None:
    settings = load(
        write(tmp_path, '[scenario.watch]\nadmins = ["a@b.c"]\nstate = "x/y.db"\npoll = 5\n')
    )
    assert settings.table("watch", Rules) == Rules(("a@b.c",), 5.0, tmp_path / "x/y.db")
    assert (
        load({"scenario": {"watch": {"admins": []}}}, tmp_path).table("watch", Rules).state
        == tmp_path / "state.sqlite3"
    )


@pytest.mark.parametrize(("text", "says"), [
    ("", "scenario.watch.admins is missing"),
    ('admins = "a@b.c"', r"admins is 'a@b.c'; it should be a list"),
    ("admins = [1]", r"admins\[0\] is 1; it should be a text"),
    ("admins = []\npol = 3", "pol is not known .did you mean 'poll'"),
    ("admins = []\npoll = -1", "scenario.watch.poll is not more than 0 seconds"),
    ("admins = []\nretries = true", "retries is True; it should be a number"),
])  # fmt: skip
def test_a_scenario_s_table_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(write(tmp_path, f"[scenario.watch]\n{text}\n")).table("watch", Rules)

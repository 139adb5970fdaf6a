"""The certificates of a world: good ones and flawed ones. tests/test_fakes_shell.py serves them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from fakes.certificates import Authority
from fakes.world import World


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(["mail.example.test"])


def served(authority: Authority, flaw: str, name: str) -> bytes:
    """The certificate that a client which trusts the authority gets, after a handshake in memory.

    Raises SSLCertVerificationError if the client does not accept it.
    """
    client_context = ssl.create_default_context(cadata=authority.pem.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = authority.context(flaw).wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("name", ["mail.example.test", "localhost"])
def test_a_good_certificate_is_accepted_under_its_names(authority: Authority, name: str) -> None:
    assert served(authority, "", name)


@pytest.mark.parametrize(
    ("flaw", "name", "reason"),
    [
        ("expired", "localhost", "expired"),
        ("other-name", "localhost", "Hostname mismatch"),
        ("self-signed", "localhost", "self-signed|self signed"),
        ("", "example.org", "Hostname mismatch"),
    ],
)
def test_a_flawed_certificate_is_rejected_for_its_flaw(
    authority: Authority, flaw: str, name: str, reason: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        served(authority, flaw, name)


def test_a_context_is_made_once_and_knows_its_binding_data(authority: Authority) -> None:
    context = authority.context()
    assert authority.context() is context is not authority.context("expired")
    assert len(context.end_point) == 32, "SHA-256"
    assert context.end_point != authority.context("expired").end_point


def test_the_authority_s_certificate_is_written_for_clients(
    authority: Authority, tmp_path: Path
) -> None:
    path = authority.write(tmp_path)
    assert path == tmp_path / "ca.pem" and path.read_bytes() == authority.pem


def test_the_folder_of_an_authority_may_be_a_text(tmp_path: Path) -> None:
    kept = [World(servers=["smtp"], ca_folder=folder) for folder in (tmp_path, str(tmp_path))]
    with kept[0] as first, kept[1] as second:
        assert first.ca_file == second.ca_file == tmp_path / "ca.pem"


def test_an_authority_that_is_kept_is_not_written_again(tmp_path: Path) -> None:
    first = Authority(["mail.example.test"], tmp_path).write(tmp_path)
    os.utime(first, (0, 0))
    second = Authority(["mail.example.test"], tmp_path).write(tmp_path)
    assert second == first and first.stat().st_mtime == 0, "the folder may be read-only"

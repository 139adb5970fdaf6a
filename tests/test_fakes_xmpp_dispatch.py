"""Where requests and their answers go (RFC 6121 §8.5.1 to §8.5.3), compared with a table."""

from __future__ import annotations

import pytest

from tests.test_fakes_xmpp_delivery import JULIET, outcome, rows

IQ = {
    type: cells
    for types, *cells in rows("xmpp-delivery-iq.txt", r"\s{2,}")
    for type in types.split(",")
}


@pytest.mark.parametrize("type", ["get", "set"])
def test_a_request_goes_where_the_table_says(type: str) -> None:
    account, match, nomatch, unknown = IQ[type]
    assert account == "server answers for the account"
    assert match == "that one, if the recipient shares presence"
    assert (nomatch, unknown) == ("E", "E")
    ask = f"<iq to='%s' type='{type}' id='1'><query xmlns='urn:example:unknown'/></iq>"
    error = ["error service-unavailable"]
    assert outcome(ask % JULIET) == (set(), error)
    # An actor answers requests with the same error.
    assert outcome(ask % f"{JULIET}/r0") == ({"r0"}, error)
    assert outcome(ask % f"{JULIET}/elsewhere") == (set(), error)
    assert outcome(ask % JULIET, account="no") == (set(), error)
    ping = f"<iq to='{JULIET}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert outcome(ping) == (set(), ["result"])


@pytest.mark.parametrize("type", ["result", "error"])
def test_an_answer_goes_where_the_table_says_and_is_never_answered(type: str) -> None:
    assert IQ[type] == ["S", "that one", "S", "S"]
    answer = f"<iq to='%s' type='{type}' id='1'/>"
    assert outcome(answer % JULIET) == (set(), [])
    assert outcome(answer % f"{JULIET}/r0") == ({"r0"}, [])
    assert outcome(answer % f"{JULIET}/elsewhere") == (set(), [])
    assert outcome(answer % JULIET, account="no") == (set(), [])

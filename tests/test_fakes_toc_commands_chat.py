"""Commands for chat rooms."""

from __future__ import annotations

from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw


def test_a_long_member_list_is_split_into_messages_of_at_most_8185_bytes() -> None:
    names = [f"{n:04}" + "x" * 44 for n in range(400)]
    bench = Bench(accounts=names)
    clients = [(raw, bench.signed_on(raw)) for raw in map(Raw, names)]
    for raw, core in clients:
        core.receive(raw.command("toc_chat_join 4 lobby"))
    raw, core = clients[-1]
    messages = raw.feed(taken(core))
    listed = [text.split(":")[3:] for text in messages if text.startswith("CHAT_UPDATE_BUDDY")]
    assert len(listed) > 1
    assert [name for names in listed for name in names] == names

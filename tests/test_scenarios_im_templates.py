"""im-templates: XHTML-IM, links cut at every unit, and a program that is killed at every step."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import settings as comms_settings
from comms.xmpp.stream import to_bytes
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.jabber.im_templates import CAROL, DIETER, WORLD, run
from scenarios.jabber.im_templates_desk import ELEMENTS, XHTML, xhtml
from tests import drills
from tests.test_scenarios_jabber import Killed, killed_at

PAGE = catalogue.named("im-templates")
ACT = PAGE.acts()[0]


def rich(html: str) -> str:
    text = to_bytes(xhtml(html)[0], XHTML).decode()
    return text.removeprefix("<body>").removesuffix("</body>")


@pytest.mark.parametrize(
    ("html", "wanted"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<b>a</b> & <i>b</i>", "<strong>a</strong> &amp; <em>b</em>"),
        ("a<br>b<br/>c", "a<br/>b<br/>c"),
        ('<a href="https://a.test/?x&y">a</a>', "<a href='https://a.test/?x&amp;y'>a</a>"),
        ('<a href="javascript:alert(1)" onclick="x">a</a>', "<a>a</a>"),
        ("<script>x</script><style>y</style><img src=z>a", "a"),
        ("<ul><li>a<li>b</ul>c", "<ul><li>a</li><li>b</li></ul>c"),
        ("<p>a</i></b></p></div>b", "<p>a</p>b"),
        ("<table><td>a</td></table>", "a"),
        ("<p>&lt;script&gt;", "<p>&lt;script&gt;</p>"),
    ],
)
def test_html_becomes_what_a_client_may_show(html: str, wanted: str) -> None:
    assert rich(html) == wanted


@given(st.lists(st.sampled_from(["<p>", "</p>", "<b>", "</b>", "<li>", "a", "<x y", ">", "&#0;"])))
def test_any_html_becomes_allowed_elements(pieces: list[str]) -> None:
    found = xhtml("".join(pieces))
    names = {element.tag for element in found[0].iter()} - {f"{{{XHTML}}}body"}
    assert names <= {f"{{{XHTML}}}{name}" for name in ELEMENTS}


RECORDS = [one for one in rehearsal.rehearse(PAGE, ACT).recording if isinstance(one, Record)]


@pytest.mark.parametrize("fault", drills.none_quick(drills.cuts(RECORDS), "xmpp"))
def test_a_cut_connection_sends_nothing_twice(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert performance.tracebacks == []
    counts = performance.messages
    assert counts.get(CAROL, 0) <= 1 and counts.get(DIETER, 0) <= 1


@pytest.mark.slow
def test_killed_at_any_step_nothing_is_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(1, 40):
        with World(WORLD, rehearsal=True) as world:
            carol, dieter = world.jabber.actor(CAROL), world.aim.actor(DIETER)
            carol.comes()
            dieter.signs_on()
            settings = comms_settings.load(world.settings, world.folder)
            with killed_at(step, monkeypatch) as count, suppress(Killed):
                run(world.clock, settings, world.host)
            died = count[0] == step
            code = run(world.clock, settings, world.host)
            assert len(carol.messages) <= 1 and len(dieter.heard) <= 1
            # What did not arrive is not called sent.
            assert code == 5 or (len(carol.messages), len(dieter.heard)) == (1, 1)
            if not died:
                assert code == 0
                return
    raise AssertionError("the program has more steps than were tried")

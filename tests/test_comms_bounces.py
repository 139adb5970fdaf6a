"""Delivery reports, return paths with a token, and who is unreachable."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import bounces
from comms.bounces import QUIET, Reachability, Returned, ReturnPaths
from comms.read import read
from comms.state import State
from tests.growth import FACTOR_MOST, factor
from tests.scripted import JumpingClock, RecordingHost

# ── delivery reports ─────────────────────────────────────────────────────────

REPORT = (
    "From: MAILER-DAEMON@mx.example\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.example\r\nArrival-Date: now\r\n\r\n{groups}\r\n"
    "--b\r\nContent-Type: {kind}\r\n\r\nMessage-ID: <ours@us.test>\r\nSubject: x\r\n\r\n"
    "--b--\r\n"
)


def group(address: str, action: str, status: str, more: str = "") -> str:
    return (
        f"Original-Recipient: rfc822; {address}\r\nFinal-Recipient: rfc822; <{address}>\r\n"
        f"Action: {action}\r\nStatus: {status}\r\n{more}\r\n"
    )


def report(groups: str, kind: str = "message/rfc822") -> bounces.Report | None:
    return bounces.report(read(REPORT.format(groups=groups, kind=kind).encode()))


def test_the_action_of_each_recipient_decides() -> None:
    found = report(
        group("a@x.example", "failed", "4.2.2", "Diagnostic-Code: smtp; 452\r\n full\r\n")
        + group("b@x.example", "Delayed", "4.4.1")
        + group("c@x.example", "delivered", "2.0.0")
    )
    assert found is not None
    assert found.failed == ("a@x.example",), (
        "failed is final, whatever the status (RFC 3464 §2.3.3)"
    )
    assert [item.action for item in found.recipients] == ["failed", "delayed", "delivered"]
    first = found.recipients[0]
    assert (first.status, first.diagnostic) == ("4.2.2", "smtp; 452 full")


@pytest.mark.parametrize(
    "kind", ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"]
)
def test_the_mail_that_a_report_is_about_is_found_in_each_form(kind: str) -> None:
    found = report(group("a@x.example", "failed", "5.1.1"), kind)
    assert found is not None and found.message_id == "<ours@us.test>"


ONE = "Final-Recipient: rfc822; one@x.example\r\n"
TWO = "Final-Recipient: rfc822; two@x.example\r\n"
FAILED = "Action: failed\r\nStatus: 5.1.1\r\n"


@pytest.mark.parametrize(
    "groups",
    [
        ONE + FAILED + TWO + FAILED,
        ONE + TWO + FAILED,  # what happened is said once
        "Action: failed\r\n" + ONE + "Action: failed\r\n" + TWO,
        ONE + "Status: 5.1.1\r\n\r\n" + TWO + "Status: 5.7.1 (refused)\r\n",  # no action
        f"Original-{ONE[6:]}{ONE}{FAILED}Original-{TWO[6:]}{TWO}{FAILED}",
        "Final-Recipient: rfc822; one@x.example, two@x.example\r\n" + FAILED,
        ONE + FAILED + " \r\n" + TWO + FAILED,
        "Reporting-MTA: dns; a\r\n" + ONE + FAILED + "junk\r\n" + TWO + FAILED,
        ONE.replace("rfc822; ", "")
        + FAILED
        + "\r\n\r\n\r\n"
        + TWO
        + FAILED.replace("failed", "FAILED (x)"),
    ],
)
def test_every_recipient_in_a_report_is_found(groups: str) -> None:
    found = report(groups)
    assert found is not None and found.failed == ("one@x.example", "two@x.example")


EXIM = (
    b"Return-Path: <>\r\nReceived: from a by b; now\r\n"
    b"From: Mail Delivery System <Mailer-Daemon@mx.example>\r\n"
    b"X-Failed-Recipients: a@x.example, b@x.example\r\n\r\n"
    b"bounced\r\n\r\nMessage-ID: <ours@us.test>\r\n"
)
QMAIL = (
    b"Return-Path: <>\r\nReceived: from a by b; now\r\nFrom: MAILER-DAEMON@mx.example\r\n\r\n"
    b"Hi. This is the qmail-send program at mx.example.\r\n\r\n"
    b"<a@x.example>:\r\nSorry, no mailbox here.\r\n\r\n"
    b"--- Below this line is a copy of the message.\r\n\r\nMessage-ID: <ours@us.test>\r\n"
)


@pytest.mark.parametrize(
    ("raw", "failed"),
    [
        (EXIM, ("a@x.example", "b@x.example")),
        (QMAIL, ("a@x.example",)),
        (QMAIL.replace(b"This is the qmail-send program", b"The MTA program"), ("a@x.example",)),
    ],
)
def test_reports_of_exim_and_qmail_are_read(raw: bytes, failed: tuple[str, ...]) -> None:
    found = bounces.report(read(raw))
    assert found is not None
    assert (found.failed, found.message_id) == (failed, "<ours@us.test>")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"From: a@x.y\r\n\r\nHi. This is the lunch menu\r\n<a@x.example>:\r\n",
        b"Content-Type: multipart/report\r\n\r\n",
        b"Content-Type: multipart/report; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nAction\r\n",
    ],
)
def test_other_mail_is_not_a_report(raw: bytes) -> None:
    assert bounces.report(read(raw)) is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_about(raw: bytes) -> None:
    mail = read(raw)
    assert bounces.returned(mail, PATHS) is None
    found = bounces.verdict(mail)
    assert found is None or found[0] in ("hard", "soft", "delayed", "delivered")


# ── what happened ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "kind"),
    [
        ("failed", "5.1.1", "smtp; 550 no such user", "hard"),
        ("failed", "5.1.2", "", "hard"),
        ("failed", "5.1.10", "smtp; 556 null MX", "hard"),
        ("failed", "5.2.1", "smtp; 550 disabled", "hard"),
        ("failed", "5.2.2", "smtp; 552 mailbox full", "soft"),
        ("failed", "5.7.1", "smtp; 550 refused by policy", "soft"),
        ("failed", "5.1.8", "smtp; 550 bad sender address", "soft"),
        ("failed", "4.4.1", "smtp; timed out for five days", "soft"),  # RFC 3464 §2.3.3
        ("failed", "4.1.1", "", "soft"),
        ("failed", "5.0.0", "", "soft"),
        ("failed", "5.0.0", "smtp; 550-5.1.1 no such user", "hard"),
        ("failed", "5.0.0", "smtp; 552 5.2.2 full", "soft"),
        ("failed", "5.7.1", "smtp; 550 5.1.1 hidden", "soft"),  # the status decides if it says much
        ("failed", "", "smtp; 550 5.1.1 no such user", "hard"),
        ("delayed", "4.4.1", "", "delayed"),
        ("delayed", "5.1.1", "", "delayed"),  # the action decides
        ("delivered", "2.0.0", "", "delivered"),
        ("relayed", "2.0.0", "", None),
        ("expanded", "2.0.0", "", None),
        ("nonsense", "5.1.1", "", None),
    ],
)
def test_hard_soft_and_delayed_are_told_apart(
    action: str, status: str, diagnostic: str, kind: str | None
) -> None:
    more = f"Diagnostic-Code: {diagnostic}\r\n" if diagnostic else ""
    raw = REPORT.format(groups=group("a@x.example", action, status, more), kind="message/rfc822")
    found = bounces.verdict(read(raw.encode()))
    assert (found and found[0]) == kind


def test_of_several_recipients_the_worst_decides() -> None:
    groups = group("a@x.example", "delayed", "4.4.1") + group("b@x.example", "failed", "5.1.1")
    found = bounces.verdict(read(REPORT.format(groups=groups, kind="message/rfc822").encode()))
    assert found == ("hard", "5.1.1")


TRACE = "Return-Path: <>\r\nReceived: from a by b; now\r\n"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (EXIM.decode(), "soft"),
        (f"{TRACE}From: MAILER-DAEMON@mx.example\r\nSubject: failure\r\n\r\nSorry!\r\n", "soft"),
        (f"{TRACE}From: ann@x.example\r\nSubject: I am away\r\n\r\n", None),
        ("From: MAILER-DAEMON@mx.example\r\nSubject: failure\r\n\r\nSorry!\r\n", None),
        (f"{TRACE}From: ann@x.example\r\nAuto-Submitted: auto-replied\r\n\r\n", None),
    ],
)
def test_an_absence_notice_is_not_taken_for_a_report(raw: str, kind: str | None) -> None:
    found = bounces.verdict(read(raw.encode()))
    assert (found and found[0]) == kind


# ── return paths ─────────────────────────────────────────────────────────────

PATHS = ReturnPaths("mysql+*@yourco.test", "k" * 40)
PATH = PATHS.address(17)
GONE = group("jeremy@x.example", "failed", "5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 gone\r\n")


def returned(to: str, groups: str = GONE) -> Returned | None:
    raw = f"To: <{to}>\r\n" + REPORT.format(groups=groups, kind="message/rfc822")
    return bounces.returned(read(raw.encode()), PATHS)


def test_a_return_path_says_which_mail_came_back() -> None:
    assert re.fullmatch(r"mysql\+b17-[0-9a-f]{20}@yourco\.test", PATH)
    assert returned(PATH) == Returned(17, "hard", "550 5.1.1 gone")
    assert returned(PATH.upper()) == returned(PATH), "servers may change the case"
    assert len(PATHS.address(10**12 - 1).partition("@")[0]) <= 64


@pytest.mark.parametrize("type", ["smtp; ", "smtp;", "X-Postfix; ", ""])
def test_the_reason_is_the_whole_text_after_the_type(type: str) -> None:
    said = "550 5.1.1 no such user; see https://mx.example/help; bye"
    more = f"Diagnostic-Code: {type}{said}\r\n"
    found = returned(PATH, group("jeremy@x.example", "failed", "5.1.1", more))
    assert found is not None and found.reason == said


def test_a_return_path_has_its_domain_in_ascii_as_mail_comes_back() -> None:
    paths = ReturnPaths("mysql+*@bücher.test", "k" * 40)
    path = paths.address(17)
    assert path.endswith("@xn--bcher-kva.test")
    assert paths.number(read(f"To: {path}\r\n\r\n".encode())) == 17


@pytest.mark.parametrize(
    "to",
    [
        "mysql@yourco.test",
        "mysql+@yourco.test",
        PATH.replace("b17", "b18"),
        PATH.replace("b17", "b017"),
        PATH.replace("b17", "b\N{SUPERSCRIPT ONE}7"),
        PATH.replace("b17", ""),
        PATH.replace("@", "0@"),
        PATH.replace("@", "+@"),
        f"{PATH.partition('@')[0][:-1]}@yourco.test",
        PATH.replace("yourco", "evil"),
        f"x{PATH}",
        f"{PATH}.evil.example",
        ReturnPaths("mysql+*@yourco.test", "another key" * 4).address(17),
        "mysql+b17-@yourco.test",
        f"mysql+b{'9' * 5000}-{'0' * 20}@yourco.test",
        "mysql+b17-" + "\N{FULLWIDTH DIGIT ONE}" * 20 + "@yourco.test",
    ],
)
def test_a_return_path_without_the_right_token_says_nothing(to: str) -> None:
    assert returned(to) is None


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    def compare(ours: str, theirs: str) -> bool:
        seen.append((ours, theirs))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert returned(PATH) is None, "nothing else compares it"
    assert seen == [(PATH[10:30], PATH[10:30])]


# ── who can be reached ───────────────────────────────────────────────────────

WHO = "jeremy@yourco.test"
HARD, SOFT = Returned(1, "hard", "gone"), Returned(2, "soft", "full")
DELAYED, DELIVERED = Returned(3, "delayed", ""), Returned(4, "delivered", "")


class Jumping(JumpingClock):
    """A clock that is set by hand."""

    def jump(self, seconds: float) -> None:
        self._jumped += seconds


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("550 5.1.1 no such mailbox", "hard"),
        ("jeremy@yourco.test: 550 5.2.2 mailbox is full", "soft"),
        ("550 no", "soft"),
        ("5.9.41.7:25 refused RCPT TO:<a@b.test>: 550 5.1.1 no such mailbox", "hard"),
        ("5.1.1.7:25 refused RCPT TO:<a@b.test>: 550 5.7.1. No", "soft"),
    ],
)
def test_a_refusal_says_the_same_as_a_report(text: str, kind: str) -> None:
    assert bounces.refused(text) == Returned(0, kind, text)  # type: ignore[arg-type]


class Watched:
    """A Reachability and its clock."""

    def __init__(self, state: State) -> None:
        self.state, self.clock, self.host = state, Jumping(), RecordingHost()
        self.reach = Reachability(state, self.clock, self.host)

    def note(self, back: Returned) -> bool:
        with self.state.transaction() as db:
            return self.reach.note(db, WHO, back)

    def sent(self) -> None:
        with self.state.transaction() as db:
            self.reach.sent(db, WHO)

    @property
    def unreachable(self) -> bool:
        return self.reach.since(WHO) is not None


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with State(tmp_path / "state") as state:
        found = Watched(state)
        yield found
        found.clock.close()


@pytest.mark.parametrize("back", [HARD, SOFT])
def test_the_first_failure_is_news_and_the_next_one_is_not(
    watched: Watched, back: Returned
) -> None:
    assert not watched.note(DELAYED) and not watched.unreachable
    assert watched.note(back) and watched.unreachable
    assert not watched.note(HARD) and not watched.note(SOFT) and watched.unreachable


def test_it_ends_when_a_later_mail_has_not_come_back_for_five_days(watched: Watched) -> None:
    watched.sent()
    assert watched.note(HARD)
    watched.clock.jump(QUIET * 3)
    assert watched.unreachable, "nothing was sent since, so nothing is known"
    watched.sent()
    watched.clock.jump(QUIET - 60)
    watched.sent()  # the first one after the failure counts
    assert watched.unreachable
    assert not watched.note(SOFT), "it has come back"
    watched.sent()
    watched.clock.jump(QUIET + 60)
    assert not watched.unreachable
    assert watched.note(HARD), "which is news"


def test_it_ends_when_a_mail_is_known_to_be_delivered(watched: Watched) -> None:
    assert not watched.note(DELIVERED) and watched.note(HARD)
    assert not watched.note(DELIVERED) and not watched.unreachable
    assert watched.note(SOFT)


def test_a_clock_that_jumps_back_ends_nothing(watched: Watched) -> None:
    assert watched.note(HARD)
    watched.sent()
    watched.clock.jump(-10 * QUIET)
    watched.sent()
    assert watched.unreachable and not watched.note(SOFT)


@pytest.mark.parametrize(
    "group",
    [
        "Final-Recipient: rfc822; one@c.test (Ann)\r\nAction: failed(gone)\r\nStatus: 5.1.1\r\n",
        "Final-Recipient: rfc822; one@c.test\r\nAction: (x) failed\r\nStatus: (y) 5.1.1\r\n",
    ],
)
def test_comments_are_no_part_of_a_field(group: str) -> None:
    found = report(group)
    assert found is not None and found.failed == ("one@c.test",)
    assert found.recipients[0].status == "5.1.1"


def test_recipients_that_come_after_what_happened_count_too() -> None:
    group = "Action: failed\r\nStatus: 5.1.1\r\n"
    found = report(group + "".join(f"Final-Recipient: rfc822; {n}@c.test\r\n" for n in "ab"))
    assert found is not None and found.failed == ("a@c.test", "b@c.test")


OLDER = "Return-Path: <>\r\nReceived: from a by b; x\r\nFrom: MAILER-DAEMON@x.test\r\n"


def test_what_qmail_quotes_is_no_recipient() -> None:
    said = "Hi. This is the qmail-send program.\r\n\r\n<one@c.test>:\r\nno\r\n\r\n"
    quoted = "--- Below this line is a copy of the message.\r\n\r\n<boss@c.test>:\r\nhi\r\n"
    found = bounces.report(read(f"{OLDER}\r\n{said}{quoted}".encode()))
    assert found is not None and found.failed == ("one@c.test",)


def test_exim_may_name_recipients_in_angle_brackets() -> None:
    mail = read(f"{OLDER}X-Failed-Recipients: <a@c.test>, b@c.test\r\n\r\nx".encode())
    found = bounces.report(mail)
    assert found is not None and found.failed == ("a@c.test", "b@c.test")


@pytest.mark.slow
def test_a_report_of_lines_that_are_no_fields_takes_linear_time() -> None:
    def prepared(size: int) -> Callable[[], object]:
        mail = read(REPORT.format(groups="x\nTo:a\n" * (size // 7), kind="text/plain").encode())
        return lambda: bounces.report(mail)

    assert factor(prepared, 10_000) <= FACTOR_MOST

"""template-mailer: its file of mails, its ways to deliver, its preview; cut off and killed."""

from __future__ import annotations

import html
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from comms.compose import Message
from comms.errors import Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Outcome, RealHost
from comms.settings import load
from comms.state import State
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.sending.template_mailer import CUSTOMERS, EXAMPLES, WORLD, run
from scenarios.sending.template_mailer_desk import Folder, Sendmail, preview, rows
from tests import drills
from tests.thorough import THOROUGH

PAGE = catalogue.named("template-mailer")
MODULE = "scenarios.sending.template_mailer"

# ── the file of mails ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": no mails; write [[mail]] and its keys for each"),
        ("mail = 3", ": mail: expected a list, found 3; write [[mail]] before each mail"),
        ("mail = [3]", ": mail 1: expected a table, found 3; write [[mail]] before each mail"),
        ('[[mail]]\ntemplate = "x"', ": mail 1.to: '' does not contain an address like"),
        ('[[mail]]\nto = "a@b.test"', ": mail 1.template: is empty; write template = "),
        ('[[mail]]\nto = ["a@b.test"]', ': mail 1.to: expected a text in quotes, found ["a@b.'),
        ('[[mail]]\nto = "A\\nBcc: <a@b.test>"', ": mail 1.to: "),
        ('[[mail]]\nto = "a@b.test"\ntemplate = "x"\nlanguage = 1', ": mail 1.language: expected"),
        ("[[mail", ": Expected ']]' at the end of an array declaration"),
        (f"mail = {'[' * 5000}", ": "),
    ],
)
def test_a_mistake_in_the_file_names_the_mail_and_the_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "mails.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        rows(file)
    assert str(caught.value).startswith(f"{file}{problem}")


def test_the_other_keys_of_a_mail_are_the_values(tmp_path: Path) -> None:
    file = tmp_path / "mails.toml"
    mail = 'to = "a@b.test"\ntemplate = "x"\nlanguage = "de"\nn = 3\nwords = ["a"]'
    file.write_bytes(b"\xef\xbb\xbf[[mail]]\r\n" + mail.encode())
    (row,) = rows(file)
    assert (row.to, row.template, row.language) == ("a@b.test", "x", "de")
    assert row.values == {"n": 3, "words": ["a"]}


# ── the ways to deliver ──────────────────────────────────────────────────────


class Ends(RealHost):
    """A machine on which every command ends like this."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome

    def run(self, command: object, timeout: float, input: bytes = b"") -> Outcome:
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome(0), None),
        (Outcome(75, "queue is full\n"), TryLater),
        (Outcome(67, "no such user\n"), Refused),
        (Outcome(-9, "killed\n", in_doubt=True), Unknown),
        (Outcome(None, "", 60.0, "still running after 60 s, and ended", True), Unknown),
    ],
    ids=["sent", "later", "refused", "died", "too slow"],
)
def test_the_exit_status_of_sendmail_says_what_became_of_the_mail(
    outcome: Outcome, error: type[Exception] | None
) -> None:
    results = Sendmail(["sendmail"], Ends(outcome)).send("a@b.test", ["c@d.test"], b"x")
    found = results["c@d.test"]
    assert found is None if error is None else type(found) is error


def test_a_real_command_reads_the_mail_with_the_line_ends_of_the_machine(tmp_path: Path) -> None:
    command = tmp_path / "sendmail"
    command.write_text('#!/bin/sh\necho "$@" >"$0.words"; cat >"$0.mail"\n')
    command.chmod(0o755)
    Sendmail([str(command)], RealHost()).send("a@b.test", ["c@d.test"], b"Subject: x\r\n\r\n.\r\n")
    words = (tmp_path / "sendmail.words").read_text()
    assert words == "-i -f a@b.test -- c@d.test\n"
    assert (tmp_path / "sendmail.mail").read_bytes() == b"Subject: x\n\n.\n"


def test_without_the_command_or_the_folder_mails_wait(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="could not be started"):
        Sendmail([str(tmp_path / "none")], RealHost()).send("a@b.test", ["c@d.test"], b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable, match="eml: "):
        Folder(tmp_path / "file").send("a@b.test", ["c@d.test"], b"x")


def test_the_same_mail_is_one_file_however_often_it_is_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new" / "folder")
    for raw in (b"one", b"one", b"two"):
        folder.send("a@b.test", ["c@d.test"], raw)
    files = (tmp_path / "new" / "folder").iterdir()
    assert sorted(file.read_bytes() for file in files) == [b"one", b"two"]


# ── the preview ──────────────────────────────────────────────────────────────


def test_no_field_of_a_mail_leaves_its_place_on_the_page(tmp_path: Path) -> None:
    evil = '"></iframe><script>alert(1)</script><img src=https://evil.example/>{subject}'
    page = tmp_path / "preview.html"
    preview(
        [Message(evil, [evil], evil, evil, evil), Message("a@b.test", ["c"], "x", "y")],
        page,
        load({}),
    )
    text = page.read_text("utf-8")
    assert text.count("<iframe sandbox ") == 1, "a mail without HTML has no frame"
    assert "<script" not in text and "<img" not in text
    assert f'srcdoc="{html.escape(evil)}"' in text


def test_a_preview_that_cannot_be_written_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"preview: .*cannot be written"):
        preview([], tmp_path / "none" / "preview.html", load({}))


# ── cut off and killed ───────────────────────────────────────────────────────

ACT = PAGE.acts()[0]
WIRE = [item for item in rehearsal.rehearse(PAGE, ACT).recording if isinstance(item, Record)]


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", drills.cuts(WIRE)))
def test_cut_anywhere_nobody_gets_a_mail_twice_and_who_gets_none_is_reported(cut: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [cut])
    got = Counter(address for mail in performance.envelopes for address in mail.to)
    assert set(got.values()) <= {1}, "nobody twice"
    logged = [event["text"] for event in performance.events]
    for customer in CUSTOMERS:
        sent = any(text.startswith(f"mail-sent to={customer}") for text in logged)
        unknown = any(text.startswith(f"mail-unknown to={customer}") for text in logged)
        assert sent != unknown and got[customer] >= sent


def settings(world: World, folder: Path) -> dict[str, Any]:
    """The settings for a program in another process."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    table = {**world.settings["scenario"]["template-mailer"], "mails": "mails.toml"}
    return {**world.settings, "scenario": {"template-mailer": {**table, "templates": "."}}}


def test_a_file_that_was_sent_before_another_one_is_not_sent_again(tmp_path: Path) -> None:
    with World(WORLD, rehearsal=True) as world:
        given, file = settings(world, tmp_path), tmp_path / "mails.toml"
        january = file.read_text("utf-8")
        for text in (january, january.replace("Small", "Large"), january):
            file.write_text(text, "utf-8", newline="\n")
            assert run(world.clock, load(given, tmp_path), world.host) == 0
        assert world.said == ["mails.toml has been sent before"]
        assert len(world.mail.messages) == 2 * len(CUSTOMERS)


def killed(at: int, folder: Path) -> tuple[int | None, int]:
    """Kills the program at this step, and runs it again. Returns the steps, and its exit code."""
    with World({**WORLD, "tls": "off"}) as world:
        table = settings(world, folder)
        steps = drills.killed(at, MODULE, table, folder)
        (code,) = drills.together(1, MODULE, table, folder)
        drills.together(1, MODULE, table, folder)
        with State(folder / "template-mailer.sqlite3") as state:
            unknown = [row[0] for row in state.rows("SELECT address FROM outbox_recipient")]
        for customer in CUSTOMERS:
            got = len(world.mail.inbox(customer))
            assert got == 1 or (got == 0 and customer in unknown), "nobody is missing, or twice"
        assert len(unknown) <= 1
        assert (code == 5) == bool(unknown), "what is unknown is reported"
    return steps, code


@pytest.mark.slow
def test_killed_at_any_step_nobody_gets_a_mail_twice_and_nobody_is_missing(tmp_path: Path) -> None:
    codes: Counter[int] = Counter()

    def kill(at: int) -> int | None:
        steps, code = killed(at, tmp_path / str(at))
        codes[code] += 1
        return steps

    assert drills.each_step(kill) > 50
    assert (codes[0] and codes[5]) or not THOROUGH, codes

"""The plugin, as the tests of another project use it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests import soak_plugin

TESTS = """
import smtplib
import pytest

def send(world, to="bob@example.test"):
    with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
        client.ehlo()
        client.docmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==")
        client.sendmail("alice@example.test", [to], "Subject: hi\\r\\n\\r\\n")

def test_that_passes(world):
    send(world)
    assert world.mail.wait_for(lambda mail: mail.subject == "hi")

def test_that_fails(world):
    send(world)
    assert world.mail.messages == []

@pytest.mark.world(person=[{"address": "dora@shop.test"}], faults=["RCPT reset"], tls="off")
def test_with_a_fault_that_is_never_met(world):
    assert world.settings["smtp"]["user"] == "dora@shop.test"

@pytest.mark.world({"tls": "off", "mail": {"size": 5}}, ports={"submission": 0}, source="mine")
def test_with_arguments_of_the_world(world):
    assert list(world.listeners) == ["submission"]

@pytest.mark.world({"host": {"name": "web1"}}, servers=["pop3"], host="127.0.0.1", rehearsal=True)
def test_with_an_interface_and_a_table_of_the_same_name(world):
    assert world.host.name == "web1" and list(world.servers) == ["pop3"] and world.clock

@pytest.mark.world(host={"name": "web2"})
def test_with_a_table_as_a_keyword(world):
    assert world.host.name == "web2"

@pytest.mark.world({"mial": {}})
def test_with_a_mistake(world):
    pass
"""


def test_a_failure_shows_what_crossed_the_wire_with_secrets_masked(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=5, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["*what crossed the wire*", "C: AUTH PLAIN {plain alice}", "S: 250 2.0.0 Queued as *"]
    )
    result.stdout.fnmatch_lines(["*UnmetFault*armed and never met: smtp RCPT reset*"])
    result.stdout.fnmatch_lines(["@pytest.mark.world: mial: unknown key (did you mean 'mail'?)*"])
    transcript = result.stdout.str().split("what crossed the wire")[1].split("====")[0]
    assert "AGFsaWNlAHNlY3JldA" not in transcript
    unmet = result.stdout.str().partition("test_with_a_fault_that_is_never_met")[2]
    assert "what crossed the wire" in unmet and "(nothing)" in unmet


OTHER_FIXTURES = """
import smtplib
import pytest
from fakes import World

def noop(world, name):
    with smtplib.SMTP(*world.address("smtp"), local_hostname=name) as client:
        client.ehlo()

@pytest.fixture
def server():
    with World({"tls": "off"}) as one:
        yield one

@pytest.fixture(scope="module")
def shared():
    with World({"tls": "off"}, faults=["DATA reset"]) as one:
        noop(one, "shared-set-up")
        yield {"in a table": one}

@pytest.fixture
def broken():
    with World({"tls": "off"}) as one:
        noop(one, "broken-set-up")
        raise RuntimeError("set-up")
        yield

@pytest.fixture
def broken_later(server):
    yield
    noop(server, "broken-tear-down")
    raise RuntimeError("tear-down")

def test_passes(shared):
    noop(shared["in a table"], "of-a-test-that-passes")

def test_other_name(server):
    noop(server, "other-name")
    assert not server

def test_shared(shared):
    noop(shared["in a table"], "of-the-test")
    assert not shared

def test_several(server, shared):
    noop(server, "first-of-several")
    noop(shared["in a table"], "second-of-several")
    assert False

def test_set_up(broken):
    pass

def test_tear_down(broken_later):
    pass

def test_in_the_test_itself():
    with World({"tls": "off"}) as world:
        noop(world, "own-world")
        assert False

def test_without_a_world():
    assert False

def test_last(shared):
    pass
"""


def test_every_failure_shows_the_wire_of_each_world_that_served(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OTHER_FIXTURES)
    result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=3, failed=5, errors=3)
    shown = result.stdout.str().partition("short test summary")[0]
    parts = re.split(r"(?m)^_{3,} (.+?) _{3,}$", shown)
    reports = dict(zip(parts[1::2], parts[2::2], strict=True))

    def greeted(title: str) -> list[str]:
        return re.findall(r"C: ehlo (\S+)", reports[title])

    assert greeted("test_other_name") == ["other-name"]
    assert greeted("test_shared") == ["of-the-test"], "nothing of the tests before"
    assert greeted("test_several") == ["second-of-several", "first-of-several"]
    assert "what crossed the wire (world 2 of 2)" in reports["test_several"]
    assert greeted("ERROR at setup of test_set_up") == ["broken-set-up"]
    assert greeted("ERROR at teardown of test_tear_down") == ["broken-tear-down"]
    assert greeted("test_in_the_test_itself") == ["own-world"]
    assert "what crossed the wire" not in reports["test_without_a_world"]
    last = "ERROR at teardown of test_last"
    assert "UnmetFault" in reports[last]
    assert greeted(last)[:2] == ["shared-set-up", "of-a-test-that-passes"], "the whole recording"


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(tests)
    return pytester.runpytest_inprocess(
        "-p", "fakes.pytest_plugin", "-p", "no:asyncio", "-p", "no:xdist", *options
    )


SEND = """
import imaplib, json, poplib, smtplib, urllib.request
import pytest

def send(server, to, subject="hi"):
    with smtplib.SMTP(*server, local_hostname="client.example") as client:
        client.sendmail("carol@example.org", [to], f"Subject: {subject}\\r\\n\\r\\nhello\\r\\n")
"""

FIXTURES = """
@pytest.mark.parametrize("n", [1, 2])
def test_each_test_has_an_inbox_of_its_own(session_world, smtp_server, inbox, n):
    assert inbox.address == f"inbox-{n}@example.test"
    send(smtp_server, inbox.address)
    send(smtp_server, "alice@example.test", "hi")
    assert inbox.wait_for(subject="hi").text == "hello\\n"
    assert len(inbox.mails) == 1
    inbox.assert_none(subject="another")

def test_the_inbox_can_be_read(inbox, smtp_server, pop3_server):
    send(smtp_server, inbox.address)
    inbox.wait_for_n(1)
    client = poplib.POP3(*pop3_server)
    client.user(inbox.address)
    client.pass_(inbox.password)
    assert client.stat()[0] == 1
    client.quit()

def test_servers_that_are_asked_for(imap_server, webhook, world):
    assert imap_server == world.address("imap") and imap_server.port
    host, port = world.address("webhook")
    urllib.request.urlopen(f"http://{host}:{port}/in", b"x").close()
    assert webhook.wait_for(path="/in").body == b"x"

def test_several_worlds(world, world_factory):
    other = world_factory({"mail": {"domains": ["other.test"]}}, tls="off",
                          person=[{"address": "dora@other.test"}])
    send(other.address("smtp"), "dora@other.test")
    other.mail.wait_for()
    world.mail.assert_none()

def test_mails_since_a_mark(world, smtp_server):
    send(smtp_server, "bob@example.test")
    world.mail.wait_for()
    mark = world.mail.mark()
    world.mail.assert_none(since=mark)
    send(smtp_server, "bob@example.test", "later")
    assert world.mail.wait_for(since=mark).subject == "later"
"""


def test_fixtures_for_servers_inboxes_and_further_worlds(pytester: pytest.Pytester) -> None:
    run(pytester, SEND + FIXTURES).assert_outcomes(passed=6)


MARKERS = """
pytestmark = pytest.mark.world(mail={"size": 1000, "lenient": True}, tls="off")

@pytest.mark.world(servers=["smtp"])
class TestMerged:
    @pytest.mark.world(mail={"size": 5}, faults=["RCPT reply '450 4.2.0 later'"])
    def test_all_of_them_hold(self, world):
        assert (world.tls, list(world.servers)) == ("off", ["smtp"])
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            assert client.ehlo()[1].endswith(b"SIZE 5") or b"SIZE 5" in client.ehlo()[1]
            assert client.docmd("MAIL FROM: <a@b.test>")[0] == 250
            assert client.docmd("RCPT TO:<bob@example.test>")[0] == 450

@pytest.mark.world(config={"servers": ["smtp"]}, tls="off")
def test_the_configuration_by_its_name(world, world_factory):
    assert (list(world.servers), world.tls) == (["smtp"], "off")
    assert world_factory(config={"tls": "off"}).tls == "off"

@pytest.mark.world(servers="smtp")
def test_servers_are_a_list(world, pop3_server):
    pass

@pytest.mark.world("smtp")
def test_a_text_is_no_configuration(world):
    pass

@pytest.mark.world({"tls": "off"}, {"servers": ["smtp"]})
def test_two_configurations_are_one_too_many(world):
    pass
"""


def test_markers_of_a_module_a_class_and_a_function_are_merged(pytester: pytest.Pytester) -> None:
    result = run(pytester, SEND + MARKERS)
    result.assert_outcomes(passed=2, errors=3)
    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.world: servers: expected a list of strings, found 'smtp'; *",
            "*TypeError: world takes a mapping first, not 'smtp'; or write *",
            "*TypeError: world takes one mapping and keywords, not 2; merge them",
        ]
    )


RENAMED = """
@pytest.fixture
def world():
    return "the earth"

def test_both(world, mail_world, smtp_server, inbox):
    assert world == "the earth" and smtp_server == mail_world.address("smtp")
    assert mail_world.mail.store.domains == ("shop.test",)
    assert inbox.address == "inbox-1@shop.test"
"""


def test_the_ini_file_renames_the_fixture_and_names_a_world_file(
    pytester: pytest.Pytester,
) -> None:
    ini = "[pytest]\nfakes_fixture = mail_world\nfakes_world = shop.toml\n"
    pytester.makefile(".ini", pytest=ini)
    pytester.makefile(".toml", shop='person = [{ address = "dora@shop.test" }]\ntls = "off"\n')
    run(pytester, SEND + RENAMED).assert_outcomes(passed=1)


def test_a_world_file_that_cannot_be_read_is_one_line(pytester: pytest.Pytester) -> None:
    pytester.makefile(".ini", pytest="[pytest]\nfakes_world = shop.toml\n")
    result = run(pytester, "def test_one(): pass")
    error = result.stderr.str()
    assert re.search(r"ERROR: fakes_world: .*shop.toml: .*No such file", error), error


@pytest.mark.parametrize(
    ("file", "marker", "error"),
    [
        ('tls = "of"', "", "shop.toml: tls: unknown value 'of' (did you mean 'off'?); choose *"),
        ("", 'tls="of"', "shop.toml and @pytest.mark.world: tls: unknown value 'of' *"),
        ("", 'tsl="off"', "shop.toml and @pytest.mark.world: tsl: unknown key (did you mean *"),
        ("", 'faults=["RCPT rest"]', "'RCPT rest': unknown word 'rest' *"),
    ],
)
def test_a_mistake_in_a_file_or_a_marker_is_one_line(
    pytester: pytest.Pytester, file: str, marker: str, error: str
) -> None:
    pytester.makefile(".ini", pytest="[pytest]\nfakes_world = shop.toml\n")
    pytester.makefile(".toml", shop=file)
    mark = f"import pytest\n@pytest.mark.world({marker})\n" if marker else ""
    result = run(pytester, f"{mark}def test_one(world): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([error])
    shown = result.stdout.str()
    assert "another exception" not in shown and "fakes/" not in shown and "_given" not in shown


FOLDED = """
def test_fails(world, smtp_server):
    long = "".join(f"line {n}\\\\n" for n in range(100))
    with smtplib.SMTP(*smtp_server, local_hostname="client.example") as client:
        client.sendmail("carol@example.org", ["bob@example.test"], f"Subject: hi\\\\n\\\\n{long}")
    assert world.mail.wait_for(subject="hello", to="bob@*", timeout=0)
"""


def test_a_failure_shows_what_arrived_before_the_wire_which_is_folded(
    pytester: pytest.Pytester,
) -> None:
    result = run(pytester, SEND + FOLDED.replace("\\\\", "\\"))
    result.stdout.fnmatch_lines(
        [
            "*what arrived*",
            "mail: *carol@example.org*bob@example.test*hi*",
            "*what crossed the wire*",
            "C: line 8",
            "# and * more lines",
            "S: 250 2.0.0 Queued as *",
        ]
    )
    assert "line 50" not in result.stdout.str()


LONG = """
@pytest.mark.world(tls="off", servers=["webhook", "xmpp"])
def test_fails(world):
    urllib.request.urlopen("http://%s:%d/in" % world.address("webhook"), b"x" * 50_000).close()
    world.jabber.actor("alice@example.test").says("bob@example.test", "x" * 50_000)
    assert False
"""


def test_a_failure_shows_the_beginning_of_a_long_line(pytester: pytest.Pytester) -> None:
    shown = run(pytester, SEND + LONG).stdout.str()
    assert "what arrived" in shown and "POST /in" in shown
    assert max(len(line) for line in shown.splitlines()) < 1100


def test_an_installed_plugin_may_be_named_as_well(pytester: pytest.Pytester) -> None:
    """As in this project, once `pip install .` has left a folder *.egg-info in it."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8")
    [(name, value)] = tomllib.loads(text)["project"]["entry-points"]["pytest11"].items()
    installed = pytester.mkdir("fakes-1.dist-info")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = {value}\n")
    pytester.syspathinsert()
    run(pytester, "def test_it(world): pass").assert_outcomes(passed=1)


@pytest.mark.slow
def test_tests_on_several_processes_pass_as_on_one(tmp_path: Path) -> None:
    count = soak_plugin.write(tmp_path, files=1)
    passed, report = soak_plugin.run(tmp_path, workers=2)
    assert passed == count == 10, report


HTML = """
import pytest

class Html:
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        for extra in getattr(report, "extras", []):
            print("EXTRA", report.when, extra["name"], extra["mime_type"], ascii(extra["content"]))

def pytest_configure(config):
    config.pluginmanager.register(Html(), "html")
"""


def test_mails_are_attached_to_the_report_of_pytest_html(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(HTML)
    result = run(
        pytester,
        """
        def test_old(session_world):
            session_world.mail.deliver("alice@example.test", b"Subject: old\\r\\n\\r\\n")
        def test_new(session_world):
            session_world.mail.deliver("alice@example.test", b"Subject: hi\\r\\n\\r\\n\\xff")
            assert False
        """,
        "-s",
    )
    found = [line for line in result.outlines if "EXTRA" in line]
    assert len(found) == 1 and found[0].endswith(
        r"EXTRA call hi.eml message/rfc822 'Subject: hi\r\n\r\n\ufffd'"
    ), found

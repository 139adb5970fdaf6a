"""Further acts of template-mailer: mistakes, other ways to deliver, a stage, previews, restarts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.read import read
from scenarios.play import Claim, Program, equal, holds, sent, told
from scenarios.sending.template_mailer import BOT, CUSTOMERS, EXAMPLES, STAGE, scenario

if TYPE_CHECKING:
    from fakes import World

# What is wrong → a [[mail]] or a template with that mistake, and how the error begins.
MISTAKES = {
    "a missing value": (
        'name = "Frank"\nplan = "Small"',
        "./templates/welcome.txt:9: 'features' is undefined",
    ),
    "a line end in the subject": (
        'name = "Frank\\r\\nBcc: everybody@customer.test"\nplan = "x"\nfeatures = []',
        "./templates/welcome.txt:1: subject: 'Welcome to YourCo, Frank\\r\\nBcc: everybody",
    ),
    "an address that is none": (
        'to = "Frank"',
        "./mails.toml: mail 4.to: 'Frank' does not contain",
    ),
    "two addresses in one": ('to = "a@b.test, c@d.test"', "./mails.toml: mail 4.to: "),
    "a template outside of the folder": (
        'template = "../secret"',
        "./templates: '../secret' is not the name of a template",
    ),
    "a loop without end": ('template = "endless"', "./templates/endless.txt:2: "),
}


@scenario.act("template-mistakes")
def mistakes(world: World, program: Program) -> Iterator[Claim]:
    """The last of four mails has a mistake; each of six mistakes stops all four."""
    folder = world.folder / "templates"
    shutil.copytree(EXAMPLES, folder)
    endless = "Subject: Hi\n{% for i in range(99999) %}{% for j in range(99999) %}.{% endfor %}"
    (folder / "endless.txt").write_text(endless + "{% endfor %}", "utf-8", newline="\n")
    good = (folder / "mails.toml").read_text("utf-8")
    changes = {"mails": str(world.folder / "mails.toml"), "templates": str(folder)}
    codes, found = set(), {}
    for mistake, (keys, wanted) in MISTAKES.items():
        mail = {"to": '"frank@customer.test"', "template": '"welcome"'}
        head = "".join(f"{key} = {mail[key]}\n" for key in mail if f"{key} =" not in keys)
        mails = f"{good}\n[[mail]]\n{head}{keys}\n"
        (world.folder / "mails.toml").write_text(mails, "utf-8", newline="\n")
        codes.add(program(scenario={"template-mailer": changes}))
        said = world.events[-1].text.partition(": ")[2].partition(": ")[2]
        found[mistake] = said[: len(wanted)]
    yield equal("every mistake ends with exit code 2", codes, {2})
    wanted_errors = {mistake: wanted for mistake, (_, wanted) in MISTAKES.items()}
    ends = told(world, "ends with")
    yield equal("the error names file, line and variable", found, wanted_errors, shows=ends)
    yield equal("nothing was sent, and nobody connected", sent(world, "EHLO", "MAIL"), [])


COMMANDS = [("/usr/sbin/sendmail", "-i", "-f", BOT, "--", customer) for customer in CUSTOMERS]


@scenario.act("template-deliveries", host={"commands": [{"run": [*words]} for words in COMMANDS]})
def deliveries(world: World, program: Program) -> Iterator[Claim]:
    """The same mails are handed to sendmail, written into a folder, or only announced."""
    codes = [
        program(scenario={"template-mailer": {"deliver": way}})
        for way in ("sendmail", "file", "test")
    ]
    yield equal("each way ends with exit code 0", codes, [0, 0, 0])
    yield equal(
        "sendmail gets the recipients as arguments", world.host.ran, COMMANDS, shows=COMMANDS
    )
    given = [to(raw) for raw in world.host.inputs]
    yield equal("it reads the mails from its input", given, CUSTOMERS, shows=COMMANDS)
    written = [to(file.read_bytes()) for file in (world.folder / "outgoing").iterdir()]
    yield equal("each mail is a file in the folder", sorted(written), CUSTOMERS)
    announced = [f"would mail {customer.partition('@')[0]}" for customer in CUSTOMERS]
    said = [line.casefold() for line in world.said]
    begin = [line[: len(start)] for line, start in zip(said, announced, strict=False)]
    yield equal("the test delivery only says what it would do", begin, announced, shows=world.said)
    yield equal("nobody connected to the mail server", sent(world, "EHLO"), [])


def to(raw: bytes) -> str:
    """The address to which a mail is, as its header says."""
    return read(raw).to[0].address


@scenario.act("template-stage")
def stage(world: World, program: Program) -> Iterator[Claim]:
    """On a stage every mail goes to one address, and observers hear of each."""
    world.clock.until(600)
    program(scenario={"template-mailer": {"redirect": STAGE}})
    mails = world.mail.messages
    envelopes = [mail.envelope.to for mail in mails]
    yield equal("only the stage gets mail", envelopes, [[STAGE]] * 3, shows=mails)
    headers = [str(mail.message["X-Original-To"]).rpartition(" ")[2].strip("<>") for mail in mails]
    yield equal("each mail says for whom it was", sorted(headers), CUSTOMERS, shows=mails)
    observed = told(world, f"mail-sent to={STAGE}")
    yield equal("the observer hears of each mail", len(observed), 3, shows=observed)


@scenario.act("template-preview")
def preview(world: World, program: Program) -> Iterator[Claim]:
    """The mails are shown on one page, in which their HTML can do nothing."""
    page = world.folder / "preview.html"
    code = program(scenario={"template-mailer": {"preview": str(page)}})
    text = page.read_text("utf-8")
    yield equal(
        "the program says where the page is", (code, len(world.said)), (0, 1), shows=world.said
    )
    frames = text.count("<iframe sandbox ")
    shown = [frames, text.count("<pre>"), text.count("Welcome to YourCo, Carol</h2>")]
    yield equal("the page has each mail, as text and HTML", shown, [3, 3, 1])
    yield holds("no script of a mail is on the page", "<script" not in text, text)
    policy = "default-src 'none'" in text and "http://" not in text and "https://" not in text
    yield holds("the page loads nothing", policy, text)
    yield equal("nothing is sent", sent(world, "EHLO"), [])


@scenario.act("template-restart")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The mail server closes for a minute; the program is started again afterwards, twice."""
    world.close_port("smtp")
    world.clock.at(60, lambda: world.open_port("smtp"))
    first = program(once=True)
    yield equal("mails that wait are exit code 3", first, 3, shows=told(world, "mail-waiting"))
    world.clock.until(600)
    codes = [program(), program()]
    yield equal("the next start sends them", codes, [0, 0], shows=told(world, "mail-sent"))
    yield equal(
        "the third one says so", world.said, ["mails.toml has been sent before"], shows=world.said
    )
    got = {customer: len(world.mail.inbox(customer)) for customer in CUSTOMERS}
    yield equal(
        "nobody gets a mail twice", got, dict.fromkeys(CUSTOMERS, 1), shows=world.mail.messages
    )

"""Further acts of order-receipt: orders that are wrong, and servers that refuse or go away."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.sending.order_receipt import scenario
from scenarios.sending.order_receipt_samples import (
    BOOKS,
    alerts,
    append,
    font,
    lists,
    receipts,
)

if TYPE_CHECKING:
    from fakes import World


def got(world: World) -> list[str]:
    """The number of the order of each receipt so far."""
    return [mail.subject.split()[-1] for mail in receipts(world)]


@scenario.act("receipt-bad-orders", book=False)
def bad_orders(world: World, program: Program) -> Iterator[Claim]:
    """Of seven lines, one is a good order; the others have wrong addresses, sums or contents."""
    for number, buyer, changes in (
        ("1", "ann", {}),
        ("2", "dora", {"address": "dora@"}),
        ("3", "eve", {"total": "7.98"}),
        ("4", "fay", {"name": "Fay\r\nBcc: everybody@other.example"}),
        ("5", "gus", {"items": [{"name": "Book", "quantity": 1, "price": 39.899999999}]}),
        ("6\r\nBcc: everybody@other.example", "hal", {}),
    ):
        lists(world, number, buyer, **changes)()
    append(world.folder, "1,Ann,ann@customer.example\n")
    world.clock.until(300)
    code = program()
    yield equal("only the good order gets a receipt", got(world), ["1"], shows=receipts(world))
    said = [line.partition(", not")[0] for line in world.said]
    wanted = [
        "5 receipts: 4 flagged, 1 sent, 2 lines left out",
        "order 2, dora@: flagged: address: 'dora@' is not a mail address",
        "order 3, eve@customer.example: flagged: total: 7.98 EUR, but the items add up to 79.80",
    ]
    yield equal("the others are kept, with what is wrong", said[:3], wanted, shows=world.said)
    mails = alerts(world)
    subjects = [mail.subject for mail in mails]
    yield equal(
        "the owner is told of all in one mail", subjects, ["6 orders need a look"], shows=mails
    )
    to = {address for mail in world.mail.messages for address in mail.envelope.to}
    yield holds("nobody else gets a mail", "everybody@other.example" not in to, to)
    yield equal("the exit code is 1", code, 1)


@scenario.act("receipt-other-content", book=False)
def other_content(world: World, program: Program) -> Iterator[Claim]:
    """An order whose receipt was sent is listed again, with another price."""
    lists(world, "1001", "ann")()
    items = [{"name": "Book", "quantity": 1, "price": "9.90"}]
    world.clock.at(65, lists(world, "1001", "ann", items=items, total="9.90", tax="0.65"))
    world.clock.until(300)
    code = program()
    yield equal("the buyer gets no second receipt", got(world), ["1001"], shows=receipts(world))
    texts = [mail.text.partition(";")[0] for mail in alerts(world)]
    wanted = "orders.jsonl: line 2: order 1001 is listed again with other content"
    yield equal("the owner is told", texts, [wanted], shows=alerts(world))
    yield equal("the exit code is 1", code, 1)


@scenario.act("receipt-corrected", book=False)
def corrected(world: World, program: Program) -> Iterator[Claim]:
    """An address is wrong; the shop lists the order again with the right one."""
    lists(world, "1001", "ann", address="ann(at)customer.example")()
    world.clock.at(65, lists(world, "1001", "ann"))
    world.clock.until(300)
    code = program()
    mails = receipts(world)
    to = [mail.envelope.to for mail in mails]
    yield equal("the receipt goes to the right one", to, [["ann@customer.example"]], shows=mails)
    yield equal("the exit code is 0", code, 0)


@scenario.act("receipt-troubles", book=False)
def troubles(world: World, program: Program) -> Iterator[Claim]:
    """Of four buyers, one has left, one's server is busy, and one's reply is lost."""
    for number, buyer in (("1", "ann"), ("2", "ben"), ("3", "cy"), ("4", "dora")):
        lists(world, number, buyer)()
    world.faults.arm('RCPT arg *ben@* reply "550 5.1.1 no such mailbox"')
    world.faults.arm('RCPT arg *cy@* reply "451 4.7.1 try again" times 1')
    world.faults.arm("smtp . lost stored nth 2")
    world.clock.until(300)
    code = program()
    yield equal(
        "the busy server is tried again, the lost reply is not",
        got(world),
        [*"143"],
        shows=receipts(world),
    )
    said = [line.partition(": mail.yourco.test")[0] for line in world.said]
    wanted = [
        "4 receipts: 1 refused, 2 sent, 1 unknown",
        "order 2, ben@customer.example: refused",
        "order 4, dora@customer.example: unknown",
    ]
    yield equal("the report names the others", said, wanted, shows=world.said)
    subjects = [mail.subject for mail in alerts(world)]
    yield equal("the owner is told once", subjects, ["2 orders need a look"], shows=alerts(world))
    yield equal("the exit code is 1", code, 1)


@scenario.act("receipt-restart", book=False)
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program is started again, and the shop has written a new list of all its orders."""
    for number, buyer in (("1", "ann"), ("2", "ben")):
        lists(world, number, buyer)()
    world.clock.until(300)
    program()
    (world.folder / "orders.jsonl").unlink()
    for number, buyer in (("3", "cy"), ("2", "ben"), ("1", "ann")):
        lists(world, number, buyer)()
    world.clock.until(600)
    code = program()
    yield equal("each order gets one receipt", sorted(got(world)), [*"123"], shows=receipts(world))
    again = told(world, "order-listed-again")
    yield equal("what is known is logged", len(again), 2, shows=again)
    yield equal("the exit code is 0", code, 0)


@scenario.act("receipt-names", book=False)
def names(world: World, program: Program) -> Iterator[Claim]:
    """Zoya's name is Cyrillic, for which the shop has set no font; then it sets one."""
    lists(world, "1", "zoë")()
    lists(world, "2", "zoya", name="Зоя")()
    world.clock.until(300)
    program()
    yield equal("Zoë gets a receipt", got(world), ["1"], shows=receipts(world))
    wanted = "name: Helvetica lacks 'З' (U+0417); set order-receipt.font to a font that has it"
    problems = [mail.text.partition("flagged: ")[2].splitlines()[0] for mail in alerts(world)]
    yield equal("the owner is told what Zoya's lacks", problems, [wanted], shows=alerts(world))
    path = font(world.folder / "boxes.ttf", string.printable + BOOKS + "Зоя")
    world.clock.until(600)
    code = program(scenario={"order-receipt": {"font": str(path)}})
    yield equal(
        "with a font that has it, Zoya gets hers", got(world), [*"12"], shows=receipts(world)
    )
    pdf = receipts(world)[-1].attachment("*.pdf") if len(receipts(world)) > 1 else b""
    yield holds("the font is in the PDF", b"Boxes" in pdf, pdf[:100], shows=receipts(world)[1:])
    yield equal("the exit code is 0", code, 0)

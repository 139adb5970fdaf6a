"""Units and records: what people see of them."""

from __future__ import annotations

from fakes.wire import Record, Refuse, Secret


def record(raw: bytes, **details: object) -> Record:
    return Record(0.0, "smtp", 1, "C", raw, **details)  # type: ignore[arg-type]


def test_a_record_without_secrets_is_shown_as_it_is() -> None:
    assert record(b"NOOP\r\n").shown() == b"NOOP\r\n"


def test_each_secret_is_replaced_by_its_label_in_braces() -> None:
    secrets = (Secret(9, 12, "new bob"), Secret(5, 8, "old bob"))
    assert record(b"pass abc def\r\n", secrets=secrets).shown() == b"pass {old bob} {new bob}\r\n"


def test_only_the_visible_span_is_shown() -> None:
    assert record(b"*headertext\0", visible=(7, 11)).shown() == b"text"


def test_a_secret_inside_the_visible_span_is_replaced() -> None:
    shown = record(
        b"*header secret\0", visible=(8, 14), secrets=(Secret(8, 14, "pass bob"),)
    ).shown()
    assert shown == b"{pass bob}"


def test_a_refusal_keeps_its_reply_and_section() -> None:
    refusal = Refuse("no", "RFC 1 §2")
    assert (refusal.reply, refusal.section) == ("no", "RFC 1 §2")

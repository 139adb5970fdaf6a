"""TOC commands and messages, the client's side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.toc import messages
from comms.toc.messages import (
    COMMAND,
    Complaint,
    argument,
    complaint,
    encode_command,
    normalize,
    number,
    parse,
    quote,
    roast,
    signon_code,
)


def unquoted(quoted: str) -> str:
    """Returns an argument in quotes as a server reads it, written independently of comms.

    A backslash makes the next character literal.
    """
    assert quoted[0] == quoted[-1] == '"'
    text, rest = "", iter(quoted[1:-1])
    for character in rest:
        assert character != '"', "the argument ends too early"
        text += next(rest) if character == "\\" else character
    return text


# ── signing on ───────────────────────────────────────────────────────────────


def test_the_roasting_is_that_of_the_published_example() -> None:
    assert roast("password") == "0x2408105c23001130"


@given(st.text(st.characters(max_codepoint=255)))
def test_roasting_is_an_xor_with_the_repeated_key(password: str) -> None:
    roasted = bytes.fromhex(roast(password).removeprefix("0x"))
    key = b"Tic/Toc" * (len(password) // 7 + 1)
    assert bytes(a ^ b for a, b in zip(roasted, key, strict=False)) == password.encode("latin-1")


def test_a_password_beyond_latin_1_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Latin-1"):
        roast("пароль")


def test_the_sign_on_code_is_that_of_the_other_published_formula() -> None:
    for s in range(33, 127):
        for p in range(33, 127):
            n, w = s - 96, p - 96
            a, b = 7696 * n + 738816, 746512 * n
            c = w * a
            assert signon_code(chr(s), chr(p)) == c - a + b + 71665152


def test_the_sign_on_command_is_complete() -> None:
    assert messages.signon_command("Ops Bot", "password") == (
        'toc2_signon login.oscar.aol.com 5190 opsbot 0x2408105c23001130 english "TIC:comms" 160 '
        f"{7696 * ord('o') * ord('p')}"
    )


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("   ", "x"), ("bot", "")])
def test_a_sign_on_without_name_or_password_is_an_error(name: str, password: str) -> None:
    with pytest.raises(ValueError, match="screen name and a password"):
        messages.signon_command(name, password)


# ── commands ─────────────────────────────────────────────────────────────────


@given(st.text())
def test_a_server_reads_quoted_text_as_it_was(text: str) -> None:
    assert unquoted(quote(text)) == text.replace("\0", "\ufffd")


def test_every_character_with_a_meaning_is_escaped() -> None:
    assert quote('$ { } [ ] ( ) " \\') == r'"\$ \{ \} \[ \] \( \) \" \\"'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("bobsmith", "bobsmith"),
        ("bob smith", '"bob smith"'),
        ("", '""'),
        ("a$b", r'"a\$b"'),
        ("bob@mac.com", "bob@mac.com"),
    ],
)
def test_an_argument_is_quoted_if_necessary(text: str, written: str) -> None:
    assert argument(text) == written


@given(st.text(alphabet=" \taBcÄ"))
def test_screen_names_are_compared_without_case_and_spaces(name: str) -> None:
    assert normalize(name) == name.lower().replace(" ", "").replace("\t", "")


def test_a_command_ends_in_a_nul_and_has_references_for_characters_beyond_latin_1() -> None:
    assert encode_command('toc_send_im bob "5 € é"') == b'toc_send_im bob "5 &#8364; \xe9"\0'


def test_a_command_that_is_too_long_for_servers_is_refused() -> None:
    assert len(encode_command("x" * COMMAND)) == 2048 - 6  # header and NUL within the 2,048
    with pytest.raises(ValueError, match="toc_set_away has 2042 bytes"):
        encode_command("toc_set_away " + "x" * (COMMAND - 12))


# ── messages ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"SIGN_ON:TOC2.0", {"version": "TOC2.0"}),
        (b"CONFIG2:g:Work\nb:Bob\ndone:\n", {"text": "g:Work\nb:Bob\ndone:\n"}),
        (b"CONFIG:", {"text": ""}),
        (b"NICK:Bob Smith", {"name": "Bob Smith"}),
        (
            b"IM_IN:Bob:T:see http://x.test:80/",
            {"sender": "Bob", "auto": "T", "text": "see http://x.test:80/"},
        ),
        (b"IM_IN2:Bob:F:F:a:b:", {"sender": "Bob", "auto": "F", "whisper": "F", "text": "a:b:"}),
        (b"IM_IN2:Bob:F:F:", {"sender": "Bob", "auto": "F", "whisper": "F", "text": ""}),
        (
            b"UPDATE_BUDDY:Bob:T:5:1767571200:12: OU",
            {"name": "Bob", "evil": "5", "idle": "12", "class": " OU"},
        ),
        (b"UPDATE_BUDDY2:Bob:T:0:0:0: O :", {"class": " O ", "code": ""}),
        (b"ERROR:901:bob", {"code": "901", "argument": "bob"}),
        (b"ERROR:903", {"code": "903", "argument": ""}),
        (b"EVILED:10:", {"level": "10", "by": ""}),
        (b"CHAT_JOIN:820142221:My Room", {"id": "820142221", "room": "My Room"}),
        (b"CHAT_IN:1:Bob:F:a:b", {"id": "1", "sender": "Bob", "whisper": "F", "text": "a:b"}),
        (b"CHAT_UPDATE_BUDDY:1:T:Bob:Ann", {"inside": "T", "names": "Bob:Ann"}),
        (b"CHAT_INVITE:My Room:1:Bob:come:now", {"room": "My Room", "text": "come:now"}),
        (b"GOTO_URL:profile:info?user=bob", {"window": "profile", "url": "info?user=bob"}),
        (b"PAUSE", {}),
        (b"SOMETHING_NEW:a:b", {"text": "a:b"}),
    ],
)
def test_fields_are_separated_by_colons_and_the_last_one_may_contain_some(
    raw: bytes, fields: dict[str, str]
) -> None:
    message = parse(raw)
    assert message.kind == raw.partition(b":")[0].decode()
    assert {name: message[name] for name in fields} == fields


def test_encoded_messages_are_decoded() -> None:
    assert parse("IM_IN_ENC2:Bob:F:F:T: O ,:F:U:en:€:5".encode())["text"] == "€:5"
    assert parse(b"IM_IN_ENC2:Bob:F:F:T: O ,:F:L:en:\xe9")["text"] == "é"


def test_every_byte_survives_as_latin_1() -> None:
    raw = bytes(range(1, 256))
    assert parse(b"IM_IN2:Bob:F:F:" + raw)["text"].encode("latin-1") == raw


def test_nuls_at_the_end_are_removed() -> None:
    assert parse(b"NICK:Bob\0\0")["name"] == "Bob"


@pytest.mark.parametrize(
    ("raw", "missing"),
    [
        (b"IM_IN2:Bob:F", "whisper"),
        (b"UPDATE_BUDDY2:Bob:T:0:0:0: O ", "code"),
        (b"CHAT_IN:1", "sender"),
    ],
)
def test_a_missing_field_is_an_error_that_names_it(raw: bytes, missing: str) -> None:
    with pytest.raises(ValueError, match=f"has no field '{missing}'"):
        parse(raw)


@pytest.mark.parametrize("raw", [b"NICK", b"SIGN_ON"])
def test_a_single_field_that_is_missing_is_empty(raw: bytes) -> None:
    assert list(parse(raw).fields.values()) == [""]


kinds = st.sampled_from([kind.encode() for kind in sorted(messages.FIELDS)])


@given(st.binary() | st.builds(lambda kind, rest: kind + b":" + rest, kinds, st.binary()))
def test_any_bytes_are_a_message_or_a_value_error(raw: bytes) -> None:
    try:
        message = parse(raw)
    except ValueError:
        return
    assert all(isinstance(value, str) for value in message.fields.values())


# ── complaints ───────────────────────────────────────────────────────────────


def test_an_error_has_a_code_and_a_text_with_its_argument() -> None:
    found = complaint(parse(b"ERROR:901:bob"))
    assert (found.code, found.text) == (901, "bob is not available")
    assert str(found) == "901 bob is not available"


def test_each_error_has_its_own_argument() -> None:
    """In Net::TOC, the first argument replaced `$1` in the table itself, for all later errors."""
    assert complaint(parse(b"ERROR:901:bob")).text == "bob is not available"
    assert complaint(parse(b"ERROR:901:ann")).text == "ann is not available"


@pytest.mark.parametrize("raw", [b"ERROR:999:x", b"ERROR:nonsense", b"ERROR:"])
def test_an_unknown_code_is_a_complaint_too(raw: bytes) -> None:
    assert "unknown to this client" in str(complaint(parse(raw)))


@pytest.mark.parametrize("digits", [3, 4, 18, 19, 4300, 4301, 8000])
def test_a_code_of_any_length_is_a_complaint(digits: int) -> None:
    code = complaint(parse(b"ERROR:" + b"9" * digits)).code
    assert code == (int("9" * digits) if digits <= 18 else 0)


def test_a_number_has_at_most_18_digits() -> None:
    assert number("") == 0
    assert number("1767571200") == 1767571200
    assert number("9" * 18) == 10**18 - 1
    for text in ("9" * 19, "x", "1.5", "-1", "1 2"):
        with pytest.raises(ValueError, match="is not a number"):
            number(text)


def test_a_nul_inside_a_command_is_refused() -> None:
    with pytest.raises(ValueError, match="toc_send_im: a NUL at position 17 would end the command"):
        encode_command('toc_send_im bob "\0"')


def test_each_code_of_the_protocol_has_a_text() -> None:
    codes = {901, 902, 903, 930, 931, 950, 960, 961, 962, 989, 998}
    assert set(messages.ERRORS) == codes | {*range(911, 916)} | {*range(970, 984)}
    assert "ten minutes" in Complaint(983).text


@pytest.mark.parametrize(
    "raw", [b"ERROR:989", b"ERROR:989:7", b"ERROR:989:0", b"ERROR:982", b"ERROR:983"]
)
def test_an_error_of_the_sign_on_that_comes_later_is_an_error_in_mid_session(raw: bytes) -> None:
    later, at_sign_on = complaint(parse(raw)), complaint(parse(raw), mid_session=False)
    assert "mid-session" in later.text and "sign" not in later.text
    assert at_sign_on == later and "mid-session" not in at_sign_on.text


@pytest.mark.parametrize("raw", [b"ERROR:980", b"ERROR:981", b"ERROR:901:bob", b"ERROR:903"])
def test_other_errors_mean_the_same_at_any_time(raw: bytes) -> None:
    assert complaint(parse(raw)).text == complaint(parse(raw), mid_session=False).text

"""Links and codes in mails of many layouts, as programs and services send them.

The layouts are those of public mail templates: where a code stands, what stands beside it, how a
link is written. The words, numbers and addresses are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage

import pytest

from fakes.confirmations import find_codes, find_urls
from fakes.mail import Envelope, Mail
from tests.growth import FACTOR_MOST, factor

FOOTER = """

--
© 2026 Shop Inc., 1600 Main Street, Suite 4000, Springfield, IL 62701
Phone +1 (555) 123-4567 · Fax 555 123 4568 · VAT 123456789 · Company No. 01234567
You get this mail because you signed up on 2026-11-26 at 10:15.
"""
STYLE = "<style>body{color:#123456;width:6000px} .a{background:#202123}</style>"
HTML_FOOTER = (
    '<div style="color:#999999;font-size:12px">© 2026 Shop Inc. · 10115 Berlin · Tel. 030 1234567 ·'
    ' <a href="https://shop.test/unsubscribe?u=12345678">Unsubscribe</a></div>'
    '<img src="https://track.test/open/87654321.gif" width="1" height="1" alt="">'
)


def mail_of(subject: str, text: str = "", html: str = "") -> Mail:
    """A mail with a text part, an HTML part, or both."""
    message = EmailMessage()
    message["Subject"] = subject
    if text or not html:
        message.set_content(text)
    if html and text:
        message.add_alternative(html, subtype="html")
    elif html:
        message.set_content(html, subtype="html")
    return Mail(message.as_bytes(), Envelope("", ()))


# ── codes ────────────────────────────────────────────────────────────────────

# (what it is a layout of, subject, text, html, the codes)
CODES: list[tuple[str, str, str, str, list[str]]] = [
    (
        "the sentence",
        "Confirm",
        "Your code is 482913. It is valid until 2026-11-30.\nOrder AB-1234\n",
        "",
        ["482913"],
    ),
    ("after a colon", "Verify your email", "Verification code: 482913", "", ["482913"]),
    (
        "a line for itself",
        "Sign in",
        "Please use the verification code below to sign in.\n\n482913\n\nThis code "
        "is valid for 10 minutes.",
        "",
        ["482913"],
    ),
    ("four digits", "Your PIN", "Your PIN is 4829.", "", ["4829"]),
    ("eight digits", "Login", "One-time password: 48291377", "", ["48291377"]),
    (
        "four digits that look like a year",
        "Login",
        "Your PIN is 2024. It expires on 30 November 2026.",
        "",
        ["2024"],
    ),
    (
        "a year alone on the line of the code",
        "Login",
        "Enter this code:\n\n1984\n\n© 2026 Shop",
        "",
        ["1984"],
    ),
    ("leading zeros", "Login", "Code: 004829", "", ["004829"]),
    ("in groups with a space", "Login", "Your login code: 482 913", "", ["482913"]),
    ("in groups with a hyphen", "Login", "Your code to log in is: 482-913", "", ["482913"]),
    ("in groups with a no-break space", "Login", "Your code is 482\u00a0913", "", ["482913"]),
    ("in groups with an en dash", "Login", "Your code is 482–913.", "", ["482913"]),
    ("eight digits in two groups", "Login", "Your code is 4829 1377.", "", ["48291377"]),
    ("in pairs", "Login", "Your code is 48 29 13.", "", ["482913"]),
    ("each digit apart", "Login", "Your code: 4 8 2 9 1 3", "", ["482913"]),
    (
        "letter, hyphen, digits",
        "G-482913 is your verification code",
        "G-482913 is your Example verification code.",
        "",
        ["G-482913"],
    ),
    ("letters and digits", "Login", "Your code is X7K9QP.", "", ["X7K9QP"]),
    ("letters and digits in groups", "Confirm", "Confirmation code: R4N-K9Q", "", ["R4N-K9Q"]),
    (
        "letters in groups, as device codes are",
        "Device",
        "Enter this code on your television:\n\nWDJB-MJHT\n",
        "",
        ["WDJB-MJHT"],
    ),
    (
        "words with hyphens",
        "Log in",
        "Or copy and paste this temporary login code:\n\nquiet-blue-fawn\n\nIt is case-sensitive.",
        "",
        ["quiet-blue-fawn"],
    ),
    (
        "letters alone",
        "Login",
        "Here is the code that you need to log in:\n\nFBWQJ\n",
        "",
        ["FBWQJ"],
    ),
    (
        "a brand that is also a kind of number",
        "Phone",
        "Your WhatsApp code: 482-913",
        "",
        ["482913"],
    ),
    (
        "a transaction",
        "Payment",
        "482913 is your OTP for the transaction of INR 5000.00 at SHOP on card ending 1234",
        "",
        ["482913"],
    ),
    ("a meeting", "Meeting", "Meeting ID: 823 4567 8901\nPasscode: 482913", "", ["482913"]),
    ("a negated number", "Login", "Your code is 482913, not 123456.", "", ["482913"]),
    ("letters in any case", "認証", "・認証コード：vM8xw\n", "", ["vM8xw"]),
    (
        "in the subject only",
        "482913 is your Shop code",
        "Type it on the page that you came from.",
        "",
        ["482913"],
    ),
    (
        "at the end of the subject",
        "Your Shop verification code: 482913",
        "See the subject.",
        "",
        ["482913"],
    ),
    ("in subject and text", "482913 is your Shop code", "Your code: 482913", "", ["482913"]),
    ("in brackets", "[482913] Shop login code", "Hello", "", ["482913"]),
    ("in quotes", "Login", 'Your code is "482913".', "", ["482913"]),
    ("in stars", "Login", "Your code is:\n\n*482913*\n", "", ["482913"]),
    (
        "quoted and bold in Markdown",
        "Login",
        "> **482913**\n\nEnter the code above.",
        "",
        ["482913"],
    ),
    ("before its name", "Login", "482913\n\nis your one-time code.", "", ["482913"]),
    ("as a verb's object", "Login", "Enter 482913 as your verification code.", "", ["482913"]),
    ("without any name", "Welcome", "Use 482913 to sign in.", "", ["482913"]),
    (
        "with the duration before it",
        "Login",
        "Your code is valid for 1440 minutes: 482913",
        "",
        ["482913"],
    ),
    (
        "with the duration after it",
        "Login",
        "Enter code 678456 (expires in 30 min) on bank.test. Questions? Call 800.123.4567",
        "",
        ["678456"],
    ),
    (
        "with a date and a time",
        "Login",
        "Verification Code: 287961 Expiration Date: 4/30/2025 10:02:26 AM Mountain Standard Time",
        "",
        ["287961"],
    ),
    (
        "with the order that it is for",
        "Delivery",
        "Your delivery code for order 4711 is 482913.",
        "",
        ["482913"],
    ),
    ("with an order after it", "Delivery", "Code: 482913, Order: 471100", "", ["482913"]),
    (
        "with the last digits of a phone",
        "Login",
        "We sent a code to the number ending in 4567. Your code: 1199",
        "",
        ["1199"],
    ),
    (
        "with the last digits of a card",
        "Payment",
        "Card ending 5678, amount 1234.50 EUR.\nYour code is 482913.",
        "",
        ["482913"],
    ),
    (
        "with digits in an address",
        "Login",
        "Hello ann1234@example.test,\nyour code is 482913.",
        "",
        ["482913"],
    ),
    (
        "with digits in a link",
        "Login",
        "Your code is 482913.\nOr open https://shop.test/v/99887766?c=11223344",
        "",
        ["482913"],
    ),
    (
        "with an IP address and a device",
        "New sign-in",
        "Code: 482913\nIP: 192.0.2.1\nTime: 2026-11-26 10:15 UTC\nDevice: iPhone13, iOS 1712",
        "",
        ["482913"],
    ),
    (
        "with a customer number",
        "Login",
        "Kundennummer 12345678\nDein Bestätigungscode lautet 482913.\nGültig bis 30. November 2026",
        "",
        ["482913"],
    ),
    (
        "with a phone number of the support",
        "Login",
        "Your code is 482913. Call 0800 123 456 or 555-0134 for help.",
        "",
        ["482913"],
    ),
    (
        "with a price",
        "Login",
        "Your code is 482913. Your plan: $1200 a year, 1500 EUR, 4999 points.",
        "",
        ["482913"],
    ),
    (
        "to open an account",
        "Login",
        "Enter this code to access your account: 482913",
        "",
        ["482913"],
    ),
    (
        "a list of recovery codes",
        "Recovery codes",
        "Your recovery codes:\n\n1. 48291377\n2. 11223344\n3. 99887766\n",
        "",
        ["48291377", "11223344", "99887766"],
    ),
    (
        "recovery codes in one line",
        "Recovery codes",
        "Backup codes: 1111-2222, 3333-4444 or 5555-6666",
        "",
        ["11112222", "33334444", "55556666"],
    ),
    (
        "recovery codes with letters",
        "Recovery codes",
        "Your recovery codes:\n\na1b2c-3d4e5\nf6g7h-8i9j0\n",
        "",
        ["a1b2c-3d4e5", "f6g7h-8i9j0"],
    ),
    (
        "French",
        "Connexion",
        "Votre code de vérification est 482913. Il expire dans 10 minutes.",
        "",
        ["482913"],
    ),
    ("Spanish", "Acceso", "Tu código de verificación es 482913", "", ["482913"]),
    ("Italian", "Accesso", "Il tuo codice di verifica è 482913", "", ["482913"]),
    ("Portuguese", "Acesso", "Seu código de acesso: 482913", "", ["482913"]),
    ("Swedish", "Inloggning", "Din verifieringskod är 482913", "", ["482913"]),
    ("Polish", "Logowanie", "Twój kod to 482913", "", ["482913"]),
    ("Russian", "Вход", "Ваш код подтверждения: 482913", "", ["482913"]),
    ("Chinese", "验证邮件", "您的验证码是482913，5分钟内有效。", "", ["482913"]),
    (
        "Chinese, in a sentence",
        "注册",
        "您好！请在网页上输入验证码：482913，该验证码30分钟内有效。2026年11月",
        "",
        ["482913"],
    ),
    (
        "Japanese",
        "認証コード",
        "認証コード：482913\n有効期限は2026年11月30日です。",
        "",
        ["482913"],
    ),
    ("Korean", "인증", "인증번호 [482913]를 입력하세요.", "", ["482913"]),
    (
        "a heading of HTML",
        "Verify",
        "",
        f"{STYLE}<h2>Your verification code is:</h2><h1 style='color:#2F80ED'>482913"
        "</h1><p>It expires in 10 minutes.</p>",
        ["482913"],
    ),
    (
        "bold in HTML",
        "Verify",
        "",
        f"{STYLE}<p>Verification code: <b class='code'>482913</b></p>",
        ["482913"],
    ),
    (
        "a cell of HTML",
        "Verify",
        "",
        f"{STYLE}<table bgcolor='#123456'><tr><td>Code</td><td>482913</td></tr><tr>"
        "<td>Order</td><td>47110815</td></tr></table>",
        ["482913"],
    ),
    (
        "each digit in a cell",
        "Verify",
        "",
        "<p>Your code</p><table><tr>"
        + "".join(f"<td style='color:#223344'>{one}</td>" for one in "482913")
        + "</tr></table>",
        ["482913"],
    ),
    (
        "each digit in a span",
        "Verify",
        "",
        "<p>Your code:</p><div>"
        + "".join(f'<span class="digit">{one}</span>' for one in "482913")
        + "</div>",
        ["482913"],
    ),
    (
        "nested layout tables",
        "Verify",
        "",
        "<table width='6000'><tr><td><table><tr><td>Enter this code</td></tr><tr><td "
        "height='4000'>482913</td></tr></table></td></tr></table>",
        ["482913"],
    ),
    (
        "letters in a code box",
        "Verify",
        "",
        f"{STYLE}<p>Your code:</p><div style='letter-spacing:5px'>X7K9QP</div>",
        ["X7K9QP"],
    ),
    ("zero-width spaces against links", "Verify", "", "<p>Your code: 482&zwnj;913</p>", ["482913"]),
    (
        "a hidden preview",
        "Verify",
        "",
        "<div style='display:none'>482913 is your code&#8203;&#847;</div><p>Your "
        "code is <b>482913</b></p>",
        ["482913"],
    ),
    (
        "a comment and a conditional comment",
        "Verify",
        "",
        "<!-- 111222 --><!--[if mso]><td width='333444'>code: 555666</td><![endif]-->"
        "<pre>code: 482913</pre>",
        ["482913"],
    ),
    (
        "entities for digits",
        "Verify",
        "",
        "<p>Code:&nbsp;&#52;&#56;&#50;&#57;&#49;&#51;</p>",
        ["482913"],
    ),
    (
        "text and HTML say the same",
        "Verify",
        "Your code is 482913",
        f"{STYLE}<p>Your code is <b>482 913</b></p>",
        ["482913"],
    ),
    (
        "a text that only points to the HTML",
        "Verify",
        "Please view this mail in HTML.",
        "<p>Your code: 482913</p>",
        ["482913"],
    ),
    (
        "a style sheet and colours, but no code",
        "News",
        "",
        f"{STYLE}<font color='#123456'>News of November</font>",
        [],
    ),
    ("a colour in the text", "Style guide", "Our blue is #123456, our gray is #202123.", "", []),
    (
        "an order",
        "Order 4711",
        "Thank you for order 4711. Invoice 20261234, total 1234.50 EUR.\nDelivery to "
        "10115 Berlin by 30 November 2026.",
        "",
        [],
    ),
    (
        "an order in HTML",
        "Order #47110815",
        "",
        "<table><tr><td>Order number</td><td>47110815</td></tr><tr><td>Total</td>"
        "<td>$1234.00</td></tr><tr><td>Tracking</td><td>12345678</td></tr></table>",
        [],
    ),
    (
        "a newsletter",
        "News",
        "Join 5000 runners in 2026. Save 1500 EUR. Read more: https://n.test/20261126",
        "",
        [],
    ),
    (
        "an invitation",
        "Invitation",
        "On 26.11.2026 at 1830 in room 4711, extension 4567. Dial-in: +49 30 12345678",
        "",
        [],
    ),
    (
        "another kind of code",
        "Hello",
        "ZIP code 94105, error code 5001, country code 1234, QR code 482913, "
        "discount code SAVE2026.",
        "",
        [],
    ),
    (
        "a ticket",
        "Re: [#4711] Printer",
        "Ticket 4711 was closed. Reference: 12345678. Case number 87654321.",
        "",
        [],
    ),
    ("a standard", "RFC 5321", "RFC 5321 and ISO 27001 on port 8080, version 2024.", "", []),
    ("an IBAN", "Invoice", "IBAN: DE89 3704 0044 0532 0130 00 BIC COBADEFF", "", []),
    ("the code of a door", "Parking", "Your access code for door 1204 is 7391#.", "", ["7391"]),
    (
        "a number that was masked",
        "Sign in",
        "We sent a code to +49 *** ***4567 and (XXX) XXX-4568, XXX-XXX-4569. Enter 482913.",
        "",
        ["482913"],
    ),
    ("a card that was masked", "Sign in", "Card •••• 4242. Code: **482913**", "", ["482913"]),
    ("a bold label", "Sign in", "**Code:** 482913", "", ["482913"]),
    (
        "two labels, each above its number",
        "Your pickup",
        "",
        "<dl><dt>Your code</dt><dd>482913</dd><dt>Order number</dt><dd>99887766</dd></dl>",
        ["482913"],
    ),
    (
        "a label that asks for the code",
        "Sign in",
        "Your code to confirm the account:\n\n482913",
        "",
        ["482913"],
    ),
]


@pytest.mark.parametrize(
    ("subject", "text", "html", "codes"), [row[1:] for row in CODES], ids=[row[0] for row in CODES]
)
def test_the_codes_of_a_mail_are_what_a_reader_is_to_type(
    subject: str, text: str, html: str, codes: list[str]
) -> None:
    assert mail_of(subject, text, html).codes() == codes
    text, html = text and text + FOOTER, html and html + HTML_FOOTER
    assert mail_of(subject, text, html).codes() == codes, "with a footer"


def test_each_text_of_a_mail_is_read_and_a_code_is_returned_once() -> None:
    assert find_codes(["482913 is your code", "Your codes: 482913 and 112233"]) == [
        "482913",
        "112233",
    ]
    assert find_codes([]) == find_codes(["", "\n"]) == []


# ── links ────────────────────────────────────────────────────────────────────

A = "https://shop.test/confirm/4711"
Q = "https://shop.test/?a=1&b=2"
PIXEL = '<img src="https://track.test/open.gif?id=1" width=1 height=1>'
# (what it is a layout of, text, html, the links)
LINKS: list[tuple[str, str, str, list[str]]] = [
    ("a line for itself", f"Open this link:\n\n{A}\n\nThanks", "", [A]),
    ("the end of a sentence", f"Go to {A}.", "", [A]),
    ("a comma, a semicolon, a colon", f"{A}, {Q}; and {A}x:", "", [A, Q, A + "x"]),
    ("a question and an exclamation", f"Did you see {A}? Or {Q}!", "", [A, Q]),
    ("an ellipsis", f"{A}...", "", [A]),
    ("in parentheses", f"Open the page ({A}).", "", [A]),
    (
        "with parentheses of its own",
        "https://w.test/Mail_(disambiguation).",
        "",
        ["https://w.test/Mail_(disambiguation)"],
    ),
    (
        "with parentheses within parentheses",
        "(https://w.test/Mail_(x))",
        "",
        ["https://w.test/Mail_(x)"],
    ),
    ("in angle brackets", f"Open <{A}>.", "", [A]),
    ("as a URL in angle brackets", f"<URL:{A}>", "", [A]),
    ("broken within angle brackets", "<https://shop.test/confirm/\n  4711>", "", [A]),
    ("in quotes", f"Open \"{A}\" or '{Q}'.", "", [A, Q]),
    ("in typographic quotes", f"Öffne „{A}“ oder «{Q}».", "", [A, Q]),
    ("in square brackets", f"Confirm [{A}]", "", [A]),
    (
        "with square brackets of its own",
        "https://s.test/?f[0]=1&f[1]=2",
        "",
        ["https://s.test/?f[0]=1&f[1]=2"],
    ),
    ("in Markdown", f"[Confirm]({A}) or [{Q}]({Q})", "", [A, Q]),
    ("bold", f"*{A}* **{Q}**", "", [A, Q]),
    ("italic, and as code", f"_{A}_ __{Q}__ `{A}x`", "", [A, Q, A + "x"]),
    ("one after the other", f"{A},{Q};{A}x|{A}y", "", [A, Q, A + "x", A + "y"]),
    ("a redirection", f"https://r.test/?to={A},https", "", [f"https://r.test/?to={A},https"]),
    ("before what cannot be seen", f"\u202a{A}\u202c {Q}\u200b {A}x\xa0", "", [A, Q, A + "x"]),
    ("between arrows and emoji", f"→{A}← 👉{Q}👈", "", [A, Q]),
    ("before a dash", f"{A}—click {Q} – now", "", [A, Q]),
    ("before Arabic punctuation", f"{A}، {Q}؟", "", [A, Q]),
    ("quoted", f"> {A}\n> > {Q}", "", [A, Q]),
    (
        "a token that ends in an underscore or hyphen",
        "https://s.test/t/aB-_ https://s.test/t/aB_-",
        "",
        ["https://s.test/t/aB-_", "https://s.test/t/aB_-"],
    ),
    (
        "a token that ends in an equals sign",
        "https://s.test/?t=YQ==.",
        "",
        ["https://s.test/?t=YQ=="],
    ),
    (
        "parameters that look like entities",
        "https://s.test/?a=1&copy=2&lt=3&reg=4",
        "",
        ["https://s.test/?a=1&copy=2&lt=3&reg=4"],
    ),
    (
        "a fragment and a port",
        "http://localhost:8000/#/reset?t=1.",
        "",
        ["http://localhost:8000/#/reset?t=1"],
    ),
    ("a slash at the end", "See https://shop.test/.", "", ["https://shop.test/"]),
    ("capitals", "HTTPS://SHOP.TEST/A", "", ["HTTPS://SHOP.TEST/A"]),
    ("beyond ASCII", "https://bücher.test/straße?q=é.", "", ["https://bücher.test/straße?q=é"]),
    ("before Chinese punctuation", f"请打开{A}。或（{Q}）", "", [A, Q]),
    ("no link", "ftp://x.test mailto:a@b.test www.shop.test https:// http://", "", []),
    ("twice", f"{A}\n{A}", "", [A]),
    ("a long one", "https://s.test/" + "a" * 500 + ".", "", ["https://s.test/" + "a" * 500]),
    ("behind words", "", f'<p><a href="{A}">Confirm</a></p>', [A]),
    ("in single quotes", "", f"<a class=x href='{A}'>Confirm</a>", [A]),
    ("without quotes", "", f"<a href={A} target=_blank>Confirm</a>", [A]),
    ("in capitals", "", f'<A HREF="{A}">Confirm</A>', [A]),
    ("escaped", "", f'<a href="{Q.replace("&", "&amp;")}">Confirm</a>', [Q]),
    (
        "not escaped",
        "",
        f'<a href="{Q}&copy=3&currency=4&lang=5">Confirm</a>',
        [f"{Q}&copy=3&currency=4&lang=5"],
    ),
    ("escaped by a number", "", '<a href="https://shop.test/?a&#61;1&#x26;b=2">Confirm</a>', [Q]),
    ("with white space", "", '<a href="\n https://shop.test/con\nfirm/4711 ">Confirm</a>', [A]),
    ("around an image", "", f'<a href="{A}"><img src="https://i.test/b.png" alt=""></a>', [A]),
    ("around a table", "", f'<a href="{A}"><table><tr><td>Confirm</td></tr></table></a>', [A]),
    ("an area of a map", "", f'<map><area href="{A}"></map>', [A]),
    ("and the address once more", "", f'<a href="{A}">Confirm</a><p>Or copy: {A}.</p>', [A]),
    (
        "and the address once more, linked",
        "",
        f'<a href="{A}">Confirm</a> <a href="{A}">{A}</a>',
        [A],
    ),
    (
        "a tracker behind an address",
        "",
        f'<a href="https://t.test/c/1">{A}</a>',
        ["https://t.test/c/1"],
    ),
    ("written out and broken by wbr", "", "<p>https://shop.test/con<wbr>firm/4711</p>", [A]),
    ("a tracking pixel", "", f'<a href="{A}">Confirm</a>{PIXEL}', [A]),
    (
        "a footer",
        "",
        f'<a href="{A}">Confirm</a><hr><a '
        'href="https://shop.test/unsubscribe">Unsubscribe</a> · <a '
        'href="mailto:a@b.test">Write</a> · <a href="tel:+15551234567">Call</a>',
        [A, "https://shop.test/unsubscribe"],
    ),
    (
        "a doctype and namespaces",
        "",
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" '
        '"http://www.w3.org/TR/xhtml1/DTD/xhtml1.dtd"><html '
        f'xmlns="http://www.w3.org/1999/xhtml"><a href="{A}">x</a></html>',
        [A],
    ),
    (
        "style sheets and fonts",
        "",
        '<link href="https://fonts.test/a.css" rel=stylesheet><style>@import '
        "url(https://fonts.test/b.css);</style><div "
        f'style="background:url(https://i.test/c.png)"><a href="{A}">x</a></div>',
        [A],
    ),
    (
        "comments and conditional comments",
        "",
        '<!-- https://old.test --><!--[if mso]><v:rect href="https://mso.test">'
        f'<![endif]--><!--[if !mso]><!--><a href="{A}">x</a><!--<![endif]-->',
        [A],
    ),
    ("scripts", "", f'<script>location="https://js.test"</script><a href="{A}">x</a>', [A]),
    (
        "anchors and relative addresses",
        "",
        f'<a name=top></a><a href="#top">up</a><a href="/x">x</a><a href="{A}">y</a>',
        [A],
    ),
    ("a tag that looks like an end", "", f'<a title="a > b" href="{A}">x</a>', [A]),
    ("text and HTML", f"Confirm: {A}", f'<a href="{A}">Confirm</a> <a href="{Q}">Help</a>', [A, Q]),
]


@pytest.mark.parametrize(
    ("text", "html", "links"), [row[1:] for row in LINKS], ids=[row[0] for row in LINKS]
)
def test_the_links_of_a_mail_are_what_a_reader_can_follow(
    text: str, html: str, links: list[str]
) -> None:
    assert mail_of("Confirm", text, html).links() == links


def test_a_link_survives_the_encodings_of_mail() -> None:
    link = "https://shop.test/" + "é=?&" * 60 + "x"
    for encoding in ("quoted-printable", "base64", "8bit"):
        message = EmailMessage()
        message.set_content(f"Go to {link}.", cte=encoding)
        assert Mail(message.as_bytes(), Envelope("", ())).links() == [link]


# ── growth ───────────────────────────────────────────────────────────────────


def test_only_the_first_thousand_numbers_of_a_text_are_judged() -> None:
    numbers = [str(number) for number in range(100_000, 102_000)]
    assert find_codes(["\n".join(numbers)]) == numbers[:1000]
    assert find_codes(["482-913 " * 100]) == find_codes(["482-913 " * 2000])


REPEATED = [
    "1", "1 ", "1-", "12 34 ", "482913 ", "482913\n", "1.", "1,", "a-", "a1-", "A1B2 ", "code ",
    "code: ", "code 482913 ", "order ", "order 4711 ", "a@", "a.", "@", "https://", "https://a(",
    "http://a)", "www.", "<https://", "<http://a\n", "€", "jan ", "is ", "验证码", "(", " ", "\t",
    "code\n\n", "482-913 ", "x\n482913\n",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("repeated", REPEATED)
def test_the_time_grows_with_the_size_of_the_text(repeated: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        text = repeated * (size // len(repeated))
        return lambda: (find_codes([text]), find_urls(text))

    assert factor(prepared, 1_500) <= FACTOR_MOST

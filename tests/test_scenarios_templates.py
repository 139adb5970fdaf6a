"""Mail from templates: what it becomes, and that every mistake says where it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comms.errors import SettingsError
from scenarios import templates
from scenarios.templates import Rendered, TemplateError, Templates

Render = Callable[..., Rendered]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Writes files, `m.txt` and others, and renders the mail `m`."""

    def render(
        files: dict[str, str], values: dict[str, Any] | None = None, language: str = ""
    ) -> Rendered:
        for name, content in files.items():
            (tmp_path / name).write_text(content, "utf-8")
        return Templates(tmp_path).mail("m", values or {}, language)

    return render


def test_a_text_begins_with_its_subject_and_only_html_is_escaped(render: Render) -> None:
    text = "Subject: Order {{ order }}\n\nHello {{ name }}!\n"
    mail = render(
        {"m.txt": text, "m.html": "<p>Hello {{ name }}!</p>\n"}, {"order": 7, "name": "<Z&ë>"}
    )
    assert mail == Rendered("Order 7", "Hello <Z&ë>!\n", "<p>Hello &lt;Z&amp;ë&gt;!</p>\n")


def test_a_mail_needs_no_html(render: Render) -> None:
    assert render({"m.txt": "Subject: Hi\n\nHello.\n"}).html is None


def test_lines_of_tags_leave_no_empty_lines(render: Render) -> None:
    text = (
        "Subject: Hi\n\n{% for x in xs %}\n  {% if x %}\n- {{ x }}\n  {% endif %}\n{% endfor %}\n"
    )
    assert render({"m.txt": text}, {"xs": [1, 0, 2]}).text == "- 1\n- 2\n"


def test_a_layout_surrounds_text_and_html(render: Render) -> None:
    body = "{% block body %}{% endblock %}"
    files = {
        "layout.txt": f"Hello,\n{body}-- \nThe shop\n",
        "layout.html": f"<title>The shop</title>{body}",
        "m.txt": 'Subject: Hi\n{% extends "layout.txt" %}\n{% block body %}{{ x }}\n{% endblock %}',
        "m.html": '{% extends "layout.html" %}{% block body %}<i>{{ x }}</i>{% endblock %}',
    }
    mail = render(files, {"x": "<1>"})
    assert mail.text == "Hello,\n<1>\n-- \nThe shop\n"
    assert mail.html == "<title>The shop</title><i>&lt;1&gt;</i>"


# ── languages ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("", "Hi"),
        ("de", "Hallo"),
        ("de-AT", "Servus"),
        ("de_AT", "Servus"),
        ("de-CH", "Hallo"),
        ("fr", "Hi"),
        ("../de", "Hi"),
        ("de\n", "Hi"),
    ],
)
def test_the_nearest_translation_is_used(render: Render, language: str, subject: str) -> None:
    files = {"m.txt": "Subject: Hi\n", "m.de.txt": "Subject: Hallo\n"}
    assert render({**files, "m.de-AT.txt": "Subject: Servus\n"}, {}, language).subject == subject


def test_no_mail_is_in_two_languages(render: Render) -> None:
    files = {"m.txt": "Subject: Hi\n", "m.html": "Hello", "m.de.txt": "Subject: Hallo\n"}
    assert render(files, {}, "de") == Rendered("Hallo", "", None)
    with pytest.raises(TemplateError, match=r"m\.fr\.txt: the file does not exist; write it$"):
        render({"m.fr.html": "Bonjour"}, {}, "fr")


# ── mistakes ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ x }}\n{{ order }}\n", "m.txt:3: 'order' is undefined; give it a value, or write"),
        ("{{ x.y }}", "m.txt:2: 'str object' has no attribute 'y'; give it a value, or write"),
        ("{% if %}", "m.txt:2: Expected an expression"),
        ("\n{% include 'other.txt' %}", "m.txt:3: other.txt does not exist in "),
        ("{% include 'footer.txt' %}", "footer.txt:2: 'phone' is undefined; give it a value"),
        ("{{ 1 / 0 }}", "m.txt:2: ZeroDivisionError: division by zero; correct the template"),
        ("{{ x.__class__ }}", "m.txt:2: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ xs.append(1) }}", "m.txt:2: access to attribute 'append' of 'list' object is unsafe"),
    ],
)
def test_a_mistake_names_file_line_and_variable(
    render: Render, tmp_path: Path, text: str, problem: str
) -> None:
    files = {"m.txt": f"Subject: {{{{ x }}}}\n{text}", "footer.txt": "\n{{ phone }}"}
    with pytest.raises(TemplateError) as caught:
        render(files, {"x": "1", "xs": []})
    assert str(caught.value).startswith(f"{tmp_path}/{problem}")
    assert isinstance(caught.value, SettingsError), "a program ends with exit code 2"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "m.txt: the file does not exist; write it"),
        ({"m.txt": "Hello!\n"}, "m.txt:1: no subject; write Subject: … as the first line"),
        ({"m.txt": "Subject: {{ x }}\n"}, "m.txt:1: 'x' is undefined; give it a value"),
        ({"m.txt": "Subject: Hi", "m.html": "\n{{ x }}"}, "m.html:2: 'x' is undefined; give"),
        (
            {"m.txt": "Subject: Hi", "m.html": "{% include 'm.txt' %}"},
            "m.html:1: m.txt is not *.html; use one of the same kind",
        ),
    ],
)
def test_a_file_that_is_missing_or_of_another_form_is_named(
    render: Render, tmp_path: Path, files: dict[str, str], problem: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        render(files)
    assert str(caught.value).startswith(f"{tmp_path}/{problem}")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_bytes(b"Subject: caf\xe9\n")
    with pytest.raises(TemplateError, match=r"m\.txt: UnicodeDecodeError"):
        Templates(tmp_path).mail("m", {})


def test_the_mark_of_utf_8_and_the_line_ends_of_windows_are_understood(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_bytes(b"\xef\xbb\xbfSubject: Hi\r\n\r\nHello.\r\n")
    assert Templates(tmp_path).mail("m", {}) == Rendered("Hi", "Hello.\n", None)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\nBcc: eve@evil.example\r\n\r\n", "\0"])
def test_no_value_adds_a_header_through_the_subject(render: Render, end: str) -> None:
    with pytest.raises(TemplateError, match=r"m\.txt:1: subject: 'Order 7.*line break or NUL"):
        render({"m.txt": "Subject: Order {{ x }}!\n\nHello\n"}, {"x": f"7{end}"})


@pytest.mark.parametrize("name", ["", "../m", "m.txt", "m/../m", "m#subject", "/etc/passwd"])
def test_only_a_plain_name_is_the_name_of_a_template(tmp_path: Path, name: str) -> None:
    with pytest.raises(TemplateError, match="is not the name of a template; write letters"):
        Templates(tmp_path).mail(name, {})


# ── templates without end ────────────────────────────────────────────────────

ENDLESS = "calls or includes itself without end; give it an end"
TOO_MANY = "more than 200 rounds of loops and calls; shorten it"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{% include 'm.txt' %}", ENDLESS),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", ENDLESS),
        ("{% for x in xs recursive %}{{ loop(xs) }}{% endfor %}", ENDLESS),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        ("{% for i in xs %}{% for j in xs %}{% endfor %}{% endfor %}", TOO_MANY),
        (
            "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}"
            "{{ a(9) }}",
            TOO_MANY,
        ),
        ("{% for i in xs %}1234567890{% endfor %}", "the result is longer than 100 characters"),
    ],
)
def test_a_template_without_end_is_a_clear_error(
    render: Render, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    many = problem in (TOO_MANY, ENDLESS)
    monkeypatch.setattr(templates, "LONGEST", 100)
    if problem == TOO_MANY:
        monkeypatch.setattr(templates, "STEPS", 200)
    with pytest.raises(TemplateError, match=re.escape(problem)) as caught:
        render({"m.txt": f"Subject: Hi\n{text}\n"}, {"xs": range(20)})
    assert not many or "m.txt:2: " in str(caught.value)


def test_each_mail_has_all_the_rounds_that_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "STEPS", 30)
    (tmp_path / "m.txt").write_text("Subject: Hi\n\n{% for x in xs %}{{ loop.length }}{% endfor %}")
    folder = Templates(tmp_path)
    assert [folder.mail("m", {"xs": range(20)}).text for _ in range(3)] == ["20" * 20] * 3


def test_a_template_has_no_source_of_randomness(render: Render) -> None:
    for text in ("{{ lipsum() }}", "{{ [1, 2]|random }}"):
        with pytest.raises(TemplateError, match=r"lipsum|random"):
            render({"m.txt": f"Subject: Hi\n\n{text}"})

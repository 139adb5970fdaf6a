"""Mail from templates: a folder of text and HTML files, which Jinja2 fills in.

    templates = Templates(Path("templates"))
    mail = templates.mail("shipped", {"order": 7, "name": "Zoë"}, language="de")
    mail.subject, mail.text, mail.html          # html is None without an HTML template

The text of a mail is in `NAME.txt`, which begins with its subject. Its HTML, if it has any, is in
`NAME.html`, and only there values are escaped:

    Subject: Order {{ order }} is on its way

    Hello {{ name }}, …

A translation is in `NAME.de.txt` and `NAME.de.html`; without one, `NAME.txt` and `NAME.html` are
used. A file may extend a layout and include others of its kind: `{% extends "layout.html" %}`.

Whatever is wrong with a template or with the values is a TemplateError. A program renders all of
its mails before it sends the first one, so that a mistake leaves no half of them sent.

Templates are the operator's own. The sandbox and the limits are there against mistakes, such as a
loop without end.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.bccache import Bucket
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from comms.errors import SettingsError
from comms.header import check_line

STEPS = 100_000  # rounds of loops, and calls, in one mail
LONGEST = 1_000_000  # characters of a text, or of an HTML page


class TemplateError(SettingsError):
    """A template cannot become a mail. The text is `FILE:LINE: PROBLEM; REMEDY`."""


@dataclass(frozen=True)
class Rendered:
    """A mail's contents. The subject is a single line."""

    subject: str
    text: str
    html: str | None


class Templates:
    """The templates in a folder. Each file is read once, when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sandbox = _Sandbox(
            loader=_Loader(folder, encoding="utf-8-sig"),  # with or without the mark of UTF-8
            autoescape=lambda name: bool(name and name.endswith(".html")),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            bytecode_cache=_COMPILED,
        )
        self._found: dict[tuple[str, str], tuple[str, bool]] = {}

    def mail(self, name: str, values: Mapping[str, Any], language: str = "") -> Rendered:
        """Fills in the templates of a mail. Raises TemplateError.

        `language` may be unknown, or more precise than a translation: `de-AT` finds `NAME.de.txt`.
        """
        stem, has_html = self._find(name, language)
        self._sandbox.steps = 0
        subject = self._rendered(f"{stem}.txt{_SUBJECT}", values).strip()
        try:
            check_line("subject", subject)
        except ValueError as error:
            raise TemplateError(f"{self._folder / stem}.txt:1: {error}") from None
        text = self._rendered(f"{stem}.txt", values).lstrip("\n")
        html = self._rendered(f"{stem}.html", values) if has_html else None
        return Rendered(subject, text, html)

    def _find(self, name: str, language: str) -> tuple[str, bool]:
        """Returns the stem of the files in that language, and whether there is an HTML file."""
        key = name, language
        if key not in self._found:
            if not re.fullmatch(r"[\w-]+", name):
                problem = f"{name!r} is not the name of a template; write letters, digits, - or _"
                raise TemplateError(f"{self._folder}: {problem}")
            # Only letters, digits and hyphens: a language of a customer's must not name a file.
            tag = language.replace("_", "-")
            tags = (tag, tag.partition("-")[0]) if re.fullmatch(r"[A-Za-z0-9-]+", tag) else ()
            for stem in (*(f"{name}.{tag}" for tag in tags), name):
                text, html = (
                    (self._folder / f"{stem}{kind}").is_file() for kind in (".txt", ".html")
                )
                # The first language that has either file: no mail is in two languages.
                if text or html:
                    break
            self._found[key] = stem, html
        return self._found[key]

    def _rendered(self, file: str, values: Mapping[str, Any]) -> str:
        pieces, length = [], 0
        try:
            for piece in self._sandbox.get_template(file).generate(values):
                length += len(piece)
                if length > LONGEST:
                    raise _TooMuch(f"the result is longer than {LONGEST} characters")
                pieces.append(piece)
        except Exception as error:  # a template may raise anything: {{ 1 / count }}
            raise TemplateError(self._problem(file.removesuffix(_SUBJECT), error)) from None
        return "".join(pieces)

    def _problem(self, file: str, error: Exception) -> str:
        """Says where in a template an error was raised, what it means, and what to do."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            return f"{error.filename}:{error.lineno}: {error.message}; correct the template"
        # Jinja2 puts the template's own lines into the traceback.
        places = [
            f"{frame.f_code.co_filename}:{line}: "
            for frame, line in traceback.walk_tb(error.__traceback__)
            if Path(frame.f_code.co_filename).is_relative_to(self._folder)
        ]
        place = places[-1] if places else f"{self._folder / file}: "
        if isinstance(error, jinja2.TemplateNotFound):
            missing = error.name or file
            if missing.endswith(_SUBJECT) or not places:
                return f"{place}the file does not exist; write it"
            return f"{place}{missing} does not exist in {self._folder}; write it"
        if isinstance(error, jinja2.UndefinedError):
            return f'{place}{error.message}; give it a value, or write |default("") after it'
        if isinstance(error, RecursionError):
            return f"{place}it calls or includes itself without end; give it an end"
        if isinstance(error, _TooMuch | OverflowError):  # OverflowError: a range that is too long
            return f"{place}{error}; shorten it"
        if isinstance(error, SecurityError):
            return f"{place}{error} Leave it out; templates only read values"
        if isinstance(error, _NoSubject):
            return f"{self._folder / file}:1: no subject; write Subject: … as the first line"
        if isinstance(error, _OtherKind):
            return f"{place}{error}"
        return f"{place}{type(error).__name__}: {error}; correct the template, or the values"


class _TooMuch(Exception):
    """A template does not come to an end soon enough."""


class _NoSubject(Exception):
    """A text template does not begin with a subject."""


class _OtherKind(Exception):
    """A template uses one of the other kind: HTML would get text that is not escaped."""


_SUBJECT = "#subject"  # after the name of a text template: the template in its first line


class _Loader(jinja2.FileSystemLoader):
    """Reads the files. The first line of a text and the rest of it are two templates."""

    def get_source(self, environment: jinja2.Environment, template: str) -> Any:
        """Returns the source of a template, and the name of its file."""
        name, mark, _ = template.partition(_SUBJECT)
        source, filename, uptodate = super().get_source(environment, name)
        first, _, rest = source.partition("\n")
        has_subject = name.endswith(".txt") and first.startswith("Subject:")
        if mark:
            if not has_subject:
                raise _NoSubject
            return first.removeprefix("Subject:"), filename, uptodate
        # An empty comment in its place, so that later lines keep their numbers.
        return "{##}\n" + rest if has_subject else source, filename, uptodate


class _Compiled(jinja2.BytecodeCache):
    """What was compiled from each file, for all sandboxes of this process: they are all alike.

    Each rehearsal has its own sandbox, and compiling took a twentieth of all rehearsals together.
    """

    def __init__(self) -> None:
        self._codes: dict[str, tuple[str, CodeType | None]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Finds what was compiled from this source, if anything was."""
        checksum, code = self._codes.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keeps what was compiled, in place of what the file was before."""
        self._codes[bucket.key] = bucket.checksum, bucket.code


_COMPILED = _Compiled()


class _Sandbox(ImmutableSandboxedEnvironment):
    """Counts the rounds of loops and the calls of a mail; a template can change no value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.steps = 0
        self.filters["_counted"] = self._counted
        # Randomness, which would make every rehearsal another one.
        del self.filters["random"], self.globals["lipsum"]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(
                loop.iter, "_counted", [], [], None, None, lineno=loop.iter.lineno
            )
        return tree

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._step()
            yield item

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a function or a macro for a template."""
        self._step()
        return super().call(context, function, *args, **kwargs)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise _TooMuch(f"more than {STEPS} rounds of loops and calls")

    def join_path(self, template: str, parent: str) -> str:
        """Returns the name of a template that another one extends, includes or imports."""
        kind = Path(parent.removesuffix(_SUBJECT)).suffix
        if Path(template).suffix != kind:
            raise _OtherKind(f"{template} is not *{kind}; use one of the same kind")
        return template

"""The menus of im-menu as data, and what a key does. Nothing here reads or sends a message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

MAIN, BACK, OPERATOR = "main", "back", "operator"
LONGEST = 2000  # characters of a menu
# `1 Orders -> orders` and `2 Hours = From 9 to 5.`
_CHOICE = re.compile(r"([0-9*#])\s")
_KIND = re.compile("->|=")
EXAMPLE = '"1 Orders -> orders", or "2 Hours = From 9 to 5."'


@dataclass(frozen=True)
class Choice:
    """A line of a menu: `leads_to` another menu, or else `says` something."""

    key: str
    words: str
    leads_to: str = ""
    says: str = ""


@dataclass(frozen=True)
class Menu:
    """A menu: the text above, and the choices in their order."""

    text: str
    choices: tuple[Choice, ...]

    def shown(self) -> str:
        """Returns the menu as a customer sees it."""
        lines = [f"{choice.key} {choice.words}" for choice in self.choices]
        return "\n".join([self.text, *lines] if self.text else lines)

    def chosen(self, text: str) -> Choice | None:
        """Returns what a customer has chosen by its key or its words; None if it is neither."""
        said = unicodedata.normalize("NFKC", text).strip().rstrip(".)").casefold()
        for choice in self.choices:
            if said in (choice.key, choice.words.casefold()):
                return choice
        return None


@dataclass
class Call:
    """Where a customer is: the menus that led here, the last one being shown."""

    path: list[str] = field(default_factory=list)
    wrong: int = 0  # keys in a row
    with_operator: bool = False


def read_menus(lines: Mapping[str, Sequence[str]]) -> dict[str, Menu]:
    """Returns the menus. Raises ValueError, naming the menu and the line."""
    menus = {name: _read(name, given) for name, given in lines.items()}
    if MAIN not in menus:
        raise ValueError(f'menus: no menu {MAIN}; write {MAIN} = ["1 …"]')
    for name in (BACK, OPERATOR):
        if name in menus:
            raise ValueError(f"menus: {name} exists already; choose another name")
    known = {*menus, BACK, OPERATOR}
    for name, menu in menus.items():
        for choice in menu.choices:
            if choice.leads_to and choice.leads_to not in known:
                raise ValueError(
                    f"menus: {name}: {choice.key} leads to {choice.leads_to!r}, which does not "
                    f"exist; choose from {', '.join(sorted(known))}"
                )
    return menus


def _read(name: str, lines: Sequence[str]) -> Menu:
    texts, choices = [], list[Choice]()
    for line in lines:
        found = _CHOICE.match(line.strip() + " ")
        if found is None:
            texts.append(line.strip())
            continue
        key = found[1]
        kind = _KIND.search(line)
        words = line[: kind.start()].strip()[1:].strip() if kind else ""
        rest = line[kind.end() :].strip() if kind else ""
        if not words or not rest:
            raise ValueError(f"menus: {name}: {line!r} does nothing; write {EXAMPLE}")
        if any(choice.key == key for choice in choices):
            raise ValueError(f"menus: {name}: key {key} twice; choose another one")
        leads = kind is not None and kind[0] == "->"
        choices.append(Choice(key, words, rest if leads else "", "" if leads else rest))
    if not choices:
        raise ValueError(f"menus: {name}: no choice; write {EXAMPLE}")
    menu = Menu("\n".join(texts), tuple(choices))
    if len(menu.shown()) + max(len(choice.says) for choice in choices) > LONGEST:
        raise ValueError(f"menus: {name}: more than {LONGEST} characters; split it into two")
    return menu


def answer(menus: Mapping[str, Menu], call: Call, text: str, tries: int) -> Iterator[str]:
    """Yields what a customer hears, and notes in the call where that leads.

    Nothing is yielded if it leads to the operator, who is then the one to answer.
    """
    if not call.path:
        call.path = [MAIN]
        yield menus[MAIN].shown()
        return
    here = menus[call.path[-1]]
    choice = here.chosen(text)
    if choice is None:
        call.wrong += 1
        if call.wrong >= tries:
            call.with_operator = True
        else:
            keys = ", ".join(one.key for one in here.choices)
            yield f"That is not a choice. Please send one of: {keys}\n\n{here.shown()}"
        return
    call.wrong = 0
    if choice.says:
        yield f"{choice.says}\n\n{here.shown()}"
    elif choice.leads_to == OPERATOR:
        call.with_operator = True
    else:
        if choice.leads_to == BACK:
            del call.path[max(1, len(call.path) - 1) :]  # from the main menu, to itself
        else:
            _go(call, choice.leads_to)
        yield menus[call.path[-1]].shown()


def _go(call: Call, name: str) -> None:
    """Goes to a menu. One on the way is gone back to, so that the way stays short."""
    if name in call.path:
        del call.path[call.path.index(name) + 1 :]
    else:
        call.path.append(name)

"""A SASL exchange of the fakes, with a few accounts: what the tests of the mechanisms share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fakes.sasl import Context, Exchange


@dataclass
class Account:
    address: str
    password: str


class Accounts:
    """Accounts by their local parts. A login may be the local part or the whole address."""

    def __init__(self, **passwords: str) -> None:
        self._accounts = {
            name: Account(f"{name}@example.test", password) for name, password in passwords.items()
        }

    def find(self, login: str) -> Account | None:
        return self._accounts.get(login.partition("@")[0])

    def for_login(self, login: str, password: str) -> Account | None:
        return self.find(login)


def exchange(
    mechanism: str, nonce: str = "nonce", host: str = "example.test", **more: Any
) -> Exchange:
    """An exchange whose server always invents the same nonce. `more` is for Context."""
    accounts = more.pop("accounts", Accounts(user="pencil", chris="secret"))
    return Exchange(mechanism, Context(accounts, lambda: nonce, host, **more))

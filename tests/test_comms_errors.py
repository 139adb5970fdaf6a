"""Errors and their exit codes: scripts that call programs rely on these numbers."""

from __future__ import annotations

import pytest

from comms import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.CommsError, 70),
        (errors.SettingsError, 2),
        (errors.Unreachable, 3),
        (errors.Refused, 4),
        (errors.TryLater, 4),
        (errors.Unknown, 5),
        (errors.StateError, 5),
    ],
)
def test_each_error_is_a_comms_error_with_its_exit_code(
    kind: type[errors.CommsError], code: int
) -> None:
    assert issubclass(kind, errors.CommsError) and kind("why").exit_code == code

"""Faults: what goes wrong in a world, as data.

    Fault("RCPT", arg="assaf*", reply="451 4.3.0 try later", times=2)
    parse('RCPT arg assaf* reply "451 4.3.0 try later" times 2')

Faults are counted and ordered. Nothing is random: the same faults and the same traffic give the
same run. Cores ask in one place (`wire.Session`) which fault, if any, a unit meets; what it does
then is in `wire/effects.py`. Failures that the wire cannot express are drills (`fakes/drills.py`).
"""

from fakes.faults.armed import Faults, UnmetFault
from fakes.faults.text import parse
from fakes.faults.value import EVERYWHERE, KINDS, Drill, Fault, FaultError, Places

__all__ = [
    "EVERYWHERE",
    "KINDS",
    "Drill",
    "Fault",
    "FaultError",
    "Faults",
    "Places",
    "UnmetFault",
    "parse",
]

# apt-get install: curl ruby
"""The control API from other languages: the examples of fakes/README.md, as they stand there."""

from __future__ import annotations

import re
import smtplib
import subprocess
from pathlib import Path

import pytest

from fakes.control import Control
from fakes.world import World
from tests.real import need

pytestmark = pytest.mark.real

README = (Path(__file__).parent.parent / "fakes" / "README.md").read_text("utf-8")
PROGRAMS = {  # language → command, package, what the example prints
    "sh": (["sh", "-c"], "curl", '"subject": "Order 7"'),
    "js": (["node", "--input-type=module", "-e"], "nodejs", "Order 7 [ 'https://shop.example/7' ]"),
    "ruby": (["ruby", "-e"], "ruby", "Order 7"),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_example_of_the_readme_finds_the_mail(language: str) -> None:
    command, package, printed = PROGRAMS[language]
    need(package if package == "curl" else command[0], package)
    (example,) = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    with World({"servers": ["smtp"], "tls": "off"}) as world:
        port = world.serve("control", Control(world).session)[1]
        example = example.replace("localhost:1080", f"localhost:{port}")
        with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
            mail = "Subject: Order 7\r\n\r\nSee https://shop.example/7\r\n"
            client.sendmail("shop@example.org", ["bob@example.test"], mail)
        done = subprocess.run([*command, example], capture_output=True, text=True, timeout=30)
        world.faults.disarm()
    assert (done.returncode, done.stderr) == (0, "")
    assert printed in done.stdout

# apt-get install: curl ruby php-cli default-jdk-headless golang-go
"""The control API from other languages: the examples of fakes/README.md, as they stand there."""

from __future__ import annotations

import os
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
PROGRAMS = {  # language → command for a file, package, what the example prints
    "sh": (["sh"], "curl", '"subject": "Order 7"'),
    "js": (["node"], "nodejs", "Order 7 [ 'https://shop.example/7' ]"),
    "ruby": (["ruby"], "ruby", "Order 7"),
    "php": (["php"], "php-cli", "Order 7"),
    "java": (["jshell"], "default-jdk-headless", '"subject": "Order 7"'),
    "go": (["go", "run"], "golang-go", '"subject": "Order 7"'),
}
FRAMES = {  # what an example that is not a whole program stands in
    "java": "%s/exit\n",
    "go": """package main
import ("io"; "log"; "net/http"; "os")
func main() {
%s}
""",
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_example_of_the_readme_finds_the_mail(language: str, tmp_path: Path) -> None:
    command, package, printed = PROGRAMS[language]
    program = need(package if package == "curl" else command[0], package)
    if language == "js":
        found = subprocess.check_output([program, "--version"], text=True).strip()
        if int(found.removeprefix("v").split(".")[0]) < 20:
            pytest.fail(f"node is {found}; this example needs Node 20 or newer", pytrace=False)
    (example,) = re.findall(rf"```{language}\n(.*?)```", README, re.S)
    file = tmp_path / f"wait.{'mjs' if language == 'js' else language}"
    with World({"servers": ["smtp"], "tls": "off"}) as world:
        port = world.serve("control", Control(world).session)[1]
        framed = FRAMES.get(language, "%s").replace("%s", example)
        file.write_text(framed.replace("localhost:1080", f"localhost:{port}"))
        with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
            mail = "Subject: Order 7\r\n\r\nSee https://shop.example/7\r\n"
            client.sendmail("shop@example.org", ["bob@example.test"], mail)
        options = []
        if language == "java":  # jshell says so when it creates the folder of its settings
            (tmp_path / ".java" / ".userPrefs").mkdir(parents=True)
            options = [f"-J-Djava.util.prefs.userRoot={tmp_path}"]
        done = subprocess.run(
            [*command, *options, file],
            env=os.environ | {"GOCACHE": str(tmp_path / "go")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        world.faults.disarm()
    assert (done.returncode, done.stderr) == (0, "")
    assert printed in done.stdout

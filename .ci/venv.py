"""Sets up .venv, once, with what pyproject.toml names for tests and checks. Uses uv if present.

Another folder can be given as the argument, for another Python version. `complete` in the folder is
written last. It holds a digest of the Python version and the requirements. When it is missing, or
when one of these has changed, the folder is set up again.

This file itself must run on older Pythons, so that they get a message and not a syntax error.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / (sys.argv[1] if len(sys.argv) > 1 else ".venv")
OLDEST = (3, 11)
NO_VENV = (
    "python3 -m venv does not work here; install it (Debian: apt-get install python3-venv) "
    "and try again"
)
NO_UV = "uv could not make a virtual environment"
NO_PACKAGES = (
    "the packages could not be installed: is there a network, or a mirror (PIP_INDEX_URL)?\n"
    "The scenarios that need only the standard library run without: "
    "make scenario NAME=apache-alert"
)


def fail(text):
    """Ends the program with an error message."""
    sys.exit("error: " + text)


def read_requirements():
    """Returns the requirements of all extras, except those that name this project itself."""
    import tomllib  # new in 3.11, which has been checked by now

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = set()
    for extra in project["optional-dependencies"].values():
        found.update(line for line in extra if not line.startswith(project["name"]))
    return sorted(found)


def install(requirements):
    """Makes the virtual environment and installs these into it."""
    python = str(VENV / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "--python", sys.executable, str(VENV)], NO_UV)
        run([uv, "pip", "install", "--python", python, *requirements], NO_PACKAGES)
    else:
        run([sys.executable, "-m", "venv", str(VENV)], NO_VENV)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, *requirements], NO_PACKAGES)


def run(command, remedy):
    """Runs a command. Shows its output only if it fails, after the remedy."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        fail(remedy + "\n" + done.stdout.decode(errors="replace"))


def main():
    if sys.version_info < OLDEST:
        have, need = (".".join(map(str, version)) for version in (sys.version_info[:2], OLDEST))
        fail(
            f"Python {have} is too old: {need} or newer is needed; "
            f"name it with: make PYTHON=python{need} …"
        )
    if VENV.parent != ROOT or not VENV.name.startswith(".venv"):
        # What is in the folder is removed first, so it must not be one of the sources.
        fail("VENV: the name of the folder must begin with .venv; write VENV=.venv.3.13")
    requirements = read_requirements()
    digest = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()
    complete = VENV / "complete"
    if complete.exists() and complete.read_text() == digest:
        return
    work = "setting up " + VENV.name + " (once): pytest and what the checks need …"
    print(work, file=sys.stderr, flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    install(requirements)
    complete.write_text(digest)


if __name__ == "__main__":
    main()

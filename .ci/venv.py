"""Sets up .venv, once: what pyproject.toml names for tests and checks, and nothing else. Plain Python, or uv if present.

`.venv/complete` is written last and holds what was asked for; without it, or when that has changed, it is set up anew.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
NO_VENV = "python3 -m venv does not work here; install it (Debian: apt-get install python3-venv) and try again"
NO_PACKAGES = (
    "the packages could not be installed: is there a network, or a mirror (PIP_INDEX_URL)?\n"
    "The scenarios that need only the standard library run without: make scenario NAME=apache-alert"
)


def fail(text):
    sys.exit("error: " + text)


def wanted():
    """The requirements of every extra, without references to the project itself."""
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    return sorted({one for extra in extras.values() for one in extra if not one.startswith("comms-and-fakes")})


def install(requirements):
    uv = shutil.which("uv")
    if uv:
        run([uv, "venv", "--python", sys.executable, str(VENV)], "uv could not make a virtual environment")
        run([uv, "pip", "install", "--python", str(VENV / "bin" / "python"), *requirements], NO_PACKAGES)
    else:
        run([sys.executable, "-m", "venv", str(VENV)], NO_VENV)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, *requirements], NO_PACKAGES)


def run(command, remedy):
    """Runs it in silence; what it said is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        fail(remedy + "\n" + done.stdout.decode(errors="replace"))


def main():
    if sys.version_info < OLDEST:
        have, need = (".".join(map(str, version)) for version in (sys.version_info[:2], OLDEST))
        fail(f"Python {have} is too old: {need} or newer is needed; name it with: make PYTHON=python{need} …")
    requirements = wanted()
    mark = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()
    done = VENV / "complete"
    if done.exists() and done.read_text() == mark:
        return
    print("setting up .venv (once): pytest and what the checks need …", file=sys.stderr, flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    install(requirements)
    done.write_text(mark)


if __name__ == "__main__":
    main()

"""What build-mail writes about a build: its commits, and the end of its log."""

from __future__ import annotations

from pathlib import Path

from comms.compose import Message
from comms.words import one_line
from scenarios.builds import Build, last_lines, log_tail


def describe(mail: Message, build: Build, folder: Path, largest: int, shown: int) -> None:
    """Writes the text about a build, and attaches the end of its log if it failed."""
    commits = "".join(f"    {commit}\n" for commit in build.commits) or "    (none)\n"
    outcome = "passed" if build.passed else "failed"
    mail.text = f"Build {build.number} of {build.branch} {outcome}.\n\nCommits:\n{commits}"
    if build.passed or not build.log:
        return
    try:
        tail, cut = log_tail(folder, build, largest)
    except OSError as error:
        mail.text += f"\nThe log cannot be read: {one_line(str(error.strerror))}\n"
        return
    missing = ", which is attached without its beginning" if cut else ""
    mail.text += f"\nThe end of the log{missing}:\n{last_lines(tail, shown)}"
    mail.attach(f"build-{build.number}.log", tail, "text/plain")

# SPDX-License-Identifier: Apache-2.0
"""The booted system in the hands of its administrator: what the steps of the walk type, look at and expect."""

import os
import pathlib
import pty
import re
import select
import subprocess
import time

ETC, DATA, LOGS = (pathlib.Path(path) for path in ("/etc/hoplock", "/var/lib/hoplock", "/var/log/hoplock"))
CONFIG = ETC / "hoplock.yaml"
GUIDE = pathlib.Path("/usr/share/doc/hoplock/exchange/README.md")
DROP_INS = pathlib.Path("/etc/systemd/system/hoplockd.service.d")
# LOWER: NEW under a lower number, its hoplock.yaml with a line more; DEBUG: what a debugger needs for NEW
NEW, OLDER, LOWER, DEBUG = (f"/packages/{name}.deb" for name in ("new", "older", "lower", "dbgsym"))
RELAY = "192.0.2.25"
PASSWORD = "correct horse"
QUIET = ("-qq", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "Dpkg::Options::=--force-unsafe-io")


class Wrong(Exception):
    pass


def run(*words, code=0, timeout=120):
    """What the command printed. `code`: the exit code it must have; None: any but 0."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    said = done.stdout + done.stderr
    if done.returncode == 0 if code is None else done.returncode != code:
        raise Wrong(f"{' '.join(words)}: exit {done.returncode}, not {'an error' if code is None else code}\n{said}")
    return said


def expect(holds, what):
    if not holds:
        raise Wrong(what)


def has(said, *words):
    for word in words:
        expect(word in said, f"{word!r} is not in:\n{said}")
    return said


def until(what, look, seconds=30):
    end = time.monotonic() + seconds
    while not (found := look()):
        expect(time.monotonic() < end, f"not within {seconds}s: {what}")
        time.sleep(0.1)
    return found


def unit(name, what="hoplockd.service"):
    return run("systemctl", "show", "-P", name, what).strip()


def state():
    return unit("ActiveState")


def journal(since, *more):
    return run("journalctl", "-u", "hoplockd", "-o", "cat", "--no-pager", "--since", f"@{since:.6f}", *more)


def rights(path):
    """OWNER:GROUP MODE"""
    return run("stat", "-c", "%U:%G %a", str(path)).strip()


def apt(*words, code=0):
    return run("apt-get", *QUIET, *words, code=code, timeout=300)


def configure(text):
    CONFIG.write_text("hostname: relay.contoso.com\n" + text, "utf-8")


def reload(code=0):
    """systemctl reload, and what the journal says of it."""
    since = time.time()
    said = run("systemctl", "reload", "hoplockd", code=code)
    run("journalctl", "--sync")
    return said + journal(since)


def as_user(person, *words, code=0):
    return run("runuser", "-u", person, "--", "hoplock", *words, code=code)


def booted():
    said = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False).stdout.strip()
    return said if said in ("running", "degraded") else None


def exists(user):
    return subprocess.run(["getent", "passwd", user], stdout=subprocess.DEVNULL, check=False).returncode == 0


def guide(kind):
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE.read_text("utf-8"), re.S)


def typed(program):
    text = pathlib.Path("/usr/share/doc/hoplock/exchange/README.md").read_text("utf-8")
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.startswith(f"    {program} ")]


def answered(words, question, answer):
    """The command at a terminal, with its question answered."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({"DEBIAN_FRONTEND": "readline", "LC_ALL": "C.UTF-8", "TERM": "dumb"})
        os.execvp(words[0], words)
    said, end = "", time.monotonic() + 120
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            octets = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not octets:
            break
        asked, said = question in said, said + octets.decode("utf-8", "replace")
        if question in said and not asked:
            os.write(terminal, answer.encode() + b"\n")
    expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said)
    return has(said, question)

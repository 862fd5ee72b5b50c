# SPDX-License-Identifier: Apache-2.0
"""The package between versions: removed and brought back, purged, upgraded under load, refused a downgrade, booted anew."""

import pathlib
import re
import shutil
import time

import mail
from administrator import (CONFIG, DATA, DEBUG, DROP_INS, LOGS, LOWER, NEW, OLDER, QUIET, RELAY, answered, apt, booted, configure, expect,
                           has, run, state, unit, until)
from service import ROUTE, Service


def build_id(path):
    """The note that binds a program to what a debugger needs of it."""
    octets = pathlib.Path(path).read_bytes()
    mark = octets.find(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0")
    expect(mark >= 0, f"{path} has no build id")
    return octets[mark + 16:mark + 36].hex()


class Package(Service):
    """The steps about the package, after those about its service."""

    def debug_symbols(self):
        """hoplock-dbgsym is of these programs, and comes and goes beside them"""
        if not pathlib.Path(DEBUG).exists():
            return "no hoplock-dbgsym lies beside the package"
        before = unit("MainPID")
        apt("install", DEBUG)
        for program in ("/usr/sbin/hoplockd", "/usr/bin/hoplock"):
            ident = build_id(program)
            symbols = pathlib.Path(f"/usr/lib/debug/.build-id/{ident[:2]}/{ident[2:]}.debug")
            expect(symbols.exists() and build_id(symbols) == ident, f"{symbols} is not there, or of another program")
            expect(b".debug_line" in symbols.read_bytes(), f"{symbols} has no lines")
        apt("purge", "hoplock-dbgsym")
        expect(not symbols.exists(), f"{symbols} stays")
        expect((state(), unit("MainPID")) == ("active", before), "the service was restarted for it")
        return "a .debug file for each program, by its build id"

    # --- the end of the first life

    def remove(self):
        """apt remove: nothing runs, the queue and the configuration stay"""
        self.sink.open = False
        mail.send("kept over the removal", RELAY)
        apt("remove", "hoplock")
        for name in ("hoplockd.service", "hoplockd.socket"):
            expect(unit("ActiveState", name) == "inactive", f"{name} is {unit('ActiveState', name)}")
        ports = run("ss", "-Hltn")
        expect(not re.search(":(25|2525|2526|2587) ", ports), ports)
        expect((DATA / "queue.db").exists() and CONFIG.exists(), "the queue or the configuration is gone")
        expect(not pathlib.Path("/usr/sbin/hoplockd").exists(), "hoplockd is still there")
        return "queue.db and hoplock.yaml are there"

    def install_again(self):
        """apt install again: service and socket are back as they were, what waited is delivered"""
        apt("install", NEW)
        self.sink.open = True
        self.arrives("kept over the removal")
        mail.send("on port 25 again", RELAY, 25)
        self.arrives("on port 25 again")
        return f"enabled: {run('systemctl', 'is-enabled', 'hoplockd').strip()}"

    def purge_unasked(self):
        """apt purge with nobody to ask: the queue stays"""
        said = apt("purge", "hoplock")
        expect((DATA / "queue.db").exists(), "the queue is gone without a word")
        expect(not CONFIG.exists() and not LOGS.exists(), "the configuration or the logs stay")
        has(said, "the queue stays in /var/lib/hoplock")
        return next(line for line in said.splitlines() if "the queue stays" in line)

    def purge_asked(self):
        """apt purge asks; no keeps the queue, yes deletes it"""
        for answer, there in (("no", True), ("yes", False)):
            apt("install", NEW)
            expect(state() == "active", f"hoplockd is {state()}")
            said = answered(["apt-get", *QUIET, "purge", "hoplock"], "Delete the mail queue", answer)
            expect(DATA.exists() == there, f"after {answer!r} {DATA} is {'there' if DATA.exists() else 'gone'}\n{said}")
        return "Delete the mail queue and the history of hoplock? [yes/no]"

    # --- the question about a configuration that both sides changed

    def conffile_asked(self):
        """an upgrade asks about a changed hoplock.yaml: N keeps the administrator's, Y takes the package's, the other lies beside it"""
        mine = "hoplock.yaml (Y/I/N/O/D/Z) [default=N] ?"
        for answer in ("N", "Y"):
            apt("install", LOWER)
            theirs = CONFIG.read_text("utf-8")
            configure("# the administrator's own\n")
            said = answered(["dpkg", "-i", NEW], mine, answer)
            kept, other = CONFIG.read_text("utf-8"), CONFIG.with_name("hoplock.yaml." + ("dpkg-dist" if answer == "N" else "dpkg-old"))
            expect(("the administrator's own" in kept) == (answer == "N"), f"after {answer}: {kept}\n{said}")
            expect(other.exists() and other.read_text("utf-8") not in (kept, theirs), f"{other} is not there, or the same")
            expect(state() == "active", f"hoplockd is {state()}")
            has(run("hoplock", "version"), self.version)
            apt("purge", "hoplock")
            left = list(CONFIG.parent.glob("hoplock.yaml*"))  # what else lies there is the administrator's
            expect(not left, f"{left} stays")
        return mine

    # --- the second life

    def install_older(self):
        """an earlier version is installed, and runs"""
        shutil.rmtree(DROP_INS, ignore_errors=True)
        apt("install", OLDER)
        configure(ROUTE)
        run("systemctl", "restart", "hoplockd")
        mail.send("to the older one")
        self.arrives("to the older one")
        return self.older

    def upgrade(self):
        """upgrade under load: what got its 250 is delivered"""
        with mail.Load() as load:
            time.sleep(4)
            before = len(load.promised)
            pid = unit("MainPID")
            apt("install", "-o", "Dpkg::Options::=--force-confold", NEW)
            meanwhile = len(load.promised) - before
            until("the new version runs", lambda: state() == "active" and unit("MainPID") != pid)
            time.sleep(4)
        missing = set(load.promised)

        def gone():
            missing.difference_update(self.sink.taken)
            return not missing

        until(f"all of {len(load.promised)} messages arrive", gone, 120)
        twice = sum(self.sink.taken[subject] > 1 for subject in load.promised)
        has(run("hoplock", "status"), self.version)
        expect(twice * 100 <= len(load.promised), f"{twice} arrived twice")
        return (f"{self.older} to {self.version}: {len(load.promised)} promised ({meanwhile} meanwhile), 0 lost, {twice} twice; longest wait "
                f"for a 250 {load.longest_pause:.1f}s, {load.refused} connections cut or refused")

    def downgrade(self):
        """a downgrade is refused with words, running and removed; the newer one goes on"""
        before = state(), unit("MainPID")
        said = has(run("dpkg", "-i", OLDER, code=None), "downgrade")
        until("it is active", lambda: state() == "active")
        has(run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "hoplock"), f"installed {self.version}")
        expect(run("dpkg", "--audit") == "", "dpkg --audit")
        mail.send("after the refusal")
        self.arrives("after the refusal")
        expect((state(), unit("MainPID")) == before, "the refusal has restarted it")
        apt("remove", "hoplock")
        has(run("dpkg", "-i", LOWER, code=None), "downgrade")
        expect(not pathlib.Path("/usr/sbin/hoplockd").exists(), "it is installed all the same")
        apt("install", NEW)
        expect(state() == "active", f"hoplockd is {state()}")
        return next(line for line in said.splitlines() if "downgrade" in line)[:110]

    # --- and a new day

    def before_reboot(self):
        """a message waits, and the system is booted anew"""
        self.sink.open = False
        mail.send("over the reboot")
        off = pathlib.Path("/run/systemd/system/walk.service.d")  # gone when it is up again
        off.mkdir(parents=True)
        (off / "reboot.conf").write_text("[Unit]\nSuccessAction=none\nFailureAction=none\n", "utf-8")
        run("systemctl", "daemon-reload")
        return "systemctl reboot"

    def after_reboot(self):
        """the relay is up by itself, and what waited is delivered"""
        up = until("systemd has booted", booted, 60)
        until("hoplockd runs", lambda: state() == "active")
        self.arrives("over the reboot")
        return f"{up}, MainPID {unit('MainPID')}"

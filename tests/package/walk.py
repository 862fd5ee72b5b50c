# SPDX-License-Identifier: Apache-2.0
"""The life of the package on a booted Debian 12, as its administrator sees it. scripts/container boots the system and starts this in it.

Every step prints a line; the first that does not hold prints what the system says of it, and ends the walk with exit 1.
"""

import pathlib
import subprocess
import sys
import time
import traceback

from administrator import Wrong, run
from package import Package

BEGAN = pathlib.Path("/var/lib/walk-began")


STEPS = (Package.booted, Package.install, Package.rights, Package.follow_the_guide, Package.bad_reload, Package.good_reload,
         Package.bad_start, Package.unreadable_key, Package.credential, Package.log_file, Package.operators, Package.priorities,
         Package.exposure, Package.debug_symbols, Package.killed, Package.restart_limit, Package.low_port, Package.remove, Package.install_again,
         Package.purge_unasked, Package.purge_asked, Package.conffile_asked, Package.install_older, Package.upgrade, Package.downgrade,
         Package.before_reboot, Package.after_reboot)


def say_more():
    for words in (("systemctl", "status", "--no-pager", "-n", "0", "hoplockd"), ("journalctl", "--no-pager", "-n", "60")):
        print(subprocess.run(words, capture_output=True, text=True, check=False).stdout, flush=True)


def main():
    """The steps that are left: BEGAN holds, over the reboot, when the walk began."""
    walk, again = Package(), BEGAN.exists()
    if not again:
        BEGAN.write_text(str(time.time()), "utf-8")
    reboot = STEPS.index(Package.before_reboot)
    for number in range(reboot + 1 if again else 0, len(STEPS) if again else reboot + 1):
        step, start = STEPS[number], time.monotonic()
        try:
            detail = step(walk)
        except Exception as wrong:  # pylint: disable=broad-except
            print(f"{number + 1:2} FAILED {time.monotonic() - start:5.1f}s  {step.__doc__}\n{wrong}", flush=True)
            if not isinstance(wrong, Wrong):
                traceback.print_exc()
            say_more()
            return 1
        print(f"{number + 1:2} good   {time.monotonic() - start:5.1f}s  {step.__doc__}\n{'':18}{detail}", flush=True)
    if not again:
        run("systemctl", "reboot")
        time.sleep(300)  # the end comes from systemd
        return 1
    print(f"container: {len(STEPS)} steps, all good, {time.time() - float(BEGAN.read_text('utf-8')):.0f}s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

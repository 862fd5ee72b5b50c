# SPDX-License-Identifier: Apache-2.0
"""A fresh set of kernel namespaces for the private world, which end with whoever asked for them.

`enter()` forks: the caller's process becomes a supervisor that only waits, and `enter()` returns in a grandchild that lives in
its own network, mount, PID and UTS namespaces. Between them stands the init of the PID namespace. When the grandchild ends,
or the supervisor gets any deadly signal (SIGKILL too), init dies and the kernel kills every process of the world with it.
Files go to a tmpfs that is mounted in the mount namespace only, so nothing of them remains either.
"""

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys

NEWNS, NEWUTS, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x10000000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 0x40000, 0x1000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_room = None


def _check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source, target, kind, flags=0, data=None):
    encode = lambda text: None if text is None else str(text).encode()
    _check(_libc.mount(encode(source), encode(target), encode(kind), flags, encode(data)), f"mount {target}")


def die_with_parent():
    """For subprocess's preexec_fn: SIGKILL when the thread that started us ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def room():
    """The directory of the world's own tmpfs; only inside."""
    if _room is None:
        raise RuntimeError("not inside the private world: call ns.enter() first")
    return _room


def inside():
    return _room is not None


def enter(hostname="relay.test"):
    """Returns inside fresh namespaces: lo is up, every port is free, room() is an empty tmpfs. The caller's process waits."""
    global _room
    if _room is not None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    uid, gid = os.getuid(), os.getgid()
    flags = NEWNET | NEWNS | NEWPID | NEWUTS | (0 if uid == 0 else NEWUSER)
    _check(_libc.unshare(flags), "unshare (the private world needs root or unprivileged user namespaces)")
    if uid != 0:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")
    alive, held = os.pipe()
    deadly = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    signal.pthread_sigmask(signal.SIG_BLOCK, deadly)
    child = os.fork()
    if child:
        os.close(alive)
        _supervise(child, deadly)
    os.close(held)
    _init(alive, deadly)
    _room = _furnish(hostname)


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _supervise(child, deadly):
    """Never returns: waits for the world's init and dies as it died; a deadly signal ends the world first. Neither goes without a word."""
    watched = {*deadly, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    caught = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        news = signal.sigwaitinfo(watched)
        if news.si_signo != signal.SIGCHLD and caught is None:
            caught = news
            _say(f"ended by {signal.Signals(news.si_signo).name} from process {news.si_pid} {_name_of(news.si_pid)}")
            os.kill(child, signal.SIGKILL)
    if caught:
        os._exit(128 + caught.si_signo)
    if os.WIFSIGNALED(status):
        _say(f"its init died of {signal.Signals(os.WTERMSIG(status)).name}: was memory short?")
    os._exit(os.waitstatus_to_exitcode(status) % 256)


def _say(what):
    os.write(2, f"the private world of {' '.join(sys.argv[:2])}: {what}\n".encode())


def _name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return f"({file.read().strip()})"
    except OSError:
        return "(gone)"


def _init(alive, deadly):
    """Process 1 of the world: reaps, and ends with the first process it started. Returns only in that process."""
    die_with_parent()
    if select.select([alive], [], [], 0)[0]:
        os._exit(1)  # the supervisor went before the line above could bind us to it
    first = os.fork()
    if first == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, deadly)
        die_with_parent()
        return
    while True:
        pid, status = os.wait()
        if pid == first:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                _say(f"the tests died of {signal.Signals(-code).name}")
            os._exit(code if code >= 0 else 128 - code)


def _furnish(hostname):
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("proc", "/proc", "proc")
    room_path = next((path for path in ("/mnt", "/media", "/srv", "/opt") if os.path.isdir(path) and not os.listdir(path)), None)
    if room_path is None:
        raise RuntimeError("none of /mnt, /media, /srv, /opt is an empty directory to mount the world's tmpfs on")
    _mount("tmpfs", room_path, "tmpfs", 0, "mode=0755")
    socket.sethostname(hostname)
    _loopback_up()
    # A trap: whoever reads resolv.conf asks a server that only counts, and searches a domain that nobody must ask for.
    trap = os.path.join(room_path, "resolv.conf")
    _write(trap, "search evil.test\nnameserver 127.0.0.99\n")
    target = os.path.realpath("/etc/resolv.conf")
    if os.path.exists(target):
        _mount(trap, target, None, MS_BIND)
    return room_path


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(control, 0x8913, request)[:18])[1]
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))


def add_address(address):
    """Gives lo another address ("fd00::25"); 127.0.0.0/8 is there without."""
    command = ["ip", "address", "add", address, "dev", "lo"] + (["nodad"] if ":" in address else [])
    subprocess.run(command, check=True, env={**os.environ, "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})

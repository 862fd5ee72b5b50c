# SPDX-License-Identifier: Apache-2.0
"""hoplockd, several of them on one store, and the proxies that stand between each and the servers."""
import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from world.relay import Relay, merged  # noqa: E402

from servers import free_port  # noqa: E402


class _Place:
    """What Relay asks of a world, where there is no world: a folder."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, *parts):
        return str(pathlib.Path(self.folder, *parts))


class Node(Relay):
    """One daemon of several. Nothing of it asks the DNS: one route takes all mail to the sink."""

    def __init__(self, folder, build, name, sink, url, settings=None):
        self.name, self.sink, self.url = name, sink, url
        super().__init__(_Place(folder), build, settings, name, free_port())

    def _defaults(self):
        return {
            "hostname": f"{self.name}.test",
            "postmaster": "postmaster@cluster.test",
            "data_dir": "data",
            "store": self.url,
            "store_tls": "off",
            "node": {"name": self.name},
            "shutdown_timeout": "5s",
            "listeners": [{"address": f"127.0.0.1:{self.port}", "tls": "none"}],
            "limits": {"min_free_space": "1MiB"},
            "dns": {"forward": [f"127.0.0.1@{free_port()}"], "timeout": "1s"},
            "security": {"dane": "off", "mta_sts": "off"},
            "routes": [{"match": ["*"], "hosts": [f"[127.0.0.1]:{self.sink}"], "tls": "none"}],
            "delivery": {"retry": {"first": "1s", "factor": 1, "max": "2s", "jitter": 0}, "delay_notice": "0s", "connect_timeout": "2s"},
            "tls_rpt": {"enabled": False},
        }

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    def begin(self):
        """Started, and not waited for."""
        self._process = subprocess.Popen([os.path.join(self.build, "hoplockd"), "--config", self.config], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=self._prepare)
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)


class Proxies:
    """Between one node and the servers: they can go silent, which no socket notices, or cut what is open."""

    def __init__(self, targets):
        self.silent = False
        self.ports, self._open = [], set()
        self._loop = asyncio.new_event_loop()
        self._speaks = None
        up = threading.Event()
        threading.Thread(target=self._run, args=(targets, up), daemon=True).start()
        up.wait()

    def _run(self, targets, up):
        asyncio.set_event_loop(self._loop)
        self._speaks = asyncio.Event()
        self._speaks.set()
        for target in targets:
            server = self._loop.run_until_complete(asyncio.start_server(lambda r, w, to=target: self._serve(r, w, to), "127.0.0.1", 0))
            self.ports.append(server.sockets[0].getsockname()[1])
        up.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer, target):
        try:
            await self._speaks.wait()
            onward, back = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        both = {writer, back}
        self._open |= both
        await asyncio.gather(self._pass(reader, back), self._pass(onward, writer))
        self._open -= both

    async def _pass(self, source, to):
        try:
            while octets := await source.read(65536):
                await self._speaks.wait()
                to.write(octets)
                await to.drain()
        except OSError:
            pass
        finally:
            to.close()

    def silence(self):
        self._loop.call_soon_threadsafe(self._speaks.clear)

    def speak(self):
        self._loop.call_soon_threadsafe(self._speaks.set)

    def cut(self):
        def close_all():
            for writer in list(self._open):
                writer.transport.abort()
        self._loop.call_soon_threadsafe(close_all)


def table_of(node):
    """`hoplock nodes` as people see it."""
    return node.text("nodes")[1]


__all__ = ["Node", "Proxies", "json", "merged", "table_of"]

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one file of end-to-end tests in a private world of its own: run.py FILE --build DIR [TEST …] [-v].

FILE (test_dane_answers, with or without .py) holds DOMAINS, perhaps RECIPIENTS and SETTINGS, and test cases. The world is built
from DOMAINS, the relay started with SETTINGS; a message goes to user@NAME for every domain with `send`, and to RECIPIENTS.
"""

import argparse
import importlib
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]

from world import ns  # noqa: E402
from world.relay import Relay  # noqa: E402
from world.world import World  # noqa: E402


def submit_all(relay, module):
    recipients = [f"user@{domain.name}" for domain in module.DOMAINS if domain.send]
    recipients += list(getattr(module, "RECIPIENTS", ()))
    for recipient in recipients:
        relay.send(recipient)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("tests", nargs="*", help="only tests whose name contains one of these")
    parser.add_argument("--build", required=True, help="where hoplockd is")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--log", action="store_true", help="print the relay's log at the end")
    options = parser.parse_args()
    ns.enter()
    sys.modules.setdefault("case", importlib.import_module("case"))
    stage = sys.modules["case"].Stage
    module = importlib.import_module(os.path.basename(options.file).removesuffix(".py"))
    start = time.monotonic()
    with World(module.DOMAINS) as world:
        settings = getattr(module, "SETTINGS", {})
        with Relay(world, os.path.abspath(options.build), settings(world) if callable(settings) else settings) as relay:
            stage.world, stage.relay, stage.build = world, relay, os.path.abspath(options.build)
            submit_all(relay, module)
            print(f"world, relay and mail in place after {time.monotonic() - start:.1f} s", file=sys.stderr)
            loader = unittest.TestLoader()
            if options.tests:
                loader.testNamePatterns = [f"*{part}*" for part in options.tests]
            result = unittest.TextTestRunner(verbosity=2 if options.verbose else 1).run(loader.loadTestsFromModule(module))
            if options.log:
                print("\n".join(relay.raw))
    print(f"{result.testsRun} tests, {time.monotonic() - start:.1f} s in all", file=sys.stderr)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""scripts/bench runs this inside its namespaces; see there for what it measures and how."""
import argparse
import collections
import pathlib
import shutil
import sys
import tempfile

import cases
import door
import full
import measure
import policies
import sides
import world

HEAD = ["case", "hoplock /s", "Postfix /s", "ratio", "target", "hoplock CPU ms", "Postfix CPU ms", "share", "verdict"]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="hoplock and Postfix side by side")
    parser.add_argument("what", nargs="*", default=["all"], help="intake, door, e2e, latency, memory, sts, tlsrpt, queue, ceiling or all")
    parser.add_argument("--quick", action="store_true", help="fewer messages and rounds: a few minutes")
    parser.add_argument("--rounds", type=int, help="rounds of each case (default 5; quick 3)")
    parser.add_argument("--only", choices=["hoplock", "postfix"], help="one side alone; nothing is judged")
    parser.add_argument("--against", help="another hoplockd, in place of Postfix: what a change costs")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--dir", default="/var/tmp", help="the disk to measure on (default %(default)s)")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(bench, relays, wanted, rounds, progress):
    for case in wanted:
        case.results = collections.defaultdict(list)
        for turn in range(rounds):
            for side in relays:  # A B A B
                progress.step(f"{case.name}: {side.name}, round {turn + 1} of {rounds}")
                try:
                    result = bench.run(case, side)
                except RuntimeError as error:
                    progress.done(f"FAILED: {error}")
                    result = cases.Result(0.0, 0.0, 0.0, note="failed")
                case.results[side.name].append(result)
                busy = f"loader {result.loader:.0%}" + (f", sink {result.sink:.0%}" if result.sink else "") + " of a core"
                progress.done(f"{result.rate:,.0f}/s, CPU {result.cpu:.3f} ms, {busy}" + (f", {result.note}" if result.note else ""))


def print_comparison(wanted):
    rows, good = [], True
    for case in wanted:
        cells, met = cases.verdict(case)
        rows.append(cells)
        good = good and met is not False
    print("\nMessages a second and CPU time a message, medians; ratio and share are hoplock's of Postfix's\n")
    print(measure.table(HEAD, rows))
    print("\nSpread (slowest to fastest round), and the busiest that loader and sink were, of one core\n")
    spread = []
    for case in wanted:
        for side, results in case.results.items():
            rates = [result.rate for result in results]
            notes = results[-1].note
            spread.append([case.name, side, f"{min(rates):,.0f}-{max(rates):,.0f}", f"{max(r.loader for r in results):.0%}",
                           f"{max(r.sink for r in results):.0%}", notes])
    print(measure.table(["case", "relay", "msg/s", "loader", "sink", "seen in the last round"], spread))
    return good


def print_against(wanted):
    """Two hoplockd: what ours takes more, or less, of the processor for a message."""
    rows = []
    for case in wanted:
        rates = [measure.median([one.rate for one in case.results[side]]) for side in ("hoplock", "against")]
        spent = [measure.median([one.cpu for one in case.results[side]]) for side in ("hoplock", "against")]
        rows.append([case.name, *(measure.number(rate) for rate in rates), *(measure.number(one, 3) for one in spent),
                     f"{(spent[0] - spent[1]) / spent[1]:+.1%}" if spent[1] else "-"])
    print("\nMessages a second and CPU time a message, medians\n")
    print(measure.table(["case", "hoplock /s", "against /s", "hoplock CPU ms", "against CPU ms", "more"], rows))


def front_door(bench, base, daemon, relays, options):
    ours = door.Door(base / "door", bench.world, daemon)
    pair = [ours, door.Postfix(base / "postfix-door", bench.world)]
    rows = door.measure(bench, ours, options.quick)
    print("\nThe front door of hoplockd\n")
    print(measure.table(["case", "measured", "bar", "verdict"], [cells for cells, _ in rows]))
    if len(relays) == 2:
        compared = door.beside(bench, pair, options.rounds or 3, options.quick)
        print("\nSessions a second and CPU time a session, medians; ratio and share are hoplock's of Postfix's\n")
        print(measure.table(HEAD, [cells for cells, _ in compared]), flush=True)
        rows += compared
    return all(met for _, met in rows)


def main():
    options = arguments()
    groups = {"intake", "door", "e2e", "latency", "memory", "sts", "tlsrpt", "queue", "ceiling"} if "all" in options.what else set(options.what)
    programs = pathlib.Path(options.build, "tests/bench")
    daemon = pathlib.Path(options.build, "hoplockd")
    progress = measure.Progress()
    base = pathlib.Path(tempfile.mkdtemp(prefix="hoplock-bench.", dir=options.dir))
    base.chmod(0o755)  # Postfix's own user has to reach its queue
    good = True
    try:
        progress.step("making zones, keys and certificates")
        ours = world.World(base / "world")
        progress.done("done")
        ours.point_resolv_conf()
        ours.start()
        bench = cases.Bench(programs, base, ours, progress)
        hoplock = sides.Hoplock(base / "hoplock", ours, daemon)
        relays = [side for side in (hoplock, sides.Postfix(base / "postfix", ours)) if options.only in (None, side.name)]
        if options.against:
            other = sides.Hoplock(base / "against", ours, pathlib.Path(options.against))
            other.name = "against"
            relays = [hoplock, other]
        if not daemon.exists():
            print(f"{daemon} is not built: Postfix alone", file=sys.stderr)
            relays = [side for side in relays if side.name != "hoplock"]
            good = False
        if "ceiling" in groups or groups & {"intake", "e2e"}:
            progress.step("loader and sink alone")
            rows = bench.ceilings(5000 if options.quick else 20000)
            progress.done("done")
            print("\nLoader and sinks alone, messages a second over 1, 10 and 50 sessions\n")
            print(measure.table(["what", "1", "10", "50", ""], rows), flush=True)
        wanted = [case for case in cases.plan(groups, options.quick) if options.case in case.name]
        compare(bench, relays, wanted, options.rounds or (3 if options.quick else 5), progress)
        if wanted and options.against:
            print_against(wanted)
            groups = set()
        elif wanted:
            good = print_comparison(wanted) and good
        if groups & {"intake", "door"} and hoplock in relays and not options.case:
            good = front_door(bench, base, daemon, relays, options) and good
        if "memory" in groups and hoplock in relays:
            progress.step("memory of hoplock")
            rows = cases.memory(bench, hoplock, options.quick)
            progress.done("done")
            print("\nMemory of hoplockd (resident set)\n")
            print(measure.table(["case", "measured", "limit", "verdict"], [cells for cells, _ in rows]))
            good = all(met for _, met in rows) and good
        if "sts" in groups and hoplock in relays:
            progress.step("policies of hoplock")
            rows = policies.measure(bench, hoplock, options.quick)
            progress.done("done")
            print("\nMTA-STS in hoplockd\n")
            print(measure.table(["case", "measured", "limit", "verdict"], [cells for cells, _ in rows]))
            good = all(met for _, met in rows) and good
        if "tlsrpt" in groups and hoplock in relays:
            without = sides.Hoplock(base / "without", ours, daemon, "tls_rpt: {enabled: false}\n")
            rows = cases.counting(bench, hoplock, without, options.rounds or (3 if options.quick else 7), options.quick)
            print("\nMessages a second and CPU time a message with sessions counted for TLS reports and without, medians\n")
            print(measure.table(["case", "on /s", "off /s", "ratio", "target", "on CPU ms", "off CPU ms", "verdict"],
                                [cells for cells, _ in rows]))
            good = all(met for _, met in rows) and good
            print("\nThe ledger of a large day\n", flush=True)
            good = cases.ledger(bench, options.quick) and good
        if "queue" in groups and hoplock in relays:
            rounds = options.rounds or (3 if options.quick else 5)
            rows = full.Full(bench, base, daemon, options.quick).measure(rounds, options.quick)
            rows += full.history(bench, base, daemon, rounds, options.quick)
            rows += full.start_of_many(bench, base, daemon, options.quick)
            print("\nA million queued messages over 10,000 domains, half of them for one that is dead; and history\n")
            print(measure.table(["what", "measured", "target", "verdict"], [cells for cells, _ in rows]), flush=True)
            good = all(met for _, met in rows) and good
        ours.stop()
    finally:
        shutil.rmtree(base, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

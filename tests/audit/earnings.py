#!/usr/bin/env python3
"""Recomputes what a PC has earned, from what the region's servers say, and lays the gateway's ledger beside it.

Standard library only, and no line of it is shared with the gateway: two sums that agree were made twice.

    earnings.py --allocations FILE --jobs FILE --prices FILE --ledger FILE --node ID [--as-of-ns N]

FILE of --allocations: the servers' own list (GET /v1/allocations). --jobs: {job id: job} (GET /v1/job/ID).
--prices: {"default_micros_per_hour": N, "gpus": {slug: N}}. --ledger: the gateway's SQLite file, opened read-only.

Prints one JSON object. Amounts are whole millionths:
    {"allocations": [{"id", "job", "status", "ended", "recomputed", "ledger"}], "recomputed", "ledger", "equal"}
"""

import argparse
import json
import pathlib
import sqlite3
import sys

NS_PER_HOUR = 3_600_000_000_000
ENDED = ("complete", "failed", "lost")


def price(job, prices):
    """By the card that the job asks for in a constraint on ${meta.ionet.gpu}; else the default."""
    groups = job.get("TaskGroups") or []
    tasks = [task for group in groups for task in group.get("Tasks") or []]
    for part in [job, *groups, *tasks]:
        for constraint in part.get("Constraints") or []:
            if constraint.get("LTarget") == "${meta.ionet.gpu}" and constraint.get("Operand") in ("=", "==", "is"):
                asked = constraint.get("RTarget")
                if asked in prices["gpus"]:
                    return prices["gpus"][asked]
    return prices["default_micros_per_hour"]


def ran(allocation):
    """It runs, or one of its tasks has started at some time."""
    states = (allocation.get("TaskStates") or {}).values()
    events = [event.get("Type") for state in states for event in state.get("Events") or []]
    return allocation["ClientStatus"] == "running" or "Started" in events


def earned(allocation, hourly, as_of_ns):
    """From its placement to its end, both by the servers' clock, rounded down."""
    if not ran(allocation):
        return 0
    ended = allocation["ClientStatus"] in ENDED
    end = allocation["ModifyTime"] if ended else as_of_ns
    return max(0, end - allocation["CreateTime"]) * hourly // NS_PER_HOUR


def ledger_rows(path):
    with sqlite3.connect(f"{pathlib.Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=10) as ledger:
        ledger.row_factory = sqlite3.Row
        return {row["allocation"]: dict(row) for row in ledger.execute("SELECT * FROM allocations")}


def ledger_amount(row, as_of_ns):
    if not row["ran"]:
        return 0
    end = row["ended_ns"] if row["ended_ns"] is not None else as_of_ns
    return max(0, end - row["created_ns"]) * row["rate_micros_per_hour"] // NS_PER_HOUR


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("allocations", "jobs", "prices", "ledger", "node"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--as-of-ns", type=int, default=0)
    given = parser.parse_args()
    read = lambda path: json.loads(pathlib.Path(path).read_text())
    jobs, prices, rows = read(given.jobs), read(given.prices), ledger_rows(given.ledger)

    lines = []
    for allocation in read(given.allocations):
        if allocation["NodeID"] != given.node:
            continue
        hourly = price(jobs[allocation["JobID"]], prices)
        row = rows.pop(allocation["ID"], None)
        lines.append({
            "id": allocation["ID"],
            "job": allocation["JobID"],
            "status": allocation["ClientStatus"],
            "ended": allocation["ClientStatus"] in ENDED,
            "recomputed": earned(allocation, hourly, given.as_of_ns),
            "ledger": None if row is None else ledger_amount(row, given.as_of_ns),
        })
    # What the ledger pays for on this node and the servers know nothing of.
    for row in rows.values():
        if row["node"] == given.node:
            lines.append({
                "id": row["allocation"],
                "job": row["job"],
                "status": row["status"],
                "ended": row["ended_ns"] is not None,
                "recomputed": 0,
                "ledger": ledger_amount(row, given.as_of_ns),
            })
    json.dump({
        "allocations": lines,
        "recomputed": sum(line["recomputed"] for line in lines),
        "ledger": sum(line["ledger"] or 0 for line in lines),
        "equal": all(line["recomputed"] == line["ledger"] for line in lines),
    }, sys.stdout)
    print()


if __name__ == "__main__":
    main()

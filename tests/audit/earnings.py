#!/usr/bin/env python3
"""Recomputes what a PC has earned, from what the region's servers say, and lays the gateway's ledger beside it.

Standard library only, and no line of it is shared with the gateway: two sums that agree were made twice.

    earnings.py --allocations FILE --events FILE --jobs FILE --prices FILE --ledger FILE --node ID [--as-of-ns N]

FILE of --allocations: the servers' own list (GET /v1/allocations). --events: the lines of their event stream, a list.
--jobs: {job id: job} (GET /v1/job/ID). --prices: {"default_micros_per_hour": N, "gpus": {slug: N}}. --ledger: the gateway's
SQLite file, opened read-only.

Prints one JSON object. Amounts are whole millionths:
    {"allocations": [{"id", "job", "status", "ended", "recomputed", "ledger"}], "recomputed", "ledger", "equal"}
"""

import argparse
import json
import pathlib
import re
import sqlite3
import sys

NS_PER_HOUR = 3_600_000_000_000
ENDED = ("complete", "failed", "lost")


def price(job, devices, prices):
    """By the cards that the servers recorded as given to it; else by the one that the job asks for in a constraint on
    ${meta.ionet.gpu}; else the default."""
    if devices:
        return sum(prices["gpus"].get(card, prices["default_micros_per_hour"]) for card in devices)
    groups = job.get("TaskGroups") or []
    tasks = [task for group in groups for task in group.get("Tasks") or []]
    for part in [job, *groups, *tasks]:
        for constraint in part.get("Constraints") or []:
            if constraint.get("LTarget") == "${meta.ionet.gpu}" and constraint.get("Operand") in ("=", "==", "is"):
                asked = constraint.get("RTarget")
                if asked in prices["gpus"]:
                    return prices["gpus"][asked]
    return prices["default_micros_per_hour"]


def payloads(events, topic):
    """What the servers told of one kind of thing, in the order of their own index."""
    told = [event for line in events for event in line.get("Events") or [] if event.get("Topic") == topic]
    return [event["Payload"][topic] for event in sorted(told, key=lambda event: event["Index"])]


def cards(allocation, events):
    """The model of each card that it was given when it was placed, as prices know it."""
    told = next((told for told in payloads(events, "Allocation") if told["ID"] == allocation["ID"]), {})
    tasks = ((told.get("AllocatedResources") or {}).get("Tasks") or {}).values()
    devices = [device for task in tasks for device in task.get("Devices") or [] if device["Type"] == "gpu"]
    slug = lambda name: "-".join(re.findall("[a-z0-9]+", name.lower()))
    return [slug(device["Name"]) for device in devices for _ in device["DeviceIDs"]]


def paid_ns(running, away, end):
    """How long until `end` it was running while its node was not away. Both are lists of (from, to); no end is None."""
    cut = lambda spans: [(start, end if stop is None else min(stop, end)) for start, stop in spans]
    running, away = cut(running), cut(away)
    points = sorted({point for span in running + away for point in span})
    within = lambda spans, start: any(span[0] <= start < span[1] for span in spans)
    return sum(
        stop - start for start, stop in zip(points, points[1:]) if within(running, start) and not within(away, start)
    )


def earned(allocation, events, hourly, as_of_ns):
    """From when the servers first told that it ran to its end, but for pauses and its node's absence; rounded down."""
    spans, since = [], None
    for told in payloads(events, "Allocation"):
        if told["ID"] != allocation["ID"]:
            continue
        runs = told["ClientStatus"] == "running"
        if runs and since is None:
            since = told["ModifyTime"]
        elif not runs and since is not None:
            spans.append((since, told["ModifyTime"]))
            since = None
    if since is not None:
        spans.append((since, None))
    gone, away = None, []
    for told in payloads(events, "Node"):
        if told["ID"] != allocation["NodeID"]:
            continue
        if told["Status"] in ("down", "disconnected") and gone is None:
            gone = told["StatusUpdatedAt"] * 10**9
        elif told["Status"] == "ready" and gone is not None:
            away.append((gone, told["StatusUpdatedAt"] * 10**9))
            gone = None
    if gone is not None:
        away.append((gone, None))
    return paid_ns(spans, away, as_of_ns) * hourly // NS_PER_HOUR


def ledger_rows(path):
    with sqlite3.connect(f"{pathlib.Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=10) as ledger:
        ledger.row_factory = sqlite3.Row
        rows = {row["allocation"]: dict(row) for row in ledger.execute("SELECT * FROM allocations")}
        for row in rows.values():
            gaps = ledger.execute("SELECT from_s, to_s FROM node_gaps WHERE node = ?", (row["node"],)).fetchall()
            row["away"] = [(start * 10**9, None if stop is None else stop * 10**9) for start, stop in gaps]
        return rows


def ledger_amount(row, as_of_ns):
    """What the ledger pays, from what it holds."""
    marks = [mark for _, mark in sorted((int(index), mark) for index, mark in json.loads(row["marks"]).items())]
    nexts = [mark["at_ns"] for mark in marks[1:]] + [None]
    running = [(mark["at_ns"], stop) for mark, stop in zip(marks, nexts) if mark["status"] == "running"]
    end = as_of_ns if row["ended_ns"] is None else row["ended_ns"]
    return paid_ns(running, row["away"], end) * row["rate_micros_per_hour"] // NS_PER_HOUR


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("allocations", "events", "jobs", "prices", "ledger", "node"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--as-of-ns", type=int, default=0)
    given = parser.parse_args()
    read = lambda path: json.loads(pathlib.Path(path).read_text())
    jobs, prices, rows = read(given.jobs), read(given.prices), ledger_rows(given.ledger)
    events = read(given.events)

    lines = []
    for allocation in read(given.allocations):
        if allocation["NodeID"] != given.node:
            continue
        hourly = price(jobs[allocation["JobID"]], cards(allocation, events), prices)
        row = rows.pop(allocation["ID"], None)
        lines.append({
            "id": allocation["ID"],
            "job": allocation["JobID"],
            "status": allocation["ClientStatus"],
            "ended": allocation["ClientStatus"] in ENDED,
            "recomputed": earned(allocation, events, hourly, given.as_of_ns),
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

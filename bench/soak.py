#!/usr/bin/python3
"""Steady use for some minutes: restarts, pushes, reads, an agent that comes and goes. Every program's memory and open
descriptors are printed; growth between the first and the last third of the time beyond a quarter (and 2 MB, and 8
descriptors) is called a leak, and fails.

    bench/soak.py [MINUTES]
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/integration"))
import harness  # noqa: E402

AGENTS = 3
SAMPLE_SECONDS = 5


def sizes(pid):
    """(resident kB, descriptors)"""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        resident = int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M).group(1))
    return resident, len(os.listdir(f"/proc/{pid}/fd"))


def watched(lab):
    for process in lab.processes:
        if process.ended() is None and not process.label.startswith("guest"):
            yield process.label, process.pid
            for n, child in enumerate(process.children()):
                yield f"{process.label} host{n or ''}", child


def soak(lab, minutes):
    lab.console()
    names = [f"agent-{n:03}" for n in range(1, AGENTS + 1)]
    for name in names:
        # All of them are on this machine: an app of the same name would be the same file.
        lab.agent(name, apps=[lab.simulated(f"{name}-a"), lab.simulated(f"{name}-b")])
    began = sampled = time.monotonic()
    samples, commands, rounds = {}, 0, 0
    while time.monotonic() - began < minutes * 60:
        rounds += 1
        pending = []
        for name in names:
            pending.append(lab.command(name, "restart-app", appId=f"{name}-a"))
            pending.append(lab.command(name, "push-config", appId=f"{name}-b", settings={"LogLevel": f"level-{rounds}"}))
        for command in pending:
            ended = lab.outcome(command["commandId"], timeout=60)
            harness.check_equal(ended["state"], "succeeded", str(ended))
            commands += 1
        lab.api("/api/agents")
        lab.audit(limit=100)
        if rounds % 20 == 0:
            guest = lab.agent("guest", apps=[lab.simulated("guest-a")])
            guest.stop()
            lab.processes.remove(guest)
        if time.monotonic() - sampled >= SAMPLE_SECONDS:
            sampled = time.monotonic()
            for label, pid in watched(lab):
                samples.setdefault(label, []).append(sizes(pid))
    print(f"{commands} commands in {time.monotonic() - began:.0f} s")
    leaks = []
    for label, seen in sorted(samples.items()):
        third = max(1, len(seen) // 3)
        for what, index, unit, slack in (("memory", 0, "kB", 2048), ("descriptors", 1, "", 8)):
            first = max(s[index] for s in seen[:third])
            last = max(s[index] for s in seen[-third:])
            print(f"{label + ' ' + what:32} {first:8} -> {last:8} {unit}")
            if last > first * 1.25 and last - first > slack:
                leaks.append(f"{label}: {what} grew from {first} to {last} {unit}")
    harness.check(len(next(iter(samples.values()), [])) >= 3, "too short for a judgement")
    harness.check(not leaks, "\n".join(leaks))


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    lab = harness.Lab("soak")
    try:
        outcome, sentence = harness.run_one(lambda lab: soak(lab, minutes), lab)
    except KeyboardInterrupt:
        outcome, sentence = "failed", "interrupted"
    complaints = lab.close()
    if outcome != "ok" or complaints:
        print(sentence, *complaints, f"logs: {lab.keep()}", sep="\n")
    lab.remove()
    return 0 if outcome == "ok" and not complaints else 1


sys.exit(main())

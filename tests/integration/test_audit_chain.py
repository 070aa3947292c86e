#!/usr/bin/python3
"""The audit log proves itself: fleet-console audit verify passes over an honest log, across restarts and deaths of the
console, and names the first row of one that was tampered with."""
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
import chromium  # noqa: E402
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from hostsocket import canonical  # noqa: E402

CHAINED = ("seq", "eventId", "timestamp", "category", "agentId", "appId", "commandId", "actor", "sourceAddress", "message",
           "details")


def verify(lab, folder="console"):
    """(exit status, what was said)"""
    process = lab.spawn("verify-" + os.path.basename(folder),
                        [harness.program("fleet-console"), "audit", "verify", "--data-dir", lab.path(folder)])
    process.expected_end = True
    process.process.wait(harness.DEADLINE)
    return process.ended(), process.log()


def fill(lab):
    """A console that has seen an agent, a restart, a push and a refusal."""
    console = lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    lab.running("agent-001", "app-a")
    lab.outcome(lab.command("agent-001", "restart-app", appId="app-a")["commandId"])
    lab.outcome(lab.command("agent-001", "push-config", appId="app-a", settings={"LogLevel": "Debug"})["commandId"])
    return console


def everybody_can_recompute_the_chain(lab):
    """From GET /api/audit and docs/protocol.md alone, without a line of the console's code."""
    fill(lab)
    events = sorted(lab.audit(), key=lambda e: e["seq"])
    check(len(events) >= 4, f"only {len(events)} events")
    previous = "0" * 64
    for number, event in enumerate(events, 1):
        check_equal(event["seq"], number, "seq without gaps")
        row = {k: event[k] for k in CHAINED if k in event}
        expected = hashlib.sha256(previous.encode() + b"\n" + canonical(row)).hexdigest()
        check_equal(event["hash"], expected, f"hash of {json.dumps(event)}")
        previous = expected


def the_chain_goes_on_after_stop_and_kill(lab):
    console = fill(lab)
    console.stop()
    check_equal(verify(lab)[0], 0, "audit verify of a stopped console")
    console = lab.console()
    lab.online("agent-001")
    lab.outcome(lab.command("agent-001", "restart-app", appId="app-a")["commandId"])
    console.kill()
    status, said = verify(lab)
    check_equal(status, 0, f"audit verify of a killed console: {said}")
    lab.console()
    lab.online("agent-001")
    events = lab.audit()
    check_equal(sorted(e["seq"] for e in events), list(range(1, len(events) + 1)), "sequence numbers")
    check_equal(len({e["eventId"] for e in events}), len(events), "distinct event ids")
    status, said = verify(lab)
    check_equal(status, 0, f"audit verify beside a running console: {said}")


def tampering_is_found(lab):
    fill(lab).stop()
    lab.processes[1].stop()  # the agent would only wait for its console
    with sqlite3.connect(lab.path("console/console.db")) as db:
        tables = [name for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
                  if "message" in sql and "hash" in sql and "seq" in sql]
        check_equal(len(tables), 1, f"tables that look like the audit log ({tables})")
        table = tables[0]
        for statement in (f"UPDATE {table} SET message = 'nothing happened' WHERE seq = 2", f"DELETE FROM {table} WHERE seq = 2"):
            try:
                db.execute(statement)
                raise harness.Failure(f"the database lets go: {statement}")
            except sqlite3.DatabaseError:
                pass
    check_equal(verify(lab)[0], 0, "audit verify before")
    for number, (what, statement, row) in enumerate((
        ("a changed message", f"UPDATE {table} SET message = message || ' by somebody else' WHERE seq = 3", "3"),
        ("a changed time", f"UPDATE {table} SET timestamp_ms = timestamp_ms + 1 WHERE seq = 2", "2"),
        ("a row taken out", f"DELETE FROM {table} WHERE seq = 3", "3"),
        ("two rows exchanged", f"UPDATE {table} SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE seq IN (2, 3)", "2"),
        ("the first row taken out", f"DELETE FROM {table} WHERE seq = 1", "1"),
    )):
        copy = f"copy{number}"
        shutil.copytree(lab.path("console"), lab.path(copy))
        with sqlite3.connect(lab.path(copy, "console.db")) as db:
            # Whoever can write the file can also drop its triggers.
            for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {trigger}")
            columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})")]
            if "timestamp_ms" not in columns:
                statement = statement.replace("timestamp_ms", next(c for c in columns if c in ("timestamp", "at_ms", "ts_ms", "at")))
            db.execute(statement)
            if "exchanged" in what:
                db.execute(f"UPDATE {table} SET seq = -seq WHERE seq < 0")
        status, said = verify(lab, copy)
        check(status not in (0, None) and status > 0, f"audit verify passed, or died, over {what}: {status} {said}")
        check_in(row, said, f"audit verify over {what} names the row")
    check_equal(verify(lab)[0], 0, "audit verify of the untouched log")


def fleetctl(lab, *words):
    """Output of a run of fleetctl against the lab's console, with its exit status."""
    env = dict(os.environ, XDG_CONFIG_HOME=lab.path("cli"))
    for command in (("login", "--url", lab.url), words):
        run = subprocess.run([harness.program("fleetctl"), *command], env=env, capture_output=True, text=True,
                             timeout=harness.DEADLINE, check=False)
    return run.returncode, run.stdout, run.stderr


def an_operator_verifies_and_exports(lab):
    """From what the console tells alone, over several pages; and what a console that lies is found out by."""
    fill(lab)
    for _ in range(3):
        lab.outcome(lab.command("agent-001", "restart-app", appId="app-a")["commandId"])
    events = sorted(lab.audit(), key=lambda e: e["seq"])
    status, out, err = fleetctl(lab, "audit", "verify")
    check_equal(status, 0, f"audit verify: {err}")
    check_in(f"{len(events)} entries, head {events[-1]['hash']}", out, "audit verify")
    status, out, err = fleetctl(lab, "audit", "export")
    check_equal(status, 0, f"audit export: {err}")
    check_equal([json.loads(line) for line in out.splitlines()], events, "the exported lines")
    status, out, err = fleetctl(lab, "audit", "export", "--from", events[2]["timestamp"], "--to", events[3]["timestamp"])
    check_in(events[2]["eventId"], out, "a part that was exported")
    check(events[0]["eventId"] not in out or events[0]["timestamp"] >= events[2]["timestamp"], "--from leaves nothing out")
    check_equal(fleetctl(lab, "audit", "--last", "2", "verify")[0], 2, "an option before the subcommand")
    page = lab.api("/api/audit?order=oldest&limit=2")
    check_equal([e["seq"] for e in page], [1, 2], "oldest first")
    check_equal(lab.get("/api/audit?order=sideways").json["field"], "order", "an order that is none")


class Alarm:
    """What stands on every page of the dashboard; nothing where there is no Chromium."""

    def __init__(self, lab):
        program = chromium.find()
        self.page = chromium.Chromium(program) if program else None
        if self.page:
            lab.later.append(self.page.close)
            self.page.size(1200, 600)
            self.page.go(lab.url + "/")
        else:
            print("# no Chromium here: the dashboard was not looked at")

    def says(self, text):
        check(not self.page or self.page.wait(f"document.getElementById('alarm').textContent.startsWith({json.dumps(text)})"),
              "the dashboard does not say it")
        if self.page and os.environ.get("FLEET_PICTURES"):
            self.page.picture(os.path.join(os.environ["FLEET_PICTURES"], "alarm.png"))

    def is_over(self):
        check(not self.page or self.page.wait("document.getElementById('alarm').hidden"), "the dashboard's alarm goes on")


def a_lost_end_is_seen_by_the_agents(lab):
    """A chain cannot show that its newest rows are gone; agents remember the head that they were shown."""
    console = fill(lab)
    lab.post("/api/agents/agent-001/ping")
    console.stop()
    shutil.copytree(lab.path("console"), lab.path("older"))
    with sqlite3.connect(lab.path("older/console.db")) as db:
        kept = db.execute("SELECT max(seq) FROM audit").fetchone()[0]
    console = lab.console()
    lab.online("agent-001")
    lab.outcome(lab.command("agent-001", "restart-app", appId="app-a")["commandId"])
    lab.post("/api/agents/agent-001/ping")
    console.stop()
    shutil.rmtree(lab.path("console"))
    os.rename(lab.path("older"), lab.path("console"))
    console = lab.console()
    lab.online("agent-001")
    lab.until("the console says that its log has lost something",
              lambda: any("agent-001" in (e.get("agentId") or "") and "audit" in e["message"].lower()
                          for e in lab.audit(category="system")))
    check_in("audit", console.log(), "the console's log")
    lost = lab.api("/api/audit/doubts")
    check_equal([d["agentId"] for d in lost], ["agent-001"], "who misses something")
    check(lost[0]["missing"] == lost[0]["seq"] - kept > 0, f"how many are missing after {kept}: {lost}")
    status, said = verify(lab)
    check(status == 1 and f"last {lost[0]['missing']} entries are missing" in said, f"fleet-console audit verify: {status} {said}")
    status, _, err = fleetctl(lab, "audit", "verify")
    check(status == 1 and f"last {lost[0]['missing']} entries are missing" in err, f"fleetctl audit verify: {status} {err}")
    alarm = Alarm(lab)
    alarm.says(f"The audit log has lost its last {lost[0]['missing']} entries: agent-001 was shown what is not there")
    # A restart does not make it forget, nor count otherwise.
    console.stop()
    lab.console()
    lab.online("agent-001")
    check_equal(lab.api("/api/audit/doubts"), lost, "what is missing after a restart")
    status, out, err = fleetctl(lab, "audit", "accept-gap", "--reason", "restored from last night")
    check_equal(status, 0, f"audit accept-gap: {err}")
    alarm.is_over()
    check_equal(lab.api("/api/audit/doubts"), [], "what is missing after that")
    check_equal(verify(lab)[0], 0, "fleet-console audit verify after that")
    check_equal(fleetctl(lab, "audit", "verify")[0], 0, "fleetctl audit verify after that")
    check_in("restored from last night", json.dumps(lab.audit(category="system")), "the audit log")
    check_equal(fleetctl(lab, "audit", "accept-gap", "--reason", "again")[0], 1, "a gap that is none")


if __name__ == "__main__":
    harness.main([
        everybody_can_recompute_the_chain,
        the_chain_goes_on_after_stop_and_kill,
        tampering_is_found,
        an_operator_verifies_and_exports,
        a_lost_end_is_seen_by_the_agents,
    ])

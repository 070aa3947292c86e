#!/usr/bin/python3
"""What an admin does with the console itself: a new command key, one from a safe, and a backup that is restored elsewhere."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from enrolment import ADMIN, Fleet, context_with, join, mode_of, pem_of, refused, register, request  # noqa: E402
from harness import DEADLINE, check, check_equal, check_in, program  # noqa: E402
from updates import release  # noqa: E402


def command_keys_change(lab):
    """fleet-console command-key rotate, make-recovery, recover: servers follow, the audit log says so, and what waits for
    a server meanwhile is done there."""
    fleet = Fleet(lab)
    console = fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    agent = fleet.agent("agent-001", fleet.token(), apps=lab.simulated("app-a", config=None))
    fleet.online("agent-001", agent)

    def works():
        lab.until("its app runs", lambda: [a for a in fleet.get_agent("agent-001").get("apps", []) if a["status"] == "running"])
        lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    works()
    done = subprocess.run([program("fleet-console"), "command-key", "rotate", "--data-dir", fleet.data], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "in use by another fleet-console" in done.stderr, f"while it runs: {done}")
    kids = {json.loads(fleet.run("command-key", "show"))["kid"]}
    recovery = lab.path("recovery.pem")
    for words in (("make-recovery", recovery), ("rotate",), ("recover", recovery)):
        if words[0] == "rotate":
            agent.freeze()
            check_equal(console.stop(), 0, "the console's end")
            console = fleet.start()
            waiting = json.loads(lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--json"))["commandId"]
        check_equal(console.stop(), 0, "the console's end")
        check_in("Done: ", fleet.run("command-key", *words), f"key {words[0]}")
        kid = json.loads(fleet.run("command-key", "show"))["kid"]
        check_equal(kid in kids, words[0] == "make-recovery", f"another key after {words[0]}")
        kids.add(kid)
        console = fleet.start()
        agent.thaw()
        fleet.online("agent-001", agent)
        if words[0] == "rotate":
            lab.ctl_ok("commands", "wait", waiting)
        if words[0] != "make-recovery":
            fleet.audit(f"the command key is {kid} from now on", category="access")
            fleet.audit(f"the console's command key is {kid} from now on, says a key that was trusted before")
        works()
    check_equal(mode_of(recovery), 0o600, "the recovery key's mode")
    fleet.run("audit", "verify")


def a_console_moves(lab):
    """Backed up while it runs, restored elsewhere: the same console to its agents, with keys, members and audit log."""
    fleet = Fleet(lab)
    console = fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    agent = fleet.agent("agent-001", fleet.token(), apps=lab.simulated("app-a", config=None))
    fleet.online("agent-001", agent)
    csr, key = request()
    gone = join(fleet, fleet.token(), "agent-002", "machine-2", csr)
    fleet.do("POST", "/api/agents/agent-002/revoke")
    with open(lab.path("release.tar.gz"), "wb") as f:
        f.write(release("2.1.0"))
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", lab.path("release.tar.gz"))
    backup = lab.path("backup")
    check_in("Backed up to", fleet.run("backup", backup), "the backup")
    check_equal(mode_of(backup), 0o700, "the backup's mode")
    for folder, _, names in os.walk(backup):
        for name in names:
            check_equal(mode_of(os.path.join(folder, name)) & 0o077, 0, f"who may read {name}")
    # What happens from here on is lost with the machine, and the agent was shown some of it.
    lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    lab.write("agent-001.apps.d/bad.yaml", "managed_apps: nonsense\n")
    agent.process.send_signal(signal.SIGHUP)
    fleet.audit("found in apps.d")
    fleet.do("POST", "/api/agents/agent-001/ping")
    check_equal(console.stop(), 0, "the console's end")
    os.rename(fleet.data, lab.path("burnt"))

    fleet.run("restore", backup)
    fleet.start()
    os.unlink(lab.path("agent-001.apps.d/bad.yaml"))
    agent.process.send_signal(signal.SIGHUP)
    fleet.online("agent-001", agent)
    lab.until("its app runs", lambda: [a for a in fleet.get_agent("agent-001").get("apps", []) if a["status"] == "running"])
    lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    refused("a revoked one", 403, register, fleet, "agent-002",
            context=context_with(fleet, lab, pem_of(key, gone["certificate"])))
    check_equal(["lost" in a for a in fleet.do("GET", "/api/artifacts")], [False], "the artifact's file")
    fleet.audit("console restored from a backup")
    fleet.audit("agent-001 joined")
    # The agent numbers anew what it has to tell: behind numbers that this console will never get it would wait for ever.
    fleet.audit("the console has lost audit events of this agent")
    fleet.audit("the problems in apps.d are gone")
    spool = sqlite3.connect(os.path.join(lab.path("agent-001"), "spool.db"))
    lab.until("all of it is acknowledged", lambda: spool.execute("SELECT count(*) FROM event").fetchone() == (0,))
    spool.close()
    # The audit log's witness misses what is lost, until an admin says why.
    doubt = lab.until("agent-001 misses what it was shown", lambda: fleet.do("GET", "/api/audit/doubts"))[0]
    check(doubt["agentId"] == "agent-001" and doubt["missing"] > 0, f"what is missed: {doubt}")
    check_in(f"last {doubt['missing']} entries are missing", lab.ctl("audit", "verify").stderr, "audit verify")
    lab.ctl_ok("audit", "accept-gap", "--reason", "the machine burnt down")
    lab.ctl_ok("audit", "verify")
    fleet.audit("the gap in the audit log was accepted by admin@cli: the machine burnt down")
    # Nothing is written over, half a backup is none, and one that somebody has changed is not restored.
    done = subprocess.run([program("fleet-console"), "restore", backup, "--data-dir", fleet.data], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "holds a console's data already" in done.stderr, f"a second restore: {done}")
    changed = sqlite3.connect(os.path.join(backup, "console.db"))
    changed.executescript("DROP TRIGGER audit_no_update; UPDATE audit SET message = 'nothing' WHERE seq = 3;")
    changed.close()
    done = subprocess.run([program("fleet-console"), "restore", backup, "--data-dir", lab.path("other")], capture_output=True,
                          text=True, timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "is not restored" in done.stderr and not os.path.exists(lab.path("other")), f"{done}")


def reload_with(lab, agent, count):
    """Has the agent tell the audit log that so many apps are declared."""
    lab.write("agent-001.apps.d/apps.yaml", "managed_apps:\n" + "".join(lab.simulated(f"app-{n}", config=None) for n in range(count)))
    agent.process.send_signal(signal.SIGHUP)
    lab.until(f"{count} are declared", lambda: f"apps reloaded: {count} declared" in agent.log())


def a_server_is_put_back(lab):
    """A snapshot of its disk: what it numbers from there on, while nobody listens, is not what the console has under these numbers."""
    console = lab.console()
    agent = lab.agent("agent-001", apps=[lab.simulated("app-0", config=None)])
    lab.until("it is heard", lambda: "agent registered" in json.dumps(lab.audit()))
    agent.stop()
    shutil.copytree(lab.path("agent-001"), lab.path("snapshot"))
    agent = lab.agent("agent-001")
    for count in (2, 3):
        reload_with(lab, agent, count)
        lab.until("the reload is held", lambda n=count: f"reloaded: {n} declared" in json.dumps(lab.audit()))
    agent.stop()
    console.stop()

    shutil.rmtree(lab.path("agent-001"))
    os.rename(lab.path("snapshot"), lab.path("agent-001"))
    more = range(4, 12)
    agent = lab.agent("agent-001", wait=False)
    lab.until("it is there", lambda: agent.log().count("listens now") == 3)
    for count in more:
        reload_with(lab, agent, count)
    lab.console()
    for count in more:
        lab.until(f"{count} declared, in the audit log", lambda n=count: f"reloaded: {n} declared" in json.dumps(lab.audit()))
    check_equal([json.dumps(lab.audit()).count(f"reloaded: {n} declared") for n in (2, 3, *more)], [1] * (2 + len(more)), "each once")
    check_in("was put back to an earlier state", json.dumps(lab.audit()), "the audit log")


def root_is_not_led_astray(lab):
    """What root does to a data directory that is the console's user's reaches nothing outside of it, whatever that user has put
    there, or into the backup that he made."""
    if os.geteuid() != 0:
        raise harness.Skip("needs root, and a directory of somebody else's")
    user = 12345
    fleet = Fleet(lab)
    check_equal(fleet.start().stop(), 0, "the console's end")
    good = lab.path("backup")
    fleet.run("backup", good)
    outside = lab.path("outside")
    os.mkdir(outside, 0o755)
    secret = lab.write("outside/shadow", "root's alone", mode=0o600)

    def directory(name, **links):
        os.mkdir(lab.path(name), 0o700)
        for link, target in links.items():
            os.symlink(target, lab.path(name, link))
            os.lchown(lab.path(name, link), user, user)
        os.chown(lab.path(name), user, user)
        return lab.path(name)

    def run(*words):
        done = subprocess.run([program("fleet-console"), *words], capture_output=True, text=True, timeout=DEADLINE, check=False)
        check_equal((os.stat(secret).st_uid, os.stat(outside).st_uid, sorted(os.listdir(outside))), (0, 0, ["shadow"]),
                    f"what lies outside, after {words[0]} ({done.stderr})")
        return done
    shutil.rmtree(os.path.join(good, "artifacts"), ignore_errors=True)  # what a backup has not, root does not look at
    check_equal(run("restore", good, "--data-dir", directory("a", artifacts=outside)).returncode, 0, "a link for nothing")
    for name in ("a/console.db", "a/signing-key.pem", "a/ca/ca.key", "a/ca"):
        check_equal(os.stat(lab.path(name)).st_uid, user, f"whose {name} is")
    check(run("restore", good, "--data-dir", directory("b", ca=outside)).returncode == 1, "a link where a folder is to be")
    os.symlink(outside, os.path.join(good, "artifacts"))
    check(run("restore", good, "--data-dir", directory("c")).returncode == 1, "a link in the backup")
    for folder, _, names in os.walk(lab.path("c")):
        check("shadow" not in names, f"root's file was copied into {folder}")
    check(run("restore", good, "--data-dir", directory("d", **{"console.db": secret})).returncode == 1, "a link for the database")
    check(run("ca", "init", "--data-dir", directory("e", ca=outside)).returncode == 1, "an authority by way of a link")
    made = directory("f")
    check_equal(run("ca", "init", "--data-dir", made).returncode, 0, "an authority")
    check_equal({os.stat(os.path.join(made, n)).st_uid for n in ("ca", "ca/ca.key", "ca/ca.crt", "ca/names")}, {user}, "whose it is")
    os.symlink(outside, os.path.join(made, "artifacts"))
    check_equal(fleet.start().stop(), 0, "the console's end")
    os.rename(os.path.join(fleet.data, "ca"), lab.path("true-ca"))
    os.symlink(outside, os.path.join(fleet.data, "ca"))
    check(run("backup", lab.path("more"), "--data-dir", fleet.data).returncode == 1, "a backup by way of a link")


if __name__ == "__main__":
    harness.main([command_keys_change, a_console_moves, a_server_is_put_back, root_is_not_led_astray])

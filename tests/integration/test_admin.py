#!/usr/bin/python3
"""`fleet-agent VERB`: what root on the server sees and does there, with agent, driver host and console as real programs
on their sockets. What nobody but root may ask is tried by another user."""
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import hostsocket  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402
from updates import Web, app, in_place, release  # noqa: E402

AGENT = "agent-001"
NOBODY = 65534


def declare(lab, *apps):
    os.makedirs(lab.path("apps.d"), exist_ok=True)
    lab.write("apps.d/apps.yaml", "managed_apps:\n" + "".join(apps))


def host(lab, *args):
    process = lab.spawn("host", [harness.program("fleet-driver-host"), "--dev", "--agent-id", AGENT, "--apps-dir", lab.path("apps.d"),
                                 "--state-dir", lab.path("state"), "--socket", lab.path("host.sock"), *args])
    def listens():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            return s.connect_ex(lab.path("host.sock")) == 0
    lab.until("the driver host listens", listens)
    return process


def start(lab, *apps):
    """Console, driver host and agent as on a server: each a process of its own, with the socket between the two."""
    declare(lab, *apps)
    console, running = lab.console(), host(lab)
    agent = lab.agent(AGENT, args=["--host-socket", lab.path("host.sock"), "--heartbeat-interval", "1"])
    return console, running, agent


def verb(lab, *args, code=0):
    """fleet-agent VERB; its stdout and stderr."""
    where = {"status": ["--data-dir", lab.path(AGENT), "--host-socket", lab.path("host.sock")],
             "allowed": ["--apps-dir", lab.path("apps.d"), "--state-dir", lab.path("state")],
             "check": ["--apps-dir", lab.path("apps.d"), "--env-file", lab.path("agent.env")]}.get(
                 args[0], ["--host-socket", lab.path("host.sock")])
    done = subprocess.run([harness.program("fleet-agent"), *args, *where], env=lab.env, cwd=lab.dir, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    check_equal(done.returncode, code, f"fleet-agent {' '.join(args)}: {done.stdout!r} {done.stderr!r}")
    return done.stdout + done.stderr


def status_tells_what_is_there_and_what_is_not(lab):
    console, running, agent = start(lab, lab.simulated("app-a"), lab.simulated("app-b"))
    lab.running(AGENT, "app-a")
    text = verb(lab, "status")
    for words in (f"Agent     {AGENT}, version ", f"{lab.url}: connected for ", "the agent listens", "Drivers   ", "json-config",
                  "  app-a                running", "Commands  none in hand"):
        check_in(words, text, "status")
    told = json.loads(verb(lab, "status", "--json"))
    check_equal((told["agent"]["hub"]["connected"], told["agent"]["host"]["connected"], told["host"]["agentId"]), (True, True, AGENT),
                "status --json")
    check_equal([a["id"] for a in told["apps"]], ["app-a", "app-b"], "apps")
    console.kill()
    lab.until("the agent has noticed", lambda: not json.loads(verb(lab, "status", "--json"))["agent"]["hub"]["connected"])
    text = verb(lab, "status", code=1)
    check_in(f"{lab.url}: not connected for ", text, "without a console")
    check_in("next attempt in ", text, "without a console")
    running.kill()
    text = verb(lab, "status", code=1)
    check_in("the driver host does not listen at ", text, "without a driver host")
    host(lab)
    lab.until("the agent has it back", lambda: json.loads(verb(lab, "status", "--json"))["agent"]["host"]["connected"])
    agent.stop()
    text = verb(lab, "status", code=1)
    check_in("Agent     it does not run", text, "without an agent")
    check_in("no agent listens", text, "without an agent")
    check_in("  app-a                running", text, "without an agent")


def an_unconfigured_agent_says_so(lab):
    declare(lab, lab.simulated("app-a"))
    lab.write("agent.env", "FLEET_AGENT_ID=agent-001\n", mode=0o600)
    os.makedirs(lab.path(AGENT))
    lab.spawn("agent", [harness.program("fleet-agent"), "--env-file", lab.path("agent.env"), "--data-dir", lab.path(AGENT)])
    lab.until("it answers", lambda: os.path.exists(lab.path(AGENT, "status.sock")))
    check_in("not configured: FLEET_CONSOLE_URL is not set", verb(lab, "status", code=1), "status")


def a_hold_refuses_what_the_console_asks(lab):
    _, running, _ = start(lab, lab.simulated("app-a"), lab.simulated("app-b"))
    pid = lab.running(AGENT, "app-a")["pid"]
    text = verb(lab, "hold", "app-a", "--for", "2h", "--reason", "disk is being replaced")
    check_in("app-a is held until ", text, "hold")
    command = lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"])
    check_equal((command["state"], command["errorCode"]), ("failed", "held"), "a restart of the held app")
    check_in("by root@server (disk is being replaced); nothing was done", command["message"], "why")
    lab.ctl_ok("login", "--url", lab.url)
    done = lab.ctl("apps", "config", AGENT, "app-a", "--set", "LogLevel=Debug", "--wait")
    check_equal(done.returncode, 3, f"a push: {done.stderr}")
    check_in("disk is being replaced", done.stderr, "what the operator reads")
    check_in('"Info"', lab.read("apps/app-a.json"), "the config")
    hold = lab.until("the console shows it", lambda: lab.app(AGENT, "app-a").get("hold"))
    check_equal((hold["by"], hold["reason"]), ("root@server", "disk is being replaced"), "what the console shows")
    check_in("app-a: held until ", lab.ctl_ok("agents", "status", AGENT), "fleetctl agents status")
    check("hold" not in lab.app(AGENT, "app-b"), "app-b is held, too")
    lab.ctl_ok("apps", "config", AGENT, "app-a", "--set", "LogLevel=Debug", "--dry-run", "--wait")
    lab.ctl_ok("apps", "restart", AGENT, "app-b", "--wait")
    check_equal(lab.running(AGENT, "app-a")["pid"], pid, "pid of the held app")
    check_in("held until ", verb(lab, "status"), "status")
    # It outlives the driver host.
    running.kill()
    host(lab)
    command = lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"])
    check_equal(command["errorCode"], "held", "after the driver host's death")
    check_in("app-a is no longer held", verb(lab, "unhold", "app-a"), "unhold")
    check_in("app 'app-a' is not held", verb(lab, "unhold", "app-a", code=1), "a second time")
    lab.ctl_ok("apps", "restart", AGENT, "app-a", "--wait")
    lab.until("the console shows it no longer", lambda: "hold" not in lab.app(AGENT, "app-a"))
    events = [e["message"] for e in lab.audit(category="system")]
    check(any("app-a is held until" in e and "by root@server: disk is being replaced" in e for e in events), f"the audit log: {events}")
    check_in("app-a is no longer held, says root@server", events, "the audit log")


def a_hold_is_over_by_itself(lab):
    start(lab, lab.simulated("app-a"))
    lab.running(AGENT, "app-a")
    verb(lab, "hold", "app-a", "--for", "3s", "--reason", "a moment")
    command = lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"])
    check_equal(command["errorCode"], "held", "while it is held")
    lab.until("it is over", lambda: lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"])["state"] == "succeeded")


def misuse_is_told(lab):
    start(lab, lab.simulated("app-a"))
    for args, code, words in ((("hold", "app-a"), 2, "say how long and why"),
                              (("hold", "app-a", "--for", "31d", "--reason", "x"), 2, "1s to 30d"),
                              (("hold", "app-a", "--for", "1h", "--reason", "x" * 300), 2, "longer than 200"),
                              (("hold", "app-b", "--for", "1h", "--reason", "x"), 1, "did you mean app-a?"),
                              (("unhold", "app-b"), 1, "did you mean app-a?"), (("rollback", "app-b"), 1, "did you mean app-a?"),
                              (("rollback",), 2, "APP is missing"), (("rollback", "a", "b"), 2, "one word too many"),
                              (("statsu",), 2, "did you mean status?"), (("rollback", "../x"), 2, "no app's id"),
                              (("hold", "app-a", "--resaon", "x"), 2, "did you mean --reason?")):
        check_in(words, verb(lab, *args, code=code), f"{args}")
    check_equal(lab.audit(category="system"), [e for e in lab.audit(category="system") if "held" not in e["message"]], "holds in the audit log")


def root_rolls_back(lab):
    """By the steps of the console's rollback, told to the audit log as root's, whatever the console may do."""
    web = Web(lab)
    _, running, _ = start(lab, app(lab))
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    check_in("no earlier version is kept", verb(lab, "rollback", "app-a", code=1), "before any update")
    lab.ctl_ok("apps", "update", AGENT, "app-a", "--version", "2.1.0", "--artifact", web.put("a.tar.gz", release("2.1.0")), "--wait", timeout=60)
    in_place(lab, "2.1.0")
    # Neither a hold nor `allow` is for root.
    declare(lab, lab.read("apps.d/apps.yaml").replace("managed_apps:\n", "") + "    allow: [restart]\n")
    running.process.send_signal(1)
    lab.until("the host has read apps.d", lambda: json.loads(verb(lab, "status", "--json"))["host"]["apps"][0]["allow"] == ["restart"])
    verb(lab, "hold", "app-a", "--for", "1h", "--reason", "2.1.0 is bad")
    commands = len(lab.api("/api/commands?limit=100"))
    text = verb(lab, "rollback", "app-a")
    for words in ("Rollback of app-a, command ", "  stop", "  swap", "  start", "  health", "Done: "):
        check_in(words, text, "what is said")
    in_place(lab, "2.0.0")
    lab.until("the console sees the version", lambda: lab.app(AGENT, "app-a").get("version") == "2.0.0")
    told = lab.until("the audit log has its end", lambda: [e for e in lab.audit(appId="app-a", category="update")
                                                           if "rollback by root@server done" in e["message"]])
    check_equal((len(told), told[0]["details"].get("actor")), (1, "root@server"), "its end in the audit log")
    messages = [e["message"] for e in lab.audit(appId="app-a", category="update")]
    check_in("app-a: rollback asked for on the server by root@server", messages, "its beginning")
    check_in("app-a: rollback to 2.0.0 begins", messages, "its steps")
    check_equal(len(lab.api("/api/commands?limit=100")), commands, "commands of the console")
    # Nothing of it stays behind: agent and host have told all that they had to tell.
    def told_all():
        told = json.loads(verb(lab, "status", "--json"))
        return told["host"]["unsentEvents"] == 0 and told["agent"]["spool"]["events"] == 0 and told["agent"]["spool"]["results"] == 0
    lab.until("everything is told", told_all)


def root_rolls_back_without_agent_and_console(lab):
    """With the hub down; and what the host has to tell is told when the agent is back."""
    web = Web(lab)
    console, _, agent = start(lab, app(lab))
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    lab.ctl_ok("apps", "update", AGENT, "app-a", "--version", "2.1.0", "--artifact", web.put("a.tar.gz", release("2.1.0")), "--wait", timeout=60)
    agent.stop()
    console.stop()
    check_in("Done: ", verb(lab, "rollback", "app-a"), "rollback")
    in_place(lab, "2.0.0")
    lab.console()
    lab.agent(AGENT, args=["--host-socket", lab.path("host.sock")])
    lab.until("the audit log has it", lambda: any("rollback by root@server done" in e["message"] for e in lab.audit(category="update")))


ASK_AS = """
import json, os, socket, struct, sys, time
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.settimeout(10)
s.connect(sys.argv[1])
for frame in json.load(sys.stdin):
    data = json.dumps(frame).encode()
    s.sendall(struct.pack(">I", len(data)) + data)
    size = struct.unpack(">I", s.recv(4, socket.MSG_WAITALL))[0]
    print(json.loads(s.recv(size, socket.MSG_WAITALL))["type"], flush=True)
"""


def nobody_but_root_may_ask(lab):
    """Not the agent's own user either, whose commands are the console's."""
    if os.geteuid() != 0:
        raise Skip("only root can be another user")
    declare(lab, lab.simulated("app-a"))
    host(lab, "--peer-uid", str(NOBODY))
    frames = [{"type": kind, "id": hostsocket.uuid7(), "ts": hostsocket.stamp(), **fields}
              for kind, fields in (("inspect", {}), ("localRollback", {"appId": "app-a"}),
                                   ("localHold", {"appId": "app-a", "seconds": 60, "reason": "x"}), ("localUnhold", {"appId": "app-a"}),
                                   ("statusRequest", {}))]
    def answers(uid):
        return subprocess.run([sys.executable, "-c", ASK_AS, lab.path("host.sock"), str(uid)], input=json.dumps(frames), text=True,
                              capture_output=True, timeout=60, check=False).stdout.split()
    check_equal(answers(NOBODY), ["error"] * 4 + ["status"], "what the agent's user is answered")
    check_equal(json.loads(verb(lab, "status", "--json", code=1))["host"]["holds"], [], "holds")
    check_equal(answers(0)[:1], ["inspection"], "what root is answered")
    check_equal(answers(NOBODY - 1), [], "what another user is answered")


def what_the_console_signs_is_never_roots(lab):
    """A signed command that calls itself local is bound by `allow` and holds as any other."""
    key = hostsocket.Key()
    peer = hostsocket.Host(lab, AGENT, [lab.simulated("app-a", extra="allow: [push-config]")])
    peer.hello()
    peer.send("keys", keys=[key.jwk()])
    payload = hostsocket.command(AGENT, "app-a", local=True)
    peer.command(key.sign(payload))
    check_equal(peer.result(payload["commandId"])["errorCode"], "not-allowed-by-server", "a restart that is not allowed")


def check_names_file_line_and_column(lab):
    declare(lab, lab.simulated("app-a"))
    lab.write("agent.env", "# settings\nFLEET_CONSOLE_URL=https://console.example.com\n", mode=0o600)
    check_in("No problem found; 1 app declared.", verb(lab, "check"), "a good tree")
    lab.write("agent.env", "FLEET_CONSOLE_URL=console.example.com\nFLEET_LABLES=a=b\n", mode=0o644)
    lab.write("apps.d/bad.yaml", "managed_apps:\n  - id: app-a\n    service_driver: simulated\n  - id: c\n    service_driver: simulated\n"
              "    allows: [restart]\n  - id: d\n    service_driver: nonesuch\n")
    lab.write("apps.d/broken.yaml", "managed_apps: [\n")
    text = verb(lab, "check", code=1)
    for words in ("agent.env: may hold the agent's key and can be read by others (mode 644): chmod 600", "agent.env:1:1: FLEET_CONSOLE_URL must begin",
                  "agent.env:2:1: unknown setting FLEET_LABLES; did you mean FLEET_LABELS?", "apps.d/apps.yaml", "apps.d/bad.yaml:6:5: unknown key 'allows'",
                  "apps.d/bad.yaml:7: app 'd': driver nonesuch is not installed", "apps.d/broken.yaml:"):
        check_in(words, text, "what is found")
    check_in("bad.yaml:2:9: app 'app-a' is declared twice", text, "a second declaration")
    check_equal([line for line in verb(lab, "check", lab.path("apps.d/bad.yaml"), code=1).splitlines() if "broken" in line], [], "one file")
    check_in("cannot look at", verb(lab, "check", lab.path("nowhere"), code=1), "a file that is not there")


def allowed_says_it_in_sentences(lab):
    tree = lab.path("srv")
    os.mkdir(tree)
    declare(lab, lab.simulated("app-a"), lab.simulated(
        "app-b", config=None, extra=f"binary_path: {tree}\npreserve: [data]\nrequire_sha256: true\nallow: [update, read-logs]"),
        lab.simulated("app-c", config=None, extra="allow: []"))
    text = verb(lab, "allowed")
    for words in ("No console's key is known here yet", "Of the 3 apps declared in ", "The console may restart it.",
                  'app-a.json ("main"); the app restarts then.', "values of secrets stay here",
                  f"It may replace {tree} by another release, and return to the one before; data stays; each release must come with its checksum.",
                  "It may not restart it, change its settings or read its settings (allow).", "It sees how the app is, and nothing else."):
        check_in(words, text, "allowed")
    check("app-a" not in verb(lab, "allowed", "app-b"), "one app")
    check_in("did you mean app-a?", verb(lab, "allowed", "app-aa", code=1), "an app that is none")


if __name__ == "__main__":
    harness.main([status_tells_what_is_there_and_what_is_not, an_unconfigured_agent_says_so, a_hold_refuses_what_the_console_asks,
                  a_hold_is_over_by_itself, misuse_is_told, root_rolls_back, root_rolls_back_without_agent_and_console,
                  nobody_but_root_may_ask, what_the_console_signs_is_never_roots, check_names_file_line_and_column,
                  allowed_says_it_in_sentences])

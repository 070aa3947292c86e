#!/usr/bin/python3
"""The contract's stories 2 and 3 on real servers: shadowsocks-libev, a program from Debian's packages that was never
told of Fleet, runs as a template unit of its own package, with a JSON config, on three servers with systemd, agents
and driver hosts under their real hardening. What the stories accept is asserted with their own times."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

AWAY_SECONDS = float(os.environ.get("FLEET_TEST_AWAY", "60"))
APP_B = "shadowsocks-libev-server@app-b.service"
CONFIG_B = "/etc/shadowsocks-libev/app-b.json"
# As an admin left it: mixed indentation, two keys on a line, no newline at the end.
TEXT_B = ('{\n    "server":["127.0.0.1"],\n\t"mode":"tcp_only",\n    "server_port":8388,  "local_port":1080,\n'
          '    "password":"s3cret-word",\n\n    "timeout":86400,\n    "method":"chacha20-ietf-poly1305"\n}')
APPS = f"""managed_apps:
  - id: app-a
    service_name: app-a.service
    config_path: /opt/app-a/config.json
    version_file: /opt/app-a/version.txt
  - id: app-b
    service_name: {APP_B}
    config_path: {CONFIG_B}
    config_driver: json-config
    secret_keys: [password]
  - id: slow
    service_name: slow.service
  - id: crashing
    service_name: crashing.service
"""
UNITS = {
    "app-a.service": "[Service]\nUser=app-a\nExecStart=/usr/bin/ss-server -c /opt/app-a/config.json\n",
    # Takes its time to start, as databases do; systemd calls it started when it says so.
    "slow.service": "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 4; systemd-notify --ready; exec sleep infinity'\n",
    "crashing.service": "[Unit]\nStartLimitIntervalSec=300\nStartLimitBurst=3\n"
                        "[Service]\nExecStart=/bin/sh -c 'echo \"bind: address already in use\" >&2; exit 98'\n",
}


def set_up(fleet):
    for server in fleet.agents:
        server.sh("useradd --system --no-create-home app-a; mkdir -p /opt/app-a")
        server.push("/opt/app-a/config.json", TEXT_B.replace("8388", "8100"), mode="640", owner="app-a:app-a")
        server.push("/opt/app-a/version.txt", "2.0.0\n")
        server.push(CONFIG_B, TEXT_B, mode="604", owner="nobody:nogroup")
        for name, text in UNITS.items():
            server.push(f"/etc/systemd/system/{name}", text)
        server.exec("systemctl", "daemon-reload")
        server.exec("systemctl", "disable", "--now", "shadowsocks-libev.service", check=False)
        server.exec("systemctl", "enable", APP_B)
        server.exec("systemctl", "start", "app-a.service", APP_B, "slow.service")
    fleet.install_console()
    for server in fleet.agents:
        fleet.install_agent(server, APPS)
    fleet.ctl_ok("login", "--url", fleet.url, "--api-key", fleet.KEY)


def listens(server, port):
    """Pids of what listens on a port of the server, as ss tells it."""
    return {int(p) for p in re.findall(r"pid=(\d+)", server.sh(f"ss -Hltnp 'sport = :{port}'"))}


def settled(fleet, command_id):
    """Exactly one outcome in the audit log beside exactly one request."""
    events = fleet.audit(commandId=command_id)
    requests = [e for e in events if e["category"] == "request"]
    outcomes = [e for e in events if e["category"] in ("restart", "config", "update")]
    check_equal((len(requests), len(outcomes)), (1, 1), f"requests and outcomes of {command_id}: {servers.dump(events)}")
    return outcomes[0]


def agents_are_online_with_facts_of_their_server(fleet):
    """Story 1's acceptance, but for the package: in the console within 30 seconds."""
    for server in fleet.agents:
        agent = fleet.online(server.name, timeout=30)
        check_equal(agent["hostname"], server.exec("hostname").stdout.strip(), "hostname")
        check_equal(agent["os"]["id"], server.sh(". /etc/os-release; printf %s $ID"), "os.id")
        check_in("memoryTotalBytes", agent["metrics"], "metrics")
        fleet.running(server.name, "app-a")
        fleet.running(server.name, "app-b")
        check_equal(fleet.app(server.name, "app-a").get("version"), "2.0.0", "version of app-a")
        check_equal(fleet.app(server.name, "app-b")["pid"], server.main_pid(APP_B), "pid of app-b")
        check_equal(fleet.app(server.name, "crashing")["status"], "stopped", "status of an app that was never started")
    listing = fleet.ctl_ok("agents", "list", "--online-only")
    for server in fleet.agents:
        check_in(server.name, listing, "agents list --online-only")


def writes_its_state_alone(server, name):
    """All that the service's user can write, as the service sees the file system: its state, and a /tmp that nobody else has."""
    pid = server.main_pid(f"{name}.service")
    writable = server.sh(
        f"nsenter -t {pid} -m setpriv --reuid {name} --regid {name} --clear-groups --bounding-set=-all "
        "find / \\( -path /proc -o -path /sys \\) -prune -o \\( -type f -o -type d \\) -writable -print 2>/dev/null || true")
    own = re.compile(rf"/var/lib/{name}(/.*)?|/tmp(/.*)?|/var/tmp(/.*)?")
    check(f"/var/lib/{name}" in writable.split("\n"), f"{name} cannot write its own state: {writable[:300]}")
    check_equal([p for p in writable.split("\n") if p and not own.fullmatch(p)], [], f"what else {name} can write")
    for path in ("/tmp", "/var/tmp"):
        check(server.sh(f"stat -Lc %d:%i /proc/{pid}/root{path}") != server.sh(f"stat -c %d:%i {path}"), f"{name} shares {path}")


def agents_have_no_privileges_and_hosts_no_network(fleet):
    for server in fleet.agents:
        status = server.sh(f"cat /proc/{server.main_pid('fleet-agent.service')}/status")
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1))
        check_equal(uid, int(server.sh("id -u fleet-agent")), "uid of the agent")
        check_equal(re.search(r"^CapEff:\s+(\w+)", status, re.M).group(1).strip("0"), "", "capabilities of the agent")
        check_equal(re.search(r"^NoNewPrivs:\s+(\d)", status, re.M).group(1), "1", "NoNewPrivs of the agent")
        host = server.main_pid("fleet-driver-host.service")
        check(host > 0, "the driver host does not run")
        check(server.sh(f"readlink /proc/{host}/ns/net") != server.sh("readlink /proc/1/ns/net"), "the host shares the network")
        links = server.sh(f"nsenter -t {host} -n ip -br link").split("\n")
        check_equal([x.split()[0] for x in links if x], ["lo"], "the host's network")
        # The agent's restrictions are systemd's: it cannot write but where its state is.
        agent = str(server.main_pid("fleet-agent.service"))
        denied = server.exec("nsenter", "-t", agent, "-m", "sh", "-c",
                             "touch /opt/fleet-agent/x || touch /etc/fleet-agent/x || touch /usr/x", check=False)
        check(denied.returncode != 0, "the agent's file system is writable")
        writes_its_state_alone(server, "fleet-agent")
        for unit in ("fleet-agent.service", "fleet-driver-host.service"):
            limits = server.sh(f"cat /proc/{server.main_pid(unit)}/limits")
            check(re.search(r"^Max core file size +0 +0 ", limits, re.M), f"{unit} leaves core dumps")
        check_equal(server.show("fleet-agent.service", "MemoryMax"), str(512 * 1024 * 1024), "MemoryMax of the agent")


def the_console_has_no_privileges(fleet):
    server = fleet.console_server
    writes_its_state_alone(server, "fleet-console")
    pid = server.main_pid("fleet-console.service")
    status, limits = server.sh(f"cat /proc/{pid}/status"), server.sh(f"cat /proc/{pid}/limits")
    check_equal(re.search(r"^CapEff:\s+(\w+)", status, re.M).group(1).strip("0"), "", "capabilities of the console")
    check(re.search(r"^Max core file size +0 +0 ", limits, re.M), "the console leaves core dumps")


def units_expose_little(fleet):
    """What systemd itself makes of the restrictions. Above all the host has more, for it replaces files and directories by
    renames, which do not cross mounts: no directive of its unit mounts anything (see there)."""
    allowed = {"fleet-agent.service": 1.5, "fleet-console.service": 1.5, "fleet-driver-host.service": 4.2}
    for unit, most in allowed.items():
        server = fleet.console_server if unit == "fleet-console.service" else fleet.agents[0]
        said = server.sh(f"systemd-analyze security --no-pager {unit}")
        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said).group(1))
        print(f"# {unit}: exposure {exposure}")
        check(exposure <= most, f"{unit} is exposed by {exposure}, more than {most}:\n" +
              "\n".join(line for line in said.splitlines() if line.startswith("✗")))


def story_2_remote_restart(fleet):
    server = fleet.agents[0]
    before = server.main_pid("app-a.service")
    began = time.monotonic()
    said = fleet.ctl_ok("apps", "restart", server.name, "app-a", "--wait")
    took = time.monotonic() - began
    check_in(f"Restart command sent to app-a on {server.name}.", said, "what the operator reads")
    check_in("Running", said, "what the operator reads")
    check(took < 5, f"the restart took {took:.1f} s, story 2 accepts 5")
    after = server.main_pid("app-a.service")
    check(after not in (0, before), f"pid {after}, before {before}")
    check_equal(server.show("app-a.service", "ActiveState", "SubState"), ("active", "running"), "state of app-a")
    log = fleet.ctl_ok("audit", "--last", "5")
    check_in(f"app-a restarted on {server.name} by operator@cli", log, "audit --last 5")
    check(re.search(r"\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d|\d\d:\d\d:\d\d", log), f"no time in {log!r}")
    fleet.until("the console shows the new pid with a heartbeat", lambda: fleet.app(server.name, "app-a").get("pid") == after,
                timeout=15)
    check_equal(fleet.app(server.name, "app-a")["status"], "running", "status in the console")
    for other in fleet.agents[1:]:
        check(not fleet.audit(agentId=other.name, category="restart"), f"something was restarted on {other.name}")


def story_3_fleet_wide_push(fleet):
    before = {s.name: (s.main_pid(APP_B), s.sh(f"stat -c '%U:%G %a' {CONFIG_B}")) for s in fleet.agents}
    check_equal([s.read(CONFIG_B) for s in fleet.agents], [TEXT_B] * 3, "the files before")
    began = time.monotonic()
    for server in fleet.agents:
        said = fleet.ctl_ok("apps", "config", server.name, "app-b", "--set", "server_port=8399")
        check_in(f"Config pushed to app-b on {server.name}: server_port", said, "what the operator reads")
    left = lambda: max(0.1, 10 - (time.monotonic() - began))  # noqa: E731
    for server in fleet.agents:
        fleet.until(f"app-b listens on the new port on {server.name} within story 3's ten seconds",
                    lambda s=server: listens(s, 8399) == {s.main_pid(APP_B)} and not listens(s, 8388), timeout=left())
    commands = fleet.api("/api/commands?appId=app-b")
    for command in commands:
        ended = fleet.outcome(command["commandId"])
        check_equal((ended["state"], ended["changedKeys"]), ("succeeded", ["server_port"]), servers.dump(ended))
    for server in fleet.agents:
        old, new = TEXT_B.splitlines(), server.read(CONFIG_B).splitlines()
        check_equal([(a, b) for a, b in zip(old, new) if a != b],
                    [('    "server_port":8388,  "local_port":1080,', '    "server_port":8399,  "local_port":1080,')], "changed lines")
        check_equal(server.read(CONFIG_B), TEXT_B.replace("8388", "8399"), "the file, byte for byte")
        check_equal(server.sh(f"stat -c '%U:%G %a' {CONFIG_B}"), before[server.name][1], "owner and mode")
        check(server.main_pid(APP_B) != before[server.name][0], f"app-b was not restarted on {server.name}")
        outcome = settled(fleet, next(c["commandId"] for c in commands if c["agentId"] == server.name))
        check_equal((outcome["category"], outcome["agentId"]), ("config", server.name), servers.dump(outcome))
        check_in("server_port", outcome["message"], "audit message")
    check(not [e for e in fleet.audit() if "s3cret-word" in str(e) or "8399" in e["message"]], "a value is in the audit log")


def a_bad_push_is_rolled_back(fleet):
    """A port that is no port: ss-server does not come up, the old file and the old service return, the log lines tell why."""
    server = fleet.agents[1]
    before = server.read(CONFIG_B)
    done = fleet.ctl("apps", "config", server.name, "app-b", "--set", "method=rot13", "--wait", timeout=120)
    check_equal(done.returncode, 3, f"exit status: the push failed, the app is as before ({done.stdout!r} {done.stderr!r})")
    check_equal(server.read(CONFIG_B), before, "the file")
    check_equal(server.sh(f"stat -c '%U:%G %a' {CONFIG_B}"), "nobody:nogroup 604\n", "owner and mode")
    fleet.until("app-b listens as before", lambda: listens(server, 8399) == {server.main_pid(APP_B)})
    command = fleet.api("/api/commands?appId=app-b&limit=1")[0]
    ended = fleet.outcome(command["commandId"])
    check_equal(ended.get("rolledBack"), True, servers.dump(ended))
    check_in("rot13", " ".join(ended.get("logLines", [])), "the service's own words in the result")
    check("rot13" not in str(settled(fleet, command["commandId"])), "a value is in the audit log")


def a_stopped_app_gets_its_config_and_stays_stopped(fleet):
    server = fleet.agents[2]
    server.exec("systemctl", "stop", APP_B)
    fleet.post(f"/api/agents/{server.name}/ping")
    ended = fleet.outcome(fleet.command(server.name, "push-config", appId="app-b", settings={"timeout": 60})["commandId"])
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    check_in("not verified", ended["message"], "message")
    check_equal(server.read(CONFIG_B), TEXT_B.replace("8388", "8399").replace("86400", "60"), "the file")
    check_equal(server.show(APP_B, "ActiveState"), "inactive", "state of app-b")
    server.exec("systemctl", "start", APP_B)


def a_used_up_start_limit_is_told_as_it_is(fleet):
    """A service that dies at once, restarted past its start limit: never called a success, always with its own words."""
    server = fleet.agents[0]
    for attempt in range(1, 6):
        ended = fleet.outcome(fleet.command(server.name, "restart-app", appId="crashing")["commandId"], timeout=60)
        check_equal(ended["state"], "failed", f"attempt {attempt}: {servers.dump(ended)}")
        check(ended["errorCode"] in ("unhealthy", "service-failed"), f"attempt {attempt}: {servers.dump(ended)}")
        check_in("98", ended["message"], f"attempt {attempt}: the exit status")
        check_in("bind: address already in use", "\n".join(ended.get("logLines", [])), f"attempt {attempt}: log lines")
    done = fleet.ctl("apps", "restart", server.name, "crashing", "--wait", timeout=60)
    check(done.returncode in (3, 5), f"exit status {done.returncode}: {done.stdout!r} {done.stderr!r}")
    check_in("bind: address already in use", done.stdout + done.stderr, "what the operator reads")
    fleet.post(f"/api/agents/{server.name}/ping")
    check_equal(fleet.app(server.name, "crashing")["status"], "failed", "status in the console")


def agent_killed_during_a_restart(fleet):
    """systemd brings the agent back; the host never noticed; one result."""
    server = fleet.agents[0]
    before = server.main_pid("slow.service")
    command = fleet.command(server.name, "restart-app", appId="slow")
    fleet.until("the restart runs", lambda: server.show("slow.service", "ActiveState") == "activating", timeout=10)
    server.exec("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "fleet-agent.service")
    ended = fleet.outcome(command["commandId"], timeout=60)
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    settled(fleet, command["commandId"])
    check(server.main_pid("slow.service") not in (0, before), "slow was not restarted")


def host_killed_during_a_restart(fleet):
    """The driver host dies, with whatever it had begun: the ledger knows, and the app runs in the end."""
    server = fleet.agents[0]
    command = fleet.command(server.name, "restart-app", appId="slow")
    fleet.until("the restart runs", lambda: server.show("slow.service", "ActiveState") == "activating", timeout=10)
    # Its operation child too. In a container systemctl may complain of cgroup files after it has killed all.
    server.exec("systemctl", "kill", "--signal=KILL", "fleet-driver-host.service", check=False)
    ended = fleet.outcome(command["commandId"], timeout=90)
    check(ended["state"] in ("succeeded", "failed"), servers.dump(ended))
    settled(fleet, command["commandId"])
    fleet.until("slow runs", lambda: server.show("slow.service", "ActiveState") == "active", timeout=30)
    fleet.online(server.name)


def a_hijacked_agent_cannot_command(fleet):
    """As the agent's own user on the server, straight into the host's socket: refused, audited, nothing done."""
    server = fleet.agents[1]
    folder = os.path.dirname(harness.__file__)
    server.push("/tmp/forge.py", f"""
import json, socket, struct, sys
sys.path.insert(0, "/tmp/forge")
import hostsocket
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect("/run/fleet-agent/host.sock")
key = hostsocket.Key()
def send(kind, **fields):
    data = json.dumps(dict(type=kind, id=hostsocket.uuid7(), ts=hostsocket.stamp(), **fields)).encode()
    s.sendall(struct.pack(">I", len(data)) + data)
def receive():
    size = struct.unpack(">I", s.recv(4, socket.MSG_WAITALL))[0]
    return json.loads(s.recv(size, socket.MSG_WAITALL))
send("keys", keys=[key.jwk()])
send("command", jws=key.sign(hostsocket.command("{server.name}", "app-a")))
while True:
    frame = receive()
    if frame["type"] == "refused":
        print(frame["code"])
        break
""")
    for name in ("hostsocket.py", "harness.py"):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            server.push(f"/tmp/forge/{name}", f.read())
    before = server.main_pid("app-a.service")
    seen = max(e["seq"] for e in fleet.audit(limit=1))
    done = server.exec("setpriv", "--reuid=fleet-agent", "--regid=fleet-agent", "--clear-groups", "/usr/bin/python3", "/tmp/forge.py",
                       check=False, timeout=60)
    check_equal(done.stdout.strip(), "unknown-key", f"the host's answer ({done.stderr[-500:]})")
    check_equal(server.main_pid("app-a.service"), before, "pid of app-a")
    # The agent's own connection may have been displaced by ours; it is back soon, and tells.
    fleet.until("the refusal is in the audit log",
                lambda: [e for e in fleet.audit(agentId=server.name, limit=20) if e["seq"] > seen and "refused" in e["message"]],
                timeout=60)
    # Nor does it reach the host's state, where keys, ledger and files from before pushes lie.
    for folder in ("/var/lib/fleet-driver-host", "/var/lib/fleet-driver-host/ledger"):
        seen = server.exec("setpriv", "--reuid=fleet-agent", "--regid=fleet-agent", "--clear-groups", "sh", "-c",
                           f"ls {folder}/ || cat {folder} || touch {folder}/x || mv {folder} {folder}.away", check=False)
        check_equal((seen.returncode != 0, seen.stdout), (True, ""), f"what the agent's user sees of {folder}")
    check_equal(server.sh("ls /var/lib/fleet-driver-host/ledger").strip(), "/var/lib/fleet-driver-host/ledger", "the ledger")
    others = server.exec("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/bin/python3", "-c",
                         "import socket; socket.socket(socket.AF_UNIX).connect('/run/fleet-agent/host.sock')", check=False)
    check(others.returncode != 0, "anybody can connect to the host's socket")


def idle_agent_and_host_stay_small(fleet):
    """As if each server had its memory for itself: the kernel's own PSS would share libraries between the three."""
    for server in fleet.agents:
        size, by_name = servers.memory.together(servers.pids_here(server, "fleet-agent.service", "fleet-driver-host.service"))
        print(f"# {server.name}: agent and driver host take {size / 1e6:.1f} MB")
        check(size < 12e6, f"12 MB are allowed on {server.name}, {size} bytes are taken:\n{servers.memory.told(by_name)}")


def console_away_for_a_while(fleet):
    """Stopped and started: agents return by the backoff table, apps never notice, what happened meanwhile arrives once."""
    pids = [s.main_pid(APP_B) for s in fleet.agents]
    server = fleet.agents[0]
    command = fleet.command(server.name, "restart-app", appId="slow")
    fleet.until("the restart runs", lambda: server.show("slow.service", "ActiveState") == "activating", timeout=10)
    fleet.console_server.exec("systemctl", "stop", "fleet-console.service")
    time.sleep(AWAY_SECONDS)  # the absence itself
    fleet.console_server.exec("systemctl", "start", "fleet-console.service")
    fleet.until("the console is ready", fleet.console_ready)
    for s in fleet.agents:
        fleet.online(s.name, timeout=45)  # the table's longest wait is 30 s, and a fifth on top
    check_equal([s.main_pid(APP_B) for s in fleet.agents], pids, "pids of app-b")
    check_equal(fleet.outcome(command["commandId"])["state"], "succeeded", "the restart that ended meanwhile")
    settled(fleet, command["commandId"])
    done = fleet.console_server.exec("/usr/bin/fleet-console", "audit", "verify", "--data-dir", "/var/lib/fleet-console",
                                     check=False)
    check_equal(done.returncode, 0, f"audit verify: {done.stdout}{done.stderr}")


def a_server_that_loses_its_power_returns(fleet):
    server = fleet.agents[2]
    server.reboot_hard()
    fleet.until("the console has seen it go and return",
                lambda: len([e for e in fleet.audit(agentId=server.name, category="agent") if "registered" in e["message"]]) >= 2,
                timeout=60)
    fleet.online(server.name, timeout=60)
    fleet.running(server.name, "app-b")
    ended = fleet.outcome(fleet.command(server.name, "restart-app", appId="app-b")["commandId"])
    check_equal(ended["state"], "succeeded", servers.dump(ended))


if __name__ == "__main__":
    sys.exit(servers.main(servers.fleet_of("stories", 3, set_up), [
        agents_are_online_with_facts_of_their_server,
        agents_have_no_privileges_and_hosts_no_network,
        the_console_has_no_privileges,
        units_expose_little,
        story_2_remote_restart,
        story_3_fleet_wide_push,
        a_bad_push_is_rolled_back,
        a_stopped_app_gets_its_config_and_stays_stopped,
        a_used_up_start_limit_is_told_as_it_is,
        agent_killed_during_a_restart,
        host_killed_during_a_restart,
        a_hijacked_agent_cannot_command,
        idle_agent_and_host_stay_small,
        console_away_for_a_while,
        a_server_that_loses_its_power_returns,
    ]))

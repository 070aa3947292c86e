#!/usr/bin/python3
"""Updates of services of every shape that systemd knows: activated by a socket, required by another, instances of a template
that share a tree, forking, slow to be ready, a oneshot, one that dies as it starts, one that writes until it is stopped."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import releases  # noqa: E402
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

# What the apps do; each is /opt/NAME/run of its release, which knows its version.
SERVE = """#!/usr/bin/python3
# Answers every connection of the socket that systemd hands over with its version.
import socket
s = socket.socket(fileno=3)
while True:
    c, _ = s.accept()
    c.sendall(b"VERSION\\n")
    c.close()
"""
SLEEP = "#!/bin/sh\nexec -a VERSION sleep infinity\n".replace("#!/bin/sh", "#!/bin/bash")
FORK = """#!/bin/bash
(exec -a VERSION sleep infinity) & echo $! >/run/forking.pid
"""
SLOW = """#!/bin/bash
sleep 40; systemd-notify --ready; exec -a VERSION sleep infinity
"""
ONCE = "#!/bin/sh\necho VERSION >>/var/tmp/once.log\n"
DIES = "#!/bin/sh\ncase VERSION in 1.*) exec sleep infinity ;; esac\necho 'no such table' >&2\nexit 7\n"
# Writes rows as fast as it can, and at its end how many it wrote.
WRITE = """#!/usr/bin/python3
import os, signal, sys
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
rows = sum(1 for _ in open("/opt/writer/data/rows")) if os.path.exists("/opt/writer/data/rows") else 0
with open("/opt/writer/data/rows", "a", buffering=1) as f:
    while not stop:
        rows += 1
        f.write(f"{rows} VERSION\\n")
with open("/opt/writer/data/count", "w") as f:
    f.write(str(rows))
"""
# Tells its data of each start. 2.0 takes long over its first; 3.0 is not well, and does not go when it is asked to.
LATE = """#!/bin/bash
echo VERSION >>/opt/late/data/starts
case VERSION in
2.0) [ "$(grep -c 2.0 /opt/late/data/starts)" -gt 1 ] || sleep 80 ;;
3.0) trap '' TERM; touch /opt/late/data/ill ;;
esac
[ VERSION = 3.0 ] || rm -f /opt/late/data/ill
systemd-notify --ready
while :; do sleep 1; done
"""
UNITS = {
    "web.socket": "[Socket]\nListenStream=127.0.0.1:7000\n[Install]\nWantedBy=sockets.target\n",
    "web.service": "[Service]\nExecStart=/opt/web/run\n",
    "base.service": "[Service]\nExecStart=/opt/base/run\n",
    "needs-base.service": "[Unit]\nRequires=base.service\nAfter=base.service\n[Service]\nExecStart=/bin/sleep infinity\n",
    "foo@.service": "[Service]\nExecStart=/opt/foo/run\n",
    "forking.service": "[Service]\nType=forking\nPIDFile=/run/forking.pid\nExecStart=/opt/forking/run\n",
    "slow.service": "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/opt/slow/run\n",
    "once.service": "[Service]\nType=oneshot\nExecStart=/opt/once/run\n[Install]\nWantedBy=multi-user.target\n",
    "dies.service": "[Service]\nExecStart=/opt/dies/run\n",
    "writer.service": "[Service]\nExecStart=/opt/writer/run\n",
    "late.service": "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=90\nExecStart=/opt/late/run\n[Install]\nWantedBy=multi-user.target\n",
}
APPS = {"web": SERVE, "base": SLEEP, "foo": SLEEP, "forking": FORK, "slow": SLOW, "once": ONCE, "dies": DIES, "writer": WRITE, "late": LATE}


def release(name, version):
    text = APPS[name].replace("VERSION", version)
    return releases.tree({"run": (text.encode(), 0o755), "version.txt": f"{version}\n".encode()})


def declare(name, service, more=""):
    return (f"  - id: {name}\n    service_name: {service}\n    binary_path: /opt/{service.split('@')[0].split('.')[0]}/\n"
            f"    version_file: /opt/{service.split('@')[0].split('.')[0]}/version.txt\n    health_check: {{settle: 1s}}\n{more}")


def set_up(fleet):
    server = fleet.agents[0]
    fleet.install_console()
    set_up.shelf = releases.Shelf(fleet.console_server)
    for name in APPS:
        url = set_up.shelf.put(f"{name}-1.0.tar.gz", release(name, "1.0"))
        server.sh(f"mkdir -p /opt/{name}; curl -fsS {url} | tar -xz -C /opt/{name} --strip-components=1 --no-same-owner")
    server.sh("mkdir /opt/writer/data /opt/late/data")
    for name, text in UNITS.items():
        server.push(f"/etc/systemd/system/{name}", text)
    # One that nothing wants would be forgotten by systemd, with how it went.
    server.exec("systemctl", "enable", "once.service")
    server.exec("systemctl", "daemon-reload")
    server.exec("systemctl", "start", "web.socket", "needs-base.service", "foo@1.service", "foo@2.service", "forking.service",
                "once.service", "dies.service")
    server.exec("systemctl", "start", "--no-block", "slow.service")
    apps = "".join(declare(n, f"{n}.service") for n in ("web", "base", "forking", "slow", "once", "dies"))
    apps += declare("foo-1", "foo@1.service") + declare("foo-2", "foo@2.service")
    apps += declare("writer", "writer.service", "    preserve: [data/]\n")
    apps += declare("late", "late.service", "    preserve: [data/]\n").replace("{settle: 1s}", "{command: [/usr/bin/test, '!', -e, /opt/late/data/ill], timeout: 2s}")
    fleet.install_agent(server, "managed_apps:\n" + apps)
    fleet.ctl_ok("login", "--url", fleet.url, "--api-key", fleet.KEY)
    fleet.online(server.name, timeout=60)


set_up.shelf = None


def begin(fleet, app, version="2.0", of=""):
    """The id of the command."""
    name = of or app
    url = set_up.shelf.put(f"{name}-{version}.tar.gz", release(name, version))
    return fleet.command(fleet.agents[0].name, "update-app", appId=app, version=version, artifactUrl=url)["commandId"]


def update(fleet, app, version="2.0", of="", timeout=60):
    """The command as it ended."""
    return fleet.outcome(begin(fleet, app, version, of), timeout=timeout)


def succeeded(ended):
    check_equal(ended["state"], "succeeded", servers.dump(ended))


def runs(server, unit, version):
    """Its main process says so in its arguments."""
    pid = server.main_pid(unit)
    check_equal(server.sh(f"tr '\\0' ' ' </proc/{pid}/cmdline").split()[0], version, f"what {unit} runs")


def a_socket_activated_app_under_steady_connections(fleet):
    """Clients are answered by the old version or the new one, never by the old one again; and the socket is back."""
    server = fleet.agents[0]
    server.push("/tmp/knock.py", """
import socket, time, json
seen, end = [], time.monotonic() + 25
while time.monotonic() < end and seen[-200:].count("2.0") < 200:
    try:
        with socket.create_connection(("127.0.0.1", 7000), 5) as c:
            seen.append(c.makefile().readline().strip() or "nothing")
    except OSError as e:
        seen.append("refused")
    time.sleep(0.01)
print(json.dumps(seen))
""")
    server.exec("systemd-run", "-q", "--unit", "knock", "-p", "StandardOutput=file:/tmp/knock.json", "/usr/bin/python3", "/tmp/knock.py")
    fleet.until("the app answers", lambda: server.show("web.service", "ActiveState") == "active")
    ended = update(fleet, "web")
    succeeded(ended)
    fleet.until("the clients are done", lambda: server.show("knock.service", "ActiveState") == "inactive", timeout=40)
    seen = json.loads(server.read("/tmp/knock.json"))
    kinds = {k: seen.count(k) for k in set(seen)}
    print(f"# answers: {kinds}, down {ended.get('downMs')} ms")
    check(set(kinds) <= {"1.0", "2.0", "refused", "nothing"} and kinds.get("1.0") and kinds.get("2.0", 0) >= 200, f"answers: {kinds}")
    check("1.0" not in seen[seen.index("2.0"):], "the old version answered after the new one")
    check_equal(server.show("web.socket", "ActiveState"), "active", "web.socket")


def one_that_waits_for_its_socket(fleet):
    """It is at rest, which is as it should be; the update starts it to see that the new version is well."""
    server = fleet.agents[0]
    server.exec("systemctl", "stop", "web.service")
    fleet.post(f"/api/agents/{server.name}/ping")
    check_equal(fleet.app(server.name, "web")["status"], "done", "status of an app that waits for its socket")
    check_in("web.socket", fleet.app(server.name, "web").get("message", ""), "its message")
    succeeded(update(fleet, "web", "3.0"))
    check_equal(server.show("web.socket", "ActiveState"), "active", "web.socket")
    check_equal(server.sh("exec 3<>/dev/tcp/127.0.0.1/7000; cat <&3".join(["bash -c '", "'"])), "3.0\n", "what it answers")


def what_requires_it_comes_back(fleet):
    server = fleet.agents[0]
    before = server.main_pid("needs-base.service")
    succeeded(update(fleet, "base"))
    runs(server, "base.service", "2.0")
    check(server.main_pid("needs-base.service") not in (0, before), "needs-base.service did not come back")


def instances_of_a_template_go_together(fleet):
    server = fleet.agents[0]
    before = [server.main_pid(f"foo@{n}.service") for n in (1, 2)]
    succeeded(update(fleet, "foo-1", of="foo"))
    for n in (1, 2):
        runs(server, f"foo@{n}.service", "2.0")
        check(server.main_pid(f"foo@{n}.service") != before[n - 1], f"foo@{n} was not started anew")
    ended = fleet.outcome(fleet.command(server.name, "rollback-app", appId="foo-2")["commandId"], timeout=60)
    succeeded(ended)
    for n in (1, 2):
        runs(server, f"foo@{n}.service", "1.0")


def a_forking_one(fleet):
    server = fleet.agents[0]
    succeeded(update(fleet, "forking"))
    runs(server, "forking.service", "2.0")


def one_that_takes_forty_seconds_to_start(fleet):
    server = fleet.agents[0]
    fleet.until("it runs", lambda: server.show("slow.service", "ActiveState") == "active", timeout=60)
    ended = update(fleet, "slow", timeout=120)
    succeeded(ended)
    runs(server, "slow.service", "2.0")
    check(ended["downMs"] >= 40000, servers.dump(ended))


def a_oneshot(fleet):
    server = fleet.agents[0]
    fleet.post(f"/api/agents/{server.name}/ping")
    check_equal(fleet.app(server.name, "once")["status"], "done", "status of a oneshot that succeeded")
    succeeded(update(fleet, "once"))
    check_equal(server.read("/var/tmp/once.log"), "1.0\n2.0\n", "its runs")


def one_that_dies_as_it_starts(fleet):
    """Its start is a success to systemd (Type=simple); Fleet looks again."""
    server = fleet.agents[0]
    ended = update(fleet, "dies")
    check_equal((ended["state"], ended.get("rolledBack"), ended.get("appHealthy")), ("failed", True, True), servers.dump(ended))
    check_in("status 7", ended["message"], "message")
    check_in("no such table", "\n".join(ended.get("logLines", [])), "the service's own words")
    check_equal(server.read("/opt/dies/version.txt"), "1.0\n", "the version in place")
    check_equal(server.show("dies.service", "ActiveState"), "active", "dies.service")


def longer(text, count):
    rows = text.splitlines()
    return rows if len(rows) > count else None


def data_is_written_until_the_stop(fleet):
    """No row is lost, in the update and in the rollback."""
    server = fleet.agents[0]
    server.exec("systemctl", "start", "writer.service")
    for version, change in (("2.0", lambda: update(fleet, "writer")),
                            ("1.0", lambda: fleet.outcome(fleet.command(server.name, "rollback-app", appId="writer")["commandId"]))):
        succeeded(change())
        counted = int(server.read("/opt/writer/data/count"))
        read = lambda n=counted: longer(server.sh(f"head -n {n + 1} /opt/writer/data/rows"), n)  # noqa: E731
        rows = fleet.until("the new process writes", read)
        numbers = [int(re.match(r"\d+", row).group(0)) for row in rows]
        check_equal(numbers[:counted], list(range(1, counted + 1)), "the rows that were there at the stop")
        check_equal(rows[counted].split()[1], version, "who wrote the next row")
        print(f"# {counted} rows, then {rows[counted]}")
    server.exec("systemctl", "stop", "writer.service")


def power_fails(fleet, version, starts):
    """Once the service was started so often: the command as it ended after the next boot."""
    server = fleet.agents[0]
    command = begin(fleet, "late", version)
    fleet.until("the moment", lambda: server.sh("cat /opt/late/data/starts").split() == starts
                and server.show("late.service", "SubState") == ("stop-sigterm" if version == "3.0" else "start"), timeout=60)
    server.reboot_hard()
    fleet.online(server.name, timeout=90)
    ended = fleet.outcome(command, timeout=90)
    print(f"# {ended['message']}")
    check_equal(server.sh("ls -A /opt/.late.fleet").split(), ["previous", "previous.json"], "what is left of the release")
    return ended


def the_power_fails_while_the_new_version_starts(fleet):
    """It starts again with the server, and is looked at then."""
    server = fleet.agents[0]
    server.exec("systemctl", "enable", "--now", "late.service")
    succeeded(power_fails(fleet, "2.0", ["1.0", "2.0"]))
    check_equal(server.sh("cat /opt/late/data/starts; cat /opt/late/version.txt").split(), ["1.0", "2.0", "2.0", "2.0"], "starts, version")


def the_power_fails_while_it_is_rolled_back(fleet):
    """At boot the old version is back before the service starts: the new one never runs again."""
    server = fleet.agents[0]
    ended = power_fails(fleet, "3.0", ["1.0", "2.0", "2.0", "3.0"])
    check_equal((ended["state"], ended["errorCode"]), ("failed", "interrupted"), servers.dump(ended))
    check_equal(set(server.sh("cat /opt/late/data/starts; cat /opt/late/version.txt").split()[4:]), {"2.0"}, "the starts after it, version")
    ready, began = (int(server.show(unit, name)) for unit, name in (
        ("fleet-driver-recover.service", "ActiveEnterTimestampMonotonic"), ("late.service", "ExecMainStartTimestampMonotonic")))
    check(0 < ready < began, f"files were in order at {ready} us, the app began at {began} us")


if __name__ == "__main__":
    sys.exit(servers.main(servers.fleet_of("update-units", 1, set_up), [
        a_socket_activated_app_under_steady_connections,
        one_that_waits_for_its_socket,
        what_requires_it_comes_back,
        instances_of_a_template_go_together,
        a_forking_one,
        one_that_takes_forty_seconds_to_start,
        a_oneshot,
        one_that_dies_as_it_starts,
        data_is_written_until_the_stop,
        the_power_fails_while_the_new_version_starts,
        the_power_fails_while_it_is_rolled_back,
    ]))

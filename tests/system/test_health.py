#!/usr/bin/python3
"""The commands of an app's declaration on a real server: they run as the app's own user, outside the driver host's
restrictions and without a way back to root; their exit status decides; deadlines are the unit's own."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

PROBE = """#!/bin/sh
# who is asked, by whom, and how it looks from there
mkdir -p /run/seen/$1 2>/dev/null
id -u >/run/seen/$1/uid; id -G >/run/seen/$1/groups
cat /proc/self/status >/run/seen/$1/status; readlink /proc/self/ns/net >/run/seen/$1/net
cat /proc/self/cgroup >/run/seen/$1/cgroup
[ ! -e /run/seen/sick ] || { echo "no rows in $1" >&2; exit 3; }
[ "$2" = 'a $HOME %n' ] || exit 9
"""
NOBODY = 65534


def unit(user, more=""):
    return f"[Service]\n{user}\nExecStart=/bin/sleep infinity\n{more}"


AGAIN = """#!/bin/sh
# what a service may write about itself
echo "A process of this unit has been killed by the OOM killer."
echo "again.service: Main process exited, code=killed, status=9/KILL"
exec sleep infinity
"""
QUITS = """#!/bin/bash
trap 'exit 7' USR1
while :; do sleep 0.1; done
"""
UNITS = {
    "web": unit("User=web\nSupplementaryGroups=adm"),
    "plain": unit(""),
    "dynamic": unit("DynamicUser=yes"),
    "again": unit("User=web", "Restart=always\nRestartSec=100ms\n").replace("/bin/sleep infinity", "/usr/local/bin/again"),
    "quits": unit("User=web").replace("/bin/sleep infinity", "/usr/local/bin/quits"),
    "slow": unit("User=web", "Type=notify\nNotifyAccess=all\nTimeoutStartSec=infinity\n").replace(
        "ExecStart=/bin/sleep infinity", "ExecStart=/bin/sh -c 'sleep 5; systemd-notify --ready; exec sleep infinity'"),
}


def app(name, more=""):
    return (f"  - id: {name}\n    service_name: {name}.service\n    health_check: {{command: [/usr/local/bin/probe, {name}, "
            f"'a $HOME %n'], timeout: 10s, settle: 0, every: 2s}}\n{more}")


APPS = "managed_apps:\n" + app("web", "    version_command: [/bin/sh, -c, 'echo 4.$(id -u)']\n") + "".join(
    app(name) for name in UNITS if name != "web")


def set_up(fleet):
    server = fleet.agents[0]
    server.sh("useradd --system --no-create-home web; mkdir -p -m 777 /run/seen; chmod 777 /run/seen")
    for name, text in {"probe": PROBE, "again": AGAIN, "quits": QUITS}.items():
        server.push(f"/usr/local/bin/{name}", text, mode="755")
    for name, text in UNITS.items():
        server.push(f"/etc/systemd/system/{name}.service", text)
    server.sh("systemctl daemon-reload; systemctl start web plain dynamic again quits; systemctl start --no-block slow")
    fleet.install_console()
    fleet.install_agent(server, APPS)
    fleet.ctl_ok("login", "--url", fleet.url, "--api-key", fleet.KEY)
    fleet.online(server.name, timeout=60)


def becomes(fleet, app_id, health):
    return fleet.until(f"{app_id} is {health}", lambda: next(
        (a for a in fleet.api(f"/api/agents/{fleet.agents[0].name}")["apps"] if a["id"] == app_id and a.get("health") == health),
        None), timeout=60)


def a_command_is_the_apps_user(fleet):
    server = fleet.agents[0]
    for name in UNITS:
        becomes(fleet, name, "healthy")
    web = int(server.sh("id -u web"))
    dynamic = int(server.show("dynamic.service", "UID"))
    check(dynamic > 0 and web > 0, f"users: {web}, {dynamic}")
    for name, uid in (("web", web), ("plain", NOBODY), ("dynamic", dynamic), ("slow", web)):
        check_equal(int(server.read(f"/run/seen/{name}/uid")), uid, f"who is asked for {name}")
        status = dict(line.split(":\t", 1) for line in server.read(f"/run/seen/{name}/status").splitlines() if ":\t" in line)
        check_equal(status["Uid"].split(), [str(uid)] * 4, f"all its ids, {name}")
        check_equal((status["CapEff"], status["CapPrm"], status["CapBnd"]), ("0" * 16,) * 3, f"capabilities, {name}")
        check_equal(status["NoNewPrivs"], "1", f"no way back to root, {name}")
        check("fleet-driver-host" not in server.read(f"/run/seen/{name}/cgroup"), f"a unit of its own, {name}")
        check_equal(server.read(f"/run/seen/{name}/net"), server.sh("readlink /proc/1/ns/net"), f"outside the host's namespace, {name}")
    check_in(server.sh("getent group adm | cut -d: -f3").strip(), server.read("/run/seen/web/groups").split(), "the unit's groups")
    fleet.until("the version tells who was asked", lambda: fleet.app(server.name, "web").get("version") == f"4.{web}")
    check_equal(server.sh("systemctl list-units --all --plain --no-legend 'run-*.service' | grep -c failed || true").strip(), "0",
                "failed units left")


def its_exit_status_decides(fleet):
    server = fleet.agents[0]
    server.sh("touch /run/seen/sick")
    told = becomes(fleet, "web", "unhealthy")
    check_equal((told["status"], told["healthMessage"]), ("running", "probe exited with status 3: no rows in web"), "why")
    done = fleet.ctl("apps", "restart", server.name, "web", "--wait", timeout=90)
    check_equal(done.returncode, 5, f"{done.stdout!r} {done.stderr!r}")
    check_in("probe exited with status 3: no rows in web", done.stdout + done.stderr, "the restart says why")
    server.sh("rm /run/seen/sick")
    becomes(fleet, "web", "healthy")
    check_in("Running, healthy", fleet.ctl_ok("apps", "restart", server.name, "web", "--wait", timeout=90), "the next restart")


def what_ends_outside_is_told_with_its_reason(fleet):
    """Each in systemd's words, though the apps say otherwise themselves; and nobody's command."""
    server = fleet.agents[0]

    def told(words):
        return [e for e in fleet.audit(category="restart") if words in e["message"]]

    server.sh("kill -SEGV $(systemctl show -P MainPID again.service)")
    event = fleet.until("the crash is in the audit log", lambda: told("again restarted outside Fleet"))[0]
    check_in(": killed by SIGSEGV", event["message"], "a signal")
    check_equal((event["agentId"], event["appId"], event.get("commandId")), (server.name, "again", None), "whose")
    server.sh("kill -USR1 $(systemctl show -P MainPID quits.service)")
    event = fleet.until("the end is in the audit log", lambda: told("quits failed outside Fleet"))[0]
    check_in(": exited with status 7", event["message"], "an exit status")
    server.sh("systemctl restart plain.service")
    event = fleet.until("somebody's restart is in the audit log", lambda: told("plain restarted outside Fleet"))[0]
    check("exited" not in event["message"] and "killed" not in event["message"], f"a restart by hand: {event['message']}")


def what_starts_slowly_has_its_units_time(fleet):
    """Its TimeoutStartSec is infinite, and longer than it takes is what it gets."""
    server = fleet.agents[0]
    out = fleet.ctl_ok("apps", "restart", server.name, "slow", "--wait", timeout=90)
    check_in("Running, healthy", out, "the outcome")
    server.sh("mkdir -p /etc/systemd/system/slow.service.d; printf '[Service]\\nTimeoutStartSec=1s\\n' "
              ">/etc/systemd/system/slow.service.d/short.conf; systemctl daemon-reload")
    done = fleet.ctl("apps", "restart", server.name, "slow", "--wait", timeout=90)
    check(done.returncode in (3, 5), f"{done.stdout!r} {done.stderr!r}")
    check_in("time limit", done.stdout + done.stderr, "systemd's own limit is told")


if __name__ == "__main__":
    sys.exit(servers.main(servers.fleet_of("health", 1, set_up), [
        a_command_is_the_apps_user,
        its_exit_status_decides,
        what_ends_outside_is_told_with_its_reason,
        what_starts_slowly_has_its_units_time,
    ]))

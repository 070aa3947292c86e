#!/usr/bin/python3
"""Health as apps.d declares it: a url, a port or a command, asked after what a command did to an app and between commands,
so that an app that runs and does not serve does not look well. The commands are never root's."""
import json
import os
import socket
import stat
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from network_peers import Source, head  # noqa: E402

AGENT = "agent-001"
NOBODY = 65534


def start(lab, *apps):
    lab.console()
    lab.agent(AGENT, apps=apps, args=["--heartbeat-interval", "1"])
    lab.ctl_ok("login", "--url", lab.url)


def becomes(lab, app_id, health):
    return lab.until(f"{app_id} is {health}", lambda: next(
        (a for a in lab.api(f"/api/agents/{AGENT}")["apps"] if a["id"] == app_id and a.get("health") == health), None))


def checked(lab, app_id, check_yaml, **options):
    return lab.simulated(app_id, extra=f"health_check: {{{check_yaml}, timeout: 2s, settle: 0, every: 1s}}", **options)


def a_url_that_answers_500_is_seen_everywhere(lab):
    status = {"now": 200}
    source = Source(lab, lambda asked, connection: connection.sendall(head(status["now"], "Content-Length: 0")))
    start(lab, checked(lab, "app-a", f"url: '{source.url}/health?token=t'"), lab.simulated("app-b"))
    app = becomes(lab, "app-a", "healthy")
    since = app["healthSince"]
    check("healthMessage" not in app, f"a healthy app has nothing to explain: {app}")
    pid = lab.running(AGENT, "app-a")["pid"]
    status["now"] = 500
    app = becomes(lab, "app-a", "unhealthy")
    check_equal((app["status"], app["pid"], app["healthMessage"]), ("running", pid, "GET /health: 500"), "what is told")
    check(app["healthSince"] > since, "since when")
    check_equal(becomes(lab, "app-b", "healthy")["health"], "healthy", "the other app")
    out = lab.ctl_ok("agents", "status", AGENT)
    check_in("unhealthy", out, "agents status")
    check_in("app-a: GET /health: 500", out, "agents status says why")
    check_in("GET /health: 500", lab.ctl_ok("apps", "list", "--problems"), "apps list --problems")
    check_equal([a["id"] for a in json.loads(lab.ctl_ok("apps", "list", "--problems", "--json"))], ["app-a"], "who has problems")
    check_in("unhealthy", lab.ctl_ok("apps", "list", "--app", "app-a"), "apps list")
    status["now"] = 204
    becomes(lab, "app-a", "healthy")
    check_equal(lab.running(AGENT, "app-a")["pid"], pid, "nobody restarted it for that")


def one_no_alone_is_no_illness(lab):
    """The next answer decides; two in a row are the app's."""
    answers = []

    def serve(asked, connection):
        answers.append(500 if len(answers) == 3 else 200)
        connection.sendall(head(answers[-1], "Content-Length: 0"))
    source = Source(lab, serve)
    start(lab, checked(lab, "app-a", f"url: '{source.url}/health'"))
    since = becomes(lab, "app-a", "healthy")["healthSince"]
    seen = lab.until("it was asked again after the no", lambda: len(answers) >= 6 and lab.app(AGENT, "app-a"))
    check_equal(answers.count(500), 1, f"answers: {answers}")
    check_equal((seen["health"], seen["healthSince"]), ("healthy", since), "after a single no")


def a_port_that_closes_is_seen(lab):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    threading.Thread(target=lambda: accept_all(listener), daemon=True).start()
    start(lab, checked(lab, "app-a", f"tcp: '127.0.0.1:{port}'"))
    becomes(lab, "app-a", "healthy")
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    app = becomes(lab, "app-a", "unhealthy")
    check_in("refused", app["healthMessage"], "why")
    check_equal(app["status"], "running", "its service runs on")


def accept_all(listener):
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        pass


def program(lab, name, text):
    """A program that the app's user may run, and a directory where it may write."""
    out = lab.path("out")
    os.makedirs(out, exist_ok=True)
    os.chmod(out, stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
    return lab.write(name, f"#!/bin/sh\n{text}\n", 0o755)


def written(lab, name):
    try:
        return lab.read(f"out/{name}")
    except FileNotFoundError:
        return ""


def a_command_decides_and_is_not_root(lab):
    path = program(lab, "probe", f"id -u > {lab.path('out/uid')}\n[ \"$1\" = '$HOME a b' ] || exit 9\n"
                   f"[ ! -e {lab.path('sick')} ] || {{ echo 'no rows' >&2; exit 3; }}")
    start(lab, checked(lab, "app-a", f"command: [{path}, '$HOME a b']"))
    becomes(lab, "app-a", "healthy")
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    check_equal(lab.until("it is told who ran the command", lambda: written(lab, "uid")), f"{uid}\n", "who ran it")
    lab.write("sick", "")
    app = becomes(lab, "app-a", "unhealthy")
    check_equal(app["healthMessage"], "probe exited with status 3: no rows", "why")
    done = lab.ctl("apps", "restart", AGENT, "app-a", "--wait")
    check_equal(done.returncode, 5, f"a restart of what does not get well: {done.stdout!r} {done.stderr!r}")
    check_in("probe exited with status 3: no rows for ", done.stdout + done.stderr, "the restart says why")
    os.unlink(lab.path("sick"))
    check_in("Running, healthy", lab.ctl_ok("apps", "restart", AGENT, "app-a", "--wait"), "the next restart")
    becomes(lab, "app-a", "healthy")


def a_command_that_hangs_or_is_not_there(lab):
    hangs = program(lab, "hangs", f"echo $$ > {lab.path('out/pid')}\nexec sleep 1000")
    start(lab, checked(lab, "app-a", f"command: [{hangs}]"), checked(lab, "app-b", "command: [/nonexistent/probe]"),
          lab.simulated("app-c"))
    app = becomes(lab, "app-a", "unhealthy")
    check_equal(app["healthMessage"], "hangs did not end within 2 s", "why")
    check_equal(becomes(lab, "app-c", "healthy")["health"], "healthy", "others are asked meanwhile")
    app = lab.until("of the other it is told that it cannot be asked", lambda: next(
        (a for a in lab.api(f"/api/agents/{AGENT}")["apps"] if a["id"] == "app-b" and "could not be made" in
         a.get("healthMessage", "")), None))
    check_equal((app["health"], app["healthMessage"]), (
        "unknown", "its command health check could not be made: there is no program /nonexistent/probe"), "no verdict")
    pid = int(lab.until("a pid is told", lambda: written(lab, "pid")))
    lab.processes[-1].stop()
    check(harness.ends(pid, 10), "a command outlived the host that asked it")


def a_slow_starter_is_not_called_ill_at_once(lab):
    path = program(lab, "late", f"[ -e {lab.path('ready')} ]")
    start(lab, lab.simulated("app-a", extra=f"health_check: {{command: [{path}], timeout: 1h, settle: 0, every: 1s}}"))
    app = lab.until("it was asked", lambda: next((a for a in lab.api(f"/api/agents/{AGENT}")["apps"] if "late" in
                                                  a.get("healthMessage", "")), None))
    check_equal((app["health"], app["healthMessage"]), ("unknown", "just started: late exited with status 1"), "meanwhile")
    lab.write("ready", "")
    becomes(lab, "app-a", "healthy")


def a_version_command_is_not_root(lab):
    path = program(lab, "version", f"id -u > {lab.path('out/uid')}; echo 1.2.3")
    start(lab, lab.simulated("app-a", extra=f"version_command: [{path}]"))
    lab.until("the version is told", lambda: lab.app(AGENT, "app-a").get("version") == "1.2.3")
    check_equal(lab.until("it is told", lambda: written(lab, "uid")), f"{NOBODY if os.geteuid() == 0 else os.geteuid()}\n", "who ran it")


if __name__ == "__main__":
    harness.main([
        a_url_that_answers_500_is_seen_everywhere,
        one_no_alone_is_no_illness,
        a_port_that_closes_is_seen,
        a_command_decides_and_is_not_root,
        a_command_that_hangs_or_is_not_there,
        a_slow_starter_is_not_called_ill_at_once,
        a_version_command_is_not_root,
    ])

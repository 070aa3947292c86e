#!/usr/bin/python3
"""After a command's end the values of secrets are nowhere but in the app's own config file and in the copies of it from
before each push, which are root's: every file of console, agent and driver host is searched, every log, every process
title, whatever way the push went."""
import base64
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

OLD = "old-horse-battery-0"
CONFIG = '{\n  "LogLevel": "Info",\n  "Password": "%s",\n  "Opaque": { "Inner": "old-inner-value" },\n  "Name": "web"\n}\n' % OLD
# The app complains and quotes what it was given, as apps do.
KEYS = 'secret_keys: ["Opaque.**"]'


def forms(value):
    """How a value may lie in a file: as it is, as JSON has it, in base64 at each of three offsets (a signed command)."""
    raw = value.encode()
    found = {raw, json.dumps(value).encode()[1:-1]}
    for shift in range(3):
        text = base64.urlsafe_b64encode(b"\0" * shift + raw).rstrip(b"=")
        found.add(text[(shift * 4 + 2) // 3 + (1 if shift else 0):-1])
    return [f for f in found if len(f) >= 6]


def every_file(lab):
    """All of the lab's files but what is allowed: the app's own, files from before pushes, the operator's secret file."""
    for folder, _, names in os.walk(lab.dir):
        for name in names:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, lab.dir)
            if short.startswith(("apps/", "home/")) or "/before/" in short or name == "operators-secret":
                continue
            if os.path.isfile(path):
                yield short, path


def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "comm", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as f:
                    data = f.read()
            except OSError:
                continue
            if b"fleet" in data:
                yield f"/proc/{pid}/{name}", data


def nowhere(lab, values, what):
    for value in values:
        for form in forms(value):
            for short, path in every_file(lab):
                with open(path, "rb") as f:
                    check(form not in f.read(), f"{what}: {form!r} of {value} is in {short}")
            for name, data in processes():
                check(form not in data, f"{what}: {form!r} of {value} is in {name}")


def start(lab, **options):
    lab.console()
    agent = lab.agent("agent-001", apps=[lab.simulated("app-a", config=CONFIG, extra=KEYS, **options)],
                      args=["--heartbeat-interval", "1", "--log-level", "debug"])
    lab.ctl_ok("login", "--url", lab.url)
    lab.running("agent-001", "app-a")
    return agent


def push(lab, *args, code=0):
    done = lab.ctl("apps", "config", "agent-001", "app-a", *args, "--wait", timeout=60)
    check_equal(done.returncode, code, f"push {args} ({done.stdout!r} {done.stderr!r})")
    return done.stdout + done.stderr


def the_search_finds_what_is_there(lab):
    """A search that finds nothing anywhere proves nothing."""
    for n, form in enumerate(forms("needle-in-a-haystack")):
        lab.write(f"agent-001/{n}.db", "x" * 5000 + form.decode() + "y")
        try:
            nowhere(lab, ["needle-in-a-haystack"], "search")
        except harness.Failure as e:
            check_in(f"agent-001/{n}.db", str(e), "where")
        else:
            raise harness.Failure(f"{form!r} was not found")
        os.unlink(lab.path(f"agent-001/{n}.db"))
    for pad in ("", "a", "ab"):
        signed = base64.urlsafe_b64encode((pad + json.dumps({"value": "needle-in-a-haystack"})).encode()).decode()
        check(any(f.decode() in signed for f in forms("needle-in-a-haystack")), f"not found in a signed command: {signed}")


def pushes_that_succeed_leave_no_value(lab):
    start(lab)
    text = push(lab, "--set", "Password=first-staple-1", "--set-json", 'Opaque={"Inner":"second-staple-2","List":["third-staple-3"]}')
    secret = lab.write("operators-secret", "from-a-file-4\n", 0o600)
    text += push(lab, "--set-file", f"Password={secret}")
    text += push(lab, "--set-string", 'Opaque.Inner=with "quotes" and \\ in-5')
    text += push(lab, "--unset", "Password")
    values = [OLD, "old-inner-value", "first-staple-1", "second-staple-2", "third-staple-3", "from-a-file-4",
              'with "quotes" and \\ in-5']
    for value in values:
        check(value not in text, f"{value} is shown")
    nowhere(lab, values, "after pushes that succeeded")
    # dry runs, listings, the way back
    push(lab, "--set", "Password=never-written-6", "--dry-run")
    lab.ctl_ok("apps", "config", "agent-001", "app-a")
    first = lab.api("/api/agents/agent-001/apps/app-a/config/history")[-1]["commandId"]
    push(lab, "--restore", first)
    check_in(OLD, lab.read("apps/app-a.json"), "the file as it was")
    lab.until("a snapshot is there", lambda: lab.api("/api/agents/agent-001/apps/app-a/config/snapshots"))
    nowhere(lab, [*values, "never-written-6"], "after a dry run and a restore")
    # what is still there is root's alone
    for folder, mode in (("before", 0o700), ("files", 0o700)):
        check_equal(os.stat(lab.path("agent-001/host", folder)).st_mode & 0o777, mode, f"mode of {folder}")
    for name in os.listdir(lab.path("agent-001/host/before")):
        check_equal(os.stat(lab.path("agent-001/host/before", name)).st_mode & 0o777, 0o600, f"mode of before/{name}")
    for p in lab.processes:
        p.stop()
    nowhere(lab, [*values, "never-written-6"], "after the end")


def pushes_that_fail_leave_no_value(lab):
    agent = start(lab, stop_delay="1500ms", fail_start=lab.path("app-a.fails"))
    lab.write("app-a.fails", "")
    done = lab.ctl("apps", "config", "agent-001", "app-a", "--set", "Password=rolled-back-7", "--wait", timeout=60)
    check(done.returncode in (3, 5), f"the push ({done.stdout!r} {done.stderr!r})")
    check_equal(lab.read("apps/app-a.json"), CONFIG, "the file")
    os.unlink(lab.path("app-a.fails"))
    nowhere(lab, [OLD, "rolled-back-7"], "after a rollback")
    push(lab, "--set", "Password.Deeper=refused-value-8", code=3)
    push(lab, "--set", "Password=wrong-hash-9", "--expect", "0" * 64, code=3)
    nowhere(lab, [OLD, "refused-value-8", "wrong-hash-9"], "after refusals")
    # cut off in the middle, and taken up by the next host
    command = lab.command("agent-001", "push-config", appId="app-a", settings={"Password": "interrupted-10"})
    lab.until("the file is written", lambda: "interrupted-10" in lab.read("apps/app-a.json"))
    hosts = agent.children()
    agent.kill()
    for pid in hosts:
        lab.until("the host is gone", lambda pid=pid: not harness.lives(pid))
    lab.agent("agent-001", args=["--heartbeat-interval", "1"])
    lab.outcome(command["commandId"], timeout=60)
    nowhere(lab, [OLD, "interrupted-10"], "after an interruption")


def commands_that_never_run_leave_no_value(lab):
    agent = start(lab)
    agent.stop()
    command = lab.command("agent-001", "push-config", appId="app-a", settings={"Password": "cancelled-value-11"})
    check_equal(command["state"], "queued", "state")
    lab.ctl_ok("commands", "cancel", command["commandId"])
    nowhere(lab, ["cancelled-value-11"], "after it was cancelled")
    # one whose end the console does not live to see
    command = lab.command("agent-001", "push-config", appId="app-a", settings={"Password": "late-value-12"})
    lab.processes[0].kill()
    lab.console()
    lab.agent("agent-001", args=["--heartbeat-interval", "1"])
    check_equal(lab.outcome(command["commandId"])["state"], "succeeded", "the late push")
    nowhere(lab, ["late-value-12"], "after a push that outlived its console")


def many_pushes_at_once_leave_no_value(lab):
    """Large ones, too: pages of the database that are given back."""
    start(lab)
    values = [f"bulk-value-{n}-" + "v" * 3000 * (n % 4) + "." for n in range(12)]

    def one(value):
        answer = lab.post("/api/agents/agent-001/push-config", {"appId": "app-a", "settings": {"Password": value}})
        check_equal(answer.status, 202, f"{answer!r}")
        ids.append(answer.json["commandId"])
    ids = []
    threads = [threading.Thread(target=one, args=(v,)) for v in values]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in ids:
        lab.outcome(i, timeout=120)
    nowhere(lab, [v[:14] for v in values], "after many pushes")


if __name__ == "__main__":
    harness.main([
        the_search_finds_what_is_there,
        pushes_that_succeed_leave_no_value,
        pushes_that_fail_leave_no_value,
        commands_that_never_run_leave_no_value,
        many_pushes_at_once_leave_no_value,
    ])

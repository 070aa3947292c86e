#!/usr/bin/python3
"""An update while programs die and the link is cut, and how far it is meanwhile."""
import os
import select
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from updates import AGENT, begin, in_place, one_result, release  # noqa: E402


def asked_and_halted(lab, web, name, version):
    """An update whose download stands at half; its id."""
    web.halted.add("/" + name)
    url = web.put(name, release(version, padding=2_000_000))
    command = lab.command(AGENT, "update-app", appId="app-a", version=version, artifactUrl=url)
    lab.until("the download runs", lambda: web.requests(name) > 0)
    return command["commandId"]


def progress_is_seen_while_it_runs(lab):
    web, _, _ = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")

    def half():
        command = lab.api(f"/api/commands/{command_id}")
        return command["state"] == "running" and command.get("progress", {}).get("percent") is not None and command
    command = lab.until("the console tells how far it is", half)
    check_equal(command["progress"]["step"], "download", "the step")
    check(40 <= command["progress"]["percent"] <= 60, f"half of it: {command['progress']}")
    check_in("MB of ", command["progress"]["message"], "in words")
    check_in("Doing      download, ", lab.ctl_ok("commands", "show", command_id[-6:]), "commands show")
    done = lab.ctl("commands", "cancel", command_id[-6:])
    check_equal(done.returncode, 1, "a running one cannot be cancelled")
    check_in("only one that is still queued can be cancelled", done.stderr, "and that is told")
    waiting = subprocess.Popen([harness.program("fleetctl"), "commands", "wait", command_id[-6:]], env=lab.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        web.go.set()
        out, err = waiting.communicate(timeout=harness.DEADLINE)
    finally:
        waiting.kill()
    check_equal(waiting.returncode, 0, f"commands wait: {err}")
    check_in("app-a is v2.1.0 (was 2.0.0)", out, "commands wait tells the outcome")
    in_place(lab, "2.1.0")


def a_console_that_dies_meanwhile_hears_of_it(lab):
    web, console, _ = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")
    console.kill()
    console = lab.console()
    lab.online(AGENT)
    web.go.set()
    command = lab.outcome(command_id)
    check_equal((command["state"], command["toVersion"]), ("succeeded", "2.1.0"), f"its end: {command}")
    in_place(lab, "2.1.0")
    one_result(lab, command_id)


def half_of_the_file(lab, agent, command_id):
    """Stops the fetching process as soon as something of the file is there; how much, and the pid."""
    path = lab.path(AGENT, "fetch", command_id)

    def begun():
        for pid in agent.children():
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() == "fleet-fetch" and os.path.exists(path) and os.path.getsize(path) > 0:
                    os.kill(pid, signal.SIGSTOP)
                    return pid
        return None
    pid = lab.until("the download runs", begun, every=0.001)
    return os.path.getsize(path), pid


def a_console_that_dies_while_it_serves_goes_on_where_it_was(lab):
    _, console, agent = begin(lab)
    file = lab.path("file")
    with open(file, "wb") as f:
        f.write(release("2.1.0", padding=30_000_000))
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", file, timeout=120)
    command_id = lab.command(AGENT, "update-app", appId="app-a", version="2.1.0")["commandId"]
    have, pid = half_of_the_file(lab, agent, command_id)
    console.kill()
    console = lab.console()
    os.kill(pid, signal.SIGCONT)
    command = lab.outcome(command_id, 60)
    check_equal((command["state"], command["toVersion"]), ("succeeded", "2.1.0"), f"its end: {command}")
    in_place(lab, "2.1.0")
    one_result(lab, command_id)
    print(f"# cut after {have} of {os.path.getsize(file)} bytes")


def an_agent_that_dies_meanwhile_goes_on(lab):
    web, _, agent = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")
    lab.until("it is accepted", lambda: lab.api(f"/api/commands/{command_id}")["state"] in ("accepted", "running"))
    agent.kill()
    web.go.set()
    lab.agent(AGENT)
    command = lab.outcome(command_id, 60)
    check(command["state"] in ("succeeded", "failed"), f"its end: {command}")
    in_place(lab, "2.1.0" if command["state"] == "succeeded" else "2.0.0")
    lab.running(AGENT, "app-a")
    one_result(lab, command_id)
    print(f"# the update {command['state']}: {command.get('message')}")


def a_cut_for_the_whole_update_loses_nothing(lab):
    """The link is gone from the moment the server has the command until the app is updated."""
    web, console, _ = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")
    lab.until("it is accepted", lambda: lab.api(f"/api/commands/{command_id}")["state"] in ("accepted", "running"))
    waiting = subprocess.Popen([harness.program("fleetctl"), "commands", "wait", command_id], env=lab.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        check(select.select([waiting.stderr], [], [], harness.DEADLINE)[0], "who waits tells of no progress")
        console.stop()
        web.go.set()
        lab.until("the app is updated all the same", lambda: lab.read("srv/app-a/version") == "2.1.0\n")
        lab.console()
        out, err = waiting.communicate(timeout=harness.DEADLINE)
    finally:
        waiting.kill()
    check_equal(waiting.returncode, 0, f"who waited: {err}")
    check_in("app-a is v2.1.0 (was 2.0.0)", out, "who waited hears of it")
    in_place(lab, "2.1.0")
    one_result(lab, command_id)


if __name__ == "__main__":
    harness.main([progress_is_seen_while_it_runs, a_console_that_dies_meanwhile_hears_of_it,
                  a_console_that_dies_while_it_serves_goes_on_where_it_was, an_agent_that_dies_meanwhile_goes_on,
                  a_cut_for_the_whole_update_loses_nothing])

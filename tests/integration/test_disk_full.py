#!/usr/bin/python3
"""Disks that are full, or fill up meanwhile, at each place where an update or a push writes: the operator reads a clear
error, the old version runs on, and when there is room again the same command succeeds. Small file systems, so root only."""
import contextlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import updates  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402
from updates import AGENT, in_place, last_command, one_result, release  # noqa: E402

MB = 1 << 20


class Disk:
    """A file system of its own. fill() leaves that much, free() gives it back."""

    def __init__(self, lab, name, megabytes=64, mode="755"):
        self.folder = lab.path(name)
        os.makedirs(self.folder, exist_ok=True)
        if os.geteuid() != 0:
            raise Skip("only root can mount a small disk")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode={mode}", "none", self.folder], check=False,
                          capture_output=True).returncode != 0:
            raise Skip("no file system can be mounted here")
        lab.later.append(lambda: subprocess.run(["umount", "-l", self.folder], check=True))
        self.filler = os.path.join(self.folder, "filler")

    def left(self):
        fs = os.statvfs(self.folder)
        return fs.f_bavail * fs.f_frsize

    def fill(self, leave=0):
        with open(self.filler, "ab", buffering=0) as f:
            while self.left() > leave:
                try:
                    f.write(b"x" * min(MB, self.left() - leave))
                except OSError:
                    break  # somebody else took the last of it

    def free(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)


def start(lab, **options):
    """As updates.begin, with options of the simulated service."""
    web = updates.Web(lab)
    lab.console()
    app = updates.app(lab)
    for key, value in options.items():
        app = app.replace("service_options: {", f"service_options: {{{key}: {value}, ")
    lab.agent(AGENT, [app], args=["--heartbeat-interval", "1"])
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    return web


def pid(lab):
    return lab.running(AGENT, "app-a")["pid"]


def refused(lab, web, version, words, padding):
    """An update that ends before the app is stopped; what the operator reads."""
    before = pid(lab)
    _, err = updates.update(lab, version, "--artifact", web.put(version, release(version, padding=padding)), code=3)
    check_in("Update failed for app-a on agent-001: ", err, "the contract's words")
    check_in(words, err, "what the operator reads")
    command = last_command(lab)
    check(not any(s["step"] == "stop" for s in command["steps"]), f"the app was stopped for nothing: {command['steps']}")
    in_place(lab, "2.0.0")
    check_equal(pid(lab), before, "the app was touched")
    one_result(lab, command["commandId"])


def works(lab, web, version):
    updates.update(lab, version, "--artifact", web.put(version, release(version, padding=4 * MB)))
    in_place(lab, version)


def where(name, words, mode="755"):
    """One place, too small from the beginning."""
    def test(lab):
        disk = Disk(lab, name, mode=mode)
        web = start(lab)
        disk.fill(leave=2 * MB)
        refused(lab, web, "2.1.0", words, 8 * MB)
        disk.free()
        works(lab, web, "2.1.0")
    return test


def no_room_for_the_download(lab):
    where(f"{AGENT}/fetch", "the agent's disk is too full", "700")(lab)


def no_room_for_the_hosts_copy(lab):
    where(f"{AGENT}/host/staging", "no room for", "700")(lab)


def no_room_for_the_release(lab):
    where("srv", "no room for", "755")(lab)


def below(process_id):
    with contextlib.suppress(OSError), open(f"/proc/{process_id}/task/{process_id}/children", encoding="ascii") as f:
        return [p for child in f.read().split() for p in [int(child), *below(int(child))]]
    return []


def comm(process_id):
    with contextlib.suppress(OSError), open(f"/proc/{process_id}/comm", encoding="ascii") as f:
        return f.read().strip()
    return ""


def fills_up_while_it_is_unpacked(lab):
    """There was room when it was looked at; somebody else takes it while the release is half unpacked."""
    disk = Disk(lab, "srv", megabytes=256)
    web = start(lab)
    before = pid(lab)
    agent = next(p for p in lab.processes if p.label == AGENT)
    command = lab.command(AGENT, "update-app", appId="app-a", version="2.1.0",
                          artifactUrl=web.put("a", release("2.1.0", padding=90 * MB)))
    beside = lab.path("srv/.app-a.fleet")

    def half_way():
        for folder, _, names in os.walk(beside):
            if "padding" in names and os.path.getsize(os.path.join(folder, "padding")) > 0:
                return folder
        return None
    lab.until("it is being unpacked", half_way, every=0.001)
    unpacker = [p for p in below(agent.pid) if comm(p) == "fleet-unpack"]
    check_equal(len(unpacker), 1, "unpackers that run")
    os.kill(unpacker[0], signal.SIGSTOP)
    disk.fill()
    os.kill(unpacker[0], signal.SIGCONT)
    command = lab.outcome(command["commandId"], timeout=60)
    check_equal((command["state"], command["errorCode"]), ("failed", "no-space"), f"its end: {command}")
    check("No space left on device" in command["message"] or "no room for" in command["message"], f"why: {command['message']}")
    check_in("Nothing was changed", command["message"], "what it means")
    check(not any(s["step"] == "stop" for s in command["steps"]), "the app was stopped for nothing")
    print(f"# {command['message']}")
    in_place(lab, "2.0.0")
    check_equal(pid(lab), before, "the app was touched")
    one_result(lab, command["commandId"])
    disk.free()
    works(lab, web, "2.2.0")


def from_the_stop_on(lab, name, mode, rounds):
    """The disk fills up while the app stops; one whole version runs afterwards, and what happened is told once. Which of the
    two depends on whether what is written from then on still found room: a file's last page may have some."""
    disk = Disk(lab, name, mode=mode)
    if name != "srv":
        Disk(lab, f"{name}/drivers", mode="700")  # the simulated service itself is not what is tried
    web = start(lab, stop_delay="500ms")
    version, failures = "2.0.0", 0
    for number in range(rounds):
        asked, before = f"2.1.{number}", pid(lab)
        command = lab.command(AGENT, "update-app", appId="app-a", version=asked,
                              artifactUrl=web.put("a", release(asked, padding=MB)))["commandId"]

        def stopping(command=command):
            seen = lab.api(f"/api/commands/{command}")
            return seen.get("progress", {}).get("step") == "stop" or seen["state"] in ("succeeded", "failed")
        lab.until("the app is being stopped", stopping, every=0.01)
        disk.fill()
        lab.until("the app runs again", lambda c=command, was=before: ended_or_restarted(lab, c, was), timeout=60)
        disk.free()
        ended = lab.outcome(command, timeout=60)
        check(ended["state"] in ("succeeded", "failed"), f"its end: {ended}")
        if ended["state"] == "succeeded":
            version = asked
        else:
            failures += 1
            check_in("No space left on device", ended["message"], "why")
            print(f"# {ended['message']}")
        in_place(lab, version)
        lab.running(AGENT, "app-a")
        one_result(lab, command)
        if version != "2.0.0":
            check_in("previous", os.listdir(lab.path("srv/.app-a.fleet")), "the version before is kept, disk full or not")
    print(f"# {rounds} updates: {failures} found no room and left the old version running")
    works(lab, web, "2.2.0")
    return failures


def ended_or_restarted(lab, command, before):
    app = lab.app(AGENT, "app-a")
    return lab.api(f"/api/commands/{command}")["state"] in ("succeeded", "failed") or (
        app.get("status") == "running" and app["pid"] != before)


def the_tree_is_full_from_the_stop_on(lab):
    from_the_stop_on(lab, "srv", "755", 2)


def the_ledger_is_full_from_the_stop_on(lab):
    check(from_the_stop_on(lab, f"{AGENT}/host", "700", 6) > 0, "the ledger always found room")


def the_agent_is_full_from_the_stop_on(lab):
    """Its spool: what the host has to tell waits there until there is room."""
    outer = Disk(lab, AGENT, mode="700")
    Disk(lab, f"{AGENT}/host", mode="700")
    web = start(lab, stop_delay="1s")
    command = lab.command(AGENT, "update-app", appId="app-a", version="2.1.0",
                          artifactUrl=web.put("a", release("2.1.0", padding=4 * MB)))
    lab.until("the app is being stopped", lambda: lab.api(f"/api/commands/{command['commandId']}").get(
        "progress", {}).get("step") in ("stop", "swap", "start", "health", "keep"), every=0.01)
    outer.fill()
    lab.until("the new version is in place", lambda: lab.read("srv/app-a/version") == "2.1.0\n")
    outer.free()
    ended = lab.outcome(command["commandId"], timeout=90)
    check_equal(ended["state"], "succeeded", f"its end: {ended}")
    one_result(lab, command["commandId"])
    in_place(lab, "2.1.0")


def no_room_for_the_ledger(lab):
    """What cannot be written down is not done."""
    disk = Disk(lab, f"{AGENT}/host", megabytes=16, mode="700")
    start(lab)
    before = pid(lab)
    disk.fill()
    ended = lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"], timeout=60)
    check_equal(ended["state"], "failed", f"its end: {ended}")
    check_in("No space left on device", ended["message"], "why")
    check_equal(pid(lab), before, "the app was touched")
    disk.free()
    ended = lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"], timeout=60)
    check_equal(ended["state"], "succeeded", f"with room: {ended}")


def no_room_for_a_config_file(lab):
    disk = Disk(lab, "srv")
    start(lab)
    before, text = pid(lab), lab.read("srv/app-a/app.json")
    disk.fill()
    ended = lab.outcome(lab.command(AGENT, "push-config", appId="app-a", settings={"b": "x" * 9000})["commandId"])
    check_equal((ended["state"], ended["errorCode"]), ("failed", "write-failed"), f"its end: {ended}")
    check_in("No space left on device", ended["message"], "why")
    check_equal((lab.read("srv/app-a/app.json"), pid(lab)), (text, before), "the file, and the app")
    check_equal([n for n in os.listdir(lab.path("srv/app-a")) if n not in ("app.json", "data", "program", "version")], [],
                "left beside it")
    disk.free()
    ended = lab.outcome(lab.command(AGENT, "push-config", appId="app-a", settings={"b": "x" * 9000})["commandId"])
    check_equal(ended["state"], "succeeded", f"with room: {ended}")


if __name__ == "__main__":
    harness.main([
        no_room_for_the_download,
        no_room_for_the_hosts_copy,
        no_room_for_the_release,
        fills_up_while_it_is_unpacked,
        the_tree_is_full_from_the_stop_on,
        the_ledger_is_full_from_the_stop_on,
        the_agent_is_full_from_the_stop_on,
        no_room_for_the_ledger,
        no_room_for_a_config_file,
    ])

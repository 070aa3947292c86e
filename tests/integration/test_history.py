#!/usr/bin/python3
"""Who changed an app's settings: what a push would do, what pushes did, the way back, and changes outside Fleet."""
import glob
import hashlib
import json
import os
import re
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

SECRET = "correct-horse-battery"
CONFIG = """{
  // the old password was %s-old
  "LogLevel": "Info",
  "Password": "%s",
  "Limits": { "Connections": 100 },
  "PoolToken": "pool-of-secrets-1"
}
""" % (SECRET, SECRET)
HASH = re.compile(r"sha256:[0-9a-f]{64}")


def start(lab, **more):
    lab.console()
    agent = lab.agent("agent-001", apps=[lab.simulated("app-a", config=CONFIG, **more), lab.simulated("app-b")],
                      args=["--heartbeat-interval", "1"])
    lab.ctl_ok("login", "--url", lab.url)
    lab.running("agent-001", "app-a")
    known(lab)
    return agent


def config(lab, *args, **kw):
    return lab.ctl("apps", "config", "agent-001", "app-a", *args, **kw)


def known(lab, app="app-a"):
    """Until the driver host has looked at the file as it is now."""
    path = os.path.realpath(lab.path(f"apps/{app}.json"))

    def recorded():
        listing = lab.get(f"/api/agents/agent-001/apps/{app}/config").json
        for name in glob.glob(lab.path("agent-001/host/files/*")):
            if name.endswith(".lock") or ".partial-" in name:
                continue
            with open(name, encoding="utf-8") as f:
                record = json.load(f)
            if record["path"] == path and record["now"]["hash"] == listing.get("hash") and "next" not in record:
                return True
        return False
    lab.until(f"the host knows {path}", recorded)


def two_beats(lab):
    for _ in range(2):
        seen = lab.api("/api/agents/agent-001")["lastSeen"]
        lab.until("a heartbeat came", lambda: lab.api("/api/agents/agent-001")["lastSeen"] > seen)


def outside(lab):
    return [e for e in lab.audit(category="config") if "outside Fleet" in e["message"]]


def a_dry_run_shows_lines_and_does_nothing(lab):
    agent = start(lab)
    before = lab.app("agent-001", "app-a")
    inode = os.stat(lab.path("apps/app-a.json")).st_ino
    done = config(lab, "--set", "LogLevel=Debug", "--set", "Password=new-staple-9", "--dry-run")
    check_equal(done.returncode, 0, f"exit status ({done.stderr!r})")
    for line in ('-  "LogLevel": "Info",', '+  "LogLevel": "Debug",', '-  "Password": "HIDDEN-OLD",',
                 '+  "Password": "HIDDEN-NEW",', '   "Limits": { "Connections": 100 },', '   "PoolToken": "HIDDEN"'):
        check_in(line + "\n", done.stdout, "the diff")
    check_in("--- " + lab.path("apps/app-a.json") + "\n", done.stdout, "the diff's file")
    for secret in (SECRET, "new-staple-9", "pool-of-secrets"):
        check(secret not in done.stdout + done.stderr, f"{secret} is shown: {done.stdout}")
        check(secret not in str(lab.api("/api/commands?limit=1000")), f"{secret} is in the commands")
    check("\033" not in done.stdout, "colours in a pipe")
    check_in("2 settings would change, nothing was written", done.stdout, "the end")
    digest = HASH.search(done.stdout).group(0)
    check_equal(digest, config(lab, "--json").stdout and json.loads(config(lab, "--json").stdout)["hash"], "the file's hash")
    check_equal(lab.read("apps/app-a.json"), CONFIG, "the file")
    check_equal(os.stat(lab.path("apps/app-a.json")).st_ino, inode, "inode")
    check_equal(glob.glob(lab.path("agent-001/host/before/*")), [], "what is kept of a dry run")
    lab.post("/api/agents/agent-001/ping")
    check_equal(lab.app("agent-001", "app-a")["pid"], before["pid"], "pid")
    check_equal(lab.api("/api/agents/agent-001/apps/app-a/config/history"), [], "history of a dry run")

    # the promise of --expect: only while the file still is what was shown
    text = CONFIG.replace("100", "101")
    lab.write("apps/app-a.json", text)
    moved = json.loads(config(lab, "--json").stdout)["hash"]
    done = config(lab, "--set", "LogLevel=Debug", "--expect", digest, "--wait")
    check_equal(done.returncode, 3, f"exit status ({done.stdout!r} {done.stderr!r})")
    for words in (digest, moved, "Nothing was done"):
        check_in(words, done.stderr, "why it is refused")
    check_equal(lab.read("apps/app-a.json"), text, "the file")
    check_equal(config(lab, "--set", "LogLevel=Debug", "--expect", moved[7:], "--wait").returncode, 0, "with the new hash")
    check_in('"LogLevel": "Debug"', lab.read("apps/app-a.json"), "the file")
    check_equal(agent.ended(), None, "the agent")


def what_the_driver_cannot_hide_is_not_shown(lab):
    """A key that stands twice is no setting for its first value; an alias cannot be written over."""
    lab.console()
    lab.agent("agent-001", apps=[
        lab.simulated("app-a", config='{"Password": "first-secret",\n"Password": "second-secret", "A": 1}\n'),
        lab.simulated("app-b", config="shared: &it third-secret\nPassword: *it\nA: 1\n", extra="config_driver: yaml-config")])
    for app in ("app-a", "app-b"):
        lab.running("agent-001", app)
        ended = lab.outcome(lab.command("agent-001", "push-config", appId=app, settings={"A": 2}, dryRun=True)["commandId"])
        check_equal(ended["state"], "succeeded", f"state ({ended})")
        check("-secret" not in str(ended), f"a secret is shown: {ended}")
        if app == "app-b":
            check("unifiedDiff" not in ended, "a diff is shown")
            check_in("cannot hide the secrets", ended["unifiedDiffNote"], "why not")


def a_long_diff_is_cut(lab):
    lines = "\n".join(f"// {n} " + "x" * 90 for n in range(3000))
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a", config="{\n" + lines + '\n"A": 1 }\n')])
    lab.running("agent-001", "app-a")
    ended = lab.outcome(lab.command("agent-001", "push-config", appId="app-a", settings={"A": 2})["commandId"])
    check_equal(ended["state"], "succeeded", f"state ({ended})")
    lab.write("apps/app-a.json", '{ "A": 3 }\n')
    ended = lab.outcome(lab.command("agent-001", "push-config", appId="app-a", restoreOf=ended["commandId"], dryRun=True)["commandId"])
    check_equal(ended["state"], "succeeded", f"state ({ended})")
    check(len(ended["unifiedDiff"]) <= 64 * 1024, f"{len(ended['unifiedDiff'])} bytes")
    check_equal(ended["unifiedDiff"].count("\n") + ended["unifiedDiffLeft"], 3000 + 3 + 1 + 2, "lines")


def settings_from_files_and_of_every_kind(lab):
    start(lab)
    secret = lab.write("secret", SECRET + "-2\n", 0o600)
    done = config(lab, "--set-file", f"Password={secret}", "--set-string", "Port=80", "--set-json", 'Tags=["x",1]', "--unset",
                  "PoolToken", "--file", "main", "--wait")
    check_equal(done.returncode, 0, f"exit status ({done.stderr!r})")
    check_equal(lab.read("apps/app-a.json").split("\n", 2)[1], CONFIG.split("\n", 2)[1], "the comment")
    text = re.sub("//.*", "", lab.read("apps/app-a.json"))
    check_equal(json.loads(text), {"LogLevel": "Info", "Password": SECRET + "-2", "Limits": {"Connections": 100}, "Port": "80",
                                   "Tags": ["x", 1]}, "the file")
    check(SECRET not in done.stdout + done.stderr, f"a secret is shown: {done.stdout}")


def every_push_has_its_way_back(lab):
    start(lab)
    path = lab.path("apps/app-a.json")
    os.chmod(path, 0o604)
    if os.geteuid() == 0:
        os.chown(path, 1, 2)
    owner = os.stat(path)
    ids = []
    for n, setting in enumerate(("LogLevel=Debug", "Password=" + SECRET + "-2", "Limits.Connections=7")):
        done = config(lab, "--set", setting, "--wait", "--json")
        check_equal(done.returncode, 0, f"push {n} ({done.stderr!r})")
        ids.append(json.loads(done.stdout)["commandId"])
    history = json.loads(config(lab, "--history", "--json").stdout)
    check_equal([(e["commandId"], e["actor"], e["changedKeys"], e["state"]) for e in history],
                [(i, "operator@cli", [k], "succeeded") for i, k in
                 zip(reversed(ids), ("Limits.Connections", "Password", "LogLevel"))], "history")
    check_equal(history[2]["diff"], [{"key": "LogLevel", "before": "Info", "after": "Debug", "masked": False}], "before and after")
    check_equal(history[1]["diff"], [{"key": "Password", "masked": True}], "a secret's before and after")
    check_equal(len(json.loads(config(lab, "--history", "--json", "--last", "1").stdout)), 1, "--last")
    page = lab.get("/api/agents/agent-001/apps/app-a/config/history?limit=2")
    check_equal([e["commandId"] for e in page.json], [ids[2], ids[1]], "the first page")
    following = re.search(r"<(.*?)>", page.headers["link"]).group(1)
    check_equal([e["commandId"] for e in lab.api(following)], [ids[0]], "the second page")
    check_equal(lab.api("/api/agents/agent-001/apps/app-a/config/history?file=other"), [], "of another file")
    # the file as it was before the second push: with the password of then, which the console never had
    pid = lab.app("agent-001", "app-a")["pid"]
    done = config(lab, "--restore", ids[1][-6:], "--wait")
    check_equal(done.returncode, 0, f"restore ({done.stdout!r} {done.stderr!r})")
    check_equal(lab.read("apps/app-a.json"), CONFIG.replace('"Info"', '"Debug"'), "the file")
    now = os.stat(path)
    check_equal((stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid), (0o604, owner.st_uid, owner.st_gid), "mode and owner")
    lab.restarted("agent-001", "app-a", pid)
    text = config(lab, "--history").stdout
    check_in(f"as before {ids[1][-6:]}", text, "the restore in the history")
    check_in("LogLevel: Info → Debug", text, "the first push in the history")
    check_in("Password: changed (values hidden)", text, "the second push in the history")
    # what the server no longer has
    os.unlink(lab.path("agent-001/host/before", ids[0]))
    done = config(lab, "--restore", ids[0][-6:], "--wait")
    check_equal(done.returncode, 3, f"restore of what is gone ({done.stdout!r})")
    check_in("keeps no earlier file of command", done.stderr, "why")
    two_beats(lab)
    check_equal(outside(lab), [], "changes that are called outside")


def a_change_by_hand_is_told_once(lab):
    start(lab)
    lab.write("apps/app-a.json", CONFIG.replace("100", "250").replace(SECRET + '",', 'by-hand-secret",'))
    events = lab.until("the change is in the audit log", lambda: outside(lab))
    check_equal(events[0]["message"], "app-a's config changed outside Fleet: Limits.Connections, Password", "message")
    check_equal((events[0]["agentId"], events[0]["appId"], events[0].get("commandId")), ("agent-001", "app-a", None), "whose")
    check_equal(events[0]["details"]["keys"], ["Limits.Connections", "Password"], "keys")
    check("250" not in str(events) and "by-hand" not in str(events), "values are in the audit log")
    two_beats(lab)
    check_equal(len(outside(lab)), 1, "events")
    history = lab.api("/api/agents/agent-001/apps/app-a/config/history")
    check_equal([(e["kind"], e["changedKeys"]) for e in history], [("outside", ["Limits.Connections", "Password"])], "history")
    check_in("outside Fleet", config(lab, "--history").stdout, "fleetctl's history")
    # a push after it is not told as one, and is not mixed up with it
    check_equal(config(lab, "--set", "LogLevel=Debug", "--wait").returncode, 0, "a push")
    two_beats(lab)
    check_equal(len(outside(lab)), 1, "events after a push")
    # what happens within the minute after is told when it is over
    lab.write("apps/app-b.json", harness.PLAIN_CONFIG.replace("Info", "Trace"))
    lab.until("the other file's change is told", lambda: len(outside(lab)) == 2)


def a_change_before_a_push_is_told_before_it(lab):
    """Made between two looks: the push finds it."""
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a", config=CONFIG)], args=["--heartbeat-interval", "20"])
    lab.running("agent-001", "app-a")
    known(lab)
    lab.write("apps/app-a.json", CONFIG.replace("100", "250"))
    ended = lab.outcome(lab.command("agent-001", "push-config", appId="app-a", settings={"LogLevel": "Debug"})["commandId"])
    check_equal((ended["state"], ended["changedKeys"]), ("succeeded", ["LogLevel"]), "the push")
    events = lab.until("the change is told", lambda: outside(lab))
    check_equal([e["message"] for e in events], ["app-a's config changed outside Fleet: Limits.Connections"], "events")
    kinds = [e["kind"] for e in lab.api("/api/agents/agent-001/apps/app-a/config/history")]
    check_equal(sorted(kinds), ["outside", "push"], "history")


def a_change_while_the_agent_was_away_is_told(lab):
    agent = start(lab)
    known(lab, "app-b")
    agent.stop()
    lab.write("apps/app-a.json", CONFIG.replace('"Info"', '"Warn"'))
    os.unlink(lab.path("apps/app-b.json"))
    lab.agent("agent-001", args=["--heartbeat-interval", "1"])
    events = lab.until("both changes are in the audit log", lambda: len(outside(lab)) == 2 and outside(lab))
    check_equal(sorted(e["message"] for e in events), ["app-a's config changed outside Fleet: LogLevel",
                                                       "app-b's config was removed outside Fleet"], "messages")
    lab.processes[-1].stop()
    lab.agent("agent-001", args=["--heartbeat-interval", "1"])
    two_beats(lab)
    check_equal(len(outside(lab)), 2, "events after another start")


def a_change_while_the_console_was_away_is_told(lab):
    start(lab)
    lab.until("the first snapshot", lambda: lab.api("/api/agents/agent-001/apps/app-a/config/snapshots"))
    lab.processes[0].stop()
    lab.write("apps/app-a.json", CONFIG.replace('"Info"', '"Warn"'))
    path = os.path.realpath(lab.path("apps/app-a.json"))
    digest = hashlib.sha256(lab.read(path).encode()).hexdigest()

    def noticed():
        for name in glob.glob(lab.path("agent-001/host/files/*")):
            with open(name, encoding="utf-8") as f:
                text = f.read()
            if path in text and digest in text:
                return True
        return False
    lab.until("the host noticed", noticed, timeout=60)
    lab.console()
    lab.online("agent-001", timeout=60)
    events = lab.until("the change is in the audit log", lambda: outside(lab))
    check_equal([e["message"] for e in events], ["app-a's config changed outside Fleet: LogLevel"], "messages")


def a_file_that_flaps_does_not_flood(lab):
    start(lab)
    stop = []

    def flaps():
        stop.append(1)
        lab.write("apps/app-a.json", CONFIG.replace("100", str(len(stop))))
        return len(stop) > 60
    lab.until("it was changed sixty times", flaps, every=0.1)
    two_beats(lab)
    check_equal(len(outside(lab)), 1, "events")


def comments_and_broken_files_are_told_as_such(lab):
    start(lab)
    lab.write("apps/app-a.json", CONFIG.replace("// the", "// once the"))
    lab.write("apps/app-b.json", '{ "LogLevel": "hunter2-broken')
    events = lab.until("both are told", lambda: len(outside(lab)) == 2 and outside(lab))
    check_equal(sorted(e["message"] for e in events), [
        "app-a's config changed outside Fleet: no setting, only what stands around them",
        "app-b's config changed outside Fleet: json-config cannot read it as it is now"], "messages")


def what_fleet_does_is_not_outside(lab):
    agent = start(lab, stop_delay="1500ms", fail_start=lab.path("app-a.fails"))
    # fails, and is rolled back
    lab.write("app-a.fails", "")
    done = config(lab, "--set", "LogLevel=Debug", "--wait", timeout=60)
    check_equal(done.returncode in (3, 5), True, f"the push ({done.stdout!r} {done.stderr!r})")
    check_equal(lab.read("apps/app-a.json"), CONFIG, "the file after the rollback")
    os.unlink(lab.path("app-a.fails"))
    two_beats(lab)
    # is cut off in the middle of the restart: agent and host die, and the next host undoes or finishes it
    command = lab.command("agent-001", "push-config", appId="app-a", settings={"LogLevel": "Trace"})
    lab.until("the file is written", lambda: "Trace" in lab.read("apps/app-a.json"))
    hosts = agent.children()
    agent.kill()
    for pid in hosts:
        lab.until("the host is gone", lambda pid=pid: not harness.lives(pid))
    lab.agent("agent-001", args=["--heartbeat-interval", "1"])
    ended = lab.outcome(command["commandId"], timeout=60)
    check_in(ended["state"], ("failed", "succeeded"), "the interrupted push")
    known(lab)
    two_beats(lab)
    check_equal([e["message"] for e in outside(lab)], [], "what is called outside")
    # and a change by hand after all that still is one
    lab.write("apps/app-a.json", lab.read("apps/app-a.json").replace("100", "77"))
    events = lab.until("the change by hand is told", lambda: outside(lab))
    check_equal(events[0]["message"], "app-a's config changed outside Fleet: Limits.Connections", "message")


def snapshots_are_kept_when_a_file_changes(lab):
    start(lab)
    url = "/api/agents/agent-001/apps/app-a/config/snapshots"
    first = lab.until("the first snapshot", lambda: lab.api(url))
    check_equal(len(first), 1, "snapshots")
    settings = {s["key"]: s for s in first[0]["settings"]}
    check_equal(settings["LogLevel"]["value"], "Info", "a setting")
    check_equal((settings["Password"].get("masked"), settings["Password"].get("value")), (True, None), "a secret")
    check_equal(first[0]["hash"], lab.api("/api/agents/agent-001/apps/app-a/config")["hash"], "hash")
    two_beats(lab)
    check_equal(len(lab.api(url)), 1, "snapshots of an unchanged file")


if __name__ == "__main__":
    harness.main([
        a_dry_run_shows_lines_and_does_nothing,
        what_the_driver_cannot_hide_is_not_shown,
        a_long_diff_is_cut,
        settings_from_files_and_of_every_kind,
        every_push_has_its_way_back,
        a_change_by_hand_is_told_once,
        a_change_before_a_push_is_told_before_it,
        a_change_while_the_agent_was_away_is_told,
        a_change_while_the_console_was_away_is_told,
        a_file_that_flaps_does_not_flood,
        comments_and_broken_files_are_told_as_such,
        what_fleet_does_is_not_outside,
        snapshots_are_kept_when_a_file_changes,
    ])

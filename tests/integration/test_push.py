#!/usr/bin/python3
"""Config pushes as an app's owner sees them: the file differs in what was asked and in nothing else."""
import contextlib
import glob
import os
import stat
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402


def push(lab, agent, app, timeout=harness.DEADLINE, **body):
    return lab.outcome(lab.command(agent, "push-config", appId=app, **body)["commandId"], timeout)


def only_the_named_line_changes(lab):
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    before = lab.running("agent-001", "app-a")
    path = lab.path("apps/app-a.json")
    os.chmod(path, 0o640)
    if os.geteuid() == 0:
        os.chown(path, 1, 1)
    owner = (os.stat(path).st_uid, os.stat(path).st_gid)
    ended = push(lab, "agent-001", "app-a", settings={"LogLevel": "Debug"})
    check_equal(ended["state"], "succeeded", f"state ({ended})")
    check_equal(ended["changedKeys"], ["LogLevel"], "changedKeys")
    check_equal(lab.read("apps/app-a.json"), harness.PLAIN_CONFIG.replace('"Info"', '"Debug"'), "the file")
    check_equal(stat.S_IMODE(os.stat(path).st_mode), 0o640, "mode")
    check_equal((os.stat(path).st_uid, os.stat(path).st_gid), owner, "owner and group")
    check_equal(os.listdir(os.path.dirname(path)), ["app-a.json"], "what lies beside the file")
    lab.restarted("agent-001", "app-a", before["pid"])


def settings_keep_their_type_and_come_and_go(lab):
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    lab.running("agent-001", "app-a")
    for body, old, new in (
        ({"settings": {"Limits.Connections": "250"}}, "100", "250"),
        ({"settings": {"Limits.Connections": 7}}, "250", "7"),
        ({"settings": {"Tags[1]": "c"}}, '"b"', '"c"'),
        ({"stringSettings": {"LogLevel": "5"}}, '"Info"', '"5"'),
    ):
        text = lab.read("apps/app-a.json")
        ended = push(lab, "agent-001", "app-a", **body)
        check_equal(ended["state"], "succeeded", f"push of {body} ({ended.get('message')})")
        check_equal(lab.read("apps/app-a.json"), text.replace(old, new), f"the file after {body}")
    before = lab.read("apps/app-a.json")
    check_equal(push(lab, "agent-001", "app-a", settings={"Extra": True})["state"], "succeeded", "a new key")
    check_in('"Extra": true', lab.read("apps/app-a.json"), "the file with a new key")
    check_equal(push(lab, "agent-001", "app-a", unset=["Extra"])["state"], "succeeded", "unset")
    check_equal(lab.read("apps/app-a.json"), before, "the file after set and unset")


def a_push_without_a_change_restarts_nothing(lab):
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    before = lab.running("agent-001", "app-a")
    inode = os.stat(lab.path("apps/app-a.json")).st_ino
    ended = push(lab, "agent-001", "app-a", settings={"LogLevel": "Info"})
    check_equal(ended["state"], "succeeded", "state")
    check_equal(ended.get("changedKeys", []), [], "changedKeys")
    check_equal(os.stat(lab.path("apps/app-a.json")).st_ino, inode, "inode of the file")
    lab.post("/api/agents/agent-001/ping")
    check_equal(lab.app("agent-001", "app-a")["pid"], before["pid"], "pid")


def stop_simulated(lab, agent, app):
    """As an admin would with systemctl stop: the simulated service keeps its state in a file."""
    def files():
        return [p for p in glob.glob(lab.path(agent, "host/**/state"), recursive=True) if app in p and "simulated" in p]
    path = lab.until("the simulated service has a state", files)[0]
    with open(path, encoding="ascii") as f:
        words = f.read().split()
    words[1] = "0"  # wanted
    with open(path, "w", encoding="ascii") as f:
        f.write(" ".join(words) + "\n")
    lab.post(f"/api/agents/{agent}/ping")
    lab.until("the app is stopped", lambda: lab.app(agent, app)["status"] == "stopped")


def the_first_push_creates_the_file(lab):
    """And the directory it lies in, where the declaration lets it; without that word nothing is made."""
    lab.console()
    drop_in = lab.path("units/app-a.service.d/50-fleet.conf")
    os.mkdir(lab.path("units"), 0o750)
    declared = f"config_path: {drop_in}\nconfig_driver: systemd-unit\n"
    lab.agent("agent-001", apps=[lab.simulated("app-a", config=None, extra=declared + "config_create: true"),
                                 lab.simulated("app-b", config=None, extra=declared.replace("app-a", "app-b"))])
    lab.running("agent-001", "app-a")
    ended = push(lab, "agent-001", "app-b", settings={"Service.MemoryMax": "1G"})
    check_equal((ended["state"], ended["errorCode"]), ("failed", "write-failed"), f"a push that may not create ({ended})")
    ended = push(lab, "agent-001", "app-a", settings={"Service.MemoryMax": "1G"}, dryRun=True)
    check_equal(ended["state"], "succeeded", f"a dry run ({ended.get('message')})")
    check_equal(os.listdir(lab.path("units")), [], "what a dry run and a refused push left")
    ended = push(lab, "agent-001", "app-a", settings={"Service.MemoryMax": "1G"})
    check_equal(ended["state"], "succeeded", f"state ({ended.get('message')})")
    check_equal(lab.read("units/app-a.service.d/50-fleet.conf"), "[Service]\nMemoryMax=1G\n", "the file")
    check_equal(os.listdir(os.path.dirname(drop_in)), ["50-fleet.conf"], "what lies in the directory")
    check_equal(stat.S_IMODE(os.stat(os.path.dirname(drop_in)).st_mode), 0o750, "mode of the directory: its parent's")


def a_stopped_app_stays_stopped(lab):
    """Not verified: nothing was there to be checked."""
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    lab.running("agent-001", "app-a")
    stop_simulated(lab, "agent-001", "app-a")
    ended = push(lab, "agent-001", "app-a", settings={"LogLevel": "Debug"})
    check_equal(ended["state"], "succeeded", f"state ({ended})")
    check_in("not verified", ended["message"], "message")
    check_in('"Debug"', lab.read("apps/app-a.json"), "the file")
    lab.post("/api/agents/agent-001/ping")
    check_equal(lab.app("agent-001", "app-a")["status"], "stopped", "status after the push")


class Allergic:
    """A service that does not come up while its config holds a word."""

    def __init__(self, lab, app, word):
        self.config, self.word = lab.path("apps", app + ".json"), word
        self.switch = lab.path(app + ".fails")
        self.end = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        lab.later.append(self.end.set)

    def _watch(self):
        while not self.end.wait(0.01):
            with contextlib.suppress(OSError):
                with open(self.config, encoding="utf-8") as f:
                    ill = self.word in f.read()
                if ill and not os.path.exists(self.switch):
                    open(self.switch, "w").close()
                elif not ill and os.path.exists(self.switch):
                    os.unlink(self.switch)


def an_app_that_does_not_come_up_gets_its_old_file_back(lab):
    lab.console()
    for app, option in (("app-a", "fail_start"), ("app-b", "fail_health")):
        lab.simulated(app)
        Allergic(lab, app, "Debug")
    lab.agent("agent-001", apps=[lab.simulated("app-a", stop_delay="300ms", fail_start=lab.path("app-a.fails")),
                                 lab.simulated("app-b", stop_delay="300ms", fail_health=lab.path("app-b.fails"))])
    for app in ("app-a", "app-b"):
        before = lab.running("agent-001", app)
        ended = push(lab, "agent-001", app, settings={"LogLevel": "Debug"}, timeout=60)
        check_equal(ended["state"], "failed", f"{app}: state ({ended})")
        check_equal(ended.get("rolledBack"), True, f"{app}: rolledBack ({ended})")
        check_equal(ended.get("appHealthy"), True, f"{app}: appHealthy ({ended})")
        check_equal(lab.read(f"apps/{app}.json"), harness.PLAIN_CONFIG, f"{app}: the file")
        lab.restarted("agent-001", app, before["pid"])  # anew, with its old file
    lab.ctl_ok("login", "--url", lab.url)
    done = lab.ctl("apps", "config", "agent-001", "app-a", "--set", "LogLevel=Debug", "--wait", timeout=60)
    check_equal(done.returncode, 3, f"exit status: failed, the app is as before ({done.stdout!r} {done.stderr!r})")


def what_cannot_be_done_changes_nothing(lab):
    """Failures that the server finds: the file stays byte for byte, the app is not touched, the sentence names the reason."""
    lab.console()
    lab.agent("agent-001", apps=[
        lab.simulated("app-a"),
        lab.simulated("broken", config='{\n  "LogLevel": "Info",\n  oops\n}\n'),
        lab.simulated("bare", config=None),
        lab.simulated("closed", extra="allow: [restart]"),
        lab.simulated("keyed", extra="config_keys: {deny: [\"Secret*\"]}"),
    ])
    for app in ("app-a", "broken", "closed", "keyed"):
        lab.running("agent-001", app)
    for app, body, code, words in (
        ("broken", {"settings": {"LogLevel": "Debug"}}, "parse-failed", "3:"),
        ("bare", {"settings": {"LogLevel": "Debug"}}, None, "config"),
        ("closed", {"settings": {"LogLevel": "Debug"}}, "not-allowed-by-server", "push-config"),
        ("keyed", {"settings": {"SecretWord": "x"}}, "not-allowed-by-server", "SecretWord"),
        ("app-a", {"settings": {"LogLevel.Deeper": "x"}}, "invalid-settings", "LogLevel"),
        ("app-a", {"settings": {"Tags[9]": "x"}}, "invalid-settings", "Tags"),
        ("app-a", {"file": "other", "settings": {"LogLevel": "x"}}, "invalid-settings", "other"),
        ("app-a", {"settings": {"LogLevel": "Debug"}, "expectHash": "sha256:" + "0" * 64}, "hash-mismatch", ""),
    ):
        path = lab.path("apps", app + ".json")
        text = lab.read(path) if os.path.exists(path) else None
        before = lab.app("agent-001", app).get("pid")
        answer = lab.post("/api/agents/agent-001/push-config", dict(body, appId=app))
        what = f"push of {body} to {app}"
        if answer.status == 202:
            ended = lab.outcome(answer.json["commandId"])
            check_equal(ended["state"], "failed", f"{what} ({ended})")
            if code:
                check_equal(ended["errorCode"], code, f"{what} ({ended.get('message')})")
            check_in(words, ended["message"], what)
        else:
            check(answer.status in (400, 404, 409, 422), f"{what}: {answer!r}")
            check_in(words, answer.json["detail"], what)
        check_equal(lab.read(path) if os.path.exists(path) else None, text, f"the file after {what}")
        lab.post("/api/agents/agent-001/ping")
        check_equal(lab.app("agent-001", app).get("pid"), before, f"pid after {what}")


def a_push_says_that_included_files_were_not_looked_into(lab):
    lab.console()
    config = "[mysqld]\nport = 1\n!includedir /etc/mysql/conf.d/\n"
    ini = "config_driver: ini-config\nconfig_options: {flavour: mysql}\n"
    lab.agent("agent-001", apps=[lab.simulated("app-a", config=config, extra=ini)])
    lab.running("agent-001", "app-a")
    ended = push(lab, "agent-001", "app-a", settings={"mysqld.port": "2"})
    check_equal(ended["state"], "succeeded", f"state ({ended.get('message')})")
    check_equal(lab.read("apps/app-a.json"), config.replace("1", "2"), "the file")
    read = next(step for step in ended["steps"] if step["step"] == "read")
    check_in("not looked into", read.get("message") or "", "what the result says of reading the file")


def values_stay_out_of_logs_and_audit(lab):
    console = lab.console()
    agent = lab.agent("agent-001", apps=[lab.simulated("app-a", extra='secret_keys: ["Limits.*"]')])
    lab.running("agent-001", "app-a")
    ended = push(lab, "agent-001", "app-a", settings={"LogLevel": "hunter2-level", "Limits.Connections": 987654321})
    check_equal(ended["state"], "succeeded", f"state ({ended.get('message')})")
    events = str(lab.audit())
    for value in ("hunter2-level", "987654321"):
        check(value not in events, f"{value} is in the audit log")
        check(value not in console.log(), f"{value} is in the console's log")
        check(value not in agent.log(), f"{value} is in the agent's log")
    check("987654321" not in str(lab.api(f"/api/commands/{ended['commandId']}")), "a secret is in the command's record")
    check_in("Limits.Connections", events, "the changed key in the audit log")


def an_environment_file_takes_values_and_no_code(lab):
    """Both of its readers get the value as it is, and neither gets more; code stays the admin's."""
    path = lab.path("apps/app-a.env")
    text = "# the app's\nPORT=80\n#MESSAGE=hello\nNAME=\"it\"\n"
    lab.console()
    lab.write("apps/app-a.env", text)
    lab.agent("agent-001", apps=[lab.simulated("app-a", extra=f"configs: [{{name: env, path: {path}}}]")])
    lab.running("agent-001", "app-a")
    value = "it's $(touch /nonexistent/x)\nLD_PRELOAD=/x.so\n"
    ended = push(lab, "agent-001", "app-a", file="env", stringSettings={"MESSAGE": value, "PORT": "81"})
    check_equal(ended["state"], "succeeded", f"state ({ended.get('message')})")
    new = text.replace("80", "81").replace(
        "=hello\n", '=hello\nMESSAGE="it\'s \\$(touch /nonexistent/x)\nLD_PRELOAD=/x.so\n"\n')
    check_equal(lab.read("apps/app-a.env"), new, "the file")
    shell = subprocess.run(["sh", "-c", '. "$1"; printf "%s|%s" "$MESSAGE" "${LD_PRELOAD-none}"', "sh", path], env={},
        stdout=subprocess.PIPE, check=True, timeout=harness.DEADLINE)
    check_equal(shell.stdout.decode(), value + "|none", "what sh makes of it")
    ended = push(lab, "agent-001", "app-a", file="env", settings={"LD_PRELOAD": "/x.so"})
    check_equal((ended["state"], ended["errorCode"]), ("failed", "not-allowed-by-server"), f"code ({ended['message']})")
    check_equal(lab.read("apps/app-a.env"), new, "the file after a refusal")


NGINX = """user  www-data;
events {
    worker_connections 768;
    # multi_accept on;
}
http {
    server {
        listen      80;   # plain
    }
}
"""


def a_format_that_a_lens_knows(lab):
    """The augeas driver, its lens named in the app's YAML: loaded in the sandbox, and nothing but the line changes."""
    if not os.path.exists(os.path.join(harness.STAGE, "lib/drivers/augeas.so")):
        raise harness.Skip("built without libaugeas")
    lab.console()
    options = "config_driver: augeas\nconfig_options: {lens: Nginx.lns}"
    lab.agent("agent-001", apps=[
        lab.simulated("web", config=NGINX, extra=options),
        lab.simulated("broken", config=NGINX.replace(" {", " ", 1), extra=options),
        lab.simulated("nameless", config=NGINX, extra="config_driver: augeas"),
        lab.simulated("unknown", config=NGINX, extra="config_driver: augeas\nconfig_options: {lens: Nonsense.lns}"),
    ])
    before = lab.running("agent-001", "web")
    ended = push(lab, "agent-001", "web", unset=["user"], settings={
        "events[0].worker_connections": "1024", "events[0].multi_accept": "on", "http[0].server[0].listen": "8080"})
    check_equal(ended["state"], "succeeded", f"state ({ended})")
    check_equal(lab.read("apps/web.json"), NGINX.replace("user  www-data;\n", "").replace("768", "1024").replace(
        "    # multi_accept on;\n", "    # multi_accept on;\n    multi_accept on;\n").replace("80;", "8080;"), "the file")
    lab.restarted("agent-001", "web", before["pid"])
    for app, why in (("broken", "2:7: from here on"), ("nameless", "option lens is missing"), ("unknown", "Nonsense.lns")):
        path = f"apps/{app}.json"
        text = lab.read(path)
        ended = push(lab, "agent-001", app, settings={"user": "root"})
        check_equal(ended["state"], "failed", f"{app}: state ({ended})")
        check_in(why, ended["message"], f"{app}: message")
        check_equal(lab.read(path), text, f"{app}: the file")
    ended = push(lab, "agent-001", "web", settings={"worker_processes": "1;\nload_module evil"})
    check_equal(ended["state"], "failed", f"a smuggled directive ({ended})")
    check_in("cannot write this", ended["message"], "message")


if __name__ == "__main__":
    harness.main([
        only_the_named_line_changes,
        settings_keep_their_type_and_come_and_go,
        a_push_without_a_change_restarts_nothing,
        the_first_push_creates_the_file,
        a_stopped_app_stays_stopped,
        an_app_that_does_not_come_up_gets_its_old_file_back,
        what_cannot_be_done_changes_nothing,
        a_push_says_that_included_files_were_not_looked_into,
        values_stay_out_of_logs_and_audit,
        an_environment_file_takes_values_and_no_code,
        a_format_that_a_lens_knows,
    ])

#!/usr/bin/python3
"""What an operator sees of an app without an ssh: its log and its settings, through fleetctl, a console, an agent and a
driver host, all of them real. TAP."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console_peers import Console, wait_for  # noqa: E402

BIN = os.path.join(os.environ.get("FLEET_STAGE", "/usr"), "bin")
SECRET = "correct-horse-battery"
CONFIG = """{
  // who may look
  "LogLevel": "Info",
  "Queue": {
    "Name": "orders",
    "Password": "%s"
  },
  "Motd": "hello\\nworld",
  "Features": ["export", "search"]
}
""" % SECRET


class Fleet:
    """A console and one agent with the simulated apps, of which app-b has a secret."""

    def __enter__(self):
        self.top = tempfile.mkdtemp(prefix="fleet-reads-")
        self.console = Console(data_dir=os.path.join(self.top, "console")).start()
        self.data = os.path.join(self.top, "agent")
        self.config = os.path.join(self.data, "apps", "app-b.json")
        os.makedirs(os.path.dirname(self.config))
        self.write(CONFIG)
        with open(os.path.join(self.top, "agent.log"), "wb") as log:
            self.agent = subprocess.Popen(
                [os.path.join(BIN, "fleet-agent"), "--dev", "--agent-id", "agent-001", "--data-dir", self.data,
                 "--console-url", self.url()], stdout=log, stderr=log)
        self.ctl("login", "--url", self.url())
        wait_for("agent with its apps", lambda: self.apps() == ["app-a", "app-b"])
        return self

    def __exit__(self, *why):
        self.agent.terminate()
        self.agent.wait(20)
        self.console.stop()
        shutil.rmtree(self.top)

    def url(self):
        return "http://localhost:%d" % self.console.port

    def write(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def hash(self):
        with open(self.config, "rb") as f:
            return "sha256:" + hashlib.sha256(f.read()).hexdigest()

    def ctl(self, *args):
        """(exit code, stdout, stderr)"""
        done = subprocess.run([os.path.join(BIN, "fleetctl"), *args], env={**os.environ, "HOME": self.top},
                              capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def apps(self):
        code, out, _ = self.ctl("agents", "status", "agent-001", "--json")
        return code == 0 and json.loads(out)["isOnline"] and sorted(a["id"] for a in json.loads(out)["apps"])

    def kept(self, text):
        """Files of console and agent, other than the app's own, that hold the text."""
        found = []
        for folder, _, names in os.walk(self.top):
            for name in names:
                path = os.path.join(folder, name)
                if path != self.config and not os.path.islink(path) and os.path.isfile(path):
                    with open(path, "rb") as f:
                        if text.encode() in f.read():
                            found.append(path)
        return found


def logs(fleet):
    """the last lines of an app's log"""
    assert fleet.ctl("apps", "restart", "agent-001", "app-a", "--wait")[0] == 0
    code, out, err = fleet.ctl("apps", "logs", "agent-001", "app-a")
    assert (code, err) == (0, ""), (code, err)
    lines = out.splitlines()
    assert len(lines) >= 3 and all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \w", line) for line in lines), out
    assert lines[-1].endswith("  ready"), out
    assert fleet.ctl("apps", "logs", "agent-001", "app-a", "--lines", "1")[1] == lines[-1] + "\n"
    assert fleet.ctl("apps", "logs", "agent-001", "app-a", "--since", "1h")[1] == out
    code, out, err = fleet.ctl("apps", "logs", "agent-001", "app-a", "--since", "2100-01-01T00:00:00Z")
    assert (code, out, err) == (0, "", "No log lines since then.\n"), (code, out, err)
    answer = json.loads(fleet.ctl("apps", "logs", "agent-001", "app-a", "--lines", "2", "--json")[1])
    assert [line["text"] for line in answer["lines"]][-1] == "ready" and len(answer["lines"]) == 2, answer
    assert answer["lines"][0]["time"].endswith("Z") and answer["driver"] == "simulated", answer


def settings(fleet):
    """an app's settings, and never a secret"""
    code, out, err = fleet.ctl("apps", "config", "agent-001", "app-b")
    assert (code, err) == (0, ""), (code, err)
    table = out.splitlines()
    assert table[0].split() == ["KEY", "VALUE", "TYPE"], out
    rows = {line.split()[0]: line.split(None, 1)[1] for line in table[1:-1]}
    assert rows["LogLevel"].split() == ["Info", "string"], out
    assert rows["Queue.Password"].split() == ["(hidden)", "string"], out
    assert rows["Motd"].split() == ["hello?world", "string"], out
    assert rows["Features[1]"].split() == ["search", "string"], out
    assert fleet.hash() in table[-1] and table[-1].startswith("File main (json-config), sha256:"), out
    answer = json.loads(fleet.ctl("apps", "config", "agent-001", "app-b", "--json")[1])
    values = {s["key"]: s for s in answer["settings"]}
    assert values["Motd"]["value"] == "hello\nworld" and values["LogLevel"]["type"] == "string", answer
    assert values["Queue.Password"] == {"key": "Queue.Password", "type": "string", "masked": True}, answer
    assert answer["hash"] == fleet.hash(), answer
    assert fleet.kept(SECRET) == []


def refusals(fleet):
    """what cannot be read is said"""
    code, out, err = fleet.ctl("apps", "config", "agent-001", "app-b", "--file", "other")
    assert (code, out) == (1, "") and err.startswith("app 'app-b' declares no config file named 'other'"), (code, out, err)
    fleet.write("{ broken")
    code, out, err = fleet.ctl("apps", "config", "agent-001", "app-b")
    assert (code, out) == (1, "") and re.search(r"cannot read .*app-b\.json: 1:3: ", err), (code, out, err)
    fleet.write(CONFIG)
    code, out, err = fleet.ctl("apps", "logs", "agent-001", "app-z")
    assert (code, out) == (1, "") and "App 'app-z' not found on agent-001" in err, (code, out, err)
    path = os.path.join(fleet.data, "apps.d", "app-a.yaml")
    with open(path, "a", encoding="utf-8") as f:
        f.write("    allow: [restart]\n")
    fleet.agent.send_signal(signal.SIGHUP)
    said = wait_for("refusal", lambda: [r for r in [fleet.ctl("apps", "logs", "agent-001", "app-a")] if r[0] == 1])
    assert "this server's admin does not allow read-logs of app 'app-a'" in said[0][2], said
    assert fleet.ctl("apps", "logs", "agent-001", "app-b")[0] == 0


def no_trace(fleet):
    """reading leaves no command and no audit event"""
    commands = json.loads(fleet.ctl("commands", "list", "--json")[1])
    assert [c["command"] for c in commands] == ["restart-app"], commands
    events = json.loads(fleet.ctl("audit", "--all", "--json", "--last", "100")[1])
    assert not [e for e in events if "read-" in e["message"]], events


def main():
    tests = [logs, settings, refusals, no_trace]
    failed = 0
    print("1..%d" % len(tests))
    with Fleet() as fleet:
        for number, test in enumerate(tests, 1):
            try:
                test(fleet)
                print("ok %d - %s" % (number, test.__doc__))
            except Exception as problem:  # pylint: disable=broad-except
                failed += 1
                print("# " + repr(problem).replace("\n", "\n# "))
                print("not ok %d - %s" % (number, test.__doc__))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

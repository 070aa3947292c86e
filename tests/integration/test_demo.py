#!/usr/bin/python3
"""A developer's first minutes (contract, story 7): console, agent, fleetctl, each by the book, without any file
of configuration. What people read is asserted word for word where the contract has the words."""
import json
import os
import re
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402


def login_comes_first(lab):
    done = lab.ctl("agents", "list")
    check_equal(done.returncode, 1, "exit status without a config file")
    check_in("Not configured. Run 'fleetctl login' first.", done.stderr, "stderr without a config file")
    done = lab.ctl("login", "--url", lab.url)
    check_equal(done.returncode, 1, "exit status of login without a console")
    check_in(f"Cannot reach {lab.url}", done.stderr, "stderr of login without a console")


def the_tour_of_story_seven(lab):
    console = lab.console()
    check_in("Listening on http://localhost:", console.log(), "console's log")
    agent = lab.agent("agent-dev-01")
    lab.until("the agent says that it is registered", lambda: "Registered as agent-dev-01" in agent.log())
    check_in("Connected to cloud hub", agent.log(), "agent's log")
    apps = [a["id"] for a in lab.api("/api/agents/agent-dev-01")["apps"]]
    check(len(apps) >= 2, f"a --dev agent brings two simulated apps, not {apps}")
    app = apps[0]
    lab.running("agent-dev-01", app)

    lab.ctl_ok("login", "--url", lab.url)
    config = lab.path("home/.config/fleetctl/config.json")
    check_equal(stat.S_IMODE(os.stat(config).st_mode), 0o600, "mode of config.json")
    with open(config, encoding="utf-8") as f:
        check_equal(json.load(f)["consoleUrl"], lab.url, "consoleUrl")

    listing = lab.ctl_ok("agents", "list").splitlines()
    check(re.match(r"^AGENT ID +HOSTNAME +STATUS +CPU +MEM \(MB\) +APPS *$", listing[0]), f"heading: {listing[0]!r}")
    check(re.match(rf"^agent-dev-01 +{re.escape(os.uname().nodename)} +online +[\d.]+% +\d+ +{len(apps)} *$", listing[1]),
          f"row: {listing[1]!r}")
    rows = json.loads(lab.ctl_ok("agents", "list", "--json"))
    check_equal([(r["agentId"], r["isOnline"]) for r in rows], [("agent-dev-01", True)], "agents list --json")

    status = lab.ctl_ok("agents", "status", "agent-dev-01")
    for part in ("agent-dev-01", "online", app, "Running"):
        check_in(part, status, "agents status")

    done = lab.ctl_ok("apps", "restart", "agent-dev-01", app, "--wait")
    check_in(f"Restart command sent to {app} on agent-dev-01.", done, "apps restart --wait")
    check_in("Running", done, "apps restart --wait tells how it ended")

    done = lab.ctl_ok("apps", "config", "agent-dev-01", app, "--set", "LogLevel=Debug", "--wait")
    check_in(f"Config pushed to {app} on agent-dev-01: LogLevel", done, "apps config --wait")

    log = lab.ctl_ok("audit", "--last", "5")
    check_in(f"{app} restarted on agent-dev-01 by operator@cli", log, "audit --last 5")
    check_in("LogLevel", log, "audit --last 5 tells the key")
    check("Debug" not in log, f"a value of a setting is in the audit log: {log}")
    check(len([x for x in log.splitlines() if x.strip()]) <= 6, f"more than five events: {log}")


def a_second_agent_appears_on_the_open_stream(lab):
    lab.console()
    lab.agent("agent-dev-01")
    stream = lab.events()
    lab.agent("agent-dev-02", wait=False)
    seen = stream.wait("agent-dev-02 online", lambda e, d: e == "agent" and d.get("agentId") == "agent-dev-02" and d.get("isOnline"))
    check_equal(seen["hostname"], os.uname().nodename, "hostname of the second agent")
    check_equal(sorted(a["agentId"] for a in lab.api("/api/agents")), ["agent-dev-01", "agent-dev-02"], "GET /api/agents")


def a_command_is_followed_on_the_open_stream(lab):
    lab.console()
    lab.agent("agent-dev-01", apps=[lab.simulated("app-a", start_delay="300ms")])
    lab.running("agent-dev-01", "app-a")
    stream = lab.events()
    command = lab.command("agent-dev-01", "restart-app", appId="app-a")
    final = stream.wait("the command's end", lambda e, d: e == "command" and d.get("commandId") == command["commandId"]
                        and d.get("state") == "succeeded")
    check_equal(final["agentId"], "agent-dev-01", "agentId of the event")
    stream.wait("the audit event", lambda e, d: e == "audit" and d.get("commandId") == command["commandId"]
                and d.get("category") == "restart")


def the_dashboard_is_served(lab):
    lab.console()
    page = lab.get("/")
    check_equal(page.status, 200, "GET /")
    check_in("text/html", page.headers["content-type"], "content type of /")
    text = page.body.decode()
    assets = re.findall(r'(?:src|href)="(/?[^":]+\.(?:js|css|svg))"', text)
    check(assets, f"the page names no script: {text[:400]}")
    for asset in assets:
        answer = lab.get(asset if asset.startswith("/") else "/" + asset)
        check_equal(answer.status, 200, f"GET {asset}")
    check(not re.search(r'(?:src|href)="(?:https?:)?//', text), "the page fetches something from elsewhere")
    for path in ("/healthz", "/readyz", "/api/version"):
        check_equal(lab.get(path).status, 200, f"GET {path}")


def an_unknown_agent_is_told_by_name(lab):
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    lab.ctl_ok("login", "--url", lab.url)
    done = lab.ctl("agents", "status", "agnt-001")
    check_equal(done.returncode, 1, "exit status")
    check_in("Agent 'agnt-001' not found", done.stderr, "stderr")
    check_in("agent-001", done.stderr.replace("agnt-001", ""), "the hint")
    done = lab.ctl("apps", "restart", "agent-001", "app-z", "--wait")
    check(done.returncode != 0, "a restart of an unknown app is no success")
    check_in("app-z", done.stderr, "stderr of an unknown app")


if __name__ == "__main__":
    harness.main([
        login_comes_first,
        the_tour_of_story_seven,
        a_second_agent_appears_on_the_open_stream,
        a_command_is_followed_on_the_open_stream,
        the_dashboard_is_served,
        an_unknown_agent_is_told_by_name,
    ])

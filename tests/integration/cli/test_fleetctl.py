#!/usr/bin/python3
"""fleetctl against a fake console: what a person reads, what a script gets, what the console is asked. A row a command. TAP."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_console import Answer, FakeConsole, problem  # noqa: E402
from fleetctl_answers import (  # noqa: E402
    AGENT, ARTIFACT, CONFIG, DIFF, DRY, DRY_RUN, FAILED, FLEET, GET_COMMAND, HISTORY, ID, KEYS, MINISIG, NEXT, NOT_FOUND,
    NO_AGENT, NO_APP, NO_STREAM, OFFLINE, POST_ARTIFACT, POST_CONFIG, POST_RESTART, POST_ROLLBACK, POST_UPDATE, PUSH, PUSHED,
    READS, RESTART, RESTARTED, SENT, SERVED, SHA256, TRIED, UPDATE, command, waited)
from fleetctl_run import Fleetctl, Tap, differences  # noqa: E402

# name, arguments, routes, stdout, stderr, exit code[, body of the (last) POST]
CASES = [
    ("agents list is the contract's table", ["agents", "list"],
     {"GET /api/agents": Answer(body=[AGENT, OFFLINE])},
     "AGENT ID   HOSTNAME   STATUS     CPU  MEM (MB)  APPS\n"
     "agent-001  srv-alpha  online   23.4%       128     2\n"
     "agent-002  srv-beta   offline      -         -     3\n", "", 0),
    ("agents list --online-only asks for those", ["agents", "list", "--online-only"],
     {"GET /api/agents?status=online": Answer(body=[])},
     "AGENT ID  HOSTNAME  STATUS  CPU  MEM (MB)  APPS\n", "No agent is online yet.\n", 0),
    ("agents list without agents", ["agents", "list"], {"GET /api/agents": Answer(body=[])},
     "AGENT ID  HOSTNAME  STATUS  CPU  MEM (MB)  APPS\n", "No agent has registered yet.\n", 0),
    ("agents list aligns by what is seen and obeys no escapes", ["agents", "list"],
     {"GET /api/agents": Answer(body=[{"agentId": "é日本", "hostname": "\x1b]0;gone\x07\nroot", "isOnline": True},
                                      {"agentId": "a", "hostname": "b", "isOnline": False}])},
     "AGENT ID  HOSTNAME        STATUS   CPU  MEM (MB)  APPS\n"
     "é日本     ?]0;gone??root  online     -         -     -\n"
     "a         b               offline    -         -     -\n", "", 0),
    ("agents list follows pages", ["agents", "list"],
     {"GET /api/agents": Answer(body=[AGENT], headers={"Link": '<{url}/api/agents?cursor=x>; rel="next"'}),
      "GET /api/agents?cursor=x": Answer(body=[OFFLINE])},
     "AGENT ID   HOSTNAME   STATUS     CPU  MEM (MB)  APPS\n"
     "agent-001  srv-alpha  online   23.4%       128     2\n"
     "agent-002  srv-beta   offline      -         -     3\n", "", 0),
    ("agents list --json is one array over all pages", ["agents", "list", "--json"],
     {"GET /api/agents": Answer(body=[{"agentId": "a", "isOnline": True, "apps": [{"id": "x"}]}],
                                headers={"Link": '<{url}/api/agents?cursor=x>; rel="next"'}),
      "GET /api/agents?cursor=x": Answer(body=[{"agentId": "b\u009b2J", "isOnline": False, "note": None}])},
     '[\n  {"agentId": "a", "isOnline": true, "apps": [{"id": "x"}]},\n'
     '  {"agentId": "b\\u009b2J", "isOnline": false, "note": null}\n]\n', "", 0),
    ("agents list --json without agents", ["agents", "list", "--json"], {"GET /api/agents": Answer(body=[])},
     "[]\n", "", 0),
    ("agents status", ["agents", "status", "agent-001"], {"GET /api/agents/agent-001": Answer(body=AGENT)},
     "Agent     agent-001\n"
     "Status    online for 3 h\n"
     "Hostname  srv-alpha\n"
     "OS        Debian GNU/Linux 12 (bookworm), kernel 6.1.0, x86_64\n"
     "Version   0.1.0\n"
     "CPU       23.4%\n"
     "Memory    128 of 2048 MB\n"
     "Load      0.50, 0.25, 0.10\n"
     "Disk      /: 5.0 GB of 40.0 GB\n"
     "Uptime    3 d\n"
     "Driver bad is not usable: no symbol fleet_driver_v1\n"
     "Refused: x.yaml:3: id is missing\n"
     "\n"
     "APP    STATUS   HEALTH     VERSION   PID  MEM (MB)  SINCE\n"
     "app-a  Running  healthy    2.1.0    4127        12  9 min\n"
     "app-b  Failed   unhealthy  -           -         -  -\n"
     "app-b: exited 1\n"
     "app-b: GET /health: 503\n", "", 0),
    ("agents status --json", ["agents", "status", "agent-001", "--json"],
     {"GET /api/agents/agent-001": Answer(body={"agentId": "agent-001", "apps": []})},
     '{\n  "agentId": "agent-001",\n  "apps": []\n}\n', "", 0),
    ("an agent that is nearly right is suggested", ["agents", "status", "agnt-001"],
     {**NOT_FOUND, "GET /api/agents/agnt-001": NO_AGENT},
     "", "Agent 'agnt-001' not found. Did you mean agent-001?\n", 1),
    ("an agent like no other", ["agents", "status", "zebra"], {**NOT_FOUND, "GET /api/agents/zebra": NO_AGENT},
     "", "Agent 'zebra' not found. Which there are: fleetctl agents list\n", 1),
    ("an agent id that cannot be one reaches no URL", ["agents", "status", "../version"], {},
     "", "Agent '../version' not found. An agent id has letters, digits, '.', '_' and '-' only\n", 1),
    ("agents ping of a silent agent", ["agents", "ping", "agent-001"],
     {"POST /api/agents/agent-001/ping": problem(504, "unavailable", "agent-001 is offline")},
     "", "The console answered 504: agent-001 is offline\n", 1),
    ("audit shows what was done, not what was asked", ["audit", "--last", "2"],
     {"GET /api/audit?limit=2&requests=false": Answer(body=[
         {"seq": 4, "timestamp": "2026-11-24T02:19:08.500Z", "category": "restart", "agentId": "agent-001",
          "actor": "operator@cli", "message": "app-a restarted on agent-001 by operator@cli"},
         {"seq": 3, "timestamp": "2026-11-24T02:19:07Z", "category": "request", "message": "asked"}],
         headers={"Link": '<{url}/api/audit?cursor=3>; rel="next"'}),
      "GET /api/audit?cursor=3": Answer(body=[
          {"seq": 2, "timestamp": "2026-11-23T01:00:00Z", "category": "agent", "agentId": "agent-001",
           "message": "agent registered (version 0.1.0)"}, {"seq": 1, "category": "system", "message": "not shown"}])},
     "TIME                 AGENT      CATEGORY  ACTOR         MESSAGE\n"
     "2026-11-24 02:19:08  agent-001  restart   operator@cli  app-a restarted on agent-001 by operator@cli\n"
     "2026-11-23 01:00:00  agent-001  agent     -             agent registered (version 0.1.0)\n", "", 0),
    ("audit --all shows requests", ["audit", "--all", "--last", "5", "--agent", "a&b", "--app", "c"],
     {"GET /api/audit?limit=5&agentId=a%26b&appId=c": Answer(body=[
         {"timestamp": "2026-11-24T02:19:07Z", "category": "request", "agentId": "x", "message": "asked"}])},
     "TIME                 AGENT  CATEGORY  ACTOR  MESSAGE\n"
     "2026-11-24 02:19:07  x      request   -      asked\n", "", 0),
    ("audit --json", ["audit", "--json"], {"GET /api/audit?limit=20&requests=false": Answer(body=[{"seq": 1, "details": {}}])},
     '[\n  {"seq": 1, "details": {}}\n]\n', "", 0),
    ("audit of an agent that nothing is known of", ["audit", "--agent", "agnt-001"],
     {"GET /api/agents/agnt-001": NO_AGENT, **NOT_FOUND, "GET /api/audit": Answer(body=[])}, "",
     "Agent 'agnt-001' not found. Did you mean agent-001?\n", 1),
    ("audit of an agent that did nothing", ["audit", "--agent", "agent-001", "--json"], {**NOT_FOUND, "GET /api/audit": Answer(body=[])},
     "[]\n", "", 0),
    ("commands of an agent that nothing is known of", ["commands", "list", "--agent", "agnt-001"],
     {"GET /api/agents/agnt-001": NO_AGENT, **NOT_FOUND, "GET /api/commands": Answer(body=[])}, "",
     "Agent 'agnt-001' not found. Did you mean agent-001?\n", 1),
    ("audit of an agent that is not there", ["audit", "--agent", "agnt-001"], {**NOT_FOUND, "GET /api/audit": NO_AGENT},
     "", "Agent 'agnt-001' not found. Did you mean agent-001?\n", 1),
    ("commands list", ["commands", "list", "--last", "1", "--state", "failed"],
     {"GET /api/commands?limit=1&state=failed": Answer(body=[FAILED, RESTARTED])},
     "ID      ASKED                COMMAND      AGENT      APP    STATE   ACTOR         MESSAGE\n"
     "7c31e0  2026-11-24 02:19:07  restart-app  agent-001  app-a  failed  operator@cli  exited 1 after 0.4 s\n", "", 0),
    ("commands show", ["commands", "show", "7c31e0"], {"GET /api/commands/7c31e0": Answer(body=RESTARTED)},
     "Restart of app-a on agent-001: succeeded [7c31e0]\n"
     "  Id         " + ID + "\n"
     "  Asked by   operator@cli\n"
     "  Asked      2026-11-24 02:19:07\n"
     "  Started    2026-11-24 02:19:07\n"
     "  Finished   2026-11-24 02:19:08\n"
     "  Took       1.4 s\n"
     "  Result     Running, healthy, pid 4127 (was 3980), down 1.2 s\n"
     "  App        Running, healthy, pid 4127 (was 3980), down 1.2 s\n"
     "  Steps\n"
     "    ok      restart, 1.2 s\n"
     "    ok      health: is-active\n", "", 0),
    ("commands show of a failure has the log", ["commands", "show", "7c31e0"],
     {"GET /api/commands/7c31e0": Answer(body=dict(FAILED, diff=PUSHED["diff"]))},
     "Restart of app-a on agent-001: failed [7c31e0]\n"
     "  Id         " + ID + "\n"
     "  Asked by   operator@cli\n"
     "  Asked      2026-11-24 02:19:07\n"
     "  Result     exited 1 after 0.4 s\n"
     "  Error      service-failed\n"
     "  App        Failed, not healthy\n"
     "  Changes\n"
     "    LogLevel: Info → Debug\n"
     "  Log\n"
     "    one\n    two\n    three\n    four\n    five\n    bind: address already in use?[31m\n", "", 0),
    ("commands show of an id that is not there", ["commands", "show", "123456"],
     {"GET /api/commands/123456": problem(404, "command-not-found", "none")},
     "", "Command '123456' not found. Which there are: fleetctl commands list\n", 1),
    ("commands show of what is no id", ["commands", "show", "../agents"], {},
     "", "Command '../agents' not found. An id is the last six digits of a command, or more of them\n", 1),
    ("commands cancel", ["commands", "cancel", "7c31e0"],
     {"DELETE /api/commands/7c31e0": Answer(body=command(state="cancelled"))},
     "Cancelled: Restart of app-a on agent-001 [7c31e0]\n", "", 0),
    ("commands abandon", ["commands", "abandon", "7c31e0", "--reason", "server burnt"],
     {"DELETE /api/commands/7c31e0?abandon=server%20burnt": Answer(body=command(state="cancelled"))},
     "Closed: Restart of app-a on agent-001 [7c31e0]\n", "", 0),
    ("commands cancel of a running one", ["commands", "cancel", "7c31e0"],
     {"DELETE /api/commands/7c31e0": problem(409, "conflict", "it is running already")},
     "", "The console answered 409: it is running already\n", 1),
    ("commands wait of one that has failed", ["commands", "wait", "7c31e0"],
     {"GET /api/commands/7c31e0": Answer(body=dict(FAILED, logLines=[]))},
     "", "Restart failed for app-a on agent-001: exited 1 after 0.4 s\n"
     "  app-a is Failed. Next: fleetctl commands show 7c31e0\n", 5),
    ("restart is accepted", RESTART, {POST_RESTART: Answer(202, command(state="sent"))}, SENT, "", 0, {"appId": "app-a"}),
    ("restart --json prints the record", RESTART + ["--json"], {POST_RESTART: Answer(202, {"commandId": ID})},
     '{\n  "commandId": "%s"\n}\n' % ID, "", 0),
    ("restart of an app on an offline agent tells how to take it back", RESTART,
     {POST_RESTART: Answer(202, command(expiresAt="2030-01-02T02:29:00.000Z")),
      "GET /api/agents/agent-001": Answer(body=dict(OFFLINE))},
     SENT, "  Queued: agent-001 has been offline for 8 min; it runs if the agent is back before 2030-01-02 02:29. "
     "Cancel: fleetctl commands cancel 7c31e0\n", 0),
    ("restart queued for an agent that is there needs no hint", RESTART,
     {POST_RESTART: Answer(202, command()), "GET /api/agents/agent-001": Answer(body=AGENT)}, SENT, "", 0),
    ("restart --wait of one that has ended when it is asked for", RESTART + ["--wait"], waited(POST_RESTART, RESTARTED),
     SENT + "Running, healthy, pid 4127 (was 3980), down 1.2 s [7c31e0]\n", "", 0),
    ("restart --wait tells of failure, with the log", RESTART + ["--wait"], waited(POST_RESTART, FAILED),
     SENT, "Restart failed for app-a on agent-001: exited 1 after 0.4 s\n"
     "    two\n    three\n    four\n    five\n    bind: address already in use?[31m\n"
     "  app-a is Failed. Next: fleetctl commands show 7c31e0\n", 5),
    ("restart --wait of an app that stays healthy", RESTART + ["--wait"],
     waited(POST_RESTART, command(state="failed", message="not allowed here", errorCode="not-allowed-by-server")),
     SENT, "Restart failed for app-a on agent-001: not allowed here\n" + NEXT, 3),
    ("restart --wait --json", RESTART + ["--wait", "--json"],
     waited(POST_RESTART, command(state="failed", appHealthy=False)),
     "{\n" + ",\n".join('  "%s": %s' % (k, json.dumps(v)) for k, v in command(state="failed", appHealthy=False).items())
     + "\n}\n", "", 5),
    ("restart --wait that expires", RESTART + ["--wait"],
     waited(POST_RESTART, command(state="expired", message="agent-001 was not there before 02:29")),
     SENT, "Restart expired for app-a on agent-001: agent-001 was not there before 02:29\n" + NEXT, 3),
    ("restart --wait that is cancelled", RESTART + ["--wait"], waited(POST_RESTART, command(state="cancelled")),
     SENT, "Restart cancelled for app-a on agent-001\n" + NEXT, 3),
    ("restart --wait whose end nobody knows", RESTART + ["--wait"],
     waited(POST_RESTART, command(state="unknown", message="no word from the server")),
     SENT, "Restart ended unknown for app-a on agent-001: no word from the server\n" + NEXT, 3),
    ("restart --wait that the console forgets", RESTART + ["--wait"],
     {POST_RESTART: Answer(202, command(state="sent")), GET_COMMAND: problem(404, "not-found", "none"), **NO_STREAM},
     SENT, "Command '%s' not found. Which there are: fleetctl commands list\n" % ID, 1),
    ("restart of an app that is nearly right", ["apps", "restart", "agent-001", "app-x"],
     {**NOT_FOUND, POST_RESTART: NO_APP}, "", "App 'app-x' not found on agent-001. Did you mean app-a?\n", 1),
    ("restart of an app like no other", ["apps", "restart", "agent-001", "zebra"], {**NOT_FOUND, POST_RESTART: NO_APP},
     "", "App 'zebra' not found on agent-001. Which there are: fleetctl agents status agent-001\n", 1),
    ("restart on an agent that is not there", ["apps", "restart", "agnt-001", "app-a"],
     {**NOT_FOUND, "POST /api/agents/agnt-001/restart-app": NO_AGENT},
     "", "Agent 'agnt-001' not found. Did you mean agent-001?\n", 1),
    ("config is the contract's sentence", CONFIG + ["--set", "LogLevel=Debug"],
     {POST_CONFIG: Answer(202, command("push-config", "sent"))}, PUSH, "", 0,
     {"appId": "app-a", "settings": {"LogLevel": "Debug"}}),
    ("config takes every kind of setting", CONFIG + ["--set", "a=1", "--set-string", "b=2", "--set-json", "c=[3]",
                                                     "--unset", "d", "--file", "env", "--set-json", 'e="5"'],
     {POST_CONFIG: Answer(202, command("push-config", "sent"))},
     "Config pushed to app-a on agent-001: a, b, c, d, e\n", "", 0,
     {"appId": "app-a", "settings": {"a": "1", "c": [3]}, "stringSettings": {"b": "2", "e": "5"}, "unset": ["d"],
      "file": "env"}),
    ("config --wait shows what changed and the way back", CONFIG + ["--set", "LogLevel=Debug", "--wait"],
     waited(POST_CONFIG, PUSHED),
     PUSH + "LogLevel: Info → Debug, restarted, healthy [7c31e0]. "
     "Back: fleetctl apps config agent-001 app-a --restore 7c31e0\n", "", 0),
    ("config --wait of several keys", CONFIG + ["--set", "a=1", "--unset", "b", "--set", "c=3", "--wait"],
     waited(POST_CONFIG, dict(PUSHED, message="reloaded, healthy", diff=[
         {"key": "a", "after": "1"}, {"key": "b", "before": "x\x1b[2J"},
         {"key": "c", "masked": True, "before": "***", "after": "***"}])),
     "Config pushed to app-a on agent-001: a, b, c\na: (not set) → 1\nb: x?[2J → (not set)\nc: changed (values hidden)\n"
     "reloaded, healthy [7c31e0]. Back: fleetctl apps config agent-001 app-a --restore 7c31e0\n", "", 0),
    ("config --wait of a stopped app is not verified", CONFIG + ["--set", "LogLevel=Debug", "--wait"],
     waited(POST_CONFIG, dict(PUSHED, verified=False, appStatus="stopped",
                              message="written; the app was stopped and stays stopped: not verified")),
     PUSH + "LogLevel: Info → Debug, written; the app was stopped and stays stopped: not verified [7c31e0]. "
     "Back: fleetctl apps config agent-001 app-a --restore 7c31e0\n", "", 0),
    ("config --wait that changes nothing", CONFIG + ["--set", "LogLevel=Debug", "--wait"],
     waited(POST_CONFIG, dict(PUSHED, diff=[], changedKeys=[],
                              message="nothing to change: /etc/a.json says that already; nothing was restarted")),
     PUSH + "Nothing to change: /etc/a.json says that already; nothing was restarted [7c31e0]\n", "", 0),
    ("config --dry-run waits and writes nothing", CONFIG + ["--set", "LogLevel=Debug", "--dry-run"],
     waited(POST_CONFIG, dict(PUSHED, message="dry run: 1 setting would change; nothing was written")),
     DRY + "LogLevel: Info → Debug\n" + TRIED, "", 0,
     {"appId": "app-a", "settings": {"LogLevel": "Debug"}, "dryRun": True}),
    ("config --dry-run shows the lines, cleaned and without colours", CONFIG + ["--set", "LogLevel=Debug", "--dry-run"],
     waited(POST_CONFIG, dict(DRY_RUN, unifiedDiffLeft=3)),
     DRY + DIFF + TRIED, "3 lines more: no room for them in one answer.\n", 0),
    ("config --dry-run says why there are no lines", CONFIG + ["--set", "LogLevel=Debug", "--dry-run"],
     waited(POST_CONFIG, dict(PUSHED, message="dry run: 1 setting would change; nothing was written",
                              unifiedDiffNote="the lines are not shown: x cannot hide the secrets")),
     DRY + "LogLevel: Info → Debug\n" + TRIED, "  the lines are not shown: x cannot hide the secrets.\n", 0),
    ("config --dry-run --json has the lines", CONFIG + ["--set", "LogLevel=Debug", "--dry-run", "--json"],
     waited(POST_CONFIG, {"commandId": ID, "state": "succeeded", "unifiedDiff": "--- a\n"}, command("push-config", "sent")),
     '{\n  "commandId": "%s",\n  "state": "succeeded",\n  "unifiedDiff": "--- a\\n"\n}\n' % ID, "", 0),
    ("config --expect is asked of the server", CONFIG + ["--set", "LogLevel=Debug", "--expect", "sha256:" + "0a" * 32],
     {POST_CONFIG: Answer(202, command("push-config", "sent"))}, PUSH, "", 0,
     {"appId": "app-a", "settings": {"LogLevel": "Debug"}, "expectHash": "sha256:" + "0a" * 32}),
    ("config --expect takes the digits alone", CONFIG + ["--restore", "7c31e0", "--expect", "0b" * 32],
     {"GET /api/commands/7c31e0": Answer(body=PUSHED), POST_CONFIG: Answer(202, command("push-config", "sent"))},
     "Config pushed to app-a on agent-001: LogLevel, as before 7c31e0\n", "", 0,
     {"appId": "app-a", "restoreOf": ID, "file": "main", "expectHash": "sha256:" + "0b" * 32}),
    ("config --expect that is no hash", CONFIG + ["--set", "a=1", "--expect", "sha256:12"], {}, "", re.compile(
        r"--expect takes a file's hash as a dry run or a listing shows it .*, not 'sha256:12'.*\n.*--help\n", re.S), 2),
    ("config --expect alone changes nothing", CONFIG + ["--expect", "0b" * 32], {}, "", re.compile(
        r"Nothing to change: .*\n.*--help\n", re.S), 2),
    ("config --wait that finds another hash says both", CONFIG + ["--set", "a=1", "--expect", "0b" * 32, "--wait"],
     waited(POST_CONFIG, command("push-config", "failed", errorCode="hash-mismatch",
                                 message="/etc/a.json has changed: sha256:1 now, not sha256:2")),
     "Config pushed to app-a on agent-001: a\n", "Config push failed for app-a on agent-001: /etc/a.json has changed: sha256:1 "
     "now, not sha256:2\n" + NEXT, 3),
    ("config --history", CONFIG + ["--history"], {READS + "config/history?limit=20": Answer(body=HISTORY)},
     "TIME                 BY             ID      FILE  CHANGES\n"
     "2026-11-24 02:30:00  operator@cli   7c31e0  main  LogLevel: Info → Debug; Password: changed (values hidden)\n"
     "2026-11-24 02:29:00  outside Fleet  -       main  Limits.A; b?c; d; e; f; 2 more\n"
     "2026-11-24 02:28:00  operator@cli   7c31e0  env   A: (not set) → 1, as before 123456; failed, rolled back\n"
     "2026-11-24 02:27:00  outside Fleet  -       main  app-a's config was removed outside Fleet\n", "", 0),
    ("config --history of one file, some", CONFIG + ["--history", "--file", "env", "--last", "1", "--json"],
     {READS + "config/history?limit=1&file=env": Answer(body=[{"kind": "push"}, {"kind": "outside"}])},
     '[\n  {"kind": "push"}\n]\n', "", 0),
    ("config --history without any", CONFIG + ["--history"], {READS + "config/history": Answer(body=[])},
     "", "No change is known.\n", 0),
    ("config --last without --history", CONFIG + ["--last", "3"], {}, "", re.compile(r"--last goes with --history.*--help\n", re.S), 2),
    ("config --history changes nothing besides", CONFIG + ["--history", "--set", "a=1"], {}, "", re.compile(
        r"--history goes with --file, --last and --json only.*--help\n", re.S), 2),
    ("config --history of an app that is none", ["apps", "config", "agent-001", "a/b", "--history"], {}, "",
     "App 'a/b' not found on agent-001. An app id has letters, digits, '.', '_' and '-' only\n", 1),
    ("config --wait that is rolled back", CONFIG + ["--set", "LogLevel=x", "--wait"],
     waited(POST_CONFIG, dict(PUSHED, state="failed", message="exited 1 after 0.4 s. Rolled back: Running, healthy",
                              rolledBack=True, logLines=["bad level"])),
     PUSH, "Config push failed for app-a on agent-001: exited 1 after 0.4 s\n"
     "    bad level\n  Rolled back: Running, healthy. Next: fleetctl commands show 7c31e0\n", 3),
    ("config --wait that is not rolled back", CONFIG + ["--set", "LogLevel=x", "--wait"],
     waited(POST_CONFIG, dict(PUSHED, state="failed", appStatus="failed", appHealthy=False,
                              message="no space. Not rolled back: no space either")),
     PUSH, "Config push failed for app-a on agent-001: no space\n"
     "  Not rolled back: no space either. Next: fleetctl commands show 7c31e0\n", 5),
    ("config --restore names a command by its last digits", CONFIG + ["--restore", "7c31e0"],
     {"GET /api/commands/7c31e0": Answer(body=PUSHED), POST_CONFIG: Answer(202, command("push-config", "sent"))},
     "Config pushed to app-a on agent-001: LogLevel, as before 7c31e0\n", "", 0, {"appId": "app-a", "restoreOf": ID, "file": "main"}),
    ("config --restore of a command that is not there", CONFIG + ["--restore", "123456"],
     {"GET /api/commands/123456": problem(404, "command-not-found", "none")},
     "", "Command '123456' not found. Which there are: fleetctl commands list\n", 1),
    ("config refused by the console names the field", CONFIG + ["--set", "a=1"],
     {POST_CONFIG: problem(422, "not-allowed-by-server", "this key may not be changed", field="settings.a")},
     "", "The console answered 422: this key may not be changed (settings.a)\n", 1),
    ("update is the contract's sentence", UPDATE, {POST_UPDATE: Answer(202, command("update-app", "sent"))},
     "Update command sent: app-a → v2.1.0 on agent-001.\n", "", 0,
     {"appId": "app-a", "version": "2.1.0", "artifactUrl": "https://x/a.tgz"}),
    ("update --wait that fails its health check", UPDATE + ["--sha256", SHA256, "--wait"],
     waited(POST_UPDATE, command("update-app", "failed", message="health check failed: GET /health: 503 for 10 s",
                                 rolledBack=True, fromVersion="2.0.0", appStatus="running", appHealthy=True)),
     "Update command sent: app-a → v2.1.0 on agent-001.\n",
     "Update failed for app-a on agent-001: health check failed\n"
     "  GET /health: 503 for 10 s. Rolled back: 2.0.0 is Running, healthy. Next: fleetctl commands show 7c31e0\n", 3,
     {"appId": "app-a", "version": "2.1.0", "artifactUrl": "https://x/a.tgz", "sha256": SHA256}),
    ("update --wait that works", UPDATE + ["--wait"],
     waited(POST_UPDATE, command("update-app", "succeeded", fromVersion="2.0.0", toVersion="2.1.0", appStatus="running",
                                 appHealthy=True, downMs=500)),
     "Update command sent: app-a → v2.1.0 on agent-001.\n"
     "app-a is v2.1.0 (was 2.0.0): Running, healthy, down 0.5 s [7c31e0]. Back: fleetctl apps rollback agent-001 app-a\n",
     "", 0),
    ("update --wait tells the server's own sentence", UPDATE + ["--wait"],
     waited(POST_UPDATE, command("update-app", "succeeded", fromVersion="2.0.0", toVersion="v2.1.0", appStatus="running",
                                 appHealthy=True, downMs=500, message="Running, healthy, pid 7, down 0.5 s; no checksum")),
     "Update command sent: app-a → v2.1.0 on agent-001.\n"
     "app-a is v2.1.0 (was 2.0.0): Running, healthy, pid 7, down 0.5 s; no checksum [7c31e0]. "
     "Back: fleetctl apps rollback agent-001 app-a\n", "", 0),
    ("update --wait without a health check's words", UPDATE + ["--wait"],
     waited(POST_UPDATE, command("update-app", "failed", message="the download failed: 404. Nothing was changed")),
     "Update command sent: app-a → v2.1.0 on agent-001.\n",
     "Update failed for app-a on agent-001: the download failed: 404. Nothing was changed\n" + NEXT, 3),
    ("update from what is registered", UPDATE[:6] + ["--allow-downgrade", "--signature", MINISIG],
     {POST_UPDATE: Answer(202, command("update-app", "sent"))}, "Update command sent: app-a → v2.1.0 on agent-001.\n", "", 0,
     {"appId": "app-a", "version": "2.1.0", "signature": MINISIG, "allowDowngrade": True}),
    ("update to what is not registered", UPDATE[:6], {POST_UPDATE: problem(
        422, "artifact-not-found", "No artifact of app-a 2.1.0 is registered; there are: 2.0.0", field="version")}, "",
     "No artifact of app-a 2.1.0 is registered; there are: 2.0.0.\n"
     "  Register it: fleetctl artifacts add app-a --help. Or say where it is: --artifact URL\n", 1),
    ("update with a checksum that is none", UPDATE + ["--sha256", "00"], {}, "",
     "--sha256 takes 64 hex digits, as sha256sum prints them.\n  How it is meant: fleetctl apps update --help\n", 2),
    ("update with a signature that is not there", UPDATE + ["--signature", "/nonexistent/a.minisig"], {}, "",
     re.compile(r"--signature takes what minisign wrote, or the file that holds it: .*No such file.*\n"
                r"  How it is meant: fleetctl apps update --help\n"), 2),
    ("rollback", ["apps", "rollback", "agent-001", "app-a"], {POST_ROLLBACK: Answer(202, command("rollback-app", "sent"))},
     "Rollback command sent to app-a on agent-001.\n", "", 0, {"appId": "app-a"}),
    ("rollback --wait", ["apps", "rollback", "agent-001", "app-a", "--wait"],
     waited(POST_ROLLBACK, command("rollback-app", "succeeded", fromVersion="2.1.0", toVersion="2.0.0", appStatus="running",
                                   appHealthy=True, message="Running, healthy, pid 7, down 0.5 s")),
     "Rollback command sent to app-a on agent-001.\n"
     "app-a is v2.0.0 (was 2.1.0): Running, healthy, pid 7, down 0.5 s [7c31e0]. Back: fleetctl apps rollback agent-001 app-a\n",
     "", 0),
    ("rollback --wait of what has no earlier version", ["apps", "rollback", "agent-001", "app-a", "--wait"],
     waited(POST_ROLLBACK, command("rollback-app", "failed", errorCode="not-supported",
                                   message="no earlier version is kept of this app; nothing was done")),
     "Rollback command sent to app-a on agent-001.\n",
     "Rollback failed for app-a on agent-001: no earlier version is kept of this app; nothing was done\n" + NEXT, 3),
    ("apps list is every app of every page", ["apps", "list"],
     {"GET /api/apps?limit=1000": Answer(body=FLEET[:1], headers={"Link": '<{url}/api/apps?cursor=x>; rel="next"'}),
      "GET /api/apps?cursor=x": Answer(body=FLEET[1:])},
     "AGENT      APP    STATUS             HEALTH     VERSION  SINCE\n"
     "agent-001  app-a  Running            healthy    2.1.0    9 min\n"
     "agent-001  app-b  Failed             unhealthy  -        -\n"
     "agent-002  app-a  Running (offline)  -          2.0.0    -\n", "", 0),
    ("apps list --problems says why", ["apps", "list", "--app", "app-b", "--problems", "--status", "Failed"],
     {"GET /api/apps?limit=1000&app=app-b&status=failed&problems=true": Answer(body=FLEET[1:2])},
     "AGENT      APP    STATUS  HEALTH     VERSION  SINCE\n"
     "agent-001  app-b  Failed  unhealthy  -        -\n"
     "agent-001 app-b: exited 1\n", "", 0),
    ("apps list without problems", ["apps", "list", "--problems"],
     {"GET /api/apps?limit=1000&problems=true": Answer(body=[])},
     "AGENT  APP  STATUS  HEALTH  VERSION  SINCE\n", "No app has a problem.\n", 0),
    ("apps list --json", ["apps", "list", "--json"], {"GET /api/apps": Answer(body=[{"id": "a", "agentId": "b"}])},
     '[\n  {"id": "a", "agentId": "b"}\n]\n', "", 0),
    ("keys list", ["keys", "list"], {"GET /api/keys": Answer(body=KEYS)},
     "NAME  ROLE      STATE  EXPIRES              LAST USED            BY            LIMITED TO\n"
     "root  admin     valid  never                never                console.yaml  -\n"
     "ci    operator  valid  2027-02-25 00:00:00  2026-11-24 02:19:07  alice@cli     web-*,db-1; env=prod; restart\n", "", 0),
    ("keys list --all --json", ["keys", "list", "--all", "--json"], {"GET /api/keys?revoked=true": Answer(body=[])}, "[]\n", "", 0),
    ("keys create puts the key on stdout alone", ["keys", "create", "ci", "--role", "operator", "--agents", "web-*,db-1",
                                                  "--actions=restart"],
     {"POST /api/keys": Answer(201, dict(KEYS[1], key="fleet_x"))}, "fleet_x\n",
     "Key 'ci' (operator). It is shown this once:\n", 0,
     {"name": "ci", "role": "operator", "limits": {"agents": ["web-*", "db-1"], "actions": ["restart"]}}),
    ("keys create without a role", ["keys", "create", "ci"], {}, "", re.compile(r"--role.*\n.*fleetctl keys create --help\n"), 2),
    ("keys create for no time", ["keys", "create", "ci", "--role", "viewer", "--expires", "soon"], {}, "",
     "--expires must be a time such as 12h or 90d, not 'soon'.\n  How it is meant: fleetctl keys create --help\n", 2),
    ("keys create by one who may not", ["keys", "create", "ci", "--role", "viewer"],
     {"POST /api/keys": problem(403, "forbidden", "the key 'vera' is a viewer's, which may not do this")}, "",
     "Authentication failed: the key 'vera' is a viewer's, which may not do this.\n"
     "  Use another key: fleetctl login --url {url} --api-key KEY\n", 1),
    ("keys rotate", ["keys", "rotate", "ci", "--overlap", "1h"],
     {"POST /api/keys/ci/rotate": Answer(200, dict(KEYS[1], key="fleet_y"))}, "fleet_y\n",
     "Key 'ci' (operator). It is shown this once:\n", 0, {"overlapSeconds": 3600}),
    ("keys revoke", ["keys", "revoke", "ci"], {"DELETE /api/keys/ci": Answer(body=KEYS[1])}, "Revoked: ci (operator)\n", "", 0),
    ("keys revoke of nobody's", ["keys", "revoke", "a/b"], {"DELETE /api/keys/a%2Fb": problem(404, "key-not-found", "none")}, "",
     "Key 'a/b' not found. Which there are: fleetctl keys list\n", 1),
    ("artifacts list", ["artifacts", "list", "--app", "app-a"],
     {"GET /api/artifacts?limit=1000&appId=app-a": Answer(body=[ARTIFACT, SERVED])},
     "ID      APP    VERSION     SIZE  SHA256        SIGNED  ADDED                BY            FROM\n"
     "7c31e0  app-a  2.1.0          -  -             no      2026-11-24 02:19:07  operator@cli  https://x/a.tgz\n"
     "7c31e1  app-a  2.2.0    12.5 MB  000000000000  yes     2026-11-24 02:19:07  operator@cli  this console\n", "", 0),
    ("artifacts list of nothing", ["artifacts", "list"], {"GET /api/artifacts": Answer(body=[])},
     "ID  APP  VERSION  SIZE  SHA256  SIGNED  ADDED  BY  FROM\n",
     "No artifact is registered. One is with: fleetctl artifacts add --help\n", 0),
    ("artifacts add of a URL", ["artifacts", "add", "app-a", "--version", "2.1.0", "--url", "https://x/a.tgz"],
     {POST_ARTIFACT: Answer(201, ARTIFACT)},
     "Artifact added: app-a 2.1.0, no checksum [7c31e0]. Use it: fleetctl apps update AGENT app-a --version 2.1.0\n", "", 0,
     {"appId": "app-a", "version": "2.1.0", "url": "https://x/a.tgz"}),
    ("artifacts add of nothing", ["artifacts", "add", "app-a", "--version", "2.1.0"], {}, "",
     "Say where the artifact is: --url URL, or --file FILE, which goes to the console.\n"
     "  How it is meant: fleetctl artifacts add --help\n", 2),
    ("artifacts add of a file that is none", ["artifacts", "add", "app-a", "--version", "2.1.0", "--file", "/dev/null"], {}, "",
     "/dev/null is no file.\n", 1),
    ("artifacts add of what is there", ["artifacts", "add", "app-a", "--version", "2.1.0", "--url", "https://x/a.tgz"],
     {POST_ARTIFACT: problem(409, "conflict", "app-a 2.1.0 is registered already")}, "",
     "The console answered 409: app-a 2.1.0 is registered already\n", 1),
    ("artifacts remove", ["artifacts", "remove", "7c31e0"], {"DELETE /api/artifacts/7c31e0": Answer(body=ARTIFACT)},
     "Removed: app-a 2.1.0 [7c31e0]\n", "", 0),
    ("artifacts remove of what is not there", ["artifacts", "remove", "123456"],
     {"DELETE /api/artifacts/123456": problem(404, "artifact-not-found", "none")}, "",
     "Artifact '123456' not found. Which there are: fleetctl artifacts list\n", 1),
    ("a key that the console refuses", ["agents", "list"], {"GET /api/agents": problem(401, "unauthenticated", "no such key")},
     "", "Authentication failed: no such key.\n  Use another key: fleetctl login --url {url} --api-key KEY\n", 1),
    ("a key that may not do it", RESTART, {POST_RESTART: problem(403, "forbidden", "a viewer changes nothing")},
     "", "Authentication failed: a viewer changes nothing.\n  Use another key: fleetctl login --url {url} --api-key KEY\n", 1),
    ("an unknown error is status and body", ["agents", "list"],
     {"GET /api/agents": Answer(500, b"<h1>boom</h1>\r\n\x1b[2J", "text/html")},
     "", "The console answered 500:\n  <h1>boom</h1>\n  ?[2J\n", 1),
    ("an error without a body", ["agents", "list"], {"GET /api/agents": Answer(503, b"", "text/plain")},
     "", "The console answered 503:\n  (nothing)\n", 1),
    ("an answer that is no JSON", ["agents", "list"], {"GET /api/agents": Answer(200, b"<html>", "text/html")},
     "", re.compile(r"The console answered 200, but not with JSON: .*\. Is http://127.0.0.1:\d+ a Fleet console\?\n"), 1),
    ("an answer that is no list", ["agents", "list"], {"GET /api/agents": Answer(body={"a": 1})},
     "", "The console answered with something else than a list. Is {url} a Fleet console?\n", 1),
    ("apps logs", ["apps", "logs", "agent-001", "app-a"],
     {READS + "logs?lines=50": Answer(body={"lines": [
         {"text": "no time\x1b[2J"}, {"priority": 3, "text": "bad"}, {"priority": 4, "text": "hm"},
         {"priority": 6, "text": "fine"}], "left": 12, "driver": "x"})},
     "no time?[2J\nerror: bad\nwarning: hm\nfine\n", "12 older lines left out: no room in one answer.\n", 0),
    ("apps logs of an app that says nothing", ["apps", "logs", "agent-001", "app-a", "--lines", "3", "--since",
                                                "2026-01-31T23:59:59Z"],
     {READS + "logs?lines=3&since=2026-01-31T23%3A59%3A59.000Z": Answer(body={"lines": []})},
     "", "No log lines since then.\n", 0),
    ("apps logs that are too many", ["apps", "logs", "agent-001", "app-a", "--lines", "201"], {},
     "", re.compile(r".*--lines.*200.*\n  How it is meant: fleetctl apps logs --help\n"), 2),
    ("apps logs since no time", ["apps", "logs", "agent-001", "app-a", "--since", "noon"], {},
     "", "--since takes how long ago, such as 10m, or a time such as 2026-01-31T23:59:59Z, not 'noon'.\n"
     "  How it is meant: fleetctl apps logs --help\n", 2),
    ("apps config lists settings", CONFIG + ["--file", "tls"],
     {READS + "config?file=tls": Answer(body={"file": "tls", "driver": "json-config", "hash": "sha256:00", "settings": [
         {"key": "a.b", "type": "string", "value": "x\ny\x1b[2J"}, {"key": "password", "type": "string", "masked": True},
         {"key": "c", "type": "string", "value": ""}, {"key": "d", "type": "integer", "value": "7"},
         {"key": "e", "type": "string", "value": "日" * 60}], "left": 1})},
     re.compile(r"KEY +VALUE +TYPE\na\.b +x\?y\?\[2J +string\npassword +\(hidden\) +string\nc +\"\" +string\n"
                r"d +7 +integer\ne +日{40}\.\.\. +string\nFile tls \(json-config\), sha256:00, read \n"),
     "1 setting left out: no room in one answer.\n", 0),
    ("apps config that may not be read", CONFIG,
     {READS + "config": problem(422, "not-allowed-by-server", "this server's admin does not allow read-config")},
     "", re.compile(".*this server's admin does not allow read-config.*\n"), 1),
    ("no settings at all", CONFIG + ["--wait"], {},
     "", "Nothing to change: --set KEY=VALUE, --unset KEY or --restore ID is missing.\n"
     "  How it is meant: fleetctl apps config --help\n", 2),
    ("settings and a restore", CONFIG + ["--set", "a=1", "--restore", "7c31e0"], {},
     "", "--restore brings back a whole file: it goes without --set and --unset.\n"
     "  How it is meant: fleetctl apps config --help\n", 2),
    ("a setting without a value", CONFIG + ["--set", "a"], {},
     "", "--set takes KEY=VALUE, not 'a'.\n  How it is meant: fleetctl apps config --help\n", 2),
    ("a timeout that is no time", RESTART + ["--wait", "--timeout", "soon"], {},
     "", "--timeout takes a time such as 30s or 5m, not 'soon'.\n  How it is meant: fleetctl apps restart --help\n", 2),
    ("an unknown command", ["agnts"], {},
     "", "Unknown command 'agnts'. Did you mean 'fleetctl agents'?\n  How it is meant: fleetctl --help\n", 2),
    ("a missing word", ["apps", "restart", "agent-001"], {},
     "", "APP is missing.\n  How it is meant: fleetctl apps restart --help\n", 2),
]


def run_case(case):
    name, args, routes, stdout, stderr, code = case[:6]
    console = FakeConsole(routes)
    cli = Fleetctl(console.url)
    try:
        got = cli.run(args)
        if isinstance(stderr, str):
            stderr = stderr.replace("{url}", console.url)
        problems = differences(code=(got[0], code), stdout=(got[1], stdout), stderr=(got[2], stderr))
        if len(case) > 6:
            bodies = [json.loads(r[3]) for r in console.requests if r[0] == "POST"]
            problems += differences(body=(bodies, [case[6]]))
        problems += ["no X-Fleet-Client: cli in %s %s" % r[:2] for r in console.requests
                     if r[2].get("X-Fleet-Client") != "cli"]
        return problems
    finally:
        console.close()
        cli.close()


def main():
    tap = Tap()
    print("1..%d" % len(CASES), flush=True)
    for case in CASES:
        tap.check(case[0], run_case(case))
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())

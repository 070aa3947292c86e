"""What a console says to fleetctl in its tests, and what they ask for again and again."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_console import Answer, ago, problem  # noqa: E402

ID = "0193587a-1111-7000-8000-0000007c31e0"
AGENT = {
    "agentId": "agent-001", "hostname": "srv-alpha", "isOnline": True, "connectedSince": ago(3 * 3600 + 5),
    "lastSeen": ago(2), "agentVersion": "0.1.0",
    "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0", "arch": "x86_64"},
    "metrics": {"cpuPercent": 23.4, "memoryUsedBytes": 128 << 20, "memoryTotalBytes": 2048 << 20, "load1": 0.5,
                "load5": 0.25, "load15": 0.1, "uptimeSeconds": 3 * 86400,
                "disks": [{"mount": "/", "usedBytes": 5 << 30, "totalBytes": 40 << 30}]},
    "apps": [{"id": "app-a", "status": "running", "health": "healthy", "version": "2.1.0", "pid": 4127,
              "memoryBytes": 12 << 20, "since": ago(9 * 60)},
             {"id": "app-b", "status": "failed", "health": "unhealthy", "healthMessage": "GET /health: 503",
              "message": "exited 1"}],
    "drivers": [{"name": "bad", "version": "1", "roles": [], "error": "no symbol fleet_driver_v1"}],
    "problems": [{"file": "x.yaml", "line": 3, "column": 1, "message": "id is missing"}],
}
OFFLINE = {"agentId": "agent-002", "hostname": "srv-beta", "isOnline": False, "lastSeen": ago(8 * 60 + 5),
           "metrics": {"cpuPercent": 50, "memoryUsedBytes": 1 << 20}, "apps": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}


def command(action="restart-app", state="queued", **more):
    return {"commandId": ID, "command": action, "agentId": "agent-001", "appId": "app-a", "actor": "operator@cli",
            "state": state, "createdAt": "2026-11-24T02:19:07.000Z", **more}


RESTARTED = command(state="succeeded", success=True, message="Running, healthy, pid 4127 (was 3980), down 1.2 s",
                    appStatus="running", appHealthy=True,
                    verified=True, pid=4127, previousPid=3980, downMs=1200, startedAt="2026-11-24T02:19:07.100Z",
                    finishedAt="2026-11-24T02:19:08.500Z",
                    steps=[{"step": "restart", "ok": True, "startedAt": "2026-11-24T02:19:07.100Z",
                            "finishedAt": "2026-11-24T02:19:08.300Z"},
                           {"step": "health", "ok": True, "message": "is-active"}])
FAILED = command(state="failed", success=False, message="exited 1 after 0.4 s", errorCode="service-failed",
                 appStatus="failed", appHealthy=False, logLines=["one", "two", "three", "four", "five",
                                                                  "bind: address\talready in use\x1b[31m"])
PUSHED = command("push-config", "succeeded", success=True, appStatus="running", appHealthy=True, verified=True, pid=2,
                 previousPid=1, downMs=900, message="restarted, healthy", changedKeys=["LogLevel"], file="main", hash="sha256:00",
                 diff=[{"key": "LogLevel", "before": "Info", "after": "Debug"}],
                 steps=[{"step": "write", "ok": True}, {"step": "restart", "ok": True}])
CONFIG = ["apps", "config", "agent-001", "app-a"]
RESTART = ["apps", "restart", "agent-001", "app-a"]
UPDATE = ["apps", "update", "agent-001", "app-a", "--version", "2.1.0", "--artifact", "https://x/a.tgz"]
READS = "GET /api/agents/agent-001/apps/app-a/"
POST_RESTART = "POST /api/agents/agent-001/restart-app"
POST_CONFIG = "POST /api/agents/agent-001/push-config"
POST_UPDATE = "POST /api/agents/agent-001/update-app"
POST_ROLLBACK = "POST /api/agents/agent-001/rollback-app"
POST_ARTIFACT = "POST /api/artifacts"
SHA256 = "0" * 64
MINISIG = "untrusted comment: signature\nRUQ=\ntrusted comment: x\nAAA=\n"
ARTIFACT = {"artifactId": ID, "appId": "app-a", "version": "2.1.0", "url": "https://x/a.tgz", "served": False,
            "addedBy": "operator@cli", "addedAt": "2026-11-24T02:19:07.000Z"}
SERVED = dict(ARTIFACT, artifactId=ID[:-1] + "1", version="2.2.0", url="/api/artifacts/x/file", served=True, bytes=25 << 19,
              sha256=SHA256, signature=MINISIG)
KEYS = [{"name": "root", "role": "admin", "state": "valid", "keptIn": "console.yaml"},
        {"keyId": ID, "name": "ci", "role": "operator", "state": "valid", "keptIn": "store", "createdBy": "alice@cli",
         "limits": {"agents": ["web-*", "db-1"], "labels": ["env=prod"], "actions": ["restart"]},
         "expiresAt": "2027-02-25T00:00:00.000Z", "lastUsedAt": "2026-11-24T02:19:07.000Z"}]
FLEET = [dict(AGENT["apps"][0], agentId="agent-001", agentOnline=True), dict(AGENT["apps"][1], agentId="agent-001", agentOnline=True),
         {"id": "app-a", "agentId": "agent-002", "agentOnline": False, "status": "running", "health": "healthy", "version": "2.0.0",
          "since": ago(500)}]
GET_COMMAND = "GET /api/commands/" + ID
NO_STREAM = {"GET /api/events": problem(404, "not-found", "no events here")}


def waited(post, end, first=None):
    """Routes of a command that ends as END, seen by asking."""
    return {post: Answer(202, first or command(end["command"], "sent")), GET_COMMAND: Answer(body=end), **NO_STREAM}


NOT_FOUND = {"GET /api/agents": Answer(body=[AGENT, OFFLINE]), "GET /api/agents/agent-001": Answer(body=AGENT)}
NO_AGENT = problem(404, "agent-not-found", "no agent has this id")
NO_APP = problem(404, "app-not-found", "no such app")
SENT = "Restart command sent to app-a on agent-001.\n"
PUSH = "Config pushed to app-a on agent-001: LogLevel\n"
NEXT = "  Next: fleetctl commands show 7c31e0\n"

DRY = "Dry run of a config push to app-a on agent-001: LogLevel\n"
TRIED = ("1 setting would change, nothing was written [7c31e0]\n"
         "main is sha256:00 now: with --expect and that hash a push is made only while it still is\n")
LINES = ["--- /etc/a.json", "+++ /etc/a.json (after the push)", "@@ -1,3 +1,3 @@", " {", "--- old:\x1b[2J", "+++ new", " }\r"]
DRY_RUN = dict(PUSHED, message="dry run: 1 setting would change; nothing was written", unifiedDiff="\n".join(LINES) + "\n")
DIFF = "\n".join(LINES).replace("\x1b", "?").replace("\r", "") + "\n"
HISTORY = [
    {"kind": "push", "timestamp": "2026-11-24T02:30:00.000Z", "commandId": ID, "actor": "operator@cli", "file": "main",
     "state": "succeeded", "changedKeys": ["LogLevel", "Password"],
     "diff": [{"key": "LogLevel", "before": "Info", "after": "Debug"}, {"key": "Password", "masked": True}]},
    {"kind": "outside", "timestamp": "2026-11-24T02:29:00.000Z", "file": "main",
     "changedKeys": ["Limits.A", "b\x1bc", "d", "e", "f", "g", "h"]},
    {"kind": "push", "timestamp": "2026-11-24T02:28:00.000Z", "commandId": ID, "actor": "operator@cli", "file": "env",
     "state": "failed", "rolledBack": True, "restoreOf": ID[:-6] + "123456", "changedKeys": ["A"], "diff": [{"key": "A", "after": "1"}]},
    {"kind": "outside", "timestamp": "2026-11-24T02:27:00.000Z", "file": "main",
     "message": "app-a's config was removed outside Fleet"},
]

#!/usr/bin/python3
"""What people, programs and rogue agents send by mistake or on purpose. Each gets a clear answer, and afterwards the
console serves, the agent is online and the audit log holds."""
import contextlib
import http.client
import json
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from hostsocket import stamp, uuid7  # noqa: E402

MIB = 1024 * 1024
RESTART = "/api/agents/agent-001/restart-app"
PUSH = "/api/agents/agent-001/push-config"
UPDATE = "/api/agents/agent-001/update-app"
# what, method, path, body, status, last segment of the problem's type, words of its detail or its field
REST = [
    ("unknown agent", "GET", "/api/agents/nobody", None, 404, "agent-not-found", "nobody"),
    ("unknown agent's restart", "POST", "/api/agents/nobody/restart-app", {"appId": "app-a"}, 404, "agent-not-found", "nobody"),
    ("unknown app", "POST", RESTART, {"appId": "nothing"}, 404, "app-not-found", "nothing"),
    ("unknown app's push", "POST", PUSH, {"appId": "nothing", "settings": {"a": "b"}}, 404, "app-not-found", "nothing"),
    ("an id that is none", "GET", "/api/agents/a%20b%2F..%2Fc", None, (400, 404), None, ""),
    ("half a JSON", "POST", RESTART, b'{"appId":', 400, "invalid-request", ""),
    ("text after the JSON", "POST", RESTART, b'{"appId":"app-a"} x', 400, "invalid-request", ""),
    ("an array", "POST", RESTART, b'["app-a"]', 400, "invalid-request", "object"),
    ("an empty body", "POST", RESTART, b"", 400, "invalid-request", ""),
    ("no appId", "POST", RESTART, {}, 400, "invalid-request", "appId"),
    ("appId a number", "POST", RESTART, {"appId": 5}, 400, "invalid-request", "appId"),
    ("appId an object", "POST", RESTART, {"appId": {"id": "app-a"}}, 400, "invalid-request", "appId"),
    ("appId null", "POST", RESTART, {"appId": None}, 400, "invalid-request", "appId"),
    ("appId no id", "POST", RESTART, {"appId": "../../etc"}, (400, 404), None, "app"),
    ("appId with a NUL", "POST", RESTART, b'{"appId":"app-a\\u0000b"}', (400, 404), None, ""),
    ("appId too long", "POST", RESTART, {"appId": "a" * 65}, (400, 404), None, ""),
    ("the same key twice", "POST", RESTART, b'{"appId":"app-a","appId":"nothing"}', (400, 404), None, ""),
    ("bad UTF-8", "POST", RESTART, b'{"appId":"\xff\xfe"}', 400, "invalid-request", ""),
    ("nested too deep", "POST", RESTART, b'{"appId":' + b"[" * 100 + b"]" * 100 + b"}", 400, "invalid-request", ""),
    ("settings missing", "POST", PUSH, {"appId": "app-a"}, (400, 422), "invalid-request", "settings"),
    ("settings an array", "POST", PUSH, {"appId": "app-a", "settings": ["a"]}, 400, "invalid-request", "settings"),
    ("settings empty", "POST", PUSH, {"appId": "app-a", "settings": {}}, (400, 422), "invalid-request", "settings"),
    ("stringSettings with a number", "POST", PUSH, {"appId": "app-a", "stringSettings": {"a": 1}}, 400, "invalid-request",
     "stringSettings"),
    ("unset a string", "POST", PUSH, {"appId": "app-a", "unset": "a"}, 400, "invalid-request", "unset"),
    ("an empty key", "POST", PUSH, {"appId": "app-a", "settings": {"": "x"}}, (400, 422), "invalid-request", ""),
    ("a key too long", "POST", PUSH, {"appId": "app-a", "settings": {"k" * 1025: "x"}}, (400, 422), "invalid-request", ""),
    ("a value too long", "POST", PUSH, {"appId": "app-a", "settings": {"k": "x" * (64 * 1024 + 1)}}, (400, 413, 422), None, ""),
    ("too many settings", "POST", PUSH, {"appId": "app-a", "settings": {f"k{n}": "x" for n in range(201)}}, (400, 413, 422),
     None, "200"),
    ("dryRun a string", "POST", PUSH, {"appId": "app-a", "settings": {"a": "b"}, "dryRun": "yes"}, 400, "invalid-request", "dryRun"),
    ("update without version", "POST", UPDATE, {"appId": "app-a", "artifactUrl": "https://x/y"}, 400, "invalid-request", "version"),
    ("update from a file", "POST", UPDATE, {"appId": "app-a", "version": "2", "artifactUrl": "file:///etc/shadow"}, (400, 422),
     "invalid-request", "artifactUrl"),
    ("oversized", "POST", RESTART, b'{"appId":"' + b"a" * MIB + b'"}', 413, "too-large", ""),
    ("unknown path", "GET", "/api/nothing", None, 404, None, ""),
    ("unknown method", "PUT", "/api/agents", None, 405, None, ""),
    ("unknown command", "GET", "/api/commands/00000000-0000-7000-8000-000000000000", None, 404, None, ""),
    ("a command id that is none", "GET", "/api/commands/%00", None, (400, 404), None, ""),
    ("limit 0", "GET", "/api/agents?limit=0", None, 400, "invalid-request", "limit"),
    ("limit a word", "GET", "/api/agents?limit=many", None, 400, "invalid-request", "limit"),
    ("limit past the most", "GET", "/api/audit?limit=1001", None, 400, "invalid-request", "limit"),
    ("a cursor of nobody's", "GET", "/api/audit?cursor=AAAA", None, 400, "invalid-request", "cursor"),
    ("a time that is none", "GET", "/api/audit?from=yesterday", None, 400, "invalid-request", "from"),
    ("status of nothing", "GET", "/api/agents?status=asleep", None, 400, "invalid-request", "status"),
    ("state of nothing", "GET", "/api/commands?state=lost", None, 400, "invalid-request", "state"),
    ("SQL for an agent", "GET", "/api/audit?agentId=x'%20OR%20'1'='1", None, (200, 400), None, ""),
    ("out of the asset directory", "GET", "/../../../etc/passwd", None, (400, 404), None, ""),
    ("out of it, encoded", "GET", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", None, (400, 404), None, ""),
]


def fleet(lab):
    lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    lab.running("agent-001", "app-a")


def all_is_well(lab, after):
    check_equal(lab.get("/healthz").status, 200, f"/healthz after: {after}")
    check_equal(lab.api("/api/agents/agent-001")["isOnline"], True, f"agent-001 online after: {after}")


def rest_answers_name_the_fault(lab):
    fleet(lab)
    pid = lab.app("agent-001", "app-a")["pid"]
    wrong = []
    for what, method, path, body, statuses, kind, words in REST:
        answer = lab.request(method, path, body)
        statuses = statuses if isinstance(statuses, tuple) else (statuses,)
        if answer.status not in statuses:
            wrong.append(f"{what}: {answer!r}, expected {statuses}")
            continue
        if answer.status < 400:
            continue
        if answer.headers.get("content-type") != "application/problem+json":
            wrong.append(f"{what}: content type {answer.headers.get('content-type')}")
            continue
        problem = answer.json
        if problem.get("status") != answer.status or not problem.get("title") or not problem.get("detail"):
            wrong.append(f"{what}: not a whole problem: {problem}")
        if kind and problem.get("type", "").rsplit("/", 1)[-1].rsplit(":", 1)[-1] != kind:
            wrong.append(f"{what}: type {problem.get('type')}, expected {kind}")
        if words not in problem.get("detail", "") and words not in problem.get("field", ""):
            wrong.append(f"{what}: neither detail nor field names {words!r}: {problem}")
        all_is_well(lab, what)
    check(not wrong, "\n".join(wrong))
    check(lab.get("/api/agents/agent-001").json["apps"][0].get("pid") in (pid, lab.app("agent-001", "app-a")["pid"]), "the app")


def other_content_types_are_refused(lab):
    """A form of a foreign page can send text/plain without asking the console first."""
    fleet(lab)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = lab.post(RESTART, b'{"appId":"app-a"}', headers={"Content-Type": content_type})
        check_equal(answer.status, 415, f"POST as {content_type} ({answer!r})")
    check_equal(lab.api("/api/commands"), [], "commands")


def raw(lab, data, timeout=10):
    """Bytes to the console's port, what comes back until it closes."""
    with socket.create_connection(("127.0.0.1", lab.port), timeout=timeout) as s:
        answer = b""
        with contextlib.suppress(OSError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                answer += chunk
        return answer


def broken_http_is_survived(lab):
    fleet(lab)
    for what, data in (
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)),
        ("a bare newline", b"\n\n\n"),
        ("a header without an end", b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000),
        ("a thousand headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n"),
        ("a length that lies", b"POST " + RESTART.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
         b"Content-Length: 99999999999999999999\r\n\r\n{}"),
        ("a negative length", b"POST " + RESTART.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}"),
        ("two lengths", b"POST " + RESTART.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        ("chunks of nonsense", b"POST " + RESTART.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("an absolute path", b"GET http://elsewhere/etc HTTP/1.1\r\nHost: elsewhere\r\n\r\n"),
        ("a path of 100 KB", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    ):
        raw(lab, data)
        all_is_well(lab, what)


def half_requests_do_not_block_others(lab):
    """A hundred clients that never finish their request: the next one is served all the same."""
    fleet(lab)
    slow = []
    for _ in range(40):
        s = socket.create_connection(("127.0.0.1", lab.port), timeout=5)
        s.sendall(b"POST " + RESTART.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        slow.append(s)
    all_is_well(lab, "forty half requests")
    for s in slow:
        s.close()
    all_is_well(lab, "and their end")


class Rogue:
    """An agent of our own making, on a real WebSocket."""

    def __init__(self, lab, agent_id, **options):
        import websocket
        options.setdefault("subprotocols", ["fleet.v1"])
        self.websocket = websocket
        # No Origin unless a test wants one: that is a browser's mark.
        options.setdefault("suppress_origin", "origin" not in options)
        query = "" if agent_id is None else f"?agentId={agent_id}"
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{lab.port}/api/hub{query}", timeout=harness.DEADLINE, **options)

    def send(self, kind, **fields):
        message = {"type": kind, "id": uuid7(), "ts": stamp(), **fields}
        self.socket.send(json.dumps(message))
        return message["id"]

    def receive(self, kind, ref=None):
        while True:
            message = json.loads(self.socket.recv())
            if message["type"] == kind and (ref is None or message.get("refId") == ref):
                return message

    def register(self, agent_id, **other):
        fields = {"agentId": agent_id, "instanceId": "0" * 64, "spoolId": uuid7(), "bootId": "b", "hostname": "rogue",
                  "os": {"id": "debian", "version": "12", "name": "Debian", "kernel": "6", "arch": "x86_64"},
                  "agentVersion": "0", "apps": [], "drivers": [], "problems": [], "labels": {}, "running": [], **other}
        self.send("register", **fields)
        return self.receive("registered")


def handshakes_that_are_refused(lab):
    import websocket
    fleet(lab)
    for what, agent_id, options, statuses in (
        ("no agentId", None, {}, (400,)),
        ("an agentId that is none", "a%20b", {}, (400,)),
        ("an agentId too long", "a" * 65, {}, (400,)),
        ("no subprotocol", "agent-002", {"subprotocols": None}, (426,)),
        ("another subprotocol", "agent-002", {"subprotocols": ["fleet.v9"]}, (426,)),
        ("a browser's Origin", "agent-002", {"origin": "http://evil.example"}, (403,)),
        ("a taken agentId", "agent-001", {}, (409,)),
    ):
        try:
            Rogue(lab, agent_id, **options)
        except websocket.WebSocketBadStatusException as e:
            check(e.status_code in statuses, f"{what}: {e.status_code}, expected {statuses}")
        else:
            raise harness.Failure(f"{what}: the handshake succeeded")
        all_is_well(lab, what)
    refused = [e for e in lab.audit(category="agent", agentId="agent-001") if "refused" in e["message"]]
    check(refused, "the refusal of a taken agentId is not in the audit log")
    check_equal(lab.get("/api/hub?agentId=agent-002").status, 426, "GET of the hub without an upgrade")


def messages_that_are_refused(lab):
    """Each is answered with an error that names its id, and the connection stays."""
    fleet(lab)
    rogue = Rogue(lab, "rogue-1")
    ref = rogue.send("heartbeat", seq=1, metrics={}, apps=[])
    check_equal(rogue.receive("error")["refId"], ref, "a heartbeat before register")
    rogue.register("rogue-1")
    for what, kind, fields, path in (
        ("unknown type", "makeCoffee", {}, None),
        ("a message of the other side", "restartApp", {"jws": "a.b.c"}, None),
        ("seq a string", "heartbeat", {"seq": "one", "metrics": {}, "apps": []}, "seq"),
        ("apps an object", "heartbeat", {"seq": 1, "metrics": {}, "apps": {}}, "apps"),
        ("status of nothing", "heartbeat", {"seq": 1, "metrics": {}, "apps": [{"id": "a", "status": "sleepy"}]}, "status"),
        ("cpu a string", "heartbeat", {"seq": 1, "metrics": {"cpuPercent": "hot"}, "apps": []}, "cpuPercent"),
        ("an event without message", "auditEvent", {"eventId": uuid7(), "spoolId": uuid7(), "seq": 1, "category": "agent"}, "message"),
        ("a result without commandId", "commandResult", {"command": "restart-app", "appId": "a", "success": True}, "commandId"),
        ("commandId no uuid", "commandAccepted", {"commandId": "the last one"}, "commandId"),
    ):
        ref = rogue.send(kind, **fields)
        error = rogue.receive("error")
        check_equal(error.get("refId"), ref, f"{what}: refId ({error})")
        check(error.get("code") and error.get("message"), f"{what}: {error}")
        if path:
            check_in(path, error.get("path", "") + error["message"], f"{what}: path")
    for what, text in (("no JSON", "hello"), ("half a JSON", '{"type":'), ("an array", "[1]"), ("no type", '{"id":"x"}'),
                       ("nested too deep", '{"type":"heartbeat","x":' + "[" * 100 + "]" * 100 + "}")):
        rogue.socket.send(text)
        error = rogue.receive("error")
        check(error.get("code") and error.get("message"), f"{what}: {error}")
    # A result of a command that nobody gave, and one of another agent's command, change nothing.
    real = lab.command("agent-001", "restart-app", appId="app-a")
    lab.outcome(real["commandId"])
    for command_id in (uuid7(), real["commandId"]):
        rogue.send("commandResult", commandId=command_id, command="restart-app", appId="app-a", success=False, message="I say so",
                   startedAt=stamp(), finishedAt=stamp(), steps=[])
    rogue.send("heartbeat", seq=2, metrics={"cpuPercent": 1.0}, apps=[])
    lab.until("the rogue's heartbeat counts", lambda: lab.api("/api/agents/rogue-1").get("metrics", {}).get("cpuPercent") == 1.0)
    check_equal(lab.api(f"/api/commands/{real['commandId']}")["state"], "succeeded", "state after another agent's result")
    all_is_well(lab, "bad messages")


def frames_that_end_the_connection(lab):
    fleet(lab)
    for number, (what, send) in enumerate((
        ("a message of 2 MiB", lambda r: r.socket.send('{"type":"heartbeat","x":"' + "a" * 2 * MIB + '"}')),
        ("a binary message", lambda r: r.socket.send_binary(b"\x00\x01\x02")),
        ("bad UTF-8", lambda r: r.socket.send_frame(r.websocket.ABNF(1, 0, 0, 0, r.websocket.ABNF.OPCODE_TEXT, 1, b"\xff\xfe\xfd"))),
        ("no frame at all", lambda r: r.socket.sock.sendall(b"\xff" * 64)),
    )):
        rogue = Rogue(lab, f"rogue-{number}")
        rogue.register(f"rogue-{number}")
        with contextlib.suppress(OSError):
            send(rogue)
            rogue.socket.settimeout(10)
            try:
                while True:
                    opcode, data = rogue.socket.recv_data()
                    # An error message instead of an end is as good, where the stream is still in step.
                    if opcode == rogue.websocket.ABNF.OPCODE_CLOSE or (opcode == 1 and b'"error"' in data):
                        break
            except (rogue.websocket.WebSocketException, http.client.HTTPException):
                pass
        rogue.socket.close()
        all_is_well(lab, what)
    check_equal(lab.api("/api/agents/agent-001")["isOnline"], True, "agent-001")


def a_taken_id_is_told_to_the_newcomer(lab):
    """Two real agents with one id: the first keeps it, the second says why it is refused, the log has it."""
    fleet(lab)
    second = lab.spawn("second", [harness.program("fleet-agent"), "--dev", "--agent-id", "agent-001", "--console-url", lab.url,
                                  "--data-dir", lab.path("second")])
    lab.until("the newcomer says why it was refused", lambda: "in use" in second.log() and os.uname().nodename in second.log())
    check(second.ended() is None, "the newcomer gave up for good")
    lab.until("the refusal is in the audit log",
              lambda: [e for e in lab.audit(agentId="agent-001", category="agent") if "refused" in e["message"]])
    all_is_well(lab, "a newcomer")
    # The first one gone, the second gets the id by itself.
    lab.processes[1].stop()
    lab.online("agent-001", timeout=60)
    check(second.ended() is None, "the newcomer ended")


def a_dead_holder_of_an_id_is_replaced(lab):
    """The first does not answer the console's ping: the newcomer gets the id after three seconds."""
    fleet(lab)
    lab.processes[1].freeze()
    second = lab.spawn("second", [harness.program("fleet-agent"), "--dev", "--agent-id", "agent-001", "--console-url", lab.url,
                                  "--data-dir", lab.path("second")])
    lab.until("the newcomer is in", lambda: "Registered as agent-001" in second.log(), timeout=30)
    lab.processes[1].kill()


def broken_yaml_among_good_files(lab):
    """The good files' apps are managed; the bad ones are told with file, line and column, to the admin and the console."""
    good = "managed_apps:\n" + lab.simulated("app-a")
    lab.write("agent-001.apps.d/good.yaml", good)
    lab.write("agent-001.apps.d/broken.yaml", "managed_apps:\n  - id: app-b\n    service_driver: [simulated\n")
    lab.write("agent-001.apps.d/mistyped.yaml", "managed_apps:\n" + lab.simulated("app-c", extra="config_pth: /tmp/x"))
    lab.write("agent-001.apps.d/wrongtype.yaml", "managed_apps:\n  - id: [1, 2]\n    service_driver: simulated\n")
    lab.write("agent-001.apps.d/again.yaml", "managed_apps:\n" + lab.simulated("app-a"))
    lab.console()
    agent = lab.agent("agent-001")
    lab.running("agent-001", "app-a")
    check_equal([a["id"] for a in lab.api("/api/agents/agent-001")["apps"]], ["app-a"], "managed apps")
    log = agent.log()
    for part in ("broken.yaml:", "mistyped.yaml:6:", "config_pth", "wrongtype.yaml:2:"):
        check_in(part, log, "the agent's log")
    problems = lab.api("/api/agents/agent-001").get("problems", [])
    check({"broken.yaml", "mistyped.yaml", "wrongtype.yaml"} <= {os.path.basename(p["file"]) for p in problems},
          f"problems that the console shows: {problems}")
    ended = lab.outcome(lab.command("agent-001", "restart-app", appId="app-a")["commandId"])
    check_equal(ended["state"], "succeeded", "a restart")
    # Mended and reloaded: the app is there, without a restart of anything.
    pid = ended["pid"]
    os.unlink(lab.path("agent-001.apps.d/again.yaml"))
    lab.write("agent-001.apps.d/broken.yaml", "managed_apps:\n" + lab.simulated("app-b"))
    agent.process.send_signal(1)
    lab.running("agent-001", "app-b")
    check_equal(lab.running("agent-001", "app-a")["pid"], pid, "pid of the other app")


if __name__ == "__main__":
    harness.main([
        rest_answers_name_the_fault,
        other_content_types_are_refused,
        broken_http_is_survived,
        half_requests_do_not_block_others,
        handshakes_that_are_refused,
        messages_that_are_refused,
        frames_that_end_the_connection,
        a_taken_id_is_told_to_the_newcomer,
        a_dead_holder_of_an_id_is_replaced,
        broken_yaml_among_good_files,
    ])

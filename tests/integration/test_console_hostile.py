#!/usr/bin/python3
"""fleet-console among enemies: clients that send anything, leave at any moment or read nothing, agents that lie, and
kill -9. It answers with a clear error each, loses nothing, does nothing twice, tells no secret, and ends cleanly. TAP."""
import collections
import http.client
import json
import os
import random
import re
import resource
import socket
import struct
import sys
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console_peers import DEADLINE, Agent, Console, Refused, Worker, payload_of, wait_for  # noqa: E402

OPERATOR = {"Authorization": "Bearer operator-key-0123456789abcdef"}
VIEWER = {"Authorization": "Bearer viewer-key-0123456789abcdefgh"}
AGENT_KEY = "agent-key-a1-0123456789abcdef"
KEYS = f"""
api_keys:
  - {{name: ops, role: operator, key: {OPERATOR["Authorization"][7:]}}}
  - {{name: see, role: viewer, key: {VIEWER["Authorization"][7:]}}}
agent_keys:
  - {{agent_id: a1, key: {AGENT_KEY}}}
  - {{agent_id: a2, key: agent-key-a2-0123456789abcdef}}
command_ttl: 2s
"""
NOBODY = "0193587a-1111-7000-8000-0000007c31e0"


def new_id():
    return str(uuid.uuid4())


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(seen, expected, what):
    check(seen == expected, f"{what}: {seen!r}, expected {expected!r}")


def audit(console, query=""):
    """All pages, oldest first."""
    events, path = [], "/api/audit?limit=1000" + query
    while path:
        answer = console.get(path)
        equal(answer.status, 200, path)
        events += answer.json
        link = re.search("<(.*)>", answer.headers.get("Link") or "")
        path = link and link[1]
    return events[::-1]


def state(console, command):
    return console.get("/api/commands/" + command).json["state"]


# ---- HTTP ----

def test_what_is_no_request():
    host = b"Host: localhost\r\n"
    post = b"POST /api/agents/a1/restart-app HTTP/1.1\r\n" + host
    cases = [  # bytes, the statuses that may come
        (b"GET\r\n\r\n", [400]), (b"GET / HTTP/9.9\r\n\r\n", [400]), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
        (b"GET /%00 HTTP/1.1\r\n" + host + b"\r\n", [400]), (b"GET /%ff HTTP/1.1\r\n" + host + b"\r\n", [400]),
        (b"GET /../../../etc/passwd HTTP/1.1\r\n" + host + b"\r\n", [404]),
        (b"GET /assets/..%2f..%2f..%2fetc/passwd HTTP/1.1\r\n" + host + b"\r\n", [404]),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + host + b"\r\n", [404]),
        (b"GET /api/agents?limit=%zz HTTP/1.1\r\n" + host + b"\r\n", [400]),
        (b"TRACE / HTTP/1.1\r\n" + host + b"\r\n", [501]), (b"BREW / HTTP/1.1\r\n" + host + b"\r\n", [501]),
        (b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 20000 + b"\r\n\r\n", [400]),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + host + b"\r\n", [414]),
        (post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}", [400]),
        (post + b"Content-Length: -1\r\n\r\n", [400]),
        (post + b"Content-Length: 99999999999999999999\r\n\r\n", [413]),
        (post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc", [413]),
        (post + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", [400]),
        (post + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", [501]),
        (b"GET / HTTP/1.1\r\n" + host + b"A\x00b: c\r\n\r\n", [400]),
        (b"GET /api/version HTTP/1.1\r\nHost: evil.example\r\n\r\n", [403]), (b"GET /api/version HTTP/1.0\r\n\r\n", [403]),
        ((b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n") * 100, [200] * 100),
        ((b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n") * 3 + b"GARBAGE\r\n\r\n", [200] * 3 + [400]),
    ]
    with Console() as console:
        workers = [(Worker(console.raw, data), data, expected) for data, expected in cases]
        for worker, data, expected in workers:
            got = worker.finish()
            equal([int(s) for s in re.findall(rb"HTTP/1\.[01] (\d{3}) ", got)], expected, data[:60])
            check(expected[-1] < 400 or b"application/problem+json" in got, data[:60])
            equal(got.count(b"X-Content-Type-Options: nosniff\r\n"), len(expected), data[:60])
        equal(console.get("/healthz").status, 200, "afterwards")


def test_bodies_and_queries():
    deep = "[" * 100000
    cases = [
        ("restart-app", "", 400), ("restart-app", "null", 400), ("restart-app", "[]", 400), ("restart-app", "{", 400),
        ("restart-app", b"\xff\xfe", 400), ("restart-app", deep, 400), ("restart-app", '{"appId":"\\u0000"}', 400),
        ("restart-app", '{"appId":1}', 400), ("restart-app", '{"appId":"../x"}', 400), ("restart-app", '{"appId":"zz"}', 404),
        ("restart-app", '{"appId":"app-a","x":1}', 400), ("restart-app", '{"appId":"app-a"} x', 400),
        ("push-config", '{"appId":"app-a"}', 400), ("push-config", '{"appId":"app-a","settings":[]}', 400),
        ("push-config", '{"appId":"app-a","settings":{"a\\nb":1}}', 400),
        ("push-config", '{"appId":"app-a","settings":{"a":1},"unset":["a"]}', 400),
        ("push-config", '{"appId":"app-a","settings":{"a":123456789012345678901234567890}}', 400),
        ("push-config", '{"appId":"app-a","settings":{"a":"%s"}}' % ("x" * 70000), 400),
        ("push-config", '{"appId":"app-a","settings":{%s}}' % ",".join(f'"k{i}":"{"v" * 4000}"' for i in range(150)), 413),
        ("update-app", '{"appId":"app-a","version":"1","artifactUrl":"file:///etc/passwd"}', 400),
        ("update-app", '{"appId":"app-a","version":"1","artifactUrl":"http://h/x y"}', 400),
    ]
    queries = ["/api/agents?limit=0", "/api/agents?limit=1e3", "/api/agents?limit=99999999999999999999",
               "/api/agents?status=x", "/api/apps?problems=1", "/api/commands?state=x", "/api/commands?agentId=../x",
               "/api/audit?category=x", "/api/audit?from=yesterday", "/api/audit?commandId=1", "/api/audit?cursor=c1",
               "/api/audit?cursor=a-1", "/api/audit?cursor=a99999999999999999999", "/api/commands?cursor=a1",
               "/api/commands?cursor=c1%27--", "/api/commands/x", "/api/commands/%27%20or%201"]
    with Console() as console:
        Agent(console, "a1").register()
        for path, body, status in cases:
            answer = console.ask("POST", "/api/agents/a1/" + path, body)
            equal(answer.status, status, f"{path} {body[:60]!r}: {answer!r}")
            check(answer.json["detail"], "a sentence")
        equal(console.get("/api/commands").json, [], "nothing was taken for a command")
        for path in queries:
            answer = console.get(path)
            equal(answer.status, 400, f"{path}: {answer!r}")
            check(answer.json["field"], f"{path} names the field")


def test_values_that_outgrow_their_command():
    """One of these once kept the console from ever starting again."""
    with Console() as console:
        Agent(console, "a1").register()
        taken = 0
        for levels in range(24, 34):
            answer = console.ask("POST", "/api/agents/a1/push-config",
                                 '{"appId":"app-a","settings":{"k":%s}}' % ("[" * levels + "]" * levels))
            check(answer.status in (202, 400), repr(answer))
            taken += answer.status == 202
        check(taken > 0, "some fit")
        equal(len(console.get("/api/commands").json), taken, "commands")
        console.kill()
        console.start()
        equal(len(console.get("/api/commands").json), taken, "commands after the restart")


def test_nobody_passes_without_a_key():
    routes = [("GET", "/api/agents"), ("GET", "/api/agents/a1"), ("GET", "/api/apps"), ("GET", "/api/commands"),
              ("GET", "/api/commands/" + NOBODY), ("GET", "/api/audit"), ("GET", "/api/events"), ("HEAD", "/api/agents"),
              ("HEAD", "/api/events"), ("POST", "/api/agents/a1/restart-app"), ("POST", "/api/agents/a1/push-config"),
              ("POST", "/api/agents/a1/update-app"), ("POST", "/api/agents/a1/rollback-app"),
              ("POST", "/api/agents/a1/ping"), ("DELETE", "/api/commands/" + NOBODY)]
    wrong = [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer " + "x" * 5000},
             {"Authorization": "Basic b3BzOm9wcw=="}, {"Authorization": "Bearer " + AGENT_KEY}]
    console = Console(KEYS)
    viewer, operator = console.key("viewer", "viewer"), console.key("operator", "operator")
    with console:
        Agent(console, "a1", key=AGENT_KEY).register()
        for method, path in routes:
            body = "{}" if method == "POST" else None
            for headers in wrong:
                status = console.ask(method, path, body, headers).status
                check(status == 401 or (status == 429 and headers), f"{method} {path} with {str(headers)[:60]}: {status}")
            if method in ("POST", "DELETE"):
                equal(console.ask(method, path, body, viewer).status, 403, f"{method} {path} of a viewer")
                equal(console.ask(method, path, body, {**operator, "Origin": "http://evil.example"}).status, 403,
                      f"{method} {path} from a page elsewhere")
        for key, headers, status in ((None, "", 401), ("x", "", 401), ("agent-key-a2-0123456789abcdef", "", 403),
                                     (OPERATOR["Authorization"][7:], "", 401), (AGENT_KEY, "Origin: http://x\r\n", 403)):
            try:
                Agent(console, "a1", key=key, headers=headers)
                raise AssertionError(f"the hub took {key} {headers}")
            except Refused as refused:
                equal(refused.status, status, f"the hub and {key} {headers}")
        equal(console.ask("GET", "/api/agents", headers=OPERATOR).status, 429, "a key that somebody chose, meanwhile")
        log = console.log() + json.dumps(audit_of(console, operator))
        check("0123456789abcdef" not in log, "no key in log or audit")


def audit_of(console, headers):
    return console.ask("GET", "/api/audit?limit=1000", headers=headers).json


def test_secrets_stay_secret():
    with Console() as console:
        agent = Agent(console, "a1")
        agent.register()
        listener = console.connect()
        listener.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for("greeting", lambda: b"id:" in listener.recv(65536))
        said = {"LogLevel": "hunter2", "Key": "hunter2-and-more", "Nested": {"a": ["inner-secret"]}}
        command = console.ask("POST", "/api/agents/a1/push-config", {"appId": "app-a", "settings": said}).json["commandId"]
        equal(agent.command()["args"]["edits"][0]["value"], "hunter2", "the agent gets the value")
        agent.result(command, command="push-config", success=False, errorCode="write-failed",
                     message="cannot write hunter2-and-more, hunter2 or inner-secret")
        wait_for("end", lambda: state(console, command) == "failed")
        for url in ("HTTPS://h/x?t=hunter2", "https://h/x?a='hunter2", "https://u:hunter2@h/x#hunter2"):
            answer = console.ask("POST", "/api/agents/a1/update-app", {"appId": "app-a", "version": "2", "artifactUrl": url})
            equal(answer.status, 202, url)
        check("https://h/x" in json.dumps(audit(console)), "the URLs without their secrets")
        listener.settimeout(0.5)
        streamed = b""
        try:
            while True:
                streamed += listener.recv(65536)
        except TimeoutError:
            pass
        check(command.encode() in streamed, "the listener heard of it")
        shown = streamed.decode() + console.log() + json.dumps(audit(console)) + console.get("/api/commands").body.decode()
        for secret in ("hunter2", "and-more", "inner-secret"):
            check(secret not in shown, f"{secret} is shown: {re.findall('.{80}' + secret, shown)[:3]}")


# ---- the hub ----

def test_messages_at_fault():
    app = {"id": "a"}
    cases = [
        ("nonsense", {}, "unknown-type"), ("ack", {}, "unknown-type"), ("restartApp", {"jws": "x"}, "unknown-type"),
        ("heartbeat", {}, "invalid-message"), ("heartbeat", {"seq": -1}, "invalid-message"),
        ("heartbeat", {"seq": 2 ** 64}, "not-a-message"), ("heartbeat", {"seq": 1.5}, "invalid-message"),
        ("heartbeat", {"seq": 1, "metrics": {"cpuPercent": -1}}, "invalid-message"),
        ("heartbeat", {"seq": 1, "metrics": {"memoryUsedBytes": 2 ** 63}}, "invalid-message"),
        ("heartbeat", {"seq": 1, "apps": [app] * 201}, "invalid-message"),
        ("heartbeat", {"seq": 1, "apps": [{"id": "a", "pid": -1}]}, "invalid-message"),
        ("commandProgress", {"commandId": NOBODY, "step": "x", "percent": 101}, "invalid-message"),
        ("commandResult", {"commandId": "x", "command": "restart-app", "appId": "a", "success": True}, "invalid-message"),
        ("auditEvent", {"eventId": NOBODY, "spoolId": NOBODY, "seq": 1, "category": "agent", "message": "m"}, "wrong-spool"),
        ("auditEvent", {"eventId": NOBODY, "spoolId": NOBODY, "seq": 0, "category": "agent", "message": "m"},
         "invalid-message"),
        ("auditEvent", {"eventId": NOBODY, "spoolId": NOBODY, "seq": 1, "category": "request", "message": "m"},
         "invalid-message"),
    ]
    with Console() as console:
        agent = Agent(console, "a1")
        agent.say("heartbeat", seq=1)
        equal(agent.hear_until("error")["code"], "not-registered", "before register")
        agent.register()
        for text in (b"", b"{}", b"null", b"[" * 500000, b"\x00", b'{"type":1}'):
            agent.text(text)
            equal(agent.hear_until("error")["code"], "not-a-message", text[:20])
        for kind, members, code in cases:
            message = agent.say(kind, **members)
            error = agent.hear_until("error")
            equal(error["code"], code, f"{kind} {str(members)[:60]}: {error}")
            check(code == "not-a-message" or error["refId"] == message, "it says which message")
        agent.say("heartbeat", seq=1, apps=[app] * 200)
        wait_for("200 apps", lambda: len(console.get("/api/agents/a1").json["apps"]) == 200)


def test_frames_at_fault():
    cases = [
        (lambda a: a.frame(2, b"abc"), 1003), (lambda a: a.frame(1, b"\xff\xfe"), 1007),
        (lambda a: a.frame(1, b"a", mask=False), 1002), (lambda a: a.frame(0, b"a"), 1002), (lambda a: a.frame(3, b"a"), 1002),
        (lambda a: a.frame(9, b"a" * 126), 1002), (lambda a: a.frame(8, b"\x00"), 1002), (lambda a: a.frame(8, b"\x03\xe8\xff"), 1007),
        (lambda a: a.frame(1, b"a", length=2 ** 62), 1009), (lambda a: a.frame(1, b"", length=2 ** 63 + 1), 1002),
        (lambda a: a.frame(1, b"a" * ((1 << 20) + 1)), 1009),
        (lambda a: (a.frame(1, b"a", fin=False), a.frame(1, b"b")), 1002),
        (lambda a: (a.frame(1, b"a" * (1 << 20), fin=False), a.frame(0, b"b")), 1009),
    ]
    with Console() as console:
        for number, (act, code) in enumerate(cases):
            agent = Agent(console, f"f{number}")
            act(agent)
            equal(agent.hear(), None, f"case {number}")
            equal(agent.closed and agent.closed[0], code, f"case {number}: {agent.closed}")
            agent.close()
        agent = Agent(console, "empty")
        for number in range(4097):
            agent.frame(0 if number else 1, b"", fin=False)
        equal(agent.hear(), None, "a flood of fragments")
        equal(agent.closed and agent.closed[0], 1008, f"a flood of fragments: {agent.closed}")
        agent.vanish()
        for _ in range(20):
            agent = Agent(console, "noise")
            agent.socket.sendall(os.urandom(5000))
            agent.vanish()
            wait_for("free id", lambda: "noise" not in console.get("/api/agents").body.decode())


def test_agents_that_lie():
    with Console() as console:
        one, two = Agent(console, "a1"), Agent(console, "a2")
        one.register()
        two.register()
        command = console.restart_app("a2").json["commandId"]
        equal(two.command()["commandId"], command, "command")
        one.say("commandAccepted", commandId=command)
        one.say("commandProgress", commandId=command, step="restart")
        one.result(command)
        equal(one.hear_until("error")["code"], "wrong-agent", "a result of another agent's command")
        equal(state(console, command), "sent", "state after another agent's word")
        two.result(command, success=False, message="broke")
        two.result(command, success=True)
        equal(two.hear_until("ack")["resultIds"][0], command, "ack")
        equal(state(console, command), "failed", "the first result counts")
        one.result(new_id())  # of nobody: acked, so that it is not sent for ever
        equal(len(one.hear_until("ack")["resultIds"]), 1, "ack of a result that nobody waits for")
        equal(len([e for e in audit(console, "&commandId=" + command) if e["category"] == "restart"]), 1, "outcomes")

        # numbers: a gap, a repeat, the same event under another number, the largest there is
        ids = [new_id() for _ in range(5)]
        one.event(2, eventId=ids[1])
        equal(one.hear_until("ack")["auditSeq"], 0, "ack before the gap is filled")
        one.event(2 ** 63 - 1)
        equal(one.hear_until("ack")["auditSeq"], 0, "ack of the largest number")
        one.event(1, eventId=ids[0])
        wait_for("ack of both", lambda: one.hear_until("ack")["auditSeq"] == 2)
        one.event(1, eventId=ids[0])
        one.event(3, eventId=ids[0])
        one.event(4, eventId=ids[3])
        wait_for("ack behind a repeat", lambda: one.hear_until("ack")["auditSeq"] == 4)
        count = collections.Counter(e["eventId"] for e in audit(console))
        equal([count[i] for i in ids], [1, 1, 0, 1, 0], "events")

        # a head that never was
        one.register(auditHead={"seq": 10 ** 15, "hash": "0" * 64})
        wait_for("word of lost rows", lambda: "the audit log has lost its last" in console.log())
        # a false alarm: verification fails until somebody has looked at it
        equal(console.ask("POST", "/api/audit/accept-gap", {"reason": "a1 made it up"}).status, 200, "accept-gap")
        # another spool: what was sent may be lost, and its late result still counts
        command = console.restart_app("a1").json["commandId"]
        one.command()
        one.close()
        wait_for("offline", lambda: not console.get("/api/agents/a1").json["isOnline"])
        again = Agent(console, "a1")
        again.register()
        wait_for("unknown", lambda: state(console, command) == "unknown")
        again.result(command)
        wait_for("succeeded", lambda: state(console, command) == "succeeded")


def test_two_for_one_id():
    with Console() as console:
        first = Agent(console, "a1")
        first.register()
        answering = Worker(first.hear, 10)
        try:
            Agent(console, "a1")
            raise AssertionError("two have one id")
        except Refused as refused:
            equal(refused.status, 409, "status")
            check("in use by h-a1" in refused.text, refused.text)
        second = Agent(console, "b1")
        second.register()  # and never answers again
        bare = console.raw(b"GET /api/hub?agentId=b1 HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Protocol: fleet.v1\r\n\r\n")
        check(bare.startswith(b"HTTP/1.1 400"), bare[:80])
        claims = [Worker(Agent, console, "b1") for _ in range(3)]
        ends = []
        for claim in claims:
            try:
                ends.append(claim.finish())
            except Refused as refused:
                equal(refused.status, 409, "status of one claim among several")
        equal(len(ends), 1, "claims that won")
        ends[0].register()
        equal(second.hear(), None, "the first was cut")
        check(console.get("/api/agents/b1").json["isOnline"], "online")
        console.restart_app("a1")
        check("jws" in answering.finish(), "the living one still gets its commands")


def test_what_is_not_there():
    """Every route that names an agent, with one that is none, and with an app that is none."""
    with Console() as console:
        Agent(console, "a1").register()
        for agent, app, kind in (("nobody", "app-a", "agent-not-found"), ("a1", "app-z", "app-not-found")):
            answers = [console.get(f"/api/agents/{agent}/apps/{app}/{what}") for what in ("logs", "config")]
            answers += [console.ask("POST", f"/api/agents/{agent}/{what}", {"appId": app, **more}) for what, more in (
                ("restart-app", {}), ("rollback-app", {}), ("push-config", {"settings": {"a": 1}}),
                ("update-app", {"version": "1", "artifactUrl": "http://h/x"}))]
            if agent == "nobody":
                answers += [console.get("/api/agents/nobody"), console.ask("POST", "/api/agents/nobody/ping")]
            for answer in answers:
                equal(answer.status, 404, repr(answer))
                check(answer.json["type"].endswith(kind), repr(answer))


def test_questions_to_servers_that_lie():
    with Console() as console:
        agent = Agent(console, "a1")
        agent.register()
        for members, status in (({"lines": []}, 200), ({"errorCode": "x", "message": "m" * 4000}, 502),
                                ({"errorCode": "busy"}, 503)):
            question = Worker(console.get, "/api/agents/a1/apps/app-a/logs")
            asked = agent.hear_until("readLogs")["id"]
            agent.say("queryResult", refId=new_id(), lines=[])
            agent.say("queryResult", refId=asked, lines=[{"text": 1}])
            equal(agent.hear_until("error")["code"], "invalid-message", "an answer at fault")
            agent.say("queryResult", refId=asked, **members)
            agent.say("queryResult", refId=asked, **members)  # twice
            agent.say("error", refId=asked, code="x", message="and once more")
            equal(question.finish().status, status, str(members)[:40])
        for _ in range(5):  # who asked leaves; then the answer comes
            client = console.connect()
            client.sendall(b"GET /api/agents/a1/apps/app-a/config HTTP/1.1\r\nHost: localhost\r\n\r\n")
            asked = agent.hear_until("readConfig")["id"]
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            agent.say("queryResult", refId=asked, settings=[{"key": "a", "type": "string", "value": "b"}])
        crowd = [Worker(console.get, "/api/agents/a1/apps/app-a/logs") for _ in range(30)]
        agent.hear_until("readLogs")
        agent.vanish()  # with many questions open
        equal({w.finish().status for w in crowd}, {504}, "answers to those who wait for an agent that left")


# ---- leaving, and not reading ----

def test_leaving_at_every_moment():
    rng = random.Random(4)
    body = b'{"appId":"app-a"}'
    requests = [
        b"POST /api/agents/a1/restart-app HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
        b"POST /api/agents/a1/ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        b"GET /api/audit?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %s\r\n\r\n",
        b"GET /api/hub?agentId=v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: fleet.v1\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n\x81\x80",
    ]
    with Console() as console:
        agent = Agent(console, "a1")
        agent.register()
        first = console.raw(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        requests[3] %= re.search(rb"id: (\S+)", first)[1]
        for turn in range(500):
            data = requests[turn % len(requests)]
            client = console.connect()
            client.sendall(data if turn % 2 else data[:rng.randrange(len(data))])
            if turn % 6 == 3 and turn % len(requests) != 1:  # not the ping, which this agent never answers
                client.recv(rng.randrange(1, 50))
            if turn % 4 < 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            if turn % 25 == 0:
                agent.say("heartbeat", seq=turn, apps=[{"id": "app-a", "message": "m" * 3000}] * 100)
        for turn in range(30):
            visitor = Agent(console, f"w{turn}")
            visitor.say("register", agentId=visitor.id, instanceId="i", spoolId=visitor.spool, hostname="h",
                        agentVersion="1", apps=[])
            visitor.event(1)
            (visitor.vanish if turn % 2 else visitor.close)()
        equal(console.get("/healthz").status, 200, "afterwards")
        wait_for("everybody's leaving", lambda: not any(
            a["isOnline"] for a in console.get("/api/agents").json if a["agentId"] != "a1"))
        agent.say("heartbeat", seq=1)
        check(console.get("/api/agents/a1").json["isOnline"], "the one that stayed")


def test_slow_readers_are_let_go():
    with Console() as console:
        agent = Agent(console, "a1")
        agent.register()
        sockets = console.sockets()
        slow = [console.connect() for _ in range(5)]
        for client in slow:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for turn in range(250):
            agent.say("heartbeat", seq=turn, apps=[{"id": f"app-{i}", "message": "m" * 400} for i in range(200)])
        wait_for("let go", lambda: console.log().count("does not keep up and is let go") == len(slow))
        # at once, with what waited for them: they read nothing of it still
        wait_for("their connections' end", lambda: console.sockets() <= sockets)
        began = time.monotonic()
        equal(console.get("/healthz").status, 200, "meanwhile")
        check(time.monotonic() - began < 2, "the loop turns")
        for client in slow:
            client.close()


def test_slow_readers_are_bounded_together():
    with Console() as console:
        agent = Agent(console, "a1")
        agent.register()
        sockets = console.sockets()
        slow = [console.connect() for _ in range(24)]
        for client in slow:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for("listeners", lambda: console.sockets() == sockets + len(slow))
        for turn in range(250):
            agent.say("heartbeat", seq=turn, apps=[{"id": f"app-{i}", "message": "m" * 400} for i in range(200)])
        wait_for("first to go", lambda: "bytes wait for all of them" in console.log())
        wait_for("end of all", lambda: console.sockets() <= sockets)
        for client in slow:
            client.close()


def test_a_crowd_of_strangers():
    with Console(KEYS) as console:
        began = b"POST /api/agents/a1/restart-app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 10000
        crowd = [console.connect() for _ in range(300)]
        for client in crowd:
            client.sendall(began)
            client.settimeout(0)
        equal(console.ask("GET", "/api/agents", headers=OPERATOR).status, 200, "meanwhile")

        def gone():
            count = 0
            for client in crowd:
                try:
                    count += client.recv(1) == b""
                except BlockingIOError:
                    pass
                except ConnectionError:
                    count += 1
            return count >= 300 - 64
        wait_for("end of the crowd", gone, 10)
        Agent(console, "a1", key=AGENT_KEY).register()
        for client in crowd:
            client.close()


def silent(console, address, count):
    """Connections from an address of this machine's that say nothing."""
    crowd = []
    for _ in range(count):
        s = socket.socket()
        s.bind((address, 0))
        s.connect(("127.0.0.1", console.port))
        s.settimeout(0)
        crowd.append(s)
    return crowd


def ended(crowd):
    count = 0
    for client in crowd:
        try:
            count += client.recv(1) == b""
        except BlockingIOError:
            pass
        except ConnectionError:
            count += 1
    return count


def test_one_address_does_not_take_every_connection():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Console(KEYS) as console:
            crowd = silent(console, "127.0.0.2", 1100)
            wait_for("end of those too many", lambda: ended(crowd) == 1100 - 1024)
            Agent(console, "a1", key=AGENT_KEY).register()
            equal(console.ask("GET", "/api/agents", headers=OPERATOR).status, 200, "from elsewhere")
            equal(ended(crowd), 1100 - 1024, "the others stay")
            for client in crowd:
                client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_addresses_do_not_either():
    """Past half of the descriptors there are, the oldest that says nothing makes room: an agent still comes in."""
    with Console(KEYS) as console:
        resource.prlimit(console.process.pid, resource.RLIMIT_NOFILE, (400, 400))
        first = Agent(console, "a2", key="agent-key-a2-0123456789abcdef")
        first.register()
        crowd = [c for number in range(10) for c in silent(console, f"127.0.0.{number + 2}", 30)]
        wait_for("end of the oldest", lambda: ended(crowd) == 300 - 200)
        equal(ended(crowd[:100]), 100, "the oldest")
        agent = Agent(console, "a1", key=AGENT_KEY)
        agent.register()
        first.say("heartbeat", seq=1)
        wait_for("both agents", lambda: [a["isOnline"] for a in console.ask(
            "GET", "/api/agents", headers=OPERATOR).json] == [True, True])
        for client in crowd:
            client.close()


def test_one_address_does_not_come_without_end():
    """Past 2000 connections at once, and 100 a second, an address is turned away at the door; others are not."""
    def come(console, address):
        with socket.socket() as s:
            s.bind((address, 0))
            s.settimeout(DEADLINE)
            s.connect(("127.0.0.1", console.port))
            try:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return s.recv(100).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                return False

    with Console() as console:
        answered = 0
        for _ in range(6000):
            answered += come(console, "127.0.0.2")
            if answered < _:
                break
        check(2000 <= answered < 5999, f"{answered} connections were answered")
        check(come(console, "127.0.0.3"), "another address")
        equal(console.get("/healthz").status, 200, "a proxy on this machine")
        wait_for("way in again", lambda: come(console, "127.0.0.2"))


# ---- commands ----

def test_keys_of_idempotency():
    with Console() as console:
        Agent(console, "a1").register()
        for key in ("", "x" * 201, "a b", "a\x7f"):
            equal(console.restart_app("a1", **{"Idempotency-Key": key}).status, 400, repr(key[:5]))
        race = [Worker(lambda: console.restart_app("a1", **{"Idempotency-Key": "same"})) for _ in range(20)]
        answers = [w.finish() for w in race]
        equal({a.status for a in answers}, {202}, "statuses")
        equal(len({a.json["commandId"] for a in answers}), 1, "commands of one key")
        equal(console.restart_app("a1", "app-b", **{"Idempotency-Key": "same"}).status, 409, "another wish, same key")
        equal(len(console.get("/api/commands").json), 1, "commands")


def test_cancel_and_expiry():
    with Console(KEYS) as console:
        agent = Agent(console, "a1", key=AGENT_KEY)
        agent.register()
        agent.close()
        wait_for("offline", lambda: not console.ask("GET", "/api/agents/a1", headers=OPERATOR).json["isOnline"])
        commands = [console.restart_app("a1", **OPERATOR).json["commandId"] for _ in range(21)]
        left = commands.pop()
        joining = Worker(lambda: Agent(console, "a1", key=AGENT_KEY, spool=agent.spool))
        cancels = [Worker(console.ask, "DELETE", "/api/commands/" + c, None, OPERATOR) for c in commands]
        joined = joining.finish()
        cancelled = set()
        for command, worker in zip(commands, cancels):
            answer = worker.finish()
            check(answer.status in (200, 409), repr(answer))
            if answer.status == 200:
                cancelled.add(command)
        wait_for("expiry", lambda: console.ask("GET", "/api/commands/" + left, headers=OPERATOR).json["state"] == "expired")
        joined.register()  # comes when the rest is over: it must get none
        fresh = console.restart_app("a1", **OPERATOR).json["commandId"]
        equal(joined.command()["commandId"], fresh, "the only command that reaches the agent")
        equal(console.ask("DELETE", "/api/commands/" + fresh, headers=OPERATOR).status, 409, "cancelling what was sent")
        ends = collections.Counter(console.ask("GET", "/api/commands/" + c, headers=OPERATOR).json["state"] for c in commands)
        equal(ends, collections.Counter(filter(None, ["cancelled"] * len(cancelled) + ["expired"] * (20 - len(cancelled)))),
              "ends")


class Faithful:
    """An agent that does what protocol.md asks of one: runs a command once, resends until acked."""

    def __init__(self, console):
        self.console, self.spool, self.done = console, new_id(), False
        self.runs, self.results, self.acked = collections.Counter(), {}, set()
        self.events, self.seq = {}, 0  # eventId by number, until acked
        self.all_events = []

    def run(self):
        while not self.done:
            try:
                self.connection()
            except (OSError, AssertionError, Refused, EOFError):
                time.sleep(0.02)

    def connection(self):
        agent = Agent(self.console, "a1", spool=self.spool)
        try:
            self.serve(agent)
        finally:
            agent.close()

    def serve(self, agent):
        held = agent.register(running=[c for c in self.runs if c not in self.results])["auditSeq"]
        self.events = {n: e for n, e in self.events.items() if n > held}
        for number, event in self.events.items():
            agent.event(number, eventId=event)
        for command, app in self.results.items():
            if command not in self.acked:
                agent.result(command, appId=app)
        while not self.done:
            try:
                message = agent.hear(0.05)
            except TimeoutError:
                continue
            if message is None:
                return
            if "jws" in message:
                self.take(agent, payload_of(message))
            elif message["type"] == "ack":
                self.acked.update(message["resultIds"])
                self.events = {n: e for n, e in self.events.items() if n > message.get("auditSeq", 0)}

    def take(self, agent, command):
        identity = command["commandId"]
        if identity not in self.runs:
            self.runs[identity] += 1
            self.seq += 1
            self.events[self.seq] = new_id()
            self.all_events.append(self.events[self.seq])
            self.results[identity] = command["appId"]
            agent.say("commandAccepted", commandId=identity)
            agent.say("commandProgress", commandId=identity, step="restart")
            agent.event(self.seq, eventId=self.events[self.seq])
        agent.result(identity, appId=command["appId"])


def test_kill_at_many_moments():
    rng = random.Random(9)
    accepted, over = {}, []

    def post(console):
        while not over:
            key = new_id()
            while not over:
                try:
                    answer = console.restart_app("a1", **{"Idempotency-Key": key})
                    if answer.status == 202:
                        accepted.setdefault(key, set()).add(answer.json["commandId"])
                        break
                except (OSError, ValueError, EOFError, http.client.HTTPException):
                    pass
                time.sleep(0.02)
            time.sleep(0.005)

    with Console() as console:
        faithful = Faithful(console)
        first = Agent(console, "a1", spool=faithful.spool)
        first.register()  # so that the console knows it and its apps
        first.close()
        workers = [Worker(faithful.run), Worker(post, console), Worker(post, console)]
        for _ in range(8):
            time.sleep(rng.random() * 0.4)
            console.kill()
            console.start()
        time.sleep(0.3)
        over.append(True)
        for worker in workers[1:]:
            worker.finish()
        check(len(accepted) > 20, f"only {len(accepted)} commands")
        equal({len(ids) for ids in accepted.values()}, {1}, "commands of one key")
        ids = [next(iter(i)) for i in accepted.values()]
        try:
            wait_for("end of every command", lambda: all(state(console, c) == "succeeded" for c in ids))
        except AssertionError as error:
            left = collections.Counter(state(console, c) for c in ids)
            raise AssertionError(f"{error}: {left}; {workers[0].error!r}; {console.log()[-1500:]}") from error
        wait_for("ack of every event", lambda: not faithful.events)
        faithful.done = True
        workers[0].finish()
        check(all(faithful.runs[c] == 1 for c in ids), "each ran once")
        events = audit(console)
        for category in ("request", "restart"):
            count = collections.Counter(e.get("commandId") for e in events if e["category"] == category)
            equal([c for c in ids if count[c] != 1], [], f"commands without exactly one {category} event")
        count = collections.Counter(e["eventId"] for e in events)
        equal([e for e in faithful.all_events if count[e] != 1], [], "the agent's events that are not there once")


TESTS = [value for name, value in list(globals().items()) if name.startswith("test_")]


def main():
    wanted = sys.argv[1:]
    tests = [t for t in TESTS if not wanted or t.__name__ in wanted]
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        began = time.monotonic()
        try:
            test()
            print(f"ok {number} - {test.__name__[5:]} # {time.monotonic() - began:.1f} s", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {test.__name__[5:]}\n# {type(error).__name__}: "
                  + str(error).replace("\n", "\n# "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

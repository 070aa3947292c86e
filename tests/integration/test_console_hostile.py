#!/usr/bin/python3
"""fleet-console among enemies that say something: clients that send anything, agents that lie. It answers with a clear error
each, does nothing that it was not to do, and tells no secret. TAP."""
import collections
import json
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console_peers import Agent, Console, Refused, Worker, wait_for  # noqa: E402
from hostile import AGENT_KEY, KEYS, NOBODY, OPERATOR, audit, check, equal, new_id, run, state  # noqa: E402


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

        # events about its own command, about one that is another's, and about nobody's
        own = console.restart_app("a1").json["commandId"]
        for number, about in ((5, own), (6, command), (7, new_id())):
            one.event(number, commandId=about, message=f"number {number} was all well")
        wait_for("ack of these", lambda: one.hear_until("ack")["auditSeq"] == 7)
        told = {e["message"]: e for e in audit(console)}
        equal([told[f"number {n} was all well"].get("commandId") == c for n, c in ((5, own), (6, command))], [True, False], "about")
        check("commandId" in told["number 7 was all well"], "a command that this console does not know may be one from before")
        equal({e["agentId"] for e in audit(console, "&commandId=" + command)}, {"a2"}, "who says something about a2's command")

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


if __name__ == "__main__":
    sys.exit(run([test_what_is_no_request, test_bodies_and_queries, test_values_that_outgrow_their_command,
                  test_nobody_passes_without_a_key, test_secrets_stay_secret, test_messages_at_fault, test_frames_at_fault,
                  test_agents_that_lie, test_two_for_one_id, test_what_is_not_there, test_questions_to_servers_that_lie]))

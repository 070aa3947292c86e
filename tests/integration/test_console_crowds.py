#!/usr/bin/python3
"""fleet-console among clients that leave at any moment, read nothing, say nothing, or are many: others are served all the
while. TAP."""
import os
import random
import re
import resource
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console_peers import Agent, Console, DEADLINE, wait_for  # noqa: E402
from hostile import AGENT_KEY, KEYS, OPERATOR, check, ended, equal, run  # noqa: E402


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
        wait_for("end of the crowd", lambda: ended(crowd) >= 300 - 64, 10)
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


if __name__ == "__main__":
    sys.exit(run([test_leaving_at_every_moment, test_slow_readers_are_let_go, test_slow_readers_are_bounded_together,
                  test_a_crowd_of_strangers, test_one_address_does_not_take_every_connection,
                  test_many_addresses_do_not_either, test_one_address_does_not_come_without_end]))

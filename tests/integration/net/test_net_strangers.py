#!/usr/bin/python3
"""Our HTTP server, WebSocket server and WebSocket client against other people's: curl, python3-websocket and Autobahn (clients)
and python3-websockets (a server). What both sides were written for by one hand may be wrong in both; this is not.
TAP on stdout; what is not installed is skipped, with its name."""
import asyncio
import http
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading

PEER = os.path.join(os.environ.get("FLEET_BUILDDIR", "."), "tests/integration/net/net_peer")
DEADLINE = 20  # seconds; only a failing test waits that long


class Skip(Exception):
    pass


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def check_equal(seen, expected, what):
    check(seen == expected, f"{what}: {seen!r}, expected {expected!r}")


class Serving:
    """net_peer serve, for the length of a with block; its own end must be clean."""

    def __enter__(self):
        self.process = subprocess.Popen([PEER, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
        if kind is None:
            check_equal(code, 0, "exit code of the server")

    def http(self, path):
        return f"http://127.0.0.1:{self.port}{path}"


# ---- curl ----

def curl(*args, data=None):
    if not shutil.which("curl"):
        raise Skip("curl is not installed")
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", str(DEADLINE), *args], input=data,
                          capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def curl_gets_a_page():
    with Serving() as s:
        code, out, err = curl("-i", s.http("/hello"))
        check_equal(code, 0, err)
        check(out.startswith(b"HTTP/1.1 200 OK\r\n") and out.endswith(b"\r\n\r\nhello\n"), out)


def curl_asks_for_heads():
    with Serving() as s:
        code, out, err = curl("-I", s.http("/hello"))
        check_equal(code, 0, err)
        check(b"Content-Length: 6\r\n" in out and b"hello" not in out, out)


def curl_keeps_its_connection():
    with Serving() as s:
        code, out, err = curl("-v", s.http("/hello"), s.http("/none"), s.http("/hello"))
        check_equal(code, 0, err)
        check_equal(err.count("Re-using existing connection"), 2, "requests on the first one's connection")
        check(b'"status":404' in out, out)


def curl_sends_large_bodies():
    body = os.urandom(1024 * 1024)
    with Serving() as s:
        for how in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
            code, out, err = curl(*how, "-H", "Content-Type: x/y", "--data-binary", "@-", s.http("/bytes"), data=body)
            check_equal(code, 0, f"{how} {err}")
            check(out == body, f"{how}: {len(out)} bytes came back")


def curl_is_told_of_too_large_bodies():
    body = b"x" * (3 * 1024 * 1024)
    with Serving() as s:
        # curl asks first: Expect: 100-continue.
        _, out, err = curl("-w", "%{http_code} %{content_type}", "--data-binary", "@-", s.http("/bytes"), data=body)
        check(out.endswith(b"413 application/problem+json"), f"{out} {err}")
        check_equal(json.loads(out[:out.rindex(b"}") + 1])["status"], 413, "status in the problem")
        # Who sends without asking may be cut off before the answer has come through.
        for how in ("Transfer-Encoding: chunked", "Expect:"):
            code, out, err = curl("-w", "%{http_code}", "-H", how, "--data-binary", "@-", s.http("/bytes"), data=body)
            check(b"413" in out or code in (52, 55, 56), f"{how}: {code} {out} {err}")
        code, out, err = curl("-w", "%{http_code}", "--data-binary", "@-", s.http("/bytes"), data=b"small")
        check(out.endswith(b"200"), f"a small body afterwards: {out} {err}")


def curl_follows_a_stream():
    with Serving() as s:
        code, out, err = curl("-N", s.http("/stream"))
        check_equal(code, 0, err)
        check_equal(out, b"event: agent\ndata: {}\n\n" * 3, "the stream")


def curl_is_told_what_an_upgrade_needs():
    with Serving() as s:
        code, out, err = curl("-w", "%{http_code}", s.http("/echo"))
        check_equal(code, 0, err)
        check(out.endswith(b"426") and b"Upgrade: websocket" in out, out)


# ---- node's fetch ----

def fetch(script, s):
    """What the script prints; `url` is the server's. Node's fetch keeps connections and streams bodies."""
    if not shutil.which("node"):
        raise Skip("nodejs is not installed")
    done = subprocess.run(["node", "--input-type=module", "-e", f"const url = 'http://127.0.0.1:{s.port}';\n{script}"],
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode != 0 and "fetch is not defined" in done.stderr:
        raise Skip("this node has no fetch")
    check_equal(done.returncode, 0, done.stderr)
    return done.stdout.split()


def fetch_gets_pages_at_once():
    with Serving() as s:
        said = fetch("""const answers = await Promise.all(Array.from({length: 20}, () => fetch(url + "/hello")));
            for (const a of answers) console.log(a.status, (await a.text()).length, a.headers.get("content-length"));""", s)
        check_equal(said, ["200", "6", "6"] * 20, "twenty answers")


def fetch_streams_a_body():
    with Serving() as s:
        said = fetch("""let n = 0;
            const body = new ReadableStream({pull(c) { n++ < 16 ? c.enqueue(new Uint8Array(65536).fill(n)) : c.close(); }});
            const a = await fetch(url + "/bytes", {method: "POST", body, duplex: "half", headers: {"Content-Type": "x/y"}});
            const b = new Uint8Array(await a.arrayBuffer());
            console.log(a.status, b.length, b[0], b[b.length - 1]);""", s)
        check_equal(said, ["200", str(1024 * 1024), "1", "16"], "what came back of a chunked body")


def fetch_reads_a_stream_and_leaves():
    with Serving() as s:
        said = fetch("""const leave = new AbortController();
            const a = await fetch(url + "/stream", {signal: leave.signal});
            const {value} = await a.body.getReader().read();
            console.log(a.status, new TextDecoder().decode(value).startsWith("event: agent"));
            leave.abort();
            console.log((await fetch(url + "/none")).status);""", s)
        check_equal(said, ["200", "true", "404"], "a stream that was left, and what was asked after it")


# ---- a stranger's client, our server ----

def connect(s, **kwargs):
    try:
        import websocket
    except ImportError:
        raise Skip("python3-websocket is not installed") from None
    return websocket.create_connection(f"ws://127.0.0.1:{s.port}/echo", timeout=DEADLINE, **kwargs)


def a_strangers_client_is_echoed():
    with Serving() as s:
        ws = connect(s, subprotocols=["other", "fleet.v1"])
        check_equal(ws.subprotocol, "fleet.v1", "subprotocol")
        for size in (0, 1, 125, 126, 65535, 65536, 1024 * 1024):
            text = ("ab\u00e9" * size)[:size] if size < 65536 else "x" * size
            ws.send(text)
            check(ws.recv() == text, f"{size} characters came back as they were")
        ws.close()


def a_strangers_client_is_ponged_and_pinged():
    import websocket
    with Serving() as s:
        ws = connect(s)
        ws.ping("are you there")
        opcode, data = ws.recv_data(control_frame=True)
        check_equal((opcode, data), (websocket.ABNF.OPCODE_PONG, b"are you there"), "what answers a ping")
        ws.send("please ping")
        opcode, _ = ws.recv_data(control_frame=True)
        check_equal(opcode, websocket.ABNF.OPCODE_PING, "what we asked for")
        ws.close()


def a_strangers_client_sends_fragments():
    import websocket
    with Serving() as s:
        ws = connect(s)
        ws.send_frame(websocket.ABNF.create_frame("one, ", websocket.ABNF.OPCODE_TEXT, 0))
        ws.ping("between")
        ws.send_frame(websocket.ABNF.create_frame("two, ", websocket.ABNF.OPCODE_CONT, 0))
        ws.send_frame(websocket.ABNF.create_frame("three", websocket.ABNF.OPCODE_CONT, 1))
        check_equal(ws.recv(), "one, two, three", "the message")
        ws.close()


def a_strangers_client_hears_our_goodbye():
    with Serving() as s:
        ws = connect(s)
        ws.send("please close")
        opcode, data = ws.recv_data(control_frame=True)
        check_equal((opcode, data), (8, struct.pack(">H", 4321) + b"as you wish"), "the close frame")
        ws.close(status=1000)
        check_equal(s.process.stdout.readline(), "closed 0 1000 \n", "what the server saw")


def our_server_hears_a_strangers_goodbye():
    with Serving() as s:
        ws = connect(s)
        ws.close(status=1001, reason=b"leaving")
        check_equal(s.process.stdout.readline(), "closed 0 1001 leaving\n", "what the server saw")
        connect(s).shutdown()
        check(s.process.stdout.readline().startswith("closed 0 1006 "), "a sudden end is told")


def binary_is_refused():
    with Serving() as s:
        ws = connect(s)
        ws.send_binary(b"\x00\x01")
        opcode, data = ws.recv_data(control_frame=True)
        check_equal((opcode, data[:2]), (8, struct.pack(">H", 1003)), "the close frame")


# ---- another stranger's client ----

def autobahn(talk, s, utf8=True):
    """Runs talk(protocol, heard) once the connection is open; what was heard, in order, until it is closed. utf8: whether Autobahn
    looks at what comes."""
    try:
        from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
    except ImportError:
        raise Skip("python3-autobahn is not installed") from None
    heard = []

    class Client(WebSocketClientProtocol):
        def onConnect(self, response):
            heard.append(("subprotocol", response.protocol))

        def onOpen(self):
            self.ended = asyncio.get_running_loop().create_future()
            self.answers = asyncio.Queue()
            self.pongs = asyncio.Queue()
            self.factory.opened.set_result(self)

        def onMessage(self, payload, isBinary):
            self.answers.put_nowait((payload, isBinary))

        def onPong(self, payload):
            self.pongs.put_nowait(payload)

        def onClose(self, wasClean, code, reason):
            heard.append(("closed", wasClean, code, reason))
            if not self.ended.done():
                self.ended.set_result(None)

    async def go():
        loop = asyncio.get_running_loop()
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{s.port}/echo", protocols=["other", "fleet.v1"], loop=loop)
        factory.protocol = Client
        factory.setProtocolOptions(utf8validateIncoming=utf8, closeHandshakeTimeout=DEADLINE, openHandshakeTimeout=DEADLINE)
        factory.opened = loop.create_future()
        await loop.create_connection(factory, "127.0.0.1", s.port)
        client = await factory.opened
        await talk(client, heard)
        await client.ended
    asyncio.run(asyncio.wait_for(go(), DEADLINE))
    return heard


def autobahn_is_echoed():
    async def talk(client, heard):
        for size in (0, 1, 125, 126, 127, 65535, 65536, 1024 * 1024):
            for fragment in (None, 100 if size < 1000 else 20000):
                text = ("a\u00e9\u20ac\U0001f600" * (size // 10 + 1)).encode()[:size].decode(errors="ignore").encode()
                client.sendMessage(text, False, fragmentSize=fragment)
                heard.append((size, fragment, await client.answers.get() == (text, False)))
        client.sendClose(1000, "enough")
    with Serving() as s:
        heard = autobahn(talk, s)
        check_equal(heard[0], ("subprotocol", "fleet.v1"), "the subprotocol")
        check_equal([h for h in heard[1:-1] if not h[2]], [], "what did not come back as it was")
        check_equal(heard[-1][:3], ("closed", True, 1000), "its end")
        check_equal(s.process.stdout.readline(), "closed 0 1000 enough\n", "what the server saw")


def autobahn_sends_frame_by_frame():
    async def talk(client, heard):
        client.beginMessage(isBinary=False)
        for n, piece in enumerate((b"one, ", b"", "\u20ac".encode()[:1], "\u20ac".encode()[1:], b", four")):
            client.sendMessageFrame(piece)
            client.sendPing(f"ping {n}".encode())
            heard.append(await client.pongs.get())
        client.endMessage()
        heard.append(await client.answers.get())
        client.sendPong(b"nobody asked")
        client.sendPing(b"x" * 125)
        heard.append(len(await client.pongs.get()))
        client.sendMessage(b"please close")
    with Serving() as s:
        check_equal(autobahn(talk, s)[1:], [b"ping 0", b"ping 1", b"ping 2", b"ping 3", b"ping 4",
                                            ("one, \u20ac, four".encode(), False), 125, ("closed", True, 4321, "as you wish")],
                    "what Autobahn heard")


def autobahn_breaks_the_rules():
    """Its own checks go by what it sends through its methods; these frames are made by hand."""
    cases = [("wrong UTF-8", lambda c: c.sendFrame(1, b"\xff\xfe"), 1007), ("a part of a character at the end", lambda c: c.sendFrame(1, b"\xe2\x82"), 1007),
             ("a reserved bit", lambda c: c.sendFrame(1, b"x", rsv=4), 1002), ("a continuation of nothing", lambda c: c.sendFrame(0, b"x"), 1002),
             ("a message within a message", lambda c: (c.sendFrame(1, b"x", fin=False), c.sendFrame(1, b"y")), 1002),
             ("a ping in pieces", lambda c: c.sendFrame(9, b"x", fin=False), 1002), ("an unknown opcode", lambda c: c.sendFrame(3, b"x"), 1002),
             ("a ping of 126 bytes", lambda c: c.sendFrame(9, b"x" * 126), 1002), ("binary", lambda c: c.sendMessage(b"\0", True), 1003),
             ("a message of 1 MiB and more", lambda c: c.sendMessage(b"x" * (1024 * 1024 + 1)), 1009)]
    for what, send, code in cases:
        async def talk(client, heard, send=send):
            del heard
            send(client)
        with Serving() as s:
            end = autobahn(talk, s)[-1]
            check_equal(end[2], code, f"how it ends after {what} ({end})")


# ---- a stranger's server, our client ----

class StrangersServer:
    """python3-websockets on a thread of its own; what it hears lies in .heard."""

    def __init__(self, handler, **kwargs):
        try:
            import websockets
        except ImportError:
            raise Skip("python3-websockets is not installed") from None
        self.websockets, self.handler, self.kwargs, self.heard = websockets, handler, kwargs, []
        self.ready, self.done = threading.Event(), threading.Event()

    async def serve(self):
        self.stop = asyncio.Event()
        async with self.websockets.serve(lambda ws, *_: self.handler(self, ws), "127.0.0.1", 0, **self.kwargs) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await self.stop.wait()

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(self.serve()), daemon=True)
        self.thread.start()
        check(self.ready.wait(DEADLINE), "the stranger's server listens")
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(DEADLINE)
        self.loop.close()

    def our_client(self, *subprotocol):
        done = subprocess.run([PEER, "connect", f"ws://localhost:{self.port}/hub?agentId=a", *subprotocol],
                              capture_output=True, text=True, timeout=DEADLINE, check=False)
        check_equal(done.returncode, 0, f"exit code of our client: {done.stderr}")
        return done.stdout.splitlines()


def our_client_echoes_a_stranger():
    async def talk(server, ws):
        server.heard.append(ws.request_headers["Authorization"])
        server.heard.append(ws.path)
        server.heard.append(ws.subprotocol)
        for text in ("", "h\u00e9llo", "x" * 126, "y" * 70000, "z" * (1024 * 1024)):
            await ws.send(text)
            server.heard.append(await ws.recv() == text)
        await ws.send(["in ", "three ", "pieces"])
        server.heard.append(await ws.recv())
        await asyncio.wait_for(await ws.ping(), DEADLINE)
        await ws.close(1001, "enough")

    with StrangersServer(talk, subprotocols=["fleet.v1"], max_size=None) as server:
        lines = server.our_client("fleet.v1")
        check_equal(server.heard, ["Bearer k3y", "/hub?agentId=a", "fleet.v1"] + [True] * 5 + ["in three pieces"],
                    "what the stranger heard")
        check(lines[0].startswith("open 127.0.0.1:"), lines)
        check_equal(lines[1:], ["closed 0 1001 enough"], "what our client told")


def our_client_says_goodbye():
    async def talk(server, ws):
        await ws.send("please close")
        await ws.wait_closed()
        server.heard.append((ws.close_code, ws.close_reason))
        server.done.set()

    with StrangersServer(talk) as server:
        check_equal(server.our_client()[1:], ["closed 0 4321 as you wish"], "what our client told")
        check(server.done.wait(DEADLINE), "the stranger heard the goodbye")
        check_equal(server.heard, [(4321, "as you wish")], "what the stranger heard")


def our_client_tells_why_it_was_refused():
    async def refuse(_path, _headers):
        return http.HTTPStatus.FORBIDDEN, [("Content-Type", "application/problem+json")], b'{"detail": "not this agent"}'

    async def talk(_server, ws):
        await ws.wait_closed()

    with StrangersServer(talk, process_request=refuse) as server:
        check_equal(server.our_client(), ["closed 403 1006 not this agent"], "what our client told")


def our_client_insists_on_its_subprotocol():
    async def talk(_server, ws):
        await ws.wait_closed()

    with StrangersServer(talk) as server:
        check_equal(server.our_client("fleet.v1"), ["closed 0 1006 the server does not speak fleet.v1"],
                    "what our client told")


def garbage_does_no_harm():
    with Serving() as s:
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", s.port), DEADLINE) as c:
                c.sendall(os.urandom(200))
            with socket.create_connection(("127.0.0.1", s.port), DEADLINE) as c:
                c.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
                c.recv(4096)
                c.sendall(os.urandom(200))
        code, out, err = curl(s.http("/hello"))
        check_equal((code, out), (0, b"hello\n"), err)


TESTS = [
    curl_gets_a_page, curl_asks_for_heads, curl_keeps_its_connection, curl_sends_large_bodies,
    curl_is_told_of_too_large_bodies, curl_follows_a_stream, curl_is_told_what_an_upgrade_needs,
    fetch_gets_pages_at_once, fetch_streams_a_body, fetch_reads_a_stream_and_leaves,
    a_strangers_client_is_echoed, a_strangers_client_is_ponged_and_pinged, a_strangers_client_sends_fragments,
    a_strangers_client_hears_our_goodbye, our_server_hears_a_strangers_goodbye, binary_is_refused,
    autobahn_is_echoed, autobahn_sends_frame_by_frame, autobahn_breaks_the_rules,
    our_client_echoes_a_stranger, our_client_says_goodbye, our_client_tells_why_it_was_refused,
    our_client_insists_on_its_subprotocol, garbage_does_no_harm,
]


def main():
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    for number, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception as e:  # whatever it is, the other tests should run
            failed += 1
            print(f"not ok {number} - {name}\n# {type(e).__name__}: {e}".replace("\n", "\n# ").replace("# # ", "# "),
                  flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

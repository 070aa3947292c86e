"""A console made of answers written down beforehand: what the tests of fleetctl talk to, and what the dashboard is
looked at with.

    fake_console.py --web DIR [--port N]     serves the dashboard with a small fleet that changes every second
"""
import argparse
import datetime
import http.server
import json
import mimetypes
import os
import socket
import threading
import time


def ago(seconds):
    """RFC 3339, that many seconds before now."""
    t = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (t.microsecond // 1000)


class Answer:
    """One answer. body: JSON value, or bytes as they are."""

    def __init__(self, status=200, body=None, content_type="application/json", headers=None):
        self.status, self.content_type, self.headers = status, content_type, headers or {}
        self.body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def problem(status, kind, detail, **more):
    body = {"type": "https://fleet.example/problems/" + kind, "title": kind.replace("-", " "), "status": status,
            "detail": detail, **more}
    return Answer(status, body, "application/problem+json")


def web_file(folder, path):
    """A file of the dashboard, under the strictest policy that it must live with."""
    name = os.path.join(folder, "index.html" if path == "/" else os.path.basename(path))
    if not os.path.isfile(name):
        return problem(404, "not-found", "no such path: " + path)
    with open(name, "rb") as f:
        return Answer(200, f.read(), mimetypes.guess_type(name)[0] or "text/plain",
                      {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-store"})


class Stream:
    """Server-sent events: steps (or what an iterable makes of them) are (event, data) or numbers (pauses in
    seconds), then the end."""

    def __init__(self, *steps, iterable=None):
        self.steps = iterable or steps


class FakeConsole:
    """routes: {"GET /api/agents?limit=1": answer}. An answer is an Answer, a Stream, a list of them (one a
    request, the last one for ever), or a function of the request. Without an entry for the whole path, the one
    without the query is taken. fallback: a function for everything else."""

    def __init__(self, routes=None, key=None, fallback=None, port=0):
        self.routes, self.key, self.fallback = dict(routes or {}), key, fallback
        self.requests, self.connections = [], []
        self.lock = threading.Lock()
        console = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length)
                console.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, client_address):
                pass  # clients go away whenever they like

            def process_request(self, request, client_address):
                with console.lock:
                    console.connections.append(request)
                super().process_request(request, client_address)

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        """As a console that dies: the connections that stand end too, so that none is answered from the grave."""
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # gone already

    def pick(self, request):
        for name in (request.command + " " + request.path, request.command + " " + request.path.split("?")[0]):
            found = self.routes.get(name)
            if isinstance(found, list):
                with self.lock:
                    found = found.pop(0) if len(found) > 1 else found[0]
            if found is not None:
                return found(request) if callable(found) else found
        if self.fallback:
            return self.fallback(request)
        return problem(404, "not-found", "no such path: " + request.path)

    def answer(self, request):
        with self.lock:
            self.requests.append((request.command, request.path, dict(request.headers), request.body))
        open_paths = ("/api/version", "/healthz")
        if self.key and request.path not in open_paths and request.headers.get("Authorization") != "Bearer " + self.key:
            found = problem(401, "unauthenticated", "this console wants an API key")
        else:
            found = self.pick(request)
        if found is None:  # the connection ends without a word
            request.close_connection = True
        elif isinstance(found, Stream):
            self.stream(request, found)
        else:
            request.send_response(found.status)
            request.send_header("Content-Type", found.content_type)
            request.send_header("Content-Length", str(len(found.body)))
            for name, value in found.headers.items():
                request.send_header(name, value.replace("{url}", self.url))
            request.end_headers()
            request.wfile.write(found.body)

    def stream(self, request, stream):
        request.close_connection = True
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(b": hello\n\n")
        number = 0
        for step in stream.steps:
            if isinstance(step, (int, float)):
                request.wfile.flush()
                time.sleep(step)
                continue
            number += 1
            text = "event: %s\nid: %d\ndata: %s\n\n" % (step[0], number, json.dumps(step[1]))
            request.wfile.write(text.encode())
            request.wfile.flush()


# --- the dashboard's fleet -----------------------------------------------------------------------------------------

def demo_fleet():
    def app(ident, status, health, version, **more):
        return {"id": ident, "status": status, "health": health, "version": version, "pid": 4127, "since": ago(9000),
                "memoryBytes": 48 << 20, "restarts": 0, "message": "", **more}

    def agent(ident, host, online, cpu, apps):
        return {"agentId": ident, "hostname": host, "isOnline": online, "connectedSince": ago(7200),
                "lastSeen": ago(3 if online else 480), "agentVersion": "0.1.0",
                "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0-18",
                       "arch": "x86_64"},
                "labels": {"rack": "b2", "role": "web"},
                "metrics": {"cpuPercent": cpu, "memoryUsedBytes": int(3.1 * 2**30), "memoryTotalBytes": 8 << 30,
                            "swapUsedBytes": 0, "load1": 0.42, "load5": 0.3, "load15": 0.21, "uptimeSeconds": 1036800,
                            "disks": [{"mount": "/", "usedBytes": 12 << 30, "totalBytes": 40 << 30}]},
                "apps": apps, "drivers": [{"name": "json-config", "version": "1", "roles": ["format"]}]}

    return [
        agent("agent-001", "srv-alpha", True, 23.4, [app("app-a", "running", "healthy", "2.1.0"),
                                                     app("app-b", "running", "healthy", "1.4.2")]),
        agent("agent-002", "srv-beta", False, 0, [app("app-a", "running", "unknown", "2.0.0"),
                                                  app("app-b", "stopped", "unknown", "1.4.2", pid=None),
                                                  app("report-builder", "done", "healthy", "11")]),
        agent("agent-003", "srv-gamma-with-a-rather-long-name.example.internal", True, 91.7,
              [app("app-a", "failed", "unhealthy", "2.1.0", message="exited 1 after 0.4 s",
                   healthMessage="GET /health: 503"), app("app-c", "starting", "unknown", "0.9")]),
    ]


def demo_audit():
    texts = [("restart", "agent-001", "app-a", "app-a restarted on agent-001 by operator@cli"),
             ("config", "agent-001", "app-b", "config of app-b changed on agent-001 by operator@cli: LogLevel"),
             ("agent", "agent-002", None, "agent-002 went offline"),
             ("restart", "agent-003", "app-a", "restart of app-a failed on agent-003: exited 1 after 0.4 s"),
             ("agent", "agent-003", None, "agent registered (version 0.1.0)")]
    return [{"seq": 100 - i, "eventId": "e%d" % i, "timestamp": ago(40 + 700 * i * i), "category": t[0], "agentId": t[1],
             "appId": t[2], "actor": "operator@cli" if "operator" in t[3] else None, "message": t[3]}
            for i, t in enumerate(texts)]


def serve_dashboard(web, port):
    agents, audit = demo_fleet(), demo_audit()
    commands = {}

    def happenings():
        told = len(commands)
        for n in range(100000):
            yield 1
            for command in list(commands.values())[told:]:
                yield ("command", command)
            told = len(commands)
            beat = dict(agents[n % 2 * 2], lastSeen=ago(0))
            beat["metrics"] = dict(beat["metrics"], cpuPercent=20 + (n * 7) % 60)
            yield ("agent", beat)

    def restart(request):
        app_id = json.loads(request.body)["appId"]
        agent_id = request.path.split("/")[3]
        ident = "0193587a-0000-7000-8000-0000007c31e%d" % len(commands)
        command = {"commandId": ident, "command": "restart-app", "agentId": agent_id, "appId": app_id, "state": "sent"}
        commands[ident] = dict(command, state="succeeded", success=True, appStatus="running", appHealthy=True, pid=4200,
                               previousPid=4127, downMs=1200, message="Running, healthy")
        if app_id == "app-b":
            commands[ident].update(state="failed", success=False, appStatus="failed", appHealthy=False,
                                   message="exited 1 after 0.4 s", logLines=["bind: address already in use"])
        return Answer(202, command)

    def other(request):
        path = request.path.split("?")[0]
        if path.startswith("/api/commands/"):
            return Answer(body=commands.get(path.rsplit("/", 1)[1]))
        if path.endswith("/restart-app"):
            return restart(request)
        for agent in agents:
            if path == "/api/agents/" + agent["agentId"]:
                return Answer(body=agent)
        return web_file(web, path)

    console = FakeConsole({
        "GET /api/session": Answer(body={"name": "operator", "role": "admin", "dev": True}),
        "GET /api/agents": Answer(body=agents), "GET /api/audit": Answer(body=audit), "GET /api/events": lambda request: Stream(iterable=happenings()),
        "GET /api/version": Answer(body={"version": "0.1.0"}),
    }, fallback=other, port=port)
    print(console.url, flush=True)
    console.thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--web", required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    serve_dashboard(options.web, options.port)

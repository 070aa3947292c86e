"""What a test needs to be unkind to a console: the program with a data directory of its own on a port of the kernel's
choice, HTTP down to the byte, and a WebSocket client that does what it is told, right or wrong."""
import base64
import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import uuid

PROGRAM = os.path.join(os.environ.get("FLEET_STAGE", "/usr"), "bin/fleet-console")
DEADLINE = 20  # seconds; only a failing test waits that long


def wait_for(what, condition, deadline=DEADLINE):
    """The first true answer of condition()."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"no {what} within {deadline} s")


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Console:
    """fleet-console --dev, or with a config file; gone with the with block. Its log is kept for the checks."""

    def __init__(self, config=None, data_dir=None, env=None):
        self.top = tempfile.mkdtemp(prefix="fleet-hostile-")
        self.data = data_dir or os.path.join(self.top, "data")
        self.log_path = os.path.join(self.top, "log")
        self.config, self.env, self.process, self.port = config, env, None, None
        self.agents = []

    def key(self, name, role, *options):
        """Makes an API key, while the console does not run; the header that shows it."""
        os.makedirs(self.data, exist_ok=True)
        done = subprocess.run([PROGRAM, "key", "create", name, "--role", role, "--data-dir", self.data, *options],
                              capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert done.returncode == 0, f"key create: {done.stderr}"
        return {"Authorization": "Bearer " + done.stdout.strip()}

    def start(self):
        args = [PROGRAM, "--dev"]
        if self.config is not None:
            path = os.path.join(self.top, "console.yaml")
            with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
                f.write(self.config)
            args = [PROGRAM, "--config", path]
        with open(self.log_path, "ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(args + ["--listen", "127.0.0.1:0", "--data-dir", self.data],
                                            stdout=log, stderr=log, env={**os.environ, **(self.env or {})})
        self.port = int(wait_for("line with the port", lambda: self._port_in(before)))
        return self

    def _port_in(self, offset):
        if self.process.poll() is not None:
            raise AssertionError(f"the console ended with {self.process.returncode}: {self.log()[-2000:]}")
        found = re.findall(rb"Listening on http://localhost:(\d+)\n", open(self.log_path, "rb").read()[offset:])
        return found and found[0]

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def sockets(self):
        """How many it has open."""
        count = 0
        for fd in os.listdir(f"/proc/{self.process.pid}/fd"):
            try:
                count += os.readlink(f"/proc/{self.process.pid}/fd/{fd}").startswith("socket:")
            except FileNotFoundError:
                pass
        return count

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def stop(self):
        """Its end must be clean, and quick."""
        self.process.terminate()
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert code == 0, f"the console ended with {code}: {self.log()[-3000:]}"

    def verify(self):
        done = subprocess.run([PROGRAM, "audit", "verify", "--data-dir", self.data], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
        assert done.returncode == 0, f"audit verify: {done.stdout}{done.stderr}"

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                assert self.process.poll() is None, f"it died ({self.process.returncode}): {self.log()[-4000:]}"
                for agent in self.agents:
                    agent.close()  # else the console waits for the goodbye of those that say none
                self.stop()
                self.verify()
        finally:
            if self.process.poll() is None:
                self.kill()
            if kind is None:
                shutil.rmtree(self.top, ignore_errors=True)

    # ---- HTTP ----

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body=body, headers={**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def raw(self, data, deadline=5):
        """Sends bytes, returns all that comes until the end or a second's silence."""
        with self.connect() as s:
            s.settimeout(deadline)
            got = b""
            try:
                s.sendall(data)
                s.settimeout(1)
                while len(got) < 1 << 20:
                    more = s.recv(65536)
                    if not more:
                        break
                    got += more
            except OSError:
                pass
            return got

    def restart_app(self, agent, app="app-a", **headers):
        return self.ask("POST", f"/api/agents/{agent}/restart-app", {"appId": app}, headers)


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class Agent:
    """A WebSocket client that claims to be an agent. register() makes it one; say() sends what it is given."""

    def __init__(self, console, agent_id, key=None, headers="", protocol="fleet.v1", spool=None):
        self.console, self.id = console, agent_id
        self.spool, self.seq = spool or str(uuid.uuid4()), 0
        self.socket = console.connect()
        console.agents.append(self)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closed = None
        authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        self.socket.sendall(
            (f"GET /api/hub?agentId={agent_id} HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nUpgrade: websocket\r\n"
             f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n"
             f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n{authorization}{headers}\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.socket.recv(65536)
            if not more:
                break
            head += more
        head, _, self.buffer = head.partition(b"\r\n\r\n")
        status = int(head.split()[1]) if head else 0
        if status != 101:
            raise Refused(status, (head + b" " + self.buffer).decode(errors="replace"))

    # ---- frames ----

    def frame(self, opcode, data, fin=True, mask=True, length=None):
        size = len(data) if length is None else length
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if mask else 0
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += struct.pack(">BH", bit | 126, size)
        else:
            head += struct.pack(">BQ", bit | 127, size)
        key = os.urandom(4) if mask else b""
        if mask:
            n = int.from_bytes((key * (len(data) // 4 + 1))[:len(data)], "big") ^ int.from_bytes(data, "big")
            data = n.to_bytes(len(data), "big")
        self.socket.sendall(head + key + data)

    def _take(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("the console closed the connection")
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_frame(self):
        first, second = self._take(2)
        size = second & 0x7f
        if size == 126:
            size = struct.unpack(">H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._take(8))[0]
        return first & 0x0f, self._take(size)

    def hear(self, deadline=DEADLINE):
        """The next message; None at the connection's end. Pings are answered."""
        self.socket.settimeout(deadline)
        try:
            while True:
                opcode, data = self.read_frame()
                if opcode == 1:
                    return json.loads(data)
                if opcode == 9:
                    self.frame(10, data)
                if opcode == 8:
                    self.closed = (struct.unpack(">H", data[:2])[0], data[2:].decode()) if data else (1005, "")
                    return None
        except (EOFError, ConnectionError):
            return None

    def hear_until(self, kind, deadline=DEADLINE):
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            message = self.hear(end - time.monotonic() + 0.01)
            if message is None:
                raise AssertionError(f"{self.id}: the connection ended ({self.closed}) before {kind}")
            if message["type"] == kind:
                return message
        raise AssertionError(f"{self.id}: no {kind} within {deadline} s")

    # ---- messages ----

    def text(self, text):
        self.frame(1, text if isinstance(text, bytes) else text.encode())

    def say(self, kind, **members):
        message = {"type": kind, "id": str(uuid.uuid4()), "ts": now(), **members}
        self.text(json.dumps(message))
        return message["id"]

    def register(self, apps=("app-a", "app-b"), **more):
        self.say("register", **{**dict(
            agentId=self.id, instanceId="i-" + self.id, spoolId=self.spool, hostname="h-" + self.id,
            agentVersion="1.0", apps=[{"id": a, "status": "running"} for a in apps]), **more})
        return self.hear_until("registered")

    def event(self, seq, **more):
        return self.say("auditEvent", **{**dict(eventId=str(uuid.uuid4()), spoolId=self.spool, seq=seq,
                                               category="agent", message=f"event {seq}"), **more})

    def result(self, identity, **more):
        return self.say("commandResult", **{**dict(commandId=identity, command="restart-app", appId="app-a",
                                                   success=True, message="Running"), **more})

    def command(self, deadline=DEADLINE):
        """The payload of the next command."""
        end = time.monotonic() + deadline
        while True:
            message = self.hear(end - time.monotonic() + 0.01)
            assert message, f"{self.id}: the connection ended before a command"
            if "jws" in message:
                return payload_of(message)

    def vanish(self):
        """No goodbye: the connection is reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


def payload_of(message):
    part = message["jws"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Worker(threading.Thread):
    """Runs a function; what it raised is raised again by finish()."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args, self.error, self.value = function, args, None, None
        self.start()

    def run(self):
        try:
            self.value = self.function(*self.args)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self, deadline=DEADLINE):
        self.join(deadline)
        if self.is_alive():
            raise AssertionError("a helper of the test did not end")
        if self.error:
            raise self.error
        return self.value

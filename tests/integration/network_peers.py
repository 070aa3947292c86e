"""Servers that a download meets, honest and not, and the agent's own neighbours in a test: a driver host that is ours,
and the fetching process alone. Loopback only, ports of the kernel's choice."""
import contextlib
import json
import os
import select
import socket
import struct
import threading
import time

import harness
from hostsocket import stamp, uuid7


class Asked:
    """One request: its number among those for the same path, method, target, path, headers (lower case)."""

    def __init__(self, number, head):
        lines = head.split("\r\n")
        self.number = number
        self.method, self.target = lines[0].split(" ")[:2]
        self.path = self.target.split("://", 1)[-1]
        self.path = "/" + self.path.split("/", 1)[-1] if "://" in self.target else self.path
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}

    def first_byte(self):
        """Of a Range: bytes=N-; 0 without one."""
        return int(self.headers.get("range", "bytes=0-")[6:].rstrip("-"))


class Source:
    """An HTTP server down to the byte: answer(asked, connection) does what it likes with the socket."""

    def __init__(self, lab, answer):
        self.answer, self.asked, self.open = answer, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._listen, daemon=True).start()
        lab.later.append(self.close)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            text = head.split(b"\r\n\r\n")[0].decode("latin-1")
            target = text.split(" ")[1]
            asked = Asked(1 + sum(a.target == target for a in self.asked), text)
            self.asked.append(asked)
            self.answer(asked, connection)


def head(status, *lines):
    return ("\r\n".join([f"HTTP/1.1 {status} X", "Connection: close", *lines]) + "\r\n\r\n").encode()


def whole(connection, body, *lines):
    connection.sendall(head(200, f"Content-Length: {len(body)}", *lines) + body)


def part(connection, body, first, *lines):
    connection.sendall(head(206, f"Content-Length: {len(body) - first}",
                            f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}", *lines) + body[first:])


def frame_bytes(kind, fields):
    data = json.dumps({"type": kind, "id": fields.pop("id", None) or uuid7(), "ts": stamp(), **fields}).encode()
    return struct.pack(">I", len(data)) + data


class Frames:
    """Frames over a connected unix socket; a received one has its descriptor, if any, as "fd"."""

    def __init__(self, connection):
        self.socket, self.buffer, self.frames, self.fds, self.ended = connection, b"", [], [], False

    def send(self, kind, fd=None, **fields):
        data = frame_bytes(kind, fields)
        if fd is None:
            self.socket.sendall(data)
        else:
            socket.send_fds(self.socket, [data], [fd])

    def _read(self, timeout):
        if self.ended or not select.select([self.socket], [], [], timeout)[0]:
            return
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, 4 if not self.buffer else 65536, 4)
        except ConnectionResetError:
            data, fds = b"", []
        self.fds += fds  # it rides on a frame's first byte, and so comes with its header
        self.ended = not data
        self.buffer += data
        if len(self.buffer) >= 4:
            size = struct.unpack(">I", self.buffer[:4])[0]
            while len(self.buffer) < 4 + size:
                more = self.socket.recv(4 + size - len(self.buffer))
                if not more:
                    self.ended = True
                    return
                self.buffer += more
            frame = json.loads(self.buffer[4:4 + size])
            frame["fd"] = self.fds.pop(0) if self.fds else None
            self.frames.append(frame)
            self.buffer = self.buffer[4 + size:]

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.ended:
            self._read(max(0.0, end - time.monotonic()))

    def wait(self, what, wanted, timeout=harness.DEADLINE):
        """The first frame that wanted takes; it is taken out."""
        end = time.monotonic() + timeout
        while True:
            for n, frame in enumerate(self.frames):
                if wanted(frame):
                    return self.frames.pop(n)
            if self.ended or time.monotonic() > end:
                raise harness.Failure(f"no frame within {timeout} s: {what}; there are {self.frames}")
            self._read(max(0.0, end - time.monotonic()))

    def fetched(self, command_id, timeout=harness.DEADLINE):
        return self.wait(f"fetched {command_id}",
                         lambda f: f["type"] == "fetched" and f["commandId"] == command_id, timeout)

    def probe(self, **fields):
        asked = uuid7()
        self.send("probe", probeId=asked, **fields)
        return self.wait("probed", lambda f: f["type"] == "probed" and f["probeId"] == asked)

    def close(self):
        self.socket.close()


class Fetcher(Frames):
    """fleet-fetch alone, with us in the agent's place."""

    def __init__(self, lab, **env):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.lab = lab
        fd = theirs.fileno()
        self.process = lab.spawn("fleet-fetch", ["/bin/sh", "-c", f'exec "$0" 3<&{fd}', harness.program("fleet-fetch")],
                                 pass_fds=(fd,), env={**lab.env, **env})
        theirs.close()
        super().__init__(ours)
        lab.later.append(self.leave)

    def leave(self):
        """Ends its socket, which is how the agent sends it home."""
        self.socket.close()
        self.process.process.wait(10)

    def begin(self, url, folder=None, **fields):
        """Its commandId and the file."""
        path = os.path.join(folder or self.lab.dir, "file-" + uuid7())
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        command_id = uuid7()
        fields = {"maxBytes": 1 << 30, "timeoutSeconds": 20, "firstWaitMs": 20, **fields}
        self.send("fetch", fd=fd, commandId=command_id, url=url, **fields)
        os.close(fd)
        return command_id, path

    def fetch(self, url, **fields):
        """(fetched, the file's bytes)"""
        command_id, path = self.begin(url, **fields)
        answer = self.fetched(command_id)
        with open(path, "rb") as f:
            return answer, f.read()

    def progress(self):
        return [f for f in self.frames if f["type"] == "progress"]


class HostForAgent:
    """The driver host's socket with us behind it; the agent connects by itself and again."""

    def __init__(self, lab):
        self.path = lab.path("host.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(4)
        lab.later.append(self.listener.close)

    def accept(self, running=()):
        """The agent's next connection, greeted and described to."""
        self.listener.settimeout(harness.DEADLINE)
        connection, _ = self.listener.accept()
        frames = Frames(connection)
        frames.wait("hello", lambda f: f["type"] == "hello")
        frames.send("description", apps=[{"id": "app-a", "allow": ["update"]}], running=list(running))
        return frames

"""The agent's side of the driver host's socket, and a console's signature, for tests that say what no honest agent
would say. docs/protocol.md is what this speaks: 4-byte lengths, JSON, JWS with EdDSA over canonical JSON."""
import base64
import datetime
import hashlib
import json
import os
import select
import socket
import struct
import time
import uuid

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import harness


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def stamp(offset_s=0.0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset_s)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def uuid7():
    """RFC 9562, section 5.7."""
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | int.from_bytes(os.urandom(10), "big") & ~(0xF << 76)
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


class Key:
    """A console's signing key."""

    def __init__(self):
        self.private = Ed25519PrivateKey.generate()
        self.x = b64(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        self.kid = b64(hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": self.x})).digest())

    def jwk(self):
        return {"kty": "OKP", "crv": "Ed25519", "x": self.x, "kid": self.kid, "use": "sig", "alg": "EdDSA"}

    def sign(self, payload, **header):
        head = {"alg": "EdDSA", "kid": self.kid, "typ": "fleet-command+jws", **header}
        signed = b64(canonical({k: v for k, v in head.items() if v is not None})) + "." + b64(canonical(payload))
        return signed + "." + b64(self.private.sign(signed.encode()))


def command(agent_id, app_id, action="restart-app", args=None, issued=-1.0, expires=600.0, **other):
    """A command's payload, as the console makes it."""
    return {"v": 1, "agentId": agent_id, "appId": app_id, "commandId": uuid7(), "action": action, "actor": "operator@cli",
            "issuedAt": stamp(issued), "expiresAt": stamp(expires), "args": args or {}, **other}


class Host:
    """A driver host of a developer's kind, on a socket pair, with us in the agent's place."""

    def __init__(self, lab, agent_id, apps, driver_dir=None, dev=True, env_file=None):
        self.lab = lab
        folder = lab.path("host.apps.d")
        os.makedirs(folder, exist_ok=True)
        lab.write("host.apps.d/apps.yaml", "managed_apps:\n" + "".join(apps))
        # Without --dev the first key is pinned for good, in the state directory.
        self.arguments = [*(["--dev"] if dev else ["--console-pub", lab.path("console.pub")]), "--agent-id", agent_id, "--apps-dir", folder, "--state-dir", lab.path("host"),
                          "--driver-dir", driver_dir or os.path.join(harness.STAGE, "lib/drivers")]
        if env_file:
            self.arguments += ["--env-file", env_file]
        self.start()

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket, self.buffer, self.frames = ours, b"", []
        self.process = self.lab.spawn("host", [harness.program("fleet-driver-host"), *self.arguments,
                                               "--socket-fd", str(theirs.fileno())], pass_fds=(theirs.fileno(),))
        theirs.close()

    def kill(self):
        self.process.kill()
        self.socket.close()

    def send(self, kind, **fields):
        """One frame; its id."""
        frame = {"type": kind, "id": uuid7(), "ts": stamp(), **fields}
        self.send_bytes(json.dumps(frame).encode())
        return frame["id"]

    def send_bytes(self, data):
        self.socket.sendall(struct.pack(">I", len(data)) + data)

    def wait(self, what, wanted, timeout=harness.DEADLINE):
        """The first frame, of all that came so far, that wanted takes; it is taken out."""
        end = time.monotonic() + timeout
        while True:
            for n, frame in enumerate(self.frames):
                if wanted(frame):
                    return self.frames.pop(n)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise harness.Failure(f"no frame within {timeout} s: {what}; there are {self.frames}")
            data = self.socket.recv(65536)
            if not data:
                raise harness.Failure(f"the host closed its socket while we waited: {what}")
            self.buffer += data
            while len(self.buffer) >= 4:
                size = struct.unpack(">I", self.buffer[:4])[0]
                if len(self.buffer) < 4 + size:
                    break
                self.frames.append(json.loads(self.buffer[4:4 + size]))
                self.buffer = self.buffer[4 + size:]

    def hello(self):
        self.send("hello", agentVersion="test")
        return self.wait("description", lambda f: f["type"] == "description")

    def status(self, app_id):
        asked = self.send("statusRequest")
        frame = self.wait("status", lambda f: f["type"] == "status" and f.get("refId") == asked)
        return next(a for a in frame["apps"] if a["id"] == app_id)

    def running(self, app_id):
        def runs():
            app = self.status(app_id)
            return app if app["status"] == "running" else None
        return self.lab.until(f"{app_id} runs", runs, every=0.1)

    def command(self, jws):
        """Sends it; the id of its frame."""
        return self.send("command", jws=jws)

    def result(self, command_id, timeout=harness.DEADLINE):
        return self.wait(f"result of {command_id}", lambda f: f["type"] == "result" and f["commandId"] == command_id, timeout)

    def refusal(self, frame_id):
        """The answer that it is not done: `refused`, or `error` for what is no command at all."""
        return self.wait("refused", lambda f: f["type"] in ("refused", "error") and f.get("refId") == frame_id)

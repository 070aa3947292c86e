"""A console with an authority of its own, agents that join it, and clients that are not ours."""
import asyncio
import contextlib
import datetime
import http.client
import json
import os
import ssl
import subprocess
import uuid
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import harness
from harness import DEADLINE, check, check_equal, program

ADMIN, VIEWER = "admin-key-0123456789", "viewer-key-0123456789"
YAML_KEY = "agent-key-old-0123456789"
URI = "fleet:agent:"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


class Fleet:
    """A console with an authority of its own, and nothing else configured for TLS."""

    def __init__(self, lab, config="", init=True, name="console", interval="1s"):
        self.lab, self.data, self.name = lab, lab.path(name), name
        self.config = lab.write(f"{name}.yaml", f"""
api_keys:
  - {{name: admin, role: admin, key: {ADMIN}}}
  - {{name: viewer, role: viewer, key: {VIEWER}}}
agent_keys:
  - {{agent_id: agent-yaml, key: {YAML_KEY}}}
heartbeat_interval: {interval}
{config}
""", mode=0o600)
        self.port = harness.free_port()
        self.url = f"https://localhost:{self.port}"
        self.ca = lab.path(f"{name}-ca.pem")
        if init:
            self.run("ca", "init")
            lab.write(f"{name}-ca.pem", self.run("ca", "show"))
            self.trust = ssl.create_default_context(cafile=self.ca)

    def run(self, *words):
        done = subprocess.run([program("fleet-console"), *words, "--data-dir", self.data], env=self.lab.env, text=True,
                              capture_output=True, timeout=DEADLINE, check=False)
        check_equal(done.returncode, 0, f"fleet-console {' '.join(words)}: {done.stderr}")
        return done.stdout

    def start(self, wait=True):
        console = self.lab.spawn(self.name, [program("fleet-console"), "--config", self.config, "--listen",
                                             f"127.0.0.1:{self.port}", "--data-dir", self.data])

        def ready():
            check(console.ended() is None, f"fleet-console ended with {console.ended()}: {console.log()[-600:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.ask("GET", "/readyz").status == 200
            return False
        if wait:
            self.lab.until("the console is ready", ready)
        return console

    def ask(self, method, path, body=None, key=ADMIN, context=None):
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=DEADLINE, context=context or self.trust)
        try:
            headers = {**(bearer(key) if key else {}), **({"Content-Type": "application/json"} if body is not None else {})}
            connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
            return harness.Answer(connection.getresponse())
        finally:
            connection.close()

    def do(self, method, path, body=None, status=200):
        answer = self.ask(method, path, body)
        check_equal(answer.status, status, f"{method} {path} ({answer!r})")
        return answer.json

    def token(self, **how):
        return self.do("POST", "/api/join-tokens", how, 201)["token"]

    def agent(self, agent_id, token=None, more="", machine=None, url=None, apps=None):
        """A --dev agent with an agent.env of its own. machine: a machine-id of its own."""
        env = self.lab.write(f"{agent_id}.env", (f"FLEET_JOIN_TOKEN={token}\n" if token else "") + more, mode=0o600)
        self.lab.write(f"{agent_id}.apps.d/apps.yaml", f"managed_apps:\n{apps}" if apps else "managed_apps: []\n")
        return self.lab.spawn(agent_id, [
            program("fleet-agent"), "--dev", "--agent-id", agent_id, "--console-url", url or self.url, "--env-file", env,
            "--data-dir", self.lab.path(machine or agent_id), "--apps-dir", self.lab.path(f"{agent_id}.apps.d")])

    def get_agent(self, agent_id):
        answer = self.ask("GET", f"/api/agents/{agent_id}")
        return answer.json if answer.status == 200 else {}

    def online(self, agent_id, process=None):
        def seen():
            check(not process or process.ended() is None, "the agent ended")
            return self.get_agent(agent_id).get("isOnline")
        self.lab.until(f"{agent_id} is online", seen)

    def offline(self, agent_id):
        self.lab.until(f"{agent_id} is offline", lambda: not self.get_agent(agent_id).get("isOnline"))

    def audit(self, text, **where):
        """Until the audit log has an event that says so; the event."""
        query = "".join(f"&{k}={v}" for k, v in where.items())

        def found():
            for event in self.do("GET", f"/api/audit?limit=200{query}"):
                if text in event["message"]:
                    return event
            return None
        return self.lab.until(f"the audit log says '{text}'", found)


def says(lab, process, text):
    lab.until(f"{process.label} says '{text}'", lambda: text in process.log())


def mode_of(path):
    return os.stat(path).st_mode & 0o777


# --- clients that are not ours ---------------------------------------------------------------------------


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def message(kind, **members):
    return json.dumps({"type": kind, "id": str(uuid.uuid4()), "ts": now(), **members})


def request(key=None, name="anybody"):
    """A certificate request, and its key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    csr = (x509.CertificateSigningRequestBuilder()
           .subject_name(x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])).sign(key, hashes.SHA256()))
    return csr.public_bytes(serialization.Encoding.PEM).decode(), key


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


def talk(fleet, path, said, credential=None, context=None, source=None):
    """Opens a WebSocket, says one message, returns the first answer. Refused for a handshake that is. source: from which of
    this machine's addresses, for wrong credentials of one address cost waiting."""
    import websockets  # pylint: disable=import-outside-toplevel

    async def go():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            async with websockets.connect(f"wss://localhost:{fleet.port}{path}", ssl=context or fleet.trust,
                                          subprotocols=["fleet.v1"], open_timeout=DEADLINE,
                                          local_addr=(source, 0) if source else None,
                                          extra_headers=bearer(credential) if credential else {}) as ws:
                await ws.send(said)
                return json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))
    try:
        return asyncio.run(go())
    except websockets.exceptions.InvalidStatusCode as e:
        raise Refused(e.status_code, str(e)) from e


def join(fleet, token, agent_id, instance="machine-1", csr=None, says=None):
    """As an agent would; the answer."""
    return talk(fleet, f"/api/join?agentId={agent_id}",
                message("join", agentId=says or agent_id, instanceId=instance, hostname="h", agentVersion="1",
                        request=csr or request()[0]), credential=token.split(".")[1])


def register(fleet, agent_id, credential=None, context=None, says=None, source=None, apps=()):
    return talk(fleet, f"/api/hub?agentId={agent_id}",
                message("register", agentId=says or agent_id, instanceId="machine-1", spoolId=str(uuid.uuid4()), hostname="h",
                        agentVersion="1", apps=[{"id": app, "status": "running"} for app in apps]),
                credential=credential, context=context, source=source)


def refused(what, status, function, *args, **how):
    try:
        answer = function(*args, **how)
    except Refused as e:
        check_equal(e.status, status, what)
        return
    check(False, f"{what}: {answer}")


def context_with(fleet, lab, pem):
    """TLS as one who shows what is in pem (key and certificate)."""
    path = lab.write(f"shown-{uuid.uuid4()}.pem", pem, mode=0o600)
    context = ssl.create_default_context(cafile=fleet.ca)
    context.load_cert_chain(path)
    return context


def pem_of(key, certificate):
    if isinstance(certificate, x509.Certificate):
        certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode() + certificate

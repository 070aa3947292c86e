#!/usr/bin/python3
"""Joining the fleet, and who tries to without a right: the console's own authority, join tokens, certificates bound to one
agentId, renewal, revocation; and forged, foreign, expired, used-up and stolen ones, with real programs and with clients that
are not ours."""
import asyncio
import contextlib
import datetime
import http.client
import io
import json
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import time
import uuid
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import DEADLINE, check, check_equal, check_in, program  # noqa: E402
from certificates import Authority  # noqa: E402

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


def from_nothing_to_an_agent(lab):
    """One command makes https, one a token; the agent gets a certificate, keeps it, and comes back with it."""
    fleet = Fleet(lab)
    console = fleet.start()
    check_in(f"Listening on {fleet.url}", console.log(), "what the console says")
    for name in ("ca/ca.key", "ca/server.key"):
        check_equal(mode_of(os.path.join(fleet.data, name)), 0o600, f"the mode of {name}")
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    out = lab.ctl_ok("tokens", "create", "--for", "web-*", "--uses", "2", "--expires", "10m")
    check_in(f"FLEET_CONSOLE_URL={fleet.url}\n", out, "what is printed")
    token = out.split("FLEET_JOIN_TOKEN=")[1].strip()
    check_in("2", lab.ctl_ok("tokens", "list"), "the list")
    check(token.split(".")[1] not in json.dumps(fleet.do("GET", "/api/join-tokens")), "the list shows the secret")

    agent = fleet.agent("web-1", token)
    fleet.online("web-1", agent)
    identity = lab.path("web-1", "identity.pem")
    check_equal(mode_of(identity), 0o600, "the identity's mode")
    check(not os.path.exists(lab.path("web-1", "join.key")), "the key is there twice")
    with open(identity, "rb") as f:
        certificate = x509.load_pem_x509_certificate(f.read())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    check_equal(names.get_values_for_type(x509.UniformResourceIdentifier), [URI + "web-1"], "its name")
    event = fleet.audit("web-1 joined", category="access")
    check_in("of admin@cli", event["message"], "who let it in")
    secret = token.split(".")[1]
    with open(os.path.join(fleet.data, "console.db"), "rb") as f:
        check(secret.encode() not in f.read(), "the console keeps the token's secret")
    for log in (console.log(), agent.log()):
        check(secret not in log, "a log shows the token's secret")

    # It comes back without the token, and the token can be used once more, and then not.
    check_equal(agent.stop(), 0, "the agent's end")
    fleet.offline("web-1")
    agent = fleet.agent("web-1", token)
    fleet.online("web-1", agent)
    check("Joining" not in agent.log().split("stopped")[-1], "it joined again")
    second = fleet.agent("web-2", token)
    fleet.online("web-2", second)
    third = fleet.agent("web-3", token)
    says(lab, third, "the join token is used up")
    fleet.audit("joining refused: the join token is used up", agentId="web-3")
    other = fleet.agent("db-1", fleet.token(agents="web-*"))
    says(lab, other, "the join token is for other agents than 'db-1'")
    fleet.run("audit", "verify")



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


def sign(ca_key, ca_name, uri, days=(-1, 30), extensions=()):
    """A client's certificate as nobody of ours made it."""
    key = ec.generate_private_key(ec.SECP256R1())
    at = datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ca_name).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(at + datetime.timedelta(days=days[0]))
               .not_valid_after(at + datetime.timedelta(days=days[1]))
               .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(u) for u in uri]), False))
    for extension in extensions:
        builder = builder.add_extension(extension, False)
    return pem_of(key, builder.sign(ca_key, hashes.SHA256()))


def certificates_of_others(lab):
    """Forged, expired, of another authority, of another agent, of none: each is refused, and told."""
    fleet = Fleet(lab)
    fleet.start()
    token = fleet.token(uses=5)
    csr, key = request()
    answer = join(fleet, token, "agent-a", csr=csr)
    check_equal(answer["type"], "joined", "agent-a joins")
    mine = context_with(fleet, lab, pem_of(key, answer["certificate"]))
    check_equal(register(fleet, "agent-a", context=mine)["type"], "registered", "agent-a with its certificate")
    join(fleet, token, "agent-b", instance="machine-2")

    refused("agent-a as agent-b", 403, register, fleet, "agent-b", context=mine)
    fleet.audit("agent refused: the certificate of another agent", agentId="agent-b")
    check_equal(register(fleet, "agent-a", context=mine, says="agent-b")["type"], "error", "agent-a that calls itself agent-b")
    refused("nothing at all", 401, register, fleet, "agent-a")
    refused("agent-a by a key that nobody made", 401, register, fleet, "agent-a", credential="no-such-key-0123456789")

    stranger = Authority("Fleet CA 00000000")
    cases = [("another authority's", sign(stranger.key, stranger.name, [URI + "agent-a"]), "was not issued by this console's")]
    with open(os.path.join(fleet.data, "ca/ca.crt"), "rb") as f:
        ca = x509.load_pem_x509_certificate(f.read())
    cases.append(("one with our authority's name", sign(stranger.key, ca.subject, [URI + "agent-a"]),
                  "was not issued by this console's"))
    own = ec.generate_private_key(ec.SECP256R1())
    cases.append(("one that vouches for itself", sign(own, x509.Name([]), [URI + "agent-a"]), "its certificate"))
    with open(os.path.join(fleet.data, "ca/ca.key"), "rb") as f:
        ca_key = serialization.load_pem_private_key(f.read(), None)
    # Whoever has the authority's key can make what he wants: it counts for nothing unless this console knows it.
    cases.append(("a true one that nobody was given", sign(ca_key, ca.subject, [URI + "agent-a"]), "does not count any more"))
    cases.append(("an expired one", sign(ca_key, ca.subject, [URI + "agent-a"], days=(-9, -1)), "its certificate expired on"))
    cases.append(("one of tomorrow", sign(ca_key, ca.subject, [URI + "agent-a"], days=(1, 9)), "is not valid before"))
    cases.append(("the console's own kind", sign(ca_key, ca.subject, [URI + "agent-a"], extensions=[
        x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])]), "its certificate is not taken"))
    for number, (what, pem, said) in enumerate(cases):
        shown = context_with(fleet, lab, pem)
        refused(what, 401, register, fleet, "agent-a", context=shown, source=f"127.0.0.{number + 2}")
        fleet.audit(said, agentId="agent-a")
        # On another route it is worth nothing, and does no harm.
        check_equal(fleet.ask("GET", "/api/agents", key=None, context=shown).status, 401, f"{what}: the API")
        check_equal(fleet.ask("GET", "/api/agents", context=shown).status, 200, f"{what}: the API with a key")
    for what, uris, status in (("two names", [URI + "agent-a", URI + "agent-b"], 403), ("no agent's name", ["https://a/"], 403),
                               ("a name that is none", [URI + "../agent-a"], 403)):
        refused(what, status, register, fleet, "agent-a", context=context_with(fleet, lab, sign(ca_key, ca.subject, uris)),
                source="127.0.0.20")
    check_equal(register(fleet, "agent-a", context=mine)["type"], "registered", "agent-a, after all that")


def tokens_of_no_use(lab):
    fleet = Fleet(lab)
    fleet.start()
    good = fleet.token(uses=3)
    spent = fleet.token()
    check_equal(join(fleet, spent, "agent-x", "machine-x")["type"], "joined", "a token of one use")
    short = fleet.token(expiresInSeconds=1)
    gone = fleet.do("POST", "/api/join-tokens", {}, 201)
    check_equal(fleet.do("DELETE", f"/api/join-tokens/{gone['tokenId'][-8:]}")["state"], "revoked", "a token, revoked")
    lab.until("the token has expired", lambda: "expired" in [t["state"] for t in fleet.do("GET", "/api/join-tokens")])
    flipped = good.replace(good.split(".")[1], good.split(".")[1][::-1])
    for what, token, status in (("one that nobody made", flipped, 401), ("a used-up one", spent, 401), ("an expired one", short, 401),
                                ("a revoked one", gone["token"], 401), ("one for others", fleet.token(agents="db-?"), 403)):
        refused(what, status, join, fleet, token, "agent-001")
    # A token opens the door to join, and no other; a key opens no door to join.
    secret = good.split(".")[1]
    refused("a token at the hub", 401, register, fleet, "agent-002", credential=secret)
    check_equal(fleet.ask("GET", "/api/agents", key=secret).status, 401, "a token at the API")
    refused("a key of a person", 401, talk, fleet, "/api/join?agentId=agent-002", message("join"), credential=ADMIN)
    check_equal(fleet.ask("POST", "/api/join-tokens", {}, key=VIEWER).status, 403, "a viewer that makes a token")
    for path in ("revoke", "allow-rejoin"):
        check_equal(fleet.ask("POST", f"/api/agents/agent-x/{path}", {}, key=VIEWER).status, 403, f"a viewer: {path}")
    check_equal(fleet.ask("DELETE", "/api/agents/agent-x", key=VIEWER).status, 403, "a viewer that removes")

    weak = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    from cryptography.hazmat.primitives.asymmetric import rsa  # pylint: disable=import-outside-toplevel
    weak = weak.sign(rsa.generate_private_key(65537, 1024), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    csr = request()[0]
    middle = len(csr) // 2
    broken = csr[:middle] + ("A" if csr[middle] != "A" else "B") + csr[middle + 1:]
    for what, text in (("no request", "-----BEGIN CERTIFICATE REQUEST-----"), ("a weak key", weak), ("a broken one", broken),
                       ("a key with a passphrase", "-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\n"
                        "DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END CERTIFICATE REQUEST-----\n")):
        answer = join(fleet, good, "agent-001", csr=text)
        check_equal((answer["type"], answer["code"]), ("error", "invalid-request"), what)
    check_equal(join(fleet, good, "agent-001", says="agent-002")["code"], "wrong-agent", "another name in the message")
    check_equal([t["uses"] for t in fleet.do("GET", "/api/join-tokens") if t["usesMax"] == 3], [0], "nothing of it was a use")

    # The answer may be lost: the same machine asks again with the same key, and that is no second use.
    csr, _ = request()
    for _ in range(3):
        check_equal(join(fleet, good, "agent-001", csr=csr)["type"], "joined", "once more")
    check_equal([t["uses"] for t in fleet.do("GET", "/api/join-tokens") if t["usesMax"] == 3], [1], "it was one use")


def statuses(function, *args, **how):
    """How 12 attempts are answered."""
    found = []
    for number in range(12):
        try:
            function(*args, credential=f"wrong-{number}", **how)
        except Refused as e:
            found.append(e.status)
    return found


def a_bad_neighbour(lab):
    """Whoever tries credentials waits. Nobody else behind its address does: not the agent whose name it takes, that has a
    certificate or a token; not its neighbours with keys that somebody chose."""
    fleet = Fleet(lab)
    console = fleet.start()
    csr, key = request()
    answer = join(fleet, fleet.token(), "agent-001", csr=csr)
    mine = context_with(fleet, lab, pem_of(key, answer["certificate"]))
    slowed = [401] * 6 + [429] * 6
    check_equal(statuses(register, fleet, "agent-001"), slowed, "keys at the hub")
    check_equal(statuses(talk, fleet, "/api/join?agentId=agent-002", message("join")), slowed, "tokens")
    check_equal(statuses(register, fleet, "agent-009"), slowed, "keys of one that nobody knows")
    check_equal(register(fleet, "agent-001", context=mine)["type"], "registered", "the one with the certificate")
    check_equal(register(fleet, "agent-yaml", credential=YAML_KEY)["type"], "registered", "a neighbour with a key")
    agent = fleet.agent("agent-002", fleet.token())
    fleet.online("agent-002", agent)
    # Nor does the waiting tell which key is right; that one waits as well, for 20 s at most, where it comes from.
    check_equal(statuses(register, fleet, "agent-yaml"), slowed, "keys of one with a chosen key")
    refused("the right one among them", 429, register, fleet, "agent-yaml", credential=YAML_KEY)
    check_equal(register(fleet, "agent-yaml", credential=YAML_KEY, source="127.0.0.2")["type"], "registered", "from elsewhere")
    for name, text in (("agent-001", "agent refused: no valid key"), ("agent-002", "joining refused: this console does not know"),
                       ("agent-009", "agent refused: no valid key")):
        fleet.audit(text, agentId=name)
    told = [e for e in fleet.do("GET", "/api/audit?limit=1000") if " refused: " in e["message"]]
    check_equal(len(told), 4, f"one line each ({told})")
    check_equal(len([line for line in console.log().splitlines() if " refused: " in line]), 4, "in the console's own log, too")
    check_equal(fleet.ask("GET", "/api/agents").status, 200, "a person behind the same address")


def a_taken_name(lab):
    """Another machine gets an agentId on an operator's word only; the first one is out then."""
    fleet = Fleet(lab)
    fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    token = fleet.token(uses=20)
    csr, key = request()
    first = join(fleet, token, "agent-001", "machine-1", csr)
    old = context_with(fleet, lab, pem_of(key, first["certificate"]))
    answer = join(fleet, token, "agent-001", "machine-2")
    check_equal(answer["code"], "agent-id-taken", "another machine")
    check_in("fleetctl agents allow-rejoin agent-001", answer["message"], "what to do")
    fleet.audit("joining refused: agent-001 is taken by another machine", agentId="agent-001")
    check_equal(register(fleet, "agent-001", context=old)["type"], "registered", "the first goes on")

    out = lab.ctl_ok("agents", "allow-rejoin", "agent-001", "--for", "10m")
    check_in("may take agent-001's place", out, "what is printed")
    check_equal(join(fleet, token, "agent-001", "machine-2")["type"], "joined", "another machine, allowed")
    refused("the machine of before", 401, register, fleet, "agent-001", context=old)
    check_equal(join(fleet, token, "agent-001", "machine-1")["code"], "agent-id-taken", "the word counts once")

    # One that console.yaml knows by its key is taken, too, by whoever has connected with it.
    check_equal(register(fleet, "agent-yaml", credential=YAML_KEY)["type"], "registered", "a key of console.yaml")
    check_equal(join(fleet, token, "agent-yaml", "machine-3")["code"], "agent-id-taken", "the name of one with a key")
    check_equal(join(fleet, token, "agent-yaml", "machine-1")["type"], "joined", "its own machine")
    refused("its key, from then on", 401, register, fleet, "agent-yaml", credential=YAML_KEY)

    # Removed: nothing is left but the audit log, and the name is free.
    lab.ctl_ok("agents", "remove", "agent-001")
    check_equal(fleet.ask("GET", "/api/agents/agent-001").status, 404, "the agent")
    fleet.audit("agent-001 joined", agentId="agent-001")
    fleet.audit("agent-001 removed by admin@cli", agentId="agent-001")
    check_equal(join(fleet, token, "agent-001", "machine-9")["type"], "joined", "a new one of its name")
    fleet.run("audit", "verify")


def revoked_while_connected(lab):
    """At once, the connection too; and what it holds opens no door, not after a restart of the console either."""
    fleet = Fleet(lab)
    console = fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    token = fleet.token(uses=2)
    agent = fleet.agent("agent-001", token)
    fleet.online("agent-001", agent)
    out = lab.ctl_ok("agents", "revoke", "agent-001")
    check_in("agent-001 is cut off", out, "what is printed")
    check(not fleet.get_agent("agent-001")["isOnline"], "it is online after it was revoked")
    says(lab, agent, "the agent was revoked on")
    fleet.audit("agent-001 revoked by admin@cli", category="access")
    fleet.audit("agent refused: the agent was revoked on", agentId="agent-001")
    with open(lab.path("agent-001", "identity.pem"), encoding="ascii") as f:
        identity = context_with(fleet, lab, f.read())
    refused("its certificate", 403, register, fleet, "agent-001", context=identity)
    check_equal(join(fleet, token, "agent-001", fleet.get_agent("agent-001")["instanceId"])["code"], "revoked", "with its token")
    check_equal(console.stop(), 0, "the console's end")
    fleet.start()
    refused("its certificate, after a restart", 403, register, fleet, "agent-001", context=identity)
    check_equal(agent.stop(), 0, "the agent's end")

    # An operator's word and a new token let it in again, with the state that it has.
    lab.ctl_ok("agents", "allow-rejoin", "agent-001", "--for", "10m")
    again = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", again)
    refused("the certificate of before", 401, register, fleet, "agent-001", context=identity)


class Download:
    """A release, fetched as slowly as its reader likes."""

    def __init__(self, fleet, artifact, key=None, context=None):
        self.connection = http.client.HTTPSConnection("localhost", fleet.port, timeout=DEADLINE, context=context or fleet.trust)
        self.connection.request("GET", f"/api/artifacts/{artifact}/file", headers=bearer(key) if key else {})
        self.answer = self.connection.getresponse()
        check_equal(self.answer.status, 200, "the download")
        self.size = int(self.answer.headers["Content-Length"])
        self.got = len(self.answer.read(1 << 20))

    def rest(self):
        """Until it ends; how much came in all."""
        with contextlib.suppress(http.client.IncompleteRead, OSError):
            while self.got < self.size:
                piece = self.answer.read(1 << 20)
                if not piece:
                    break
                self.got += len(piece)
        self.connection.close()
        return self.got


def revoked_while_it_downloads(lab):
    """A download that runs ends with the right to it: of an agent that is revoked, removed or replaced, of a key."""
    fleet = Fleet(lab)
    fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    with open(lab.path("release.tar.gz"), "wb") as f:
        f.write(os.urandom(1 << 20) * 64)
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", lab.path("release.tar.gz"), timeout=60)
    artifact = fleet.do("GET", "/api/artifacts")[0]["artifactId"]
    token = fleet.token(uses=9)

    def newcomer(agent_id, instance="machine-1"):
        """An agent that is to install it; as who it asks."""
        csr, key = request()
        shown = context_with(fleet, lab, pem_of(key, join(fleet, token, agent_id, instance, csr)["certificate"]))
        check_equal(register(fleet, agent_id, context=shown, apps=["app-a"])["type"], "registered", agent_id)
        fleet.do("POST", f"/api/agents/{agent_id}/update-app", {"appId": "app-a", "version": "2.1.0"}, 202)
        return shown
    shown = {name: newcomer(name) for name in ("agent-1", "agent-2", "agent-3", "agent-4")}
    downloads = {name: Download(fleet, artifact, context=shown[name]) for name in shown}
    made = fleet.do("POST", "/api/keys", {"name": "ci", "role": "operator"}, 201)["key"]
    downloads["ci"] = Download(fleet, artifact, key=made)
    fleet.do("POST", "/api/agents/agent-1/revoke")
    fleet.do("DELETE", "/api/agents/agent-2")
    fleet.do("POST", "/api/agents/agent-3/allow-rejoin", {"forSeconds": 600})
    check_equal(join(fleet, token, "agent-3", "machine-2")["type"], "joined", "another machine")
    fleet.do("DELETE", "/api/keys/ci")
    for name in ("agent-1", "agent-2", "agent-3", "ci"):
        download = downloads[name]
        got = download.rest()
        check(got < download.size, f"{name} got all of {download.size} bytes")
    check_equal(downloads["agent-4"].rest(), downloads["agent-4"].size, "what the one got that nobody has put out")
    for name, status in (("agent-1", 401), ("agent-2", 401), ("agent-3", 401), ("agent-4", 200)):
        answer = fleet.ask("GET", f"/api/artifacts/{artifact}/file", key=None, context=shown[name])
        check_equal(answer.status, status, f"{name} asks once more")


def a_man_in_the_middle(lab):
    """Another console answers, with a certificate for the right name, of an authority of its own: nothing is said to it."""
    fleet = Fleet(lab)
    fleet.start()
    token = fleet.token()
    middle = Fleet(lab, name="middle")
    console = middle.start()
    agent = fleet.agent("agent-001", token, url=middle.url)
    says(lab, agent, "is not the console that made the join token")
    check("/api/join" not in console.log() and "refused" not in console.log(), f"something was said: {console.log()}")
    check_equal([e for e in middle.do("GET", "/api/audit") if e["category"] == "access"], [], "what the other one has heard")
    # Nor where the admin trusts the other one's authority for something else.
    other = fleet.agent("agent-002", token, f"FLEET_CA_FILE={middle.ca}\n", url=middle.url)
    says(lab, other, "is not the console that made the join token")
    # The right authority, but a certificate for another name: 127.0.0.1 is one of its names, this is none.
    fleet.run("ca", "names", "console.example.com")
    third = fleet.agent("agent-003", token, url=f"https://127.0.0.9:{fleet.port}")
    says(lab, third, "Cannot connect")
    check(fleet.get_agent("agent-003") == {}, "it has joined")


def certificates_are_renewed(lab):
    """By themselves, at two thirds of their life, on the connection that goes on; the one of before ends."""
    fleet = Fleet(lab, "agent_certificate_life: 10s")
    fleet.start()
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)
    with open(lab.path("agent-001", "identity.pem"), encoding="ascii") as f:
        first = f.read()
    began = time.monotonic()
    fleet.audit("agent-001's certificate was renewed", category="access")
    check(time.monotonic() - began < 9, "it was renewed too late")
    says(lab, agent, "The agent's certificate was renewed")
    with open(lab.path("agent-001", "identity.pem"), encoding="ascii") as f:
        second = f.read()
    check(first.split("-----BEGIN CERT")[0] != second.split("-----BEGIN CERT")[0], "the key is the old one")
    lab.until("the first certificate has expired", lambda: time.monotonic() - began > 11, timeout=20)
    old = context_with(fleet, lab, first)
    refused("the first certificate", 401, register, fleet, "agent-001", context=old)
    check(fleet.get_agent("agent-001")["isOnline"], "the agent is not online")
    check_equal(agent.log().count("Connected to cloud hub"), 1, "how often it has connected")
    # Away for longer than its certificate holds: a token lets it in again, the same machine, without more.
    check_equal(agent.stop(), 0, "the agent's end")
    with open(lab.path("agent-001", "identity.pem"), encoding="ascii") as f:
        last = context_with(fleet, lab, f.read())
    lab.until("it is refused", lambda: expired(fleet, last), timeout=20)
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)


def expired(fleet, context):
    try:
        register(fleet, "agent-001", context=context)
    except Refused as e:
        return e.status == 401
    return False


def one_that_does_not_renew(lab):
    """Its connection ends with its certificate."""
    fleet = Fleet(lab, "agent_certificate_life: 10s", interval="1m")
    fleet.start()
    csr, key = request()
    answer = join(fleet, fleet.token(), "agent-001", csr=csr)
    context = context_with(fleet, lab, pem_of(key, answer["certificate"]))
    import websockets  # pylint: disable=import-outside-toplevel

    async def go():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            async with websockets.connect(f"wss://localhost:{fleet.port}/api/hub?agentId=agent-001", ssl=context,
                                          subprotocols=["fleet.v1"]) as ws:
                await ws.send(message("register", agentId="agent-001", instanceId="machine-1", spoolId=str(uuid.uuid4()),
                                      hostname="h", agentVersion="1", apps=[]))
                check_equal(json.loads(await ws.recv())["type"], "registered", "it is in")
                # Twice at once, and too early: no signing machine for whoever likes.
                await ws.send(message("renew", request=request()[0]))
                check_equal(json.loads(await ws.recv())["code"], "too-early", "a second one at once")
                try:
                    while True:
                        await asyncio.wait_for(ws.recv(), DEADLINE)
                except websockets.exceptions.ConnectionClosed as e:
                    return e.reason
    check_equal(asyncio.run(go()), "its certificate has expired", "why it ended")


def modes(lab):
    """agent_auth: token, mtls, both."""
    fleet = Fleet(lab, "agent_auth: token")
    console = fleet.start()
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)
    check_equal(mode_of(lab.path("agent-001", "agent.key")), 0o600, "the key's mode")
    check(not os.path.exists(lab.path("agent-001", "identity.pem")), "it was given a certificate")
    with open(lab.path("agent-001", "agent.key"), encoding="ascii") as f:
        key = f.read()
    refused("its key as another", 403, register, fleet, "agent-002", credential=key)
    for log in (console.log(), agent.log()):
        check(key not in log, "a log shows the key")
    check_equal(agent.stop(), 0, "the agent's end")
    check_equal(console.stop(), 0, "the console's end")

    for mode, by_key in (("both", True), ("mtls", False)):
        with open(fleet.config, encoding="ascii") as f:
            text = f.read()
        lab.write("console.yaml", text.split("agent_auth:")[0] + f"agent_auth: {mode}\n", mode=0o600)
        console = fleet.start()
        if by_key:
            check_equal(register(fleet, "agent-001", credential=key)["type"], "registered", f"{mode}: a key")
            check_equal(register(fleet, "agent-yaml", credential=YAML_KEY)["type"], "registered", f"{mode}: a key of the file")
        else:
            refused(f"{mode}: a key", 401, register, fleet, "agent-001", credential=key)
            refused(f"{mode}: a key of the file", 401, register, fleet, "agent-yaml", credential=YAML_KEY)
        answer = join(fleet, fleet.token(), f"agent-{mode}")
        check("certificate" in answer and "apiKey" not in answer, f"{mode}: what is given")
        check_equal(console.stop(), 0, "the console's end")
    # The mode that cannot be: certificates without an authority.
    bare = Fleet(lab, "agent_auth: mtls", init=False, name="bare")
    console = bare.start(wait=False)
    console.expected_end = True
    lab.until("it ends", lambda: console.ended() is not None)
    check_in("fleet-console ca init", console.log(), "what it says")


def sessions_are_resumed(lab):
    """An agent that comes back costs no signature; and what it has shown is judged anew all the same."""
    fleet = Fleet(lab)
    fleet.start()
    csr, key = request()
    answer = join(fleet, fleet.token(), "agent-001", csr=csr)
    context = context_with(fleet, lab, pem_of(key, answer["certificate"]))
    head = (f"GET /api/hub?agentId=agent-001 HTTP/1.1\r\nHost: localhost:{fleet.port}\r\nUpgrade: websocket\r\nConnection: "
            "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: fleet.v1\r\n\r\n").encode()

    def shake(session):
        import socket  # pylint: disable=import-outside-toplevel
        with socket.create_connection(("127.0.0.1", fleet.port), DEADLINE) as s, \
                context.wrap_socket(s, server_hostname="localhost", session=session) as tls:
            tls.sendall(head)
            line = tls.recv(65536).split(b"\r\n")[0].decode()
            return tls.session_reused, line.split()[1], tls.session
    reused, status, session = shake(None)
    check_equal((reused, status), (False, "101"), "the first time")
    reused, status, session = shake(session)
    check_equal((reused, status), (True, "101"), "the second time")
    fleet.do("POST", "/api/agents/agent-001/revoke")
    reused, status, _ = shake(session)
    check_equal((reused, status), (True, "403"), "after it was revoked")


def a_certificate_is_enough(lab):
    """agent_auth: mtls; commands, and a release that the console keeps, which the agent gets with its certificate."""
    fleet = Fleet(lab, "agent_auth: mtls")
    fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    for name, text in (("program", "old"), ("version", "2.0.0\n")):
        lab.write(f"srv/app-a/{name}", text)
    tree = lab.path("srv/app-a")
    app = lab.simulated("app-a", config=None, extra=(
        f"binary_path: {tree}\nversion_file: {tree}/version\nhealth_check: {{settle: 100ms}}"))
    agent = fleet.agent("agent-001", fleet.token(), apps=app)
    fleet.online("agent-001", agent)
    lab.until("its app runs", lambda: [a for a in fleet.get_agent("agent-001").get("apps", []) if a["status"] == "running"])
    check_in("certificate until", lab.ctl_ok("agents", "status", "agent-001"), "its status")
    lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    with open(lab.path("release.tar.gz"), "wb") as f:
        f.write(release("2.1.0"))
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", lab.path("release.tar.gz"))
    lab.ctl_ok("apps", "update", "agent-001", "app-a", "--version", "2.1.0", "--wait", timeout=60)
    check_equal(lab.read("srv/app-a/version"), "2.1.0\n", "the new version")
    # Another agent's certificate gets nothing of it.
    artifact = fleet.do("GET", "/api/artifacts")[0]["artifactId"]
    csr, key = request()
    other = context_with(fleet, lab, pem_of(key, join(fleet, fleet.token(), "agent-002", "machine-2", csr)["certificate"]))
    check_equal(fleet.ask("GET", f"/api/artifacts/{artifact}/file", key=None, context=other).status, 403, "another agent's")
    check_equal(fleet.ask("GET", f"/api/artifacts/{artifact}/file", key=None).status, 401, "nobody's")


def command_keys_change(lab):
    """fleet-console command-key rotate, make-recovery, recover: servers follow, the audit log says so, and what waits for
    a server meanwhile is done there."""
    fleet = Fleet(lab)
    console = fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    agent = fleet.agent("agent-001", fleet.token(), apps=lab.simulated("app-a", config=None))
    fleet.online("agent-001", agent)

    def works():
        lab.until("its app runs", lambda: [a for a in fleet.get_agent("agent-001").get("apps", []) if a["status"] == "running"])
        lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    works()
    done = subprocess.run([program("fleet-console"), "command-key", "rotate", "--data-dir", fleet.data], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "in use by another fleet-console" in done.stderr, f"while it runs: {done}")
    kids = {json.loads(fleet.run("command-key", "show"))["kid"]}
    recovery = lab.path("recovery.pem")
    for words in (("make-recovery", recovery), ("rotate",), ("recover", recovery)):
        if words[0] == "rotate":
            agent.freeze()
            check_equal(console.stop(), 0, "the console's end")
            console = fleet.start()
            waiting = json.loads(lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--json"))["commandId"]
        check_equal(console.stop(), 0, "the console's end")
        check_in("Done: ", fleet.run("command-key", *words), f"key {words[0]}")
        kid = json.loads(fleet.run("command-key", "show"))["kid"]
        check_equal(kid in kids, words[0] == "make-recovery", f"another key after {words[0]}")
        kids.add(kid)
        console = fleet.start()
        agent.thaw()
        fleet.online("agent-001", agent)
        if words[0] == "rotate":
            lab.ctl_ok("commands", "wait", waiting)
        if words[0] != "make-recovery":
            fleet.audit(f"the command key is {kid} from now on", category="access")
            fleet.audit(f"the console's command key is {kid} from now on, says a key that was trusted before")
        works()
    check_equal(mode_of(recovery), 0o600, "the recovery key's mode")
    fleet.run("audit", "verify")


def agents_that_have_something(lab):
    """A token that is refused keeps no agent away that has a certificate; one that is good gives it a new one."""
    fleet = Fleet(lab)
    fleet.start()
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)
    check_equal(agent.stop(), 0, "the agent's end")
    first = lab.read("agent-001/identity.pem")
    used = fleet.token()
    join(fleet, used, "agent-009", "machine-9")
    agent = fleet.agent("agent-001", used)
    says(lab, agent, "The join token is of no use; the agent connects with what it has")
    fleet.online("agent-001", agent)
    check_equal(lab.read("agent-001/identity.pem"), first, "its certificate")
    check_equal(agent.stop(), 0, "the agent's end")
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)
    lab.until("it has joined anew", lambda: lab.read("agent-001/identity.pem") != first)
    # Its state is lost: the same machine needs a token, and nobody's word.
    check_equal(agent.stop(), 0, "the agent's end")
    shutil.rmtree(lab.path("agent-001"))
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)


def without_tls_there_are_keys(lab):
    """On loopback only, as behind a proxy: the token names no authority, and what is given is a key."""
    fleet = Fleet(lab, init=False)
    fleet.url = f"http://localhost:{fleet.port}"

    def ask(method, path, body=None, key=ADMIN, context=None):  # pylint: disable=unused-argument
        connection = http.client.HTTPConnection("localhost", fleet.port, timeout=DEADLINE)
        connection.request(method, path, body=json.dumps(body) if body is not None else None,
                           headers={**bearer(key), "Content-Type": "application/json"})
        return harness.Answer(connection.getresponse())
    fleet.ask = ask
    fleet.start()
    token = fleet.token()
    check_equal(token.split(".")[2], "-", "what the token says of an authority")
    agent = fleet.agent("agent-001", token)
    fleet.online("agent-001", agent)
    check(os.path.exists(lab.path("agent-001/agent.key")), "it has no key")
    other = fleet.agent("agent-002", fleet.token(), url=f"http://console.example.com:{fleet.port}")
    says(lab, other, "FLEET_CONSOLE_URL must begin with https://")


def a_console_moves(lab):
    """Backed up while it runs, restored elsewhere: the same console to its agents, with keys, members and audit log."""
    fleet = Fleet(lab)
    console = fleet.start()
    lab.ctl_ok("login", "--url", fleet.url, "--api-key", ADMIN, "--ca-file", fleet.ca)
    agent = fleet.agent("agent-001", fleet.token(), apps=lab.simulated("app-a", config=None))
    fleet.online("agent-001", agent)
    csr, key = request()
    gone = join(fleet, fleet.token(), "agent-002", "machine-2", csr)
    fleet.do("POST", "/api/agents/agent-002/revoke")
    with open(lab.path("release.tar.gz"), "wb") as f:
        f.write(release("2.1.0"))
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", lab.path("release.tar.gz"))
    backup = lab.path("backup")
    check_in("Backed up to", fleet.run("backup", backup), "the backup")
    check_equal(mode_of(backup), 0o700, "the backup's mode")
    for folder, _, names in os.walk(backup):
        for name in names:
            check_equal(mode_of(os.path.join(folder, name)) & 0o077, 0, f"who may read {name}")
    # What happens from here on is lost with the machine, and the agent was shown some of it.
    lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    fleet.do("POST", "/api/agents/agent-001/ping")
    check_equal(console.stop(), 0, "the console's end")
    os.rename(fleet.data, lab.path("burnt"))

    fleet.run("restore", backup)
    fleet.start()
    fleet.online("agent-001", agent)
    lab.until("its app runs", lambda: [a for a in fleet.get_agent("agent-001").get("apps", []) if a["status"] == "running"])
    lab.ctl_ok("apps", "restart", "agent-001", "app-a", "--wait")
    refused("a revoked one", 403, register, fleet, "agent-002",
            context=context_with(fleet, lab, pem_of(key, gone["certificate"])))
    check_equal(["lost" in a for a in fleet.do("GET", "/api/artifacts")], [False], "the artifact's file")
    fleet.audit("console restored from a backup")
    fleet.audit("agent-001 joined")
    # The audit log's witness misses what is lost, until an admin says why.
    doubt = lab.until("agent-001 misses what it was shown", lambda: fleet.do("GET", "/api/audit/doubts"))[0]
    check(doubt["agentId"] == "agent-001" and doubt["missing"] > 0, f"what is missed: {doubt}")
    check_in(f"last {doubt['missing']} entries are missing", lab.ctl("audit", "verify").stderr, "audit verify")
    lab.ctl_ok("audit", "accept-gap", "--reason", "the machine burnt down")
    lab.ctl_ok("audit", "verify")
    fleet.audit("the gap in the audit log was accepted by admin@cli: the machine burnt down")
    # Nothing is written over, half a backup is none, and one that somebody has changed is not restored.
    done = subprocess.run([program("fleet-console"), "restore", backup, "--data-dir", fleet.data], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "holds a console's data already" in done.stderr, f"a second restore: {done}")
    changed = sqlite3.connect(os.path.join(backup, "console.db"))
    changed.executescript("DROP TRIGGER audit_no_update; UPDATE audit SET message = 'nothing' WHERE seq = 3;")
    changed.close()
    done = subprocess.run([program("fleet-console"), "restore", backup, "--data-dir", lab.path("other")], capture_output=True,
                          text=True, timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "is not restored" in done.stderr and not os.path.exists(lab.path("other")), f"{done}")


def root_is_not_led_astray(lab):
    """What root does to a data directory that is the console's user's reaches nothing outside of it, whatever that user has put
    there, or into the backup that he made."""
    if os.geteuid() != 0:
        raise harness.Skip("needs root, and a directory of somebody else's")
    user = 12345
    fleet = Fleet(lab)
    check_equal(fleet.start().stop(), 0, "the console's end")
    good = lab.path("backup")
    fleet.run("backup", good)
    outside = lab.path("outside")
    os.mkdir(outside, 0o755)
    secret = lab.write("outside/shadow", "root's alone", mode=0o600)

    def directory(name, **links):
        os.mkdir(lab.path(name), 0o700)
        for link, target in links.items():
            os.symlink(target, lab.path(name, link))
            os.lchown(lab.path(name, link), user, user)
        os.chown(lab.path(name), user, user)
        return lab.path(name)

    def run(*words):
        done = subprocess.run([program("fleet-console"), *words], capture_output=True, text=True, timeout=DEADLINE, check=False)
        check_equal((os.stat(secret).st_uid, os.stat(outside).st_uid, sorted(os.listdir(outside))), (0, 0, ["shadow"]),
                    f"what lies outside, after {words[0]} ({done.stderr})")
        return done
    shutil.rmtree(os.path.join(good, "artifacts"), ignore_errors=True)  # what a backup has not, root does not look at
    check_equal(run("restore", good, "--data-dir", directory("a", artifacts=outside)).returncode, 0, "a link for nothing")
    for name in ("a/console.db", "a/signing-key.pem", "a/ca/ca.key", "a/ca"):
        check_equal(os.stat(lab.path(name)).st_uid, user, f"whose {name} is")
    check(run("restore", good, "--data-dir", directory("b", ca=outside)).returncode == 1, "a link where a folder is to be")
    os.symlink(outside, os.path.join(good, "artifacts"))
    check(run("restore", good, "--data-dir", directory("c")).returncode == 1, "a link in the backup")
    for folder, _, names in os.walk(lab.path("c")):
        check("shadow" not in names, f"root's file was copied into {folder}")
    check(run("restore", good, "--data-dir", directory("d", **{"console.db": secret})).returncode == 1, "a link for the database")
    check(run("ca", "init", "--data-dir", directory("e", ca=outside)).returncode == 1, "an authority by way of a link")
    made = directory("f")
    check_equal(run("ca", "init", "--data-dir", made).returncode, 0, "an authority")
    check_equal({os.stat(os.path.join(made, n)).st_uid for n in ("ca", "ca/ca.key", "ca/ca.crt", "ca/names")}, {user}, "whose it is")
    os.symlink(outside, os.path.join(made, "artifacts"))
    check_equal(fleet.start().stop(), 0, "the console's end")
    os.rename(os.path.join(fleet.data, "ca"), lab.path("true-ca"))
    os.symlink(outside, os.path.join(fleet.data, "ca"))
    check(run("backup", lab.path("more"), "--data-dir", fleet.data).returncode == 1, "a backup by way of a link")


def release(version):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in (("program", b"new"), ("version", version.encode() + b"\n")):
            info = tarfile.TarInfo(f"app-a-{version}/{name}")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def the_console_s_own_certificate(lab):
    """Made by itself, again when its names change, not at every start; one of the settings wins."""
    fleet = Fleet(lab)
    console = fleet.start()
    served = ssl.get_server_certificate(("127.0.0.1", fleet.port))
    check_equal(console.stop(), 0, "the console's end")
    console = fleet.start()
    check_equal(ssl.get_server_certificate(("127.0.0.1", fleet.port)), served, "the certificate after a restart")
    fleet.run("ca", "names", "console.example.com", "192.0.2.7")
    lab.until("another one is served", lambda: ssl.get_server_certificate(("127.0.0.1", fleet.port)) != served)
    certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", fleet.port)).encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    check_in("console.example.com", names.get_values_for_type(x509.DNSName), "its names")
    check_in("192.0.2.7", [str(a) for a in names.get_values_for_type(x509.IPAddress)], "its addresses")
    check_equal(console.stop(), 0, "the console's end")
    done = subprocess.run([program("fleet-console"), "ca", "init", "--data-dir", fleet.data], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    check(done.returncode == 1 and "there is an authority already" in done.stderr, f"a second init: {done.stderr}")

    # With a certificate of somebody else's: agents are told in the token whom to believe, and joining works the same.
    authority = Authority("Company CA")
    authority.issue(lab.path("company.crt"), lab.path("company.key"), "localhost")
    with open(lab.path("company.crt"), "ab") as f:
        f.write(authority.certificate.public_bytes(serialization.Encoding.PEM))
    with open(fleet.config, "a", encoding="ascii") as f:
        f.write(f"tls:\n  cert_file: {lab.path('company.crt')}\n  key_file: {lab.path('company.key')}\n")
    fleet.trust = ssl.create_default_context(cafile=authority.write(lab.path("company.pem")))
    fleet.start()
    agent = fleet.agent("agent-001", fleet.token())
    fleet.online("agent-001", agent)
    check_equal(lab.read("agent-001/console-ca.pem"), lab.read("company.pem"), "whom the agent trusts")


if __name__ == "__main__":
    harness.main([from_nothing_to_an_agent, certificates_of_others, tokens_of_no_use, a_bad_neighbour, a_taken_name, revoked_while_connected,
                  revoked_while_it_downloads, a_man_in_the_middle, certificates_are_renewed, one_that_does_not_renew, modes, sessions_are_resumed,
                  a_certificate_is_enough, command_keys_change, a_console_moves, root_is_not_led_astray,
                  agents_that_have_something, without_tls_there_are_keys,
                  the_console_s_own_certificate])

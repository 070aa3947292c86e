#!/usr/bin/python3
"""Joining the fleet, and who tries to without a right: join tokens, certificates bound to one agentId, revocation; and forged,
foreign, expired, used-up and stolen ones, with real programs and with clients that are not ours."""
import contextlib
import datetime
import http.client
import json
import os
import shutil
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from certificates import Authority  # noqa: E402
from enrolment import (  # noqa: E402
    ADMIN, URI, VIEWER, YAML_KEY, Fleet, Refused, bearer, context_with, join, message, mode_of, pem_of, refused, register,
    request, says, talk)
from harness import DEADLINE, check, check_equal, check_in  # noqa: E402


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


if __name__ == "__main__":
    harness.main([from_nothing_to_an_agent, certificates_of_others, tokens_of_no_use, a_bad_neighbour, a_taken_name, revoked_while_connected,
                  revoked_while_it_downloads, a_man_in_the_middle, agents_that_have_something, without_tls_there_are_keys])

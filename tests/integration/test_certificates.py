#!/usr/bin/python3
"""Certificates in the course of time: renewed, expired, resumed, and enough for all that an agent does; the ways in which an
agent may show who it is, and the console's own certificate."""
import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import uuid
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from certificates import Authority  # noqa: E402
from enrolment import (  # noqa: E402
    ADMIN, YAML_KEY, Fleet, Refused, context_with, join, message, mode_of, pem_of, refused, register, request, says)
from harness import DEADLINE, check, check_equal, check_in, program  # noqa: E402
from updates import release  # noqa: E402


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
    harness.main([certificates_are_renewed, one_that_does_not_renew, modes, sessions_are_resumed, a_certificate_is_enough,
                  the_console_s_own_certificate])

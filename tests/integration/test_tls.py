#!/usr/bin/python3
"""The whole fleet over TLS: console, agent, fleetctl and downloads with a private authority; certificates that are wrong,
old, replaced while everybody is connected; and clients that are not ours (curl, Python's ssl, python3-websockets)."""
import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import DEADLINE, Skip, check, check_equal, check_in, program  # noqa: E402
from certificates import DAY, Authority  # noqa: E402
from updates import release  # noqa: E402

AGENT = "agent-001"
KEYS = {"operator": "operator-key-0123456789", AGENT: "agent-key-one-0123456789"}
BEARER = {"Authorization": f"Bearer {KEYS['operator']}"}


class Fleet:
    """A console with keys and a certificate, and those who talk to it."""

    def __init__(self, lab, *names, min_version=None, **how):
        self.lab, self.authority = lab, Authority()
        self.cert, self.key = lab.path("console.crt"), lab.path("console.key")
        self.ca = self.authority.write(lab.path("ca.pem"))
        self.serial = self.renew(*(names or ("localhost", "127.0.0.1")), **how)
        self.url = f"https://localhost:{lab.port}"
        version = f"\n  min_version: {min_version}" if min_version else ""
        self.config = lab.write("console.yaml", f"""
tls:
  cert_file: {self.cert}
  key_file: {self.key}{version}
api_keys:
  - {{name: operator, role: operator, key: {KEYS["operator"]}}}
agent_keys:
  - {{agent_id: {AGENT}, key: {KEYS[AGENT]}}}
heartbeat_interval: 1s
""", mode=0o600)
        self.trust = ssl.create_default_context(cafile=self.ca)
        self.trust.check_hostname = not names
        if names:
            self.trust.verify_mode = ssl.CERT_NONE

    def renew(self, *names, **how):
        self.serial = self.authority.issue(self.cert, self.key, *names, **how)
        return self.serial

    def console(self):
        console = self.lab.spawn("console", [program("fleet-console"), "--config", self.config, "--listen",
                                             f"127.0.0.1:{self.lab.port}", "--data-dir", self.lab.path("console")])

        def ready():
            check(console.ended() is None, f"fleet-console ended with {console.ended()}: {console.log()[-600:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/readyz").status == 200
            return False
        self.lab.until("the console is ready", ready)
        return console

    def agent(self, apps=(), ca=None, url=None):
        env = self.lab.write("agent.env", f"FLEET_API_KEY={KEYS[AGENT]}\nFLEET_CA_FILE={ca or self.ca}\n", mode=0o600)
        self.lab.write("agent.apps.d/apps.yaml", "managed_apps:\n" + "".join(apps) if apps else "managed_apps: []\n")
        return self.lab.spawn(AGENT, [program("fleet-agent"), "--dev", "--agent-id", AGENT, "--console-url", url or self.url,
                                      "--env-file", env, "--data-dir", self.lab.path(AGENT), "--apps-dir",
                                      self.lab.path("agent.apps.d")])

    def get(self, path, headers=None):
        connection = http.client.HTTPSConnection("localhost", self.lab.port, timeout=DEADLINE, context=self.trust)
        try:
            connection.request("GET", path, headers={**BEARER, **(headers or {})})
            return harness.Answer(connection.getresponse())
        finally:
            connection.close()

    def online(self, agent):
        def seen():
            check(agent.ended() is None, f"the agent ended with {agent.ended()}: {agent.log()[-600:]}")
            answer = self.get(f"/api/agents/{AGENT}")
            return answer.json if answer.status == 200 and answer.json["isOnline"] and answer.json.get("metrics") else None
        return self.lab.until(f"{AGENT} is online", seen)

    def served(self):
        """The serial number of the certificate that a newcomer gets."""
        from cryptography import x509  # pylint: disable=import-outside-toplevel
        with socket.create_connection(("127.0.0.1", self.lab.port), DEADLINE) as s, \
                self.trust.wrap_socket(s, server_hostname="localhost") as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(True)).serial_number

    def login(self):
        out = self.lab.ctl_ok("login", "--url", self.url, "--api-key", KEYS["operator"], "--ca-file", self.ca)
        check_in(f"Logged in to {self.url}", out, "login")


def a_login_stays_on_https(lab):
    """The cookie of a dashboard's session is bound to https and to this very name; a plain one is none."""
    fleet = Fleet(lab)
    fleet.console()
    check_cookie(lab, fleet.trust)


def a_login_stays_on_https_of_the_consoles_own_authority(lab):
    """Likewise where no certificate is named in the settings."""
    fleet = Fleet(lab)
    made = subprocess.run([program("fleet-console"), "ca", "init", "--data-dir", lab.path("console")], env=lab.env,
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    check_equal(made.returncode, 0, made.stderr)
    shown = subprocess.run([program("fleet-console"), "ca", "show", "--data-dir", lab.path("console")], env=lab.env,
                           capture_output=True, text=True, timeout=DEADLINE, check=True)
    fleet.config = lab.write("own.yaml", f"api_keys:\n  - {{name: operator, role: operator, key: {KEYS['operator']}}}\n", mode=0o600)
    fleet.trust = ssl.create_default_context(cadata=shown.stdout)
    fleet.console()
    check_cookie(lab, fleet.trust)


def check_cookie(lab, trust):
    connection = http.client.HTTPSConnection("localhost", lab.port, timeout=DEADLINE, context=trust)
    connection.request("POST", "/api/session", body=json.dumps({"key": KEYS["operator"]}),
                       headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    cookie = answer.getheader("Set-Cookie") or ""
    check_equal(answer.status, 200, answer.read())
    check(cookie.startswith("__Host-fleet-session=") and "; Secure" in cookie and "; Path=/" in cookie and "Domain" not in cookie, cookie)
    pair = cookie.split(";")[0]
    for sent, status in ((pair, 200), (pair.replace("__Host-", ""), 401)):
        connection.request("GET", "/api/session", headers={"Cookie": sent})
        answer = connection.getresponse()
        answer.read()
        check_equal(answer.status, status, sent)
    # A page of this very name that came by http is somebody's who stands in between.
    for scheme, status in (("http", 403), ("https", 200)):
        connection.request("DELETE", "/api/session", headers={"Cookie": pair, "Origin": f"{scheme}://localhost:{lab.port}"})
        answer = connection.getresponse()
        answer.read()
        check_equal(answer.status, status, f"a page that came by {scheme}")
    connection.close()


def everything_works_over_tls(lab):
    """Restart, push, update from the console's own files, and a stream of events."""
    fleet = Fleet(lab)
    console = fleet.console()
    check_in(f"Listening on {fleet.url}", console.log(), "what the console says")
    tree = lab.path("srv", "app-a")
    os.makedirs(tree)
    for name, text in (("program", "old"), ("version", "2.0.0\n"), ("app.json", '{"a": 1}')):
        lab.write(os.path.join("srv/app-a", name), text)
    app = lab.simulated("app-a", config=None, extra=(
        f"binary_path: {tree}\nconfig_path: {tree}/app.json\nconfig_driver: json-config\nversion_file: {tree}/version\n"
        "health_check: {settle: 100ms}"))
    agent = fleet.agent(apps=[app])
    fleet.online(agent)
    fleet.login()
    check_in(AGENT, lab.ctl_ok("agents", "list"), "the table")
    check_in("Running", lab.ctl_ok("apps", "restart", AGENT, "app-a", "--wait"), "a restart")
    lab.ctl_ok("apps", "config", AGENT, "app-a", "--set", "a=2", "--wait")
    check_in("2", lab.read("srv/app-a/app.json"), "the file")

    data = release("2.1.0")
    with open(lab.path("release.tar.gz"), "wb") as f:
        f.write(data)
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", lab.path("release.tar.gz"))
    lab.ctl_ok("apps", "update", AGENT, "app-a", "--version", "2.1.0", "--wait", timeout=60)
    check_equal(lab.read("srv/app-a/version"), "2.1.0\n", "the new version")
    check_equal(hashlib.sha256(data).hexdigest(), fleet.get("/api/artifacts").json[0]["sha256"], "what the console keeps")
    check_equal(agent.stop(), 0, "the agent's end")


def curl_is_served(lab):
    if not shutil.which("curl"):
        raise Skip("curl is not installed")
    fleet = Fleet(lab)
    fleet.console()

    def curl(*args):
        return subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", str(DEADLINE), *args], env=lab.env,
                              capture_output=True, text=True, check=False)
    done = curl("--cacert", fleet.ca, "-i", "-H", f"Authorization: {BEARER['Authorization']}", fleet.url + "/api/agents")
    check_equal(done.returncode, 0, done.stderr)
    check_in("HTTP/1.1 200 OK", done.stdout, "the answer")
    check_in("Strict-Transport-Security: max-age=", done.stdout, "the headers")
    done = curl(fleet.url + "/healthz")
    check_equal(done.returncode, 60, "without the authority it is refused")
    done = curl("--cacert", fleet.ca, fleet.url + "/healthz")
    check_equal((done.returncode, done.stderr), (0, ""), "nor does the end of the connection look like a fault")
    done = curl("--cacert", fleet.ca, "--http1.0", "-H", "Connection: close", fleet.url + "/")
    check_equal((done.returncode, done.stderr), (0, ""), "also where the server closes it")
    check_in("<html", done.stdout.lower(), "the dashboard")


def versions(lab):
    """1.3; 1.2 where it is asked for; nothing older, and no HTTP in the clear."""
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of the versions that are tried here
    fleet = Fleet(lab)
    console = fleet.console()

    def speaks(version):
        context = ssl.create_default_context(cafile=fleet.ca)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", lab.port), DEADLINE) as s:
            try:
                with context.wrap_socket(s, server_hostname="localhost") as tls:
                    return tls.version()
            except ssl.SSLError:
                return None
    check_equal(speaks(ssl.TLSVersion.TLSv1_3), "TLSv1.3", "1.3")
    check_equal(speaks(ssl.TLSVersion.TLSv1_2), None, "1.2 is not asked for")
    check_equal(console.stop(), 0, "the console's end")
    fleet.config = lab.write("console.yaml", lab.read("console.yaml").replace("tls:\n", "tls:\n  min_version: 1.2\n"), mode=0o600)
    fleet.console()
    for version, expected in ((ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_1, None), (ssl.TLSVersion.TLSv1, None)):
        check_equal(speaks(version), expected, f"with min_version 1.2, {version}")
    done = lab.ctl("login", "--url", f"http://localhost:{lab.port}", "--api-key", "x")
    check_equal(done.returncode, 1, "login in the clear")
    check_in("Cannot reach http://localhost", done.stderr, "what is said")


def who_is_not_trusted_hears_nothing(lab):
    """An agent and fleetctl that do not know the authority say what to do; and both come when it is done."""
    fleet = Fleet(lab)
    fleet.console()
    Authority("Another Authority").write(lab.path("agent-ca.pem"))
    agent = fleet.agent(ca=lab.path("agent-ca.pem"))
    lab.until("the agent says why", lambda: f"Cannot connect to {fleet.url}: the certificate of localhost is signed by an authority "
              f"('Test Authority') that is not trusted: it is not in {lab.path('agent-ca.pem')} (FLEET_CA_FILE)" in agent.log())
    check_equal(fleet.get("/api/agents").json, [], "nobody came")
    fleet.authority.write(lab.path("agent-ca.pem"))  # no restart, no signal: the next attempt
    fleet.online(agent)

    done = lab.ctl("login", "--url", fleet.url, "--api-key", KEYS["operator"])
    check_equal(done.returncode, 1, "login without the authority")
    check_in(f"Cannot reach {fleet.url}: the server's certificate is not trusted (", done.stderr, "why")
    check_in(f"--url {fleet.url} --ca-file FILE", done.stderr, "what to do")
    fleet.login()
    check_equal(json.loads(lab.read("home/.config/fleetctl/config.json"))["caFile"], fleet.ca, "what login keeps")
    check_in(AGENT, lab.ctl_ok("agents", "list"), "a later command")
    Authority("Another Authority").write(fleet.ca)
    done = lab.ctl("agents", "list")
    check_equal(done.returncode, 1, "with another authority")
    check_in("the server's certificate is not trusted", done.stderr, "why")


def refused(lab, fleet, what, **how):
    """What the agent says of a certificate, and that it comes once there is a good one."""
    console = fleet.console()
    agent = fleet.agent(**how)
    lab.until(f"the agent says {what!r}", lambda: what in agent.log())
    check_equal(fleet.get("/api/agents").json, [], "nobody came")
    fleet.renew("localhost")
    os.kill(console.pid, signal.SIGHUP)
    lab.until("the new certificate is served", lambda: fleet.served() == fleet.serial)
    fleet.online(agent)


def a_certificate_for_another_name(lab):
    refused(lab, Fleet(lab, "other.example.com"), "the certificate of localhost is for other.example.com: check the console's URL")


def an_expired_certificate(lab):
    fleet = Fleet(lab, "localhost", valid=-DAY)
    refused(lab, fleet, "the certificate of localhost expired on 20")
    check_in("expired on", lab.processes[0].log(), "the console says it, too")


def authorities_that_are_not_there(lab):
    """The agent does not end for it, and looks again."""
    fleet = Fleet(lab)
    fleet.console()
    agent = fleet.agent(ca=lab.path("later.pem"))
    lab.until("the agent says why", lambda: f"cannot open {lab.path('later.pem')}" in agent.log() or
              f"{lab.path('later.pem')}: No such file" in agent.log())
    fleet.authority.write(lab.path("later.pem"))
    fleet.online(agent)


def a_replaced_certificate(lab):
    """Nobody who is connected notices; newcomers get the new one, by itself or at once with SIGHUP; half a replacement is
    told and changes nothing; and all come back to a console that starts with it."""
    fleet = Fleet(lab)
    console = fleet.console()
    agent = fleet.agent()
    since = fleet.online(agent)["connectedSince"]
    first = fleet.serial
    check_equal(fleet.served(), first, "at first")

    fleet.renew("localhost", "127.0.0.1")  # as a renewal does it; nobody tells the console
    lab.until("the console finds it", lambda: fleet.served() == fleet.serial)
    check_in("was read again; it is valid until", console.log(), "and says so")

    second = fleet.serial
    good = lab.read("console.key")
    lab.write("console.key", "no key\n", mode=0o600)
    os.kill(console.pid, signal.SIGHUP)
    lab.until("the console complains", lambda: f"the key file {fleet.key} holds no private key" in console.log())
    check_equal(fleet.served(), second, "meanwhile")
    lab.write("console.key", good, mode=0o600)

    fleet.renew("localhost", "127.0.0.1")
    os.kill(console.pid, signal.SIGHUP)
    lab.until("SIGHUP is enough", lambda: fleet.served() == fleet.serial, timeout=4)
    check_equal(fleet.get(f"/api/agents/{AGENT}").json["connectedSince"], since, "the agent's connection lived on")
    messages = [e["message"] for e in fleet.get("/api/audit?limit=100").json]
    check(any(m.startswith("certificate read again (valid until 20") for m in messages), f"the audit log: {messages}")

    check_equal(console.stop(), 0, "the console's end")
    fleet.renew("localhost", "127.0.0.1")
    fleet.console()
    fleet.online(agent)
    console.kill()


def websockets_of_others(lab):
    try:
        import websockets  # pylint: disable=import-outside-toplevel
    except ImportError as e:
        raise Skip("python3-websockets is not installed") from e
    fleet = Fleet(lab)
    fleet.console()
    url = f"wss://localhost:{lab.port}/api/hub?agentId={AGENT}"

    def message(kind, **fields):
        return json.dumps({"type": kind, "id": str(uuid.uuid4()), "ts": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
                           **fields})

    async def talk():
        async with websockets.connect(url, ssl=fleet.trust, subprotocols=["fleet.v1"], open_timeout=DEADLINE,
                                      extra_headers={"Authorization": f"Bearer {KEYS[AGENT]}"}) as ws:
            check_equal(ws.subprotocol, "fleet.v1", "the subprotocol")
            await asyncio.wait_for(await ws.ping(), DEADLINE)
            await ws.send(message("noSuchType", filler="x" * 900000))
            answer = json.loads(await asyncio.wait_for(ws.recv(), DEADLINE))
            check_equal(answer["type"], "error", "an answer to a long message")
        check_equal(ws.close_code, 1000, "the goodbye")
        with contextlib.suppress(websockets.exceptions.InvalidStatusCode):
            async with websockets.connect(url, ssl=fleet.trust, subprotocols=["fleet.v1"], open_timeout=DEADLINE):
                check(False, "it came in without a key")
        with contextlib.suppress(ssl.SSLCertVerificationError):
            async with websockets.connect(url, ssl=ssl.create_default_context(), open_timeout=DEADLINE):
                check(False, "it took a certificate that it cannot know")
    asyncio.run(talk())


def events_stream(lab):
    fleet = Fleet(lab)
    fleet.console()
    connection = http.client.HTTPSConnection("localhost", lab.port, timeout=DEADLINE, context=fleet.trust)
    connection.request("GET", "/api/events", headers=BEARER)
    response = connection.getresponse()
    check_equal(response.status, 200, "GET /api/events")
    agent = fleet.agent()
    for raw in response:
        if raw.startswith(b"event: agent") or raw.startswith(b"event:agent"):
            break
    else:
        check(False, "the stream ended")
    response.close()
    fleet.online(agent)


def certificates_that_cannot_be_used(lab):
    """The console does not start, and says what is wrong with which file."""
    fleet = Fleet(lab)
    text = lab.read("console.yaml")
    lab.write("empty", "")

    def starts(config):
        done = subprocess.run([program("fleet-console"), "--config", lab.write("bad.yaml", config, mode=0o600), "--listen",
                               "127.0.0.1:0", "--data-dir", lab.path("bad")], env=lab.env, capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
        return done.returncode, done.stdout + done.stderr
    for change, status, said in (
            ((f"cert_file: {fleet.cert}", f"cert_file: {lab.path('none.crt')}"), 1, f"{lab.path('none.crt')}: No such file"),
            ((f"cert_file: {fleet.cert}", f"cert_file: {lab.path('empty')}"), 1, "holds no certificate in PEM form"),
            ((f"key_file: {fleet.key}", f"key_file: {fleet.cert}"), 1, "holds no private key"),
            ((f"  key_file: {fleet.key}", ""), 2, "bad.yaml:3:3: tls needs both cert_file and key_file"),
            (("tls:", "tls:\n  min_version: 1.1"), 2, "min_version must be 1.2 or 1.3, not '1.1'"),
            (("tls:", "tls:\n  certfile: x"), 2, "did you mean 'cert_file'?")):
        check(change[0] in text, f"nothing to change: {change[0]}")
        code, out = starts(text.replace(*change))
        check_equal(code, status, f"{said} ({out})")
        check_in(said, out, "what is said")


if __name__ == "__main__":
    harness.main([everything_works_over_tls, a_login_stays_on_https,
                  a_login_stays_on_https_of_the_consoles_own_authority, curl_is_served, versions, who_is_not_trusted_hears_nothing,
                  a_certificate_for_another_name, an_expired_certificate, authorities_that_are_not_there,
                  a_replaced_certificate, websockets_of_others, events_stream, certificates_that_cannot_be_used])

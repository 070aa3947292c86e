#!/usr/bin/python3
"""The dashboard's login in a headless Chromium against a real console, and what pages from elsewhere get of somebody who
is logged in: nothing. TAP; SKIP where there is no Chromium. FLEET_PICTURES=DIR keeps pictures."""
import http.server
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
import chromium  # noqa: E402
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from test_keys import Fleet  # noqa: E402

TEXT = "document.querySelector('main').innerText"
RESTART, ROUTE = "/api/agents/web-1/restart-app", "/api/agents/:agentId/restart-app"


def browser(lab):
    program = chromium.find()
    if not program:
        raise harness.Skip("no Chromium here")
    page = chromium.Chromium(program)
    lab.later.append(page.close)
    page.size(1200, 600)
    return page


def has(page, *texts):
    check(page.wait("%s.every((t) => %s.includes(t))" % (json.dumps(list(texts)), TEXT)),
          f"the page does not say all of {texts} but: {page.js(TEXT)}")


def picture(page, name):
    if os.environ.get("FLEET_PICTURES"):
        page.picture(os.path.join(os.environ["FLEET_PICTURES"], name + ".png"))


def log_in(page, key):
    check(page.wait("document.getElementById('key') !== null"), "no login")
    page.js(f"document.getElementById('key').value = {json.dumps(key)}")
    page.js("document.querySelector('form.login').requestSubmit()")


def fleet_with_agent(lab, *keys):
    """A console with a server that runs an app, and these keys; an admin's comes first."""
    fleet = Fleet(lab)
    secrets = [fleet.secret("init")] + [fleet.secret("key", "create", *key.split()) for key in keys]
    fleet.console()
    fleet.agent("web-1")
    lab.until("web-1 runs its app", lambda: '"status":"running"' in fleet.get("/api/agents/web-1", secrets[0]).body.decode())
    return [fleet] + secrets


def a_key_opens_the_dashboard(lab):
    """Wrong key, right key, reload, log out; no script ever sees the cookie."""
    fleet, admin, alice = fleet_with_agent(lab, "alice --role operator")
    page = browser(lab)
    page.go(lab.url + "/#/agents/web-1")
    log_in(page, "fleet_wrong")
    has(page, "this console does not know the key")
    log_in(page, alice)
    has(page, "app-a")
    check_equal(page.js("document.getElementById('who').textContent"), "alice (operator)", "who is logged in")
    check(page.wait("document.getElementById('link').textContent === 'live'"), "not live")
    picture(page, "logged-in")
    check_equal(page.js("document.cookie + localStorage.length + sessionStorage.length"), "00", "what a script can read")
    page.js("document.getElementById('restart-app-a').click()")
    check(page.wait("document.querySelector('dialog[open]') !== null"), "no question")
    page.js("document.querySelector('dialog .danger').click()")
    has(page, "Restart of app-a: succeeded")
    page.go(lab.url + "/?again")
    has(page, "web-1", "1 registered")
    page.js("document.getElementById('out').click()")
    has(page, "Log in")
    page.go(lab.url + "/?after")
    has(page, "Log in")
    audit = fleet.get("/api/audit?limit=1000", admin).body.decode()
    for said in ("alice@dashboard logged in", "alice@dashboard logged out", "app-a restarted on web-1 by alice@dashboard"):
        check_in(said, audit, "the audit log")
    check_equal([c for c in page.complaints if "status of 401" not in c], [], "what the browser complains of")


def what_ends_a_session(lab):
    """Its key is revoked: the page, as it lies open, asks for another. A viewer's page offers no restart."""
    fleet, admin, vera = fleet_with_agent(lab, "vera --role viewer")
    page = browser(lab)
    page.go(lab.url + "/#/agents/web-1")
    log_in(page, vera)
    has(page, "app-a")
    check(page.js("document.getElementById('restart-app-a').disabled"), "a viewer is offered a restart")
    page.js("window.same = true")
    answer = lab.request("DELETE", "/api/keys/vera", headers={"Authorization": f"Bearer {admin}"})
    check_equal(answer.status, 200, "revoke")
    has(page, "Log in", "Your session has ended.")
    check(page.js("window.same"), "the page was loaded anew")
    picture(page, "ended")
    log_in(page, admin)
    has(page, "app-a")
    check(not page.js("document.getElementById('restart-app-a').disabled"), "an admin is offered no restart")


ATTACK = """<!doctype html><meta charset=utf-8><title>free kittens</title><iframe name=frame></iframe>
<form id=form method=post target=frame enctype=text/plain action="%(url)s%(path)s"><input name='{"appId":"app-a","x":"' value='"}'></form>
<script>
window.outcome = {};
window.attack = async () => {
  const url = "%(url)s", path = "%(path)s", tries = {
    "read": () => fetch(url + "/api/agents", {credentials: "include"}).then((a) => a.text()),
    "plain": () => fetch(url + path, {method: "POST", mode: "no-cors", credentials: "include",
      headers: {"Content-Type": "text/plain"}, body: '{"appId":"app-a"}'}).then((a) => a.type),
    "json": () => fetch(url + path, {method: "POST", credentials: "include",
      headers: {"Content-Type": "application/json"}, body: '{"appId":"app-a"}'}).then((a) => a.status),
    "beacon": async () => navigator.sendBeacon(url + path, new Blob(['{"appId":"app-a"}'], {type: "text/plain"})),
    "logout": () => fetch(url + "/api/session", {method: "DELETE", credentials: "include"}).then((a) => a.status),
    "script": () => new Promise((done, fail) => {
      const s = document.createElement("script");
      Object.assign(s, {src: url + "/api/agents", onload: () => done("loaded"), onerror: () => fail(Error("blocked"))});
      document.body.append(s);
    }),
    "events": () => new Promise((done, fail) => {
      const s = new EventSource(url + "/api/events", {withCredentials: true});
      Object.assign(s, {onopen: () => done("open"), onerror: () => { s.close(); fail(Error("refused")); }});
    }),
    "hub": () => new Promise((done, fail) => {
      const s = new WebSocket(url.replace("http", "ws") + "/api/hub?agentId=web-1", "fleet.v1");
      Object.assign(s, {onopen: () => done("open"), onerror: () => fail(Error("refused"))});
    }),
    "frame": () => new Promise((done) => {
      const f = document.createElement("iframe");
      Object.assign(f, {src: url + "/", onload: () => { try { done(f.contentWindow.length >= 0 && f.contentDocument === null ? "opaque" : "read"); } catch { done("opaque"); } }});
      document.body.append(f);
    }),
  };
  for (const [name, act] of Object.entries(tries))
    window.outcome[name] = await act().then((value) => value, (error) => "Error: " + error.message);
  document.getElementById("form").submit();
  window.outcome.done = true;
};
</script>"""


def attacker(lab):
    """A web server of somebody else's; its port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = (ATTACK % {"url": lab.url, "path": RESTART}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lab.later.append(server.shutdown)
    return server.server_address[1]


def attack(page, url):
    page.go(url)
    check(page.wait("window.attack !== undefined"), "the attacker's page does not load")
    page.js("window.attack()")
    outcome = page.js("window.outcome")
    check(outcome.get("done"), f"the attack did not come to its end: {outcome}")
    for name in ("read", "json", "logout", "script", "events", "hub"):
        check(str(outcome[name]).startswith("Error"), f"{name} from {url}: {outcome[name]}")
    check(outcome["plain"] in ("opaque", "Error: Failed to fetch"), f"a simple request from {url}: {outcome['plain']}")
    check_equal(outcome["frame"], "opaque", "the dashboard in a frame")


def pages_from_elsewhere_get_nothing(lab):
    """Somebody is logged in, and looks at another page: of another site, and of another port of this very host, to which the
    browser gives the cookie along. No command, no reading, no logout, no WebSocket, no frame."""
    fleet, admin = fleet_with_agent(lab)
    page = browser(lab)
    page.go(lab.url + "/")
    log_in(page, admin)
    has(page, "web-1")
    # From its own page this is a command: what follows fails for where it comes from and for nothing else.
    own = page.js(f"fetch('{RESTART}', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, "
                  "body: '{\"appId\":\"app-a\"}'}).then((a) => a.status)")
    check_equal(own, 202, "a restart from the console's own page")
    port = attacker(lab)
    for host in ("localhost", "127.0.0.1"):
        attack(page, f"http://{host}:{port}/")
    framed = [c for c in page.complaints if "frame" in c.lower()]
    check(framed, f"the browser did not refuse the frame: {page.complaints}")
    commands = fleet.get("/api/commands", admin).json
    check_equal(len(commands), 1, f"commands: {commands}")
    audit = fleet.get("/api/audit?limit=1000", admin).body.decode()
    check_in("a browser's Origin", audit, "the hub's refusal in the audit log")
    # the browser has sent them, with the cookie to another port of this host, and the console has seen them for what they are
    check_in(f"admin@dashboard was refused: POST {ROUTE}, of a page from http://localhost:{port}", audit, "the audit log")
    page.go(lab.url + "/?still")
    has(page, "web-1")


def a_developers_console_is_no_pages_either(lab):
    """--dev asks for no key: only where a request comes from protects it."""
    lab.console()
    lab.agent("web-1", apps=[lab.simulated("app-a")])
    page = browser(lab)
    port = attacker(lab)
    for host in ("localhost", "127.0.0.1"):
        attack(page, f"http://{host}:{port}/")
    check_equal(lab.api("/api/commands"), [], "commands")
    check_in(f"operator@dashboard was refused: POST {ROUTE}, of a page from http://127.0.0.1:{port}",
             json.dumps(lab.audit()), "the audit log")


if __name__ == "__main__":
    harness.main([a_key_opens_the_dashboard, what_ends_a_session, pages_from_elsewhere_get_nothing,
                  a_developers_console_is_no_pages_either])

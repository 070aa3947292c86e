#!/usr/bin/python3
"""The dashboard in a headless Chromium, against a fake console: what an operator sees, and that it stays true without
a reload. TAP; SKIP where there is no Chromium. FLEET_PICTURES=DIR keeps a picture of each page."""
import json
import os
import queue
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chromium  # noqa: E402
from fake_console import Answer, FakeConsole, Stream, ago, demo_audit, demo_fleet, problem, web_file  # noqa: E402

WEB = os.path.join(os.environ.get("FLEET_STAGE", "/usr"), "share/fleet/web")
HOSTILE = '<img src=x onerror="window.hit=1"><b>bold</b>'
COMMAND = {"commandId": "0193587a-0000-7000-8000-0000007c31e0", "command": "restart-app", "agentId": "agent-001",
           "appId": "app-a", "state": "sent"}


class Console(FakeConsole):
    """A console whose events the test makes."""

    def __init__(self, port=0):
        self.agents, self.audit, self.events, self.up = demo_fleet(), demo_audit(), queue.Queue(), True
        self.command = COMMAND
        super().__init__({
            "GET /api/session": Answer(body={"name": "operator", "role": "admin", "dev": True}),
            "GET /api/agents": lambda r: Answer(body=self.agents), "GET /api/audit": lambda r: Answer(body=self.audit),
            "GET /api/events": lambda r: Stream(iterable=self.happenings()),
            "POST /api/agents/agent-001/restart-app": lambda r: Answer(202, self.command),
            "GET /api/commands/" + COMMAND["commandId"]: lambda r: Answer(body=self.command),
        }, fallback=lambda r: web_file(WEB, r.path.split("?")[0]), port=port)

    def happenings(self):
        while True:
            event = self.events.get()
            if event is None:
                return
            yield event

    def posts(self):
        return [json.loads(r[3]) for r in self.requests if r[0] == "POST"]


def picture(page, name):
    if os.environ.get("FLEET_PICTURES"):
        page.picture(os.path.join(os.environ["FLEET_PICTURES"], name + ".png"))


TEXT = "document.querySelector('main').innerText"


def has(page, *texts):
    """Waits until the page's text has all of them; what is missing after the deadline."""
    wanted = json.dumps(list(texts))
    if page.wait("%s.every((t) => %s.includes(t))" % (wanted, TEXT)):
        return []
    return ["the page does not say all of %s but: %s" % (wanted, page.js(TEXT))]


def lists_agents(page, console):
    """the list shows agents with status, host, system, CPU, memory and apps"""
    page.size(1200, 600)
    page.go(console.url + "/")
    problems = has(page, "agent-001", "srv-alpha", "online", "offline", "Debian GNU/Linux 12", "23.4 %", "3.1 GB",
                   "app-a Running", "app-a Unhealthy", "app-c Starting", "3 registered, 2 online")
    picture(page, "list")
    page.size(1200, 600, dark=True)
    picture(page, "list-dark")
    page.size(1200, 600)
    return problems + ([] if page.js("document.getElementById('link').textContent") == "live" else ["not live"])


def new_agent_appears(page, console):
    """an agent that registers appears without a reload, and one that goes is offline"""
    page.js("window.same = true")
    console.events.put(("agent", dict(console.agents[0], agentId="agent-dev-02", hostname="laptop")))
    problems = has(page, "agent-dev-02", "laptop", "4 registered, 3 online")
    problems += [] if page.wait("document.getElementById('news').textContent === 'agent-dev-02 is online'") else ["not told"]
    console.events.put(("agent", dict(console.agents[0], agentId="agent-dev-02", isOnline=False)))
    problems += has(page, "4 registered, 2 online")
    return problems + ([] if page.js("window.same") else ["the page was loaded anew"])


def texts_are_no_markup(page, console):
    """what servers say is text, never markup"""
    console.events.put(("agent", dict(console.agents[1], hostname=HOSTILE, isOnline=True, os={"name": HOSTILE}, apps=[
        {"id": HOSTILE, "status": HOSTILE, "health": "unhealthy", "healthMessage": HOSTILE, "version": HOSTILE}])))
    problems = has(page, HOSTILE)
    if page.js("document.querySelectorAll('main img, main b').length") or page.js("window.hit"):
        problems.append("markup from a server became elements")
    return problems


def agent_page(page, console):
    """an agent's page shows its metrics and apps"""
    page.js("document.querySelector('a[href=\"#/agents/agent-001\"]').click()")
    problems = has(page, "srv-alpha", "kernel 6.1.0-18", "memory of 8.0 GB", "/ of 40.0 GB", "0.42", "12 d", "app-b",
                   "2.1.0", "48 MB")
    picture(page, "agent")
    title = page.js("document.querySelector('main time').title")
    return problems + ([] if "20" in title and ":" in title else ["a time's title is %r" % title])


def restart_asks_first(page, console):
    """restart asks first; Escape takes it back; by keyboard it is done, and the outcome shows as it comes"""
    page.js("document.getElementById('restart-app-a').focus()")
    page.key("Enter", 13)
    problems = [] if page.wait("document.querySelector('dialog[open]')?.innerText.includes('Restart app-a on agent-001?')") \
        else ["no question"]
    picture(page, "question")
    page.key("Escape", 27)
    if not page.wait("!document.querySelector('dialog') && document.activeElement.id === 'restart-app-a'"):
        problems.append("Escape does not lead back to the button")
    problems += ["sent without a yes: %s" % console.posts()] if console.posts() else []
    page.key("Enter", 13)
    page.wait("document.querySelector('dialog[open]') !== null")
    page.key("Tab", 9)
    page.key("Enter", 13)
    problems += has(page, "Restart of app-a: sent")
    problems += [] if console.posts() == [{"appId": "app-a"}] else ["posted %s" % console.posts()]
    console.events.put(("command", dict(COMMAND, state="running", progress={"message": "stopping"})))
    problems += has(page, "Restart of app-a: running. stopping")
    console.events.put(("command", dict(COMMAND, state="failed", message="exited 1 after 0.4 s",
                                        logLines=["bind: address already in use"])))
    problems += has(page, "Restart of app-a: failed. exited 1 after 0.4 s", "bind: address already in use")
    picture(page, "outcome")
    return problems


def refused_restart(page, console):
    """a restart that the console refuses says why"""
    console.routes["POST /api/agents/agent-001/restart-app"] = problem(403, "forbidden", "a viewer changes nothing")
    page.js("document.getElementById('restart-app-b').click()")
    page.wait("document.querySelector('dialog[open]') !== null")
    page.js("document.querySelector('dialog .danger').click()")
    return has(page, "a viewer changes nothing")


def held_app(page, console):
    """an app that is held on its server says until when, by whom and why, and is not to be restarted from here"""
    apps = json.loads(json.dumps(console.agents[0]["apps"]))
    apps[1]["hold"] = {"since": ago(60), "until": ago(-7500), "by": "root@server", "reason": "disk is being replaced"}
    console.events.put(("agent", dict(console.agents[0], apps=apps)))
    problems = has(page, "held ends in 2 h, by root@server: disk is being replaced")
    if page.js("[...document.querySelectorAll('main button')].map((b) => b.disabled).join()") != "false,true":
        problems.append("not the button of the held app alone is disabled")
    picture(page, "held")
    page.js("location.hash = '#/'")
    problems += has(page, "app-b Running, held")
    page.js("location.hash = '#/agents/agent-001'")
    console.events.put(("agent", console.agents[0]))
    gone = page.wait("!%s.includes('held') && !document.querySelector('main button:disabled')" % TEXT)
    return problems + ([] if gone else ["the hold that is over is still shown"])


def audit_page(page, console):
    """the audit log, newest first, grows by itself and leaves requests out"""
    page.js("document.querySelector('[data-nav=audit]').click()")
    problems = has(page, "app-a restarted on agent-001 by operator@cli", "agent registered (version 0.1.0)")
    for seq, category, message in ((101, "request", "operator asked"), (102, "config", "Config pushed: LogLevel")):
        console.events.put(("audit", {"seq": seq, "eventId": "n%d" % seq, "timestamp": ago(0), "category": category,
                                      "agentId": "agent-001", "message": message}))
    problems += has(page, "Config pushed: LogLevel")
    picture(page, "audit")
    if not page.js("document.querySelector('tbody tr').innerText.includes('LogLevel')"):
        problems.append("the newest event is not first")
    if "operator asked" in page.js(TEXT):
        problems.append("a request is shown")
    return problems


def gap_is_closed(page, console):
    """a lost console is shown; when it is back, what was missed is there without a reload"""
    console.command = dict(COMMAND, state="succeeded", message="Running, healthy")
    port = console.port
    console.close()
    console.events.put(None)
    problems = [] if page.wait("document.getElementById('link').textContent === 'reconnecting'") else ["the loss is not shown"]
    again = Console(port)
    try:
        again.command = console.command
        again.audit = [{"seq": 200, "eventId": "x", "timestamp": ago(1), "category": "update", "message": "made meanwhile"}]
        problems += [] if page.wait("document.getElementById('link').textContent === 'live'") else ["not live again"]
        problems += has(page, "made meanwhile")
        page.js("location.hash = '#/agents/agent-001'")
        problems += has(page, "agent-001")
        return problems + ([] if page.js("window.same") else ["the page was loaded anew"])
    finally:
        again.events.put(None)
        again.close()


def fits_small_screens(page, console):
    """nothing is wider than a screen of 375 pixels"""
    problems = []
    page.size(375, 800)
    for path in ("#/", "#/agents/agent-003", "#/audit"):
        page.go(console.url + "/" + path)
        problems += has(page, "agent-003")
        picture(page, "small" + path.replace("/", "-").replace("#", ""))
        width = page.js("document.documentElement.scrollWidth")
        problems += ["%s is %d pixels wide" % (path, width)] if width > 375 else []
    return problems


def asks_for_a_key(page, console):
    """a console that wants a key shows a login, in both themes and on small screens"""
    page.size(1200, 600)
    console.key = "sk-1"
    opened = console.answer

    def answer(request):  # the page itself is open, as on the real console
        console.key = "sk-1" if request.path.startswith("/api/") else None
        opened(request)
    console.answer = answer
    page.go(console.url + "/?again")
    problems = has(page, "Log in", "API key", "fleetctl keys create")
    if page.js("document.activeElement.id") != "key":
        problems.append("the field has no focus")
    if page.js("getComputedStyle(document.getElementById('nav')).display") != "none":
        problems.append("what needs a key is offered")
    picture(page, "login")
    page.size(1200, 600, dark=True)
    picture(page, "login-dark")
    page.size(375, 700)
    picture(page, "login-small")
    page.js("document.getElementById('key').value = 'sk-2'")
    page.js("document.querySelector('form.login').requestSubmit()")
    problems += has(page, "this console wants an API key")
    picture(page, "login-refused")
    width = page.js("document.documentElement.scrollWidth")
    return problems + (["%d pixels wide" % width] if width > 375 else [])


def main():
    first = [lists_agents, new_agent_appears, texts_are_no_markup, agent_page, restart_asks_first, refused_restart, held_app,
             audit_page, gap_is_closed]
    second = [fits_small_screens, asks_for_a_key]
    print("1..%d" % (len(first) + len(second) + 1), flush=True)
    program = chromium.find()
    if not program:
        for i, test in enumerate(first + second + [main]):
            print("ok %d - %s # SKIP no Chromium here" % (i + 1, test.__doc__ or "no complaints"))
        return 0
    page = chromium.Chromium(program)
    count = failed = 0

    def check(name, problems):
        nonlocal count, failed
        count += 1
        failed += bool(problems)
        print("%sok %d - %s" % ("not " if problems else "", count, name), flush=True)
        for p in problems:
            print("# " + p.replace("\n", "\n# "), flush=True)

    try:
        for tests in (first, second):
            console = Console()
            try:
                for test in tests:
                    check(test.__doc__, test(page, console))
            finally:
                if tests is second:  # the first one ends in its last test
                    console.events.put(None)
                    console.close()
        # Lost connections, refused requests and the image that is never loaded are what was asked for.
        meant = ("ERR_", "status of 40")
        check("the browser has no complaint: no error, nothing against the content policy",
              [c for c in page.complaints if not any(m in c for m in meant)])
    finally:
        page.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

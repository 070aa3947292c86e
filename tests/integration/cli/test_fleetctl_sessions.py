#!/usr/bin/python3
"""fleetctl where a row of a table cannot say it: terminals, logins, files, consoles that come and go. Each function returns its problems. TAP."""
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_console import Answer, FakeConsole, Stream, problem  # noqa: E402
from fleetctl_answers import (  # noqa: E402
    AGENT, CONFIG, DIFF, DRY_RUN, FAILED, GET_COMMAND, ID, LINES, POST_CONFIG, POST_RESTART, POST_UPDATE, RESTART, RESTARTED,
    SENT, UPDATE, command, waited)
from fleetctl_run import DEADLINE, FLEETCTL, Fleetctl, Tap, differences  # noqa: E402


def not_configured():
    """without a configuration every command says how to get one"""
    cli = Fleetctl()
    try:
        return sum((differences(**{args[0]: (cli.run(args), (1, "", "Not configured. Run 'fleetctl login' first.\n"))})
                    for args in (["agents", "list"], ["audit"], RESTART, ["commands", "show", "123456"])), [])
    finally:
        cli.close()


def unreachable():
    """a console that is not there is told with its URL"""
    cli = Fleetctl("http://127.0.0.1:1")
    try:
        code, out, err = cli.run(["agents", "list"])
        return differences(code=(code, 1), stdout=(out, ""), stderr=(err, re.compile(
            r"Cannot reach http://127.0.0.1:1: .+\.\n  Is the console running there\? "
            r"Another one: fleetctl login --url URL\n")))
    finally:
        cli.close()


def wide_configuration():
    """a configuration that others may read is used with a warning"""
    console = FakeConsole({"GET /api/agents": Answer(body=[])})
    cli = Fleetctl(console.url, "sk-1")
    try:
        os.chmod(cli.config, 0o644)
        code, out, err = cli.run(["agents", "list", "--json"])
        return differences(code=(code, 0), stdout=(out, "[]\n"), stderr=(
            err, "Warning: others may read %s, which holds your key. Close it: chmod 600 %s\n" % (cli.config, cli.config)),
            key=(console.requests[0][2].get("Authorization"), "Bearer sk-1"))
    finally:
        console.close()
        cli.close()


def foreign_configuration():
    """somebody else's configuration is neither read nor written"""
    if os.geteuid() != 0:
        return None
    console = FakeConsole({"GET /api/version": Answer(body={"version": "1"}), "GET /api/agents": Answer(body=[])})
    cli = Fleetctl(console.url)
    try:
        os.chown(cli.config, 12345, 12345)
        found = cli.run(["agents", "list"])
        saved = cli.run(["login", "--url", console.url])
        sentence = "%s belongs to user id 12345, not to you: it is neither read nor written." % cli.config
        return differences(read=(found, (1, "", sentence + " Write it anew: fleetctl login --url URL\n")),
                           login=(saved, (1, "Logged in to %s (Fleet 1).\n" % console.url, sentence + "\n")))
    finally:
        console.close()
        cli.close()


def version_answer():
    return {"GET /api/version": Answer(body={"version": "0.1.0"}), "GET /api/agents": Answer(body=[])}


def login_open():
    """login to a console that wants no key saves the URL, mode 600"""
    console = FakeConsole(version_answer())
    cli = Fleetctl()
    try:
        got = cli.run(["login", "--url", console.url + "/"])
        with open(cli.config, encoding="utf-8") as f:
            saved = json.load(f)
        return differences(login=(got, (0, "Logged in to %s (Fleet 0.1.0).\nSaved in %s.\n" % (console.url, cli.config), "")),
                           config=(saved, {"consoleUrl": console.url}),
                           mode=(os.stat(cli.config).st_mode & 0o777, 0o600))
    finally:
        console.close()
        cli.close()


def login_xdg():
    """XDG_CONFIG_HOME is honoured"""
    console = FakeConsole(version_answer())
    cli = Fleetctl()
    try:
        cli.env["XDG_CONFIG_HOME"] = cli.home + "/xdg"
        code = cli.run(["login", "--url", console.url])[0]
        return differences(code=(code, 0), there=(os.path.exists(cli.home + "/xdg/fleetctl/config.json"), True),
                           not_there=(os.path.exists(cli.config), False))
    finally:
        console.close()
        cli.close()


def login_keys():
    """login with a key: given, from stdin, wrong, missing without a terminal"""
    console = FakeConsole(version_answer(), key="sk-right")
    cli = Fleetctl()
    url = console.url
    problems = []
    try:
        again = "  Use another key: fleetctl login --url %s --api-key KEY\n" % url
        problems += differences(missing=(cli.run(["login", "--url", url]), (
            1, "", "Authentication failed: the console wants an API key, and there is no terminal to ask for it.\n"
            "  Give one: fleetctl login --url %s --api-key KEY (or --api-key - to read it from stdin)\n" % url)))
        problems += differences(wrong=(cli.run(["login", "--url", url, "--api-key", "sk-wrong"]), (
            1, "", "Authentication failed: this console wants an API key.\n" + again)))
        problems += differences(nothing_saved=(os.path.exists(cli.config), False))
        problems += differences(stdin=(cli.run(["login", "--url", url, "--api-key", "-"], input=b"sk-right\n")[0], 0))
        with open(cli.config, encoding="utf-8") as f:
            problems += differences(config=(json.load(f), {"consoleUrl": url, "apiKey": "sk-right"}))
        problems += differences(used=(cli.run(["agents", "list", "--json"]), (0, "[]\n", "")))
        console.routes["POST /api/session"] = Answer(body={"name": "alice", "role": "operator", "limits": {"agents": ["a"]}})
        problems += differences(given=(cli.run(["login", "--url", url, "--api-key", "sk-right"]), (
            0, "Logged in to %s (Fleet 0.1.0) as alice (operator, limited).\nSaved in %s.\n" % (url, cli.config), "")))
        return problems
    finally:
        console.close()
        cli.close()


def login_no_console():
    """login to something else than a console saves nothing"""
    console = FakeConsole({"GET /api/version": Answer(200, b"<html>hello", "text/html")})
    cli = Fleetctl()
    try:
        got = cli.run(["login", "--url", console.url])
        bad = cli.run(["login", "--url", "localhost:5000"])
        return differences(html=(got, (1, "", "%s is no Fleet console: it answered 200 to a question for its version. "
                                       "Check the URL.\n" % console.url)),
                           bad=(bad, (2, "", "--url: 'localhost:5000' is no http:// or https:// URL.\n"
                                      "  How it is meant: fleetctl login --help\n")),
                           saved=(os.path.exists(cli.config), False))
    finally:
        console.close()
        cli.close()


def on_terminal(cli, args, answers, columns=0):
    """Runs on a pseudo-terminal; answers: {what is asked: what is typed}. What it showed, and its exit code."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execve(FLEETCTL, [FLEETCTL] + args, cli.env)
    seen, end = b"", time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            seen += data
            for question in [q for q in answers if q in seen]:
                os.write(fd, answers.pop(question))
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(fd)
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def login_asks():
    """login asks on a terminal, only where a key is wanted, and does not show it"""
    console = FakeConsole(version_answer(), key="sk-right")
    cli = Fleetctl()
    try:
        seen, code = on_terminal(cli, ["login", "--url", console.url], {b"API key: ": b"sk-right\n"})
        problems = differences(code=(code, 0), asked=(seen.count("API key: "), 1), shown=("sk-right" in seen, False))
        console.key = None
        seen, code = on_terminal(cli, ["login", "--url", console.url], {})
        return problems + differences(code=(code, 0), asked=(seen.count("API key: "), 0))
    finally:
        console.close()
        cli.close()


def ping_answers():
    """agents ping tells how long it took"""
    console = FakeConsole({"POST /api/agents/agent-001/ping": Answer(body={
        "seq": 1, "metrics": AGENT["metrics"], "apps": AGENT["apps"]})})
    cli = Fleetctl(console.url)
    try:
        code, out, err = cli.run(["agents", "ping", "agent-001"])
        return differences(code=(code, 0), stderr=(err, ""), stdout=(out, re.compile(
            r"agent-001 answered after \d+ ms: CPU 23.4%, memory 128 MB, 2 apps\.\n")))
    finally:
        console.close()
        cli.close()


def follows_events():
    """--wait follows the event stream: progress as it comes, other commands' events passed over, no asking meanwhile"""
    running = command(state="running", progress={"step": "restart", "percent": 40, "message": "stopping\x1b[2J"})
    console = FakeConsole({POST_RESTART: Answer(202, command(state="sent")), "GET /api/events": Stream(
        ("agent", AGENT), ("command", dict(FAILED, commandId="other")), ("command", running), ("command", running),
        ("command", RESTARTED), 20)})
    cli = Fleetctl(console.url)
    try:
        got = cli.run(RESTART + ["--wait"])
        asked = [r for r in console.requests if r[1].startswith("/api/commands")]
        return differences(got=(got, (0, SENT + "Running, healthy, pid 4127 (was 3980), down 1.2 s [7c31e0]\n",
                                      "  restart: stopping?[2J (40 %) ...\n")), asked=(asked, []))
    finally:
        console.close()
        cli.close()


def one_line_on_a_terminal():
    """on a terminal progress is one line that is gone at the end"""
    running = command(state="running", progress={"step": "restart", "message": "stopping", "percent": 40})
    console = FakeConsole({POST_RESTART: Answer(202, command(state="sent")), "GET /api/events": Stream(
        ("command", command(state="accepted")), ("command", running), 0.2, ("command", RESTARTED), 20)})
    cli = Fleetctl(console.url)
    try:
        seen, code = on_terminal(cli, RESTART + ["--wait"], {})
        return differences(code=(code, 0), seen=(seen, "Restart command sent to app-a on agent-001.\r\n"
                                                 "\r\x1b[K  accepted ...\r\x1b[K  restart  [" + "#" * 12 + "-" * 18 + "]   40 %  stopping\r\x1b[K"
                                                 "Running, healthy, pid 4127 (was 3980), down 1.2 s [7c31e0]\r\n"))
    finally:
        console.close()
        cli.close()


def as_wide_as_the_terminal():
    """the bar is as wide as there is room, and no line is wider than the terminal"""
    running = command(state="running", progress={"step": "download", "message": "4.3 MB of 10.0 MB", "percent": 43})
    console = FakeConsole({POST_UPDATE: Answer(202, command("update-app", "sent")), "GET /api/events": Stream(
        ("command", running), 0.2, ("command", RESTARTED), 20)})
    cli = Fleetctl(console.url)
    problems = []
    try:
        for columns, line in ((120, "  download  [" + "#" * 12 + "-" * 18 + "]   43 %  4.3 MB of 10.0 MB"),
                              (60, "  download  [" + "#" * 8 + "-" * 11 + "]   43 %  4.3 MB of 10.0 MB"),
                              (40, "  download  [" + "#" * 7 + "-" * 11 + "]   43 %"), (25, "  download   43 %"),
                              (10, "  downloa")):
            seen, _ = on_terminal(cli, UPDATE + ["--wait"], {}, columns)
            shown = seen.split("\r\x1b[K")
            problems += differences(**{"columns_%d" % columns: (shown[1:2], [line])})
        return problems
    finally:
        console.close()
        cli.close()


def colours_on_a_terminal():
    """a diff is in colour on a terminal, unless NO_COLOR says otherwise"""
    console = FakeConsole(waited(POST_CONFIG, DRY_RUN))
    cli = Fleetctl(console.url)
    args = CONFIG + ["--set", "LogLevel=Debug", "--dry-run"]
    coloured = "".join("%s%s%s\r\n" % ("\x1b[%sm" % c if c else "", line.replace("\x1b", "?").rstrip("\r"), "\x1b[m" if c else "")
                       for c, line in zip(["1", "1", "36", "", "31", "32", ""], LINES))
    try:
        problems = []
        for name, env, part in (("coloured", {}, coloured), ("NO_COLOR", {"NO_COLOR": "1"}, DIFF.replace("\n", "\r\n")),
                                ("empty NO_COLOR", {"NO_COLOR": ""}, coloured), ("dumb", {"TERM": "dumb"}, DIFF.replace("\n", "\r\n"))):
            cli.env.update({"TERM": "xterm", **env})
            seen, code = on_terminal(cli, args, {})
            problems += differences(**{name: (part in seen, True), name + " code": (code, 0)})
            problems += [seen] if part not in seen else []
        return problems
    finally:
        console.close()
        cli.close()


def sends_files():
    """a file goes to the console in parts, on from where the console is, and its checksum is compared"""
    data = os.urandom(2_500_000)
    digest, received, parts = hashlib.sha256(data).hexdigest(), [], []
    upload = {"artifactId": ID, "appId": "app-a", "version": "3", "state": "uploading", "partMaxBytes": 1 << 20}

    def put(request):
        offset = int(request.path.split("offset=")[1])
        parts.append(offset)
        have = sum(map(len, received))
        if len(parts) == 2:  # taken, and the answer is lost
            received.append(request.body)
            return None
        if offset != have:
            return problem(409, "conflict", "elsewhere", receivedBytes=have)
        received.append(request.body)
        if have + len(request.body) < len(data):
            return Answer(200, dict(upload, receivedBytes=have + len(request.body)))
        return Answer(201, dict(upload, sha256=answer_digest[0], bytes=len(data), state=None))

    answer_digest = [digest]
    path = "/api/artifacts/" + ID
    console = FakeConsole({"POST /api/artifacts": Answer(201, dict(upload, receivedBytes=0)), "PUT " + path + "/file": put,
                           "GET " + path: lambda request: Answer(200, dict(upload, receivedBytes=sum(map(len, received)))),
                           "DELETE " + path: Answer(200, upload)})
    cli = Fleetctl(console.url)
    file = os.path.join(cli.home, "file")
    with open(file, "wb") as f:
        f.write(data)
    try:
        add = ["artifacts", "add", "app-a", "--version", "3", "--file", file]
        got = cli.run(add)
        problems = differences(
            got=((got[0], got[1]), (0, "Artifact added: app-a 3, 2.4 MB, sha256 %s [7c31e0]. Use it: fleetctl apps update AGENT app-a "
                                       "--version 3\n" % digest)), offsets=(sorted(set(parts)), [0, 1 << 20, 2 << 20]), progress=(
                got[2].splitlines()[0], "  upload: 0 bytes of 2.4 MB (0 %) ..."), whole=(b"".join(received) == data, True))
        received.clear()
        parts.clear()
        answer_digest[0] = "1" * 64
        code, out, err = cli.run(add)
        return problems + differences(code=(code, 1), stdout=(out, ""), told=("The file changed on its way" in err, True), given_up=(
            [r[0] for r in console.requests if r[0] == "DELETE"], ["DELETE"]))
    finally:
        console.close()
        cli.close()


def survives_restart():
    """--wait goes on through a restart of the console"""
    console = FakeConsole({POST_RESTART: Answer(202, command(state="sent")), "GET /api/events": Stream(0.3),
                           GET_COMMAND: Answer(body=command(state="running"))})
    cli = Fleetctl(console.url)
    process = cli.start(RESTART + ["--wait"])
    again = None
    try:
        end = time.monotonic() + DEADLINE
        while not any(r[1] == "/api/events" for r in console.requests) and time.monotonic() < end:
            time.sleep(0.02)
        console.close()
        said = b""
        while b"Lost the console" not in said and time.monotonic() < end:
            said += os.read(process.stderr.fileno(), 4096)
        again = FakeConsole({"GET /api/events": Stream(20), GET_COMMAND: Answer(body=RESTARTED)}, port=console.port)
        out, rest = process.communicate(timeout=DEADLINE)
        err = (said + rest).decode()
        return differences(code=(process.returncode, 0), stdout=(out.decode().splitlines()[1:], [
            "Running, healthy, pid 4127 (was 3980), down 1.2 s [7c31e0]"]), told=(err.count("Lost the console"), 1))
    finally:
        process.kill()
        process.communicate()
        if again:
            again.close()
        cli.close()


def times_out():
    """--timeout ends the waiting with 4 and says how to go on"""
    console = FakeConsole({POST_RESTART: Answer(202, command(state="running")), "GET /api/events": Stream(20),
                           GET_COMMAND: Answer(body=command(state="running"))})
    cli = Fleetctl(console.url)
    try:
        got = cli.run(RESTART + ["--wait", "--timeout", "700ms"])
        return differences(got=(got, (4, SENT, "Restart of app-a on agent-001 has not ended after 0.7 s "
                                      "(it is running). Follow it: fleetctl commands wait 7c31e0\n")))
    finally:
        console.close()
        cli.close()


def interrupted():
    """Ctrl-C while waiting says that the command goes on"""
    console = FakeConsole({POST_RESTART: Answer(202, command(state="running")), "GET /api/events": Stream(20)})
    cli = Fleetctl(console.url)
    process = cli.start(RESTART + ["--wait"])
    try:
        end = time.monotonic() + DEADLINE
        while not any(r[1] == "/api/events" for r in console.requests) and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        return differences(code=(process.returncode, -signal.SIGINT), stdout=(out.decode(), SENT), stderr=(
            err.decode(), "\nThe command goes on without you. Follow it: fleetctl commands wait 7c31e0\n"))
    finally:
        process.kill()
        process.communicate()
        console.close()
        cli.close()


def secret_from_stdin():
    """--set-file KEY=- reads the value from stdin"""
    console = FakeConsole({POST_CONFIG: Answer(202, command("push-config", "sent"))})
    cli = Fleetctl(console.url)
    try:
        got = cli.run(CONFIG + ["--set-file", "Password=-"], input=b"hunter 2\n")
        bodies = [json.loads(r[3]) for r in console.requests if r[0] == "POST"]
        return differences(got=(got, (0, "Config pushed to app-a on agent-001: Password\n", "")),
                           body=(bodies, [{"appId": "app-a", "settings": {"Password": "hunter 2"}}]))
    finally:
        console.close()
        cli.close()


def help_everywhere():
    """--help at every level prints usage on stdout, nothing on stderr; without a command it is on stderr with 2"""
    cli = Fleetctl()
    problems = []
    levels = [[], ["login"], ["agents"], ["agents", "list"], ["agents", "status"], ["agents", "ping"], ["apps"],
              ["apps", "restart"], ["apps", "config"], ["apps", "update"], ["apps", "rollback"],
              ["apps", "list"], ["artifacts"], ["artifacts", "add"], ["artifacts", "list"], ["artifacts", "remove"], ["audit"], ["keys"], ["keys", "list"], ["keys", "create"], ["keys", "rotate"],
              ["keys", "revoke"], ["commands"], ["commands", "list"],
              ["commands", "show"], ["commands", "cancel"],
              ["commands", "abandon"], ["commands", "wait"]]
    try:
        for level in levels:
            code, out, err = cli.run(level + ["--help"])
            problems += differences(code=(code, 0), stderr=(err, ""), usage=(
                out.splitlines()[0].startswith("Usage: " + " ".join(["fleetctl"] + level)), True))
            problems += ["line of %d columns in %s: %s" % (len(line), level, line) for line in out.splitlines() if len(line) > 110]
        for group in ([], ["agents"], ["apps"], ["artifacts"], ["commands"]):
            code, out, err = cli.run(group)
            problems += differences(code=(code, 2), stdout=(out, ""), help=(err, cli.run(group + ["--help"])[1]))
        code, out, err = cli.run(["--version"])
        problems += differences(version=(out, re.compile(r"fleetctl \S+\n")), code=(code, 0))
        return problems
    finally:
        cli.close()


def full_disk():
    """output that cannot be written is no success"""
    console = FakeConsole({"GET /api/agents": Answer(body=[AGENT])})
    cli = Fleetctl(console.url)
    try:
        with open("/dev/full", "w") as full:
            done = subprocess.run([FLEETCTL, "agents", "list"], env=cli.env, stdout=full, stderr=subprocess.PIPE,
                                  timeout=DEADLINE)
        return differences(code=(done.returncode, 1), stderr=(
            done.stderr.decode(), "Cannot write the output: No space left on device\n"))
    finally:
        console.close()
        cli.close()


TESTS = [not_configured, unreachable, wide_configuration, foreign_configuration, login_open, login_xdg, login_keys,
          login_no_console, login_asks, ping_answers, follows_events, one_line_on_a_terminal, as_wide_as_the_terminal,
          colours_on_a_terminal, sends_files, survives_restart,
          times_out, interrupted, secret_from_stdin, help_everywhere, full_disk]


def main():
    tap = Tap()
    print("1..%d" % len(TESTS), flush=True)
    for test in TESTS:
        problems = test()
        tap.check(test.__doc__ + (" # SKIP only root can make a file of somebody else" if problems is None else ""),
                  problems or [])
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())

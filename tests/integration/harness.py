"""What the integration tests stand on: real programs on loopback, in a directory and on ports of their own.

A test file is a list of functions, each of which gets a fresh Lab:

    def a_second_agent_appears(lab):
        lab.console()
        agent = lab.agent("agent-001", apps=[lab.simulated("app-a")])
        lab.until("agent-001 is online", lambda: lab.api("/api/agents/agent-001")["isOnline"])

    if __name__ == "__main__":
        harness.main([a_second_agent_appears])

main() speaks TAP. What a Lab started ends with it, by pid. A test that fails, and a program that ends by a signal
or with a sanitizer's report, leaves its logs in $FLEET_BUILDDIR/tests/failed. Nothing here sleeps for luck: until()
waits for a condition and has a deadline.
"""
import contextlib
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SRCDIR = os.environ.get("FLEET_SRCDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
STAGE = os.environ.get("FLEET_STAGE") or os.path.join(SRCDIR, "build/stage")
BUILDDIR = os.environ.get("FLEET_BUILDDIR") or os.path.join(SRCDIR, "build")
DEADLINE = float(os.environ.get("FLEET_TEST_DEADLINE", "30"))  # seconds; only a failing test waits that long


# What lab.simulated() gives an app to read: odd spacing and a missing last newline, which a push has to keep.
PLAIN_CONFIG = '{\n  "LogLevel":   "Info",\n  "Limits": { "Connections": 100 },\n  "Tags": ["a", "b"]\n}'


class Failure(AssertionError):
    """What a test expected, and what it saw."""


class Skip(Exception):
    """Why a test cannot run here."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def check_equal(seen, expected, what):
    if seen != expected:
        raise Failure(f"{what}: {seen!r}, expected {expected!r}")


def check_in(part, whole, what):
    if part not in whole:
        raise Failure(f"{what}: no {part!r} in {whole!r}")


def program(name):
    path = os.path.join(STAGE, "bin", name)
    check(os.access(path, os.X_OK), f"there is no {path}: scripts/dev build")
    return path


class Answer:
    """An HTTP answer: status, headers (lower case), body, json."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as e:
            raise Failure(f"not JSON ({e}): {self.body[:300]!r}") from e

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


class Process:
    """One program of ours with its log. stop() and kill() are by pid; ended() is its exit status or None."""

    def __init__(self, lab, label, argv, env=None, pass_fds=()):
        self.lab, self.label, self.argv = lab, label, argv
        self.log_path = os.path.join(lab.logs, f"{label}.log")
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            # A session of its own, so that a stray signal of the terminal does not reach it.
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env or lab.env,
                                            cwd=lab.dir, start_new_session=True, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.expected_end = self.frozen = False
        self.orphans = []
        lab.processes.append(self)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def own_log(self):
        """Without what one of the same name wrote before."""
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            f.seek(self.log_start)
            return f.read()

    def ended(self):
        return self.process.poll()

    def children(self):
        """Pids of the direct children that live. Of one that has ended none: its own pid may be another's by now."""
        if self.ended() is not None:
            return []
        try:
            with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as f:
                return [int(pid) for pid in f.read().split()]
        except FileNotFoundError:
            return []

    def stop(self, timeout=10):
        """SIGTERM; the exit status."""
        self.expected_end = True
        if self.ended() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.label} did not end within {timeout} s of SIGTERM") from None

    def kill(self):
        """SIGKILL, as the kernel's OOM killer would. Its children have to notice by themselves."""
        self.expected_end = True
        self.orphans += [(pid, born(pid)) for pid in self.children()]
        if self.ended() is None:
            self.process.kill()
        self.process.wait()

    def freeze(self):
        self.frozen = True
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """To one that is not frozen no SIGCONT: it would take away the SIGSTOP with which LeakSanitizer, at the very end of
        a process, stops its threads, and then waits for ever."""
        if self.frozen:
            self.process.send_signal(signal.SIGCONT)
        self.frozen = False


class Events:
    """An open SSE stream: (event, data) tuples as they come."""

    def __init__(self, lab, last_event_id=None):
        self.connection = http.client.HTTPConnection(lab.host, lab.port, timeout=DEADLINE)
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        self.connection.request("GET", "/api/events", headers=headers)
        self.response = self.connection.getresponse()
        check_equal(self.response.status, 200, "GET /api/events")
        check_in("text/event-stream", self.response.getheader("Content-Type") or "", "content type of /api/events")
        self.queue = queue.Queue()
        self.seen = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        event, data = None, []
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for raw in self.response:
                line = raw.decode("utf-8").rstrip("\r\n")
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].strip())
                elif not line:
                    if data:
                        self.queue.put((event, json.loads("\n".join(data))))
                    event, data = None, []

    def wait(self, what, wanted, timeout=DEADLINE):
        """The first event that wanted(event, data) takes, from the stream's beginning on."""
        for pair in self.seen:
            if wanted(*pair):
                return pair[1]
        end = time.monotonic() + timeout
        while True:
            try:
                pair = self.queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                kinds = [f"{e}:{d.get('agentId') or d.get('commandId')}" for e, d in self.seen]
                raise Failure(f"no event within {timeout} s: {what}; seen {kinds}") from None
            self.seen.append(pair)
            if wanted(*pair):
                return pair[1]

    def close(self):
        with contextlib.suppress(OSError, AttributeError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)


class Lab:
    """A directory, a console's port, and the processes of one test."""

    host = "127.0.0.1"

    def __init__(self, name):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix=f"fleet-{name[:40]}.")
        os.chmod(self.dir, 0o755)
        self.logs = os.path.join(self.dir, "logs")
        os.mkdir(self.logs)
        self.processes, self.streams, self.later = [], [], []
        self.port = free_port()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("FLEET_", "XDG_"))}
        self.env.update(HOME=self.path("home"), XDG_CONFIG_HOME=self.path("home/.config"),
                        XDG_STATE_HOME=self.path("home/.local/state"), LC_ALL="C.UTF-8", TZ="UTC", TMPDIR=self.dir)
        os.makedirs(self.env["XDG_CONFIG_HOME"])

    # -- files ----------------------------------------------------------------------------------------------

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def simulated(self, app_id, config=PLAIN_CONFIG, extra="", **options):
        """An app's YAML with the simulated service driver, and its config file at DIR/apps/ID.json."""
        lines = [f"  - id: {app_id}", "    service_driver: simulated"]
        if options:
            lines.append("    service_options: {" + ", ".join(f"{k}: {v}" for k, v in options.items()) + "}")
        if config is not None:
            if not os.path.exists(self.path("apps", app_id + ".json")):
                self.write(f"apps/{app_id}.json", config)
            lines.append(f"    config_path: {self.path('apps', app_id + '.json')}")
            if "config_driver" not in extra:
                lines.append("    config_driver: json-config")
        lines += ["    " + line for line in extra.splitlines()]
        return "\n".join(lines) + "\n"

    def drivers(self, *extra):
        """A driver directory of this test's own: the stage's drivers, and the given .so files besides."""
        folder = self.path("drivers")
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
            own = os.path.join(STAGE, "lib/drivers")
            for name in os.listdir(own):
                if name.endswith(".so"):
                    shutil.copy(os.path.join(own, name), folder)
        for path in extra:
            shutil.copy(path, folder)
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o755)
        return folder

    # -- processes ------------------------------------------------------------------------------------------

    def spawn(self, label, argv, **kw):
        return Process(self, label, argv, **kw)

    @property
    def url(self):
        return f"http://localhost:{self.port}"

    def console(self, *args, wait=True):
        """Starts the console on this lab's port and data directory; ready when this returns."""
        console = self.spawn("console", [program("fleet-console"), "--dev", "--listen", f"127.0.0.1:{self.port}",
                                         "--data-dir", self.path("console"), *args])
        if wait:
            def ready():
                if console.ended() is not None:
                    raise Failure(f"fleet-console ended with {console.ended()}: {console.log()[-600:]}")
                with contextlib.suppress(OSError, http.client.HTTPException):
                    return self.get("/readyz").status == 200
                return False
            self.until("the console is ready", ready)
        return console

    def agent(self, agent_id, apps=None, driver_dir=None, args=(), wait=True):
        """Starts a --dev agent. apps: YAML items of lab.simulated(), written as one file; None keeps what is there."""
        argv = [program("fleet-agent"), "--dev", "--agent-id", agent_id, "--console-url", self.url,
                "--data-dir", self.path(agent_id)]
        folder = self.path(agent_id + ".apps.d")
        if apps is not None:
            os.makedirs(folder, exist_ok=True)
            self.write(f"{agent_id}.apps.d/apps.yaml", "managed_apps:\n" + "".join(apps) if apps else "managed_apps: []\n")
        if os.path.isdir(folder):
            argv += ["--apps-dir", folder]
        if driver_dir:
            argv += ["--driver-dir", driver_dir]
        agent = self.spawn(agent_id, argv + list(args))
        if wait:
            self.online(agent_id, process=agent)
        return agent

    def online(self, agent_id, timeout=DEADLINE, process=None):
        """Until the console says that the agent is online and knows its apps' status; the agent."""
        def seen():
            if process and process.ended() is not None:
                raise Failure(f"{process.label} ended with {process.ended()}: {process.log()[-600:]}")
            answer = self.get(f"/api/agents/{agent_id}")
            return answer.json if answer.status == 200 and answer.json.get("isOnline") and answer.json.get("metrics") else None
        return self.until(f"{agent_id} is online with a heartbeat", seen, timeout)

    # -- talking --------------------------------------------------------------------------------------------

    def request(self, method, path, body=None, headers=None, timeout=DEADLINE):
        """body: bytes as they are, anything else as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            # A server that has seen enough answers before the body is through.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body=body, headers=headers)
            if connection.sock is None:
                raise ConnectionResetError("the other end died while it was connected to")
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def api(self, path):
        answer = self.get(path)
        check_equal(answer.status, 200, f"GET {path} ({answer!r})")
        return answer.json

    def command(self, agent_id, what, **body):
        """POST of one of the three commands; the 202's command."""
        answer = self.post(f"/api/agents/{agent_id}/{what}", body)
        check_equal(answer.status, 202, f"POST {what} ({answer!r})")
        return answer.json

    def outcome(self, command_id, timeout=DEADLINE):
        """Until the command has ended; the command."""
        def ended():
            command = self.api(f"/api/commands/{command_id}")
            return command if command["state"] in ("succeeded", "failed", "expired", "cancelled", "unknown") else None
        return self.until(f"command {command_id} ends", ended, timeout)

    def app(self, agent_id, app_id):
        for app in self.api(f"/api/agents/{agent_id}").get("apps", []):
            if app["id"] == app_id:
                return app
        raise Failure(f"{agent_id} has no app {app_id}")

    def running(self, agent_id, app_id, timeout=DEADLINE):
        """Until the app is there and runs; the app."""
        def runs():
            apps = self.api(f"/api/agents/{agent_id}")["apps"]
            return next((a for a in apps if a["id"] == app_id and a.get("status") == "running"), None)
        return self.until(f"{app_id} on {agent_id} runs", runs, timeout)

    def restarted(self, agent_id, app_id, pid, timeout=DEADLINE):
        """Until the console shows the app running under another pid; the app."""
        def runs():
            app = self.running(agent_id, app_id, timeout)
            return app if app["pid"] != pid else None
        return self.until(f"{app_id} on {agent_id} was restarted (pid {pid})", runs, timeout)

    def audit(self, **query):
        query.setdefault("limit", 1000)
        return self.api("/api/audit?" + "&".join(f"{k}={v}" for k, v in query.items()))

    def events(self, **kw):
        stream = Events(self, **kw)
        self.streams.append(stream)
        return stream

    def ctl(self, *args, timeout=DEADLINE):
        """Runs fleetctl to its end."""
        return subprocess.run([program("fleetctl"), *args], env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, check=False)

    def ctl_ok(self, *args, timeout=DEADLINE):
        done = self.ctl(*args, timeout=timeout)
        check_equal(done.returncode, 0, f"fleetctl {' '.join(args)} (stdout {done.stdout!r}, stderr {done.stderr!r})")
        return done.stdout

    def until(self, what, condition, timeout=DEADLINE, every=0.05):
        """Until condition() is true; its value."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"not within {timeout:g} s: {what}")
            time.sleep(every)

    # -- the end --------------------------------------------------------------------------------------------

    def close(self):
        """Ends everything; returns complaints about how the programs ended."""
        complaints = []
        for stream in self.streams:
            stream.close()
        for undo in reversed(self.later):
            undo()
        for p in reversed(self.processes):
            early = p.ended()
            if early is not None and early != 0 and not p.expected_end:
                complaints.append(f"{p.label} ended by itself with {early}")
            children = [(pid, born(pid)) for pid in p.children()]
            if early is None:
                p.thaw()
                p.process.terminate()
                try:
                    status = p.process.wait(10)
                    if status != 0:
                        complaints.append(f"{p.label} ended with {status} after SIGTERM")
                except subprocess.TimeoutExpired:
                    complaints.append(f"{p.label} did not end within 10 s of SIGTERM")
                    p.kill()
            complaints += [f"child {pid} of {p.label} outlived it" for pid, since in children + p.orphans
                           if not ends(pid, 10, since)]
        for name in sorted(os.listdir(self.logs)):
            with open(os.path.join(self.logs, name), encoding="utf-8", errors="replace") as f:
                for line in f:
                    if "Sanitizer" in line or ": runtime error: " in line:
                        complaints.append(f"{name}: {line.strip()}")
                        break
        return complaints

    def keep(self):
        """Moves the logs where a person finds them; the directory."""
        kept = os.path.join(BUILDDIR, "tests/failed", self.name)
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(OSError):
            shutil.copytree(self.logs, kept)
        return kept

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stat_of(pid):
    """The words of /proc/PID/stat behind the name; none where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def born(pid):
    """When it was started, by which it differs from a later one with its pid."""
    return stat_of(pid)[19:20]


def lives(pid, since=None):
    """A process that is neither gone nor a zombie. since: the one that was born then."""
    words = stat_of(pid)
    return bool(words) and words[0] not in "ZX" and since in (None, words[19:20])


def ends(pid, timeout, since=None):
    end = time.monotonic() + timeout
    while lives(pid, since):
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.02)
    return True


def run_one(test, lab):
    """(outcome, sentence): ok, skip or failed."""
    try:
        test(lab)
        return "ok", ""
    except Skip as e:
        return "skip", str(e)
    except Failure as e:
        frame = [f for f in traceback.extract_tb(e.__traceback__) if not f.filename.endswith("harness.py")]
        where = f"{os.path.basename(frame[-1].filename)}:{frame[-1].lineno}: " if frame else ""
        return "failed", where + str(e)
    except Exception:  # pylint: disable=broad-except # a broken test is a failed one, and the next still runs
        return "failed", traceback.format_exc()


def main(tests, argv=None):
    """Runs the tests, or those whose names are given as arguments. Exits."""
    names = (sys.argv if argv is None else argv)[1:]
    chosen = [t for t in tests if not names or t.__name__ in names]
    failures = 0
    print(f"1..{len(chosen)}", flush=True)
    stem = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    for number, test in enumerate(chosen, 1):
        lab = Lab(f"{stem}-{test.__name__}")
        began = time.monotonic()
        outcome, sentence = run_one(test, lab)
        complaints = lab.close()
        if outcome == "ok" and complaints:
            outcome, sentence = "failed", ""
        title = test.__name__.replace("_", " ")
        for line in [*sentence.splitlines(), *complaints] if outcome == "failed" else []:
            print(f"# {line}")
        if outcome == "failed":
            failures += 1
            print(f"# logs: {lab.keep()}")
            for p in lab.processes:
                for line in p.log().splitlines()[-12:]:
                    print(f"#   {p.label}: {line}")
        print(f"{'not ok' if outcome == 'failed' else 'ok'} {number} - {title}"
              + (f" # SKIP {sentence}" if outcome == "skip" else "")
              + (f" # {time.monotonic() - began:.1f} s" if outcome != "skip" else ""), flush=True)
        lab.remove()
    sys.exit(1 if failures else 0)

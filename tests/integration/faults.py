"""What the tests of deaths and faults stand on: a console and servers (agent and driver host, each a process of the
test's own) with simulated apps that live in trees, whatever dies started again; and what must hold afterwards, however
it went: one whole version of each app in place and running, its config and data intact, nothing left of an operation,
each command with one end, each audit event once and in order."""
import contextlib
import http.client
import io
import itertools
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import uuid

import harness
from harness import Failure, Skip, check, check_equal
from network_peers import Source, head, whole

ENDED = ("succeeded", "failed", "expired", "cancelled", "unknown")
STEPS = ("prepare", "download", "stop", "swap", "start", "rollback")


def read(*path):
    with contextlib.suppress(FileNotFoundError), open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()
    return None


def release(version, broken=False, more=()):
    """A tar.gz; a broken one does not come up."""
    out = io.BytesIO()
    files = [("bin/program", b"program " + version.encode()), ("version", version.encode() + b"\n"),
             ("app.json", b'{"LogLevel": "Release"}'), *more]
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in files + ([("broken", b"")] if broken else []):
            info = tarfile.TarInfo(f"app-{version}/{name}")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class App:
    """What we believe of one app, and what is true on the disk. One whose id ends in -single is one file."""

    def __init__(self, server, app_id):
        self.server, self.id, self.single = server, app_id, app_id.endswith("-single")
        self.tree = server.path("trees", app_id)
        self.version, self.level, self.previous = "1.0.0", "Info", None
        os.makedirs(os.path.join(self.tree, "bin"))
        os.makedirs(os.path.join(self.tree, "data"))
        for name, text in (("bin/program", f"program {self.version}"), ("version", f"{self.version}\n"),
                           ("app.json", self.config()), ("data/db", f"written by {app_id}")):
            with open(os.path.join(self.tree, name), "w", encoding="utf-8") as f:
                f.write(text)

    def yaml(self):
        place = (f"binary_path: {self.tree}/bin/program\n" if self.single else
                 f"binary_path: {self.tree}\nversion_file: {self.tree}/version\npreserve: [data]\n")
        options = {"fail_start": os.path.join(self.tree, "broken"), **self.server.world.options}
        return self.server.world.lab.simulated(self.id, config=None, **options, extra=(
            f"{place}config_path: {self.tree}/app.json\n"
            f"health_check: {{settle: 50ms, timeout: 2s, url: '{self.server.world.source.url}/health/"
            f"{self.server.id}/{self.id}'}}"))

    def config(self, level=None):
        return '{\n  "LogLevel":   "%s",\n  "Limits": { "Connections": 100 }\n}' % (level or self.level)

    def learn(self, command):
        """What the app must be after a command that ended so."""
        body = command["body"]
        if command["state"] != "succeeded":
            return
        if command["what"] == "update-app":
            self.previous, self.version = self.version, body["version"]
        elif command["what"] == "rollback-app":
            self.previous, self.version = self.version, self.previous
        elif command["what"] == "push-config":
            self.level = body["settings"]["LogLevel"]

    def history(self):
        return "\n".join(f"{c['what']} {c['commandId']} {c['body']}: {c['state']}: {c.get('message')}"
                         for c in self.server.world.commands if c["app"] is self)

    def beside(self):
        """The room beside the tree, or beside the file."""
        if self.single:
            return os.path.join(self.tree, "bin/.program.fleet")
        return os.path.join(os.path.dirname(self.tree), f".{self.id}.fleet")

    def tidy(self):
        """As the next update, or a person, would: what could not be removed goes; what could not be kept is no version to
        go back to."""
        for name in ("new", "left", "unpack"):
            path = os.path.join(self.beside(), name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
        if not os.path.exists(os.path.join(self.beside(), "previous")):
            self.previous = None

    def check_whole(self, why):
        try:
            self._check_whole(why)
        except Failure as e:
            raise Failure(f"{e}\nafter\n{self.history()}") from None

    def _check_whole(self, why):
        seen = {name: read(self.tree, name) for name in ("bin/program", "version", "app.json", "data/db", "broken")}
        version = "1.0.0" if self.single else self.version
        check_equal(seen, {"bin/program": f"program {self.version}", "version": f"{version}\n", "app.json": self.config(),
                           "data/db": f"written by {self.id}", "broken": None}, f"{why}: the files of {self.id}")
        left = []
        for folder in (os.path.dirname(self.tree), self.tree, os.path.join(self.tree, "bin")):
            left += [n for n in os.listdir(folder) if n.startswith(".") and n != ".fleet-release" and not n.endswith(".fleet")]
        if os.path.isdir(self.beside()):
            left += [n for n in os.listdir(self.beside()) if n not in ("previous", "previous.json")]
        check_equal(left, [], f"{why}: what is left beside the files of {self.id}")
        self.server.world.until(f"{why}: nothing is left in the host's state", lambda: not self.left_in_state(), 15)

    def left_in_state(self):
        state = self.server.path("host")
        left = [n for n in os.listdir(state) if n not in ("ledger", "ledger.args", "lock", "before", "drivers", "files", "staging")]
        for folder, expected in (("before", 36), ("staging", 0), ("ledger.args", 0)):
            if os.path.isdir(os.path.join(state, folder)):
                left += [f"{folder}/{n}" for n in os.listdir(os.path.join(state, folder)) if len(n) != expected]
        return left


class Server:
    """An agent and its driver host."""

    def __init__(self, world, agent_id, apps):
        self.world, self.id = world, agent_id
        self.agent = self.host = None
        self.apps = [App(self, app_id) for app_id in apps]
        world.lab.write(f"{agent_id}.apps.d/apps.yaml", "managed_apps:\n" + "".join(a.yaml() for a in self.apps))

    def path(self, *names):
        """On the disk of the server: its apps' trees, the host's state."""
        return os.path.normpath(self.world.lab.path(self.world.disk, f"{self.id}.{names[0]}", *names[1:]))

    def socket(self):
        return self.world.lab.path(self.id + ".sock")

    def start_host(self):
        lab = self.world.lab
        self.host = self.world.spawn("host", lambda: lab.spawn(self.id + "-host", [
            harness.program("fleet-driver-host"), "--dev", "--agent-id", self.id, "--apps-dir", lab.path(self.id + ".apps.d"),
            "--state-dir", self.path("host"), "--driver-dir", os.path.join(harness.STAGE, "lib/drivers"),
            "--socket", self.socket()]))

    def start_agent(self):
        self.agent = self.world.spawn("agent", lambda: self.world.lab.agent(
            self.id, args=["--host-socket", self.socket(), "--heartbeat-interval", "1", "--console-url",
                           self.world.console_url()], wait=False))


# Stands before libc's: the wall clock is off by as many seconds as FLEET_TEST_CLOCK's file says just now.
CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static const volatile long long none, *off = &none;
__attribute__((constructor)) static void begin(void) {
    int fd = getenv("FLEET_TEST_CLOCK") ? open(getenv("FLEET_TEST_CLOCK"), O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) off = page;
}
int clock_gettime(clockid_t id, struct timespec *t) {
    int r = (int)syscall(SYS_clock_gettime, id, t);
    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += *off;
    return r;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *ret) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret) *ret = now.tv_sec;
    return now.tv_sec;
}
"""


class Clocks:
    """The wall clocks of console, agents and hosts, each to be set by itself while they run."""

    def __init__(self, lab):
        source, self.library = lab.write("clock.c", CLOCK), lab.path("clock.so")
        if not shutil.which("cc") or subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, source],
                                                    capture_output=True, check=False).returncode != 0:
            raise Skip("needs a compiler, to stand between the programs and their clock")
        self.lab, self.files = lab, {kind: lab.path(f"{kind}.clock") for kind in ("console", "agent", "host")}
        for kind in self.files:
            with open(self.files[kind], "wb") as f:
                f.write(bytes(4096))

    def set(self, kind, hours):
        with open(self.files[kind], "r+b", buffering=0) as f:
            f.write(struct.pack("=q", int(hours * 3600)))

    @contextlib.contextmanager
    def around(self, kind):
        """Whoever is started within has that clock."""
        self.lab.env.update(LD_PRELOAD=self.library, FLEET_TEST_CLOCK=self.files[kind])
        before = self.lab.env.get("ASAN_OPTIONS", "")
        self.lab.env["ASAN_OPTIONS"] = before + ":verify_asan_link_order=0"
        yield
        for name in ("LD_PRELOAD", "FLEET_TEST_CLOCK"):
            del self.lab.env[name]
        self.lab.env["ASAN_OPTIONS"] = before


class World:
    """points: of programs with failpoints, see include/fleet/failpoint.h. disk: a directory within the lab's. clocks: a
    Clocks. options: of the apps' simulated services."""

    def __init__(self, lab, servers, points=False, console_url=None, disk=".", clocks=None, console_args=(), options=None):
        self.clocks, self.console_args, self.options = clocks, console_args, options or {}
        self.lab, self.deaths, self.commands = lab, {"console": 0, "agent": 0, "host": 0}, []
        self._console_url, self.disk, self.later = console_url, disk, None
        self.away = None  # a process that is not to be started again for now
        self.points = {kind: lab.path("points", kind) for kind in self.deaths} if points else {}
        for folder in self.points.values():
            os.makedirs(folder)
        self.releases, self.numbers = {}, itertools.count(1)
        self.source = Source(lab, self._serve)
        self.servers = [Server(self, agent_id, apps) for agent_id, apps in servers.items()]
        self.apps = [app for server in self.servers for app in server.apps]
        self.console = None
        self.start_console()
        for server in self.servers:
            server.start_host()
            server.start_agent()
        for server in self.servers:
            self.until(f"{server.id} is online and its apps run", lambda s=server: {
                a["id"] for a in lab.get(f"/api/agents/{s.id}").json.get("apps", []) if a.get("status") == "running"}
                == {a.id for a in s.apps})

    def console_url(self):
        return self._console_url or self.lab.url

    def _serve(self, asked, connection):
        """Releases; and how an app is, which with a log level of Bad is not well."""
        if asked.path.startswith("/health/"):
            _, _, server, app_id = asked.path.split("/")
            app = next(a for a in self.apps if (a.server.id, a.id) == (server, app_id))
            bad = '"Bad' in (read(app.tree, "app.json") or "") or "broken" in (read(app.tree, "bin/program") or "")
            connection.sendall(head(503 if bad else 200, "Content-Length: 0"))
            return
        whole(connection, self.releases[asked.path.strip("/").split("?")[0]])

    # -- processes ------------------------------------------------------------------------------------------

    def spawn(self, kind, start):
        if self.points:
            self.lab.env["FLEET_FAILPOINTS_DIR"] = self.points[kind]
        with self.clocks.around(kind) if self.clocks else contextlib.nullcontext():
            process = start()
        process.kind = kind
        return process

    def start_console(self):
        self.console = self.spawn("console", lambda: self.lab.console(*self.console_args, wait=False))

    def processes(self):
        """(process, how to start it again)"""
        yield self.console, self.start_console
        for server in self.servers:
            yield server.host, server.start_host
            yield server.agent, server.start_agent

    def revive(self):
        """Starts again whatever died."""
        for process, start in list(self.processes()):
            if process.ended() is None or process is self.away:
                continue
            if process.ended() != -9 and not process.expected_end:
                raise Failure(f"{process.label} ended by itself with {process.ended()}: {process.log()[-800:]}")
            if self.later and os.path.exists(os.path.join(self.points[self.later[0]], self.later[1] + ".hit")):
                kind, _, name, action = self.later
                self.later = None
                self.arm(kind, name, action)
            process.expected_end = True
            self.deaths[process.kind] += 1
            start()

    def renew_agents(self):
        """Agents that wait longer and longer after many deaths of the console begin anew."""
        for server in self.servers:
            server.agent.stop()
            server.start_agent()

    def until(self, what, condition, timeout=60):
        def met():
            self.revive()
            with contextlib.suppress(OSError, http.client.HTTPException):
                return condition()
            return None
        return self.lab.until(what, met, timeout)

    # -- failpoints -----------------------------------------------------------------------------------------

    def arm(self, kind, name, action):
        with open(os.path.join(self.points[kind], name + ".new"), "w", encoding="ascii") as f:
            f.write(action)
        os.rename(f.name, os.path.join(self.points[kind], name))

    def arm_after(self, kind, first, name, action):
        """When that point was hit, and before what died is started again."""
        self.later = (kind, first, name, action)

    def disarm(self):
        """Names of the points that were hit."""
        hit, self.later = [], None
        for folder in self.points.values():
            for name in os.listdir(folder):
                if name.endswith(".hit"):
                    hit.append(name[:-4])
                os.unlink(os.path.join(folder, name))
        return hit

    # -- commands -------------------------------------------------------------------------------------------

    def ask(self, app, what, **body):
        """POSTs until there is a 202, with one idempotency key; the command, with what was asked."""
        body = {"appId": app.id, **body}
        key = str(uuid.uuid4())

        def taken():
            answer = self.lab.post(f"/api/agents/{app.server.id}/{what}", body, headers={"Idempotency-Key": key}, timeout=10)
            if answer.status in (500, 503):
                return None
            check_equal(answer.status, 202, f"POST {what} ({answer!r})")
            return answer.json
        command = self.until(f"{what} of {app.id} is taken", taken)
        command.update(app=app, what=what, body=body)
        self.commands.append(command)
        return command

    def update(self, app, broken=False, size=0):
        version = f"2.0.{next(self.numbers)}"
        name = f"{app.id}-{version}.tar.gz"
        if app.single:
            self.releases[name] = f"program {version}{' broken' if broken else ''}".encode()
        else:
            self.releases[name] = release(version, broken, [("big", os.urandom(size))] if size else ())
        return self.ask(app, "update-app", version=version, artifactUrl=f"{self.source.url}/{name}?token=t")

    def push(self, app, level=None):
        return self.ask(app, "push-config", settings={"LogLevel": level or f"Level{next(self.numbers)}"})

    def rollback(self, app):
        return self.ask(app, "rollback-app")

    def restart(self, app):
        return self.ask(app, "restart-app")

    def finish(self, command, timeout=90):
        """Until it has ended; the command, and what its app is since."""
        def ended():
            answer = self.lab.get(f"/api/commands/{command['commandId']}", timeout=10)
            return answer.json if answer.status == 200 and answer.json["state"] in ENDED else None
        command.update(self.until(f"{command['what']} of {command['appId']} ({command['commandId']}) ends", ended, timeout))
        command["app"].learn(command)
        return command

    # -- what must hold -------------------------------------------------------------------------------------

    def check_apps(self, why, apps=None):
        for app in apps or self.apps:
            app.check_whole(why)
            self.until(f"{why}: {app.id} of {app.server.id} runs", lambda app=app: any(
                a["id"] == app.id and a["status"] == "running" for a in
                self.lab.post(f"/api/agents/{app.server.id}/ping", {}, timeout=10).json.get("apps", [])), 60)  # it may wait 36 s to come back

    def events(self, command):
        """Of one command, oldest first."""
        return list(reversed(self.lab.audit(commandId=command["commandId"])))

    def check_command(self, command):
        """Asked once, ended once, its steps told in order, and each of them where it succeeded."""
        what = f"{command['what']} {command['commandId']} ({command['state']}: {command.get('message')})"
        events = self.until(f"the end of {what} is in the audit log", lambda: [
            e for e in self.events(command) if e["category"] != "system"])  # what was refused is no part of its life
        category = {"update-app": "update", "rollback-app": "update", "push-config": "config", "restart-app": "restart"}
        told = [(e["category"], (e.get("details") or {}).get("step")) for e in events]
        check_equal(told.count(("request", None)), 1, f"requests of {what}: {told}")
        check_equal(told.count((category[command["what"]], None)), 1, f"outcomes of {what}: {told}")
        check_equal(told[0], ("request", None), f"the first event of {what}")
        check_equal(told[-1], (category[command["what"]], None), f"the last event of {what}: {told}")
        check_equal(len({e["eventId"] for e in events}), len(events), f"events of {what}")
        steps = [step for _, step in told if step]
        for a, b in zip(steps, steps[1:]):  # taken up again it may begin anew, while nothing was done yet
            check(STEPS.index(b) >= STEPS.index(a) or (b == "prepare" and a in ("prepare", "download")),
                  f"steps of {what} are out of order: {steps}")
        if command["state"] == "succeeded" and category[command["what"]] == "update":
            wanted = {"prepare", "stop", "swap", "start"} | ({"download"} if command["what"] == "update-app" else set())
            check_equal(set(steps), wanted, f"steps of {what}")

    def check_log(self):
        """The whole audit log, and what agents numbered: nothing twice, nothing missing. (events, of agents)"""
        done = subprocess.run([harness.program("fleet-console"), "audit", "verify", "--data-dir", self.lab.path("console")],
                              env=self.lab.env, capture_output=True, text=True, check=False)
        check_equal(done.returncode, 0, f"audit verify: {done.stdout} {done.stderr}")
        db = sqlite3.connect(f"file:{self.lab.path('console', 'console.db')}?mode=ro", uri=True)
        with contextlib.closing(db):
            rows = db.execute("SELECT agent_id, spool_id, spool_seq FROM audit WHERE spool_id IS NOT NULL ORDER BY seq").fetchall()
            total = db.execute("SELECT count(*), count(DISTINCT event_id) FROM audit").fetchone()
        check_equal(total[0], total[1], "events of the audit log with an id of their own")
        spools = {}
        for agent_id, spool_id, number in rows:
            spools.setdefault((agent_id, spool_id), []).append(number)
        for (agent_id, spool_id), numbers in spools.items():
            check_equal(numbers, list(range(1, len(numbers) + 1)), f"numbers of the events of {agent_id}, spool {spool_id}")
        check_equal(len(spools), len(self.servers), "spools that agents had")
        return total[0], len(rows)

    def drained(self):
        """Until the agents owe nothing: their spools are empty."""
        def empty(server):
            db = sqlite3.connect(f"file:{self.lab.path(server.id, 'spool.db')}?mode=ro", uri=True)
            with contextlib.closing(db), contextlib.suppress(sqlite3.Error):
                return all(db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] == 0 for t in ("event", "result", "running"))
            return False
        for server in self.servers:
            self.until(f"the spool of {server.id} is empty", lambda s=server: empty(s))


def seeded():
    """A random generator whose seed is told, and taken from FLEET_TEST_SEED where that is set."""
    seed = int(os.environ.get("FLEET_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"# seed {seed}", flush=True)
    return random.Random(seed)

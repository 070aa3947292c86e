"""A console and some servers, each a container with a real systemd, joined by a bridge: what the system tests run on.

The machine's own network is not touched: the bridge lies in a network namespace of its own, in which the test itself
runs (and so fleetctl and every request), and each server has another, tied to the bridge by a veth pair. Names carry
the test's pid, so that several can run at a time; everything is deleted at the end.

    test process, 10.77.0.254 (bridge)  ---  console, 10.77.0.1
                                        ---  agent-001, 10.77.0.11   agent-002, 10.77.0.12 ...

The programs are installed as the package would do it: /opt/fleet-agent, the unit files of etc/, a system user.
"""
import atexit
import contextlib
import ctypes
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import harness  # noqa: E402
import memory  # noqa: E402

CLONE_NEWNET = 0x40000000
CONTAINER = os.path.join(harness.SRCDIR, "scripts/container")
CANNOT_HERE = 77
PORT = 5000


def run(*argv, check=True, **kw):
    kw.setdefault("timeout", 120)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **kw)
    if check and done.returncode != 0:
        raise harness.Failure(f"{shlex.join(argv)}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done


def needs():
    """Raises Skip where this machine cannot run system tests."""
    if os.geteuid() != 0:
        raise harness.Skip("system tests boot servers: root only")
    for tool in ("ip", "systemd-nspawn", "nsenter"):
        if run("sh", "-c", f"command -v {tool}", check=False).returncode != 0:
            raise harness.Skip(f"{tool} is missing: scripts/dev deps test")


class Server:
    """One booted container."""

    def __init__(self, net, name, address):
        self.net, self.name, self.address = net, name, address
        self.machine = f"fleet{os.getpid()}-{name}"[:31]

    def boot(self):
        done = run(CONTAINER, "up", self.machine, "--netns", self.net.namespace(self), check=False)
        if done.returncode == CANNOT_HERE:
            raise harness.Skip(done.stderr.strip())
        if done.returncode != 0:
            raise harness.Failure(f"{self.name} did not boot: {done.stderr[-800:]}")

    def exec(self, *argv, check=True, **kw):
        return run(CONTAINER, "exec", self.machine, *argv, check=check, **kw)

    def sh(self, script, check=True, **kw):
        """A shell script inside; its output."""
        return self.exec("sh", "-ec", script, check=check, **kw).stdout

    def push(self, path, text, mode="644", owner="root:root"):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as f:
            f.write(text)
            f.flush()
            run(CONTAINER, "push", self.machine, f.name, path)
        self.exec("chown", owner, path)
        self.exec("chmod", mode, path)

    def unpack(self, target, *names):
        """Files and folders of the stage tree, root-owned, below target. (A --bind would be hidden by a /tmp of its own.)"""
        with tempfile.TemporaryFile() as tar:
            subprocess.run(["tar", "-C", harness.STAGE, "-c", *names], stdout=tar, check=True)
            tar.seek(0)
            self.exec("sh", "-ec", 'mkdir -p "$1" && tar -C "$1" -x --no-same-owner --no-same-permissions', "sh", target, stdin=tar)

    def read(self, path):
        return self.exec("cat", path).stdout

    def show(self, unit, *properties):
        """systemctl show: one value, or a tuple."""
        text = self.exec("systemctl", "show", unit, *[f"-p{p}" for p in properties]).stdout
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return values[properties[0]] if len(properties) == 1 else tuple(values[p] for p in properties)

    def main_pid(self, unit):
        return int(self.show(unit, "MainPID"))

    def journal(self, unit="", lines=40):
        return self.sh(f"journalctl --no-pager -q -n {lines} -o cat {'-u ' + unit if unit else ''} || true")

    def reboot_hard(self):
        run(CONTAINER, "reboot-hard", self.machine)

    def down(self):
        run(CONTAINER, "down", self.machine, check=False)


class Network:
    """The bridge's namespace, which this process enters, and one namespace a server."""

    def __init__(self):
        self.hub = f"fleet{os.getpid()}-hub"
        self.made = []
        atexit.register(self.delete)
        self._add(self.hub)
        for words in ("link add br0 type bridge", "addr add 10.77.0.254/24 dev br0", "link set br0 up", "link set lo up"):
            run("ip", "-n", self.hub, *words.split())
        enter(f"/run/netns/{self.hub}")

    def _add(self, name):
        run("ip", "netns", "add", name)
        self.made.append(name)

    @staticmethod
    def namespace(server):
        return f"fleet{os.getpid()}-{server.name}"

    def join(self, server):
        name, veth = self.namespace(server), f"v{len(self.made)}"
        self._add(name)
        run("ip", "-n", self.hub, "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", self.hub, "link", "set", veth, "master", "br0", "up")
        run("ip", "-n", name, "addr", "add", f"{server.address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")

    def delete(self):
        with contextlib.suppress(OSError):
            enter("/proc/1/ns/net")
        for name in reversed(self.made):
            run("ip", "netns", "del", name, check=False)
        self.made = []


def enter(path):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as f:
        if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


class Fleet(harness.Lab):
    """A console in a container and servers with agent and driver host. Everything of Lab that talks (api, command,
    outcome, audit, ctl) speaks to this console, with an operator's key."""

    KEY = "operator-key-for-tests"

    def __init__(self, name, agents=3):
        super().__init__(name)
        self.net = Network()
        self.port = PORT
        self.console_server = Server(self.net, "console", "10.77.0.1")
        self.agents = [Server(self.net, f"agent-{n:03}", f"10.77.0.{10 + n}") for n in range(1, agents + 1)]
        self.everybody = [self.console_server, *self.agents]

    # -- what Lab says on loopback, here over the bridge ----------------------------------------------------

    @property
    def url(self):
        return f"http://{self.console_server.address}:{PORT}"

    @property
    def host(self):
        return self.console_server.address

    def request(self, method, path, body=None, headers=None, timeout=harness.DEADLINE):
        headers = {"Authorization": f"Bearer {self.KEY}", **(headers or {})}
        return super().request(method, path, body, headers, timeout)

    # -- installing -----------------------------------------------------------------------------------------

    def boot(self):
        for server in self.everybody:
            self.net.join(server)
            server.boot()

    def unit_files(self):
        found = {}
        for folder, _, names in os.walk(os.path.join(harness.SRCDIR, "etc")):
            for name in names:
                if re.search(r"\.(service|socket)(\.in)?$", name):
                    found[name.removesuffix(".in")] = os.path.join(folder, name)
        for folder, _, names in os.walk(harness.STAGE):
            for name in names:
                if re.search(r"\.(service|socket)$", name):
                    found[name] = os.path.join(folder, name)
        return found

    def install_units(self, server, wanted):
        for name, path in self.unit_files().items():
            if name.startswith(wanted):
                with open(path, encoding="utf-8") as f:
                    server.push(f"/etc/systemd/system/{name}", f.read())
        server.exec("systemctl", "daemon-reload")

    def install_console(self):
        s = self.console_server
        s.unpack("/usr", "bin/fleet-console", "share/fleet")
        s.sh("useradd --system --home-dir /var/lib/fleet-console --shell /usr/sbin/nologin fleet-console; "
             "mkdir -p /var/lib/fleet-console; chown fleet-console: /var/lib/fleet-console; chmod 700 /var/lib/fleet-console")
        self.configure_console()
        self.install_units(s, "fleet-console")
        s.exec("systemctl", "enable", "--now", "fleet-console.service")
        self.until("the console is ready", self.console_ready)

    def configure_console(self):
        """An operator's key, and one for each agent."""
        keys = "".join(f"  - agent_id: {a.name}\n    key: key-of-{a.name}\n" for a in self.agents)
        self.console_server.push("/etc/fleet-console/console.yaml",
                                 f"listen: 0.0.0.0:{PORT}\ndata_dir: /var/lib/fleet-console\n"
                                 f"api_keys:\n  - name: operator\n    key: {self.KEY}\n    role: operator\nagent_keys:\n{keys}",
                                 mode="640", owner="root:fleet-console")

    def console_ready(self):
        with contextlib.suppress(OSError, harness.http.client.HTTPException):
            return self.get("/readyz").status == 200
        return False

    def install_agent(self, server, apps):
        """As the package's postinst would: user, directories, files, units; apps: text of one file of apps.d."""
        server.unpack("/opt/fleet-agent", "bin", "lib/drivers")
        server.sh("useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin fleet-agent; "
                  "mkdir -p -m 755 /etc/fleet-agent/apps.d /var/lib/fleet-agent; chown fleet-agent: /var/lib/fleet-agent; "
                  "mkdir -p -m 700 /var/lib/fleet-driver-host")
        server.push("/etc/fleet-agent/agent.env",
                    f"FLEET_CONSOLE_URL={self.url}\nFLEET_AGENT_ID={server.name}\nFLEET_API_KEY=key-of-{server.name}\n",
                    mode="600", owner="fleet-agent:fleet-agent")
        server.push("/etc/fleet-agent/apps.d/apps.yaml", apps)
        self.install_units(server, ("fleet-agent", "fleet-driver-host", "fleet-driver-recover"))
        server.sh("systemctl enable --now fleet-driver-host.socket; "
                  "for u in fleet-driver-host.service fleet-driver-recover.service; do "
                  "if systemctl cat $u >/dev/null 2>&1; then systemctl enable $u 2>/dev/null || true; fi; done; "
                  "systemctl enable --now fleet-agent.service")

    # -- the end --------------------------------------------------------------------------------------------

    def close(self):
        complaints = super().close()
        for server in self.everybody:
            with contextlib.suppress(harness.Failure, subprocess.TimeoutExpired):
                with open(os.path.join(self.logs, f"{server.name}.journal"), "w", encoding="utf-8") as f:
                    f.write(server.sh("journalctl --no-pager -q -n 2000 || true", timeout=30))
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.down()
        self.net.delete()
        return complaints


def pids_here(server, *units):
    """The main processes of services and their children, by the numbers they have outside of the container."""
    wanted = set()
    for unit in units:
        pid = server.main_pid(unit)
        harness.check(pid > 0, f"{unit} does not run on {server.name}")
        wanted.update([str(pid), *server.sh(f"pgrep -P {pid} || true").split()])
    namespace = server.sh("readlink /proc/1/ns/pid").strip()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as f:
            numbers = re.search(r"^NSpid:(.*)$", f.read(), re.M).group(1).split()
            if numbers[-1] in wanted and os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                found.append(int(pid))
    harness.check_equal(len(found), len(wanted), f"processes of {units} on {server.name}")
    return found


def main(make_fleet, tests):
    """TAP over one fleet, which all tests share in order: booting is what takes time. A test is a function of it."""
    failures = 0
    print(f"1..{len(tests)}", flush=True)
    fleet, broken = None, ""
    try:
        try:
            needs()
            fleet = make_fleet()
        except harness.Skip as e:
            for number, test in enumerate(tests, 1):
                print(f"ok {number} - {test.__name__.replace('_', ' ')} # SKIP {e}", flush=True)
            return 0
        except Exception as e:  # pylint: disable=broad-except # told below, once for each test that could not run
            broken = f"setting up failed: {e!r}"
        for number, test in enumerate(tests, 1):
            began = time.monotonic()
            outcome, sentence = ("failed", broken) if broken else harness.run_one(test, fleet)
            for line in sentence.splitlines() if outcome == "failed" else []:
                print(f"# {line}")
            failures += outcome == "failed"
            print(f"{'not ok' if outcome == 'failed' else 'ok'} {number} - {test.__name__.replace('_', ' ')}"
                  + (f" # SKIP {sentence}" if outcome == "skip" else f" # {time.monotonic() - began:.1f} s"), flush=True)
        return 1 if failures else 0
    finally:
        if fleet is None:
            fleet = Fleet.last
        if fleet is not None:
            fleet.close()
            if failures:
                print(f"# journals: {fleet.keep()}", flush=True)
            fleet.remove()


Fleet.last = None


def fleet_of(name, agents, set_up):
    """For main(): makes a Fleet, boots it, hands it to set_up. What was booted is taken down also when that fails."""
    def make():
        fleet = Fleet(name, agents)
        Fleet.last = fleet
        fleet.boot()
        set_up(fleet)
        return fleet
    return make


def dump(value):
    return json.dumps(value, indent=1, ensure_ascii=False)

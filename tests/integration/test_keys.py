#!/usr/bin/python3
"""API keys from the first one to the last: fleet-console init and key on the data directory, fleetctl login and keys
against the console, what a limited key is worth, and what the audit log has of it. TAP."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import DEADLINE, Failure, check, check_equal, check_in, program  # noqa: E402

AGENT_KEYS = {"web-1": "key-of-web-1-0123456789", "db-1": "key-of-db-1-0123456789"}


class Fleet:
    """A console with keys, not in --dev."""

    def __init__(self, lab):
        self.lab, self.data = lab, lab.path("console")
        self.config = lab.write("console.yaml", f"data_dir: {self.data}\nagent_keys:\n" + "".join(
            f"  - {{agent_id: {name}, key: {key}}}\n" for name, key in AGENT_KEYS.items()) + "heartbeat_interval: 1s\n", mode=0o600)

    def run(self, *args, user=None):
        return subprocess.run([program("fleet-console"), *args, "--data-dir", self.data], env=self.lab.env, capture_output=True,
                              text=True, timeout=DEADLINE, check=False, user=user, stdin=subprocess.DEVNULL)

    def secret(self, *args):
        done = self.run(*args)
        check_equal(done.returncode, 0, f"fleet-console {' '.join(args)}: {done.stderr}")
        check(done.stdout.startswith("fleet_") and done.stdout.count("\n") == 1, f"the key alone on stdout: {done.stdout!r}")
        return done.stdout.strip()

    def console(self):
        console = self.lab.spawn("console", [program("fleet-console"), "--config", self.config, "--listen",
                                             f"127.0.0.1:{self.lab.port}"])

        def ready():
            if console.ended() is not None:
                raise Failure(f"fleet-console ended with {console.ended()}: {console.log()[-600:]}")
            return "Listening on" in console.own_log()
        self.lab.until("the console listens", ready)
        return console

    def agent(self, name):
        env = self.lab.write(f"{name}.env", f"FLEET_API_KEY={AGENT_KEYS[name]}\n", mode=0o600)
        apps = self.lab.write(f"{name}.apps.d/apps.yaml", "managed_apps:\n" + self.lab.simulated("app-a"))
        return self.lab.spawn(name, [program("fleet-agent"), "--dev", "--agent-id", name, "--console-url", self.lab.url,
                                     "--env-file", env, "--data-dir", self.lab.path(name), "--apps-dir", os.path.dirname(apps)])

    def get(self, path, key):
        return self.lab.get(path, headers={"Authorization": f"Bearer {key}"})


def from_the_first_key_to_the_last(lab):
    """init, login, keys create, use, rotate, revoke."""
    fleet = Fleet(lab)
    admin = fleet.secret("init")
    again = fleet.run("init")
    check_equal((again.returncode, again.stdout), (1, ""), "a second init")
    check_in("already", again.stderr, "a second init says so")
    fleet.console()
    login = subprocess.run([program("fleetctl"), "login", "--url", lab.url, "--api-key", "-"], env=lab.env, input=admin + "\n",
                           capture_output=True, text=True, timeout=DEADLINE, check=True)
    check_in("as admin (admin)", login.stdout, "login says who one is")
    ci = lab.ctl_ok("keys", "create", "ci", "--role", "operator", "--agents", "web-*", "--actions", "restart").strip()
    listed = lab.ctl_ok("keys", "list")
    check_in("ci     operator  valid  never    never", listed, "keys list")
    check(ci not in listed and admin not in lab.ctl_ok("keys", "list", "--json"), "no secret is shown again")
    check_equal(fleet.get("/api/agents", ci).status, 200, "the new key is good")
    check_equal(fleet.get("/api/keys", ci).status, 403, "for what it is made")
    other = lab.ctl_ok("keys", "rotate", "ci", "--overlap", "1h").strip()
    check_equal([fleet.get("/api/session", k).status for k in (ci, other)], [200, 200], "while both are good")
    last = lab.ctl_ok("keys", "rotate", "ci").strip()
    check_equal([fleet.get("/api/session", k).status for k in (ci, other, last)], [401, 401, 200], "without an overlap")
    check_in("Revoked: ci", lab.ctl_ok("keys", "revoke", "ci"), "revoke")
    check_equal(fleet.get("/api/session", last).status, 401, "a revoked key")
    twice = lab.ctl("keys", "revoke", "ci")
    check_equal((twice.returncode, twice.stderr), (1, "Key 'ci' not found. Which there are: fleetctl keys list\n"), "twice")
    # another of that name is another key
    check(lab.ctl_ok("keys", "create", "ci", "--role", "viewer").strip() != last, "a fresh one")
    check_equal(fleet.get("/api/session", last).status, 401, "the old one stays revoked")
    audit = lab.ctl_ok("audit", "--category", "access", "--last", "100")
    for said in ("API key 'admin' (admin) made by ", "admin@cli logged in", "API key 'ci' (operator, limited) made by admin@cli",
                 "API key 'ci' (operator, limited) rotated by admin@cli", "API key 'ci' (operator, limited) revoked by admin@cli",
                 "ci@api was refused: GET /api/keys", "API key 'ci' refused: it is revoked"):
        check_in(said, audit, "the audit log")
    with open(os.path.join(fleet.data, "console.db"), "rb") as f:
        stored = f.read()
    check(not any(k.encode() in stored for k in (admin, ci, other, last)), "no secret lies in the store")


def a_limited_key_reaches_what_it_names(lab):
    """With two servers: what it may do on the one, and that the other is not there."""
    fleet = Fleet(lab)
    admin = fleet.secret("init", "--name", "root")
    limited = fleet.secret("key", "create", "web", "--role", "operator", "--agents", "web-*", "--actions", "restart,read-logs")
    fleet.console()
    for name in AGENT_KEYS:
        fleet.agent(name)
    for name in AGENT_KEYS:
        lab.until(f"{name} runs its app", lambda name=name: '"status":"running"' in fleet.get(
            f"/api/agents/{name}", admin).body.decode())
    lab.ctl_ok("login", "--url", lab.url, "--api-key", limited)
    check("db-1" not in lab.ctl_ok("agents", "list") + lab.ctl_ok("apps", "list"), "lists leave out the other server")
    lab.ctl_ok("apps", "restart", "web-1", "app-a", "--wait")
    for args, said in ((("apps", "restart", "db-1", "app-a"), "is limited to other agents than db-1"),
                       (("apps", "config", "web-1", "app-a", "--set", "a=1"), "is limited to other actions than push-config"),
                       (("apps", "config", "web-1", "app-a"), "is limited to other actions than read-config"),
                       (("keys", "list"), "which may not do this"),
                       (("audit", "verify"), "is limited, and this is for keys that are not")):
        done = lab.ctl(*args)
        check_equal(done.returncode, 1, f"fleetctl {' '.join(args)}: {done.stdout}{done.stderr}")
        check_in(said, done.stderr, f"fleetctl {' '.join(args)}")
    lab.ctl_ok("apps", "logs", "web-1", "app-a")
    audit = lab.ctl_ok("audit", "--all", "--last", "1000")
    check_in("app-a restarted on web-1 by web@cli", audit, "its own audit log")
    check("db-1" not in audit and "root" not in audit, "and nobody else's")


def the_console_has_its_directory_alone(lab):
    """While it runs, keys are not made behind its back; while it does not, they are, also for whoever lost the last one."""
    fleet = Fleet(lab)
    done = fleet.run("key", "list")
    check_equal((done.returncode, os.path.exists(fleet.data)), (1, False), f"a directory that is not there: {done.stderr}")
    admin = fleet.secret("init")
    console = fleet.console()
    for args in (("key", "list"), ("key", "create", "x", "--role", "admin"), ("init",)):
        done = fleet.run(*args)
        check_equal((done.returncode, done.stdout), (1, ""), f"{args} while it runs")
        check_in("fleetctl keys", done.stderr, f"{args} while it runs")
    console.stop()
    check_equal(fleet.run("key", "revoke", "admin").returncode, 0, "revoke")
    spare = fleet.secret("key", "create", "spare", "--role", "admin", "--expires", "12h")
    listed = fleet.run("key", "list", "--all").stdout
    check("admin" in listed and "revoked" in listed and "spare" in listed, listed)
    check_equal(fleet.run("key", "list").stdout.count("revoked"), 0, "without --all")
    for args in (("key",), ("key", "create"), ("key", "create", "a"), ("key", "create", "a", "--role", "king"),
                 ("key", "create", "a", "--role", "viewer", "--agents", ""), ("key", "create", "a", "b", "--role", "viewer"),
                 ("key", "rotate", "a", "--role", "viewer"), ("key", "create", "a", "--role", "viewer", "--expires", "soon")):
        done = fleet.run(*args)
        check_equal((done.returncode, done.stdout), (2, ""), f"{args}: {done.stderr}")
    check_equal(fleet.run("key", "revoke", "nobody").returncode, 1, "nobody's")
    fleet.console()
    check_equal(fleet.get("/api/session", admin).status, 401, "the revoked one")
    check_equal(fleet.get("/api/session", spare).json["role"], "admin", "the new one")
    shown = fleet.run("command-key", "show")
    check_in('"kty":"OKP"', shown.stdout, "command-key show")
    check_equal(fleet.run("key", "show").stdout, shown.stdout, "key show")


def root_leaves_nothing_of_roots(lab):
    """What root makes in the directory of the console's user is that user's."""
    if os.geteuid() != 0:
        raise harness.Skip("only root can become another user")
    fleet = Fleet(lab)
    os.mkdir(fleet.data, 0o700)
    os.chown(fleet.data, 65534, 65534)
    fleet.secret("init")
    for name in os.listdir(fleet.data):
        check_equal(os.stat(os.path.join(fleet.data, name)).st_uid, 65534, f"the owner of {name}")


def a_console_without_keys_says_what_to_do(lab):
    console = Fleet(lab).console()
    check_in("fleet-console init", console.log(), "the log")


if __name__ == "__main__":
    harness.main([from_the_first_key_to_the_last, a_limited_key_reaches_what_it_names, the_console_has_its_directory_alone,
                  root_leaves_nothing_of_roots, a_console_without_keys_says_what_to_do])

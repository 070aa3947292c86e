"""app-a 2.0.0 as a server has it, releases of it as its vendor makes them, a web server that has them, and looks at what an
update left."""
import hashlib
import io
import os
import tarfile
import threading

from harness import check, check_equal
from network_peers import Source, head, part, whole

AGENT = "agent-001"


def release(version, broken=False, padding=0):
    """A tar.gz in one directory, as most releases are."""
    files = [("program", b"new " + version.encode()), ("version", version.encode() + b"\n")]
    if broken:
        files.append(("broken", b""))
    if padding:
        files.append(("padding", os.urandom(padding)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in files:
            info = tarfile.TarInfo(f"app-a-{version}/{name}")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Web:
    """Serves bytes by path. Of those in `halted` half comes at first, and the rest when `go` is set."""

    def __init__(self, lab):
        self.files, self.halted, self.go = {}, set(), threading.Event()
        lab.later.append(self.go.set)
        self.source = Source(lab, self.answer)
        self.url = self.source.url

    def put(self, name, data):
        self.files["/" + name] = data
        return f"{self.url}/{name}"

    def answer(self, asked, connection):
        body = self.files.get(asked.path.split("?")[0])
        if body is None:
            connection.sendall(head(404, "Content-Length: 0"))
        elif asked.path in self.halted and not self.go.is_set():
            connection.sendall(head(200, f"Content-Length: {len(body)}", 'ETag: "one"') + body[:len(body) // 2])
            self.go.wait(60)
            connection.sendall(body[len(body) // 2:])
        elif asked.first_byte():
            part(connection, body, asked.first_byte(), 'ETag: "one"')
        else:
            whole(connection, body, 'ETag: "one"')

    def requests(self, name):
        return sum(a.path == "/" + name for a in self.source.asked)


def app(lab, extra=""):
    """app-a 2.0.0 on disk, which does not come up while its tree holds a file named broken; its YAML."""
    tree = lab.path("srv", "app-a")
    os.makedirs(os.path.join(tree, "data"))
    for name, text in (("program", "old"), ("version", "2.0.0\n"), ("app.json", '{"a": 1}'), ("data/db", "written")):
        with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
            f.write(text)
    return lab.simulated("app-a", config=None, fail_start=os.path.join(tree, "broken"), extra=(
        f"binary_path: {tree}\nconfig_path: {tree}/app.json\nconfig_driver: json-config\nversion_file: {tree}/version\n"
        f"preserve: [data]\nhealth_check: {{settle: 100ms}}\n{extra}"))


def in_place(lab, version):
    """The tree is of this version, whole, and nothing is left beside it but the version before."""
    tree = lab.path("srv", "app-a")
    check_equal(lab.read("srv/app-a/version"), version + "\n", "its version file")
    check_equal(lab.read("srv/app-a/program"), "old" if version == "2.0.0" else "new " + version, "the program")
    check_equal(lab.read("srv/app-a/app.json"), '{"a": 1}', "the config")
    check_equal(lab.read("srv/app-a/data/db"), "written", "what the app wrote")
    beside = os.path.join(os.path.dirname(tree), ".app-a.fleet")
    left = sorted(os.listdir(beside)) if os.path.isdir(beside) else []
    check(set(left) <= {"previous", "previous.json"}, f"beside the tree there is {left}")


def begin(lab):
    """A console, an agent with app-a, fleetctl logged in."""
    web = Web(lab)
    console = lab.console()
    agent = lab.agent(AGENT, [app(lab)])
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    return web, console, agent


def update(lab, version, *options, code=0):
    """fleetctl apps update --wait; (stdout, stderr)."""
    done = lab.ctl("apps", "update", AGENT, "app-a", "--version", version, *options, "--wait", timeout=120)
    check_equal(done.returncode, code, f"update to {version}: {done.stdout!r} {done.stderr!r}")
    return done.stdout, done.stderr


def last_command(lab):
    return lab.api("/api/commands?limit=1")[0]


def one_result(lab, command_id):
    """Exactly one outcome is in the audit log, and the chain holds."""
    events = [e for e in lab.audit(commandId=command_id, category="update") if "state" in e.get("details", {})]
    check_equal(len(events), 1, f"outcomes of {command_id}: {[e['message'] for e in events]}")
    return events[0]

#!/usr/bin/python3
"""Updates as an operator sees them: fleetctl, the console, an agent and its driver host, all of them real. Releases come
from a web server, from a registered URL and from the console itself; programs die and the link is cut meanwhile."""
import hashlib
import io
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402
from network_peers import Source, head, part, whole  # noqa: E402

AGENT = "agent-001"
LARGE = int(os.environ.get("FLEET_TEST_ARTIFACT_MB", "120")) << 20
MEMORY_MAX_KB = 12 * 1024
KEYS = {"operator": "operator-key-0123456789", "viewer": "viewer-key-0123456789", AGENT: "agent-key-one-0123456789",
        "agent-002": "agent-key-two-0123456789"}
FILE_ROUTE = "/api/artifacts/%s/file"


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


def from_a_url_and_back(lab):
    """Story 4: the sentences, the steps, the version in the heartbeat, and the way back."""
    web, _, _ = begin(lab)
    data = release("2.1.0", padding=300_000)
    out, err = update(lab, "2.1.0", "--artifact", web.put("a.tar.gz?token=hunter2", data), "--sha256", sha256(data), code=3)
    check_in("Update failed for app-a on agent-001: the download failed", err, "a URL that is none")
    in_place(lab, "2.0.0")
    url = web.put("a.tar.gz", data) + "?token=hunter2"
    out, err = update(lab, "2.1.0", "--artifact", url, "--sha256", sha256(data).upper())
    check_in("Update command sent: app-a → v2.1.0 on agent-001.\napp-a is v2.1.0 (was 2.0.0): Running, healthy, pid ", out,
             "what is said")
    check_in(", down ", out, "how long it was down")
    check_in("]. Back: fleetctl apps rollback agent-001 app-a\n", out, "how to go back")
    check("no checksum" not in out, f"it had a checksum: {out}")
    for step in ("download", "verify", "unpack", "stop", "swap", "start", "health"):
        check_in(f"  {step}", err, "the steps on stderr")
    check("\x1b" not in err and "\r" not in err, f"control sequences in a file: {err!r}")
    in_place(lab, "2.1.0")
    command = last_command(lab)
    check_equal((command["fromVersion"], command["toVersion"]), ("2.0.0", "2.1.0"), "versions")
    lab.until("the heartbeat tells the version", lambda: lab.app(AGENT, "app-a").get("version") == "2.1.0")
    event = one_result(lab, command["commandId"])
    check_equal(event["message"], "app-a updated on agent-001 by operator@cli: 2.0.0 to 2.1.0", "the audit log")
    everything = json.dumps(lab.audit()) + json.dumps(lab.api("/api/commands")) + "".join(p.log() for p in lab.processes)
    check("hunter2" not in everything, "a query string is in a record")
    done = lab.ctl("apps", "rollback", AGENT, "app-a", "--wait")
    check_equal(done.returncode, 0, f"rollback: {done.stderr}")
    check_in("Rollback command sent to app-a on agent-001.\napp-a is v2.0.0 (was 2.1.0): Running, healthy", done.stdout, "back")
    in_place(lab, "2.0.0")
    out, _ = update(lab, "2.1.0", "--artifact", url)
    check_in("no checksum", out, "the result")
    check_in("(no checksum)", one_result(lab, last_command(lab)["commandId"])["message"], "the audit log")
    requested = lab.audit(commandId=last_command(lab)["commandId"], category="request")
    check_in("to 2.1.0 (no checksum)", requested[0]["message"], "who asked")


def packed(lab, kind, version):
    """A release of app-a, packed by the tool of its kind, as its vendor would."""
    folder, name = lab.path("packed", version), f"app-a-{version}"
    tree = os.path.join(folder, name)
    os.makedirs(tree)
    for file, text in (("program", "new " + version), ("version", version + "\n")):
        with open(os.path.join(tree, file), "w", encoding="utf-8") as f:
            f.write(text)
    out = os.path.join(folder, "release")
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for file in ("program", "version"):
                z.write(os.path.join(tree, file), f"{name}/{file}")
    else:
        packer = {"tar.gz": "gzip", "tar.xz": "xz", "tar.zst": "zstd"}.get(kind)
        if packer and not shutil.which(packer):
            return None
        subprocess.run(["tar", "-C", folder, *(["-I", packer] if packer else []), "-cf", out, name], check=True)
    with open(out, "rb") as f:
        return f.read()


def every_kind_of_archive_is_taken(lab):
    web, _, _ = begin(lab)
    capability, before = file_capability(lab.path("srv/app-a/program")), "2.0.0"
    done = []
    for number, kind in enumerate(("tar.gz", "tar.xz", "tar.zst", "zip", "tar")):
        version = f"2.1.{number}"
        data = packed(lab, kind, version)
        if data is None:
            print(f"# no tool for {kind} here")
            continue
        # its name says nothing: what it is, its bytes say
        out, _ = update(lab, version, "--artifact", web.put(f"release-{number}", data), "--sha256", sha256(data))
        check_in(f"app-a is v{version} (was {before}): Running, healthy", out, kind)
        in_place(lab, version)
        if capability:
            check_equal(os.getxattr(lab.path("srv/app-a/program"), CAPABILITY), capability, f"the program's capability, {kind}")
        before = version
        done.append(kind)
    check(len(done) >= 4, f"archives that were tried: {done}")
    print(f"# {', '.join(done)}; file capabilities {'kept' if capability else 'not tried: not root, or no xattrs'}")


CAPABILITY = "security.capability"


def file_capability(path):
    """Gives a file CAP_NET_BIND_SERVICE, where that can be done; the attribute's bytes, or None."""
    value = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    try:
        os.setxattr(path, CAPABILITY, value)
    except OSError:
        return None
    return value


def one_file_is_a_release(lab):
    """An app that is one program: what is downloaded is the program itself, or an archive that holds it."""
    web = Web(lab)
    path = lab.write("srv/tool", "#!/bin/sh\necho 1.0.0\n", 0o750)
    os.makedirs(lab.path("apps"), exist_ok=True)
    os.chmod(path, 0o755)
    lab.console()
    lab.agent(AGENT, [lab.simulated("app-a", config=None, extra=(
        f"binary_path: {path}\nversion_command: [{path}]\nhealth_check: {{settle: 100ms}}\n"))])
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    capability = file_capability(path)
    plain = b"#!/bin/sh\necho 1.1.0\n"
    out, _ = update(lab, "1.1.0", "--artifact", web.put("tool", plain), "--sha256", sha256(plain))
    check_in("app-a is v1.1.0 (was 1.0.0): Running, healthy", out, "a plain file")
    check_equal(lab.read("srv/tool").encode(), plain, "its bytes")
    check_equal(os.stat(path).st_mode & 0o7777, 0o755, "its mode is the old one's")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, data in (("README", b"read me"), ("tool", b"#!/bin/sh\necho 1.2.0\n")):
            info = tarfile.TarInfo(f"tool-1.2.0/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out, _ = update(lab, "1.2.0", "--artifact", web.put("archive", archive.getvalue()))
    check_in("app-a is v1.2.0 (was 1.1.0): Running, healthy", out, "an archive that holds it")
    check_equal(lab.read("srv/tool"), "#!/bin/sh\necho 1.2.0\n", "its bytes")
    if capability:
        check_equal(os.getxattr(path, CAPABILITY), capability, "its capability")
    _, err = update(lab, "1.3.0", "--artifact", web.put("wrong", b"#!/bin/sh\necho 9.9.9\n"), code=3)
    check_in("asked for 1.3.0, but the release says 9.9.9", err, "a program of another version")
    check_in("Rolled back: 1.2.0 is Running, healthy", err, "and the old one is back")
    check_equal(lab.read("srv/tool"), "#!/bin/sh\necho 1.2.0\n", "its bytes")
    done = lab.ctl("apps", "rollback", AGENT, "app-a", "--wait")
    check_in("app-a is v1.1.0 (was 1.2.0)", done.stdout, f"a rollback: {done.stderr}")
    check_equal(lab.read("srv/tool").encode(), plain, "its bytes")


def what_goes_wrong_is_told_and_the_old_version_runs(lab):
    web, _, _ = begin(lab)
    broken, good = release("2.2.0", broken=True), release("2.1.0")
    before = lab.app(AGENT, "app-a")["pid"]
    _, err = update(lab, "2.2.0", "--artifact", web.put("broken", broken), code=3)
    check_in("Update failed for app-a on agent-001: health check failed\n", err, "the contract's sentence")
    check_in("Rolled back: 2.0.0 is Running, healthy", err, "what was done")
    check_in("Next: fleetctl commands show", err, "what to do next")
    command = last_command(lab)
    check(command["rolledBack"] and command["appHealthy"], f"the record: {command}")
    in_place(lab, "2.0.0")
    pid = lab.restarted(AGENT, "app-a", before)["pid"]
    for what, options, sentence in (
            ("a wrong checksum", ["--artifact", web.put("good", good), "--sha256", "0" * 64],
             "Update failed for app-a on agent-001: the artifact's checksum is not the one asked for"),
            ("no such file", ["--artifact", f"{web.url}/nothing"], "the download failed"),
            ("no archive", ["--artifact", web.put("text", b"hello")], "Update failed for app-a on agent-001: "),
            ("another version", ["--artifact", web.put("other", release("9.9"))], "2.1.0")):
        _, err = update(lab, "2.1.0", *options, code=3)
        check_in(sentence, err, what)
        in_place(lab, "2.0.0")
        one_result(lab, last_command(lab)["commandId"])
    old = web.put("old", release("1.9.0"))
    _, err = update(lab, "1.9.0", "--artifact", old, code=3)
    check_in("1.9.0 is older than 2.0.0, which is here; --allow-downgrade if that is meant", err, "a downgrade")
    check_equal(lab.app(AGENT, "app-a")["pid"], pid, "nothing of that touched the app: its pid")
    out, _ = update(lab, "1.9.0", "--artifact", old, "--allow-downgrade")
    check_in("app-a is v1.9.0 (was 2.0.0)", out, "a downgrade that is meant")
    in_place(lab, "1.9.0")


def what_a_crash_left_of_a_release_goes(lab):
    """Where the host did not come to it, the next update does."""
    web, _, _ = begin(lab)
    beside = lab.path("srv/.app-a.fleet")
    for name in ("new", "unpack"):
        os.makedirs(os.path.join(beside, name, "data"))
    os.chmod(beside, 0o700)
    update(lab, "2.1.0", "--artifact", web.put("a", release("2.1.0")))
    in_place(lab, "2.1.0")


def registered_releases_need_no_url(lab):
    web, _, _ = begin(lab)
    data, more = release("2.1.0"), release("2.2.0", padding=2_500_000)
    done = lab.ctl("apps", "update", AGENT, "app-a", "--version", "2.1.0", "--wait")
    check_equal((done.returncode, done.stdout), (1, ""), "an unknown version is refused")
    check_equal(done.stderr, "No artifact of app-a 2.1.0 is registered; there is none of this app.\n"
                "  Register it: fleetctl artifacts add app-a --help. Or say where it is: --artifact URL\n", "and how that is told")
    out = lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--url", web.put("a", data) + "?key=hunter2", "--sha256",
                     sha256(data))
    check_in(f"Artifact added: app-a 2.1.0, sha256 {sha256(data)} [", out, "added")
    done = lab.ctl("artifacts", "add", "app-a", "--version", "v2.1.0", "--url", web.url + "/b")
    check_equal(done.returncode, 1, "a version is registered once")
    check_in("is registered already", done.stderr, "and that is told")
    file = lab.path("app-a.tar.gz")
    with open(file, "wb") as f:
        f.write(more)
    out = lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.2.0", "--file", file)
    check_in(f"Artifact added: app-a 2.2.0, 2.4 MB, sha256 {sha256(more)} [", out, "a file in three parts")
    listed = lab.api("/api/artifacts")
    check_equal([a["version"] for a in listed], ["2.2.0", "2.1.0"], "the newest first")
    check("hunter2" not in json.dumps(listed) + json.dumps(lab.audit()), "a query string is shown")
    done = lab.ctl("apps", "update", AGENT, "app-a", "--version", "3")
    check_in("No artifact of app-a 3 is registered; there are: 2.2.0, 2.1.0.", done.stderr, "which there are")
    out, _ = update(lab, "v2.1.0")
    check_in("app-a is v2.1.0 (was 2.0.0)", out, "from the registered URL")
    check("no checksum" not in out, f"the registered checksum goes along: {out}")
    in_place(lab, "2.1.0")
    out, err = update(lab, "2.2.0")
    check_in("app-a is v2.2.0 (was 2.1.0)", out, "from the console")
    in_place(lab, "2.2.0")
    _, err = update(lab, "2.1.0", code=3)
    check_in("older than 2.2.0", err, "a registered downgrade")
    web.put("a", release("2.1.0", padding=10))
    _, err = update(lab, "2.1.0", "--allow-downgrade", code=3)
    check_in("checksum is not the one asked for", err, "what is there now is not what was registered")
    done = lab.ctl("apps", "update", AGENT, "app-a", "--version", "2.2.0", "--sha256", "0" * 64)
    check_in("registered with another sha256", done.stderr, "two checksums")
    table = lab.ctl_ok("artifacts", "list", "--app", "app-a")
    check_in("this console", table, "where the file is")
    ident = next(a["artifactId"] for a in listed if a["served"])
    check_equal(sha256(lab.get(FILE_ROUTE % ident).body), sha256(more), "the file itself")
    check_in("Removed: app-a 2.2.0 [", lab.ctl_ok("artifacts", "remove", ident[-6:]), "removed")
    lab.until("its file is gone", lambda: os.listdir(lab.path("console/artifacts")) == [])
    done = lab.ctl("artifacts", "remove", ident[-6:])
    check_equal((done.returncode, done.stderr), (1, f"Artifact '{ident[-6:]}' not found. Which there are: fleetctl artifacts "
                                                    "list\n"), "twice")
    said = [e["message"] for e in reversed(lab.audit(category="update", requests="false")) if e["message"].startswith("artifact ")]
    check_equal(said, [f"artifact app-a 2.1.0 registered by operator@cli: {web.url}/a",
                       f"artifact app-a 2.2.0 uploaded by operator@cli: {len(more)} bytes, sha256 {sha256(more)}",
                       "artifact app-a 2.2.0 removed by operator@cli"], "the audit log")


def parts_of_a_file_and_what_can_go_wrong_with_them(lab):
    console = lab.console()
    data = os.urandom(2_300_000)
    first, rest = data[:1 << 20], data[1 << 20:]

    def add(**more):
        return lab.post("/api/artifacts", {"appId": "app-a", "version": "1", "bytes": len(data), **more})

    def put(path, offset, body, kind="application/octet-stream"):
        return lab.request("PUT", f"{path}/file?offset={offset}", body, headers={"Content-Type": kind})

    for body, field in (({"bytes": 0}, "bytes"), ({"bytes": 1 << 33}, "bytes"), ({"url": "http://x/y"}, "url"),
                        ({"bytes": None, "url": "ftp://x/y"}, "url"), ({"sha256": "zz" * 32}, "sha256"),
                        ({"version": "a\nb"}, "version"), ({"appId": "../x"}, "appId")):
        body = {k: v for k, v in {"appId": "app-a", "version": "1", "bytes": 1, **body}.items() if v is not None}
        answer = lab.post("/api/artifacts", body)
        check_equal((answer.status, answer.json.get("field", "").split(".")[-1]), (400, field), f"{body}: {answer!r}")
    answer = add(sha256="0" * 64)
    check_equal(answer.status, 201, f"begun: {answer!r}")
    path = answer.headers["location"]
    check_equal((answer.json["state"], answer.json["receivedBytes"]), ("uploading", 0), "its state")
    check_equal(add().status, 409, "the same twice")
    check_equal(lab.api("/api/artifacts"), [], "it is not registered yet")
    check_equal(lab.get(f"{path}/file").status, 404, "nor to be had")
    check_equal(put(path, 0, first, "text/plain").status, 415, "another type")
    check_equal(put(path, 5, first).status, 409, "not from the beginning")
    check_equal(put(path, 0, b"").status, 400, "an empty part")
    check_equal(put(path, "x", first).status, 400, "an offset that is none")
    check_equal(put(path, 0, first).json["receivedBytes"], len(first), "received")
    again = put(path, 0, first)
    check_equal((again.status, again.json["receivedBytes"]), (409, len(first)), "a part that was sent twice")
    check_equal(put(path, len(first), first).status, 200, "the next part")
    check_equal(put(path, 2 * len(first), first).status, 400, "more than was said")
    answer = put(path, 2 * len(first), data[2 * len(first):])
    check_equal((answer.status, answer.json["type"].split("/")[-1]), (422, "hash-mismatch"), "another file than was said")
    check_equal(lab.get(path).status, 404, "and it is gone")
    lab.until("with its file", lambda: os.listdir(lab.path("console/artifacts")) == [])

    path = add().headers["location"]
    put(path, 0, first)
    console.kill()  # what an upload left behind goes with the next start
    console = lab.console()
    check_equal(os.listdir(lab.path("console/artifacts")), [], "left behind")
    check_equal(put(path, len(first), rest[:1000]).status, 404, "an upload that a restart cut off")
    path = add(sha256=sha256(data)).headers["location"]
    put(path, 0, first)
    put(path, len(first), rest[:len(first)])
    answer = put(path, 2 * len(first), rest[len(first):])
    check_equal((answer.status, answer.json["sha256"]), (201, sha256(data)), f"complete: {answer!r}")
    console.kill()
    lab.console()
    check_equal([a["sha256"] for a in lab.api("/api/artifacts")], [sha256(data)], "it is kept")
    whole_file = lab.get(f"{path}/file")
    check(whole_file.body == data, "the file differs")
    etag = whole_file.headers["etag"]
    for asked, status, expected in (("bytes=100-", 206, data[100:]), ("bytes=5-9", 206, data[5:10]),
                                    (f"bytes=0-{len(data) * 2}", 206, data), ("bytes=-5", 200, data), ("lines=1-", 200, data),
                                    ("bytes=9-5", 200, data), (f"bytes={len(data)}-", 416, None)):
        answer = lab.get(f"{path}/file", headers={"Range": asked})
        check_equal(answer.status, status, asked)
        check(expected is None or answer.body == expected, f"{asked}: {len(answer.body)} other bytes")
    answer = lab.get(f"{path}/file", headers={"Range": "bytes=100-", "If-Range": etag})
    check_equal((answer.status, answer.headers["content-range"]), (206, f"bytes 100-{len(data) - 1}/{len(data)}"), "If-Range")
    check_equal(lab.get(f"{path}/file", headers={"Range": "bytes=100-", "If-Range": '"x"'}).status, 200, "of another file")
    answer = lab.request("HEAD", f"{path}/file")
    check_equal((answer.status, answer.headers["content-length"], answer.body), (200, str(len(data)), b""), "HEAD")
    os.truncate(lab.path("console/artifacts", path.split("/")[-1]), 5)
    check_equal(lab.get(f"{path}/file").status, 503, "a file that is not what was registered")


def a_full_disk_is_told_before_the_file_comes(lab):
    folder = lab.path("console")
    os.makedirs(folder)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder],
                                           check=False, capture_output=True).returncode != 0:
        raise Skip("needs root, to mount a small tmpfs")
    lab.later.append(lambda: subprocess.run(["umount", "-l", folder], check=False))
    console = lab.console()
    file = lab.path("large")
    with open(file, "wb") as f:
        f.truncate(40 << 20)
    lab.ctl_ok("login", "--url", lab.url)
    done = lab.ctl("artifacts", "add", "app-a", "--version", "1", "--file", file)
    check_equal(done.returncode, 1, "no room for it")
    check_in("the console's disk is too full: the file has 40 MB", done.stderr, "why")
    check_equal(os.listdir(lab.path("console/artifacts")), [], "left there")
    with open(file, "wb") as f:
        f.write(b"small")
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "1", "--file", file)
    check_equal(console.stop(), 0, "the console's end")


def anonymous_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def a_large_file_passes_in_little_memory(lab):
    """In through fleetctl, out to four who read slowly: the console holds a part of each, never the file."""
    console = lab.console()
    lab.ctl_ok("login", "--url", lab.url)
    file = lab.path("large")
    with open(file, "wb") as f:
        for _ in range(LARGE >> 20):
            f.write(os.urandom(1 << 20))
    before = peak = anonymous_kb(console.pid)
    sending = subprocess.Popen([harness.program("fleetctl"), "artifacts", "add", "app-a", "--version", "1", "--file", file],
                               env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while sending.poll() is None:
        peak = max(peak, anonymous_kb(console.pid))
        time.sleep(0.005)  # between two looks
    check_equal(sending.returncode, 0, "the upload")
    came_in = peak - before
    ident = lab.api("/api/artifacts")[0]["artifactId"]
    readers = []
    for _ in range(4):
        s = socket.create_connection(("127.0.0.1", lab.port))
        s.sendall(f"GET {FILE_ROUTE % ident} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        readers.append([s, 0])
    answers = [s for s, _ in readers]
    while answers:
        for s in select.select(answers, [], [], harness.DEADLINE)[0]:
            data = s.recv(1 << 20)
            peak = max(peak, anonymous_kb(console.pid))
            check_equal(lab.get("/healthz").status, 200, "the console answers meanwhile")
            reader = next(r for r in readers if r[0] is s)
            reader[1] += len(data)
            if not data:
                answers.remove(s)
                s.close()
    for _, got in readers:
        check(LARGE < got < LARGE + 2000, f"an answer of {got} bytes")
    with open(f"/proc/{console.pid}/maps", encoding="utf-8") as f:
        maps = f.read()
        if "libasan" in maps or "libtsan" in maps:
            raise Skip("it came and went whole, but a sanitizer keeps what was freed")
    check(peak - before < MEMORY_MAX_KB, f"the console grew by {peak - before} KB")
    print(f"# {LARGE >> 20} MB: the console grew by {came_in} KB while it came, by {peak - before} KB in all")


def start_with_keys(lab):
    """A console that wants keys, and an agent that has one."""
    config = lab.write("console.yaml", "api_keys:\n" + "".join(
        f"  - {{name: {n}, role: {n}, key: {KEYS[n]}}}\n" for n in ("operator", "viewer"))
        + "agent_keys:\n" + "".join(f"  - {{agent_id: {a}, key: {KEYS[a]}}}\n" for a in (AGENT, "agent-002")), 0o600)
    lab.spawn("console", [harness.program("fleet-console"), "--config", config, "--listen", f"127.0.0.1:{lab.port}",
                          "--data-dir", lab.path("console")])
    lab.until("the console is ready", lambda: ready(lab))
    lab.write("apps.d/apps.yaml", "managed_apps:\n" + app(lab))
    env = lab.write("agent.env", f"FLEET_API_KEY={KEYS[AGENT]}\n", 0o600)
    lab.spawn(AGENT, [harness.program("fleet-agent"), "--dev", "--agent-id", AGENT, "--console-url", lab.url, "--data-dir",
                      lab.path(AGENT), "--apps-dir", lab.path("apps.d"), "--env-file", env])
    lab.until("the agent is there", lambda: [a for a in ask(lab, "operator", "/api/apps").json if a.get("status") == "running"])
    lab.ctl_ok("login", "--url", lab.url, "--api-key", KEYS["operator"])


def ready(lab):
    try:
        return lab.get("/readyz").status == 200
    except OSError:
        return False


def ask(lab, who, path, method="GET", body=None):
    return lab.request(method, path, body, headers={"Authorization": f"Bearer {KEYS[who]}"} if who else {})


def only_the_agent_that_installs_it_gets_the_file(lab):
    start_with_keys(lab)
    data = release("2.1.0", padding=1_500_000)
    file = lab.path("app-a.tar.gz")
    with open(file, "wb") as f:
        f.write(data)
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", file)
    artifact = ask(lab, "viewer", "/api/artifacts").json[0]
    path = FILE_ROUTE % artifact["artifactId"]
    for who, status in ((None, 401), ("viewer", 403), (AGENT, 403), ("agent-002", 403), ("operator", 200)):
        check_equal(ask(lab, who, path).status, status, f"the file for {who}")
    for who, status in ((None, 401), ("viewer", 403), (AGENT, 401)):
        check_equal(ask(lab, who, f"/api/artifacts/{artifact['artifactId']}", "DELETE").status, status, f"removal by {who}")
        check_equal(ask(lab, who, "/api/artifacts", "POST", {"appId": "x", "version": "1", "url": "http://x/"}).status, status,
                    f"addition by {who}")
    check_equal(ask(lab, AGENT, "/api/artifacts").status, 401, "an agent's key is none for the rest")
    out, _ = update(lab, "2.1.0")
    check_in("app-a is v2.1.0 (was 2.0.0)", out, "with the agent's own key")
    in_place(lab, "2.1.0")
    check_equal(ask(lab, AGENT, path).status, 403, "and when it has it, no more")


def asked_and_halted(lab, web, name, version):
    """An update whose download stands at half; its id."""
    web.halted.add("/" + name)
    url = web.put(name, release(version, padding=2_000_000))
    command = lab.command(AGENT, "update-app", appId="app-a", version=version, artifactUrl=url)
    lab.until("the download runs", lambda: web.requests(name) > 0)
    return command["commandId"]


def progress_is_seen_while_it_runs(lab):
    web, _, _ = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")

    def half():
        command = lab.api(f"/api/commands/{command_id}")
        return command["state"] == "running" and command.get("progress", {}).get("percent") is not None and command
    command = lab.until("the console tells how far it is", half)
    check_equal(command["progress"]["step"], "download", "the step")
    check(40 <= command["progress"]["percent"] <= 60, f"half of it: {command['progress']}")
    check_in("MB of ", command["progress"]["message"], "in words")
    check_in("Doing      download, ", lab.ctl_ok("commands", "show", command_id[-6:]), "commands show")
    done = lab.ctl("commands", "cancel", command_id[-6:])
    check_equal(done.returncode, 1, "a running one cannot be cancelled")
    check_in("only one that is still queued can be cancelled", done.stderr, "and that is told")
    waiting = subprocess.Popen([harness.program("fleetctl"), "commands", "wait", command_id[-6:]], env=lab.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        web.go.set()
        out, err = waiting.communicate(timeout=harness.DEADLINE)
    finally:
        waiting.kill()
    check_equal(waiting.returncode, 0, f"commands wait: {err}")
    check_in("app-a is v2.1.0 (was 2.0.0)", out, "commands wait tells the outcome")
    in_place(lab, "2.1.0")


def a_console_that_dies_meanwhile_hears_of_it(lab):
    web, console, _ = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")
    console.kill()
    console = lab.console()
    lab.online(AGENT)
    web.go.set()
    command = lab.outcome(command_id)
    check_equal((command["state"], command["toVersion"]), ("succeeded", "2.1.0"), f"its end: {command}")
    in_place(lab, "2.1.0")
    one_result(lab, command_id)


def half_of_the_file(lab, agent, command_id):
    """Stops the fetching process as soon as something of the file is there; how much, and the pid."""
    path = lab.path(AGENT, "fetch", command_id)

    def begun():
        for pid in agent.children():
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() == "fleet-fetch" and os.path.exists(path) and os.path.getsize(path) > 0:
                    os.kill(pid, signal.SIGSTOP)
                    return pid
        return None
    pid = lab.until("the download runs", begun, every=0.001)
    return os.path.getsize(path), pid


def a_console_that_dies_while_it_serves_goes_on_where_it_was(lab):
    _, console, agent = begin(lab)
    file = lab.path("file")
    with open(file, "wb") as f:
        f.write(release("2.1.0", padding=30_000_000))
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", file, timeout=120)
    command_id = lab.command(AGENT, "update-app", appId="app-a", version="2.1.0")["commandId"]
    have, pid = half_of_the_file(lab, agent, command_id)
    console.kill()
    console = lab.console()
    os.kill(pid, signal.SIGCONT)
    command = lab.outcome(command_id, 60)
    check_equal((command["state"], command["toVersion"]), ("succeeded", "2.1.0"), f"its end: {command}")
    in_place(lab, "2.1.0")
    one_result(lab, command_id)
    print(f"# cut after {have} of {os.path.getsize(file)} bytes")


def an_agent_that_dies_meanwhile_goes_on(lab):
    web, _, agent = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")
    lab.until("it is accepted", lambda: lab.api(f"/api/commands/{command_id}")["state"] in ("accepted", "running"))
    agent.kill()
    web.go.set()
    lab.agent(AGENT)
    command = lab.outcome(command_id, 60)
    check(command["state"] in ("succeeded", "failed"), f"its end: {command}")
    in_place(lab, "2.1.0" if command["state"] == "succeeded" else "2.0.0")
    lab.running(AGENT, "app-a")
    one_result(lab, command_id)
    print(f"# the update {command['state']}: {command.get('message')}")


def a_cut_for_the_whole_update_loses_nothing(lab):
    """The link is gone from the moment the server has the command until the app is updated."""
    web, console, _ = begin(lab)
    command_id = asked_and_halted(lab, web, "a", "2.1.0")
    lab.until("it is accepted", lambda: lab.api(f"/api/commands/{command_id}")["state"] in ("accepted", "running"))
    waiting = subprocess.Popen([harness.program("fleetctl"), "commands", "wait", command_id], env=lab.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        check(select.select([waiting.stderr], [], [], harness.DEADLINE)[0], "who waits tells of no progress")
        console.stop()
        web.go.set()
        lab.until("the app is updated all the same", lambda: lab.read("srv/app-a/version") == "2.1.0\n")
        lab.console()
        out, err = waiting.communicate(timeout=harness.DEADLINE)
    finally:
        waiting.kill()
    check_equal(waiting.returncode, 0, f"who waited: {err}")
    check_in("app-a is v2.1.0 (was 2.0.0)", out, "who waited hears of it")
    in_place(lab, "2.1.0")
    one_result(lab, command_id)


def what_an_update_needs_cannot_be_removed(lab):
    lab.console()
    agent = lab.agent(AGENT, [app(lab)])
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    file = lab.path("file")
    with open(file, "wb") as f:
        f.write(release("2.1.0"))
    lab.ctl_ok("artifacts", "add", "app-a", "--version", "2.1.0", "--file", file)
    ident = lab.api("/api/artifacts")[0]["artifactId"]
    agent.stop()
    lab.until("it is offline", lambda: not lab.api(f"/api/agents/{AGENT}")["isOnline"])
    command_id = lab.command(AGENT, "update-app", appId="app-a", version="2.1.0")["commandId"]
    done = lab.ctl("artifacts", "remove", ident[-6:])
    check_equal(done.returncode, 1, "it is needed")
    check_in(f"app-a 2.1.0 is needed for the update of agent-001 that has not ended (command {command_id})", done.stderr, "why")
    check_in("Cancelled: Update of app-a on agent-001", lab.ctl_ok("commands", "cancel", command_id[-6:]), "cancelled")
    check_equal(lab.api(f"/api/commands/{command_id}")["state"], "cancelled", "its state")
    lab.ctl_ok("artifacts", "remove", ident[-6:])
    table = lab.ctl_ok("apps", "list", "--problems")
    check_in("Running (offline)", table, "apps list tells of an agent that is away")
    check_equal(json.loads(lab.ctl_ok("apps", "list", "--status", "Failed", "--json")), [], "apps list --status")


if __name__ == "__main__":
    harness.main([
        from_a_url_and_back,
        every_kind_of_archive_is_taken,
        one_file_is_a_release,
        what_goes_wrong_is_told_and_the_old_version_runs,
        what_a_crash_left_of_a_release_goes,
        registered_releases_need_no_url,
        parts_of_a_file_and_what_can_go_wrong_with_them,
        a_full_disk_is_told_before_the_file_comes,
        a_large_file_passes_in_little_memory,
        only_the_agent_that_installs_it_gets_the_file,
        progress_is_seen_while_it_runs,
        a_console_that_dies_meanwhile_hears_of_it,
        a_console_that_dies_while_it_serves_goes_on_where_it_was,
        an_agent_that_dies_meanwhile_goes_on,
        a_cut_for_the_whole_update_loses_nothing,
        what_an_update_needs_cannot_be_removed,
    ])

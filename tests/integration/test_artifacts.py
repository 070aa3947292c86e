#!/usr/bin/python3
"""Releases that are registered with the console, or that it has itself: in, out, in parts, who gets them, and what cannot be
removed."""
import json
import os
import select
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402
from updates import AGENT, app, begin, in_place, release, sha256, update  # noqa: E402

LARGE = int(os.environ.get("FLEET_TEST_ARTIFACT_MB", "120")) << 20
MEMORY_MAX_KB = 12 * 1024
KEYS = {"operator": "operator-key-0123456789", "viewer": "viewer-key-0123456789", AGENT: "agent-key-one-0123456789",
        "agent-002": "agent-key-two-0123456789"}
FILE_ROUTE = "/api/artifacts/%s/file"


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
    harness.main([registered_releases_need_no_url, parts_of_a_file_and_what_can_go_wrong_with_them,
                  a_full_disk_is_told_before_the_file_comes, a_large_file_passes_in_little_memory,
                  only_the_agent_that_installs_it_gets_the_file, what_an_update_needs_cannot_be_removed])

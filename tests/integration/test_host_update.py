#!/usr/bin/python3
"""The real driver host updates an app, with the test in the agent's place: it hands over artifacts as descriptors, and
cuts in where it hurts. What the unit tests show step by step is shown here of the whole program: its memory while a
large release passes, full disks, signatures, and deaths at random moments."""
import contextlib
import io
import json
import os
import random
import shutil
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
import hostsocket  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402
from hostsocket import Key, command, stamp, uuid7  # noqa: E402

AGENT = "agent-001"
LARGE = int(os.environ.get("FLEET_TEST_ARTIFACT_MB", "120")) << 20
KILLS = int(os.environ.get("FLEET_TEST_KILLS", "8"))
MEMORY_MAX_KB = 20 * 1024


class UpdatingHost(hostsocket.Host):
    """Answers each fetch with a file, as the agent would after the download."""
    artifact = None

    def __init__(self, lab, yaml, more=()):
        self.more = list(more)
        super().__init__(lab, AGENT, [yaml])

    def start(self):
        self.arguments += self.more
        self.more = []
        super().start()

    def fetched(self, frame):
        answer = {"type": "fetched", "id": uuid7(), "ts": stamp(), "commandId": frame["commandId"],
                  "ok": self.artifact is not None}
        if self.artifact is None:
            answer["error"] = "404 Not Found"
        data = json.dumps(answer).encode()
        data = struct.pack(">I", len(data)) + data
        if self.artifact is None:
            self.socket.sendall(data)
            return
        with open(self.artifact, "rb") as f:
            socket.send_fds(self.socket, [data], [f.fileno()])

    def ask(self, key, action="update-app", **args):
        payload = command(AGENT, "app-a", action=action, args=args)
        self.command(key.sign(payload))
        return payload["commandId"]

    def finish(self, command_id, timeout=harness.DEADLINE):
        """Fetches on the way are answered; the result."""
        while True:
            frame = self.wait(f"fetch or result of {command_id}",
                              lambda f: f["type"] in ("fetch", "result") and f["commandId"] == command_id, timeout)
            if frame["type"] == "result":
                return frame
            self.fetched(frame)

    def update(self, key, version="2.1.0", **args):
        return self.finish(self.ask(key, version=version, artifactUrl="https://artifacts.example/app-a.tar.gz", **args))


def install(lab, extra="", place=None, arguments=()):
    """app-a 2.0.0, which does not come up while its tree holds a file named broken."""
    tree = os.path.join(place or lab.path("apps"), "app-a")
    os.makedirs(os.path.join(tree, "data"))
    for name, text in (("program", "old"), ("version", "2.0.0\n"), ("app.json", '{"a": 1}'), ("data/db", "written")):
        with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
            f.write(text)
    yaml = lab.simulated("app-a", config=None, fail_start=os.path.join(tree, "broken"), extra=(
        f"binary_path: {tree}\nconfig_path: {tree}/app.json\nversion_file: {tree}/version\npreserve: [data]\n"
        f"health_check: {{settle: 100ms}}\n{extra}"))
    key = Key()
    host = UpdatingHost(lab, yaml, arguments)
    begin(host, key)
    return tree, host, key


def begin(host, key):
    host.hello()
    host.send("keys", keys=[key.jwk()])
    host.running("app-a")


def release(lab, name="release.tar.gz", version="2.1.0", broken=False, more=()):
    """A tar of whatever compression the name says, or a zip."""
    path = lab.path(name)
    files = [("program", b"new " + version.encode()), ("version", version.encode() + b"\n"), ("app.json", b"{}"), *more]
    if broken:
        files.append(("broken", b""))
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for member, data in files:
                z.writestr(member, data)
        return path
    packing = {"gz": "gz", "xz": "xz"}.get(name.rsplit(".", 1)[1], "")
    with tarfile.open(path, f"w:{packing}") as tar:
        for member, data in files:
            info = tarfile.TarInfo(f"app-a-{version}/{member}")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return path


def read(*path):
    with contextlib.suppress(FileNotFoundError), open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()
    return None


def whole(tree, version):
    check_equal(read(tree, "program"), "old" if version == "2.0.0" else f"new {version}", "the program")
    check_equal(read(tree, "version"), f"{version}\n", "its version file")
    check_equal(read(tree, "app.json"), '{"a": 1}', "the config")
    check_equal(read(tree, "data/db"), "written", "what the app wrote")
    beside = os.path.join(os.path.dirname(tree), ".app-a.fleet")
    left = sorted(os.listdir(beside)) if os.path.isdir(beside) else []
    check(set(left) <= {"previous", "previous.json"}, f"beside the tree there is {left}")


def every_packing_is_taken(lab):
    tree, host, key = install(lab)
    names = ["a.tar.gz", "b.tar.xz", "c.tar", "d.zip"]
    if shutil.which("zstd"):
        names.append("e.tar.zst")
    for n, name in enumerate(names, 1):
        version = f"2.1.{n}"
        if name.endswith(".zst"):
            subprocess.run(["zstd", "-q", release(lab, "plain.tar", version), "-o", lab.path(name)], check=True)
            host.artifact = lab.path(name)
        else:
            host.artifact = release(lab, name, version)
        result = host.update(key, version)
        check(result["success"], f"{name}: {result}")
        check_equal((result.get("fromVersion"), result.get("toVersion")),
                    ("2.0.0" if n == 1 else f"2.1.{n - 1}", version), "versions of the result")
        whole(tree, version)
        check_equal(host.status("app-a")["version"], version, "version of the status")


def a_release_that_does_not_come_up_goes_back(lab):
    tree, host, key = install(lab)
    host.artifact = release(lab, broken=True)
    result = host.update(key)
    check_equal((result["success"], result["errorCode"], result["rolledBack"], result["appHealthy"]),
                (False, "unhealthy", True, True), "the result")
    check(result["message"].startswith("health check failed: "), result["message"])
    check_in("Rolled back: 2.0.0 is Running, healthy", result["message"], "the message")
    whole(tree, "2.0.0")
    host.running("app-a")
    host.artifact = release(lab)
    check(host.update(key)["success"], "the update after it")
    host.artifact = release(lab, version="2.2.0", broken=True)
    check_equal(host.update(key, "2.2.0")["success"], False, "the next one")
    whole(tree, "2.1.0")
    result = host.finish(host.ask(key, "rollback-app"))
    check(result["success"], f"the rollback: {result}")
    whole(tree, "2.0.0")


class Watch(threading.Thread):
    """The peak of each process's own memory below this one, by its name."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peaks, self.over = pid, {}, threading.Event()

    def look(self, pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                fields = dict(line.split(":", 1) for line in f)
            name = fields["Name"].strip()
            own = int(fields["RssAnon"].split()[0])
            self.peaks[name] = max(self.peaks.get(name, 0), own)
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                for child in f.read().split():
                    self.look(child)

    def run(self):
        while not self.over.wait(0.02):
            self.look(self.pid)


def memory_stays_flat_while_a_large_release_passes(lab):
    tree, host, key = install(lab)
    block = os.urandom(1 << 20)
    path = lab.path("large.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        for name, data in (("version", b"2.1.0\n"), ("program", b"new 2.1.0")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for n in range(LARGE >> 20):
            info = tarfile.TarInfo(f"part-{n}")
            info.size = len(block)
            tar.addfile(info, io.BytesIO(block))
    host.artifact = path
    watch = Watch(host.process.pid)
    watch.start()
    asked = host.ask(key, version="2.1.0", artifactUrl="https://artifacts.example/large")
    result = host.finish(asked, timeout=600)
    watch.over.set()
    watch.join()
    check(result["success"], f"the update: {result}")
    print(f"# {os.path.getsize(path) >> 20} MB: "
          + ", ".join(f"{name} {kb} KB" for name, kb in sorted(watch.peaks.items())) + f"; down {result['downMs']} ms")
    check_in("fleet-operation", watch.peaks, "processes that were seen")
    check_in("fleet-unpack", watch.peaks, "processes that were seen")
    if "libasan" in subprocess.run(["ldd", harness.program("fleet-driver-host")], capture_output=True, text=True).stdout:
        return  # the sanitizer's own memory is most of it
    for name, kb in watch.peaks.items():
        check(kb < MEMORY_MAX_KB, f"{name} took {kb} KB")


@contextlib.contextmanager
def small_disk(lab, name, size):
    folder = lab.path(name)
    os.makedirs(folder)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
                                           capture_output=True).returncode != 0:
        raise Skip("needs root, to mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def a_full_disk_is_told_and_the_app_runs_on(lab):
    """Where artifacts are copied to, and where releases are unpacked; nothing was stopped for it."""
    random_bytes = os.urandom(6 << 20)
    for name in ("host/staging", "small"):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(small_disk(lab, name, "8m"))
            tree, host, key = install(lab, place=folder if name == "small" else lab.path("elsewhere"))
            host.artifact = release(lab, f"{os.path.basename(name)}.tar", more=[("big", random_bytes), ("big2", random_bytes)])
            result = host.update(key)
            check_equal((result["success"], result["errorCode"]), (False, "no-space"), f"{name}: {result}")
            check_in("no room for", result["message"], "the message")
            check(not any(s["step"] == "stop" for s in result["steps"]), "the app was stopped for nothing")
            whole(tree, "2.0.0")
            host.running("app-a")
            host.kill()


def only_signed_releases_where_the_admin_says_so(lab):
    if not shutil.which("minisign"):
        raise Skip("needs minisign")
    keys = lab.path("trusted-keys.d")
    os.makedirs(keys)
    for name, folder in (("ours", keys), ("other", lab.path("."))):
        subprocess.run(["minisign", "-G", "-W", "-p", os.path.join(folder, name + ".pub"), "-s", lab.path(name + ".key")],
                       check=True, capture_output=True)
    os.chmod(os.path.join(keys, "ours.pub"), 0o644)
    tree, host, key = install(lab, arguments=["--trusted-keys", keys])

    def sign(who, path):
        subprocess.run(["minisign", "-S", "-H", "-s", lab.path(who + ".key"), "-m", path, "-x", lab.path("sig"), "-t", "app-a"],
                       check=True, capture_output=True)
        return read(lab.path("sig"))

    host.artifact = release(lab)
    another = release(lab, "another.tar.gz", version="2.1.0", more=[("x", b"x")])
    for what, arguments in (("no signature", {}), ("another's", {"signature": sign("other", host.artifact)}),
                            ("of another file", {"signature": sign("ours", another)}), ("nonsense", {"signature": "nonsense"})):
        result = host.update(key, **arguments)
        check_equal((result["success"], result["errorCode"]), (False, "bad-signature"), what)
        whole(tree, "2.0.0")
    result = host.update(key, signature=sign("ours", host.artifact))
    check(result["success"], f"the signed one: {result}")
    whole(tree, "2.1.0")


def deaths_at_random_moments_leave_one_whole_version(lab):
    """kill -9 of the host, whatever it does just then; the next one finishes or undoes."""
    tree, host, key = install(lab)
    seed = int(os.environ.get("FLEET_TEST_SEED", str(random.randrange(1 << 32))))
    print(f"# seed {seed}")
    dice = random.Random(seed)
    good = bad = 0
    for n in range(1, KILLS + 1):
        version = f"3.0.{n}"
        before = read(tree, "version").strip()
        broken = dice.random() < 0.4
        host.artifact = release(lab, version=version, broken=broken)
        asked = host.ask(key, version=version, artifactUrl="https://artifacts.example/a")
        host.fetched(host.wait("fetch", lambda f, a=asked: f["type"] == "fetch" and f["commandId"] == a))
        time.sleep(dice.random() * 0.5)  # the moment itself: any will do
        host.kill()
        host.start()
        begin(host, key)
        result = host.finish(asked)
        check(not (broken and result["success"]), f"a broken release is no success: {result}")
        whole(tree, version if result["success"] else before)
        host.running("app-a")
        good += result["success"]
        bad += not result["success"]
    print(f"# {KILLS} kills: {good} went on to the new version, {bad} stayed with the old one")


if __name__ == "__main__":
    harness.main([
        every_packing_is_taken,
        a_release_that_does_not_come_up_goes_back,
        memory_stays_flat_while_a_large_release_passes,
        a_full_disk_is_told_and_the_app_runs_on,
        only_signed_releases_where_the_admin_says_so,
        deaths_at_random_moments_leave_one_whole_version,
    ])

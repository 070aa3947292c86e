#!/usr/bin/python3
"""Updates as an operator sees them: fleetctl, the console, an agent and its driver host, all of them real."""
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from updates import AGENT, Web, begin, in_place, last_command, one_result, release, sha256, update  # noqa: E402


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


if __name__ == "__main__":
    harness.main([from_a_url_and_back, every_kind_of_archive_is_taken, one_file_is_a_release,
                  what_goes_wrong_is_told_and_the_old_version_runs, what_a_crash_left_of_a_release_goes])

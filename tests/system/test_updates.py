#!/usr/bin/python3
"""The contract's story 4 on a real server: PHP's own web server, in two versions from Debian's archive, is updated, rolled
back, and given every kind of release that is no good. Each time the old version runs on, and the operator reads why."""
import os
import re
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packages  # noqa: E402
import releases  # noqa: E402
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

PAGE = b"<?php echo 'PHP ', PHP_VERSION;\n"
SERVICE = """[Service]
User=web
ExecStart=/opt/web/bin/php -n -S 127.0.0.1:8080 -t /opt/web/www
"""
APPS = """managed_apps:
  - id: web
    service_name: web.service
    binary_path: /opt/web/
    config_path: /opt/web/settings.json
    version_command: [/opt/web/bin/php, -n, -r, "echo PHP_VERSION;"]
    preserve: [data/]
    health_check: {url: "http://127.0.0.1:8080/", timeout: 8s, settle: 3s}
"""


class Php:
    """The two versions, as their own -v tells them, and their releases."""
    old = new = ""
    archives = {}


def release(binary, page=PAGE, **more):
    files = {"bin/php": (binary, 0o755), "www/index.php": page, "settings.json": b'{"from": "release"}\n'}
    return releases.tree({**files, **more})


def set_up(fleet):
    server = fleet.agents[0]
    packages.install(server, set_up.debs)
    binaries = {}
    for package_version, folder in set_up.versions:
        with open(os.path.join(folder, "usr/bin/php8.2"), "rb") as f:
            binaries[re.match(r"[\d.]+", package_version).group(0)] = f.read()
    Php.old, Php.new = binaries
    Php.binary = binaries[Php.new]
    Php.archives = {v: release(b, **{f"lib/only-in-{v}": b"x"}) for v, b in binaries.items()}
    server.sh("useradd --system --no-create-home web; mkdir -p /opt/web/data")
    server.push("/etc/systemd/system/web.service", SERVICE)
    fleet.install_console()
    Php.shelf = releases.Shelf(fleet.console_server)
    # The first installation is the admin's.
    Php.urls = {v: Php.shelf.put(f"web-{v}.tar.gz", a) for v, a in Php.archives.items()}
    server.sh(f"cd /opt/web; curl -fsS {Php.urls[Php.old]} | tar -xz --strip-components=1 --no-same-owner; "
              "chown -R web: data settings.json; chmod 755 bin/php; systemctl daemon-reload; systemctl enable --now web.service")
    server.push("/opt/web/settings.json", '{"from": "admin"}\n', mode="640", owner="web:web")
    server.push("/opt/web/data/rows", "one\ntwo\n", owner="web:web")
    fleet.install_agent(server, APPS)
    fleet.ctl_ok("login", "--url", fleet.url, "--api-key", fleet.KEY)
    fleet.online(server.name, timeout=60)
    fleet.running(server.name, "web", timeout=60)


set_up.debs = set_up.versions = None


def serves(server):
    return server.exec("curl", "-fsS", "-m", "5", "http://127.0.0.1:8080/", check=False).stdout


def update(fleet, version, url, *more, timeout=120):
    return fleet.ctl("apps", "update", fleet.agents[0].name, "web", "--version", version, "--artifact", url, *more, "--wait",
                     timeout=timeout)


def whole(server, version):
    """One version, all of it, with the app's own files, and nothing lying about."""
    check_equal(serves(server), f"PHP {version}", "what is served")
    other = Php.new if version == Php.old else Php.old
    check_equal(server.sh("ls /opt/web/lib").split(), [f"only-in-{version}"], f"files of {version}, none of {other}")
    check_equal(server.sh("find /opt/web -perm /6000"), "", "what runs as somebody else than who starts it")
    check_equal(server.read("/opt/web/settings.json"), '{"from": "admin"}\n', "the config")
    check_equal(server.sh("stat -c '%U %a' /opt/web/settings.json"), "web 640\n", "owner and mode of the config")
    check_equal(server.read("/opt/web/data/rows"), "one\ntwo\n", "what the app wrote")
    check_equal(server.sh("ls -A /var/lib/fleet-driver-host/staging 2>/dev/null || true").split(), [], "staging")
    left = server.sh("ls -A /opt/.web.fleet 2>/dev/null || true").split()
    check(set(left) <= {"previous", "previous.json"}, f"what lies beside the tree: {left}")


def agents_see_the_old_version(fleet):
    server = fleet.agents[0]
    fleet.until("the version is told", lambda: fleet.app(server.name, "web").get("version") == Php.old)
    whole(server, Php.old)


def story_4_the_canary(fleet):
    server = fleet.agents[0]
    began = time.monotonic()
    done = update(fleet, Php.new, Php.urls[Php.new], "--sha256", releases.sha256(Php.archives[Php.new]))
    took = time.monotonic() - began
    check_equal(done.returncode, 0, f"exit status ({done.stdout!r} {done.stderr!r})")
    check_in(f"Update command sent: web → v{Php.new} on {server.name}.", done.stdout, "what the operator reads")
    check(took < 60, f"the update took {took:.0f} s, story 4 accepts 60")
    print(f"# {Php.old} to {Php.new} in {took:.1f} s; {done.stdout.strip().splitlines()[-1]}")
    whole(server, Php.new)
    fleet.until("the heartbeat tells the new version", lambda: fleet.app(server.name, "web").get("version") == Php.new)
    command = fleet.api("/api/commands?appId=web&limit=1")[0]
    said = [e["message"] for e in reversed(fleet.audit(commandId=command["commandId"], category="update"))]
    for step in ("download", "stopping", "takes the place", "starting", "updated on"):
        check(any(step in m for m in said), f"no {step!r} in the audit log: {said}")
    check(not any("no checksum" in m for m in said), f"a checksum was given: {said}")


def back_to_the_version_before(fleet):
    server = fleet.agents[0]
    ended = fleet.outcome(fleet.command(server.name, "rollback-app", appId="web")["commandId"], timeout=60)
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    check_equal((ended["fromVersion"], ended["toVersion"]), (Php.new, Php.old), "versions of the rollback")
    whole(server, Php.old)


# name, what the release is, what the operator reads, does the app stop meanwhile?
def bad_releases():
    script = lambda text: release(f"#!/bin/sh\n{text}\n".encode())  # noqa: E731
    with_entry = lambda info: releases.tree({"bin/php": (Php.binary, 0o755), "x": info})  # noqa: E731
    good = Php.archives[Php.new]
    return {
        "exits at once": (script("echo 'cannot open shared object' >&2; exit 3"), "status 3", True),
        "dies after two seconds": (script("sleep 2; exit 4"), "status 4", True),
        "never becomes healthy": (release(Php.binary, b"<?php http_response_code(503); echo 'not yet';\n"), "503", True),
        "cut off": (good[:-100000], "damaged", False),
        "turned over in one bit": (good[:500000] + bytes([good[500000] ^ 1]) + good[500001:], "cannot be unpacked", False),
        "no archive": (b"<html>404 not found</html>", "none of tar", False),
        "empty": (releases.tree({}), "empty", False),
        "dot dot": (with_entry(releases.entry("release/../../etc/x", tarfile.REGTYPE)), "..", False),
        "absolute": (with_entry(releases.entry("/etc/fleet-was-here", tarfile.REGTYPE)), "/etc/fleet-was-here", False),
        "symlink out": (with_entry(releases.entry("release/x", tarfile.SYMTYPE, "../../../etc/shadow")), "link", False),
        "absolute symlink": (with_entry(releases.entry("release/x", tarfile.SYMTYPE, "/etc/shadow")), "link", False),
        "hard link out": (with_entry(releases.entry("release/x", tarfile.LNKTYPE, "../../etc/shadow")), "link", False),
        "setuid": (releases.tree({"bin/php": (Php.binary, 0o4755)}), "setuid", False),
        "device": (with_entry(releases.entry("release/x", tarfile.CHRTYPE)), "device", False),
        "a million entries": (releases.many_entries(1000000), "entries", False),
        "bomb": (releases.bomb(4), "bomb", False),
    }


def releases_that_are_no_good(fleet):
    """The old version runs on (not even stopped, where looking at the archive is enough), and one sentence says why."""
    server = fleet.agents[0]
    for name, (archive, words, stops) in bad_releases().items():
        pid = server.main_pid("web.service")
        url = Php.shelf.put("bad.tar.gz", archive)
        began = time.monotonic()
        done = update(fleet, Php.new, url)
        said = done.stdout + done.stderr
        print(f"# {name} ({time.monotonic() - began:.1f} s): {done.stderr.strip().splitlines()[-2:]}")
        check_equal(done.returncode, 3, f"{name}: exit status ({said!r})")
        check_in(f"Update failed for web on {server.name}: " + ("health check failed" if stops else ""), said, name)
        check_in(words, said, name)
        whole(server, Php.old)
        check_equal(server.main_pid("web.service") == pid, not stops, f"{name}: the app ran through")
    check_equal(server.sh("ls /etc/fleet-was-here /etc/x 2>/dev/null || true"), "", "what escaped")


def a_version_that_disagrees(fleet):
    server = fleet.agents[0]
    done = update(fleet, "8.9.0", Php.urls[Php.new])
    check_equal(done.returncode, 3, f"exit status ({done.stdout!r} {done.stderr!r})")
    check_in(f"asked for 8.9.0, but the release says {Php.new}", done.stderr + done.stdout, "what the operator reads")
    whole(server, Php.old)


def a_checksum_that_disagrees(fleet):
    server = fleet.agents[0]
    pid = server.main_pid("web.service")
    done = update(fleet, Php.new, Php.urls[Php.new], "--sha256", "0" * 64)
    check_equal(done.returncode, 3, f"exit status ({done.stdout!r} {done.stderr!r})")
    check_in("checksum", done.stderr + done.stdout, "what the operator reads")
    check_equal(server.main_pid("web.service"), pid, "pid")
    whole(server, Php.old)


def signatures_where_the_admin_wants_them(fleet):
    """minisign makes keys and signatures; the driver host wants a good one as soon as a key is trusted."""
    server = fleet.agents[0]
    pid = server.main_pid("web.service")
    archive = Php.archives[Php.new]
    server.sh("mkdir -p /root/keys; cd /root/keys; for k in good other; do minisign -G -W -f -p $k.pub -s $k.key >/dev/null; done; "
              "mkdir -p /etc/fleet-agent/trusted-keys.d; cp good.pub /etc/fleet-agent/trusted-keys.d/")
    server.sh(f"cd /root/keys; curl -fsS -o a.tar.gz {Php.urls[Php.new]}; "
              "for k in good other; do minisign -S -s $k.key -x $k.minisig -m a.tar.gz >/dev/null </dev/null; done; "
              "cp good.minisig late.minisig; echo more >b.tar.gz; minisign -S -s good.key -x stranger.minisig -m b.tar.gz >/dev/null")
    body = {"appId": "web", "version": Php.new, "artifactUrl": Php.urls[Php.new], "sha256": releases.sha256(archive)}
    for name, signature in (("none", None), ("of another key", server.read("/root/keys/other.minisig")),
                            ("of another file", server.read("/root/keys/stranger.minisig"))):
        more = {} if signature is None else {"signature": signature}
        ended = fleet.outcome(fleet.command(server.name, "update-app", **body, **more)["commandId"], timeout=60)
        check_equal((ended["state"], ended.get("errorCode")), ("failed", "bad-signature"), f"signature {name}: {servers.dump(ended)}")
        print(f"# signature {name}: {ended['message']}")
    check_equal(server.main_pid("web.service"), pid, "pid")
    whole(server, Php.old)
    ended = fleet.outcome(fleet.command(server.name, "update-app", **body,
                                        signature=server.read("/root/keys/good.minisig"))["commandId"], timeout=60)
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    whole(server, Php.new)


def downgrades_want_a_word(fleet):
    server = fleet.agents[0]
    server.sh("rm /etc/fleet-agent/trusted-keys.d/good.pub")
    done = update(fleet, Php.old, Php.urls[Php.old])
    check_equal(done.returncode, 3, f"exit status ({done.stdout!r} {done.stderr!r})")
    check_in("downgrade", done.stderr + done.stdout, "what the operator reads")
    whole(server, Php.new)
    ended = fleet.outcome(fleet.command(server.name, "update-app", appId="web", version=Php.old, artifactUrl=Php.urls[Php.old],
                                        allowDowngrade=True)["commandId"], timeout=60)
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    check_in("no checksum", ended["message"], "the result of an update without one")
    whole(server, Php.old)


def the_network_is_cut_for_the_whole_update(fleet):
    """The artifact is on the server's side of the cut; the app is updated all the same, and the result comes when the link is
    back."""
    server = fleet.agents[0]
    server.sh(f"mkdir -p /srv/near; curl -fsS -o /srv/near/web.tar.gz {Php.urls[Php.new]}; "
              "systemd-run -q --unit near /usr/bin/python3 -m http.server --directory /srv/near --bind 127.0.0.1 8001")
    fleet.until("the near server answers",
                lambda: server.exec("curl", "-fsSI", "http://127.0.0.1:8001/web.tar.gz", check=False).returncode == 0)
    server.exec("systemctl", "stop", "fleet-driver-host.service", "fleet-driver-host.socket")
    command = fleet.command(server.name, "update-app", appId="web", version=Php.new,
                            artifactUrl="http://127.0.0.1:8001/web.tar.gz")
    fleet.until("it was sent", lambda: fleet.api(f"/api/commands/{command['commandId']}")["state"] == "sent")
    server.exec("systemctl", "start", "fleet-driver-host.socket", "fleet-driver-host.service")
    fleet.until("it was accepted", lambda: fleet.api(f"/api/commands/{command['commandId']}")["state"] not in ("queued", "sent"))
    server.sh("ip link set eth0 down")
    try:
        fleet.until("the app is updated behind the cut", lambda: serves(server) == f"PHP {Php.new}", timeout=60)
        check(fleet.api(f"/api/commands/{command['commandId']}")["state"] not in ("succeeded", "failed"), "it is known already")
    finally:
        server.sh("ip link set eth0 up")
    ended = fleet.outcome(command["commandId"], timeout=120)
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    whole(server, Php.new)


def the_audit_log_holds_together(fleet):
    done = fleet.console_server.exec("/usr/bin/fleet-console", "audit", "verify", "--data-dir", "/var/lib/fleet-console",
                                     check=False)
    check_equal(done.returncode, 0, f"audit verify: {done.stdout}{done.stderr}")
    for command in fleet.api("/api/commands?appId=web&limit=1000"):
        outcomes = [e for e in fleet.audit(commandId=command["commandId"], category="update") if "step" not in e.get("details", {})]
        check_equal(len(outcomes), 1, f"outcomes of {command['commandId']}: {servers.dump(outcomes)}")


def make_fleet():
    set_up.versions = releases.two_versions("php8.2-cli")
    set_up.debs = packages.fetch("php8.2-cli")
    return servers.fleet_of("updates", 1, set_up)()


if __name__ == "__main__":
    sys.exit(servers.main(make_fleet, [
        agents_see_the_old_version,
        story_4_the_canary,
        back_to_the_version_before,
        releases_that_are_no_good,
        a_version_that_disagrees,
        a_checksum_that_disagrees,
        signatures_where_the_admin_wants_them,
        downgrades_want_a_word,
        the_network_is_cut_for_the_whole_update,
        the_audit_log_holds_together,
    ]))

#!/usr/bin/python3
"""The agent's package on the least system it is for, a minimal Debian with systemd, by dpkg alone; and the command line's archive on
one that has not even that. What is in them asks for nothing that an older Ubuntu lacks."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packages  # noqa: E402
from packages import harness  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402

VERSION = "1.0.0"
GLIBC_MAX = (2, 35)
BOOTSTRAP_SECONDS, BUILD_SECONDS = 1200, 1800
# What every Debian and Ubuntu server with systemd has.
EVERYWHERE = {"libc6", "libssl3", "libsystemd0", "libseccomp2", "liblzma5", "libzstd1", "zlib1g", "passwd", "systemd"}
# What other packages may want besides, which apt brings.
MORE = {"fleet-console": {"libwslay1"}, "fleet-agent-augeas": {"fleet-agent", "augeas-lenses", "libaugeas0", "libxml2"}}
# A function of each library that may be within a program, by the source it comes from.
WITHIN = {"curl": "curl_easy_init", "json-c": "json_object_put", "libarchive": "archive_read_new", "libevent": "event_base_new",
          "libyaml": "yaml_parser_delete", "sqlite3": "sqlite3_open_v2"}


def mirror():
    """(suite, URI) of the distribution's own archive, as apt has it; the suite's name from os-release."""
    release = dict(x.rstrip("\n").split("=", 1) for x in open("/etc/os-release", encoding="utf-8") if "=" in x)
    suite = release.get("VERSION_CODENAME", "").strip('"')
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for m in re.finditer(r"^deb (?:\[[^]]*\] )?(\S+) (\S+)|^URIs: (\S+)(?:\n.*?)*?^Suites: (.*)$", text, re.M):
            uri, suites = m.group(1) or m.group(3), (m.group(2) or m.group(4)).split()
            if suite and suite in suites:
                return suite, uri
    raise Skip("apt's configuration names no archive of this system")


def run(*argv, timeout=60, **kw):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False, **kw)


def bootstrap(*include):
    """A new minimal system; kept packed, since it costs a minute. Its directory is the caller's to remove."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise Skip("needs root and debootstrap")
    suite, uri = mirror()
    kept = os.path.join(harness.BUILDDIR, "tests/packages", f"minbase-{suite}-{'-'.join(include) or 'bare'}.tar")
    folder = tempfile.mkdtemp(prefix="fleet-minimal.")
    os.chmod(folder, 0o755)
    if not os.path.exists(kept):
        done = run("debootstrap", "--variant=minbase", *([f"--include={','.join(include)}"] if include else []), suite, folder, uri,
                   timeout=BOOTSTRAP_SECONDS)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise Skip(f"debootstrap failed: {(done.stdout + done.stderr).strip().splitlines()[-1:]}")
        run("chroot", folder, "apt-get", "clean")
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        check_equal(run("tar", "-C", folder, "-cf", kept + ".new", ".", timeout=120).returncode, 0, "tar")
        os.rename(kept + ".new", kept)
    else:
        check_equal(run("tar", "-C", folder, "-xpf", kept, timeout=120).returncode, 0, "tar")
    return folder


def inside(folder, command, timeout=120):
    return run("unshare", "--mount", "sh", "-c", 'mount -t proc proc "$1/proc"; exec chroot "$@"', "sh", folder, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "sh", "-ec", command, timeout=timeout)


def inside_ok(folder, command):
    done = inside(folder, command)
    check_equal(done.returncode, 0, f"{command}: {done.stdout[-800:]} {done.stderr[-800:]}")
    return done.stdout


def elf_files(folder):
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            if not os.path.islink(path):
                with open(path, "rb") as f:
                    if f.read(4) == b"\x7fELF":
                        yield path


def newest_glibc(path):
    """(version, symbol) of the newest symbol that it asks for."""
    asked = re.findall(r"\*UND\*.*?\(?GLIBC_([0-9.]+)\)?\s+(\S+)", run("objdump", "-T", path).stdout)
    return max(((tuple(map(int, v.split("."))), s) for v, s in asked), default=((0,), ""))


def asks_for_nothing_new(folder):
    count = 0
    for path in elf_files(folder):
        version, symbol = newest_glibc(path)
        check(version <= GLIBC_MAX, f"{path} asks for {symbol} of GLIBC_{'.'.join(map(str, version))}")
        count += 1
    check(count > 0, f"no program in {folder}")


def built():
    debs = packages.built(VERSION)
    if not packages.carries_its_libraries(debs["fleet-agent"]):
        raise Skip("the packages were built with the distribution's libraries: their sources could not be fetched")
    return debs


def agent():
    return built()["fleet-agent"]


def unpacked(lab, deb):
    folder = tempfile.mkdtemp(prefix="fleet-minimal.")
    lab.later.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    check_equal(run("dpkg-deb", "-x", deb, folder).returncode, 0, f"dpkg-deb -x {deb}")
    return folder


def packages_need_what_every_server_has(lab):
    for name, deb in built().items():
        depends = run("dpkg-deb", "-f", deb, "Depends").stdout
        names = {re.split(r"[ (|]", d.strip())[0] for d in depends.split(",")}
        check_equal(sorted(names - EVERYWHERE - MORE.get(name, set())), [], f"dependencies of {name} that not every server has ({depends.strip()})")
        asks_for_nothing_new(unpacked(lab, deb))


def packages_say_what_is_within_them(lab):
    """Built-Using names each library that is linked in, and no other: the functions are in what is for debuggers."""
    for name, deb in built().items():
        said = set(re.findall(r"([\w.+-]+) \(=", run("dpkg-deb", "-f", deb, "Built-Using").stdout))
        symbols = ""
        for path in elf_files(unpacked(lab, deb.replace(f"/{name}_", f"/{name}-dbgsym_"))):
            symbols += run("nm", "-P", path).stdout
        there = {source for source, function in WITHIN.items() if re.search(rf"^{function} [Tt] ", symbols, re.M)}
        check_equal(sorted(said - {"wslay"}), sorted(there), f"what {name} was built using")


def dpkg_alone_installs_it(lab):
    deb = agent()
    folder = bootstrap("systemd", "systemd-sysv")
    lab.later.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    before = set(inside_ok(folder, "dpkg-query -W -f '${Package}\\n'").split())
    shutil.copy(deb, os.path.join(folder, "root/agent.deb"))
    began = time.monotonic()
    inside_ok(folder, "dpkg -i /root/agent.deb")
    print(f"# dpkg -i took {time.monotonic() - began:.1f} s", flush=True)
    check_equal(set(inside_ok(folder, "dpkg-query -W -f '${Package}\\n'").split()) - before, {"fleet-agent"}, "packages that came")
    for program in ("fleet-agent", "fleet-driver-host"):
        check_equal(inside_ok(folder, f"/opt/fleet-agent/bin/{program} --version").split(), [program, VERSION], program)
    missing = inside(folder, "for f in /opt/fleet-agent/bin/* /opt/fleet-agent/lib/drivers/*.so; do ldd $f | grep 'not found' && echo $f; done; true").stdout
    check_equal(missing, "", "libraries that are not there")
    # Each driver is loaded, as `check` looks at them all.
    check_in("No problem found", inside_ok(folder, "printf 'managed_apps:\\n  - id: a\\n    service_name: a\\n    config_path: /etc/hostname\\n"
                                           "    config_driver: yaml-config\\n' >/root/a.yaml; fleet-agent check /root/a.yaml"), "fleet-agent check")
    check_in("FLEET_CONSOLE_URL is not set", inside(folder, "fleet-agent check").stdout, "a fresh agent.env")
    inside_ok(folder, "dpkg -P fleet-agent; test ! -e /opt/fleet-agent")


def the_command_line_needs_libc_alone(lab):
    archive = os.path.join(harness.BUILDDIR, "tests/packages", f"cli-{packages.tree_hash()}")
    if not os.path.isdir(archive):
        done = run(os.path.join(harness.SRCDIR, "packaging/build-cli.sh"), VERSION, "--output", archive + ".new", timeout=BUILD_SECONDS)
        if done.returncode == 75:
            raise Skip("the sources of the libraries cannot be fetched")
        check_equal(done.returncode, 0, f"packaging/build-cli.sh: {done.stdout[-800:]} {done.stderr[-800:]}")
        os.rename(archive + ".new", archive)
    folder = bootstrap()
    lab.later.append(lambda: shutil.rmtree(folder, ignore_errors=True))
    with tarfile.open(os.path.join(archive, "fleetctl-linux-x64.tar.gz")) as tar:
        names = tar.getnames()
        tar.extractall(os.path.join(folder, "root"))
    for name in ("fleetctl", "fleetctl.1", "fleetctl.md", "versions", "completion/bash/fleetctl", "completion/zsh/_fleetctl"):
        check_in("fleetctl-linux-x64/" + name, names, "the archive")
    asks_for_nothing_new(os.path.join(folder, "root"))
    check_equal(inside_ok(folder, "/root/fleetctl-linux-x64/fleetctl --version").split()[-1], VERSION, "version")
    lab.console()
    said = inside_ok(folder, f"export HOME=/root; f=/root/fleetctl-linux-x64/fleetctl; $f login --url {lab.url.replace('localhost', '127.0.0.1')}; $f agents list 2>&1")
    check_in("No agents", said.replace("No agent ", "No agents "), f"agents list ({said})")
    done = inside(folder, "HOME=/root /root/fleetctl-linux-x64/fleetctl login --url https://127.0.0.1:1")
    check_in("Cannot reach https://127.0.0.1:1", done.stderr, "TLS is there")


def the_kit_alone_makes_a_driver(lab):
    """On a system with a compiler and the kit; a package of what comes of it then serves an agent that has never seen either."""
    debs = built()
    workshop, server = bootstrap("gcc", "libc6-dev", "make", "pkg-config"), bootstrap("systemd", "systemd-sysv")
    for folder, deb in ((workshop, debs["libfleet-driver-dev"]), (server, debs["fleet-agent"])):
        lab.later.append(lambda f=folder: shutil.rmtree(f, ignore_errors=True))
        shutil.copy(deb, os.path.join(folder, "root/ours.deb"))
        inside_ok(folder, "dpkg -i /root/ours.deb")
    said = inside_ok(workshop, """cp -r /usr/share/fleet/driver-template /root/theirs; cd /root/theirs; make
        fleet-driver check ./keyvalue-config.so --samples samples
        into=pkg$(pkg-config --variable=driverdir fleet-driver); mkdir -p $into pkg/DEBIAN; cp keyvalue-config.so $into
        printf 'Package: theirs\nVersion: 1\nArchitecture: amd64\nDepends: fleet-agent\nMaintainer: them\nDescription: x\n' >pkg/DEBIAN/control
        dpkg-deb --build pkg /root/theirs.deb""")
    check("not ok" not in said, f"make and the conformance suite: {said[-600:]}")
    shutil.copy(os.path.join(workshop, "root/theirs.deb"), os.path.join(server, "root/theirs.deb"))
    declared = ("printf 'managed_apps:\n  - id: a\n    service_name: a\n    config_path: /etc/hostname\n    config_driver: keyvalue-config\n'"
                " >/root/a.yaml; fleet-agent check /root/a.yaml")
    check_in("keyvalue-config", inside(server, declared).stdout, "fleet-agent check before the driver is there")
    check_in("No problem found", inside_ok(server, f"dpkg -i /root/theirs.deb; {declared}"), "fleet-agent check with it")


if __name__ == "__main__":
    harness.main([packages_need_what_every_server_has, packages_say_what_is_within_them, dpkg_alone_installs_it, the_kit_alone_makes_a_driver,
                  the_command_line_needs_libc_alone])

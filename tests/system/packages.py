"""Packages for throwaway servers: our own, built once for each state of the tree, and real programs from the distribution,
fetched with apt. Both lie in the build tree and are installed inside a server as its admin would, so that the developer's
machine stays as it is."""
import glob
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import harness  # noqa: E402

FETCH_SECONDS = 300
BUILD_SECONDS = 1800
CANNOT_FETCH = 75  # packaging/static-libs.sh says so
OURS = ("fleet-agent", "fleet-agent-augeas", "fleet-console", "fleetctl", "libfleet-driver-dev")


def apt(*words):
    return subprocess.run(["apt-get", "-q", *words], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def fetch(*names):
    """Paths of the .deb files of these packages, and of what they need beyond what this machine has. Before the test
    enters a network of its own. Raises Skip where they cannot be had."""
    folder = os.path.join(harness.BUILDDIR, "tests/packages", "-".join(sorted(names))[:80])
    os.makedirs(os.path.join(folder, "partial"), exist_ok=True)
    words = ["install", "-y", "--download-only", "--no-install-recommends", "-o", f"Dir::Cache::archives={folder}",
             "-o", "Debug::NoLocking=1", *names]
    done = apt(*words)
    if done.returncode != 0:  # lists that are missing or too old
        apt("update")
        done = apt(*words)
    if done.returncode != 0:
        raise harness.Skip(f"apt cannot fetch {' '.join(names)}: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
    return sorted(glob.glob(os.path.join(folder, "*.deb")))


def install(server, debs):
    """In a booted server; services are started where the packages do that."""
    if not debs:
        return
    with subprocess.Popen(["tar", "-c", "-C", os.path.dirname(debs[0]), *map(os.path.basename, debs)],
                          stdout=subprocess.PIPE) as tar:
        server.exec("sh", "-ec", "mkdir -p /var/tmp/debs; tar -x -C /var/tmp/debs", stdin=tar.stdout)
    server.exec("sh", "-ec", "export DEBIAN_FRONTEND=noninteractive; dpkg -i --force-confold /var/tmp/debs/*.deb; rm -r /var/tmp/debs",
                timeout=300)


# -- our own ------------------------------------------------------------------------------------------------

def tree_hash():
    """Of every file that a package is made from."""
    if os.path.exists(os.path.join(harness.SRCDIR, ".git")):
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=harness.SRCDIR,
                                capture_output=True, check=True).stdout.decode().split("\0")
    else:
        listed = [os.path.relpath(path, harness.SRCDIR) for path in glob.glob(f"{harness.SRCDIR}/**", recursive=True)
                  if not path.startswith(os.path.join(harness.SRCDIR, "build/"))]
    total = hashlib.sha256()
    for name in sorted(filter(None, set(listed))):
        path = os.path.join(harness.SRCDIR, name)
        if os.path.isfile(path) and (not name.startswith("tests/") or name.endswith(".am")):
            with open(path, "rb") as f:
                total.update(name.encode() + b"\0" + hashlib.sha256(f.read()).digest())
    return total.hexdigest()[:12]


def built(version):
    """{name: path} of our packages of this version; with packaging/build-deb.sh where they are not there yet."""
    folder = os.path.join(harness.BUILDDIR, "tests/packages", f"fleet-{version}-{tree_hash()}")
    if not os.path.isdir(folder):
        # Without a network there are no sources of libraries; the packages then are those of this distribution.
        for more in ([], ["--shared"]):
            with subprocess.Popen([os.path.join(harness.SRCDIR, "packaging/build-deb.sh"), version, "--output", folder + ".new", *more],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as build:
                said = build.communicate(timeout=BUILD_SECONDS)[0]
            if build.returncode != CANNOT_FETCH:
                break
        harness.check_equal(build.returncode, 0, f"packaging/build-deb.sh {version}: {said[-1500:]}")
        os.rename(folder + ".new", folder)
    found = {name: glob.glob(os.path.join(folder, f"{name}_{version}_*.deb")) for name in OURS}
    harness.check(all(len(paths) == 1 for paths in found.values()), f"packages of {version}: {found}")
    return {name: paths[0] for name, paths in found.items()}


def carries_its_libraries(deb):
    """Built with packaging/static-libs.sh, and not with the distribution's libraries alone."""
    return bool(subprocess.run(["dpkg-deb", "-f", deb, "Built-Using"], capture_output=True, text=True, check=True).stdout.strip())

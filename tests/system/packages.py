"""Real programs from the distribution's packages, for throwaway servers alone: the packages are fetched with apt into the
build tree and installed inside a server as its admin would, so that the developer's machine stays as it is."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import harness  # noqa: E402

FETCH_SECONDS = 300


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

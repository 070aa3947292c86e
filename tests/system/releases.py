"""Releases for the system tests: archives as a build server would make them, and as an enemy would."""
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers  # noqa: E402

FOLDER = "/srv/releases"


class Shelf:
    """A web server on the console's machine that has releases."""

    def __init__(self, server):
        self.server = server
        server.push("/etc/systemd/system/releases.service",
                    f"[Service]\nExecStart=/usr/bin/python3 -m http.server --directory {FOLDER} 8000\n")
        server.sh(f"mkdir -p {FOLDER}; systemctl daemon-reload; systemctl start releases.service; "
                  "curl -fsS --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:8000/ >/dev/null")

    def put(self, name, data):
        """Its URL."""
        with tempfile.TemporaryFile() as f:
            f.write(data)
            f.seek(0)
            self.server.exec("sh", "-c", f"cat >{FOLDER}/{name}", stdin=f)
        return f"http://{self.server.address}:8000/{name}"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tree(files, top="release", compress="gz"):
    """A tar of {path: bytes or (bytes, mode) or TarInfo} below one directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compress}") as tar:
        for path, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            data, mode = content if isinstance(content, tuple) else (content, 0o644)
            info = tarfile.TarInfo(os.path.join(top, path) if top else path)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(name, kind, target="", mode=0o644):
    """An entry that is not what a release should hold."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = 1, 3
    return info


def many_entries(count):
    """A tar.gz of so many empty files."""
    head = bytearray(tarfile.TarInfo("release/f0000000").tobuf(tarfile.USTAR_FORMAT))
    plain = sum(head[:148]) + 8 * 32 + sum(head[156:]) - 7 * ord("0")
    packer = zlib.compressobj(1, wbits=31)
    out = []
    for n in range(count):
        digits = b"%07d" % n
        head[9:16] = digits
        head[148:156] = b"%06o\0 " % (plain + sum(digits))
        out.append(packer.compress(bytes(head)))
    out += [packer.compress(bytes(1024)), packer.flush()]
    return b"".join(out)


def bomb(gigabytes):
    """A small tar.gz that unpacks to so much."""
    info = tarfile.TarInfo("release/zeros")
    info.size = gigabytes << 30
    packer = zlib.compressobj(9, wbits=31)
    out = [packer.compress(info.tobuf(tarfile.GNU_FORMAT))]
    zeros = bytes(1 << 20)
    for _ in range(gigabytes << 10):
        out.append(packer.compress(zeros))
    out.append(packer.flush())
    return b"".join(out)


def two_versions(package):
    """[(version, folder of the unpacked package)] of the oldest and the newest that apt offers; Skip with fewer."""
    folder = os.path.join(servers.harness.BUILDDIR, "tests/packages", f"{package}-versions")
    os.makedirs(folder, exist_ok=True)
    listed = subprocess.run(["apt-cache", "madison", package], capture_output=True, text=True, check=False).stdout
    versions = []
    for line in listed.splitlines():
        version = line.split("|")[1].strip()
        if version not in versions:
            versions.append(version)
    if len(versions) < 2:
        raise servers.harness.Skip(f"apt offers {len(versions)} version(s) of {package}, the test wants two")
    found = []
    for version in (versions[-1], versions[0]):
        into = os.path.join(folder, version)
        if not os.path.isdir(into):
            done = subprocess.run(["apt-get", "-q", "download", f"{package}={version}"], cwd=folder, capture_output=True, text=True,
                                  timeout=300, check=False)
            debs = [n for n in os.listdir(folder) if n.endswith(".deb") and version.replace(":", "%3a") in n]
            if done.returncode != 0 or not debs:
                raise servers.harness.Skip(f"apt cannot fetch {package}={version}: {done.stderr.strip()[-200:]}")
            subprocess.run(["dpkg-deb", "-x", os.path.join(folder, debs[0]), into + ".new"], check=True)
            os.rename(into + ".new", into)
        found.append((version, into))
    return found

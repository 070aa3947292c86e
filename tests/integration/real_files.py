"""Config files as Debian packages bring them: those of this machine, and those of packages that are fetched with apt
into a cache in the build tree. Nothing of them is kept elsewhere."""
import glob
import io
import os
import re
import subprocess
import tarfile

import harness

CACHE = os.path.join(harness.BUILDDIR, "tests/packages")
# Well below 60 MB in all.
PACKAGES = ("bluez", "cloud-init", "docker-compose", "fail2ban", "golang-github-containers-common", "kea-ctrl-agent",
            "kea-dhcp-ddns-server", "kea-dhcp4-server", "libargon2-1", "libsodium23", "lightdm", "mariadb-client-core",
            "mariadb-common", "mariadb-server", "mysql-common", "netplan.io", "node-semver", "npm", "nut-server",
            "php8.2-cli", "php8.2-common", "php8.2-fpm", "prometheus", "prometheus-blackbox-exporter", "samba-common",
            "shadowsocks-libev", "supervisor", "transmission-daemon", "xrdp", "zabbix-agent", "ansible-core")
# Of a package, what is wanted: its config files and examples, and two programs that read some.
WANTED = re.compile(r"\./(etc/.*|(lib/systemd/system|usr/share|usr/lib/php|usr/lib/python3/dist-packages)/.*"
                    r"\.(conf|cfg|cnf|ini|json|ya?ml|service|ini-\w+|cnf\.\w+)"
                    r"|usr/bin/(php8\.2|my_print_defaults)|usr/lib/[^/]+/lib(argon2|sodium)\.so.*)$")
SIZE_MAX = 100_000

# driver, reader, options, at most how many of them, patterns below a package's tree; without a package: of this machine.
FILES = (
    ("json-config", "json", (), 20, (
        "transmission-daemon:etc/transmission-daemon/settings.json",
        "shadowsocks-libev:usr/share/shadowsocks-libev/config.json",
        "kea-dhcp4-server:etc/kea/*.conf", "kea-dhcp-ddns-server:etc/kea/*.conf", "kea-ctrl-agent:etc/kea/*.conf",
        "golang-github-containers-common:etc/containers/policy.json",
        "golang-github-containers-common:usr/share/containers/seccomp.json",
        "node-semver:usr/share/nodejs/semver/package.json", "npm:usr/share/nodejs/npm/package.json",
        "npm:usr/share/nodejs/@npmcli/[a-c]*/package.json", "npm:usr/share/nodejs/pacote/package.json",
        "docker-compose:usr/lib/python3/dist-packages/compose/config/config_schema_v1.json")),
    ("json-config", "json", (), 6, (":usr/share/*/*.json", ":usr/lib/*/*.json", ":etc/*/*.json")),
    ("yaml-config", "yaml", (), 22, (
        "prometheus:etc/prometheus/prometheus.yml", "prometheus-blackbox-exporter:etc/prometheus/blackbox.yml",
        "prometheus-blackbox-exporter:usr/share/doc/**/example.yml", "cloud-init:etc/cloud/cloud.cfg",
        "cloud-init:etc/cloud/cloud.cfg.d/*.cfg", "netplan.io:usr/share/doc/netplan/examples/*.yaml",
        "ansible-core:usr/lib/python3/dist-packages/ansible/config/base.yml",
        "ansible-core:usr/lib/python3/dist-packages/ansible/keyword_desc.yml")),
    ("yaml-config", "yaml", (), 6, (":usr/share/*/*.y*ml", ":usr/share/doc/*/examples/*.y*ml", ":etc/*/*.y*ml")),
    ("ini-config", "configparser", (), 20, (
        "fail2ban:etc/fail2ban/*.conf", "fail2ban:etc/fail2ban/jail.d/*", "supervisor:etc/supervisor/*.conf",
        "supervisor:usr/share/doc/supervisor/examples/*.conf", "xrdp:etc/xrdp/*n.ini", "xrdp:etc/xrdp/xrdp.ini",
        "bluez:etc/bluetooth/*.conf", "lightdm:etc/lightdm/*.conf", "nut-server:etc/nut/ups.conf",
        "zabbix-agent:usr/share/zabbix-agent/zabbix_agentd.conf")),
    ("ini-config", "configparser", ("case=insensitive",), 1, ("samba-common:usr/share/samba/smb.conf",)),
    ("ini-config", "php", ("flavour=php",), 6, (
        "php8.2-common:usr/lib/php/8.2/php.ini-*", "php8.2-fpm:etc/php/8.2/fpm/php-fpm.conf",
        "php8.2-fpm:etc/php/8.2/fpm/pool.d/www.conf")),
    ("ini-config", "mysql", ("flavour=mysql",), 8, (
        "mysql-common:etc/mysql/my.cnf.fallback", "mariadb-common:etc/mysql/mariadb.cnf",
        "mariadb-server:etc/mysql/mariadb.conf.d/*.cnf", "mariadb-server:usr/share/mysql/*.cnf")),
    ("ini-config", "systemd", ("flavour=systemd",), 12, (":etc/systemd/*.conf",)),
    ("env-config", "sh", (), 12, tuple(f"{p}:etc/default/*" for p in PACKAGES)),
    ("env-config", "sh", (), 8, (":etc/default/*",)),
    ("systemd-unit", "systemd", (), 9, (
        ":lib/systemd/system/systemd-*d.service", ":lib/systemd/system/*.timer", ":lib/systemd/system/*.socket")),
    ("systemd-unit", "systemd", (), 8, tuple(f"{p}:lib/systemd/system/*.service" for p in PACKAGES)),
)


def unpack(deb, tree):
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True, timeout=120)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar:
            if not WANTED.match(member.name) or ".." in member.name or not (member.isfile() or member.issym()):
                continue
            if member.issym() and "/" in member.linkname:
                continue
            path = os.path.join(tree, member.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if member.issym():
                os.symlink(member.linkname, path)
                continue
            with open(path, "wb") as f:
                f.write(tar.extractfile(member).read())
            os.chmod(path, member.mode & 0o755)


def fetch():
    """The trees of the packages, by name; and why some are not there, or None."""
    missing = [p for p in PACKAGES if not os.path.isdir(os.path.join(CACHE, p))]
    why = None
    if missing:
        downloads = os.path.join(CACHE, "downloads")
        os.makedirs(downloads, exist_ok=True)
        known = []
        try:
            for package in missing:  # one that this distribution lacks must not be in the way of the others
                shown = subprocess.run(["apt-cache", "show", package], capture_output=True, timeout=60, check=False)
                known += [package] if shown.returncode == 0 and shown.stdout else []
            subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *known], cwd=downloads,
                           capture_output=True, timeout=300, check=True)
        except FileNotFoundError:
            why = "no apt-get to fetch packages with"
        except subprocess.TimeoutExpired:
            why = "packages did not arrive in time"
        except subprocess.CalledProcessError as e:
            why = "packages cannot be fetched: " + (e.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1]
        for deb in sorted(glob.glob(os.path.join(downloads, "*.deb"))):
            package = os.path.basename(deb).partition("_")[0]
            tree = os.path.join(CACHE, package)
            if not os.path.isdir(tree):
                os.makedirs(tree + ".new", exist_ok=True)
                unpack(deb, tree + ".new")
                os.rename(tree + ".new", tree)
            os.unlink(deb)
    trees = {p: os.path.join(CACHE, p) for p in PACKAGES if os.path.isdir(os.path.join(CACHE, p))}
    lacking = [p for p in PACKAGES if p not in trees]
    if lacking and not why:
        why = "there are no packages " + ", ".join(lacking)
    return trees, why


def files(trees, fetched):
    """(driver, reader, options, path) of each file: of the packages that were fetched, or of this machine."""
    seen = set()
    for driver, reader, options, most, patterns in FILES:
        chosen = []
        for pattern in patterns:
            package, _, below = pattern.partition(":")
            if bool(package) != fetched or (package and package not in trees):
                continue
            found = glob.iglob(os.path.join(trees.get(package, "/"), below), recursive=True)
            for path in sorted(set(found)) if package else found:
                if len(chosen) < most and os.path.isfile(path) and 0 < os.path.getsize(path) <= SIZE_MAX and \
                        os.path.realpath(path) not in seen and not path.startswith(("/etc/ssl", "/etc/fleet")):
                    seen.add(os.path.realpath(path))
                    chosen.append(path)
        for path in chosen:
            yield driver, reader, options, path

#!/usr/bin/python3
"""One push for each config format, to a real program from Debian's packages that runs under systemd, which then runs with
the new value: prometheus (YAML), prometheus-node-exporter (/etc/default), php-fpm (INI) and a unit's drop-in. JSON is
test_stories.py's. Each time: the file differs in the lines that were asked for and in no other, owner and mode stay."""
import difflib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packages  # noqa: E402
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

YAML, ENV = "/etc/prometheus/prometheus.yml", "/etc/default/prometheus-node-exporter"
DROP_IN = "/etc/systemd/system/limited.service.d/50-fleet.conf"


def set_up(fleet):
    server = fleet.agents[0]
    packages.install(server, set_up.debs)
    server.push("/etc/systemd/system/limited.service", "[Service]\nExecStart=/bin/sleep infinity\nMemoryMax=400M\n")
    server.exec("systemctl", "daemon-reload")
    php = server.sh("ls -d /etc/php/*/fpm").split()[0]
    set_up.ini = f"{php}/pool.d/www.conf"
    set_up.php = f"php{php.split('/')[3]}-fpm.service"
    server.exec("systemctl", "start", "prometheus.service", "prometheus-node-exporter.service", set_up.php, "limited.service")
    fleet.install_console()
    fleet.install_agent(server, f"""managed_apps:
  - id: prometheus
    service_name: prometheus.service
    config_path: {YAML}
    version_command: [/usr/bin/prometheus, --version]
    health_check: {{url: "http://127.0.0.1:9090/-/ready", timeout: 30s}}
  - id: node-exporter
    service_name: prometheus-node-exporter.service
    config_path: {ENV}
  - id: php
    service_name: {set_up.php}
    config_path: {set_up.ini}
  - id: limited
    service_name: limited.service
    config_path: {DROP_IN}
    config_driver: systemd-unit
    config_create: true
""")
    fleet.ctl_ok("login", "--url", fleet.url, "--api-key", fleet.KEY)
    fleet.online(server.name, timeout=60)
    fleet.running(server.name, "prometheus", timeout=60)


set_up.debs = []


def of_file(server, path):
    return server.read(path).split("\n"), server.sh(f"stat -c '%U:%G %a' {path}")


def push(fleet, app, path, *settings):
    """Pushes with fleetctl; the lines taken and the lines brought, in the file's order."""
    server = fleet.agents[0]
    old, owner = of_file(server, path)
    said = fleet.ctl_ok("apps", "config", server.name, app, *[w for s in settings for w in ("--set", s)], "--wait", timeout=120)
    check_in("restarted", said, "what the operator reads")
    new, owner_now = of_file(server, path)
    check_equal(owner_now, owner, f"owner and mode of {path}")
    diff = [x for x in difflib.ndiff(old, new) if x[:1] in "-+"]
    return [x[2:] for x in diff if x[0] == "-"], [x[2:] for x in diff if x[0] == "+"]


def yaml_of_prometheus(fleet):
    server = fleet.agents[0]
    old, new = push(fleet, "prometheus", YAML, "global.scrape_interval=20s")
    check_equal((len(old), len(new)), (1, 1), f"changed lines: {old} {new}")
    check_equal(new[0].strip().split("#")[0].split(), ["scrape_interval:", "20s"], "the new line")
    check_equal(new[0].partition("#")[2], old[0].partition("#")[2], "the comment on it")
    answer = json.loads(server.exec("curl", "-fsS", "http://127.0.0.1:9090/api/v1/status/config").stdout)
    check_in("scrape_interval: 20s", answer["data"]["yaml"], "what prometheus runs with")
    check(fleet.app(server.name, "prometheus").get("version"), "prometheus has no version")


def yaml_that_prometheus_refuses(fleet):
    """The whole file returns, prometheus runs as before, and its own words tell why."""
    server = fleet.agents[0]
    before = of_file(server, YAML)
    done = fleet.ctl("apps", "config", server.name, "prometheus", "--set", "global.scrape_interval=banana", "--wait", timeout=180)
    check_equal(done.returncode, 3, f"exit status ({done.stdout!r} {done.stderr!r})")
    check_equal(of_file(server, YAML), before, "the file")
    check_equal(server.show("prometheus.service", "ActiveState"), "active", "prometheus")
    check_in("duration", done.stdout + done.stderr, "prometheus' own words")


def env_of_node_exporter(fleet):
    server = fleet.agents[0]
    old, new = push(fleet, "node-exporter", ENV, "ARGS=--web.listen-address=127.0.0.1:9199 --collector.disable-defaults")
    check_equal((len(old), len(new)), (1, 1), f"changed lines: {old} {new}")
    arguments = server.sh(f"tr '\\0' '\\n' </proc/{server.main_pid('prometheus-node-exporter.service')}/cmdline").split()[1:]
    check_equal(arguments, ["--web.listen-address=127.0.0.1:9199", "--collector.disable-defaults"], "its command line")
    fleet.until("it answers on the new port",
                lambda: server.exec("curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:9199/metrics", check=False).returncode == 0)


def ini_of_php_fpm(fleet):
    server = fleet.agents[0]
    old, new = push(fleet, "php", set_up.ini, "www.pm=static", r"www.pm\.max_children=7")
    check_equal([x.replace(" ", "") for x in old], ["pm=dynamic", "pm.max_children=5"], "the lines taken")
    check_equal([x.replace(" ", "") for x in new], ["pm=static", "pm.max_children=7"], "the lines brought")
    fleet.until("php-fpm runs seven workers",
                lambda: server.sh("pgrep -fc 'php-fpm: pool [w]ww' || true").strip() == "7")


def ini_that_php_fpm_refuses(fleet):
    server = fleet.agents[0]
    before = of_file(server, set_up.ini)
    done = fleet.ctl("apps", "config", server.name, "php", "--set", "www.pm=banana", "--wait", timeout=120)
    check_equal(done.returncode, 3, f"exit status ({done.stdout!r} {done.stderr!r})")
    check_equal(of_file(server, set_up.ini), before, "the file")
    check_equal(server.show(set_up.php, "ActiveState"), "active", "php-fpm")


def a_drop_in_limits_memory(fleet):
    """The first push makes the file; systemd reads its definitions anew before the restart."""
    server = fleet.agents[0]
    check_equal(server.show("limited.service", "MemoryMax"), str(400 << 20), "MemoryMax before")
    said = fleet.ctl_ok("apps", "config", server.name, "limited", "--set", "Service.MemoryMax=200M", "--wait", timeout=60)
    check_in("MemoryMax", said, "what the operator reads")
    check_equal(server.read(DROP_IN), "[Service]\nMemoryMax=200M\n", "the drop-in")
    check_equal(server.show("limited.service", "MemoryMax", "NeedDaemonReload"), (str(200 << 20), "no"), "MemoryMax")
    group = server.show("limited.service", "ControlGroup")
    limits = server.sh(f"cat /sys/fs/cgroup/memory{group}/memory.limit_in_bytes /sys/fs/cgroup{group}/memory.max 2>/dev/null || true")
    check_equal(limits.split()[:1], [str(200 << 20)], "the kernel's limit")
    # The drop-in goes back to nothing said: the unit's own limit is back.
    fleet.ctl_ok("apps", "config", server.name, "limited", "--unset", "Service.MemoryMax", "--wait", timeout=60)
    check_equal(server.show("limited.service", "MemoryMax"), str(400 << 20), "MemoryMax after")


def what_is_code_is_refused(fleet):
    server = fleet.agents[0]
    for app, path, setting in (("limited", DROP_IN, "Service.ExecStartPre=/bin/touch /tmp/pwned"),
                               ("limited", DROP_IN, "Service.MemoryMax=1G\nExecStartPre=/bin/touch /tmp/pwned"),
                               ("node-exporter", ENV, "LD_PRELOAD=/tmp/evil.so"),
                               ("node-exporter", ENV, "PATH=/tmp")):
        before = of_file(server, path)
        done = fleet.ctl("apps", "config", server.name, app, "--set", setting, "--wait", timeout=60)
        check_equal(done.returncode, 3, f"{setting!r}: exit status ({done.stdout!r} {done.stderr!r})")
        check_equal(of_file(server, path), before, f"{setting!r}: the file")
    check_equal(server.exec("test", "-e", "/tmp/pwned", check=False).returncode, 1, "/tmp/pwned is there")


def make_fleet():
    set_up.debs = packages.fetch("prometheus", "prometheus-node-exporter", "php-fpm")
    return servers.fleet_of("formats", 1, set_up)()


if __name__ == "__main__":
    sys.exit(servers.main(make_fleet, [
        yaml_of_prometheus,
        yaml_that_prometheus_refuses,
        env_of_node_exporter,
        ini_of_php_fpm,
        ini_that_php_fpm_refuses,
        a_drop_in_limits_memory,
        what_is_code_is_refused,
    ]))

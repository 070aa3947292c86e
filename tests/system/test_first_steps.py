#!/usr/bin/python3
"""The first steps of docs/enrolment.md as they stand there, line by line, on two fresh servers with nothing but the packages: a
console, an operator, and a server that joins by the installer's one line. What the guide leaves out is missing here, too."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import github  # noqa: E402
import packages  # noqa: E402
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

VERSION = "1.0.0"  # as the guide has it
NAME = "console.example.com"
SUDO = 'sudo() { "$@"; }\n'  # the test is root already, and not every machine has it
debs, said = {}, {}


def guide():
    """The commands of the guide's first section, a block each, without their comments."""
    with open(os.path.join(harness.SRCDIR, "docs/enrolment.md"), encoding="utf-8") as f:
        section = re.search(r"^## From nothing.*?(?=^## )", f.read(), re.M | re.S).group(0)
    blocks = re.findall(r"(?:^ {4}.*\n)+", section, re.M)
    return [[re.sub(r"\s+# .*$", "", line.strip()) for line in block.splitlines()] for block in blocks]


def block_with(words):
    found = [b for b in guide() if any(words in line for line in b)]
    check_equal(len(found), 1, f"blocks of the guide that have {words!r}")
    return found[0]


def shell(server, lines, **more):
    """As typed in one shell, which ends with the first line that fails."""
    return server.exec("bash", "-ec", SUDO + "cd /root\n" + "\n".join(lines), check=False, **more)


def send(server, *paths):
    for path in paths:
        with open(path, "rb") as f:
            server.exec("sh", "-c", f"cat >/root/{os.path.basename(path)}", stdin=f)


def set_up(fleet):
    for server in fleet.everybody:
        server.exec("rm", "-f", "/usr/sbin/policy-rc.d")
        server.sh(f"echo '{fleet.console_server.address} {NAME}' >>/etc/hosts")
    send(fleet.console_server, debs["fleet-console"], debs["fleetctl"])


def the_console_is_set_up(fleet):
    server = fleet.console_server
    done = shell(server, block_with("fleet-console init"), stdin=subprocess.DEVNULL)
    check_equal(done.returncode, 0, f"the guide's first block: {done.stdout[-600:]} {done.stderr[-600:]}")
    check_in("what to do next: /usr/share/doc/fleet-console/enrolment.md", done.stdout, "what the package says")
    server.exec("test", "-s", "/usr/share/doc/fleet-console/enrolment.md")
    said["key"] = re.search(r"^fleet_\S+$", done.stdout, re.M).group(0)
    fleet.until("it listens for everybody", lambda: server.exec("sh", "-c", "ss -ltn | grep -q 0.0.0.0:5000", check=False).returncode == 0)


def an_operator_logs_in(fleet):
    server = fleet.console_server
    trust, login = block_with("fleetctl login")
    check_equal(shell(server, [trust]).returncode, 0, trust)
    done = server.exec("bash", "-ec", f"cd /root; echo {said['key']} | {login} --api-key -", check=False)
    check_in(f"Logged in to https://{NAME}:5000", done.stdout, f"{login}: {done.stderr}")
    check_in("<title>", server.sh(f"curl -fsS --cacert /root/ca.pem https://{NAME}:5000/"), "the dashboard")
    done = shell(server, ["mkdir -p sub", "cd sub", login.replace("ca.pem", "nowhere.pem") + " --api-key x"])
    check(done.returncode != 0 and "nowhere.pem" in done.stderr, f"a file that is not there: {done.stderr}")


def a_server_joins_by_one_line(fleet):
    console, server = fleet.console_server, fleet.agents[0]
    wanted = [line.removeprefix("$ ") for line in block_with("fleetctl tokens create")]
    lines = console.sh(wanted[0]).split()
    check_equal([line.split("=")[0] for line in lines], [w.split("=")[0] for w in wanted[1:3]], "what tokens create prints")
    values = dict(line.split("=", 1) for line in lines)
    check_equal(values["FLEET_CONSOLE_URL"], f"https://{NAME}:5000", "the console's address")
    hub = github.GitHub("10.77.0.254")
    hub.release(VERSION, debs["fleet-agent"])
    line, = block_with("install.sh")
    line = line.replace("https://github.com/OWNER/NAME/releases/latest/download", f"{hub.url}/{github.REPOSITORY}/releases/download/v{VERSION}")
    line = re.sub(r"URL --token TOKEN$", f"{values['FLEET_CONSOLE_URL']} --token {values['FLEET_JOIN_TOKEN']}", line)
    began = time.monotonic()
    done = shell(server, [f"export FLEET_API_URL={hub.url} FLEET_DOWNLOAD_URL={hub.url}", line], stdin=subprocess.DEVNULL)
    hub.close()
    check_equal(done.returncode, 0, f"{line}: {done.stdout[-600:]} {done.stderr[-600:]}")
    fleet.until("the operator sees it online", lambda: re.search(r" online ", console.sh("fleetctl agents list")), timeout=30)
    print(f"# from the installer's line to online {time.monotonic() - began:.1f} s", flush=True)
    check_in("connected for", server.sh("fleet-agent status"), "fleet-agent status")
    check_in("may", server.sh("fleet-agent allowed; fleet-agent suggest dbus >/etc/fleet-agent/apps.d/dbus.yaml; fleet-agent allowed"),
             "fleet-agent allowed")
    check_in("used-up", console.sh("fleetctl tokens list"), "the token")


def guides_lead_on(fleet):
    """A link in a guide that came with a package leads to another that did."""
    for server, package in ((fleet.console_server, "fleet-console"), (fleet.console_server, "fleetctl"), (fleet.agents[0], "fleet-agent")):
        folder = f"/usr/share/doc/{package}"
        names = server.sh(f"ls {folder}").split()
        for name in (n for n in names if n.endswith(".md") and n != "README.md"):
            links = re.findall(r"\]\(([\w-]+\.md)", server.read(f"{folder}/{name}"))
            check_equal(sorted(set(links) - set(names)), [], f"what {package}'s {name} leads to in vain")


def make_fleet():
    debs.update(packages.built(VERSION))
    return servers.fleet_of("first-steps", 1, set_up)()


if __name__ == "__main__":
    sys.exit(servers.main(make_fleet, [the_console_is_set_up, an_operator_logs_in, a_server_joins_by_one_line, guides_lead_on]))

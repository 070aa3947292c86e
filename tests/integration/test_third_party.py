#!/usr/bin/python3
"""A driver that somebody else wrote: built from the template with nothing but the installed kit, dropped beside Fleet's own
drivers, named in an app's YAML and used by a push. And drivers that no server should take: each is refused with its reason,
which operators can read, while everything else works on."""
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "../drivers")]
import harness  # noqa: E402
import kit  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

AGENT = "agent-001"
TEXT = "# About this file.\r\nPort   8080\r\n#LogLevel debug\r\n\r\nName  an app\r\nlast line"


class Vendor:
    """Somebody with the kit and an empty directory."""

    def __init__(self, lab):
        self.kit, self.home = lab.path("kit"), lab.path("vendor")
        kit.install(harness.STAGE, self.kit)
        os.mkdir(self.home)
        self.env = kit.environment(self.kit, self.home)

    def run(self, folder, *argv):
        done = subprocess.run(argv, cwd=folder, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=harness.DEADLINE * 4, check=False)
        check_equal(done.returncode, 0, f"{' '.join(argv)}: {done.stdout[-1500:]}")
        return done.stdout

    def build(self, name, change=None):
        """A driver of that name from the template; change(source) may spoil it. The directory that it is in."""
        folder = os.path.join(self.home, name)
        template = self.run(self.home, "pkg-config", "--variable=templatedir", "fleet-driver").strip()
        shutil.copytree(template, folder)
        os.rename(os.path.join(folder, "keyvalue-config.c"), os.path.join(folder, name + ".c"))
        for file in ("Makefile", name + ".c"):
            path = os.path.join(folder, file)
            with open(path, encoding="utf-8") as f:
                text = f.read().replace("keyvalue-config", name)
            if change and file.endswith(".c"):
                changed = change(text)
                check(changed != text, f"{name}: nothing was spoiled")
                text = changed
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        self.run(folder, "make")
        return folder


def listed(lab, name):
    return {d["name"]: d for d in lab.api(f"/api/agents/{AGENT}")["drivers"]}.get(name)


def push(lab, app, **settings):
    return lab.outcome(lab.command(AGENT, "push-config", appId=app, settings=settings)["commandId"])


def app_with_lines(lab, name, driver):
    if not os.path.exists(lab.path("apps", name + ".conf")):
        lab.write(f"apps/{name}.conf", TEXT)
    return (f"  - id: {name}\n    service_driver: simulated\n    config_path: {lab.path('apps', name + '.conf')}\n"
            f"    config_driver: {driver}\n")


def file_bytes(lab, name):
    with open(lab.path("apps", name), "rb") as f:
        return f.read().decode()


def a_driver_from_outside_does_a_push(lab):
    """Built out of tree, tried with the tool, and dropped into the directory of an agent that runs."""
    drivers = lab.drivers()
    vendor = Vendor(lab)
    folder = vendor.build("lines-config")
    said = vendor.run(folder, "cc", "-M", *vendor.run(folder, "pkg-config", "--cflags", "fleet-driver").split(), "lines-config.c")
    ours = [h for h in said.replace("\\", " ").split()[1:] if not h.startswith("/usr/")]
    check_equal(ours, ["lines-config.c", f"{vendor.kit}/include/fleet/driver.h"], "what the driver is made of")
    check(not re.search(r"^not ok", vendor.run(folder, "make", "check"), re.M), "make check")

    lab.console()
    agent = lab.agent(AGENT, driver_dir=drivers, apps=[app_with_lines(lab, "daemon", "lines-config"), lab.simulated("app-a")])
    before = lab.running(AGENT, "daemon")
    check_equal(listed(lab, "lines-config"), None, "a driver that is not there")
    ended = push(lab, "daemon", Port=9090)
    check_equal(ended["state"], "failed", f"a push without the driver ({ended})")
    check_in("lines-config", ended["message"], "the reason")
    check_equal(file_bytes(lab, "daemon.conf"), TEXT, "the file")

    vendor.run(folder, "make", "install", f"DRIVERDIR={drivers}")
    os.kill(agent.pid, signal.SIGHUP)
    seen = lab.until("the console knows the new driver", lambda: listed(lab, "lines-config"))
    check_equal({k: seen.get(k) for k in ("version", "roles", "error")}, {"version": "1.0", "roles": ["format"], "error": None}, "the driver")
    ended = push(lab, "daemon", Port=9090, LogLevel="info")
    check_equal(ended["state"], "succeeded", f"a push with it ({ended})")
    check_equal(sorted(ended["changedKeys"]), ["LogLevel", "Port"], "changedKeys")
    check_equal(file_bytes(lab, "daemon.conf"),
                TEXT.replace("8080", "9090").replace("debug\r\n", "debug\r\nLogLevel info\r\n"), "the file")
    lab.restarted(AGENT, "daemon", before["pid"])
    lab.ctl_ok("login", "--url", lab.url)
    check("not usable" not in lab.ctl_ok("agents", "status", AGENT), "fleetctl complains of a driver")
    settings = {s["key"]: s["value"] for s in lab.api(f"/api/agents/{AGENT}/apps/daemon/config")["settings"]}
    check_equal(settings, {"Port": "9090", "LogLevel": "info", "Name": "an app", "last": "line"}, "settings as the console shows them")


def other_major(text):
    return text.replace("FLEET_DRIVER_DEFINE(", "#undef FLEET_DRIVER_ABI_MAJOR\n#define FLEET_DRIVER_ABI_MAJOR 2u\nFLEET_DRIVER_DEFINE(")


def next_symbol(text):
    return other_major(text).replace("#include <fleet/driver.h>", "#define fleet_driver_v1 fleet_driver_v2\n#include <fleet/driver.h>")


def short_struct(text):
    return text.replace(".size = sizeof(ops)", ".size = 16")


def dies_at_birth(text):
    return text.replace("static const struct fleet_format_ops ops", "__attribute__((constructor)) static void birth(void)\n{\n"
                        "\tabort();\n}\n\nstatic const struct fleet_format_ops ops")


def drivers_that_no_server_takes(lab):
    """Each with its reason in what the console says of the agent, in fleetctl, and in the failure of a push that needs it."""
    drivers = lab.drivers()
    vendor = Vendor(lab)
    refused = {
        "other-major": (other_major, "it is made for ABI 2, and this Fleet has ABI 1"),
        "next-symbol": (next_symbol, "it is made for ABI 2 only, and this Fleet has ABI 1"),
        "short-struct": (short_struct, "its struct fleet_format_ops is shorter than that of ABI 1.0"),
        "other-name": (lambda text: text.replace('DEFINE("other-name"', 'DEFINE("json-config"'),
                       "it calls itself json-config, its file must be json-config.so"),
        "dies-at-birth": (dies_at_birth, "crashed (SIGABRT) in loading"),
    }
    for name, (change, _) in refused.items():
        shutil.copy(os.path.join(vendor.build(name, change), name + ".so"), drivers)
    good = os.path.join(vendor.build("good-config"), "good-config.so")
    shutil.copy(good, drivers)
    reasons = {name: words for name, (_, words) in refused.items()}
    with open(os.path.join(drivers, "no-elf.so"), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\necho a driver\n")
    reasons["no-elf"] = "cannot be loaded: "
    with open(good, "rb") as whole, open(os.path.join(drivers, "half.so"), "wb") as f:
        f.write(whole.read()[:3000])
    reasons["half"] = "load"  # cannot be loaded, or crashed in loading: the dynamic linker does not look closely
    for name in os.listdir(drivers):
        os.chmod(os.path.join(drivers, name), 0o755)
    if os.geteuid() == 0:  # only there is a driver dangerous that others may write to
        for name, mode, uid, words in (("world-writable", 0o757, 0, "others than root may write to it (chmod go-w)"),
                                       ("somebody-elses", 0o755, 1, "it does not belong to root")):
            path = os.path.join(drivers, name + ".so")
            shutil.copy(os.path.join(vendor.build(name), name + ".so"), path)
            os.chown(path, uid, 0)
            os.chmod(path, mode)
            reasons[name] = words
    lab.console()
    lab.agent(AGENT, driver_dir=drivers, apps=[
        *[app_with_lines(lab, "app-" + name, name) for name in reasons], app_with_lines(lab, "good", "good-config"), lab.simulated("app-a")])
    lab.running(AGENT, "app-a")
    lab.ctl_ok("login", "--url", lab.url)
    status = lab.ctl_ok("agents", "status", AGENT)
    for name, words in reasons.items():
        seen = listed(lab, name)
        check(seen is not None, f"{name} is not listed")
        check_in(words, seen.get("error") or "", f"{name}: the reason in GET /api/agents/{AGENT}")
        lines = [line for line in status.splitlines() if line.startswith(f"Driver {name} is not usable: ")]
        check_equal(len(lines), 1, f"{name}: lines of fleetctl agents status ({status})")
        check_in(words, lines[0], f"{name}: the reason in fleetctl agents status")
        problem = [line for line in status.splitlines() if line.startswith("Refused: ") and f"driver {name} cannot be used" in line]
        check_equal(len(problem), 1, f"{name}: the app that names it, in fleetctl agents status ({status})")
        ended = push(lab, "app-" + name, Port=1)
        check_equal(ended["state"], "failed", f"{name}: a push ({ended})")
        check_in(words, ended["message"], f"{name}: the reason in the push's failure")
        check_equal(file_bytes(lab, f"app-{name}.conf"), TEXT, f"{name}: the file")
    for command in [lab.command(AGENT, "restart-app", appId="app-" + name) for name in ("other-major", "no-elf")]:
        restarted = lab.outcome(command["commandId"])
        check_equal(restarted["state"], "succeeded", f"a restart, which does not need the driver ({restarted})")
    for name in ("json-config", "simulated", "good-config"):
        check(not listed(lab, name).get("error"), f"{name}: {listed(lab, name)}")
    check_equal(push(lab, "good", Port=1)["state"], "succeeded", "a push with the good one of them")
    check_equal(push(lab, "app-a", LogLevel="Debug")["state"], "succeeded", "a push with a driver of Fleet's own")


if __name__ == "__main__":
    harness.main([a_driver_from_outside_does_a_push, drivers_that_no_server_takes])

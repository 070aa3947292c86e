#!/usr/bin/python3
"""Drivers that crash, hang, exit and lie, as config and as service driver of an app (tests/drivers): the command fails
within its deadline with a sentence that names the driver and what it did, the file and the other apps are untouched, and
the agent's heartbeats go on all the while."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

AGENT = "agent-001"
DRIVER_CALL_S = 10  # FLEET_DRIVER_CALL_MS
TEXT = "animal = quiet\n"


def animal(name):
    for folder in ("tests/drivers/.libs", "tests/drivers", ".libs"):
        path = os.path.join(harness.BUILDDIR, folder, name + ".so")
        if os.path.exists(path):
            return path
    raise harness.Failure(f"{name}.so is not built: make -C {harness.BUILDDIR} check TESTS=")


class Pulse:
    """Watches that heartbeats keep coming; gap is the longest pause between two, in seconds."""

    def __init__(self, lab):
        self.lab, self.gap, self.beats = lab, 0.0, 0
        self.stop_it = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        last, since = None, time.monotonic()
        while not self.stop_it.wait(0.1):
            seen = self.lab.get(f"/api/agents/{AGENT}").json
            now = time.monotonic()
            if not seen.get("isOnline"):
                self.gap = float("inf")
            if seen.get("lastSeen") != last:
                self.beats += last is not None
                last, since = seen.get("lastSeen"), now
            self.gap = max(self.gap, now - since)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_it.set()
        self.thread.join()


def format_drivers_that_misbehave(lab):
    drivers = lab.drivers(animal("bad-behaviour"))
    lab.console()
    lab.agent(AGENT, driver_dir=drivers, args=["--heartbeat-interval", "1"], apps=[
        lab.simulated("victim", config=TEXT, extra="config_driver: bad-behaviour"), lab.simulated("app-a")])
    before = lab.running(AGENT, "victim")
    lab.running(AGENT, "app-a")
    with Pulse(lab) as pulse:
        for act, words in (("crash", "SIGSEGV"), ("abort", "SIGABRT"), ("exit", "exit"), ("_exit", "7"), ("recurse", "SIGSEGV"),
                           ("huge", ""), ("garbage", ""), ("close-pipe", ""), ("cut-frame", ""), ("positive", ""),
                           ("says-why", "3:14"), ("chatter", ""), ("hang", "")):
            began = time.monotonic()
            command = lab.command(AGENT, "push-config", appId="victim", settings={"animal": act})
            ended = lab.outcome(command["commandId"], timeout=DRIVER_CALL_S * 3)
            took = time.monotonic() - began
            check_equal(ended["state"], "failed", f"{act}: {ended}")
            check(ended["errorCode"] in ("driver-failed", "driver-timeout", "invalid-settings"), f"{act}: {ended}")
            check_in("bad-behaviour", ended["message"], f"{act}: the driver's name")
            check_in(words, ended["message"], f"{act}: what it did")
            check(took < DRIVER_CALL_S + 5, f"{act}: took {took:.1f} s")
            check_equal(lab.read("apps/victim.json"), TEXT, f"the file after {act}")
            check_equal(os.listdir(lab.path("apps")).count("victim.json"), 1, f"the file after {act}")
        check(pulse.beats > 5, f"only {pulse.beats} heartbeats in all that time")
    check(pulse.gap < 5, f"{pulse.gap:.1f} s without a heartbeat, one a second was asked for")
    check_equal(lab.running(AGENT, "victim")["pid"], before["pid"], "pid of the app")
    check_equal(sorted(os.listdir(lab.path("apps"))), ["app-a.json", "victim.json"], "what lies beside the file")
    check_equal(lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"])["state"], "succeeded", "another app")


def service_drivers_that_misbehave(lab):
    drivers = lab.drivers(animal("bad-service"))

    def app(name, act):
        return (f"  - id: {name}\n    service_name: {name}.service\n    service_driver: bad-service\n"
                f"    service_options: {{act: {act}}}\n    timeout: 3s\n")
    lab.console()
    lab.agent(AGENT, driver_dir=drivers, args=["--heartbeat-interval", "1"], apps=[
        app("crashing", "crash"), app("leaving", "exit"), app("failing", "fail"), app("hanging", "hang"), lab.simulated("app-a")])
    lab.running(AGENT, "app-a", timeout=DRIVER_CALL_S * 3)
    with Pulse(lab) as pulse:
        for name, words in (("crashing", "SIGSEGV"), ("leaving", "exit"), ("failing", "status 1"), ("hanging", "")):
            began = time.monotonic()
            ended = lab.outcome(lab.command(AGENT, "restart-app", appId=name)["commandId"], timeout=60)
            took = time.monotonic() - began
            check_equal(ended["state"], "failed", f"{name}: {ended}")
            if name != "failing":  # that one answered, and its sentence is the service's
                check_in("bad-service", ended["message"], f"{name}: the driver's name")
            check_in(words, ended["message"], f"{name}: what it did")
            check(took < 2 * DRIVER_CALL_S + 5, f"{name}: took {took:.1f} s")
            check_equal(lab.app(AGENT, name)["status"], "unknown", f"{name}: status")
        check_equal(lab.outcome(lab.command(AGENT, "restart-app", appId="app-a")["commandId"])["state"], "succeeded", "another app")
        check(pulse.beats > 3, f"only {pulse.beats} heartbeats in all that time")
    check(pulse.gap < 5, f"{pulse.gap:.1f} s without a heartbeat, one a second was asked for")


def drivers_that_cannot_be_used_are_listed(lab):
    """Each with its reason in the agent's drivers, and nobody else suffers."""
    names = ["bad-major", "bad-short", "bad-no-symbol", "bad-no-role", "bad-name", "bad-constructor"]
    drivers = lab.drivers(*[animal(n) for n in names])
    with open(os.path.join(drivers, "not-a-library.so"), "w", encoding="ascii") as f:
        f.write("text\n")
    lab.console()
    lab.agent(AGENT, driver_dir=drivers, apps=[
        lab.simulated("app-a"), "  - id: orphan\n    service_driver: bad-major\n"])
    lab.running(AGENT, "app-a")
    listed = {d["name"]: d for d in lab.api(f"/api/agents/{AGENT}")["drivers"]}
    for name in (*names, "not-a-library"):
        check(name in listed, f"{name} is not listed: {sorted(listed)}")
        if name != "bad-constructor":  # what it does when it is loaded may or may not spoil it
            check(listed[name].get("error"), f"{name} is listed as if it could be used")
    for name in ("json-config", "simulated"):
        check(not listed[name].get("error"), f"{name}: {listed[name]}")


if __name__ == "__main__":
    harness.main([
        format_drivers_that_misbehave,
        service_drivers_that_misbehave,
        drivers_that_cannot_be_used_are_listed,
    ])

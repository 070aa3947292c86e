#!/usr/bin/python3
"""Wall clocks that are set hours ahead and back while commands run, wait and are asked for: of the console, of an agent, of
a driver host, of a whole server. Each command has one end; what lasts, lasts as long as it would have; where a server's
clock makes commands expire, the operator reads what either clock says; and when the clock is right again all is as before."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from faults import Clocks, World  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

# Who is set: does what was asked for before go on, does what is asked for meanwhile run.
SERVER = ("agent", "host")
JUMPS = [(("console",), +3, True, True), (("console",), -3, True, False), (("agent",), +3, True, True), (("agent",), -3, True, True),
         (SERVER, +3, True, False), (SERVER, -3, True, True), (("console", *SERVER), +3, True, True),
         (("console", *SERVER), -3, True, True)]


def start(lab, **options):
    clocks = Clocks(lab)
    return clocks, World(lab, {"agent-001": ["app-a", "app-b"]}, clocks=clocks, **options)


def set_clocks(clocks, who, hours):
    for kind in who:
        clocks.set(kind, hours)


def leaves(lab, world, server):
    world.away = server.agent
    server.agent.stop()
    lab.until("the console sees it go", lambda: not lab.api(f"/api/agents/{server.id}")["isOnline"])


def check_refusal(command, why):
    """It says that the server's clock is the reason, and what that clock says."""
    check_equal((command["state"], command["errorCode"]), ("expired", "expired"), f"{why}: {command['message']}")
    times = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", command["message"])
    check(len(times) == 2 and "clock says" in command["message"], f"{why}: {command['message']}")


def steps_in_a_stream_of_commands(lab):
    clocks, world = start(lab, options={"stop_delay": "300ms", "start_delay": "300ms"})
    one, two = world.apps
    for who, hours, before_runs, then_runs in JUMPS:
        why = f"{' and '.join(who)} {hours:+} h"
        running = [world.update(one), world.push(two)]
        lab.until(f"{why}: they run", lambda r=running: all(
            lab.api(f"/api/commands/{c['commandId']}").get("progress", {}).get("step") in ("stop", "restart", "start", "health")
            or lab.api(f"/api/commands/{c['commandId']}")["state"] == "succeeded" for c in r), every=0.02)
        began = time.monotonic()
        set_clocks(clocks, who, hours)
        for command in running:
            world.finish(command)
            check_equal(command["state"] == "succeeded", before_runs, f"{why}: what ran: {command.get('message')}")
            if "downMs" in command:
                check(command["downMs"] < 60000, f"{why}: down {command['downMs']} ms")
        check(time.monotonic() - began < 60, f"{why}: it took {time.monotonic() - began} s")
        meanwhile = [world.restart(one), world.push(two), world.restart(two)]
        for command in meanwhile:
            world.finish(command)
            if then_runs:
                check_equal(command["state"], "succeeded", f"{why}: what was asked for then: {command.get('message')}")
            else:
                check_refusal(command, why)
        set_clocks(clocks, who, 0)
        for command in [world.update(two), world.push(one), world.restart(two)]:
            world.finish(command)
            check_equal(command["state"], "succeeded", f"{why}, and right again: {command.get('message')}")
        world.check_apps(why)
    world.drained()
    for command in world.commands:
        world.check_command(command)
    total, numbered = world.check_log()
    told = [e["message"] for e in reversed(lab.audit(category="agent", limit=1000)) if "clock" in e["message"]]
    check(any("3 h ahead of" in t for t in told) and any("behind" in t for t in told)
          and any("again" in t for t in told), f"what the audit log says of clocks: {told}")
    ended = {s: sum(c["state"] == s for c in world.commands) for s in ("succeeded", "failed", "expired")}
    print(f"# {len(JUMPS)} jumps there and back, {len(world.commands)} commands: {ended}; {total} audit events, "
          f"{numbered} of them numbered by the agent, each once")


def steps_while_commands_wait_for_a_server(lab):
    """They wait as long as they would have, and are sent in the order in which they were asked for."""
    clocks, world = start(lab)
    app, server = world.apps[0], world.servers[0]
    for who, hours, runs in ((("console",), +3, True), (("console",), -3, False), (("console", *SERVER), -3, True)):
        why = f"{' and '.join(who)} {hours:+} h"
        leaves(lab, world, server)
        first = world.push(app)
        set_clocks(clocks, who, hours)
        time.sleep(2.5)  # for two ticks of the console, after which nothing has happened
        check_equal(lab.api(f"/api/commands/{first['commandId']}")["state"], "queued", why)
        second = world.push(app)
        if not runs:
            set_clocks(clocks, who, 0)
        server.start_agent()
        for command in (first, second):
            world.finish(command)
        check_equal(first["state"], "succeeded", f"{why}: {first.get('message')}")
        if runs:
            check_equal(second["state"], "succeeded", f"{why}: asked for then: {second.get('message')}")
        else:
            check_refusal(second, f"{why}: asked for then")
        world.check_apps(why)  # what was asked for last is what is there
        set_clocks(clocks, who, 0)
    world.drained()
    for command in world.commands:
        world.check_command(command)
    world.check_log()


def steps_while_a_command_waits_at_the_server(lab):
    """Behind another one of the same app: its time is over when the server's clock says so, and that is told."""
    clocks, world = start(lab, options={"stop_delay": "1500ms"})
    app = world.apps[0]
    for hours, state in ((-3, "succeeded"), (+3, "expired")):
        first, second = world.restart(app), world.restart(app)
        lab.until("the server has both", lambda c=second: lab.api(f"/api/commands/{c['commandId']}")["state"] == "accepted")
        set_clocks(clocks, SERVER, hours)
        check_equal(world.finish(first)["state"], "succeeded", f"what ran: {first.get('message')}")
        world.finish(second)
        if state == "expired":
            check_equal((second["state"], second["errorCode"]), ("failed", "expired"), f"what waited: {second}")
            check_in("while it waited on the server, whose clock says", second["message"], "why")
        else:
            check_equal(second["state"], state, f"what waited: {second.get('message')}")
        set_clocks(clocks, SERVER, 0)
        world.check_apps(f"server {hours:+} h")


def a_time_to_live_is_over_when_it_is_over(lab):
    """Whatever the console's clock was set to, and however often it was started."""
    config = lab.write("console.yaml", "command_ttl: 6s\n", 0o600)
    clocks, world = start(lab, console_args=("--config", config))
    server = world.servers[0]
    leaves(lab, world, server)
    for again in (False, True):
        command = world.restart(world.apps[0])
        clocks.set("console", -3)
        if again:
            world.console.kill()
            world.until("the console is back", lambda: lab.get("/readyz").status == 200)
        ended = lab.outcome(command["commandId"], 30)
        check_equal(ended["state"], "expired", f"console -3 h, started again: {again}: {ended.get('message')}")
        check_in("was not connected before", ended["message"], "why")
        clocks.set("console", 0)


if __name__ == "__main__":
    harness.main([
        steps_in_a_stream_of_commands,
        steps_while_commands_wait_for_a_server,
        steps_while_a_command_waits_at_the_server,
        a_time_to_live_is_over_when_it_is_over,
    ])

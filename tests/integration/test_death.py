#!/usr/bin/python3
"""What a command survives: a console that stops, a console or an agent that is killed at the worst moment. A command
that was answered 202 is run at most once and ends with exactly one result."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import check, check_equal  # noqa: E402


def one_outcome(lab, command, category="restart"):
    """The command's end, told once in the audit log, asked once."""
    events = lab.audit(commandId=command["commandId"])
    outcomes = [e for e in events if e["category"] == category]
    requests = [e for e in events if e["category"] == "request"]
    check_equal(len(requests), 1, f"request events of {command['commandId']}")
    check_equal(len(outcomes), 1, f"{category} events of {command['commandId']}: {[e['message'] for e in outcomes]}")
    return outcomes[0]


def agents_return_when_the_console_was_away(lab):
    console = lab.console()
    agents = [f"agent-{n:03}" for n in (1, 2, 3)]
    for agent in agents:
        lab.agent(agent, apps=[lab.simulated("app-a")])
    console.stop()
    time.sleep(4)  # the absence itself: long enough for a second and a third attempt of the backoff
    lab.console()
    for agent in agents:
        lab.online(agent, timeout=30)
    for agent in agents:
        registered = [e for e in lab.audit(agentId=agent, category="agent") if "registered" in e["message"]]
        check_equal(len(registered), 2, f"registrations of {agent} in the audit log")


def what_happened_meanwhile_arrives_once(lab):
    """The restart ends while the console is away: its result and its events wait at the agent."""
    console = lab.console()
    agent = lab.agent("agent-001", apps=[lab.simulated("app-a", start_delay="3s")])
    lab.running("agent-001", "app-a")
    command = lab.command("agent-001", "restart-app", appId="app-a")
    lab.until("the server has the command",
              lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] in ("accepted", "running"))
    console.stop()
    for n in (2, 3, 4):
        lab.write(f"agent-001.apps.d/more{n}.yaml", "managed_apps:\n" + lab.simulated(f"more-{n}", config=None))
        agent.process.send_signal(signal.SIGHUP)
        lab.until("the agent has reloaded", lambda n=n: f"apps reloaded: {n} declared" in agent.log())
    time.sleep(4)  # the absence itself: the restart ends in it
    for _ in range(2):  # a second life of the console must not bring them again
        console = lab.console()
        lab.online("agent-001")
        check_equal(lab.outcome(command["commandId"])["state"], "succeeded", "state")
        one_outcome(lab, command)
        lab.until("the last event has come", lambda: [e for e in lab.audit() if "4 declared" in e["message"]])
        reloads = [e["message"] for e in reversed(lab.audit(agentId="agent-001", category="agent")) if "reloaded" in e["message"]]
        check_equal(reloads, [f"apps reloaded: {n} declared, 0 problems" for n in (2, 3, 4)], "events made meanwhile")
        console.stop()


def console_killed_between_answer_and_result(lab):
    console = lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a", start_delay="2s")])
    before = lab.running("agent-001", "app-a")
    command = lab.command("agent-001", "restart-app", appId="app-a")
    console.kill()
    console = lab.console()
    ended = lab.outcome(command["commandId"])
    check_equal(ended["state"], "succeeded", f"state ({ended})")
    one_outcome(lab, command)
    after = lab.restarted("agent-001", "app-a", before["pid"])
    # Killed once more after the result: nothing is run again.
    console.kill()
    lab.console()
    lab.online("agent-001")
    check_equal(lab.running("agent-001", "app-a")["pid"], after["pid"], "pid after the console's second death")
    one_outcome(lab, command)


def console_killed_again_and_again(lab):
    """Ten commands to ten apps, the console killed at ten different moments."""
    console = lab.console()
    apps = [f"app-{n}" for n in range(10)]
    lab.agent("agent-001", apps=[lab.simulated(a, start_delay="100ms") for a in apps])
    for app in apps:
        lab.running("agent-001", app)
    commands = []
    for n, app in enumerate(apps):
        commands.append(lab.command("agent-001", "restart-app", appId=app))
        time.sleep(n * 0.02)  # the moment of death is what varies
        console.kill()
        console = lab.console()
    for command in commands:
        check_equal(lab.outcome(command["commandId"], timeout=60)["state"], "succeeded", f"restart of {command['appId']}")
        one_outcome(lab, command)
    verify = lab.spawn("verify", [harness.program("fleet-console"), "audit", "verify", "--data-dir", lab.path("console")])
    check_equal(verify.process.wait(30), 0, f"audit verify: {verify.log()}")


def agent_killed_during_a_restart(lab):
    lab.console()
    apps = [lab.simulated("app-a", start_delay="2s")]
    agent = lab.agent("agent-001", apps=apps)
    lab.running("agent-001", "app-a")
    command = lab.command("agent-001", "restart-app", appId="app-a")
    lab.until("the restart runs", lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] in ("accepted", "running"))
    agent.kill()
    lab.until("the console sees it go", lambda: not lab.api("/api/agents/agent-001")["isOnline"])
    lab.agent("agent-001", apps=apps)
    ended = lab.outcome(command["commandId"], timeout=60)
    check(ended["state"] in ("succeeded", "failed"), f"the command ended as {ended['state']}: {ended.get('message')}")
    one_outcome(lab, command)
    lab.running("agent-001", "app-a")


def agent_and_host_killed_during_a_restart(lab):
    lab.console()
    apps = [lab.simulated("app-a", start_delay="2s")]
    agent = lab.agent("agent-001", apps=apps)
    lab.running("agent-001", "app-a")
    command = lab.command("agent-001", "restart-app", appId="app-a")
    lab.until("the restart runs", lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] in ("accepted", "running"))
    hosts = agent.children()
    check(hosts, "the agent has no driver host")
    agent.freeze()
    for pid in hosts:
        os.kill(pid, 9)
    agent.kill()
    lab.agent("agent-001", apps=apps)
    ended = lab.outcome(command["commandId"], timeout=60)
    check(ended["state"] in ("succeeded", "failed"), f"the command ended as {ended['state']}: {ended.get('message')}")
    one_outcome(lab, command)
    lab.running("agent-001", "app-a")


def arguments(lab, command):
    """The file in which the host keeps what a push sets, until it has ended."""
    path = lab.path("agent-001/host/ledger.args", command["commandId"])
    lab.until("the server has the command", lambda: os.path.exists(path))
    return path


def arguments_that_are_lost_end_their_command(lab):
    """A push waits for a restart, and what it was to set goes; another one is cut off where it has written already."""
    lab.console()
    apps = [lab.simulated("app-a", start_delay="2s")]
    agent = lab.agent("agent-001", apps=apps)
    lab.running("agent-001", "app-a")
    restart = lab.command("agent-001", "restart-app", appId="app-a")
    waiting = lab.command("agent-001", "push-config", appId="app-a", settings={"LogLevel": "Debug"})
    os.unlink(arguments(lab, waiting))
    check_equal(lab.outcome(restart["commandId"])["state"], "succeeded", "the restart")
    ended = lab.outcome(waiting["commandId"])
    check_equal((ended["state"], ended["errorCode"]), ("failed", "internal"), f"the push: {ended}")
    check("was lost on this server" in ended["message"] and "nothing was done" in ended["message"], ended["message"])
    one_outcome(lab, waiting, "config")
    begun = lab.command("agent-001", "push-config", appId="app-a", settings={"LogLevel": "Trace"})
    path = arguments(lab, begun)
    lab.until("the app is restarted with it", lambda: lab.api(f"/api/commands/{begun['commandId']}").get(
        "progress", {}).get("step") in ("restart", "health"), every=0.02)
    for pid in agent.children():
        os.kill(pid, 9)
    agent.kill()
    os.unlink(path)
    lab.agent("agent-001", apps=apps)
    ended = lab.outcome(begun["commandId"], timeout=60)
    one_outcome(lab, begun, "config")
    check_equal(lab.read("apps/app-a.json"), harness.PLAIN_CONFIG if ended["state"] == "failed" else
                harness.PLAIN_CONFIG.replace("Info", "Trace"), f"the file after {ended['state']}: {ended.get('message')}")
    lab.running("agent-001", "app-a")


def a_queued_command_waits_for_its_agent(lab):
    """202 while the agent is away, the console killed besides: it runs once when both are back."""
    console = lab.console()
    apps = [lab.simulated("app-a")]
    agent = lab.agent("agent-001", apps=apps)
    agent.stop()
    lab.until("the agent is offline", lambda: not lab.api("/api/agents/agent-001")["isOnline"])
    command = lab.command("agent-001", "restart-app", appId="app-a")
    check_equal(command["state"], "queued", "state while the agent is away")
    console.kill()
    lab.console()
    check_equal(lab.api(f"/api/commands/{command['commandId']}")["state"], "queued", "state after the console's death")
    lab.agent("agent-001", apps=apps)
    check_equal(lab.outcome(command["commandId"])["state"], "succeeded", "state")
    one_outcome(lab, command)


def an_idempotency_key_makes_one_command(lab):
    console = lab.console()
    lab.agent("agent-001", apps=[lab.simulated("app-a")])
    lab.running("agent-001", "app-a")
    first = lab.post("/api/agents/agent-001/restart-app", {"appId": "app-a"}, headers={"Idempotency-Key": "once"})
    check_equal(first.status, 202, repr(first))
    lab.outcome(first.json["commandId"])
    console.kill()
    lab.console()
    again = lab.post("/api/agents/agent-001/restart-app", {"appId": "app-a"}, headers={"Idempotency-Key": "once"})
    check_equal(again.json["commandId"], first.json["commandId"], "commandId of the repeated POST")
    check_equal(len(lab.api("/api/commands?agentId=agent-001")), 1, "number of commands")


def an_agent_that_hangs_is_offline(lab):
    """Frozen, not dead: the connection stays open and says nothing."""
    lab.console()
    agent = lab.agent("agent-001", apps=[lab.simulated("app-a")])
    agent.freeze()
    lab.until("the console calls it offline", lambda: not lab.api("/api/agents/agent-001")["isOnline"], timeout=90)
    agent.thaw()
    lab.online("agent-001", timeout=60)


if __name__ == "__main__":
    harness.main([
        agents_return_when_the_console_was_away,
        what_happened_meanwhile_arrives_once,
        console_killed_between_answer_and_result,
        console_killed_again_and_again,
        agent_killed_during_a_restart,
        agent_and_host_killed_during_a_restart,
        arguments_that_are_lost_end_their_command,
        a_queued_command_waits_for_its_agent,
        an_idempotency_key_makes_one_command,
        an_agent_that_hangs_is_offline,
    ])

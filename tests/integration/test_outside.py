#!/usr/bin/python3
"""What happens to apps outside Fleet is in the audit log; what a command did is told once, as the command's."""
import harness
from harness import check, check_equal, check_in


def told(lab, words):
    return [e for e in lab.audit(category="restart") if words in e["message"]]


def start(lab, *apps):
    lab.console()
    lab.agent("agent-001", apps=apps, args=["--heartbeat-interval", "1"])


def a_crash_is_told_with_its_reason(lab):
    start(lab, lab.simulated("app-a", crash_after="3s"), lab.simulated("app-b"))
    lab.running("agent-001", "app-a")
    events = lab.until("the crash is in the audit log", lambda: told(lab, "app-a failed outside Fleet"))
    check_equal(len(events), 1, "events")
    check_equal((events[0]["agentId"], events[0]["appId"], events[0].get("commandId")), ("agent-001", "app-a", None), "whose")
    check_in("killed by SIGSEGV", events[0]["message"], "the reason")
    check_equal(told(lab, "app-b"), [], "events of the other app")


def a_crash_loop_is_told_once_a_minute(lab):
    start(lab, lab.simulated("app-a", crash_after="1s", restart_after="500ms"))
    lab.until("a change is in the audit log", lambda: told(lab, "app-a"))
    restarts = lab.app("agent-001", "app-a")["restarts"]
    lab.until("it crashed three more times", lambda: lab.app("agent-001", "app-a")["restarts"] >= restarts + 3)
    check_equal(len(told(lab, "outside Fleet")), 1, "events")


def what_a_command_did_is_not_outside(lab):
    start(lab, lab.simulated("app-a"), lab.simulated("app-b"))
    pid = lab.running("agent-001", "app-a")["pid"]
    for _ in range(3):
        command = lab.command("agent-001", "restart-app", appId="app-a")
        check_equal(lab.outcome(command["commandId"])["state"], "succeeded", "the restart")
        pid = lab.restarted("agent-001", "app-a", pid)["pid"]
    command = lab.command("agent-001", "push-config", appId="app-b", settings={"LogLevel": "Debug"})
    check_equal(lab.outcome(command["commandId"])["state"], "succeeded", "the push")
    seen = lab.api("/api/agents/agent-001")["lastSeen"]
    lab.until("two more heartbeats came", lambda: lab.api("/api/agents/agent-001")["lastSeen"] > seen)
    seen = lab.api("/api/agents/agent-001")["lastSeen"]
    lab.until("two more heartbeats came", lambda: lab.api("/api/agents/agent-001")["lastSeen"] > seen)
    check_equal([e["message"] for e in lab.audit() if "outside Fleet" in e["message"]], [], "what is called outside")
    check_equal(len(told(lab, "app-a restarted")), 3, "the commands' own events")


if __name__ == "__main__":
    harness.main([a_crash_is_told_with_its_reason, a_crash_loop_is_told_once_a_minute, what_a_command_did_is_not_outside])

#!/usr/bin/python3
"""Commands of fleet-console among races and kill -9: none is lost, none is done twice. TAP."""
import collections
import http.client
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from console_peers import Agent, Console, Refused, Worker, payload_of, wait_for  # noqa: E402
from hostile import AGENT_KEY, KEYS, OPERATOR, audit, check, equal, new_id, run, state  # noqa: E402


def test_keys_of_idempotency():
    with Console() as console:
        Agent(console, "a1").register()
        for key in ("", "x" * 201, "a b", "a\x7f"):
            equal(console.restart_app("a1", **{"Idempotency-Key": key}).status, 400, repr(key[:5]))
        race = [Worker(lambda: console.restart_app("a1", **{"Idempotency-Key": "same"})) for _ in range(20)]
        answers = [w.finish() for w in race]
        equal({a.status for a in answers}, {202}, "statuses")
        equal(len({a.json["commandId"] for a in answers}), 1, "commands of one key")
        equal(console.restart_app("a1", "app-b", **{"Idempotency-Key": "same"}).status, 409, "another wish, same key")
        equal(len(console.get("/api/commands").json), 1, "commands")


def test_cancel_and_expiry():
    with Console(KEYS) as console:
        agent = Agent(console, "a1", key=AGENT_KEY)
        agent.register()
        agent.close()
        wait_for("offline", lambda: not console.ask("GET", "/api/agents/a1", headers=OPERATOR).json["isOnline"])
        commands = [console.restart_app("a1", **OPERATOR).json["commandId"] for _ in range(21)]
        left = commands.pop()
        joining = Worker(lambda: Agent(console, "a1", key=AGENT_KEY, spool=agent.spool))
        cancels = [Worker(console.ask, "DELETE", "/api/commands/" + c, None, OPERATOR) for c in commands]
        joined = joining.finish()
        cancelled = set()
        for command, worker in zip(commands, cancels):
            answer = worker.finish()
            check(answer.status in (200, 409), repr(answer))
            if answer.status == 200:
                cancelled.add(command)
        wait_for("expiry", lambda: console.ask("GET", "/api/commands/" + left, headers=OPERATOR).json["state"] == "expired")
        joined.register()  # comes when the rest is over: it must get none
        fresh = console.restart_app("a1", **OPERATOR).json["commandId"]
        equal(joined.command()["commandId"], fresh, "the only command that reaches the agent")
        equal(console.ask("DELETE", "/api/commands/" + fresh, headers=OPERATOR).status, 409, "cancelling what was sent")
        ends = collections.Counter(console.ask("GET", "/api/commands/" + c, headers=OPERATOR).json["state"] for c in commands)
        equal(ends, collections.Counter(filter(None, ["cancelled"] * len(cancelled) + ["expired"] * (20 - len(cancelled)))),
              "ends")


class Faithful:
    """An agent that does what protocol.md asks of one: runs a command once, resends until acked."""

    def __init__(self, console):
        self.console, self.spool, self.done = console, new_id(), False
        self.runs, self.results, self.acked = collections.Counter(), {}, set()
        self.events, self.seq = {}, 0  # eventId by number, until acked
        self.all_events = []

    def run(self):
        while not self.done:
            try:
                self.connection()
            except (OSError, AssertionError, Refused, EOFError):
                time.sleep(0.02)

    def connection(self):
        agent = Agent(self.console, "a1", spool=self.spool)
        try:
            self.serve(agent)
        finally:
            agent.close()

    def serve(self, agent):
        held = agent.register(running=[c for c in self.runs if c not in self.results])["auditSeq"]
        self.events = {n: e for n, e in self.events.items() if n > held}
        for number, event in self.events.items():
            agent.event(number, eventId=event)
        for command, app in self.results.items():
            if command not in self.acked:
                agent.result(command, appId=app)
        while not self.done:
            try:
                message = agent.hear(0.05)
            except TimeoutError:
                continue
            if message is None:
                return
            if "jws" in message:
                self.take(agent, payload_of(message))
            elif message["type"] == "ack":
                self.acked.update(message["resultIds"])
                self.events = {n: e for n, e in self.events.items() if n > message.get("auditSeq", 0)}

    def take(self, agent, command):
        identity = command["commandId"]
        if identity not in self.runs:
            self.runs[identity] += 1
            self.seq += 1
            self.events[self.seq] = new_id()
            self.all_events.append(self.events[self.seq])
            self.results[identity] = command["appId"]
            agent.say("commandAccepted", commandId=identity)
            agent.say("commandProgress", commandId=identity, step="restart")
            agent.event(self.seq, eventId=self.events[self.seq])
        agent.result(identity, appId=command["appId"])


def test_kill_at_many_moments():
    rng = random.Random(9)
    accepted, over = {}, []

    def post(console):
        while not over:
            key = new_id()
            while not over:
                try:
                    answer = console.restart_app("a1", **{"Idempotency-Key": key})
                    if answer.status == 202:
                        accepted.setdefault(key, set()).add(answer.json["commandId"])
                        break
                except (OSError, ValueError, EOFError, http.client.HTTPException):
                    pass
                time.sleep(0.02)
            time.sleep(0.005)

    with Console() as console:
        faithful = Faithful(console)
        first = Agent(console, "a1", spool=faithful.spool)
        first.register()  # so that the console knows it and its apps
        first.close()
        workers = [Worker(faithful.run), Worker(post, console), Worker(post, console)]
        for _ in range(8):
            time.sleep(rng.random() * 0.4)
            console.kill()
            console.start()
        time.sleep(0.3)
        over.append(True)
        for worker in workers[1:]:
            worker.finish()
        check(len(accepted) > 20, f"only {len(accepted)} commands")
        equal({len(ids) for ids in accepted.values()}, {1}, "commands of one key")
        ids = [next(iter(i)) for i in accepted.values()]
        try:
            wait_for("end of every command", lambda: all(state(console, c) == "succeeded" for c in ids))
        except AssertionError as error:
            left = collections.Counter(state(console, c) for c in ids)
            raise AssertionError(f"{error}: {left}; {workers[0].error!r}; {console.log()[-1500:]}") from error
        wait_for("ack of every event", lambda: not faithful.events)
        faithful.done = True
        workers[0].finish()
        check(all(faithful.runs[c] == 1 for c in ids), "each ran once")
        events = audit(console)
        for category in ("request", "restart"):
            count = collections.Counter(e.get("commandId") for e in events if e["category"] == category)
            equal([c for c in ids if count[c] != 1], [], f"commands without exactly one {category} event")
        count = collections.Counter(e["eventId"] for e in events)
        equal([e for e in faithful.all_events if count[e] != 1], [], "the agent's events that are not there once")


if __name__ == "__main__":
    sys.exit(run([test_keys_of_idempotency, test_cancel_and_expiry, test_kill_at_many_moments]))

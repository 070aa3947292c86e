#!/usr/bin/python3
"""kill -9 of agents, driver hosts and the console in turn, at any moment, while commands of all kinds go to the apps of
two servers. Whatever died is started again. In the end each app is one whole version and runs, each command that was
answered 202 has one final state and one event that tells it, and each audit event is stored once.

FLEET_TEST_KILLS: how many (12); FLEET_TEST_SEED: the seed that a run printed."""
import os
import time

import harness
from faults import World, seeded
from harness import check, check_equal

KILLS = int(os.environ.get("FLEET_TEST_KILLS") or 12)
SERVERS = {"agent-001": ["app-a", "app-b", "app-c"], "agent-002": ["app-d", "app-e", "app-f"]}


class Stream:
    """Keeps each app busy with one command after the other."""

    def __init__(self, world, dice):
        self.world, self.dice, self.open = world, dice, {}
        self.kinds, self.states, self.codes = {}, {}, {}

    def ask(self, app):
        world, throw = self.world, self.dice.random()
        if throw < 0.25:
            return world.restart(app)
        if throw < 0.5:
            return world.push(app, "Bad" if self.dice.random() < 0.2 else None)
        if throw < 0.85 or not app.previous:
            return world.update(app, broken=self.dice.random() < 0.25, size=self.dice.choice((0, 0, 3000000)))
        return world.rollback(app)

    def step(self):
        """Takes in what has ended, and asks for something of each app that is idle."""
        for app in self.world.apps:
            command = self.open.get(app)
            if command:
                answer = self.world.until("the console answers", lambda c=command: self.world.lab.get(
                    f"/api/commands/{c['commandId']}", timeout=10))
                check_equal(answer.status, 200, f"GET of the command {command['commandId']}")
                if answer.json["state"] not in ("succeeded", "failed", "expired", "cancelled", "unknown"):
                    continue
                self.take(self.world.finish(command))
            self.open[app] = self.ask(app)

    def take(self, command):
        check(command["state"] in ("succeeded", "failed"), f"{command['what']} {command['commandId']} is {command['state']}")
        self.kinds[command["what"]] = self.kinds.get(command["what"], 0) + 1
        self.states[command["state"]] = self.states.get(command["state"], 0) + 1
        if command["state"] == "failed":
            code = command.get("errorCode")
            self.codes[code] = self.codes.get(code, 0) + 1

    def end(self):
        for command in self.open.values():
            self.take(self.world.finish(command))
        self.open = {}


def victim(world, dice, kind):
    if kind == "console":
        return world.console
    server = dice.choice(world.servers)
    return server.agent if kind == "agent" else server.host


def kills_at_random_moments_lose_nothing(lab):
    dice = seeded()
    world = World(lab, SERVERS)
    stream = Stream(world, dice)
    while sum(world.deaths.values()) < KILLS:
        stream.step()
        time.sleep(dice.random() * 0.4)  # the moment itself: any will do
        turn = ("host", "agent", "console")[sum(world.deaths.values()) % 3]
        process = victim(world, dice, turn)
        process.expected_end = True
        process.process.kill()
        process.process.wait()
        time.sleep(dice.random() * dice.choice((0.05, 0.05, 0.5)))  # and for how long it is away
        world.revive()
    stream.end()
    world.drained()
    world.check_apps("after all kills")
    for command in world.commands:
        world.check_command(command)
    kept = [c["commandId"] for agent in SERVERS for c in lab.api(f"/api/commands?agentId={agent}&limit=1000")]
    check_equal(sorted(kept), sorted(c["commandId"] for c in world.commands), "commands at the console")
    total, numbered = world.check_log()

    def told(counts):
        return ", ".join(f"{n} {what}" for what, n in sorted(counts.items(), key=str))
    print(f"# {sum(world.deaths.values())} kills ({told(world.deaths)}); {len(world.commands)} commands ({told(stream.kinds)}): "
          f"{told(stream.states)} ({told(stream.codes)}); {total} audit events, {numbered} of them numbered by agents, each once")


if __name__ == "__main__":
    harness.main([kills_at_random_moments_lose_nothing])

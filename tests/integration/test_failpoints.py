#!/usr/bin/python3
"""Each place in the programs where they can be made to die or fail, see include/fleet/failpoint.h: kill -9 there during
updates, rollbacks and pushes that go well and that do not, and errors of the disk. Whatever dies is started again; then
the app is whole and runs, nothing is left over, the command has one end, and the audit log is complete and in order.

Needs a build with --enable-failpoints (scripts/dev test faults). FLEET_TEST_FAULTS=all takes each place at each time
that it is passed and by itself as well as with its parent; else each once."""
import errno
import os
import subprocess
import sys

import harness
from faults import World, read
from harness import Skip, check, check_equal

ALL = os.environ.get("FLEET_TEST_FAULTS") == "all"
PROGRAMS = {"host": "fleet-driver-host", "agent": "fleet-agent", "console": "fleet-console"}
# By the first part of its name: whose a point of the host is. An operation's own process has the host as its parent.
IN_OPERATION = ("op", "service", "stage", "unpack", "moves", "tree", "push", "before", "recover", "file")
# What the app's tree, its files and the host's own meet; see the tables of docs/ledger.md for what comes of it.
DISK_ERRORS = ("EIO", "ENOSPC") if ALL else ("ENOSPC",)
# The short walk takes these where a longer one would come past the same places again.
SOME = ("op", "service", "unpack", "moves", "tree", "push", "recover")


def points(kind):
    """(name, can it fail) of all that a program has."""
    done = subprocess.run([harness.program(PROGRAMS[kind]), "--version"], env={"FLEET_FAILPOINTS": "list"}, capture_output=True,
                          text=True, check=True)
    found = [line.split(" ") for line in done.stdout.splitlines()]
    if not found or len(found[0]) != 2 or found[0][1] not in ("point", "fails"):
        raise Skip("needs programs that were configured with --enable-failpoints")
    names = [name for name, _ in found]
    check_equal(sorted(set(names)), sorted(names), f"names of {kind}'s points")
    return [(name, can == "fails") for name, can in found]


def in_operation(name):
    return name.split(".")[0] in IN_OPERATION


def operations(world, app):
    """name: (how to ask for it, what it needs first)."""
    def ready_to_go_back():
        if not app.previous:
            check_equal(world.finish(world.update(app))["state"], "succeeded", "an update without faults")
    return {"update": (lambda: world.update(app), None),
            "update that fails": (lambda: world.update(app, broken=True), None),
            "rollback": (lambda: world.rollback(app), ready_to_go_back),
            "push": (lambda: world.push(app), None),
            "push that fails": (lambda: world.push(app, "Bad"), None),
            "restart": (lambda: world.restart(app), None)}


class Walk:
    def __init__(self, lab, app="app-a"):
        self.lab, self.world = lab, World(lab, {"agent-001": [app]}, points=True)
        self.app = self.world.apps[0]
        self.hit, self.cases, self.states, self.fails = set(), 0, {}, False

    def once(self, kind, name, action, label, ask, then=None):
        """One operation with one point armed; was it hit? then: (point, action), armed when it is."""
        world, why = self.world, f"{label}, {name}={action}" + (f" then {then[0]}={then[1]}" if then else "")
        if then:
            world.arm_after(kind, name, *then)
        world.arm(kind, name, action)
        command = world.finish(ask())
        world.drained()
        hits = world.disarm()
        hit = (then[0] if then else name) in hits
        if hit:
            self.hit.add(name)
            self.cases += 1
            self.states[command["state"]] = self.states.get(command["state"], 0) + 1
            print(f"# {why}: {command['state']}: {command.get('message')}", flush=True)
        check(command["state"] in ("succeeded", "failed"), f"{why}: {command['state']}: {command.get('message')}")
        if hit and action.startswith("error:"):
            self.check_error(why, name, action, command)
        world.check_apps(why)
        world.check_command(command)
        return hit, command

    def each(self, kind, label, actions):
        """actions(name, can it fail): what is done at each point."""
        ask, prepare = operations(self.world, self.app)[label]
        self.fails = "fails" in label
        for name, can_fail in points(kind):
            if not ALL and (self.fails or self.app.single) and name.split(".")[0] not in SOME:
                continue
            for action in actions(name, can_fail):
                for n in range(1, 80):
                    if prepare:
                        prepare()
                    if kind == "console":
                        self.world.renew_agents()
                    hit, _ = self.once(kind, name, f"{action}@{n}", label, ask)
                    if not hit or not ALL:
                        break

    def check_error(self, why, name, action, command):
        """Who reads the result learns what was wrong, unless it was tried again or is only about what is to be removed."""
        words = os.strerror(getattr(errno, action.split(":")[1].split("@")[0]))
        message = command.get("message") or ""
        if command["state"] == "succeeded":
            lost = self.app.previous and not os.path.exists(os.path.join(self.app.beside(), "previous"))
            check(not lost or ("could not be kept" in message and words in message), f"{why}: {message}")
        elif not self.fails:
            check(words in message, f"{why}: {message}")
        if name in ("tree.keep", "tree.remove", "tree.note", "tree.sync"):
            self.app.tidy()

    def end(self):
        total, numbered = self.world.check_log()
        for command in self.world.commands:
            self.world.check_command(command)
        deaths = ", ".join(f"{n} of the {kind}" for kind, n in self.world.deaths.items() if n)
        print(f"# {self.cases} faults: {deaths or 'no'} deaths; {len(self.world.commands)} commands: "
              + ", ".join(f"{n} {state}" for state, n in sorted(self.states.items()))
              + f"; {total} audit events, {numbered} of them numbered by agents, each once", flush=True)
        check(self.cases > 0, "no point was reached at all")
        return self.hit


def crash(name, can_fail):
    del can_fail
    if not in_operation(name):
        return ["crash"]
    return ["crash-with-parent", "crash"] if ALL else ["crash-with-parent"]


def error(name, can_fail):
    del name
    return [f"error:{e}" for e in DISK_ERRORS] if can_fail else []


def host_dies(lab, *labels, app="app-a"):
    walk = Walk(lab, app)
    for label in labels:
        walk.each("host", label, crash)
    return walk.end()


def host_dies_during_an_update(lab):
    hit = host_dies(lab, "update")
    for name in ("tree.exchanged", "moves.renamed", "unpack.renamed", "ledger.written", "service.done", "op.begun"):
        check(name in hit, f"the update did not come past {name}")


def host_dies_during_an_update_that_fails(lab):
    host_dies(lab, "update that fails")


def host_dies_during_a_rollback(lab):
    host_dies(lab, "rollback")


def host_dies_during_a_push(lab):
    hit = host_dies(lab, "push")
    for name in ("push.renamed", "before.saved", "push.sync", "push.directory"):
        check(name in hit, f"the push did not come past {name}")


def host_dies_during_a_push_that_fails(lab):
    host_dies(lab, "push that fails")


def host_dies_during_a_restart(lab):
    host_dies(lab, "restart")


def host_dies_while_one_file_is_updated(lab):
    hit = host_dies(lab, *(("update", "update that fails", "rollback") if ALL else ("update",)), app="app-single")
    for name in ("unpack.copy", "unpack.copied", "tree.exchanged"):
        check(name in hit, f"the update did not come past {name}")


def host_dies_again_while_it_takes_an_operation_up(lab):
    """First where the app is down and its tree half moved, forward and back; then at each point of the recovery."""
    walk = Walk(lab)
    for label, first in (("update", "moves.renamed"), ("update", "tree.exchanged"), ("update that fails", "tree.exchanged"),
                         ("push", "push.renamed"), ("rollback", "tree.exchanged"))[:None if ALL else 4]:
        ask, prepare = operations(walk.world, walk.app)[label]
        action = "crash-with-parent@2" if label == "update that fails" else "crash-with-parent@1"
        for name, _ in points("host"):
            if name == first or (not ALL and name.split(".")[0] not in ("tree", "moves", "recover", "service", "op", "push")):
                continue
            if prepare:
                prepare()
            walk.once("host", first, action, label, ask, then=(name, crash(name, False)[0]))
    check(walk.cases > 20, f"only {walk.cases} second deaths")
    walk.end()


def host_dies_where_a_file_system_cannot_exchange(lab):
    walk = Walk(lab)
    for label in ("update", "update that fails", "rollback"):
        ask, prepare = operations(walk.world, walk.app)[label]
        for n in range(1, 10):
            if prepare:
                prepare()
            walk.world.arm("host", "tree.exchange", "error:EINVAL@*")
            if not walk.once("host", "tree.move", f"crash-with-parent@{n}", label, ask)[0]:
                break
    check(walk.cases >= 12, f"only {walk.cases} parts of exchanges")
    walk.end()


def the_way_back_is_tried_again(lab):
    """The disk fails for a moment on the way there, and once more on the way back; and as a cut exchange is taken up."""
    walk = Walk(lab)
    update = operations(walk.world, walk.app)["update"][0]
    walk.world.arm("host", "moves.return", "error:EIO@1")
    hit, command = walk.once("host", "moves.rename", "error:EIO@2", "update", update)
    check(hit, "nothing failed on the way there")
    check("Nothing was changed" in command["message"], command["message"])
    walk.world.arm("host", "tree.exchange", "error:EINVAL@*")
    hit, _ = walk.once("host", "tree.sync", "crash-with-parent@1", "update", update, then=("tree.move", "error:EIO@1"))
    check(hit, "nothing failed as it was taken up")
    walk.end()


def what_could_not_be_brought_back_is_kept(lab):
    """The disk fails as the app's data are on their way back: no later operation throws them away, however many come."""
    world = World(lab, {"agent-001": ["app-a"]}, points=True)
    app = world.apps[0]
    for kept in ("left", "left.2"):
        with open(os.path.join(app.tree, "data/db"), "w", encoding="ascii") as f:
            f.write(f"for {kept}")
        world.arm("host", "moves.return", "error:EIO@*")
        failed = world.finish(world.update(app, broken=True))
        world.disarm()
        check("Not rolled back" in (failed.get("message") or ""), f"{failed['state']}: {failed.get('message')}")
        check_equal(world.finish(world.update(app))["state"], "succeeded", "the next update")
        check_equal(read(app.beside(), kept, "data/db"), f"for {kept}", "the data that were not brought back")
        os.makedirs(os.path.join(app.tree, "data"))
        check_equal(world.finish(world.restart(app))["state"], "succeeded", "its start")
    check_equal(sorted(os.listdir(app.beside())), ["left", "left.2", "previous", "previous.json"], "what lies beside the tree")


def a_result_that_finds_no_room_is_told_and_nothing_is_done_again(lab):
    world = World(lab, {"agent-001": ["app-a"]}, points=True)
    app, host = world.apps[0], world.servers[0].host
    for n in range(1, 20):
        world.arm("host", "ledger.write", f"error:ENOSPC@{n}")
        command = world.finish(world.restart(app))
        world.disarm()
        if f"the result of command {command['commandId']} could not be kept" in host.log():
            break
    check_equal(command["state"], "succeeded", f"it is told all the same: {command.get('message')}")
    lab.until("it is kept when there is room", lambda: f"the result of command {command['commandId']} is kept now" in host.log())
    world.drained()
    world.check_apps("in the end")
    check("taking up command" not in host.log(), "it was looked at as one that was cut off")
    for each in world.commands:
        world.check_command(each)
    world.check_log()


def agent_and_console_die_at_each_place(lab):
    walk = Walk(lab)
    for label in ("update", "push", "restart") if ALL else ("update",):
        for kind in ("agent", "console"):
            walk.each(kind, label, lambda name, can_fail: ["crash"])
    for name in ("agent.result-kept", "agent.event-kept", "spool.write", "console.finished", "console.sent", "store.batch"):
        check(name in walk.hit, f"nothing came past {name}")
    walk.end()


def errors_of_the_disk_are_told_and_the_old_version_runs_on(lab):
    walk = Walk(lab)
    for label in ("update", "rollback", "push", "update that fails") if ALL else ("update", "push"):
        walk.each("host", label, error)
    walk.end()


def errors_of_the_disk_under_one_file(lab):
    walk = Walk(lab, "app-single")
    walk.each("host", "update", error)
    walk.end()


def each_write_of_the_spool_may_fail(lab):
    """An event, a result, what runs, an acknowledgement: nothing comes in another order, and nothing stays in the spool."""
    walk = Walk(lab)
    ask = operations(walk.world, walk.app)["update"][0]
    for n in range(1, 30):
        if not walk.once("agent", "spool.write", f"error:ENOSPC@{n}", "update", ask)[0]:
            break
    check(walk.cases >= 8, f"only {walk.cases} writes")
    check("cannot be taken out of the spool" in walk.world.servers[0].agent.log(), "no acknowledgement met it")
    walk.end()


def errors_of_the_disk_lose_nothing_at_agent_and_console(lab):
    walk = Walk(lab)
    for kind in ("agent", "console"):
        walk.each(kind, "update", error)
    walk.end()


if __name__ == "__main__":
    harness.main([
        host_dies_during_an_update,
        host_dies_during_an_update_that_fails,
        host_dies_during_a_rollback,
        host_dies_during_a_push,
        host_dies_during_a_push_that_fails,
        host_dies_during_a_restart,
        host_dies_while_one_file_is_updated,
        host_dies_again_while_it_takes_an_operation_up,
        host_dies_where_a_file_system_cannot_exchange,
        the_way_back_is_tried_again,
        what_could_not_be_brought_back_is_kept,
        a_result_that_finds_no_room_is_told_and_nothing_is_done_again,
        agent_and_console_die_at_each_place,
        errors_of_the_disk_are_told_and_the_old_version_runs_on,
        errors_of_the_disk_under_one_file,
        each_write_of_the_spool_may_fail,
        errors_of_the_disk_lose_nothing_at_agent_and_console,
    ])

#!/usr/bin/python3
"""A link between agent and console that is cut, slow, half open and spoken over twice, and disks that are full, at the
agent, the driver host, the app and the console: what was asked ends once, what was told is stored once, an operator reads
what is wrong, and when it is over all goes on by itself."""
import contextlib
import os
import random
import socket
import subprocess
import threading
import time

import harness
from faults import World, seeded
from harness import Skip, check, check_equal, check_in


CUTS = int(os.environ.get("FLEET_TEST_CUTS") or 4)  # each in a row makes the agent wait longer before it comes back


class Link:
    """Bytes between the agent and the console, and what may become of them."""

    def __init__(self, lab):
        self.lab, self.pairs, self.lock = lab, [], threading.Lock()
        self.delay, self.refuse, self.made, self.over = 0.0, False, 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()
        lab.later.append(self.close)

    def _listen(self):
        with contextlib.suppress(OSError):
            while not self.over:
                near, _ = self.listener.accept()
                if self.refuse:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.lab.port), timeout=10)
                self.made += 1
                with self.lock:
                    self.pairs.append((near, far))
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(a, b, near), daemon=True).start()

    def _carry(self, source, sink, near):
        with contextlib.suppress(OSError, ValueError):
            while True:
                data = source.recv(random.choice((1, 7, 65536)) if self.delay else 65536)
                if not data:
                    break
                time.sleep(self.delay)
                while near in self.silent:  # half open: nobody hears, nobody hangs up
                    if self.over:
                        return
                    time.sleep(0.05)
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    silent = frozenset()

    def cut(self):
        """Both ends see it at once."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def half_open(self):
        """From now on nothing passes over the connections there are, and neither end is told. New ones are fine."""
        with self.lock:
            self.silent = frozenset(near for near, _ in self.pairs)

    def close(self):
        self.over = True
        self.cut()
        self.listener.close()


def start(lab, apps=("app-a", "app-b")):
    link = Link(lab)
    return link, World(lab, {"agent-001": list(apps)}, console_url=link.url)


def ends(world, commands, states=("succeeded", "failed")):
    for command in commands:
        if "finished" not in command:
            world.finish(command)
        check(command["state"] in states, f"{command['what']} is {command['state']}: {command.get('message')}")
    world.drained()
    world.check_apps("in the end")
    for command in world.commands:
        world.check_command(command)
    return world.check_log()


def a_link_that_is_cut_again_and_again(lab):
    dice = seeded()
    link, world = start(lab)
    for _ in range(CUTS):
        commands = [dice.choice((world.restart, world.push, world.update))(app) for app in world.apps]
        time.sleep(dice.random() * 0.5)  # the moment of the cut: any will do
        link.cut()
        for command in commands:
            world.finish(command)
            command["finished"] = True
    total, numbered = ends(world, world.commands, ("succeeded",))
    print(f"# {link.made} connections, {len(world.commands)} commands, {total} audit events, {numbered} numbered by the agent")
    check(link.made > CUTS // 2, f"only {link.made} connections")


def a_link_that_is_away_for_a_whole_update(lab):
    link, world = start(lab)
    app, other = world.apps
    command = world.update(app)
    lab.until("the server has it", lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] in ("accepted", "running"))
    link.refuse = True
    link.cut()
    lab.until("the app is updated while nobody hears of it", lambda: open(os.path.join(app.tree, "version"), encoding="ascii").read()
              == command["body"]["version"] + "\n")
    queued = world.restart(other)
    link.refuse = False
    ends(world, [command, queued], ("succeeded",))


def a_link_that_is_slow(lab):
    link, world = start(lab)
    link.delay = 0.01  # a byte or seven at a time
    ends(world, [world.restart(world.apps[0]), world.push(world.apps[1])], ("succeeded",))


def a_link_that_is_half_open(lab):
    """The console calls the agent offline, the agent comes back by itself, and the old connection's words do not count twice."""
    link, world = start(lab)
    command = world.update(world.apps[0])
    lab.until("the server has it", lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] in ("accepted", "running", "succeeded"))
    link.half_open()
    other = world.push(world.apps[1])
    made = link.made
    world.until("the agent connects anew", lambda: link.made > made, 90)
    link.silent = frozenset()  # what was under way arrives after all, late
    ends(world, [command, other], ("succeeded",))


def an_agent_that_is_there_twice(lab):
    """A second agent of the same name, on another server: it is told so, and the first one's commands are its own."""
    link, world = start(lab)
    server = world.servers[0]
    twin = lab.spawn("twin", [harness.program("fleet-agent"), "--dev", "--agent-id", server.id, "--console-url", link.url,
                              "--data-dir", lab.path("twin")])
    lab.until("the second one is refused", lambda: "in use" in twin.log() or "409" in twin.log())
    ends(world, [world.restart(world.apps[0]), world.update(world.apps[1])], ("succeeded",))
    twin.stop()


@contextlib.contextmanager
def full(lab, folder):
    """A file system that has no room left; until the end of the block."""
    stuffing = os.path.join(folder, "stuffing")
    with open(stuffing, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 4096)
    del lab
    yield
    os.unlink(stuffing)


def small(lab, name, size="24m"):
    folder = lab.path(name)
    os.makedirs(folder, exist_ok=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True,
                                           check=False).returncode != 0:
        raise Skip("needs root, to mount a small tmpfs")
    lab.later.append(lambda: subprocess.run(["umount", "-l", folder], check=False))
    return folder


def a_full_disk_at_the_console(lab):
    """It takes no command that it cannot keep, and says so; when there is room again, all goes on."""
    folder = small(lab, "console")
    _, world = start(lab)
    command = world.update(world.apps[0])
    with full(lab, folder):
        answer = lab.until("no command is taken any more", lambda: (lambda a: a if a.status != 202 else None)(
            lab.post("/api/agents/agent-001/restart-app", {"appId": "app-b"})))
        check(answer.status in (500, 503), repr(answer))
        print(f"# {answer.status}: {answer.json.get('detail')}")
        check_equal(lab.get("/api/agents").status, 200, "what can be read")
    taken = [c["commandId"] for c in lab.api("/api/commands?limit=1000")]
    for command_id in taken:
        check_equal(lab.outcome(command_id, 60)["state"], "succeeded", "what was taken")
    ends(world, [command, world.restart(world.apps[1])], ("succeeded",))


def a_full_disk_at_the_agent(lab):
    """What the host has to tell waits there until the spool takes it."""
    folder = small(lab, "agent-001")
    _, world = start(lab)
    with full(lab, folder):
        command = world.push(world.apps[0])
        lab.until("the push is done", lambda: f'"{command["body"]["settings"]["LogLevel"]}"' in open(
            os.path.join(world.apps[0].tree, "app.json"), encoding="ascii").read())
        lab.until("the agent says what is wrong", lambda: "cannot keep what the console must hear" in world.servers[0].agent.log())
    ends(world, [command, world.update(world.apps[1])], ("succeeded",))


def a_full_disk_at_the_host(lab):
    """Nothing is begun that could not be taken up again."""
    folder = small(lab, "agent-001.host")
    _, world = start(lab)
    commands = []

    def said():
        commands.append(world.restart(world.apps[len(commands) % 2]))  # the last page that it has takes some
        return "No space left on device" in world.servers[0].host.log()
    with full(lab, folder):
        lab.until("the host says what is wrong", said, every=0.3)
        command = world.update(world.apps[0])
    for restart in commands:
        world.finish(restart)
        restart["finished"] = True
        check(restart["state"] == "succeeded" or "No space left on device" in restart["message"], restart["message"])
    ends(world, [*commands, command, world.push(world.apps[1])])
    check_equal(world.commands[-1]["state"], "succeeded", "the push when there is room")


def a_full_disk_under_the_app(lab):
    folder = small(lab, "agent-001.trees")
    _, world = start(lab)
    with full(lab, folder):
        for command in (world.update(world.apps[0], size=100000), world.push(world.apps[1])):
            world.finish(command)
            command["finished"] = True
            check_equal(command["state"], "failed", f"the {command['what']}")
            check("No space left on device" in command["message"] or "no room for" in command["message"], command["message"])
        world.check_apps("while the disk is full")
    ends(world, [world.update(world.apps[0]), world.push(world.apps[1])], ("succeeded",))
    check_in("Running", world.commands[-2]["message"], "the update when there is room")


if __name__ == "__main__":
    harness.main([
        a_link_that_is_cut_again_and_again,
        a_link_that_is_away_for_a_whole_update,
        a_link_that_is_slow,
        a_link_that_is_half_open,
        an_agent_that_is_there_twice,
        a_full_disk_at_the_console,
        a_full_disk_at_the_agent,
        a_full_disk_at_the_host,
        a_full_disk_under_the_app,
    ])

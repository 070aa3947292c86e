#!/usr/bin/python3
"""A link between agent and console that is cut, slow, half open, says things twice and is doubled, and disks that are full, at the
agent, the driver host, the app and the console: what was asked ends once, what was told is stored once, an operator reads
what is wrong, and when it is over all goes on by itself."""
import contextlib
import os
import random
import socket
import sqlite3
import subprocess
import threading
import time
import types
import uuid

import console_peers
import harness
from faults import World, seeded
from harness import Skip, check, check_equal, check_in


CUTS = int(os.environ.get("FLEET_TEST_CUTS") or 4)  # each in a row makes the agent wait longer before it comes back


class Link:
    """Bytes between the agent and the console, and what may become of them. delay: of each piece, in seconds. stutter: how likely
    a piece is to arrive twice. double: a second connection gets what the agent says, opened "before" or "after" its own. tapes:
    what the agent said, a connection each."""

    def __init__(self, lab):
        self.lab, self.pairs, self.lock = lab, [], threading.Lock()
        self.delay, self.stutter, self.double, self.tapes = 0.0, 0.0, None, []
        self.refuse, self.made, self.over, self.repeated, self.doubled = False, 0, False, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()
        lab.later.append(self.close)

    def _far(self):
        return socket.create_connection(("127.0.0.1", self.lab.port), timeout=10)

    def _listen(self):
        with contextlib.suppress(OSError):
            while not self.over:
                near, _ = self.listener.accept()
                if self.refuse:
                    near.close()
                    continue
                copy = self._copy(near) if self.double == "before" else None
                far = self._far()
                copy = self._copy(near) if self.double == "after" else copy
                self.made += 1
                self.tapes.append(bytearray())
                with self.lock:
                    self.pairs.append((near, far))
                for a, b, tape, to_copy in ((near, far, self.tapes[-1], copy), (far, near, bytearray(), None)):
                    threading.Thread(target=self._carry, args=(a, b, near, tape, to_copy), daemon=True).start()

    def _copy(self, near):
        """A connection of its own, whose answers nobody hears; over when the agent's is."""
        copy = self._far()
        with self.lock:
            self.pairs.append((near, copy))
        self.doubled += 1
        threading.Thread(target=drain, args=(copy,), daemon=True).start()
        return copy

    def _carry(self, source, sink, near, tape, copy):
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
                if copy:
                    with contextlib.suppress(OSError):
                        copy.sendall(data)
                sink.sendall(data)
                if b"\r\n\r\n" in tape and random.random() < self.stutter:  # once the handshake is over
                    self.repeated += 1
                    sink.sendall(data)
                tape += data
        for s in (source, sink, copy):
            with contextlib.suppress(OSError, AttributeError):
                s.shutdown(socket.SHUT_RDWR)

    def play(self, tape):
        """All that the agent said once, in a connection that hears nothing of what is said there; and the first answer to it."""
        far = self._far()
        with self.lock:
            self.pairs.append((far, far))
        with contextlib.suppress(OSError):
            far.sendall(tape)
        answer = far.recv(65536)
        threading.Thread(target=drain, args=(far,), daemon=True).start()
        return answer.split(b"\r\n")[0].decode()

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


def drain(connection):
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


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
    """The agent comes back by itself, and the old connection's words do not count twice; nor when somebody else says them again
    meanwhile, whom the console takes for the agent then, since the agent does not answer."""
    link, world = start(lab)
    command = world.update(world.apps[0])
    lab.until("the server has it", lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] in ("accepted", "running", "succeeded"))
    link.half_open()
    tape = bytes(link.tapes[-1])
    lab.until("he is taken for it", lambda: "101" in link.play(tape))  # once no word of the agent's is on its way any more
    other = world.push(world.apps[1])
    made = link.made
    world.until("the agent connects anew", lambda: link.made > made, 90)
    link.silent = frozenset()  # what was under way arrives after all, late
    ends(world, [command, other], ("succeeded",))


def a_link_that_says_things_twice(lab):
    """Whole messages, both ways, and parts of some, after which nothing can be made of what follows."""
    random.seed(seeded().random())
    link, world = start(lab)
    link.stutter = 0.3
    link.cut()
    for _ in range(CUTS):
        for command in [world.restart(world.apps[0]), world.push(world.apps[0]), world.update(world.apps[1])]:
            world.finish(command)
            command["finished"] = True
    made, link.delay, link.stutter = link.made, 0.002, 0.05
    command = world.push(world.apps[1])
    lab.until("a part of a message that came twice ends the connection", lambda: link.made > made)
    link.delay = link.stutter = 0.0
    world.finish(command)
    command["finished"] = True
    total, numbered = ends(world, world.commands, ("succeeded",))
    print(f"# {link.repeated} pieces came twice, {link.made} connections; {total} audit events, {numbered} numbered by the agent")
    check(link.repeated > 3, "hardly anything came twice")


def connections_that_are_doubled(lab):
    """What the agent says arrives over two connections; the console's words over either may be lost."""
    link, world = start(lab)
    for link.double in ("after", "before"):
        commands = [world.update(world.apps[0]), world.push(world.apps[1])]
        link.cut()
        for command in commands:
            world.finish(command)
            command["finished"] = True
        command = world.restart(world.apps[0])
        world.finish(command)
        command["finished"] = True
    total, numbered = ends(world, world.commands, ("succeeded",))
    print(f"# {link.doubled} connections were doubled; {total} audit events, {numbered} numbered by the agent")
    check(link.doubled >= 2, "no connection was doubled")


def an_old_connection_that_comes_again(lab):
    """All that an agent said once is said again by somebody who hears nothing: while the agent is there, and while it is away.
    Whatever he is sent meanwhile reaches the agent later."""
    link, world = start(lab)
    one, two = world.apps
    for command in [world.update(one), world.push(two), world.restart(one)]:
        world.finish(command)
    world.drained()
    tape = bytes(link.tapes[-1])
    check_in("409", link.play(tape), "while the agent is there")
    world.away = world.servers[0].agent
    world.away.stop()
    lab.until("the console sees it go", lambda: not lab.api("/api/agents/agent-001")["isOnline"])
    check_in("101", link.play(tape), "while the agent is away")
    lab.until("the console takes it for the agent", lambda: lab.api("/api/agents/agent-001")["isOnline"])
    command = world.update(two)
    lab.until("it is sent to him", lambda: lab.api(f"/api/commands/{command['commandId']}")["state"] == "sent")
    world.servers[0].start_agent()
    check_equal(world.finish(command)["state"], "succeeded", "what he was sent")
    for command in world.commands:
        command["finished"] = True
    total, numbered = ends(world, world.commands, ("succeeded",))
    print(f"# {len(tape)} bytes were said again; {total} audit events, {numbered} numbered by the agent")


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
def full(lab, folder, leave=0):
    """A file system that has no more room left than that; until the end of the block."""
    stuffing = os.path.join(folder, "stuffing")
    with open(stuffing, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 4096)
        f.truncate(f.tell() - leave)
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


def what_is_in_the_consoles_queue_waits_behind_a_gap(lab):
    """An agent says a thousand things at once, of which the disk has no room for the first and has room for the last: the log is
    in order all the same, and what was not kept is not acknowledged."""
    folder = small(lab, "console")
    lab.console()
    console = types.SimpleNamespace(agents=[], port=lab.port, connect=lambda: socket.create_connection((lab.host, lab.port), 30))
    agent = console_peers.Agent(console, "agent-009")
    agent.register()
    command = lab.command("agent-009", "restart-app", appId="app-a")["commandId"]
    agent.command()
    ids = [str(uuid.uuid4()) for _ in range(1, 1001)]

    def say_all(agent, after):
        """From this number on, in one piece."""
        texts, agent.frame, frame = [], lambda _, data: texts.append(data), agent.frame
        for seq in range(after + 1, len(ids) + 1):
            agent.event(seq, eventId=ids[seq - 1], details={"much": "x" * 9000} if seq <= 200 else {})
        agent.result(command)
        pieces, agent.frame, true = [], frame, agent.socket
        agent.socket = types.SimpleNamespace(sendall=pieces.append)
        for text in texts:
            agent.frame(1, text)
        agent.socket = true
        with contextlib.suppress(OSError):
            true.sendall(b"".join(pieces))

    def acks(agent):
        """(number, results) of each, until all is acknowledged or nothing comes any more."""
        heard = []
        with contextlib.suppress(TimeoutError):
            while message := agent.hear(3):
                if message["type"] == "ack":
                    heard.append((message["auditSeq"], message["resultIds"]))
                    if message["auditSeq"] == len(ids) and any(r for _, r in heard):
                        break
        return heard
    with full(lab, folder, leave=400 << 10):
        say_all(agent, 0)
        lab.until("something found no room", lambda: "could not be kept" in lab.processes[0].log())
        first = acks(agent)
        agent.close()
    lost = first[-1][0] if first else 0
    check(lost < len(ids), "all of it found room")
    check(not any(results for _, results in first), f"the end was acknowledged before what led to it: {first}")
    lab.until("it is offline", lambda: not lab.api("/api/agents/agent-009")["isOnline"])
    agent = console_peers.Agent(console, "agent-009", spool=agent.spool)
    held = agent.register()["auditSeq"]
    check(lost <= held < len(ids), f"acknowledged {lost}, held {held}")
    say_all(agent, held)
    check_equal(acks(agent)[-1][0], len(ids), "what is held in the end")
    agent.close()
    with contextlib.closing(sqlite3.connect(f"file:{lab.path('console', 'console.db')}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT spool_seq, event_id FROM audit WHERE spool_id IS NOT NULL ORDER BY seq").fetchall()
        end = db.execute("SELECT seq FROM audit WHERE category = 'restart'").fetchall()
        last = db.execute("SELECT max(seq) FROM audit WHERE spool_id IS NOT NULL").fetchone()
    check_equal([n for n, _ in rows], list(range(1, len(ids) + 1)), "numbers of what the log has of the agent's, in its order")
    check_equal([i for _, i in rows], ids, "ids of what the log has of the agent's")
    check(len(end) == 1 and end[0] > last, f"the command's end is at {end}, the last of what led to it at {last}")
    print(f"# {lost} of {len(ids)} were acknowledged before the disk was full, {held} were kept then")


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
        a_link_that_says_things_twice,
        connections_that_are_doubled,
        an_old_connection_that_comes_again,
        an_agent_that_is_there_twice,
        a_full_disk_at_the_console,
        what_is_in_the_consoles_queue_waits_behind_a_gap,
        a_full_disk_at_the_agent,
        a_full_disk_at_the_host,
        a_full_disk_under_the_app,
    ])

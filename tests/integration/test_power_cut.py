#!/usr/bin/python3
"""The power is cut at each place where the driver host has a failpoint: the app's tree and the host's state lie on ext4 in
an image; where the operation stands still, the image's file is copied without a sync, and the copy is the disk that the
server comes up with. What runs at boot runs, then the host; console and agent are elsewhere and remember. In the end the
app is whole and runs, and the command has one end. Without the syncs it would not be so.

Needs root, loop devices, mkfs.ext4 and a build with --enable-failpoints. FLEET_TEST_FAULTS=all: each place at each time that
it is passed."""
import contextlib
import os
import shutil
import signal
import subprocess
import time

import harness
from faults import World, read
from harness import Failure, Skip, check, check_equal
from test_failpoints import ALL, operations, points

NO_SYNCS = "int fsync(int fd){(void)fd;return 0;} int fdatasync(int fd){(void)fd;return 0;} int syncfs(int fd){(void)fd;return 0;}"


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False)


class Disk:
    """An image, mounted at DIR/disk."""

    def __init__(self, lab):
        self.lab, self.image, self.number = lab, lab.path("image.0"), 0
        os.mkdir(lab.path("disk"))
        with open(self.image, "wb") as f:
            f.truncate(64 << 20)
        if os.geteuid() != 0 or run("mkfs.ext4", "-q", "-F", self.image).returncode != 0 or not self.mount():
            raise Skip("needs root, mkfs.ext4 and a loop device")
        lab.later.append(lambda: run("umount", "-l", lab.path("disk")))

    def mount(self):
        return run("mount", "-o", "loop,noatime", self.image, self.lab.path("disk")).returncode == 0

    def cut(self, stop):
        """As the disk is now; stop() ends who uses it. Comes up with that."""
        self.number += 1
        copy = self.lab.path(f"image.{self.number}")
        check_equal(run("cp", "--sparse=always", self.image, copy).returncode, 0, "the copy of the image")
        stop()
        self.lab.until("the disk is let go of", lambda: run("umount", self.lab.path("disk")).returncode == 0)
        os.unlink(self.image)
        self.image = copy
        check(self.mount(), "the copy cannot be mounted")


def stands_still(pid):
    """Is it, or one of its children, stopped?"""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            if f.read().rsplit(")", 1)[1].split()[0] == "T":
                return True
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return any(stands_still(int(child)) for child in f.read().split())
    return False


class Cuts:
    def __init__(self, lab):
        self.lab, self.disk = lab, Disk(lab)
        self.world = World(lab, {"agent-001": ["app-a"]}, points=True, disk="disk")
        self.server, self.app = self.world.servers[0], self.world.apps[0]
        self.cases, self.states, self.patience = 0, {}, 90

    def cut(self):
        host = self.server.host
        host.freeze()

        def stop():
            host.expected_end = True
            os.kill(host.pid, signal.SIGKILL)
            host.process.wait()
        self.disk.cut(stop)
        # with the power the services are gone too; at boot they start anew
        shutil.rmtree(self.server.path("host", "drivers"), ignore_errors=True)

    def boot(self):
        done = run(harness.program("fleet-driver-host"), "--dev", "--agent-id", self.server.id, "--state-dir",
                   self.server.path("host"), "--recover-files")
        check_equal(done.returncode, 0, f"what runs at boot: {done.stderr}")
        if os.path.exists(os.path.join(self.app.tree, "broken")):  # a service of such a release does not come up at boot either
            folder = self.server.path("host", "drivers", self.app.id, "simulated")
            os.makedirs(folder, 0o700)
            with open(os.path.join(folder, "state"), "w", encoding="ascii") as f:
                f.write(f"1 1 1 {time.time_ns() // 1000000} 0 1\n")

    def whole_at_boot(self, why, command):
        """Before any host runs, as the app's own start finds it: the version before or the new one, all of it."""
        app = self.app
        versions = {app.version, command["body"].get("version", app.version)}
        if command["what"] == "rollback-app":
            versions.add(app.previous)
        seen = (read(app.tree, "bin/program"), read(app.tree, "version"), read(app.tree, "data/db"))
        check(seen in [(f"program {v}", f"{v}\n", f"written by {app.id}") for v in versions], f"{why}: at boot there is {seen}")
        levels = {app.level, command["body"].get("settings", {}).get("LogLevel", app.level)}
        check(read(app.tree, "app.json") in [app.config(level) for level in levels], f"{why}: {read(app.tree, 'app.json')!r}")

    def once(self, label, ask, name, n):
        """Was the point reached?"""
        world, why = self.world, f"{label}, power cut at {name}@{n}"
        run("sync", "-f", self.lab.path("disk"))  # what was there before is no question
        world.arm("host", name, f"stop@{n}")
        command = ask()
        hit = os.path.join(world.points["host"], name + ".hit")

        def over():
            if os.path.exists(hit):
                return stands_still(self.server.host.pid) and "hit"
            return self.lab.api(f"/api/commands/{command['commandId']}")["state"] in ("succeeded", "failed") and "ended"
        if self.lab.until(f"{why}, or the end", over, 60) == "ended":
            world.finish(command)
            world.disarm()
            return False
        world.disarm()
        self.cut()
        self.boot()
        self.whole_at_boot(why, command)
        world.finish(command, self.patience)
        self.cases += 1
        self.states[command["state"]] = self.states.get(command["state"], 0) + 1
        print(f"# {why}: {command['state']}: {command.get('message')}", flush=True)
        check(command["state"] in ("succeeded", "failed"), f"{why}: {command['state']}")
        world.drained()
        world.check_apps(why)
        world.check_command(command)
        return True

    def each(self, *labels):
        for label in labels:
            ask, prepare = operations(self.world, self.app)[label]
            for name, _ in points("host"):
                for n in range(1, 80 if ALL else 2):
                    if prepare:
                        prepare()
                    if not self.once(label, ask, name, n):
                        break
        self.world.check_log()
        print(f"# {self.cases} power cuts: " + ", ".join(f"{n} {state}" for state, n in sorted(self.states.items())), flush=True)
        check(self.cases > 10, "hardly any point was reached")


def power_cut_during_updates(lab):
    cuts = Cuts(lab)
    cuts.each(*(("update", "update that fails", "rollback") if ALL else ("update",)))


def power_cut_during_pushes(lab):
    cuts = Cuts(lab)
    cuts.each(*(("push", "push that fails") if ALL else ("push",)))


def without_syncs_it_is_noticed(lab):
    """The same cut where the new version is in place, of a host whose syncs do nothing."""
    source, library = lab.write("nosync.c", NO_SYNCS), lab.path("nosync.so")
    if not shutil.which("cc") or run("cc", "-shared", "-fPIC", "-o", library, source).returncode != 0:
        raise Skip("needs a compiler")
    points("host")
    lab.env["LD_PRELOAD"] = library
    cuts = Cuts(lab)
    del lab.env["LD_PRELOAD"]
    cuts.patience = 15  # what was accepted is forgotten, and its end never comes
    noticed = ""
    try:
        cuts.once("update", operations(cuts.world, cuts.app)["update"][0], "tree.exchanged", 1)
    except Failure as e:
        noticed = str(e)
    print(f"# noticed: {noticed.splitlines()[0] if noticed else 'nothing'}")
    check(noticed, "nobody noticed that nothing was synced")
    for process, _ in cuts.world.processes():
        process.expected_end = True


if __name__ == "__main__":
    harness.main([power_cut_during_updates, power_cut_during_pushes, without_syncs_it_is_noticed])

#!/usr/bin/python3
"""docs/writing-a-driver.md, followed to the letter by somebody who has nothing but the kit: every command is run, every
block of C goes where the guide says, and what comes out is what the guide says comes out. TAP, one test a block.

In the guide, ```console is a transcript: `$ COMMAND` (a here-document's lines follow it) and its output, in which a line ...
stands for any lines and ... in a line for any text; `console needs PROGRAM` is left out where there is no such program.
```c NAME replaces the function NAME, ```c file NAME is a whole file. Other blocks are to be looked at."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kit as kit_files  # noqa: E402

SRCDIR = os.environ.get("FLEET_SRCDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
STAGE = os.environ.get("FLEET_STAGE") or os.path.join(SRCDIR, "build/stage")
GUIDE = os.path.join(SRCDIR, "docs/writing-a-driver.md")
PREFIX = "/opt/fleet-agent"  # what the guide calls the kit's place
BLOCK = re.compile(r"^```(\S+)(?: ([^\n]*))?\n(.*?)^```$", re.M | re.S)


class Failure(Exception):
    """What the guide says, and what came."""


class Shell:
    """One shell for the whole guide: its directory and variables last."""

    MARK = "\001end\001"

    def __init__(self, kit, home):
        self.kit = kit
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": home, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.process = subprocess.Popen(["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=home, env=env)
        self.run('umask 022; sudo() { "$@"; }')

    def run(self, command):
        """What it printed."""
        command = command.replace(PREFIX, self.kit)
        self.process.stdin.write(f"{command}\nprintf '{self.MARK}\\n'\n".encode())
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline().decode("utf-8", "replace")
            if not line:
                raise Failure(f"the shell ended in: {command}")
            if line.rstrip("\n").endswith(self.MARK):
                rest = line.rstrip("\n")[:-len(self.MARK)]
                return (lines + [rest] if rest else lines)
            lines.append(line.rstrip("\n").replace(self.kit, PREFIX))

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def commands(body):
    """(command, lines that it is to print) of a transcript."""
    lines, found = body.splitlines(), []
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            found[-1][1].append(line)
            continue
        command, here = line[2:], re.search(r"<<'(\w+)'", line)
        while here and lines:
            command += "\n" + lines[0]
            if lines.pop(0) == here.group(1):
                break
        found.append((command, []))
    return found


def matches(line, pattern):
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.rstrip().split("...")), line.rstrip()) is not None


def compare(command, seen, said):
    """A line ... takes as few lines as do."""
    at, gap = 0, False
    for pattern in said:
        if pattern == "...":
            gap = True
            continue
        start = at
        while gap and at < len(seen) and not matches(seen[at], pattern):
            at += 1
        if at >= len(seen) or not matches(seen[at], pattern):
            raise Failure(f"$ {command}\nthe guide says: {pattern}\nthere came:\n  " + "\n  ".join(seen[start:start + 12] or ["(nothing)"]))
        at, gap = at + 1, False
    if at < len(seen) and not gap:
        raise Failure(f"$ {command}\nmore came than the guide says:\n  " + "\n  ".join(seen[at:at + 12]))


def replace_function(path, name, body):
    """With the comment before it."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    pattern = r"(?:^/\*(?:(?!\*/)[\s\S])*\*/\n)?^static [^\n;={]*\b" + name + r"\([^;{]*\)\n\{\n[\s\S]*?^\}\n"
    found = re.findall(pattern, text, re.M)
    if len(found) != 1:
        raise Failure(f"{path} has {len(found)} functions {name}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(found[0], body))


def follow(kind, info, body, shell, home):
    """One block. The reason where it was left out."""
    if kind == "console":
        program = info[len("needs "):] if info.startswith("needs ") else None
        if program and not shutil.which(program):
            return f"no {program} here"
        if program == "runsv":
            return follow_runit(body, shell, home)
        for command, said in commands(body):
            compare(command, shell.run(command), said)
    elif info.startswith("file "):
        with open(os.path.join(home, info[len("file "):]), "w", encoding="utf-8") as f:
            f.write(body)
    else:
        replace_function(os.path.join(home, "postfix-config/postfix-config.c"), info, body)
    return None


def follow_runit(body, shell, home):
    """With a service web, under a supervisor that ends with the test."""
    folder = os.path.join(home, "services/web")
    os.makedirs(folder)
    with open(os.path.join(folder, "run"), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexec sleep 600\n")
    os.chmod(os.path.join(folder, "run"), 0o755)
    supervisor = subprocess.Popen(["runsv", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        shell.run(f"for i in $(seq 100); do grep -q run {folder}/supervise/stat 2>/dev/null && break; sleep 0.1; done")
        for command, said in commands(body):
            compare(command, shell.run(command), said)
    finally:
        supervisor.terminate()  # takes its service down first
        supervisor.wait(30)
    return None


def only_the_kit(shell):
    """The finished driver includes the kit's one header, and nothing else that is not the compiler's or libc's."""
    said = shell.run("cd postfix-config && cc -M $(pkg-config --cflags fleet-driver) postfix-config.c; cd ..")
    headers = [h for h in " ".join(said).replace("\\", " ").split()[1:] if not h.startswith("/usr/")]
    if headers != ["postfix-config.c", f"{PREFIX}/include/fleet/driver.h"]:
        raise Failure(f"the driver is made of {headers}")


def main():
    with open(GUIDE, encoding="utf-8") as f:
        text = f.read()
    blocks = [(text[:m.start()].count("\n") + 1, *m.groups()) for m in BLOCK.finditer(text) if m.group(1) in ("console", "c")]
    top = tempfile.mkdtemp(prefix="fleet-guide.")
    kit, home = os.path.join(top, "kit"), os.path.join(top, "home")
    os.chmod(top, 0o755)
    os.makedirs(home)
    number, failed = 0, False
    print(f"1..{len(blocks) + 1}", flush=True)
    try:
        kit_files.install(STAGE, kit)
        shell = Shell(kit, home)
        for line, kind, info, body in blocks:
            number += 1
            try:
                skipped = follow(kind, info or "", body, shell, home)
            except Failure as e:
                print("# " + str(e).replace("\n", "\n# "))
                print(f"not ok {number} - line {line}")
                failed = True
                break  # what comes after stands on it
            print(f"ok {number} - line {line}: {kind} {info or ''}".rstrip() + (f" # SKIP {skipped}" if skipped else ""), flush=True)
        if not failed:
            only_the_kit(shell)
            print(f"ok {number + 1} - it stands on the kit alone")
        shell.end()
    except (Failure, AssertionError) as e:
        print(f"# {e}\nBail out! the guide cannot be followed")
        failed = True
    finally:
        shutil.rmtree(top, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

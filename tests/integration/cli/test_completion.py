#!/usr/bin/python3
"""Completion of fleetctl: what it offers is its command tree and no more, what it asks of a console never keeps a person
waiting, and each shell makes words of it."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
from fake_console import Answer, FakeConsole  # noqa: E402
from harness import Skip, check, check_equal, check_in  # noqa: E402

ID = "0193587a-1111-7000-8000-0000007c31e0"
EVIL = "a$(touch evil)"
SHELLS = {"bash": "share/bash-completion/completions/fleetctl", "zsh": "share/zsh/vendor-completions/_fleetctl",
          "fish": "share/fish/vendor_completions.d/fleetctl.fish"}


def script(shell):
    path = os.path.join(harness.STAGE, SHELLS[shell])
    check(os.path.exists(path), f"there is no {path}")
    return path


def offered(lab, *words):
    """{word: what} that fleetctl offers for the last of words."""
    done = lab.ctl("__complete", *words, timeout=10)
    check_equal((done.returncode, done.stderr), (0, ""), f"{words}")
    return dict(line.split("\t", 1) if "\t" in line else (line, "") for line in done.stdout.splitlines())


def log_in(lab, url):
    lab.write("home/.config/fleetctl/config.json", json.dumps({"consoleUrl": url}), mode=0o600)


def console(lab):
    agents = [{"agentId": "web-01", "isOnline": True}, {"agentId": "web-02", "isOnline": False}, {"agentId": EVIL}, {"agentId": "db\n1"}]
    apps = [{"id": "shop", "status": "running", "agentId": "web-01"}, {"id": "mail", "status": "failed", "agentId": "web-01"},
            {"id": "shop", "agentId": "web-02"}]
    fake = FakeConsole({"GET /api/agents": Answer(200, agents), "GET /api/agents/web-01": Answer(200, {**agents[0], "apps": apps[:2]}),
                        "GET /api/apps": Answer(200, apps),
                        "GET /api/commands": Answer(200, [{"commandId": ID, "command": "restart-app", "appId": "shop", "state": "failed"}]),
                        "GET /api/artifacts": Answer(200, [{"artifactId": ID[:-6] + "abcdef", "appId": "shop", "version": "2.1.0"}])})
    lab.later.append(fake.close)
    log_in(lab, fake.url)
    return fake


def it_offers_the_tree(lab):
    """Each command, and each of its options, as --help has them, with the same words."""
    seen = 0

    def walk(path):
        nonlocal seen
        text = lab.ctl_ok(*path, "--help")
        children = dict(re.findall(r"^  ([a-z-]+)(?: [^ ]+)*  +(.*)$", text.split("\nOptions:")[0].split("\nCommands:")[-1], re.M)) \
            if "\nCommands:" in text else {}
        if children:
            check_equal(offered(lab, *path, ""), children, f"commands after {path}")
        options = set(re.findall(r"^  (--[a-z0-9-]+)", text.split("\nOptions:\n")[1].split("\n\n")[0], re.M))
        words = ["x"] * len(re.findall(r" [A-Z]+(?= |$)", text.split("\n")[0].split(" --")[0].split(" [")[0]))
        check_equal(set(offered(lab, *path, *words, "-")), options, f"options after {path}")
        seen += 1
        for child in children:
            walk([*path, child])
    walk([])
    check(seen > 20, f"only {seen} commands were seen")


def it_knows_what_is_due(lab):
    check_equal(set(offered(lab, "ap")), {"apps"}, "half a word")
    check_equal(offered(lab, "nonsense", "x", ""), offered(lab, ""), "after what is no command")
    check_equal(set(offered(lab, "apps", "list", "--status", "st")), {"stopped", "starting", "stopping"}, "a value")
    check_equal(set(offered(lab, "apps", "list", "--status=f")), {"--status=failed"}, "a value in the same word")
    check("--json" not in offered(lab, "agents", "list", "--json", "-"), "an option for the second time")
    check("--set" in offered(lab, "apps", "config", "a", "b", "--set", "x=y", "-"), "one that may be repeated")
    check_equal(offered(lab, "login", "--ca-file", ""), {":files": ""}, "a file")
    check_equal(offered(lab, "login", "--url", ""), {}, "what nobody can guess")
    check_equal(offered(lab, "apps", "config", "a", "b", "--", "-"), {}, "after the end of options")
    check_equal(lab.ctl("__complete").returncode, 0, "without a word")


def ids_come_from_the_console(lab):
    fake = console(lab)
    check_equal(offered(lab, "apps", "restart", ""), {"web-01": "online", "web-02": "offline"}, "agents")
    check_equal(offered(lab, "apps", "restart", "web-01", ""), {"shop": "running", "mail": "failed"}, "apps of an agent")
    check_equal(set(offered(lab, "audit", "--app", "s")), {"shop"}, "apps of the fleet")
    check_equal(set(offered(lab, "audit", "--agent", "web-01", "--app", "")), {"shop", "mail"}, "apps of the agent that is named")
    check_equal(offered(lab, "commands", "show", ""), {ID[-6:]: "shop restart-app, failed"}, "commands")
    check_equal(offered(lab, "apps", "config", "web-01", "shop", "--restore", ""), {ID[-6:]: "shop restart-app, failed"}, "commands")
    check_equal(offered(lab, "artifacts", "remove", ""), {"abcdef": "shop 2.1.0"}, "artifacts")
    before = len(fake.requests)
    offered(lab, "apps", "config", "web-01", "shop", "-")
    offered(lab, "apps", "restart", "../../etc", "")
    check_equal(len(fake.requests), before, "requests where none is needed, or of an id that is none")


def nobody_is_kept_waiting(lab):
    """A console that is not there, one that says nothing, one that says nonsense, and no login: no word, soon."""
    check_equal(offered(lab, "apps", "restart", ""), {}, "never logged in")
    log_in(lab, f"http://127.0.0.1:{harness.free_port()}")
    check_equal(offered(lab, "apps", "restart", ""), {}, "nobody there")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log_in(lab, f"http://127.0.0.1:{silent.getsockname()[1]}")
        # lab.ctl has a deadline of 10 s for it, the request one of its own of 1 s
        check_equal(offered(lab, "apps", "restart", ""), {}, "a console that is silent")
    for body in (b"nonsense", b"[[],{},1]", b"{}", b"null"):
        fake = FakeConsole(fallback=lambda _, body=body: Answer(200, body))
        log_in(lab, fake.url)
        check_equal(offered(lab, "apps", "restart", ""), {}, f"{body}")
        check_equal(offered(lab, "apps", "restart", "web-01", ""), {}, f"{body}")
        fake.close()
    lab.write("home/.config/fleetctl/config.json", "{", mode=0o600)
    check_equal(offered(lab, "apps", "restart", ""), {}, "a broken login")


def shell(lab, name, *argv):
    if not shutil.which(name):
        raise Skip(f"no {name} here")
    env = {**lab.env, "PATH": os.path.join(harness.STAGE, "bin") + ":" + lab.env["PATH"]}
    done = subprocess.run([name, *argv], env=env, cwd=lab.dir, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    check_equal((done.returncode, done.stderr), (0, ""), f"{argv}")
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


BASH = """. "$1"; complete -p fleetctl >/dev/null || exit 1
COMP_LINE=$2 COMP_POINT=${#2}
_fleetctl fleetctl "${2##* }" "" 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}\""""
ZSH = """_describe() { local w; for w in "${(@P)2}"; do print -r -- "${w%%:*}"; done }
_files() { print -r -- FILES }
compset() { true }
words=("${(@s. .)2}") CURRENT=${#words} PREFIX=${words[-1]}
. $1"""


def complete_with(lab, name, line):
    if name == "bash":
        return shell(lab, "bash", "--norc", "-c", BASH, "bash", script("bash"), line)
    if name == "zsh":
        return shell(lab, "zsh", "-f", "-c", ZSH, "zsh", script("zsh"), line)
    return shell(lab, "fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", script("fish"), line)


def each_shell(name):
    def test(lab):
        console(lab)
        for line, expected in (("fleetctl ap", ["apps"]), ("fleetctl apps restart ", ["web-01", "web-02"]),
                               ("fleetctl apps restart web-01 m", ["mail"]), ("fleetctl commands show ", [ID[-6:]])):
            check_equal(sorted(complete_with(lab, name, line)), expected, f"{name}: {line!r}")
        check_equal(sorted(complete_with(lab, name, "fleetctl apps list --status=st")),
                    sorted(("" if name == "bash" else "--status=") + w for w in ("stopped", "starting", "stopping")), "a value in the same word")
        check_in("--online-only", complete_with(lab, name, "fleetctl agents list --"), "options")
        lab.write("ca.pem", "")
        check_in("FILES" if name == "zsh" else "ca.pem", complete_with(lab, name, "fleetctl login --ca-file c"), "files")
        check(not os.path.exists(lab.path("evil")), "a server's name was run")
    test.__name__ = f"{name}_makes_words_of_it"
    return test


if __name__ == "__main__":
    harness.main([it_offers_the_tree, it_knows_what_is_due, ids_come_from_the_console, nobody_is_kept_waiting, *map(each_shell, SHELLS)])

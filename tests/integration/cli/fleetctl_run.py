"""Runs fleetctl in a home directory of its own, and tells what a test found. TAP."""
import json
import os
import re
import shutil
import subprocess
import tempfile

FLEETCTL = os.path.join(os.environ.get("FLEET_STAGE", "/usr"), "bin/fleetctl")
DEADLINE = 30  # for anything that must end


class Fleetctl:
    """One home directory, with or without a configuration."""

    def __init__(self, url=None, key=None):
        self.home = tempfile.mkdtemp(prefix="fleetctl-test-")
        self.config = os.path.join(self.home, ".config/fleetctl/config.json")
        self.env = {"HOME": self.home, "TZ": "UTC", "LC_ALL": "C", "PATH": os.environ.get("PATH", ""), "TERM": "xterm"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        if url:
            os.makedirs(os.path.dirname(self.config))
            with open(os.open(self.config, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                json.dump({"consoleUrl": url, **({"apiKey": key} if key else {})}, f)

    def start(self, args, **more):
        return subprocess.Popen([FLEETCTL] + args, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **{"stdin": subprocess.DEVNULL, **more})

    def run(self, args, **more):
        done = subprocess.run([FLEETCTL] + args, env=self.env, capture_output=True, timeout=DEADLINE,
                              **({} if "input" in more else {"stdin": subprocess.DEVNULL}), **more)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def close(self):
        shutil.rmtree(self.home)


class Tap:
    count = failed = 0

    def check(self, name, problems):
        self.count += 1
        self.failed += bool(problems)
        print("%sok %d - %s" % ("not " if problems else "", self.count, name), flush=True)
        for p in problems:
            print("# " + p.replace("\n", "\n# "), flush=True)


def differences(**pairs):
    return ["%s is %r\nnot %r" % (k, got, want) for k, (got, want) in pairs.items()
            if not (want.fullmatch(got) if isinstance(want, re.Pattern) else got == want)]

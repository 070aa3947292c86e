#!/usr/bin/python3
"""`fleet-driver check` names each promise of fleet/driver.h that a driver breaks, and finds nothing to say about one that keeps
them all. The drivers are those of the zoo: bad-promise and bad-manager keep all promises but the one that they are told to break;
the others cannot be used at all. TAP."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

SRCDIR = os.environ.get("FLEET_SRCDIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
STAGE = os.environ.get("FLEET_STAGE") or os.path.join(SRCDIR, "build/stage")
BUILDDIR = os.environ.get("FLEET_BUILDDIR") or os.path.join(SRCDIR, "build")

SAMPLES = {
    "a.conf": "# the first\nName=app\n\n# twice\nPort=8080\nLevel=info\nPort=9090\n# the end\nLast=word",
    "refused/broken.conf": "Name=app\nthis is none\n",
    "crlf/b.conf": "# other line ends\r\nName=an app\r\nPort=80\r\n",
}

# The promise, the test that must fail, and what its reason must say.
FORMAT = [
    ("drops-comments", "set leaves all bytes but the value's own", "changed"),
    ("line-ends", "set to the same value changes no byte", "line 1 changed"),
    ("last-line-end", "set to the same value changes no byte", "changed"),
    ("other-value", "set changes that value and no other", "did not make exactly the change"),
    ("drops-key", "set changes that value and no other", "did not make exactly the change"),
    ("wrong-value", "set changes that value and no other", "did not make exactly the change"),
    ("set-first", "set changes that value and no other", "set of 'Port'"),
    ("touches-same", "set to the same value changes no byte", "was set to the value that it has"),
    ("adds-up", "the same edit again changes nothing", "changed the file once more"),
    ("unset-missing-fails", "the same edit again changes nothing", "a second time: there is no such key"),
    ("unset-first", "unset takes that key and nothing else", "unset of 'Port'"),
    ("unset-takes-comment", "unset takes that key and nothing else", "lines more than its own"),
    ("unset-leaves-line", "unset takes that key and nothing else", "left an empty line"),
    ("adds-and-changes", "a new key is only added", "did not only add"),
    ("first-edit-only", "several edits in one call are as one by one", "in one call"),
    ("random", "the same question has the same answer", "the second time"),
    ("minds-options", "the same question has the same answer", "with an option that it does not know"),
    ("smuggles", "a text reads back as it was set, or is refused", "Smuggled"),
    ("trims", "a text reads back as it was set, or is refused", "' '"),
    ("truncates", "a text reads back as it was set, or is refused", "64 KiB"),
    ("any-key", "an odd new key reads back, or is refused", "the new key"),
    ("nonsense", "edits that make no sense do no harm", "was not refused, though"),
    ("keeps", "no leak, nothing kept, nothing overwritten", "something is kept between calls"),
    ("leaks", "no leak, nothing kept, nothing overwritten", "it leaks"),
    ("writes-input", "no leak, nothing kept, nothing overwritten", "writes to the bytes that it was lent"),
    ("overruns", "no leak, nothing kept, nothing overwritten", "writes past the end of struct fleet_driver_error"),
    ("changes-size", "no leak, nothing kept, nothing overwritten", "changes the size in struct fleet_driver_error"),
    ("unterminated", "no leak, nothing kept, nothing overwritten", "has no NUL at its end"),
    ("positive", "check accepts it", "neither 0 nor a negative errno"),
    ("reads-past", "check accepts it", "does it read past the end of what it is lent"),
    ("opens-file", "check accepts it", "SIGSYS"),
    ("not-utf8", "read takes what check accepts", "not UTF-8"),
    ("bad-path", "read takes what check accepts", "malformed key path"),
    ("not-text", "read takes what check accepts", "text only"),
    ("accepts-broken", "is refused, with its place", "check accepts it"),
    ("no-place", "is refused, with its place", "does not say at which line and column"),
    ("check-is-lax", "is read, edited or refused", "check accepts it, and read says"),
    ("crashes-at-nul", "a NUL: is read, edited or refused", "crashed (SIGABRT) in check"),
    ("hangs", "1 MiB of [: is read, edited or refused", "did not come to an end within 10 s in check"),
    ("empty-file", "an empty file takes a first key", "memory is out"),
    ("no-sentence", "every error is a sentence for a person", "without saying why"),
    ("full-stop", "every error is a sentence for a person", "without a final full stop"),
    ("line-too-far", "every error is a sentence for a person", "names line"),
    ("logs-value", "every error is a sentence for a person", "tells the value"),
    ("error-tells-value", "every error is a sentence for a person", "tells the value"),
]
SERVICE = [
    ("any-service", "# SKIP", "that is to be an error (-ENOENT)"),
    ("unknown-state", "status answers in time", "an unknown state"),
    ("positive", "status answers in time", "neither 0 nor a negative errno"),
    ("overruns", "no leak, nothing overwritten", "writes past the end of a structure"),
    ("changes-size", "no leak, nothing overwritten", "changes the size"),
    ("unterminated", "no leak, nothing overwritten", "has no NUL at its end"),
    ("leaks", "no leak, nothing overwritten", "it leaks"),
    ("instance-moves", "status keeps its instance while nothing starts", "name different instances"),
    ("version-lines", "version is one line of text", "control characters"),
    ("long-version", "version is one line of text", "longer than 128 bytes"),
    ("end-lines", "last_end is one line of text", "control characters"),
    ("long-end", "last_end is one line of text", "longer than 256 bytes"),
    ("logs-too-many", "logs keeps to the number of lines", "more log lines than were asked for"),
    ("logs-backwards", "logs keeps to the number of lines", "is older than the one before it"),
    ("logs-old", "logs keeps to the number of lines", "older than it was asked for"),
]
EXERCISE = [
    ("starts-again", "start of a running service is success, and starts nothing", "names another instance"),
    ("same-instance", "restart makes a new instance", "the instance of before"),
    ("returns-early", "start brings it up", "still starting"),
    ("stop-lies", "stop takes it down", "still says running"),
    ("stop-again-fails", "stop of a stopped service is success", "it does not run"),
    ("reload-restarts", "reload leaves the instance", "names another instance"),
]
UNUSABLE = [
    ("bad-exports", "nothing else is exported", "parse_config"),
    ("bad-no-symbol", "exactly one symbol fleet_driver_v... is exported", "there is none"),
    ("bad-major", "it loads", "made for ABI 2"),
    ("bad-short", "it loads", "shorter than that of ABI 1.0"),
    ("bad-short-ops", "it loads", "struct fleet_format_ops is shorter"),
    ("bad-no-role", "it loads", "neither of the two roles"),
    ("bad-name", "it loads", "it calls itself json-config"),
    ("bad-constructor", "it loads", "in loading"),
]


def animal(name):
    path = os.path.join(BUILDDIR, "tests/drivers/.libs", name + ".so")
    if not os.path.exists(path):
        raise SystemExit(f"Bail out! {path} is not built: make -C {BUILDDIR} check TESTS=")
    return path


def suite(name, *args):
    """(exit status, output)"""
    done = subprocess.run([os.path.join(STAGE, "bin/fleet-driver"), "check", animal(name), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def keeps_all(name, args):
    status, said = suite(name, *args)
    wrong = [line for line in said.splitlines() if line.startswith("not ok")]
    return None if status == 0 and not wrong else f"exit status {status}: {said[-1500:] if not wrong else wrong}"


def is_named(name, args, test, reason):
    """The failure of that test, with that reason behind it, and the exit status of a failure."""
    status, said = suite(name, *args)
    if test == "# SKIP":
        return None if status == 0 and reason in said else f"exit status {status}, and nothing says '{reason}'"
    failures = re.findall(r"^not ok \d+ - (.*)\n# (.*)$", said, re.M)
    if status != 1:
        return f"exit status {status}: {said[-500:]}"
    if not any(test in what and reason in why for what, why in failures):
        return f"'{test}' does not fail with '{reason}'; these fail: {failures[:6]}"
    if not re.search(r"^1\.\.\d+$", said, re.M):
        return "there is no plan: it did not come to its end"
    return None


def is_sanitized():
    done = subprocess.run(["ldd", os.path.join(STAGE, "bin/fleet-driver")], stdout=subprocess.PIPE, check=False)
    return b"libasan" in done.stdout


def left_out(function, args, sanitized):
    """Under a sanitizer, which makes a call a hundred times as long and turns signals and leaks into exits, the good drivers
    are enough: what is asked of the bad ones is the same code."""
    return "a sanitizer is in the way" if sanitized and function is is_named and args[0] in ("bad-promise", "bad-manager") else None


def main():
    with tempfile.TemporaryDirectory(prefix="fleet-conformance.") as top:
        for name, text in SAMPLES.items():
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii", newline="") as f:
                f.write(text)
        samples, exercise = ("--samples", top), ("--exercise", "web")
        other = ("--samples", os.path.join(top, "crlf"))
        tests = [("bad-promise keeps all promises", keeps_all, ("bad-promise", samples)),
                 ("bad-promise keeps all promises, with other line ends", keeps_all, ("bad-promise", other)),
                 ("bad-manager keeps all promises", keeps_all, ("bad-manager", exercise))]
        for driver, args, table in (("bad-promise", samples, FORMAT), ("bad-manager", (), SERVICE), ("bad-manager", exercise, EXERCISE)):
            tests += [(f"{driver}: {promise} is named", is_named, (driver, (*(other if promise == "line-ends" else args), "--option", f"break={promise}"), test, reason))
                      for promise, test, reason in table]
        tests += [(f"{driver} is named", is_named, (driver, (), test, reason)) for driver, test, reason in UNUSABLE]
        tests = [t for t in tests if not sys.argv[1:] or any(word in t[0] for word in sys.argv[1:])]
        print(f"1..{len(tests)}", flush=True)
        failed, sanitized = False, is_sanitized()
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            runs = [(title, left_out(function, args, sanitized) or pool.submit(function, *args)) for title, function, args in tests]
            for number, (title, run) in enumerate(runs, 1):
                if isinstance(run, str):
                    print(f"ok {number} - {title} # SKIP {run}")
                    continue
                why = run.result()
                if why:
                    failed = True
                    print("# " + why.replace("\n", "\n# "))
                print(f"{'not ok' if why else 'ok'} {number} - {title}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

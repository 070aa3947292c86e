# Runs in a throwaway server: what env-config writes into an EnvironmentFile= is what a service gets, and what sh gets;
# and the reader of tests/unit/env_oracle.py, which the random tests trust, is right about this systemd. TAP.
import importlib.util
import os
import re
import subprocess
import sys
import tempfile

BUILD = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("env_oracle", os.path.join(HERE, "../unit/env_oracle.py"))
oracle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oracle)

VALUES = ["", "plain", "two words", "it's", 'say "hi"', "it's \"both\" `x` $HOME \\", "$HOME", "${HOME}", "$$", "$(id)", "`id`",
    "%h %%", "a\nEVIL=1\nb", "it's\nEVIL=1\n", "a\r\nEVIL=1", "a\rEVIL=1", "'\nEVIL=1\n'", "\"\nEVIL=1\n\"", "\\", "\\\n", "x\\",
    "\\n\\t\\x41", "# no", "a # b", "; no", " lead", "trail ", "\ttab\t", "~", "*", "!", "caf\u00e9 \u20ac", "\x01\x1b[0m\x7f",
    "'\"'\"'", "$'x'", "a=b=c"]
DOCUMENTS = ["", "K=old\n", "export OTHER=1\nK='old'\n", 'OTHER=1\n# K=example\nZ="x"\n', "K=old\r\nOTHER='1'\r\n", 'K="old \\\n  more"\nZ=1',
    "K=a b\nOTHER=1\n"]
# What the reader of the random tests must know about.
QUIRKS = ["A=1 # c\nB='x' # c\n", "A = 1\nB= 2\nC =3\n", "A='a''b'\nB='a'\"b\"\nC=a'b'\nD='a'b\n", "A=\"a\\nb\\$c\\\\d\\`e\\\"f\"\nB=a\\nb\\$c\n",
    "A=a \\\n  b\nB=\"a \\\n  b\"\nC='a \\\n  b'\n", "export A=1\nB=2\n", "; c\n # d\nA=1\n", "A=1\rB=2\nC=3\r\n", "# c \\\nA=1\nB=2\n",
    "A=x  \nB=x\\  \nC=\\ \n", "A=it's\nB=2\nC=that's\n", "1A=1\nA-B=2\nA.B=3\n_A=4\n", "=x\nA==y\n", "A='x\ny'\nB=1", "A=\"x", "A=\\", "A=x\\",
    "\ufeffA=1\nB=2\n", "if true\nthen A=1\nfi\nA= x y \n", "A='a' 'b'\nB= 'a' b\n", "A=\nB=''\nC=\"\"\n", "A=1\nA=2\nexport A=3\n", "A\\\n=1\nB=$HOME ~ `x`\n"]

count = failed = 0


def result(good, what):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, what))


def variables(output):
    found = dict(item.split("=", 1) for item in output.decode("utf-8", "surrogateescape").split("\0")[:-1])
    return {n: v for n, v in found.items() if re.fullmatch("[A-Z]|_A|1A|A-B|A.B|OTHER|EVIL", n)}


def by_systemd(path):
    return variables(subprocess.run(["systemd-run", "--quiet", "--wait", "--pipe", "-p", "EnvironmentFile=" + path,
        "/usr/bin/env", "-0"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True, timeout=60).stdout)


def by_sh(path):
    return variables(subprocess.run(["sh", "-c", "set -a; . \"$1\"; exec /usr/bin/env -0", "sh", path], env={},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True, timeout=60).stdout)


def edit(path, value):
    return subprocess.run([BUILD + "/stage/bin/fleet-driver", "edit", "--driver", BUILD + "/.libs/env-config.so", "--set-string",
        "K=" + value, path], stdout=subprocess.PIPE, check=True, timeout=60).stdout


def try_value(directory, document, value):
    path = os.path.join(directory, "file")
    with open(path, "wb") as f:
        f.write(document.encode())
    before = by_systemd(path)
    new = edit(path, value)
    with open(path, "wb") as f:
        f.write(new)
    after, shell = by_systemd(path), by_sh(path)
    want = dict(before, K=value)
    good = after == want and (b"\r\n" in document.encode() or shell["K"] == value) and "EVIL" not in shell
    if not good:
        print("#", repr(document), repr(value), new, after, shell)
    return good


with tempfile.TemporaryDirectory(prefix="fleet-env-", dir="/run") as directory:
    version = int(re.search(rb"systemd (\d+)", subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE, check=True).stdout).group(1))
    for i, document in enumerate(DOCUMENTS):
        some = VALUES if i < 2 else VALUES[i::5]
        result(all([try_value(directory, document, value) for value in some]),
            "%d values into %r" % (len(some), document[:40]))
    good = True
    for i, text in enumerate(QUIRKS):
        path = os.path.join(directory, "quirk")
        with open(path, "wb") as f:
            f.write(text.encode())
        said, real = oracle.systemd(text, version < 254), by_systemd(path)
        if said != real:
            good = False
            print("# systemd", version, repr(text), "gives", real, "not", said)
    result(good, "%d odd files read as the random tests' reader says" % len(QUIRKS))
print("1..%d" % count)
sys.exit(failed > 0)

#!/usr/bin/python3
"""Format drivers on config files as Debian's packages bring them. After each edit the lines that differ are those that
the edit names, and a reader that has nothing to do with Fleet finds the new value, and every other one as it was."""
import difflib
import itertools
import json
import os
import shutil
import subprocess

import config_readers
import harness
import real_files
from harness import Skip, check

NEW = {"string": "fleet new", "integer": "4711", "number": "47.5"}
# A boolean stays the word that it was.
BOOLEANS = {"true": ("yes", "on", "True", "Yes", "On"), "false": ("no", "off", "False", "No", "Off")}
NAMES = {"sh": "FLEET_ADDED"}
NAME = "fleet-added"
# What a driver may say no to in a file that it reads: the edit would do more than it should.
REFUSALS = ("alias",)
WITHOUT_SECTIONS = ("json", "yaml", "sh")
# Of so many files one is tried: all of them, but where each edit takes long.
EVERY = int(os.environ.get("FLEET_TEST_FILES_EVERY", "1"))


class Wrong(Exception):
    """What an edit did that nobody asked for."""


def escaped(name):
    return "".join("\\" + c if c in ".[\\" else c for c in name) or "\\e"


def path_of(parts):
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else ("." if path else "") + escaped(part)
    return path


def middle(old, new):
    """What goes and what comes, in whole lines."""
    gone, came = [], []
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    start = len(os.path.commonprefix([a, b]))
    a, b = a[start:], b[start:]
    end = len(os.path.commonprefix([a[::-1], b[::-1]]))
    a, b = a[:len(a) - end], b[:len(b) - end]
    for tag, i, k, j, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            gone += a[i:k]
            came += b[j:m]
    return gone, came


def bare(line):
    """Without what changes where a neighbour comes or goes: the comma, and the dash of a list's first member."""
    return line.strip().removeprefix(b"- ").strip().rstrip(b",").rstrip()


def only_the_value(gone, came, kind, text):
    """Is what differs between a line and its new form the value, so that comments and blanks beside it stay?"""
    start = len(os.path.commonprefix([gone, came]))
    end = len(os.path.commonprefix([gone[start:][::-1], came[start:][::-1]]))
    differs = " ".join(gone[start:len(gone) - end].decode().split()).strip("\"'")
    return kind == "boolean" and differs.isalnum() or "\\" in differs or differs in " ".join(text.split())


class File:
    """One file, its driver, and another program's idea of it."""

    def __init__(self, lab, driver, reader, name, options, path):
        self.lab, self.driver, self.reader, self.name, self.path = lab, driver, reader, name, path
        self.options = [x for o in options for x in ("--option", o)]
        with open(path, "rb") as f:
            self.data = f.read()
        self.edits = self.refused = 0
        self.follow = set()  # what sh makes of other variables: it follows them

    def tool(self, verb, path, *args):
        argv = [harness.program("fleet-driver"), verb, "--driver", self.driver, *self.options, *args, path]
        return subprocess.run(argv, env=self.lab.env, capture_output=True, timeout=harness.DEADLINE, check=False)

    def read(self):
        done = self.tool("read", self.path, "--json")
        if done.returncode != 0:
            raise Wrong("it is not read: " + done.stderr.decode().strip())
        found = {}
        for item in json.loads(done.stdout, parse_int=str, parse_float=str)["settings"]:
            value = item["value"]
            text = value if isinstance(value, str) else json.dumps(value)
            found[item["key"]] = None if item["key"] in found else (item["type"], text)
        return found

    def key(self, parts):
        """As the reader spells it; my.cnf has - and _ for one."""
        return path_of(parts).replace("_", "-") if self.name == "mysql" else path_of(parts)

    def compare(self, said, seen):
        """Where the types agree, driver and reader must say the same."""
        spelled = {k.replace("_", "-"): k for k in said} if self.name == "mysql" else {k: k for k in said}
        good = {}
        for parts, value in seen.items():
            path = spelled.get(self.key(parts))
            mine = said.get(path)
            if path is None and self.name not in ("yaml", "sh") and not any(k.startswith(self.key(parts)) for k in spelled):
                raise Wrong(f"{self.key(parts)} is there, and the driver does not tell it")
            if mine is None or mine[0] != value[0]:
                continue
            spelled_otherwise = {"php": "\\" in value[1], "sh": "$" in mine[1] or "`" in mine[1]}
            if mine != value and not spelled_otherwise.get(self.name):
                raise Wrong(f"{path} is {value}, and the driver says {mine}")
            if spelled_otherwise["sh"] and self.name == "sh":
                self.follow.add(parts)
            elif mine == value:
                good[parts] = path
        return good

    def edit(self, path, *changes):
        self.edits += 1
        done = self.tool("edit", path, *changes)
        if done.returncode == 0:
            return done.stdout
        why = done.stderr.decode().strip()
        if not any(w in why for w in REFUSALS):
            raise Wrong(f"{changes}: {why}")
        print(f"# {os.path.basename(self.path)}, {' '.join(changes)}: {why}")
        self.refused += 1
        return None

    def expect(self, new, want, what):
        try:
            seen = self.reader(new)
        except Exception as e:
            raise Wrong(f"{what}: no reader takes the new file: {e}") from e
        bad = [k for k in {**want, **seen} if want.get(k) != seen.get(k) and k not in self.follow]
        if bad:
            raise Wrong(f"{what}: {bad[:3]} are {[seen.get(k) for k in bad[:3]]}, "
                        f"expected {[want.get(k) for k in bad[:3]]}")

    def set(self, seen, parts, path):
        kind, text = seen[parts]
        value = NEW.get(kind) or ("false" if text.lower() in ("true", "yes", "on") else "true")
        new = self.edit(self.path, "--set", f"{path}={value}")
        if new is None:
            return
        gone, came = middle(self.data, new)
        what = f"set {path}"
        spelled = BOOLEANS.get(value, ()) if kind not in NEW else ()
        check_lines(len(came) == 1 and any(w.encode() in came[0] for w in (value, *spelled)), what, gone, came)
        check_lines(len(gone) == 1 or "\n" in text or self.spans_lines(gone), what, gone, came)
        check_lines(len(gone) > 1 or only_the_value(gone[0], came[0], kind, text), what, gone, came)
        if len(gone) == 1 and not isinstance(parts[-1], int) and b"{" not in gone[0] and "\n" not in text:
            name = json.dumps(parts[-1], ensure_ascii=False)[1:-1].encode()
            check_lines(name.replace(b"-", b"_") in gone[0].replace(b"-", b"_"), what, gone, came)
        self.expect(new, {**seen, parts: (kind, value)}, what)

    def set_again(self, seen, parts, path):
        if self.edit(self.path, "--set", f"{path}={seen[parts][1]}") not in (None, self.data):
            raise Wrong(f"{path} set to what it is changes the file")

    def spans_lines(self, gone):
        """A value that stands in several lines: continued, or with what a comment between them says."""
        return all(b"=" not in line and b":" not in line for line in gone[1:]) or gone[0].rstrip().endswith(b"\\")

    def add(self, seen, parent):
        name = NAMES.get(self.name, NAME)
        parts = parent + (name,)
        path = path_of(parts)
        new = self.edit(self.path, "--set", f"{path}=fleet new")
        if new is None:
            return
        gone, came = middle(self.data, new)
        known = [bare(line) for line in gone]
        fresh = [line for line in came if bare(line) not in known]
        within = len(gone) == len(came) == 1 and fresh  # a container in one line
        check_lines(len(fresh) == 1 and b"fleet new" in fresh[0] and name.encode() in fresh[0]
                    and (within or len(gone) <= 1), f"add {path}", gone, came)
        self.expect(new, {**seen, parts: ("string", "fleet new")}, f"add {path}")
        self.back(new, path)

    def back(self, new, path):
        """What was added goes again, without a trace."""
        copy = self.lab.path("copy")
        with open(copy, "wb") as f:
            f.write(new)
        old = self.edit(copy, "--unset", path)
        if old is not None and old != self.data:
            gone, came = middle(self.data, old)
            raise Wrong(f"{path} added and unset again leaves {came} for {gone}")

    def add_section(self, seen):
        path = "fleetsection." + NAME
        new = self.edit(self.path, "--set", f"{path}=fleet new")
        if new is None:
            return
        gone, came = middle(self.data, new)
        texts = [line.strip() for line in came if line.strip()]
        check_lines(len(texts) - len(gone) == 2 and b"[fleetsection]" in texts, f"add {path}", gone, came)
        self.expect(new, {**seen, ("fleetsection", NAME): ("string", "fleet new")}, f"add {path}")

    def unset(self, seen, parts, path):
        new = self.edit(self.path, "--unset", path)
        if new is None:
            return
        gone, came = middle(self.data, new)
        known = [bare(line) for line in gone]
        check_lines(gone and (all(bare(line) in known for line in came) or len(gone) == len(came) == 1),
                    f"unset {path}", gone, came)
        want = {}
        for other, value in seen.items():
            if other == parts:
                continue
            at = len(parts) - 1
            if isinstance(parts[-1], int) and other[:at] == parts[:at] and other[at] > parts[-1]:
                other = other[:at] + (other[at] - 1,) + other[at + 1:]
            want[other] = value
        if self.name == "systemd":  # one that is left alone has no index
            rows = [k for k in want if k[:-1] == parts[:-1] and isinstance(k[-1], int)]
            if len(rows) == 1 and isinstance(parts[-1], int):
                want[parts[:-1]] = want.pop(rows[0])
        self.expect(new, want, f"unset {path}")

    def try_all(self):
        seen = self.reader(self.data)
        good = self.compare(self.read(), seen)
        scalars = [p for p in good if seen[p][0] in ("string", "integer", "number", "boolean")]
        inside = [p for p in scalars if any(isinstance(x, int) for x in p)]
        named = [p for p in scalars if not isinstance(p[-1], int)]
        deep = max(scalars, key=len, default=None)
        few = dict.fromkeys([*scalars[:1], *scalars[len(scalars) // 2:][:1], *inside[-1:]])
        for parts in dict.fromkeys([*few, *scalars[-1:], *[deep][:deep is not None]]):
            self.set(seen, parts, good[parts])
        for parts in scalars[:1]:
            self.set_again(seen, parts, good[parts])
        for parent in dict.fromkeys(p[:-1] for p in [*named[:1], *named[-1:], *[p for p in named if len(p) > 2][:1]]):
            self.add(seen, parent)
        if self.name not in WITHOUT_SECTIONS:
            self.add_section(seen)
        lone = {p for p in good if sum(q[:len(p) - 1] == p[:-1] for q in seen) < 2}
        for parts in few:
            if parts not in lone:
                self.unset(seen, parts, good[parts])
        return len(scalars)


def check_lines(good, what, gone, came):
    if not good:
        raise Wrong(f"{what}: {gone[:6]} became {came[:6]}")


def readers(lab, trees):
    found = {"json": config_readers.read_json, "configparser": config_readers.read_configparser,
             "systemd": config_readers.read_systemd, "sh": config_readers.sh_reader(lab),
             "yaml": config_readers.yaml and config_readers.read_yaml}
    found["php"] = config_readers.php_reader(lab, trees) if "php8.2-cli" in trees else None
    found["mysql"] = config_readers.mysql_reader(lab, trees) if "mariadb-client-core" in trees else None
    for name in [n for n, reader in found.items() if not reader and (trees or n == "yaml")]:
        print(f"# no reader of its own for {name} here: its files are left out")
    return found


def try_files(lab, trees, fetched):
    """How many files were tried; fails with all that is wrong."""
    known, wrong, tally, by_reader = readers(lab, trees), [], {}, {}
    edits = refused = keys = 0
    for driver, name, options, path in itertools.islice(real_files.files(trees, fetched), 0, None, EVERY):
        if not known[name]:
            continue
        file = File(lab, driver, known[name], name, options, path)
        try:
            keys += file.try_all()
        except config_readers.Unreadable as e:
            if fetched:
                wrong.append(f"{path}: {name} does not read it: {e}")
            continue
        except Wrong as e:
            wrong.append(f"{path}: {driver} {' '.join(options)}: {e}")
        finally:
            edits += file.edits
            refused += file.refused
        tally[driver] = tally.get(driver, 0) + 1
        by_reader[name] = by_reader.get(name, 0) + 1
    told = ", ".join(f"{n} with {d}" for d, n in sorted(tally.items()))
    print("# read by", ", ".join(f"{d} ({n})" for d, n in sorted(by_reader.items())))
    print(f"# {sum(tally.values())} files ({told}), {keys} values, {edits} edits of which {refused} were refused")
    check(not wrong, "\n".join([f"{len(wrong)} files:", *wrong]))
    return tally


def files_of_this_machine(lab):
    check(try_files(lab, {}, False), "there is no config file on this machine")


def files_of_debian_packages(lab):
    trees, why = real_files.fetch()
    if not trees:
        raise Skip(why)
    if why:
        print(f"# {why}")
    tally = try_files(lab, trees, True)
    check(why or sum(tally.values()) >= 60 // EVERY and len(tally) >= 4, f"only {tally}")


def systemd_finds_nothing_new_in_a_unit(lab):
    """What systemd-analyze verify says of a unit is the same after an edit, but for what the edit names."""
    if not shutil.which("systemd-analyze"):
        raise Skip("there is no systemd-analyze")
    tried = 0
    for name in ("systemd-logind.service", "systemd-journald.service", "systemd-udevd.service", "user@.service"):
        path = os.path.join("/lib/systemd/system", name)
        if not os.path.isfile(path):
            continue
        file = File(lab, "systemd-unit", config_readers.read_systemd, "systemd", (), path)
        before = verify(lab, name, file.data)
        new = file.edit(path, "--set", "Service.MemoryMax=512M", "--set", "Service.Nice=3", "--unset", "Unit.Documentation")
        check(verify(lab, name, new) == before, f"{name}: systemd says something else after an edit")
        broken = file.edit(path, "--set", "Service.MemoryMaxx=512M")
        check("MemoryMaxx" in verify(lab, name, broken), f"{name}: systemd does not look at what it is asked about")
        tried += 1
    if not tried:
        raise Skip("there are no units of systemd's own")


def verify(lab, name, data):
    path = lab.path("units", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    argv = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path]
    done = subprocess.run(argv, env=lab.env, capture_output=True, timeout=harness.DEADLINE, check=False)
    return "\n".join(line for line in done.stderr.decode().splitlines() if name in line)


if __name__ == "__main__":
    harness.main([files_of_this_machine, files_of_debian_packages, systemd_finds_nothing_new_in_a_unit])

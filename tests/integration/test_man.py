#!/usr/bin/python3
"""The manual pages: sound to two readers of mdoc, and true. Each option that a program's --help names stands in its page and
the reverse, each key of a file that the program's tables know likewise, and each page refers to pages that there are."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import Skip, check, check_equal  # noqa: E402

MAN = os.path.join(harness.SRCDIR, "docs/man")
PAGES = {"fleet-agent.8", "fleet-driver-host.8", "fleet-console.8", "fleet-driver.1", "fleetctl.1", "fleet-agent.env.5", "fleet-apps.d.5",
         "fleet-console.yaml.5"}
OTHERS = {"systemd.exec(5)"}


def source(*path):
    with open(os.path.join(harness.SRCDIR, *path), encoding="utf-8") as f:
        return f.read()


def page(name):
    return source("docs/man", name)


def run(lab, *argv):
    done = subprocess.run(argv, env=lab.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    check_equal(done.returncode, 0, f"{argv}: {done.stderr}")
    return done.stdout


def options_of_help(text):
    """--names in the usage and at the beginning of entries, not those that a sentence speaks of."""
    found = set()
    for line in text.splitlines():
        if line.startswith(("Usage:", "       ")) or re.match(r"  --", line):
            entry = line if not line.startswith("  --") else re.split(r"  +", line.strip(), maxsplit=1)[0]
            found.update(re.findall(r"--([a-z][a-z0-9-]*)", entry))
    return found


def options_of_page(text):
    """Those that have an entry of their own."""
    found = set()
    for line in re.findall(r"^\.It (.*)$", text, re.M):
        found.update(re.findall(r"\bFl -([a-z][a-z0-9-]*)", line))
    return found


def same(page_name, shown, described):
    check_equal(sorted(described - shown), [], f"in {page_name}, and not in the program")
    check_equal(sorted(shown - described), [], f"in the program, and not in {page_name}")


def there_is_a_page_for_each(_):
    check_equal({os.path.basename(p) for p in glob.glob(MAN + "/*.[0-9]")}, PAGES, "pages in docs/man")
    for name in PAGES:
        text = page(name)
        title, section = name.rsplit(".", 1)
        check(f".Dt {title.upper()} {section}\n" in text and f".Nm {title}\n" in text, f"{name}: title")
        for other in re.findall(r"^\.Xr (\S+) (\d)", text, re.M):
            check(".".join(other) in PAGES or f"{other[0]}({other[1]})" in OTHERS, f"{name} refers to {other}")


def mandoc_finds_nothing(lab):
    if not shutil.which("mandoc"):
        raise Skip("no mandoc here")
    for name in sorted(PAGES):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", os.path.join(MAN, name)], env=lab.env, capture_output=True, text=True,
                              timeout=60, check=False)
        told = [x for x in done.stdout.splitlines() if "referenced manual not found" not in x]
        check_equal(told, [], name)


def groff_finds_nothing(lab):
    if not shutil.which("groff"):
        raise Skip("no groff here")
    for name in sorted(PAGES):
        done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", os.path.join(MAN, name)], env=lab.env, capture_output=True, text=True,
                              timeout=60, check=False)
        check_equal((done.returncode, done.stderr), (0, ""), name)


def options_of_the_daemons(lab):
    for name in ("fleet-driver-host.8", "fleet-console.8", "fleet-driver.1"):
        shown = options_of_help(run(lab, harness.program(name[:-2]), "--help")) | {"help", "version"}
        if name == "fleet-driver.1":  # several on one line
            shown |= set(re.findall(r"--([a-z-]+) K", run(lab, harness.program("fleet-driver"), "--help"))) | {"unset"}
        same(name, shown, options_of_page(page(name)))


def words_of_the_console(lab):
    """Each word and its second one, as the usage has them; in the page those of its entries."""
    shown = set()
    for line in re.findall(r"^ {7}fleet-console (.*)$", run(lab, harness.program("fleet-console"), "--help"), re.M):
        words = [w for w in re.sub(r"\[.*|--.*|\b[A-Z]+\b", "", line).split() if re.fullmatch(r"[a-z|-]+", w)]
        pairs = [" ".join(words[:2])] if "|" not in line else []
        for alternative in " ".join(words[1:]).replace("|", " ").split() if not pairs and "|" not in words[0] else []:
            pairs.append(f"{words[0]} {alternative}")
        shown.update(pairs or words[0].split("|"))
    described = set()
    for entry in re.findall(r"^\.It Cm (.*)$", page("fleet-console.8").split(".Sh OPTIONS")[0], re.M):
        words = re.sub(r"\b(Op|Ar)\b.*", "", entry)
        first, *rest = words.replace("|", " ").split()
        described.update(f"{first} {w}" for w in rest) if rest else described.add(first)
    check(len(shown) > 8, f"words of the usage: {shown}")
    same("fleet-console.8", shown, described - {"run"})


def options_and_verbs_of_the_agent(lab):
    agent = harness.program("fleet-agent")
    text = page("fleet-agent.8")
    daemon, verbs = text.split(".Sh VERBS")
    same("fleet-agent.8", options_of_help(run(lab, agent, "--help")), options_of_page(daemon))
    admin = run(lab, agent, "help")
    same("fleet-agent.8, verbs", options_of_help(admin), options_of_page(verbs.split(".Sh SIGNALS")[0]))
    shown = set(re.findall(r"^  ([a-z]+) ", admin, re.M))
    check_equal(set(re.findall(r"^\.It Cm (\w+)", verbs, re.M)), shown, "verbs")
    for verb in shown:
        run(lab, agent, verb, "--help")


def commands_and_options_of_fleetctl(lab):
    ctl = harness.program("fleetctl")
    text = page("fleetctl.1")
    described = {}
    for section in re.split(r"^\.Ss fleetctl ", text.split(".Sh COMMANDS")[1].split(".Sh SETTINGS")[0], flags=re.M)[1:]:
        head = section.split("\n", 1)[0].split()
        described[" ".join(w for w in head if w.islower())] = ([w for w in head if w.isupper()], options_of_page(section))
    shown = {}

    def walk(path):
        told = run(lab, ctl, *path, "--help")
        children = re.search(r"\nCommands:\n((?:  .*\n)+)", told)
        for line in children.group(1).splitlines() if children else []:
            if not line.startswith("   "):
                walk([*path, line.split()[0]])
        usage = told.split("\n", 1)[0].split("--")[0].split()[2:]
        own = re.search(r"\nOptions:\n((?:  .*\n)+)", told).group(1)
        names = {m.group(1): m.group(2) for m in re.finditer(r"^  --([a-z0-9-]+)( [A-Z][^ ]*)?", own, re.M)}
        options = {n for n, value in names.items() if n != "help" and not (n == "version" and not value)}
        if not children or options:  # a group may be a command as well
            shown[" ".join(path)] = ([w for w in usage if re.fullmatch("[A-Z]+", w) and w != "COMMAND"], options)
    walk([])
    check(len(shown) > 15, f"commands: {sorted(shown)}")
    check_equal(sorted(described), sorted(shown), "commands")
    for command, told in shown.items():
        check_equal(described[command], told, f"words and options of fleetctl {command}")


def keys_of_page(text):
    """`Ic` words of entries and of sentences."""
    found = set()
    for line in re.findall(r"^\.(?:It )?Ic (.*)$", text, re.M):
        found.update(w for w in line.split() if re.fullmatch(r"[a-z_0-9]+", w))
    return found


def arrays(text, *names):
    """The words of C arrays of strings."""
    found = set()
    for name in names:
        found.update(re.findall(r'"(\w+)"', re.search(name + r"\[\] = \{(.*?)\}", text, re.S).group(1)))
    return found


def keys_of_the_files(_):
    parse = source("src/agent/host/apps_parse.c") + source("src/agent/host/apps_files.c")
    keys = arrays(parse, "app_keys", "file_keys", "health_keys", r"const keys") | {"managed_apps"}
    same("fleet-apps.d.5", keys, keys_of_page(page("fleet-apps.d.5")))
    keys = arrays(source("src/console/config_file.c"), "root_keys", "tls_keys", "log_keys", "api_key_keys", "agent_key_keys")
    same("fleet-console.yaml.5", keys, keys_of_page(page("fleet-console.yaml.5")))
    table = re.search(r"\} settings\[\] = \{(.*?)\n\};", source("src/agent/config.c"), re.S).group(1)
    described = set(re.findall(r"FLEET_[A-Z_]+", " ".join(re.findall(r"^\.It Ev (.*)$", page("fleet-agent.env.5"), re.M))))
    same("fleet-agent.env.5", set(re.findall(r'"(FLEET_[A-Z_]+)"', table)), described)


if __name__ == "__main__":
    harness.main([there_is_a_page_for_each, mandoc_finds_nothing, groff_finds_nothing, options_of_the_daemons, words_of_the_console, options_and_verbs_of_the_agent,
                  commands_and_options_of_fleetctl, keys_of_the_files])

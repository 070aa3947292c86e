# Reads lines of JSON from the file given: {"old": text, "new": text, "key": name, "value": text or null for unset,
# "settings": {name: value} of the new text as the driver reads it}. Gives both texts to real shells and to a reader
# made after systemd's EnvironmentFile= (systemd.exec(5), and the states of its parser), old and new, and says for each
# whether they find in the new text what was asked for and everything else as in the old one. What a value holds must
# never be run.
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

NAMES = ["K%d" % i for i in range(8)] + ["EVIL"]
BOM = "\ufeff"


def systemd(text, before_254):
    """One character, one step."""
    found, state, key, value, key_blank, blank = {}, "pre-key", "", "", None, None

    def push():
        name = key if key_blank is None else key[:key_blank]
        if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            found[name] = value

    for c in text:
        newline, space = c in "\n\r", c in " \t\n\r"
        if state == "pre-key":
            if c in "#;":
                state = "comment"
            elif not space:
                state, key, key_blank, value, blank = "key", c, None, "", None
        elif state == "key":
            if newline:
                state = "pre-key"
            elif c == "=":
                state, blank = "pre-value", None
            else:
                key_blank = None if not space else len(key) if key_blank is None else key_blank
                key += c
        elif state == "pre-value":
            if newline:
                push()
                state = "pre-key"
            elif c in "'\"":
                state = c
            elif c == "\\":
                state = "escape"
            elif not space:
                state = "value"
                value += c
        elif state == "value":
            if newline:
                value = value if blank is None else value[:blank]
                push()
                state = "pre-key"
            elif c == "\\":
                state, blank = "escape", None
            else:
                blank = None if not space else len(value) if blank is None else blank
                value += c
        elif state == "escape":
            state = "value"
            if not newline:
                value += c
        elif state == "'":
            if c == "'":
                state = "pre-value"
            else:
                value += c
        elif state == '"':
            if c == '"':
                state = "pre-value"
            elif c == "\\":
                state = "quoted-escape"
            else:
                value += c
        elif state == "quoted-escape":
            state = '"'
            if c in "\"\\`$":
                value += c
            elif c != "\n":
                value += "\\" + c
        elif state == "comment":
            if c == "\\":
                state = "comment-escape"
            elif newline:
                state = "pre-key"
        elif state == "comment-escape":
            state = "pre-key" if newline and not before_254 else "comment"
    if state not in ("pre-key", "key", "comment", "comment-escape"):
        if state == "value" and blank is not None:
            value = value[:blank]
        push()
    return found


def for_sh(text):
    """Without what marks the whole file: line ends, a byte order mark before a comment, comments with ;."""
    text = re.sub(r"(?<!\\)\r\n", "\n", text)
    if text.startswith(BOM + "#"):
        text = text[1:]
    return re.sub(r"(?m)^([ \t]*); note$", r"\1#", text)


SCRIPT = """
case_number=0
while [ $case_number -lt %d ]; do
	for which_one in old new; do
		(. ./$case_number.$which_one >/dev/null 2>&1 </dev/null; printf '%%s\\0' %s)
		printf 'end\\001\\0'
	done
	case_number=$((case_number + 1))
done
"""


def shells(cases, shell, directory):
    """What each text leaves in the variables; None where the shell gives up."""
    for i, case in enumerate(cases):
        for which in ("old", "new"):
            with open(os.path.join(directory, "%d.%s" % (i, which)), "wb") as f:
                f.write(for_sh(case[which]).encode("utf-8", "surrogateescape"))
    script = SCRIPT % (len(cases), " ".join('"${%s-unset\001}"' % n for n in NAMES))
    with open(os.path.join(directory, "script"), "w") as f:
        f.write(script)
    out = subprocess.run([shell, "script"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL, env={"PATH": "/nonexistent", "ZZ": "zed"}, check=True, timeout=240).stdout
    answers, row = [], []
    for item in out.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        if item != "end\001":
            row.append(item)
            continue
        answers.append({n: v for n, v in zip(NAMES, row) if v != "unset\001"} if len(row) == len(NAMES) else None)
        row = []
    assert len(answers) == 2 * len(cases), (shell, len(answers), len(cases))
    return [(answers[2 * i], answers[2 * i + 1]) for i in range(len(cases))]


def difference(case, old, new, sh):
    want, value = dict(old), case["value"]
    if sh and value is not None:
        value = for_sh(value)
    if value is None:
        want.pop(case["key"], None)
    elif sh or case["key"] in new or not re.search(r"(?:^|[\r\n])[ \t]*export[ \t]+%s=" % case["key"], case["new"]):
        want[case["key"]] = value  # else systemd does not know the key at all
    by_accident = re.findall(r"&(\w+)=", case["old"]) if sh else ()  # as b in A=http://x/?a=1&b=2
    return [n for n in NAMES if want.get(n) != new.get(n) and n not in by_accident]


def main():
    with open(sys.argv[1], encoding="utf-8", errors="surrogateescape", newline="\n") as f:
        cases = [json.loads(line) for line in f]
    wrong = gave_up = said = 0
    for name in ["sh", "bash"]:
        shell = shutil.which(name)
        if not shell:
            continue
        some = cases if name == "sh" else [case for case in cases[::5] if "sh" in case]
        with tempfile.TemporaryDirectory(prefix="fleet-env-") as directory:
            results = shells(some, shell, directory)
            run = sorted(set(os.listdir(directory)) - {"script"} - {
                "%d.%s" % (i, w) for i in range(len(some)) for w in ("old", "new")})
        if "canary" in run:
            wrong += 1
            print("a value was run by", shell)
        for case, (old, new) in zip(some, results):
            if old is None or (new is None and name == "bash"):  # which ends with a file's last unknown command
                gave_up += 1
                continue
            bad = new is None or difference(case, old, new, True)
            if bad:
                wrong += 1
                print(name, bad, json.dumps(case)[:1200], old, new)
            case.setdefault(name, new)
    for case in cases:
        both = []
        for before_254 in (True, False):
            old, new = systemd(case["old"], before_254), systemd(case["new"], before_254)
            both.append(new)
            bad = difference(case, old, new, False)
            if bad:
                wrong += 1
                print("systemd", before_254, bad, json.dumps(case)[:1200], old, new)
        both.append(case.get("sh"))
        if both[2] is None:
            continue
        for n in NAMES:  # what all readers agree about, the driver says
            values = {new.get(n) for new in both}
            if len(values) == 1 and None not in values and "\r" not in case["new"] and "ZZ" not in case["new"]:
                said += 1
                if case["settings"].get(n) not in values:
                    wrong += 1
                    print("the driver says otherwise:", n, values, json.dumps(case)[:1200])
    print("tried %d wrong %d skipped %d" % (len(cases), wrong, gave_up))
    print("%d values that all agree about" % said)


if __name__ == "__main__":
    main()

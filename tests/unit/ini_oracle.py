# Reads lines of JSON from the file given: {"old": text, "new": text, "key": [section, key], "value": text or
# null, "settings": {path: value} or null}. Says for each whether configparser reads in the new text what was
# asked for, and everything else as in the old one; and, where given, all settings as they are there.
import configparser
import json
import sys

TOP = "\x01top"


def read(text):
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=", ":"),
        comment_prefixes=("#", ";"), inline_comment_prefixes=("#", ";"), default_section="\x01none",
        empty_lines_in_values=True)
    parser.optionxform = str
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    text = "\n".join("#" + line if line.strip().startswith("!include") else line for line in text.split("\n"))
    parser.read_string("[" + TOP + "]\n" + text)
    return {(s if s != TOP else "", k): unquoted(v or "") for s in parser.sections() for k, v in parser.items(s)}


def unquoted(value):
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0] and value[0] not in value[1:-1]:
        return value if "\n" in value else value[1:-1]
    return value


def main():
    tried = wrong = skipped = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        case = json.loads(line)
        key = tuple(case["key"])
        try:
            old = read(case["old"])
        except (configparser.Error, AttributeError):  # another program's file
            skipped += 1
            continue
        tried += 1
        try:
            new = read(case["new"])
        except (configparser.Error, AttributeError) as e:
            wrong += 1
            print("#", repr(e))
            print("# OLD", repr(case["old"]), "NEW", repr(case["new"]))
            continue
        want = dict(old)
        if case["value"] is not None:
            want[key] = case["value"]
        else:
            want.pop(key, None)
        bad = [k for k in set(want) | set(new) if want.get(k) != new.get(k)]
        if case["settings"] is not None:
            said = {("" if "." not in p else p.split(".")[0], p.split(".")[-1]): v
                    for p, v in case["settings"].items()}
            bad += [k for k in set(said) | set(new) if said.get(k) != new.get(k)]
        if bad:
            wrong += 1
            print("#", key, case["value"], "differs in", bad[:3], [(want.get(k), new.get(k)) for k in bad[:3]])
            print("# OLD", repr(case["old"])[:600], "NEW", repr(case["new"])[:600])
    print("tried %d wrong %d skipped %d" % (tried, wrong, skipped))


main()

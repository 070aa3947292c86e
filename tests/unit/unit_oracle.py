# Reads lines of JSON from the file given: {"old": text, "new": text, "section": name, "key": name, "index": number (-1
# none, -2 a new last one), "value": text or null for unset}. Says for each whether a reader by the rules of
# systemd.syntax(7) finds in the new text what was asked for, and everything else as in the old one.
import json
import sys


def assignments(text):
    section, pending = None, None
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.strip()[:1] in ("#", ";"):
            continue
        whole = line if pending is None else pending + line
        pending = None
        if (len(whole) - len(whole.rstrip("\\"))) % 2:
            pending = whole[:-1] + " "
            continue
        whole = whole.strip()
        if whole.startswith("["):
            section = whole[1:-1]
        elif whole:
            key, value = whole.split("=", 1)
            yield section, key.strip(), " ".join(value.split())


def read(text):
    """What counts: an empty assignment takes away what stands before it."""
    found = {}
    for section, key, value in assignments(text):
        row = found.setdefault((section, key), [])
        if value == "" or row == [""]:
            row.clear()
        row.append(value)
    return found


def main():
    tried = wrong = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        case = json.loads(line)
        want, new = read(case["old"]), read(case["new"])
        name, index, value = (case["section"], case["key"]), case["index"], case["value"]
        row = want.setdefault(name, [])
        if value is None and index < 0:
            row.clear()
        elif value is None:
            del row[index:index + 1]
        elif index == -2:
            row.append(value)
        elif index == -1:
            row[:] = [value]
        else:
            row[index] = value
        tried += 1
        if {k: v for k, v in want.items() if v} != new:
            wrong += 1
            if wrong < 10:
                print("#", name, index, value, "OLD", repr(case["old"])[:500], "NEW", repr(case["new"])[:500])
    print("tried %d wrong %d" % (tried, wrong))


main()

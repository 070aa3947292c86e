# Reads lines of JSON from the file given: {"old": text, "new": text, "path": [name or index or "+"...], "type": "string"
# or "json" for a set, null for unset, "value": text}; an appended element is ["+"]. Says for each whether Python's own
# JSON reader finds in the new text what was asked for, and everything else as in the old one: spellings of numbers,
# names that are there twice, and the order of members.
import json
import sys


class Number(str):
    pass


class Object(list):
    """Pairs of name and value: a name may be there twice."""


def tokens_only(text):
    """Without comments, and without the comma behind a last member."""
    out, i = [], 0
    while i < len(text):
        if text[i] == '"':
            end = i + 1
            while text[end] != '"':
                end += 1 + (text[end] == "\\")
            out.append(text[i:end + 1])
            i = end + 1
        elif text.startswith("//", i):
            while i < len(text) and text[i] != "\n":
                i += 1
        elif text.startswith("/*", i):
            i = text.index("*/", i) + 2
        else:
            if not text[i].isspace():
                if text[i] in "}]" and out and out[-1] == ",":
                    out.pop()
                out.append(text[i])
            i += 1
    return "".join(out)


def load(text):
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=lambda p: Object(map(list, p)))


def read(text):
    bare = tokens_only(text.removeprefix("\ufeff"))
    return load(bare) if bare else None


def new_value(case):
    return case["value"] if case["type"] == "string" else load(case["value"])


def apply(root, path, case):
    """root: a holder of one element. A missing parent is made."""
    up, at = root, 0
    if root[0] is None and case["type"] is None:
        return
    for n, part in enumerate(path):
        if up[at] is None and n == 0:
            up[at] = [] if not isinstance(part, str) else Object()
        into = up[at]
        if isinstance(part, str):
            rows = [i for i, pair in enumerate(into) if pair[0] == part]
            if not rows and case["type"] is None:
                return
            if case["type"] is None and n == len(path) - 1:
                into[:] = [pair for pair in into if pair[0] != part]
                return
            if not rows:
                after = path[n + 1] if n + 1 < len(path) else None
                into.append([part, Object() if isinstance(after, str) else []])
                rows = [len(into) - 1]
            up, at = into[rows[-1]], 1
        elif part == ["+"]:
            after = path[n + 1] if n + 1 < len(path) else None
            into.append(Object() if isinstance(after, str) else [])
            up, at = into, len(into) - 1
        else:
            if case["type"] is None and n == len(path) - 1:
                del into[part]
                return
            up, at = into, part
    up[at] = new_value(case)


def ordered(v, path=()):
    """A new member's place among the others is the driver's: by name, and in order within a name."""
    if isinstance(v, Object):
        return ("object", sorted(((k, ordered(x)) for k, x in v), key=lambda pair: pair[0]))
    if isinstance(v, list):
        return ("array", [ordered(x) for x in v])
    return (type(v).__name__, v)


def names(v):
    if isinstance(v, Object):
        return [[k, names(x)] for k, x in v]
    return [names(x) for x in v] if isinstance(v, list) else None


def main():
    tried = wrong = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        case = json.loads(line)
        tried += 1
        try:
            want, new = [read(case["old"])], read(case["new"])
            apply(want, case["path"], case)
            good = ordered(want[0]) == ordered(new)
            if good and case["type"] is None:
                good = names(want[0]) == names(new)
        except (ValueError, IndexError, TypeError) as e:
            good = False
            print("#", repr(e)[:200])
        if not good:
            wrong += 1
            if wrong < 10:
                print("#", case["path"], case["type"], case["value"])
                print("# OLD", repr(case["old"])[:900])
                print("# NEW", repr(case["new"])[:900])
    print("tried %d wrong %d" % (tried, wrong))


main()

# Reads lines of JSON from the file given: {"old": text, "new": text, "document": number, "path": [name or index or
# "+"...], "type": "string" and so on, or null for unset, "value": text}. Says for each whether PyYAML's own parser
# (not libyaml) reads in the new text what was asked for, of its type, and everything else as in the old one.
import json
import sys

import yaml

APPEND = ["+"]


class Unusual(Exception):
    pass


def spelled(tag, value):
    kind = tag.rpartition(":")[2]
    if kind == "null":
        return "null"
    if kind == "bool":
        return "true" if value.lower() in ("true", "yes", "on") else "false"
    if kind == "int" and value.startswith("0x"):
        return str(int(value, 16))
    return value


def plain(node, seen=()):
    if node is None:
        return None
    if node in seen:
        raise Unusual
    if isinstance(node, yaml.ScalarNode):
        return (node.tag, spelled(node.tag, node.value))
    if isinstance(node, yaml.SequenceNode):
        return [plain(n, seen + (node,)) for n in node.value]
    found = {}
    for k, v in node.value:
        if not isinstance(k, yaml.ScalarNode) or k.value in found:
            raise Unusual
        found[k.value] = plain(v, seen + (node,))
    return found


def read(text):
    documents = [plain(n) for n in yaml.compose_all(text.replace("\r\n", "\n"), Loader=yaml.SafeLoader)]
    return [None if d == ("tag:yaml.org,2002:null", "null") else d for d in documents]


def wanted(kind, value):
    if kind == "string":
        return ("tag:yaml.org,2002:str", value)
    return told(json.loads(value, parse_int=Number, parse_float=Number))


class Number(str):
    pass


def told(v):
    if isinstance(v, Number):
        return ("tag:yaml.org,2002:" + ("float" if "." in v else "int"), str(v))
    if isinstance(v, bool):
        return ("tag:yaml.org,2002:bool", str(v).lower())
    if v is None:
        return ("tag:yaml.org,2002:null", "null")
    if isinstance(v, str):
        return ("tag:yaml.org,2002:str", v)
    if isinstance(v, list):
        return [told(x) for x in v]
    return {k: told(x) for k, x in v.items()}


def apply(root, path, kind, value):
    """root is a holder of one element."""
    up, name = root, 0
    for part in path:
        at = up[name]
        if at is None or (kind is None and not at):
            if kind is None:
                return
            at = up[name] = [] if part == "+" else {}
        if part == "+":
            at.append(None)
            part = len(at) - 1
        elif isinstance(part, str) and part not in at:
            if kind is None:
                return
            at[part] = None
        up, name = at, part
    if kind is not None:
        old = up[name]
        up[name] = wanted(kind, value)
        if isinstance(old, tuple) and not old[0].startswith("tag:yaml.org,2002:"):
            up[name] = (old[0], up[name][1])  # a program's own tag stays
    elif up is not root:
        del up[name]


def emptied(v):
    return None if v in ({}, []) else v


def main():
    tried = wrong = skipped = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        case = json.loads(line)
        try:
            want = read(case["old"])
        except (yaml.YAMLError, Unusual):
            skipped += 1
            continue
        tried += 1
        try:
            new = read(case["new"])
            while len(want) <= case["document"]:
                want.append(None)
            holder = [want[case["document"]]]
            apply(holder, case["path"], case["type"], case["value"])
            want[case["document"]] = holder[0]
            while len(new) < len(want):
                new.append(None)
            good = [emptied(v) for v in want] == [emptied(v) for v in new]
        except (yaml.YAMLError, Unusual) as e:
            good = False
            print("#", repr(e)[:300])
        if not good:
            wrong += 1
            if wrong < 10:
                print("#", case["path"], case["type"], case["value"])
                print("# OLD", repr(case["old"])[:700])
                print("# NEW", repr(case["new"])[:700])
    print("tried %d wrong %d skipped %d" % (tried, wrong, skipped))


main()

"""What other programs read in a config file: for each format a reader that shares nothing with Fleet's drivers.

A reader takes bytes and gives {parts: (type, text)}: parts are the names and indexes on the way to a value, type is
"string", "integer", "number", "boolean", "null", or what an empty object or array is; text as the file spells it where
the reader tells. It raises Unreadable where the file is none of its own.
"""
import configparser
import json
import os
import subprocess

import harness

try:
    import yaml
except ImportError:
    yaml = None


class Unreadable(Exception):
    """Not a file for this reader."""


class Number(str):
    """A JSON number by its spelling."""


def flatten(value, parts, out, leaf):
    if isinstance(value, list) and value and isinstance(value[0], Pair):
        for pair in value:
            flatten(pair.value, parts + (pair.name,), out, leaf)
    elif isinstance(value, list) and value:
        for i, item in enumerate(value):
            flatten(item, parts + (i,), out, leaf)
    else:
        if parts in out:
            raise Unreadable("a name that is there twice")
        out[parts] = leaf(value)
    return out


class Pair:
    def __init__(self, name, value):
        self.name, self.value = name, value


class Nothing(list):
    """An empty object: not an empty array."""


def without_comments(text):
    """JSON without comments and without the commas behind last members; what strings hold stays."""
    out, i, comma = [], 0, None
    while i < len(text):
        c = text[i]
        if c == '"':
            end = i + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            out.append(text[i:end + 1])
            i, comma = end + 1, None
        elif text[i:i + 2] == "//":
            i = text.find("\n", i) if "\n" in text[i:] else len(text)
        elif text[i:i + 2] == "/*":
            i = text.index("*/", i) + 2
        else:
            if c in "}]" and comma is not None:
                out[comma] = ""
            if c == ",":
                comma = len(out)
            elif not c.isspace():
                comma = None
            out.append(c)
            i += 1
    return "".join(out)


def json_leaf(value):
    if isinstance(value, Number):
        return ("number" if set(value) & set(".eE") else "integer", str(value))
    if isinstance(value, bool):
        return ("boolean", "true" if value else "false")
    if value is None:
        return ("null", "null")
    if isinstance(value, str):
        return ("string", value)
    return ("object", "{}") if isinstance(value, Nothing) else ("array", "[]")


def read_json(data):
    try:
        text = without_comments(data.decode("utf-8-sig"))
        tree = json.loads(text, parse_int=Number, parse_float=Number,
                          object_pairs_hook=lambda pairs: [Pair(k, v) for k, v in pairs] or Nothing())
    except (ValueError, IndexError) as e:
        raise Unreadable(str(e)) from e
    return flatten(tree, (), {}, json_leaf)


YAML_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "null": "null"}


def yaml_tree(node, seen=()):
    if node in seen:
        raise Unreadable("a value within itself")
    if isinstance(node, yaml.ScalarNode):
        return node
    if isinstance(node, yaml.SequenceNode):
        return [yaml_tree(n, seen + (node,)) for n in node.value]
    if not all(isinstance(k, yaml.ScalarNode) for k, _ in node.value):
        raise Unreadable("a key that is a collection")
    return [Pair(k.value, yaml_tree(v, seen + (node,))) for k, v in node.value] or Nothing()


def yaml_leaf(value):
    if isinstance(value, list):
        return ("object", "{}") if isinstance(value, Nothing) else ("array", "[]")
    kind = YAML_TYPES.get(value.tag.rpartition(":")[2], value.tag)
    if kind == "null":
        return (kind, "null")
    if kind == "boolean":
        return (kind, "true" if value.value.lower() in ("true", "yes", "on") else "false")
    return (kind, value.value)


def read_yaml(data):
    """By PyYAML's own parser, which is not libyaml. The first of several documents."""
    try:
        documents = list(yaml.compose_all(data.decode("utf-8-sig"), Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as e:
        raise Unreadable(str(e)) from e
    return flatten(yaml_tree(documents[0]), (), {}, yaml_leaf) if documents and documents[0] else {}


TOP = "\x01top"


def read_configparser(data):
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=", ":"),
                                          comment_prefixes=("#", ";"), inline_comment_prefixes=("#", ";"),
                                          default_section="\x01none", empty_lines_in_values=True)
    parser.optionxform = str
    try:
        parser.read_string(f"[{TOP}]\n" + data.decode("utf-8-sig"))
    except (configparser.Error, AttributeError, ValueError) as e:
        raise Unreadable(str(e)) from e

    def unquoted(v):
        return v[1:-1] if len(v) > 1 and v[0] in "\"'" and v[-1] == v[0] and v[0] not in v[1:-1] else v

    return {((k,) if s == TOP else (s, k)): ("string", unquoted(v or ""))
            for s in parser.sections() for k, v in parser.items(s)}


def read_systemd(data):
    """By systemd.syntax(7). A key that is there several times is a list, from its last reset on."""
    section, pending, rows = None, None, {}
    for line in data.decode().split("\n"):
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
        elif whole and "=" not in whole:
            raise Unreadable("a line that assigns nothing")
        elif whole:
            key, value = whole.split("=", 1)
            row = rows.setdefault((section, key.strip()), [])
            if not value.strip() or row == [""]:
                row.clear()
            row.append(" ".join(value.split()))
    out = {}
    for name, row in rows.items():
        for i, value in enumerate(row):
            out[name + (i,) if len(row) > 1 else name] = ("string", value)
    return out


OWN = ("PWD", "OLDPWD", "SHLVL", "_")  # what sh sets itself


def sh_reader(lab):
    """What sh has in its environment after the file, where no program can be found to run."""
    program = Program(lab, ["/bin/sh", "-c", 'set -a; . "FILE" >&2; exec /usr/bin/env -0'])
    program.env = {"PATH": "/nonexistent"}

    def read(data):
        said = program.run(data)
        if said is None:
            raise Unreadable("sh does not take it")
        pairs = [item.partition("=") for item in said.decode().split("\0") if item]
        return {(name,): ("string", value) for name, _, value in pairs if name not in (*OWN, "PATH")}

    return read


class Program:
    """A reader that is a program, from an installed package or an unpacked one."""

    def __init__(self, lab, argv, libraries=()):
        self.argv, self.file = argv, lab.path("read")
        self.env = dict(lab.env, LD_LIBRARY_PATH=":".join(libraries))

    def works(self):
        return os.path.exists(self.argv[0]) and self.run(b"[a]\nb = c\n", ["a"]) is not None

    def run(self, data, extra=()):
        with open(self.file, "wb") as f:
            f.write(data)
        argv = [a.replace("FILE", self.file) for a in self.argv] + list(extra)
        done = subprocess.run(argv, env=self.env, capture_output=True, timeout=harness.DEADLINE, check=False)
        return done.stdout if done.returncode == 0 else None


PHP = r"""
$out = [];
foreach (parse_ini_file("FILE", true, INI_SCANNER_RAW) as $s => $v)
    foreach (is_array($v) ? $v : [$v] as $k => $x)
        $out[] = [is_array($v) ? [(string)$s, (string)$k] : [(string)$s], $x];
parse_ini_file("FILE", true, INI_SCANNER_NORMAL) !== false or exit(1);
echo json_encode($out);
"""


def php_reader(lab, trees):
    """PHP's own scanner, in both of its modes."""
    argv = [os.path.join(trees["php8.2-cli"], "usr/bin/php8.2"), "-n", "-r", PHP]
    libraries = [os.path.join(t, "usr/lib", os.uname().machine + "-linux-gnu") for t in trees.values()]
    program = Program(lab, argv, libraries)

    def read(data):
        said = program.run(data)
        if said is None:
            raise Unreadable("PHP does not take it")
        return {tuple(parts): ("string", value) for parts, value in json.loads(said)}

    return read if program.works() else None


def mysql_reader(lab, trees):
    """my_print_defaults, as the server itself reads option files; - and _ are one to it."""
    argv = [os.path.join(trees["mariadb-client-core"], "usr/bin/my_print_defaults"), "--defaults-file=FILE"]
    program = Program(lab, argv)

    def read(data):
        # included files are not this file
        lines = [b"#" + line if line.startswith(b"!include") else line for line in data.splitlines()]
        groups = {line.strip()[1:-1].decode() for line in lines if line.strip().startswith(b"[")}
        out = {}
        for group in groups:
            said = program.run(b"\n".join(lines) + b"\n", [group])
            if said is None:
                raise Unreadable("my_print_defaults does not take it")
            for option in said.decode().splitlines():
                name, _, value = option.removeprefix("--").partition("=")
                out[group, name.replace("_", "-")] = ("string", value)
        return out

    return read if program.works() else None

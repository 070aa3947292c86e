"""What the tests of the console among enemies share: a console with keys, looks at what it holds, and a run of tests as TAP."""
import re
import sys
import time
import uuid

OPERATOR = {"Authorization": "Bearer operator-key-0123456789abcdef"}
VIEWER = {"Authorization": "Bearer viewer-key-0123456789abcdefgh"}
AGENT_KEY = "agent-key-a1-0123456789abcdef"
KEYS = f"""
api_keys:
  - {{name: ops, role: operator, key: {OPERATOR["Authorization"][7:]}}}
  - {{name: see, role: viewer, key: {VIEWER["Authorization"][7:]}}}
agent_keys:
  - {{agent_id: a1, key: {AGENT_KEY}}}
  - {{agent_id: a2, key: agent-key-a2-0123456789abcdef}}
command_ttl: 2s
"""
NOBODY = "0193587a-1111-7000-8000-0000007c31e0"


def new_id():
    return str(uuid.uuid4())


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(seen, expected, what):
    check(seen == expected, f"{what}: {seen!r}, expected {expected!r}")


def audit(console, query=""):
    """All pages, oldest first."""
    events, path = [], "/api/audit?limit=1000" + query
    while path:
        answer = console.get(path)
        equal(answer.status, 200, path)
        events += answer.json
        link = re.search("<(.*)>", answer.headers.get("Link") or "")
        path = link and link[1]
    return events[::-1]


def state(console, command):
    return console.get("/api/commands/" + command).json["state"]


def ended(crowd):
    """How many of these connections the console has ended."""
    count = 0
    for client in crowd:
        try:
            count += client.recv(1) == b""
        except BlockingIOError:
            pass
        except ConnectionError:
            count += 1
    return count


def run(tests):
    """Those of them whose names are given as arguments, or all; the exit status."""
    wanted = sys.argv[1:]
    tests = [t for t in tests if not wanted or t.__name__ in wanted]
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        began = time.monotonic()
        try:
            test()
            print(f"ok {number} - {test.__name__[5:]} # {time.monotonic() - began:.1f} s", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {test.__name__[5:]}\n# {type(error).__name__}: "
                  + str(error).replace("\n", "\n# "), flush=True)
    return 1 if failed else 0

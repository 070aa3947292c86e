#!/usr/bin/python3
"""Commands that the console never gave, straight into the driver host's socket, as a hijacked agent could send them:
each is refused with its reason and told for the audit log, and nothing is done. Beside each stands the honest
command that does work, so that a refusal of everything would not pass."""
import base64
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import hostsocket  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402
from hostsocket import Key, b64, canonical, command  # noqa: E402

AGENT = "agent-001"


def ready_host(lab, key, dev=True, **options):
    host = hostsocket.Host(lab, AGENT, [lab.simulated("app-a", **options)], dev=dev)
    description = host.hello()
    check_equal([a["id"] for a in description["apps"]], ["app-a"], "apps of the description")
    host.send("keys", keys=[key.jwk()])
    host.running("app-a")
    return host


def honest(host, key, **fields):
    """A good command runs to its end: the result."""
    payload = command(AGENT, "app-a", **fields)
    host.command(key.sign(payload))
    host.wait("accepted", lambda f: f["type"] == "accepted" and f["commandId"] == payload["commandId"])
    result = host.result(payload["commandId"])
    check_equal(result["success"], True, f"the honest command ({result})")
    return result


def flip(text, index):
    """The same length, one character of base64url changed."""
    return text[:index] + ("A" if text[index] != "A" else "B") + text[index + 1:]


def forgeries(key, other):
    """(what, jws, codes it may be refused with)"""
    good = command(AGENT, "app-a")
    head, body, signature = key.sign(good).split(".")
    push = command(AGENT, "app-a", action="push-config",
                   args={"file": "main", "edits": [{"op": "set", "key": "LogLevel", "value": "Debug", "mode": "auto"}]})
    push_parts = key.sign(push).split(".")
    altered = dict(push, args={"file": "main", "edits": [{"op": "set", "key": "LogLevel", "value": "Debuh", "mode": "auto"}]})
    bad = {"bad-signature", "malformed"}
    yield "no signature", f"{head}.{body}.", bad
    yield "two parts only", f"{head}.{body}", {"malformed"}
    yield "alg none", b64(canonical({"alg": "none", "kid": key.kid, "typ": "fleet-command+jws"})) + f".{body}.", bad
    yield "alg none in capitals", b64(canonical({"alg": "None", "kid": key.kid})) + f".{body}.{signature}", bad
    yield "alg HS256 with the public key", key.sign(good, alg="HS256"), bad
    yield "no kid", key.sign(good, kid=None), {"malformed", "unknown-key"}
    yield "a crit header", key.sign(good, crit=["exp"]), bad
    yield "another console's key", other.sign(good), {"unknown-key"}
    yield "another's signature under our kid", other.sign(good, kid=key.kid), {"bad-signature"}
    yield "one byte of the signature altered", f"{head}.{body}.{flip(signature, 10)}", {"bad-signature"}
    yield "one byte of the payload altered", f"{head}.{flip(body, len(body) // 2)}.{signature}", bad
    yield "a setting altered", f"{push_parts[0]}.{b64(canonical(altered))}.{push_parts[2]}", {"bad-signature"}
    yield "the signature of another command", f"{push_parts[0]}.{body}.{push_parts[2]}", {"bad-signature"}
    yield "for another agent", key.sign(command("agent-002", "app-a")), {"wrong-agent"}
    yield "expired", key.sign(command(AGENT, "app-a", issued=-1200.0, expires=-600.0)), {"expired"}
    yield "unknown action", key.sign(command(AGENT, "app-a", action="run-shell", args={"command": "id"})), {"malformed"}
    yield "no commandId", key.sign({k: v for k, v in good.items() if k != "commandId"}), {"malformed"}
    yield "payload is no object", key.sign([1, 2, 3]), {"malformed"}
    yield "not base64url", f"{head}.{body}=.{signature}", bad
    yield "no JWS at all", "restart app-a, please", {"malformed"}
    # Out of a frame's bounds: no command that could be refused, so an error and nothing for the audit log.
    yield "empty", "", {"invalid"}
    yield "a long one", head + "." + "A" * 600_000 + "." + signature, {"invalid"}


def forgeries_are_refused_and_do_nothing(lab):
    key, other = Key(), Key()
    host = ready_host(lab, key)
    honest(host, key)
    pid = host.running("app-a")["pid"]
    file_before = lab.read("apps/app-a.json")
    for what, jws, codes in forgeries(key, other):
        refused = host.refusal(host.command(jws))
        check(refused["code"] in codes, f"{what}: refused with {refused['code']}, expected one of {sorted(codes)}")
        check(len(refused["message"]) > 10, f"{what}: no reason in {refused}")
        if refused["type"] == "refused":
            event = host.wait(f"event for {what}", lambda f: f["type"] == "event" and "was seen first" not in f["message"])
            check_in(refused["message"], event["message"], f"{what}: the event's reason")
            host.send("stored", refIds=[event["eventId"]])
        app = host.status("app-a")
        check_equal((app["status"], app["pid"]), ("running", pid), f"the app after: {what}")
        check_equal(lab.read("apps/app-a.json"), file_before, f"the file after: {what}")
    honest(host, key)
    check(host.running("app-a")["pid"] != pid, "the last honest restart did nothing")


def a_second_copy_is_not_run_again(lab):
    key = Key()
    host = ready_host(lab, key)
    payload = command(AGENT, "app-a")
    jws = key.sign(payload)
    host.command(jws)
    check_equal(host.result(payload["commandId"])["success"], True, "the first copy")
    pid = host.running("app-a")["pid"]
    for stored in (False, True):
        if stored:
            host.send("stored", refIds=[payload["commandId"]])
        refused = host.refusal(host.command(jws))
        check_equal(refused["code"], "duplicate", f"code of the second copy (stored: {stored})")
        host.wait("event", lambda f: f["type"] == "event")
        check_equal(host.running("app-a")["pid"], pid, "pid after the second copy")
    # Neither after the host itself was killed and came back.
    host.kill()
    host.start()
    host.hello()
    host.send("keys", keys=[key.jwk()])
    now = host.running("app-a")["pid"]
    check_equal(host.refusal(host.command(jws))["code"], "duplicate", "code after the host's death")
    check_equal(host.running("app-a")["pid"], now, "pid after the host's death and another copy")


def a_second_key_is_not_taken(lab):
    """The first console's key is pinned; whoever comes later with another is refused, in the same run and the next."""
    if os.geteuid() != 0:
        raise harness.Skip("the host takes declarations outside --dev from root alone")
    key, other = Key(), Key()
    host = ready_host(lab, key, dev=False)
    honest(host, key)
    for _ in range(2):
        host.send("keys", keys=[other.jwk()])
        check_equal(host.refusal(host.command(other.sign(command(AGENT, "app-a"))))["code"], "unknown-key", "code")
        honest(host, key)
        host.kill()
        host.start()
        host.hello()


def a_host_that_is_busy_says_so_once(lab):
    """Whoever is refused so comes again every ten seconds; the audit log hears of it once until one is taken."""
    key = Key()
    host = ready_host(lab, key, stop_delay="12s")
    for _ in range(1000):
        host.command(key.sign(command(AGENT, "app-a")))

    def busy():
        host.status("app-a")
        return [f for f in host.frames if f["type"] == "event" and "(busy)" in f["message"]]

    def answer():
        payload = command(AGENT, "app-a")
        frame = host.command(key.sign(payload))
        return host.wait("an answer", lambda f: f.get("refId") == frame or
                         (f["type"] == "accepted" and f["commandId"] == payload["commandId"]))
    refused, before = [], []
    while len(refused) < 3:
        said = answer()
        if said["type"] == "accepted":  # one has ended meanwhile, and made room
            refused, before = [], busy()
        else:
            refused.append(said)
    check_equal({r["code"] for r in refused}, {"busy"}, "codes")
    told = busy()
    check_equal(len(told), len(before) + 1, f"events: {told}")
    ended = [f for f in host.frames if f["type"] == "result"]
    check_equal(host.wait("the end of one", lambda f: f["type"] == "result" and f not in ended, 60)["success"], True, "it")
    taken = command(AGENT, "app-a")
    host.command(key.sign(taken))
    host.wait("accepted", lambda f: f["type"] == "accepted" and f["commandId"] == taken["commandId"])
    check_equal(host.refusal(host.command(key.sign(command(AGENT, "app-a"))))["code"], "busy", "full again")
    host.wait("a second event", lambda f: f["type"] == "event" and "(busy)" in f["message"] and f not in told)


def the_join_token_names_the_key(lab):
    """What an agent shows first is not trusted where a join token says whose commands count; the host reads it itself."""
    if os.geteuid() != 0:
        raise harness.Skip("the host takes declarations outside --dev from root alone")
    key, other = Key(), Key()
    env = lab.write("agent.env", f"FLEET_JOIN_TOKEN=fleet-join.{'s' * 32}.-.{key.kid}\n", mode=0o600)
    host = hostsocket.Host(lab, AGENT, [lab.simulated("app-a")], dev=False, env_file=env)
    host.hello()
    host.running("app-a")
    host.send("keys", keys=[other.jwk()])
    event = host.wait("an event", lambda f: f["type"] == "event" and "does not trust" in f["message"])
    check_in("FLEET_JOIN_TOKEN, which names another key", event["message"], "what the audit log is told")
    check_equal(host.refusal(host.command(other.sign(command(AGENT, "app-a"))))["code"], "unknown-key", "another's command")
    host.send("keys", keys=[other.jwk(), key.jwk()])
    host.wait("an event", lambda f: f["type"] == "event" and "is the one that the join token names" in f["message"])
    honest(host, key)
    check_equal(host.refusal(host.command(other.sign(command(AGENT, "app-a"))))["code"], "unknown-key", "one shown beside it")
    # A token that came later changes nothing.
    lab.write("agent.env", f"FLEET_JOIN_TOKEN=fleet-join.{'s' * 32}.-.{other.kid}\n", mode=0o600)
    host.send("keys", keys=[other.jwk()])
    check_equal(host.refusal(host.command(other.sign(command(AGENT, "app-a"))))["code"], "unknown-key", "a later token")

def change(kind, key, issued=0.0, **other):
    return {"v": 1, "keyChange": kind, "key": key.jwk(), "issuedAt": hostsocket.stamp(issued), **other}


def keys_change_on_a_trusted_keys_word(lab):
    """Rotated, recovered; and by who has no say in it, replayed, of the far future, or in a command's clothes."""
    if os.geteuid() != 0:
        raise harness.Skip("the host takes declarations outside --dev from root alone")
    first, second, third, recovery, stranger = Key(), Key(), Key(), Key(), Key()
    host = ready_host(lab, first, dev=False)

    def refused(key, what):
        check_equal(host.refusal(host.command(key.sign(command(AGENT, "app-a"))))["code"], "unknown-key", what)

    def hear(key, *changes):
        host.send("keys", keys=[key.jwk()], keyChanges=list(changes))

    hear(stranger, stranger.sign(change("rotate", stranger)), stranger.sign(change("rotate", stranger), kid=first.kid),
         first.sign(change("rotate", stranger, issued=7200)), first.sign(change("rotate", stranger, action="restart-app")),
         first.sign(command(AGENT, "app-a")), "nonsense", "a.b.c")
    refused(stranger, "who says it himself")
    honest(host, first)
    remember = first.sign(change("recovery", recovery, issued=-50))
    rotate = first.sign(change("rotate", second, issued=-40))
    hear(second, remember, rotate)
    host.wait("an event", lambda f: f["type"] == "event" and second.kid in f["message"] and "trusted before" in f["message"])
    honest(host, second)
    refused(first, "the key of before")
    refused(recovery, "the recovery key signs no commands")
    host.kill()
    host.start()
    host.hello()
    host.running("app-a")
    honest(host, second)  # it is remembered
    # A stolen key cannot put another in the recovery key's place, nor can what was said once be said again.
    hear(second, first.sign(change("rotate", stranger)), second.sign(change("recovery", stranger)),
         stranger.sign(change("rotate", stranger)), rotate)
    refused(stranger, "a recovery key of the thief's")
    honest(host, second)
    saved = recovery.sign(change("rotate", third, issued=-20))
    hear(third, remember, rotate, saved)
    honest(host, third)
    refused(second, "the stolen key")
    hear(second, saved, recovery.sign(change("rotate", second, issued=-30)))
    refused(second, "an older word of the recovery key")
    honest(host, third)
    # No statement passes for a command.
    check(host.refusal(host.command(third.sign(change("rotate", third))))["code"] != "", "a statement as a command")


def nothing_runs_before_a_key_is_known(lab):
    key = Key()
    host = hostsocket.Host(lab, AGENT, [lab.simulated("app-a")])
    host.hello()
    pid = host.running("app-a")["pid"]
    check_equal(host.refusal(host.command(key.sign(command(AGENT, "app-a"))))["code"], "unknown-key", "code")
    check_equal(host.running("app-a")["pid"], pid, "pid")


def a_result_is_told_until_it_is_stored(lab):
    """Lost on its way to the agent's disk: told again after the next hello, also by a host that was killed."""
    key = Key()
    host = ready_host(lab, key)
    payload = command(AGENT, "app-a")
    host.command(key.sign(payload))
    first = host.result(payload["commandId"])
    host.kill()
    host.start()
    host.hello()
    again = host.result(payload["commandId"])
    check_equal({k: v for k, v in again.items() if k not in ("id", "ts")},
                {k: v for k, v in first.items() if k not in ("id", "ts")}, "the result told again")
    host.send("stored", refIds=[payload["commandId"]])
    host.status("app-a")  # the host has read what came before
    host.kill()
    host.start()
    host.hello()
    host.status("app-a")
    check(not [f for f in host.frames if f["type"] == "result"], "a stored result was told once more")


def frames_out_of_bounds(lab):
    """Garbage on the socket ends that connection at most, never an app, and the host starts anew with its ledger whole."""
    key = Key()
    host = ready_host(lab, key)
    for data in (b"{", b"[]", b'{"type":"nonsense","id":"x","ts":"y"}', b'{"type":"command","jws":5}', b"\xff\xfe",
                 json.dumps({"type": "stored", "id": hostsocket.uuid7(), "ts": hostsocket.stamp(), "refIds": [5]}).encode()):
        pid = host.running("app-a")["pid"]
        host.send_bytes(data)
        try:
            check_equal(host.running("app-a")["pid"], pid, f"pid after {data!r}")
        except (harness.Failure, OSError):
            # Fine as well: who sends garbage loses the connection, and the host ends with its only one.
            check(host.process.ended() in (0, None) or host.process.ended() > 0, f"the host crashed on {data!r}")
            host.kill()
            host.start()
            host.hello()
            host.send("keys", keys=[key.jwk()])
            host.running("app-a")
    honest(host, key)


def canonical_json_is_the_consoles(lab):
    """This file's idea of a signed command is the console's: what the console's own key signed is what we would sign."""
    lab.console()
    agent = lab.agent(AGENT, apps=[lab.simulated("app-a")])
    lab.running(AGENT, "app-a")
    agent.stop()  # the signed command is kept until it has ended
    created = lab.command(AGENT, "restart-app", appId="app-a")
    import sqlite3
    with sqlite3.connect(f"file:{lab.path('console/console.db')}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE '%jws%'").fetchall()
        check(rows, "no table keeps the signed command")
        jws = db.execute(f"SELECT jws FROM {rows[0][0]}").fetchone()[0]
    head, body, _ = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in jws.split("."))
    check_equal(json.loads(head)["typ"], "fleet-command+jws", "typ")
    payload = json.loads(body)
    check_equal(payload["commandId"], created["commandId"], "commandId")
    check_equal(body, canonical(payload), "canonical bytes")


if __name__ == "__main__":
    harness.main([
        forgeries_are_refused_and_do_nothing,
        a_second_copy_is_not_run_again,
        a_second_key_is_not_taken,
        a_host_that_is_busy_says_so_once,
        the_join_token_names_the_key,
        keys_change_on_a_trusted_keys_word,
        nothing_runs_before_a_key_is_known,
        a_result_is_told_until_it_is_stored,
        frames_out_of_bounds,
        canonical_json_is_the_consoles,
    ])

#!/usr/bin/python3
"""What the driver host asks of the agent: downloads that outlive host, console and fetching process, whose credential
goes to the console alone and whose memory does not grow; and probes of an app's URL and port."""
import base64
import json
import os
import signal
import socket
import threading
import time

import harness
from harness import check, check_equal, check_in
from hostsocket import uuid7
from network_peers import HostForAgent, Source, head, part, whole

BODY = os.urandom(2_000_000)
MEMORY_MAX = 20_000_000


def start(lab, host, console_url=None, key="the-agents-key", label="agent-001"):
    env_file = lab.write("agent.env", f"FLEET_API_KEY={key}\n", 0o600)
    return lab.spawn(label, [harness.program("fleet-agent"), "--agent-id", "agent-001", "--console-url",
                             console_url or lab.url, "--data-dir", lab.path("agent"), "--host-socket", host.path,
                             "--env-file", env_file, "--log-level", "debug"])


def fetch(frames, url, command_id=None, **fields):
    command_id = command_id or uuid7()
    frames.send("fetch", commandId=command_id, url=url, **{"maxBytes": 1 << 40, "timeoutSeconds": 60, **fields})
    return command_id


def read_all(fetched):
    check(fetched["ok"], f"the download failed: {fetched.get('error')}")
    check(fetched["fd"] is not None, "no descriptor came with it")
    with os.fdopen(fetched["fd"], "rb") as f:
        check_equal(os.lseek(f.fileno(), 0, os.SEEK_CUR), 0, "where the descriptor stands")
        check_equal(os.fstat(f.fileno()).st_size, fetched["bytes"], "bytes told")
        try:
            os.write(f.fileno(), b"x")
            raise harness.Failure("the descriptor can be written to")
        except OSError:
            pass
        return f.read()


def staging(lab):
    folder = lab.path("agent", "fetch")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def fetching_process(agent):
    """Its pid, or None."""
    for pid in agent.children():
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            if f.read().strip() == "fleet-fetch":
                return pid
    return None


class Slow:
    """Sends half of BODY, and the rest when it may."""

    def __init__(self, lab):
        self.go = threading.Event()
        lab.later.append(self.go.set)
        self.source = Source(lab, self.answer)

    def answer(self, asked, c):
        first = asked.first_byte()
        c.sendall(head(206 if first else 200, f"Content-Length: {len(BODY) - first}", 'ETag: "one"',
                       *([f"Content-Range: bytes {first}-{len(BODY) - 1}/{len(BODY)}"] if first else []))
                  + BODY[first:len(BODY) // 2])
        self.go.wait(60)
        c.sendall(BODY[max(first, len(BODY) // 2):])

    def half_is_there(self, lab, command_id):
        path = lab.path("agent", "fetch", command_id)
        lab.until("half of the file is there", lambda: os.path.exists(path) and os.path.getsize(path) == len(BODY) // 2)


def a_file_is_handed_over_until_its_command_has_ended(lab):
    source = Source(lab, lambda asked, c: whole(c, BODY))
    host = HostForAgent(lab)
    start(lab, host)
    frames = host.accept()
    command_id = fetch(frames, source.url + "/a?token=hunter2")
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs")
    check_equal(oct(os.stat(lab.path("agent", "fetch", command_id)).st_mode & 0o7777), "0o600", "mode of the file")
    fetch(frames, source.url + "/a?token=hunter2", command_id)
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs the second time")
    frames.close()  # a host that died and came back, and has the command in its ledger
    frames = host.accept(running=[command_id])
    fetch(frames, source.url + "/a?token=hunter2", command_id)
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs after the host's restart")
    check_equal(len(source.asked), 1, "requests")
    check_equal(staging(lab), [command_id], "files kept")
    frames.send("result", commandId=command_id, command="update-app", appId="app-a", success=True)
    frames.wait("stored", lambda f: f["type"] == "stored")
    lab.until("the file is gone", lambda: staging(lab) == [])
    check("hunter2" not in lab.processes[0].log(), "the log shows a secret")


def a_file_of_a_command_that_the_host_does_not_know_goes(lab):
    source = Source(lab, lambda asked, c: whole(c, BODY))
    host = HostForAgent(lab)
    start(lab, host)
    frames = host.accept()
    command_id = fetch(frames, source.url + "/a")
    read_all(frames.fetched(command_id))
    frames.close()
    frames = host.accept(running=[uuid7()])
    lab.until("the file is gone", lambda: staging(lab) == [])
    other = fetch(frames, source.url + "/b")
    read_all(frames.fetched(other))
    frames.send("fetchCancel", commandId=other)
    lab.until("the file is gone", lambda: staging(lab) == [])


def a_download_goes_on_without_host_and_console(lab):
    """There is no console at all, and the host dies while half of the file is there."""
    slow = Slow(lab)
    host = HostForAgent(lab)
    start(lab, host)
    frames = host.accept()
    command_id = fetch(frames, slow.source.url + "/a")
    slow.half_is_there(lab, command_id)
    frames.close()
    frames = host.accept(running=[command_id])
    slow.go.set()
    path = lab.path("agent", "fetch", command_id)
    lab.until("the file is whole", lambda: os.path.getsize(path) == len(BODY))
    fetch(frames, slow.source.url + "/a", command_id)
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs")
    check_equal(len(slow.source.asked), 1, "requests")


def a_fetching_process_that_dies_is_started_again_but_not_for_ever(lab):
    slow = Slow(lab)
    host = HostForAgent(lab)
    agent = start(lab, host)
    frames = host.accept()
    command_id = fetch(frames, slow.source.url + "/a")
    slow.half_is_there(lab, command_id)
    os.kill(fetching_process(agent), signal.SIGKILL)
    lab.until("it is asked for again", lambda: len(slow.source.asked) == 2)
    slow.go.set()
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs")

    frames.send("fetchCancel", commandId=command_id)
    slow.go.clear()
    command_id = fetch(frames, slow.source.url + "/b")
    pids = set()
    for n in range(3):
        lab.until("it is asked for", lambda n=n: len([a for a in slow.source.asked if a.path == "/b"]) == n + 1)
        pids.add(fetching_process(agent))
        os.kill(fetching_process(agent), signal.SIGKILL)
    fetched = frames.fetched(command_id)
    check(not fetched["ok"], "it was called done")
    check_in("killed by signal 9", fetched["error"], "the reason")
    check_equal(len(pids), 3, "fetching processes")
    check_equal(staging(lab), [], "files left")


def what_a_crash_left_is_removed(lab):
    slow = Slow(lab)
    host = HostForAgent(lab)
    agent = start(lab, host)
    frames = host.accept()
    command_id = fetch(frames, slow.source.url + "/a")
    slow.half_is_there(lab, command_id)
    pid = fetching_process(agent)
    agent.kill()
    check(harness.ends(pid, 10), "the fetching process outlived its agent")
    check_equal(staging(lab), [command_id], "files left by the crash")
    lab.write("agent/fetch/mine.txt", "not a download")
    start(lab, host, label="agent-again")
    frames = host.accept(running=[command_id])
    check_equal(staging(lab), ["mine.txt"], "files after the next start")
    slow.go.set()
    fetch(frames, slow.source.url + "/a", command_id)
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs")


def the_agents_credential_goes_to_the_console_alone(lab):
    def console_answers(asked, c):
        if asked.path.startswith("/api/hub"):
            c.sendall(head(503, "Content-Length: 0"))
        elif asked.path == "/away":
            c.sendall(head(302, f"Location: {other.url}/stolen", "Content-Length: 0"))
        else:
            whole(c, BODY)
    console = Source(lab, console_answers)
    other = Source(lab, lambda asked, c: whole(c, BODY))
    host = HostForAgent(lab)
    start(lab, host, console_url=console.url)
    frames = host.accept()
    for url in (console.url + "/api/artifacts/1", console.url.replace("http", "HTTP") + "/api/artifacts/1", "/api/artifacts/1"):
        check(read_all(frames.fetched(fetch(frames, url))) == BODY, "the file differs")
    seen = [a.headers.get("authorization") for a in console.asked if a.path == "/api/artifacts/1"]
    check_equal(seen, ["Bearer the-agents-key"] * 3, "what the console saw")
    near = [other.url + "/a", console.url.replace("127.0.0.1", "localhost") + "/b",
            console.url.replace("http://", "http://x@") + "/c", f"http://127.0.0.1:{other.port}/{console.url}"]
    for url in near:
        check(read_all(frames.fetched(fetch(frames, url))) == BODY, "the file differs")
    check(not frames.fetched(fetch(frames, console.url + "/away"))["ok"], "a redirect of the console was followed")
    check(not frames.fetched(fetch(frames, f"//127.0.0.1:{other.port}/d"))["ok"], "a URL without scheme was followed")
    for asked in [*other.asked, *(a for a in console.asked if a.path in ("/b", "/c"))]:
        check("the-agents-key" not in str(asked.headers), f"{asked.target} got the agent's key: {asked.headers}")
    check_equal(len(other.asked), 2, "requests to the other server")


def progress_reaches_the_console(lab):
    slow = Slow(lab)
    host = HostForAgent(lab)
    lab.console()
    start(lab, host)
    frames = host.accept()
    lab.until("the agent is there", lambda: lab.get("/api/agents/agent-001").status == 200)
    answer = lab.post("/api/agents/agent-001/update-app",
                      {"appId": "app-a", "version": "2", "artifactUrl": slow.source.url + "/a?token=hunter2"})
    check_equal(answer.status, 202, f"update-app: {answer!r}")
    frame = frames.wait("command", lambda f: f["type"] == "command")
    payload = frame["jws"].split(".")[1]
    command = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    command_id = command["commandId"]
    frames.send("accepted", commandId=command_id)
    fetch(frames, command["args"]["artifactUrl"], command_id)

    def progress():
        told = lab.api(f"/api/commands/{command_id}").get("progress", {})
        return told if told.get("percent") == 50 else None
    told = lab.until("the console shows half", progress)
    check_equal((told["step"], told["message"]), ("download", "1.0 MB of 2.0 MB"), "what the console shows")
    slow.go.set()
    check(read_all(frames.fetched(command_id)) == BODY, "the file differs")
    frames.send("result", commandId=command_id, command="update-app", appId="app-a", success=True, message="done")
    check_equal(lab.outcome(command_id)["state"], "succeeded", "the command")


def memory_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def half_a_gigabyte_costs_no_memory(lab):
    size = 500_000_000
    free = os.statvfs(lab.dir)
    if free.f_bavail * free.f_frsize < 3 * size:
        raise harness.Skip("there is no room for a large file")
    block = os.urandom(1 << 20)

    def answer(_, c):
        c.sendall(head(200, f"Content-Length: {size}"))
        left = size
        while left > 0:
            c.sendall(block[:left])
            left -= min(left, len(block))
    source = Source(lab, answer)
    host = HostForAgent(lab)
    agent = start(lab, host)
    frames = host.accept()
    with open(f"/proc/{agent.pid}/maps", encoding="utf-8") as f:
        if "libasan" in f.read():
            raise harness.Skip("a sanitizer keeps what was freed")
    command_id = fetch(frames, source.url + "/large")
    pid = lab.until("the fetching process is there", lambda: fetching_process(agent))
    most = 0
    fetched = None
    while not fetched:
        most = max(most, memory_of(pid))
        frames.pump(0.05)
        fetched = next((f for f in frames.frames if f["type"] == "fetched"), None)
    check(fetched["ok"], f"the download failed: {fetched.get('error')}")
    check_equal(os.fstat(fetched["fd"]).st_size, size, "bytes")
    os.close(fetched["fd"])
    own = memory_of(agent.pid)
    print(f"# {size // 1000000} MB went through: agent {own / 1e6:.1f} MB at most, fetching process {most / 1e6:.1f} MB")
    check(own < MEMORY_MAX, f"the agent used {own} bytes")
    check(most < MEMORY_MAX, f"the fetching process used {most} bytes")
    frames.send("fetchCancel", commandId=command_id)
    lab.until("the file is gone", lambda: staging(lab) == [])


def probes_tell_what_they_saw(lab):
    stop = threading.Event()
    lab.later.append(stop.set)

    def answer(asked, c):
        if asked.path.startswith("/silent"):
            stop.wait(60)
        elif asked.path == "/away":
            c.sendall(head(302, "Location: /204", "Content-Length: 0"))
        elif asked.path == "/endless":
            c.sendall(head(200))
            while not stop.is_set():
                c.sendall(BODY)
        elif asked.path == "/garbage":
            c.sendall(b"hello\n" * 1000)
        else:
            status = int(asked.path[1:].split("?")[0])
            c.sendall(head(status, "Content-Length: 0"))
    source = Source(lab, answer)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    host = HostForAgent(lab)
    start(lab, host)
    frames = host.accept()
    cases = [
        ({"url": source.url + "/200"}, True, "GET /200: 200"),
        ({"url": source.url + "/204?key=hunter2"}, True, "GET /204: 204"),
        ({"url": source.url + "/endless"}, True, "GET /endless: 200"),
        ({"url": source.url + "/503"}, False, "GET /503: 503"),
        ({"url": source.url + "/404"}, False, "GET /404: 404"),
        ({"url": source.url + "/away"}, False, "GET /away: 302"),
        ({"url": source.url + "/garbage"}, False, "GET /garbage: what answers there does not speak HTTP"),
        ({"url": source.url + "/silent"}, False, "GET /silent: no answer within 1 s"),
        ({"url": f"http://127.0.0.1:{nobody}/x"}, False, "GET /x: connection refused"),
        ({"tcp": f"127.0.0.1:{source.port}"}, True, "connected"),
        ({"tcp": f"localhost:{source.port}"}, True, "connected"),
        ({"tcp": f"127.0.0.1:{nobody}"}, False, "connection refused"),
    ]
    for what, ok, detail in cases:
        probed = frames.probe(timeoutSeconds=1 if "silent" in str(what) else 20, **what)
        check_equal((probed["ok"], probed.get("detail"), probed.get("error")), (ok, detail, None), str(what))
    for what in ({}, {"url": source.url, "tcp": "127.0.0.1:1"}, {"url": "file:///etc/passwd"}, {"url": "http://"},
                 {"tcp": "127.0.0.1"}, {"tcp": "127.0.0.1:0"}, {"tcp": "127.0.0.1:65536"}, {"tcp": "a/b@c:80"}, {"tcp": ":80"},
                 {"url": source.url + "/a b"}):
        probed = frames.probe(timeoutSeconds=20, **what)
        check(not probed["ok"] and probed.get("error") and not probed.get("detail"), f"{what}: {probed}")


def the_fetching_process_goes_when_nothing_is_left(lab):
    source = Source(lab, lambda asked, c: c.sendall(head(200, "Content-Length: 0")))
    host = HostForAgent(lab)
    agent = start(lab, host)
    frames = host.accept()
    check_equal(fetching_process(agent), None, "the fetching process before there is work")
    check(frames.probe(url=source.url + "/", timeoutSeconds=20)["ok"], "the probe failed")
    pid = fetching_process(agent)
    lab.until("it is gone", lambda: not harness.lives(pid), timeout=60)
    check(frames.probe(url=source.url + "/", timeoutSeconds=20)["ok"], "the next probe failed")
    check(fetching_process(agent) != pid, "it is not another one")


def many_downloads_and_probes_at_a_time(lab):
    slow = Slow(lab)
    source = Source(lab, lambda asked, c: c.sendall(head(200, "Content-Length: 0")))
    host = HostForAgent(lab)
    start(lab, host)
    frames = host.accept()
    ids = [fetch(frames, f"{slow.source.url}/{n}") for n in range(17)]
    refused = frames.fetched(ids[16])
    check_in("too many downloads", refused["error"], "the seventeenth")
    asked = [uuid7() for _ in range(100)]
    for probe_id in asked:
        frames.send("probe", probeId=probe_id, url=source.url + "/", timeoutSeconds=30)
    for probe_id in asked:
        check(frames.wait("probed", lambda f, i=probe_id: f.get("probeId") == i)["ok"], "a probe failed")
    slow.go.set()
    for command_id in ids[:16]:
        check(read_all(frames.fetched(command_id)) == BODY, "a file differs")


TESTS = [a_file_is_handed_over_until_its_command_has_ended, a_file_of_a_command_that_the_host_does_not_know_goes,
         a_download_goes_on_without_host_and_console, a_fetching_process_that_dies_is_started_again_but_not_for_ever,
         what_a_crash_left_is_removed, the_agents_credential_goes_to_the_console_alone, progress_reaches_the_console,
         half_a_gigabyte_costs_no_memory, probes_tell_what_they_saw, the_fetching_process_goes_when_nothing_is_left,
         many_downloads_and_probes_at_a_time]

if __name__ == "__main__":
    harness.main(TESTS)

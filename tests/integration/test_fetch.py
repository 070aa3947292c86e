#!/usr/bin/python3
"""Downloads: the fetching process among servers that are slow, cut, lie, redirect and never end."""
import os
import socket
import subprocess
import threading
import time

import harness
from harness import check, check_equal, check_in
from network_peers import Fetcher, Source, head, part, whole

BODY = os.urandom(3_000_000)
ETAG = 'ETag: "one"'


def got_all(fetched, data, body=BODY):
    check(fetched["ok"], f"the download failed: {fetched.get('error')}")
    check_equal(fetched["bytes"], len(body), "bytes told")
    check(data == body, f"the file differs: {len(data)} bytes")


def fails(fetched, *words):
    check(not fetched["ok"], "the download did not fail")
    for word in words:
        check_in(word, fetched["error"], "the reason")


def a_file_comes_whole(lab):
    source = Source(lab, lambda asked, c: whole(c, BODY))
    fetcher = Fetcher(lab)
    got_all(*fetcher.fetch(source.url + "/a.tar.gz"))
    check_equal(len(source.asked), 1, "requests")
    check("authorization" not in source.asked[0].headers, "a stranger saw a credential")


def a_file_of_unknown_length_and_an_empty_one(lab):
    def answer(asked, c):
        c.sendall(head(200) + BODY if asked.path == "/unknown" else head(200, "Content-Length: 0"))
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    got_all(*fetcher.fetch(source.url + "/unknown"))
    got_all(*fetcher.fetch(source.url + "/empty"), body=b"")


def a_cut_download_is_continued(lab):
    def answer(asked, c):
        first = asked.first_byte()
        if asked.number < 4:  # each time a third of it
            text = (head(200, f"Content-Length: {len(BODY)}", ETAG) if first == 0 else
                    head(206, f"Content-Length: {len(BODY) - first}", ETAG,
                         f"Content-Range: bytes {first}-{len(BODY) - 1}/{len(BODY)}"))
            c.sendall(text + BODY[first:first + 900_000])
        else:
            part(c, BODY, first, ETAG)
    source = Source(lab, answer)
    got_all(*Fetcher(lab).fetch(source.url + "/cut"))
    check_equal([a.headers.get("if-range") for a in source.asked], [None, '"one"', '"one"', '"one"'], "If-Range")
    check_equal([a.first_byte() for a in source.asked], [0, 900_000, 1_800_000, 2_700_000], "where it went on")


def a_date_that_is_old_enough_continues_too(lab):
    def answer(asked, c):
        lines = ["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT", "Date: Mon, 01 Jan 2024 01:00:00 GMT"]
        if asked.number == 1:
            c.sendall(head(200, f"Content-Length: {len(BODY)}", *lines) + BODY[:1000])
        else:
            part(c, BODY, asked.first_byte(), *lines)
    source = Source(lab, answer)
    got_all(*Fetcher(lab).fetch(source.url + "/cut"))
    check_equal(source.asked[1].headers.get("if-range"), "Mon, 01 Jan 2024 00:00:00 GMT", "If-Range")


def what_cannot_be_continued_comes_anew(lab):
    """No validator, a weak one, a young date: nothing says that the rest is of the same file."""
    marks = {"/none": [], "/weak": ['ETag: W/"one"'],
             "/young": ["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT", "Date: Mon, 01 Jan 2024 00:00:10 GMT"]}

    def answer(asked, c):
        lines = marks[asked.path]
        if asked.number == 1:
            c.sendall(head(200, f"Content-Length: {len(BODY)}", *lines) + BODY[:1000])
        else:
            whole(c, BODY, *lines)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    for path in marks:
        got_all(*fetcher.fetch(source.url + path))
    check(all("range" not in a.headers for a in source.asked), "a part was asked for")


def a_file_that_changed_meanwhile_comes_anew(lab):
    other = os.urandom(2_000_000)

    def answer(asked, c):
        if asked.number == 1:
            c.sendall(head(200, f"Content-Length: {len(BODY)}", ETAG) + BODY[:1_000_000])
        elif asked.path == "/polite":
            whole(c, other, 'ETag: "two"')
        elif asked.number > 2:
            whole(c, other, 'ETag: "two"')
        elif asked.path == "/shorter":
            c.sendall(head(416, "Content-Length: 0", "Content-Range: bytes */2000"))
        elif asked.path == "/elsewhere":
            c.sendall(head(206, "Content-Length: 100", "Content-Range: bytes 0-99/3000000") + b"x" * 100)
        elif asked.path == "/other-total":
            part(c, other, asked.first_byte())
        else:
            c.sendall(head(206, "Content-Length: 100") + b"x" * 100)  # a part of nobody knows what
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    for path in ("/polite", "/shorter", "/elsewhere", "/other-total", "/no-range"):
        got_all(*fetcher.fetch(source.url + path), body=other)


def a_continuation_that_is_of_no_use_comes_anew(lab):
    """The right part of another file of the same length, which says so; and more than the whole was to have."""
    other = os.urandom(len(BODY))

    def answer(asked, c):
        first, body = asked.first_byte(), other if asked.path == "/other" else BODY
        if asked.number == 1:
            c.sendall(head(200, f"Content-Length: {len(BODY)}", ETAG) + BODY[:1_000_000])
        elif asked.path == "/other":
            if first:
                part(c, body, first, 'ETag: "two"')
            else:
                whole(c, body, 'ETag: "two"')
        elif first:
            c.sendall(head(206, f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}", ETAG) + body[first:] + b"more")
        else:
            whole(c, body, ETAG)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    got_all(*fetcher.fetch(source.url + "/other"), body=other)
    got_all(*fetcher.fetch(source.url + "/more"))


def a_server_that_lies_about_the_length(lab):
    def answer(asked, c):
        if asked.path == "/short":
            c.sendall(head(200, f"Content-Length: {len(BODY) + 5}") + BODY)
        else:
            c.sendall(head(200, f"Content-Length: {len(BODY) - 5}") + BODY)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    began = time.monotonic()
    fetched, _ = fetcher.fetch(source.url + "/short", timeoutSeconds=2)
    fails(fetched, "cannot download from 127.0.0.1", "before the")
    check(time.monotonic() - began < 15, "it went on long after its time")
    check(len(source.asked) > 1, "it was not tried again")
    got_all(*fetcher.fetch(source.url + "/long"), body=BODY[:-5])


def redirects_are_bounded_and_keep_their_scheme(lab):
    def answer(asked, c):
        to = {"/one": "/two", "/two": "/file", "/loop": "/loop", "/to-file": "file:///etc/passwd",
              "/to-ftp": "ftp://127.0.0.1/x", "/to-https": "https://127.0.0.1:1/x", "/to-gopher": "gopher://127.0.0.1:1/x"}.get(asked.path)
        if to:
            c.sendall(head(302, f"Location: {to}", "Content-Length: 0"))
        else:
            whole(c, BODY)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    got_all(*fetcher.fetch(source.url + "/one"))
    for path, word in (("/loop", "redirects again and again"), ("/to-file", "another scheme (file)"),
                       ("/to-ftp", "another scheme (ftp)"), ("/to-https", "another scheme (https)"), ("/to-gopher", "another scheme (gopher)")):
        before = len(source.asked)
        fetched, data = fetcher.fetch(source.url + path)
        fails(fetched, word)
        check_equal(data, b"", f"the file after {path}")
        check(len(source.asked) - before <= 6, f"{len(source.asked) - before} requests for {path}")


def other_schemes_are_refused(lab):
    fetcher = Fetcher(lab)
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "/etc/passwd", "http://", "http://a b/",
                "HTTP//x", "dict://127.0.0.1:1/", "http://127.0.0.1/\r\nHost: x", "https:/x"):
        fetched, data = fetcher.fetch(url)
        fails(fetched, "no URL of http or https")
        check_equal(data, b"", f"the file after {url}")


def too_much_ends(lab):
    def answer(asked, c):
        if asked.path == "/announced":
            c.sendall(head(200, "Content-Length: 5000000000") + b"x" * 1000)
            c.recv(1)
            return
        c.sendall(head(404 if asked.path == "/endless-404" else 200))
        while True:
            c.sendall(BODY)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    for path, word in (("/announced", "longer than the 10.0 MB"), ("/endless", "longer than the 10.0 MB"), ("/endless-404", "answered 404")):
        fetched, data = fetcher.fetch(source.url + path, maxBytes=10_000_000)
        fails(fetched, word)
        check(len(data) <= 10_000_000, f"{len(data)} bytes were written")
    check_equal(len(source.asked), 3, "requests")


def what_is_too_slow_is_left_and_continued(lab):
    stop = threading.Event()
    lab.later.append(stop.set)

    def answer(asked, c):
        if asked.path == "/silent":
            stop.wait(60)
        elif asked.number == 1:
            c.sendall(head(200, f"Content-Length: {len(BODY)}", ETAG) + BODY[:5000])
            for n in range(5000, 5600):
                c.sendall(BODY[n:n + 1])
                if stop.wait(0.1):
                    return
        else:
            part(c, BODY, asked.first_byte(), ETAG)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    got_all(*fetcher.fetch(source.url + "/trickle", lowSpeedSeconds=1))
    check(source.asked[1].first_byte() >= 5000, "it began anew")
    began = time.monotonic()
    fetched, _ = fetcher.fetch(source.url + "/silent", timeoutSeconds=2)
    fails(fetched, "the time is over after 2 s")
    check(time.monotonic() - began < 20, "it went on long after its time")


def some_answers_are_worth_another_try(lab):
    def answer(asked, c):
        if asked.path == "/later" and asked.number < 4:
            c.sendall(head((503, 429, 500)[asked.number - 1], "Content-Length: 4") + b"busy")
        elif asked.path == "/reset" and asked.number < 3:
            c.close()
        elif asked.path.startswith("/no-"):
            c.sendall(head(asked.path[4:], "Content-Length: 2") + b"no")
        elif asked.path == "/garbage":
            c.sendall(b"this is no HTTP at all\r\n\r\n" + BODY)
        elif asked.path == "/unasked-part":
            part(c, BODY, 0)
        else:
            whole(c, BODY)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    got_all(*fetcher.fetch(source.url + "/later"))
    got_all(*fetcher.fetch(source.url + "/reset"))
    for status in (400, 401, 403, 404, 410, 204):
        fetched, data = fetcher.fetch(source.url + f"/no-{status}")
        fails(fetched, f"answered {status}")
        check_equal(data, b"", "the file")
    fails(fetcher.fetch(source.url + "/garbage")[0], "does not speak HTTP")
    fails(fetcher.fetch(source.url + "/unasked-part")[0], "answered 206")
    check_equal(len(source.asked), 4 + 3 + 6 + 2, "requests")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    fails(fetcher.fetch(f"http://127.0.0.1:{port}/", timeoutSeconds=1)[0], "connection refused")
    fails(fetcher.fetch("http://no-such-host.invalid/", timeoutSeconds=1)[0], "no-such-host.invalid")


def the_environments_proxy_is_used_but_not_for_the_console(lab):
    source = Source(lab, lambda asked, c: whole(c, BODY))
    proxy = Source(lab, lambda asked, c: whole(c, BODY))
    fetcher = Fetcher(lab, http_proxy=proxy.url, no_proxy="localhost")
    got_all(*fetcher.fetch(source.url + "/through"))
    check_equal([a.target for a in proxy.asked], [source.url + "/through"], "what the proxy was asked")
    got_all(*fetcher.fetch(f"http://localhost:{source.port}/not-through"))
    got_all(*fetcher.fetch(source.url + "/console", direct=True, bearer="secret-key"))
    check_equal([a.path for a in source.asked], ["/not-through", "/console"], "what went without proxy")
    check_equal(len(proxy.asked), 1, "requests to the proxy")
    check_equal(source.asked[1].headers.get("authorization"), "Bearer secret-key", "the credential")


def a_credential_follows_no_redirect(lab):
    other = Source(lab, lambda asked, c: whole(c, BODY))
    console = Source(lab, lambda asked, c: c.sendall(head(302, f"Location: {other.url}/x", "Content-Length: 0")))
    fetched, data = Fetcher(lab).fetch(console.url + "/a", direct=True, bearer="secret-key")
    fails(fetched, "answered 302", "not followed")
    check_equal((data, other.asked), (b"", []), "what the other server saw")


def a_cancelled_download_ends_and_says_nothing(lab):
    ended = threading.Event()

    def answer(_, c):
        c.sendall(head(200))
        try:
            while True:
                c.sendall(b"x" * 1000)
                time.sleep(0.01)
        except OSError:
            ended.set()
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    command_id, _ = fetcher.begin(source.url + "/endless")
    lab.until("the download runs", lambda: source.asked)
    fetcher.send("fetchCancel", commandId=command_id)
    check(ended.wait(harness.DEADLINE), "the connection stays")
    fetcher.pump(0.3)
    check_equal([f for f in fetcher.frames if f["type"] == "fetched"], [], "what was said of it")


def progress_is_told_at_most_once_a_second(lab):
    def answer(_, c):
        c.sendall(head(200, "Content-Length: 3000000"))
        for n in range(30):
            c.sendall(BODY[n * 100_000:(n + 1) * 100_000])
            time.sleep(0.12)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    began = time.monotonic()
    got_all(*fetcher.fetch(source.url + "/slow?token=secret"))
    took = time.monotonic() - began
    told = fetcher.progress()
    check(2 <= len(told) <= took + 2, f"{len(told)} messages in {took:.1f} s")
    check_equal(told[0]["message"], "from 127.0.0.1", "the first")
    check_in(" of 3.0 MB", told[-1]["message"], "the last")
    check(0 < told[-1]["percent"] < 100, f"percent {told[-1]['percent']}")
    check(all(f["step"] == "download" for f in told), "step")


def a_full_disk_is_said_before_it_is_full(lab):
    if os.geteuid() != 0:
        raise harness.Skip("only root can mount a small disk")
    disk = lab.path("disk")
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", disk], check=False, capture_output=True).returncode != 0:
        raise harness.Skip("no file system can be mounted here")
    lab.later.append(lambda: subprocess.run(["umount", disk], check=True))
    lab.later.append(lambda: [os.unlink(os.path.join(disk, n)) for n in os.listdir(disk)])

    def answer(asked, c):
        c.sendall(head(200, *(["Content-Length: 30000000"] if asked.path == "/told" else [])) + BODY * 10)
    source = Source(lab, answer)
    fetcher = Fetcher(lab)
    fetched, data = fetcher.fetch(source.url + "/told", folder=disk)
    fails(fetched, "disk is too full")
    check(len(data) == 0, f"{len(data)} bytes were written all the same")
    fetched, data = fetcher.fetch(source.url + "/untold", folder=disk)
    fails(fetched, "disk is too full")
    check(len(data) < 26_000_000, f"{len(data)} bytes were written: nothing is left for others")


def nothing_secret_is_said(lab):
    source = Source(lab, lambda asked, c: c.sendall(head(403, "Content-Length: 0")))
    fetcher = Fetcher(lab)
    url = source.url.replace("//", "//user:hunter2@") + "/a?token=hunter2#hunter2"
    fetched, _ = fetcher.fetch(url)
    fails(fetched, "answered 403")
    check("hunter2" not in str(fetched) + str(fetcher.frames) + fetcher.process.log(), "a secret was said")


TESTS = [a_file_comes_whole, a_file_of_unknown_length_and_an_empty_one, a_cut_download_is_continued,
         a_date_that_is_old_enough_continues_too, what_cannot_be_continued_comes_anew,
         a_file_that_changed_meanwhile_comes_anew, a_continuation_that_is_of_no_use_comes_anew, a_server_that_lies_about_the_length,
         redirects_are_bounded_and_keep_their_scheme, other_schemes_are_refused, too_much_ends,
         what_is_too_slow_is_left_and_continued, some_answers_are_worth_another_try,
         the_environments_proxy_is_used_but_not_for_the_console, a_credential_follows_no_redirect,
         a_cancelled_download_ends_and_says_nothing, progress_is_told_at_most_once_a_second,
         a_full_disk_is_said_before_it_is_full, nothing_secret_is_said]

if __name__ == "__main__":
    harness.main(TESTS)

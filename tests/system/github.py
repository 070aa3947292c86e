"""A local server that plays GitHub for scripts/install.sh: the newest release by the API, and the files of releases."""
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
import harness  # noqa: E402

REPOSITORY = "example/fleet"


class GitHub:
    """Lives in the network of the one who makes it. releases: {version: {file name: bytes}}; the last one is the newest."""

    def __init__(self, address):
        self.releases, self.tag = {}, None  # tag: what the newest is said to be instead
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name # http.server's
                found = outer.answer(self.path)
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path):
        if path == f"/repos/{REPOSITORY}/releases/latest" and self.releases:
            version = list(self.releases)[-1]
            return json.dumps({"url": f"{self.url}/1", "assets": [{"name": "x", "label": None}], "tag_name": f"v{version}" if self.tag is None else self.tag,
                               "body": "tag_name: v9.9.9"}, indent=1).encode()
        words = path.strip("/").split("/")
        if path.startswith(f"/{REPOSITORY}/releases/download/v") and len(words) == 6:
            return self.releases.get(words[4][1:], {}).get(words[5])
        return None

    def release(self, version, deb):
        """As packaging/release.sh makes it of the package. (Of the command line's archive only the name matters here.)"""
        folder = os.path.join(harness.BUILDDIR, "tests/packages", f"release-{version}-{os.getpid()}")
        os.makedirs(folder)
        try:
            if isinstance(deb, dict):  # {name: bytes}
                for name, data in deb.items():
                    with open(os.path.join(folder, name), "wb") as f:
                        f.write(data)
            else:
                shutil.copy(deb, folder)
            with open(os.path.join(folder, "fleetctl-linux-x64.tar.gz"), "wb") as f:
                f.write(b"archive")
            subprocess.run([os.path.join(harness.SRCDIR, "packaging/release.sh"), version, folder, "--dry-run"], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, "GITHUB_REPOSITORY": REPOSITORY})
            self.releases[version] = {}
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), "rb") as f:
                    self.releases[version][name] = f.read()
        finally:
            shutil.rmtree(folder)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

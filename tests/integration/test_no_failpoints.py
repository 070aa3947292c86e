#!/usr/bin/python3
"""What is built for use has none of the places where tests make the programs die or fail."""
import os

import harness
from harness import Skip, check

MARKS = (b"fleet_failpoint", b"FLEET_FAILPOINTS", b"tree.exchanged\0")


def programs_have_no_failpoints(lab):
    del lab
    with open(os.path.join(harness.BUILDDIR, "config.h"), encoding="utf-8") as f:
        if "#define FLEET_FAILPOINTS 1" in f.read():
            raise Skip("this build was configured with --enable-failpoints")
    seen = 0
    for folder in ("bin", "lib/drivers"):
        for name in sorted(os.listdir(os.path.join(harness.STAGE, folder))):
            with open(os.path.join(harness.STAGE, folder, name), "rb") as f:
                data = f.read()
            seen += data.startswith(b"\x7fELF")
            for mark in MARKS:
                check(mark not in data, f"{name} holds {mark!r}")
    check(seen >= 8, f"only {seen} programs and drivers in {harness.STAGE}")


if __name__ == "__main__":
    harness.main([programs_have_no_failpoints])

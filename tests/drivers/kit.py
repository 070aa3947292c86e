"""An installation of the kit for third parties, and nothing else of Fleet: what somebody has who installs the package
fleet-driver-dev. Made of the stage's files."""
import os
import shutil

PARTS = ("bin/fleet-driver", "include/fleet/driver.h", "lib/pkgconfig/fleet-driver.pc", "share/fleet/driver-template")


def install(stage, folder):
    os.makedirs(os.path.join(folder, "lib/drivers"))
    for name in PARTS:
        source, target = os.path.join(stage, name), os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
    path = os.path.join(folder, "lib/pkgconfig/fleet-driver.pc")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if f"prefix={stage}\n" not in text:
        raise AssertionError(f"{path} does not name {stage}, where it was installed")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(stage, folder))


def environment(folder, home):
    """Of somebody who uses it. Nothing of ours: make's own variables would find their way into the driver's Makefile."""
    return {"PATH": f"{folder}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": home, "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "PKG_CONFIG_PATH": f"{folder}/lib/pkgconfig"}

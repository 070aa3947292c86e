#!/usr/bin/python3
"""The contract's stories 1, 5 and 6 with the packages alone, as an admin with dpkg lives them: a server that is new to the
fleet, an agent that becomes a newer version, a server that leaves. Nothing of the build tree is on the servers."""
import os
import re
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import github  # noqa: E402
import packages  # noqa: E402
import releases  # noqa: E402
import servers  # noqa: E402
from servers import harness  # noqa: E402
from harness import check, check_equal, check_in  # noqa: E402

OLD, NEW = "1.0.0", "1.1.0"
ENV = "/etc/fleet-agent/agent.env"
UNITS = ("fleet-agent.service", "fleet-driver-host.socket", "fleet-driver-host.service", "fleet-driver-recover.service")
APPS = """managed_apps:
  - id: app-a
    service_name: app-a.service
  - id: slow
    service_name: slow.service
"""
SLOW = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 15; systemd-notify --ready; exec sleep infinity'\n"
# Where the system itself writes while it runs, and the backups that useradd makes of what it changes, whoever the user is.
NOT_LISTED = re.compile(r"/(proc|sys|dev|run|tmp|var/(tmp|log|cache|lib/(dpkg|systemd|postgresql|shadowsocks-libev)))/"
                        r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|/etc/[.]pwd[.]lock$")
debs = {}


def copy(server, *paths):
    """Package files into /root."""
    with subprocess.Popen(["tar", "-c", *[w for p in paths for w in ("-C", os.path.dirname(p), os.path.basename(p))]],
                          stdout=subprocess.PIPE) as tar:
        server.exec("tar", "-x", "-C", "/root", stdin=tar.stdout)
    return ["/root/" + os.path.basename(p) for p in paths]


def dpkg_install(server, *paths, options=()):
    """dpkg -i, with nobody there to answer a question; the seconds that it took."""
    files = copy(server, *paths)
    began = time.monotonic()
    server.exec("dpkg", *options, "-i", *files, stdin=subprocess.DEVNULL)
    took = time.monotonic() - began
    server.exec("rm", *files)
    return took


def listing(server):
    """What the server has written and deleted since it was made, and every user and group. A file of the machine's own root
    that changed is no news, as long as it is there."""
    upper = os.path.join(os.environ.get("FLEET_CONTAINER_STATE", "/var/tmp/fleet-container"), server.machine, "disk/upper")
    found = set()
    for folder, folders, names in os.walk(upper):
        for name in folders + names:
            path = os.path.join(folder, name)
            inside, deleted = path[len(upper):], stat.S_ISCHR(os.lstat(path).st_mode)
            if not NOT_LISTED.search(inside) and (deleted or not os.path.lexists(inside)):
                found.add(("deleted " if deleted else "") + inside)
    return found, server.sh("cut -d: -f1 /etc/passwd /etc/group").split()


def owner(server, path):
    return server.sh(f"stat -c '%U:%G %a' {path}").strip()


def repacked(version, new_version, changes):
    """Our package with other files in it, {path: text -> text}: its name and its bytes. Its programs call themselves the old version."""
    with tempfile.TemporaryDirectory() as place:
        folder, deb = f"{place}/root", f"{place}/fleet-agent_{new_version}_amd64.deb"
        subprocess.run(["dpkg-deb", "-R", debs[version]["fleet-agent"], folder], check=True)
        for path, change in {"/DEBIAN/control": lambda t: re.sub(r"^Version: .*", f"Version: {new_version}", t, flags=re.M), **changes}.items():
            with open(folder + path, "r+", encoding="utf-8") as f:
                text = f.read()
                check(change(text) != text, f"nothing is changed in {path}")
                f.seek(0)
                f.write(change(text))
                f.truncate()
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", folder, deb], check=True, stdout=subprocess.DEVNULL)
        with open(deb, "rb") as f:
            return os.path.basename(deb), f.read()


def pid_of(server, app):
    return server.main_pid(f"{app}.service")


def set_up(fleet):
    for server in fleet.everybody:  # a machine that is itself a container may forbid that packages start anything
        server.exec("rm", "-f", "/usr/sbin/policy-rc.d")
    dpkg_install(fleet.console_server, debs[OLD]["fleet-console"], debs[OLD]["fleetctl"])
    set_up.started = fleet.console_server.show("fleet-console.service", "ActiveState")
    fleet.configure_console()
    fleet.console_server.exec("systemctl", "restart", "fleet-console.service")
    fleet.until("the console is ready", fleet.console_ready)
    server = fleet.agents[0]
    server.push("/etc/systemd/system/app-a.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    server.push("/etc/systemd/system/slow.service", SLOW)
    server.sh("systemctl daemon-reload; systemctl start app-a.service; systemctl --no-block start slow.service")


def console_and_fleetctl_are_installed(fleet):
    server = fleet.console_server
    check_equal(set_up.started, "active", "the console when dpkg was through")
    check_equal(server.show("fleet-console.service", "ActiveState", "UnitFileState", "User"), ("active", "enabled", "fleet-console"),
                "the console's unit")
    check_equal(owner(server, "/etc/fleet-console/console.yaml"), "root:fleet-console 640", "console.yaml")
    server.sh(f"fleetctl login --url {fleet.url} --api-key {fleet.KEY}")
    check_equal(server.sh("fleetctl --version").split()[-1], OLD, "fleetctl --version")
    server.sh("fleetctl agents list")
    check_in("<title>", fleet.get("/").body.decode(), "the dashboard")


def a_fresh_agent_waits_and_says_so(fleet):
    server = fleet.agents[0]
    set_up.before = listing(server)
    set_up.installed_in = dpkg_install(server, debs[OLD]["fleet-agent"])
    for path, expected in ((ENV, "fleet-agent:fleet-agent 600"), ("/var/lib/fleet-agent", "fleet-agent:fleet-agent 755"),
                           ("/var/lib/fleet-driver-host", "root:root 700"), ("/opt/fleet-agent", "root:root 755"),
                           ("/opt/fleet-agent/bin/fleet-agent", "root:root 755"), ("/etc/fleet-agent/apps.d", "root:root 755"),
                           ("/etc/systemd/system/fleet-agent.service", "root:root 644"), ("/usr/sbin/fleet-agent", "root:root 777")):
        check_equal(owner(server, path), expected, path)
    entry = server.sh("getent passwd fleet-agent").strip().split(":")
    check_equal(entry[5:], ["/nonexistent", "/usr/sbin/nologin"], "home and shell of the user")
    for unit in UNITS:
        check_equal(server.show(unit, "UnitFileState"), "enabled", unit)
    check_equal(server.show("fleet-driver-host.socket", "ActiveState"), "active", "the host's socket")
    pid = server.main_pid("fleet-agent.service")
    check(pid > 0, "the agent does not run")
    # What is looked at is that for some time nothing happens: a unit in a loop would be back every two seconds.
    time.sleep(6)
    check_equal(server.show("fleet-agent.service", "ActiveState", "NRestarts"), ("active", "0"), "the agent")
    check_equal(server.main_pid("fleet-agent.service"), pid, "its pid")
    check_in("FLEET_CONSOLE_URL is not set", server.sh("systemctl status fleet-agent.service"), "systemctl status")
    told = [x for x in server.journal("fleet-agent.service").splitlines() if "FLEET_CONSOLE_URL" in x]
    check_equal(len(told), 1, f"log lines: {told}")


def story_1_first_server_onboarding(fleet):
    server = fleet.agents[0]
    server.push("/etc/fleet-agent/apps.d/apps.yaml", APPS)
    # An admin's editor: the two lines of the story, and the key.
    server.sh(f"sed -i -e 's|^FLEET_CONSOLE_URL=.*|FLEET_CONSOLE_URL={fleet.url}|' -e 's|^FLEET_AGENT_ID=.*|FLEET_AGENT_ID={server.name}|'"
              f" -e 's|^FLEET_API_KEY=.*|FLEET_API_KEY=key-of-{server.name}|' {ENV}")
    began = time.monotonic()
    server.exec("systemctl", "restart", "fleet-agent")
    agent = fleet.online(server.name, timeout=30)
    fleet.running(server.name, "app-a", timeout=max(1, 30 - (time.monotonic() - began)))
    print(f"# dpkg -i took {set_up.installed_in:.1f} s; online with its apps {time.monotonic() - began:.1f} s after the restart", flush=True)
    check_equal(agent["hostname"], server.sh("hostname").strip(), "hostname")
    release = dict(x.split("=", 1) for x in server.read("/etc/os-release").splitlines() if "=" in x)
    check_equal(agent["os"]["id"], release["ID"].strip('"'), "os")
    check(agent["metrics"]["memoryTotalBytes"] > 0 and "cpuPercent" in agent["metrics"], f"metrics: {agent['metrics']}")
    check_equal(agent["agentVersion"], OLD, "version")
    check_equal(owner(server, ENV), "fleet-agent:fleet-agent 600", ENV)
    # The driver host knows as well who the agent is by now.
    pid = pid_of(server, "app-a")
    ended = fleet.outcome(fleet.command(server.name, "restart-app", appId="app-a")["commandId"])
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    check(pid_of(server, "app-a") not in (0, pid), "app-a was not restarted")


def the_admin_has_verbs(fleet):
    """In root's path: what a real systemd says of a unit becomes a declaration that is taken as it stands; and root alone, not the
    agent's user, has the driver host hold an app."""
    server = fleet.agents[0]
    server.sh("""mkdir -p /opt/web/bin /etc/web; printf '#!/bin/sh\nexec sleep infinity\n' >/opt/web/bin/web; chmod 755 /opt/web/bin/web
        echo '{"Level": "info"}' >/etc/web/web.json; echo A=b >/etc/web/web.env; echo 1.2.3 >/opt/web/version.txt""")
    server.push("/etc/systemd/system/web.service", "[Unit]\nDescription=A: web app\n[Service]\nUser=nobody\nEnvironmentFile=-/etc/web/web.env\n"
                "ExecStart=/opt/web/bin/web --config /etc/web/web.json\nExecReload=/bin/true\n")
    server.sh("systemctl daemon-reload; systemctl start web.service")
    text = server.sh("fleet-agent suggest web | tee /etc/fleet-agent/apps.d/web.yaml")
    for words in ("id: web", "service_name: web.service", "binary_path: /opt/web\n", "config_path: /etc/web/web.json", "path: /etc/web/web.env",
                  "driver: env-config", "version_file: /opt/web/version.txt", "# It runs as: nobody", "knows how to reload"):
        check_in(words, text, "the suggestion")
    check_in("No problem found", server.sh("fleet-agent check"), "fleet-agent check")
    server.exec("systemctl", "reload", "fleet-agent")
    fleet.running(server.name, "web")
    for unit in ("ssh", "dbus.service", "systemd-journald"):  # whatever runs on this server
        done = server.exec("sh", "-c", f"fleet-agent suggest {unit} >/root/{unit}.yaml && fleet-agent check /root/{unit}.yaml", check=False)
        check(done.returncode == 0 or "systemd knows no unit" in done.stderr, f"suggest {unit}: {done.stdout} {done.stderr}")
    check_in("systemd knows no unit nonesuch.service", server.exec("fleet-agent", "suggest", "nonesuch", check=False).stderr, "no such unit")
    check_in(f"{fleet.url}: connected for ", server.sh("fleet-agent status"), "fleet-agent status")
    check_in("The console may restart it.", server.sh("fleet-agent allowed web"), "fleet-agent allowed")
    hold = ("fleet-agent", "hold", "web", "--for", "1h", "--reason", "a new disk")
    for user, words, told in (("fleet-agent", hold, "only root on this server may ask for this"), ("nobody", hold, "only root may ask the driver host"),
                              ("nobody", ("fleet-agent", "rollback", "web"), "only root may ask the driver host"),
                              ("nobody", ("fleet-agent", "status"), "only root may ask it"),
                              ("nobody", ("fleet-agent", "check"), "agent.env: Permission denied"),
                              ("nobody", ("fleet-agent", "allowed"), "Only root may see whose commands are obeyed here")):
        done = server.exec("setpriv", f"--reuid={user}", f"--regid={user.replace('nobody', 'nogroup')}", "--clear-groups", *words, check=False)
        check_in(told, done.stdout + done.stderr, f"{words[1]} by {user}")
        check_equal(done.returncode, 0 if words[1] == "allowed" else 1, f"exit status of {words[1]} by {user}")
    server.exec(*hold)
    ended = fleet.outcome(fleet.command(server.name, "restart-app", appId="web")["commandId"])
    check_equal((ended["state"], ended["errorCode"]), ("failed", "held"), servers.dump(ended))
    server.exec("systemctl", "restart", "fleet-driver-host.service")
    check_in("by root@server: a new disk", server.sh("fleet-agent status"), "the hold after a restart of the driver host")
    server.exec("fleet-agent", "unhold", "web")
    ended = fleet.outcome(fleet.command(server.name, "restart-app", appId="web")["commandId"])
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    release = releases.tree({"bin/web": (b"#!/bin/sh\nexec sleep infinity\n", 0o755), "version.txt": b"1.2.4\n"})
    ended = fleet.outcome(fleet.command(server.name, "update-app", appId="web", version="1.2.4", sha256=releases.sha256(release),
                                        artifactUrl=releases.Shelf(fleet.console_server).put("web.tar.gz", release))["commandId"])
    check_equal((ended["state"], server.read("/opt/web/version.txt")), ("succeeded", "1.2.4\n"), servers.dump(ended))
    check_in("Done: Running", server.sh("fleet-agent rollback web"), "fleet-agent rollback")
    check_equal(server.read("/opt/web/version.txt"), "1.2.3\n", "the version after a rollback by root")
    fleet.until("the audit log has it", lambda: any("rollback by root@server done" in e["message"] for e in fleet.audit(category="update")))
    fleet.console_server.sh("systemctl stop releases.service; rm -r /srv/releases")
    for page in ("man8/fleet-agent.8.gz", "man8/fleet-driver-host.8.gz", "man5/fleet-agent.env.5.gz", "man5/fleet-apps.d.5.gz"):
        server.exec("test", "-f", "/usr/share/man/" + page)
    server.sh("rm /etc/fleet-agent/apps.d/web.yaml /root/*.yaml; systemctl stop web.service; rm -r /etc/systemd/system/web.service /opt/web /etc/web; "
              "systemctl daemon-reload; systemctl reload fleet-agent")


def installing_again_changes_nothing(fleet):
    """And a unit that the admin has disabled is not enabled by it."""
    server = fleet.agents[0]
    before = server.read(ENV)
    server.exec("systemctl", "disable", "fleet-driver-recover.service")
    dpkg_install(server, debs[OLD]["fleet-agent"])
    check_equal(server.read(ENV), before, ENV)
    check_equal(server.show("fleet-driver-recover.service", "UnitFileState"), "disabled", "what the admin disabled")
    server.exec("systemctl", "enable", "fleet-driver-recover.service")
    fleet.online(server.name)


def registered(fleet, version):
    return [e for e in fleet.audit(agentId=fleet.agents[0].name, category="agent")
            if e["message"] == f"agent registered (version {version})"]


def story_5_upgrade(fleet):
    server = fleet.agents[0]
    settings, apps = server.read(ENV), server.read("/etc/fleet-agent/apps.d/apps.yaml")
    pid, host = pid_of(server, "app-a"), server.main_pid("fleet-driver-host.service")
    check_equal(registered(fleet, NEW), [], "registrations of the new version before the upgrade")
    took = dpkg_install(server, debs[NEW]["fleet-agent"])
    check(took < 10, f"the upgrade took {took:.1f} s")
    began = time.monotonic()
    fleet.until(f"a heartbeat says {NEW}", lambda: fleet.online(server.name).get("agentVersion") == NEW)
    fleet.until(f"the audit log says {NEW}", lambda: registered(fleet, NEW))
    print(f"# the upgrade took {took:.1f} s; back {time.monotonic() - began:.1f} s later", flush=True)
    check_equal((server.read(ENV), server.read("/etc/fleet-agent/apps.d/apps.yaml")), (settings, apps), "what the admin wrote")
    check_equal(owner(server, ENV), "fleet-agent:fleet-agent 600", ENV)
    check_equal(pid_of(server, "app-a"), pid, "pid of the app")
    check(server.main_pid("fleet-driver-host.service") not in (0, host), "the driver host was not restarted")
    fleet.running(server.name, "app-a")


def an_upgrade_in_the_middle_of_a_command(fleet):
    """dpkg does not wait for a restart that takes its time; the command ends as it should, once."""
    server = fleet.agents[0]
    fleet.running(server.name, "slow", timeout=60)
    command = fleet.command(server.name, "restart-app", appId="slow")["commandId"]
    fleet.until("the app starts", lambda: server.show("slow.service", "ActiveState") == "activating")
    took = dpkg_install(server, debs[OLD]["fleet-agent"])
    check_equal(server.show("slow.service", "ActiveState"), "activating", "the app when dpkg was through")
    check(took < 10, f"dpkg -i took {took:.1f} s")
    ended = fleet.outcome(command, timeout=60)
    check_equal(ended["state"], "succeeded", servers.dump(ended))
    check_equal(len([e for e in fleet.audit(commandId=command) if e["category"] == "restart"]), 1, "events of the outcome")
    fleet.until(f"the agent is {OLD} again", lambda: fleet.online(server.name).get("agentVersion") == OLD)
    fleet.until("the driver host runs again", lambda: server.show("fleet-driver-host.service", "ActiveState") == "active")


def a_host_that_dies_in_an_upgrade(fleet):
    """Killed while it finishes a command for the upgrade's sake: the newer one takes the command up, which has one end."""
    server = fleet.agents[0]
    fleet.running(server.name, "slow", timeout=60)
    command = fleet.command(server.name, "restart-app", appId="slow")["commandId"]
    fleet.until("the app starts", lambda: server.show("slow.service", "ActiveState") == "activating")
    dpkg_install(server, debs[NEW]["fleet-agent"])
    check_equal(server.show("fleet-driver-host.service", "ActiveState"), "deactivating", "the driver host")
    server.exec("systemctl", "kill", "--signal=KILL", "fleet-driver-host.service")
    ended = fleet.outcome(command, timeout=60)
    check(ended["state"] == "succeeded" or ended["errorCode"] == "interrupted", servers.dump(ended))
    print(f"# it {ended['state']}: {ended['message']}", flush=True)
    check_equal(len([e for e in fleet.audit(commandId=command) if e["category"] == "restart"]), 1, "events of the outcome")
    fleet.until(f"the agent is {NEW}", lambda: fleet.online(server.name).get("agentVersion") == NEW)
    fleet.running(server.name, "slow", timeout=60)
    check_in("Commands  none in hand", server.sh("fleet-agent status"), "fleet-agent status")


def an_upgrade_that_brings_other_files(fleet):
    """Unit files that the admin left alone are replaced without a word; one that he changed is kept, and nobody is asked."""
    server = fleet.agents[0]
    settings = server.read(ENV)
    unit = "/etc/systemd/system/fleet-driver-recover.service"

    def described(text):
        return lambda old: re.sub(r"^Description=.*", f"Description={text}", old, flags=re.M)
    name, data = repacked(OLD, "1.2.0", {"/etc/systemd/system/fleet-agent.service": described("Fleet agent, the newer one"), unit: described("2")})
    hub = github.GitHub("10.77.0.254")
    hub.release("1.2.0", {name: data})
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
        file, = copy(server, f.name)
    said = server.exec("dpkg", "-i", file, stdin=subprocess.DEVNULL)
    server.exec("rm", file)
    check("onfiguration file" not in said.stdout + said.stderr, f"dpkg asks: {said.stdout} {said.stderr}")
    check_equal(server.show("fleet-agent.service", "Description"), "Fleet agent, the newer one", "the unit")
    check_equal((server.read(ENV), owner(server, ENV)), (settings, "fleet-agent:fleet-agent 600"), ENV)
    server.sh(f"echo '# the admin was here' >>{unit}")
    name, data = repacked(OLD, "1.3.0", {unit: described("3")})
    hub.release("1.3.0", {name: data})
    done = install_sh(server, hub)
    hub.close()
    check_equal((done.returncode, installed(server)), (0, "ii 1.3.0"), f"install.sh ({done.stdout} {done.stderr})")
    check_in("# the admin was here", server.read(unit), "the unit that the admin changed")
    check_in("Description=2", server.read(unit), "and is as he left it")
    check_in("Description=3", server.read(unit + ".dpkg-dist"), "what the package has instead")
    check_equal(server.read(ENV), settings, ENV)
    dpkg_install(server, debs[OLD]["fleet-agent"], options=("--force-confold",))
    fleet.online(server.name)


def drivers(fleet):
    return [d["name"] for d in fleet.api(f"/api/agents/{fleet.agents[0].name}").get("drivers", [])]


def drivers_of_other_packages_are_taken_up(fleet):
    """Augeas, and one of a third party that had the kit alone."""
    server = fleet.agents[0]
    fleet.until("the agent tells of its drivers", lambda: "json-config" in drivers(fleet))
    dpkg_install(server, debs[OLD]["fleet-agent-augeas"], debs[OLD]["libfleet-driver-dev"])
    fleet.until("augeas is there", lambda: "augeas" in drivers(fleet))
    server.sh("""cd /root; cp -r /usr/share/fleet/driver-template theirs; cd theirs; make >/dev/null
        fleet-driver check ./keyvalue-config.so --samples samples >/dev/null
        into=pkg$(pkg-config --variable=driverdir fleet-driver); mkdir -p $into pkg/DEBIAN; cp keyvalue-config.so $into
        printf 'Package: theirs\\nVersion: 1\\nArchitecture: all\\nDepends: fleet-agent\\nMaintainer: them\\nDescription: x\\n' >pkg/DEBIAN/control
        dpkg-deb --build pkg theirs.deb >/dev/null; dpkg -i theirs.deb""")
    fleet.until("theirs is there", lambda: "keyvalue-config" in drivers(fleet))
    server.exec("dpkg", "-P", "theirs", "fleet-agent-augeas", "libfleet-driver-dev")
    fleet.until("both are gone", lambda: not {"augeas", "keyvalue-config"} & set(drivers(fleet)))
    server.sh("rm -r /root/theirs")


def removing_keeps_the_settings(fleet):
    server = fleet.agents[0]
    before = server.sh(f"cat {ENV} /etc/fleet-agent/apps.d/apps.yaml")
    pid = pid_of(server, "app-a")
    server.exec("dpkg", "-r", "fleet-agent")
    check_equal(server.sh(f"cat {ENV} /etc/fleet-agent/apps.d/apps.yaml"), before, "settings")
    check_equal(server.sh("ls -A /opt | grep -x fleet-agent || true; pgrep -l '^fleet-' || true"), "", "programs")
    check_equal(pid_of(server, "app-a"), pid, "pid of the app")
    fleet.until("the console shows it offline", lambda: not fleet.api(f"/api/agents/{server.name}")["isOnline"])
    dpkg_install(server, debs[NEW]["fleet-agent"])
    for unit in UNITS:
        check_equal(server.show(unit, "UnitFileState"), "enabled", unit)
    fleet.until(f"it is back as {NEW}", lambda: fleet.online(server.name).get("agentVersion") == NEW)
    check_equal(server.sh(f"cat {ENV} /etc/fleet-agent/apps.d/apps.yaml"), before, "settings after the reinstall")


def story_6_decommissioning(fleet):
    server = fleet.agents[0]
    # Whatever an admin adds by hand goes as well.
    server.sh("mkdir /etc/systemd/system/fleet-agent.service.d; "
              "printf '[Service]\\nMemoryMax=256M\\n' >/etc/systemd/system/fleet-agent.service.d/limit.conf; "
              "cp /opt/fleet-agent/lib/drivers/simulated.so /opt/fleet-agent/lib/drivers/mine.so")
    # An update has left the version before, of an app that is no longer declared, and of one that is.
    server.exec("test", "-d", "/opt/.web.fleet/previous")
    server.sh("mkdir -m 700 /srv/.declared.fleet; echo x >/srv/.declared.fleet/previous; mkdir -m 700 /srv/.other.fleet; mkdir /srv/.other.fleet/left")
    server.push("/etc/fleet-agent/apps.d/more.yaml", "managed_apps:\n  - id: declared\n    service_name: app-a.service\n    binary_path: \"/srv/declared\" # x\n"
                "  - id: other\n    service_name: app-a.service\n    binary_path: /srv/other\n")
    pid = pid_of(server, "app-a")
    said = server.exec("dpkg", "-P", "fleet-agent", stdin=subprocess.DEVNULL).stdout
    check_in("/srv/.other.fleet has files of the app", said, "what an update could not give back")
    server.sh("rm -r /srv/.other.fleet")
    fleet.until("the console shows it offline", lambda: not fleet.api(f"/api/agents/{server.name}")["isOnline"])
    check_in(server.name, [a["agentId"] for a in fleet.api("/api/agents")], "agents of the console")
    paths, accounts = listing(server)
    check_equal(sorted(paths ^ set_up.before[0])[:20], [], "paths that were not there before, or are no longer")
    check_equal(accounts, set_up.before[1], "users and groups")
    check_equal(server.sh("find /run /tmp /var/tmp/systemd-private* -name '*fleet*' 2>/dev/null || true"), "", "traces of the running system")
    check_equal(server.sh("systemctl list-unit-files --no-legend 'fleet-*' || true"), "", "unit files")
    # What is unloaded goes when systemd comes to it, a moment later; what something still refers to stays, and fails here.
    fleet.until("systemd knows none of the units", lambda: not server.sh("systemctl list-units --all --plain --no-legend 'fleet-*'").strip())
    check_equal(server.sh("dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' | grep fleet || true"), "", "what dpkg knows of")
    check_equal(pid_of(server, "app-a"), pid, "pid of the app")


def install_sh(server, hub, *arguments, user="root", settings=""):
    """As its first lines say."""
    script = f"{hub.url}/{github.REPOSITORY}/releases/download/v{list(hub.releases)[-1]}/install.sh"
    return server.exec("setpriv", f"--reuid={user}", "sh", "-c", f"export FLEET_API_URL={hub.url} FLEET_DOWNLOAD_URL={hub.url} {settings}; "
                       f"curl -fsSL {script} | bash -s -- \"$@\"", "sh", *arguments, check=False, stdin=subprocess.DEVNULL)


def refused(server, hub, told, *arguments, **how):
    """One line says why; nothing is installed."""
    done = install_sh(server, hub, *arguments, **how)
    check_in(told, done.stderr, f"{arguments} {how}")
    check(done.returncode != 0, f"{told!r}: exit status 0")
    check(done.stderr.startswith("install.sh: ") and done.stderr.count("\n") == 1, f"not one line that says who speaks: {done.stderr!r}")
    check_equal(installed(server), "", f"{told!r}: what is installed")


def installed(server):
    return server.sh("dpkg-query -W -f '${db:Status-Abbrev}${Version}' fleet-agent 2>/dev/null || true").strip()


def the_installer_refuses(fleet):
    """What is wrong is told, and nothing is installed or left."""
    server = fleet.agents[0]
    hub = github.GitHub("10.77.0.254")
    hub.release(OLD, debs[OLD]["fleet-agent"])
    name = f"fleet-agent_{OLD}_amd64.deb"
    good = dict(hub.releases[OLD])
    for changed, arguments, user, told in (
            ({}, (), "nobody", "must be run as root"),
            ({}, ("9.9.9",), "root", "is there a version 9.9.9?"),
            ({}, ("1.0",), "root", "'1.0' is no version; it looks like 1.2.0"),
            ({}, ("latest",), "root", "is no version"),
            ({}, ("--console", "ftp://x"), "root", "is no console's address"),
            ({}, ("--konsole", "http://x"), "root", "no option --konsole"),
            ({name: b""}, (), "root", "is empty"),
            ({name: good[name][:-1] + b"!"}, (), "root", "is not what the release says it is"),
            ({"SHA256SUMS": None}, (), "root", "SHA256SUMS"),
            ({"SHA256SUMS": good["SHA256SUMS"].replace(b"amd64", b"arm64")}, (), "root", "does not name")):
        hub.releases[OLD] = {k: v for k, v in {**good, **changed}.items() if v is not None}
        refused(server, hub, told, *arguments, user=user)
    hub.releases[OLD] = {**good, "install.sh": good["install.sh"][:-20]}
    install_sh(server, hub)
    check_equal(installed(server), "", "half a script: what is installed")
    hub.releases[OLD] = good
    hub.tag = ""
    refused(server, hub, "does not say which release")
    hub.tag = None
    refused(server, hub, "Could not resolve host", settings="FLEET_API_URL=http://api.example.invalid")
    refused(server, hub, "Failed to connect", OLD, settings=f"FLEET_DOWNLOAD_URL=http://{server.address}:1")
    server.sh("mkdir /root/os; echo ID=fedora >/root/os/os-release; cp -P /etc/os-release /root/os/kept; "
              "rm /etc/os-release; cp /root/os/os-release /etc/os-release; "
              "mkdir /root/arm; printf '#!/bin/sh\necho arm64\n' >/root/arm/dpkg; chmod 755 /root/arm/dpkg")
    refused(server, hub, "this is fedora; there are packages for Debian and Ubuntu on amd64 alone")
    server.sh("rm /etc/os-release; cp -P /root/os/kept /etc/os-release; rm -r /root/os")
    refused(server, hub, "this is arm64; there are packages for Debian and Ubuntu on amd64 alone", settings="PATH=/root/arm:$PATH")
    server.sh("rm -r /root/arm")
    check_equal(server.sh("ls -d /tmp/fleet-* 2>/dev/null || true"), "", "what it left in /tmp")
    hub.close()


def the_installer_installs_and_upgrades(fleet):
    server = fleet.agents[0]
    hub = github.GitHub("10.77.0.254")
    for version in (OLD, NEW):
        hub.release(version, debs[version]["fleet-agent"])
    done = install_sh(server, hub, OLD)
    check_equal((done.returncode, installed(server)), (0, f"ii {OLD}"), f"the version that was asked for ({done.stdout} {done.stderr})")
    check_in("Now say where the console is", done.stdout, "the reminder")
    check_in("Active: active", done.stdout, "the status")
    server.sh(f"sed -i -e 's|^FLEET_AGENT_ID=.*|FLEET_AGENT_ID={server.name}|' -e 's|^FLEET_API_KEY=.*|FLEET_API_KEY=key-of-{server.name}|' {ENV}")
    before = server.read(ENV)
    done = install_sh(server, hub, "--console", fleet.url, "--token", "a-token.1")
    check_equal((done.returncode, installed(server)), (0, f"ii {NEW}"), f"the newest version ({done.stdout} {done.stderr})")
    check("Now say" not in done.stdout, f"a reminder of what is done: {done.stdout}")
    check_equal(server.read(ENV), before.replace("FLEET_CONSOLE_URL=\n", f"FLEET_CONSOLE_URL={fleet.url}\n")
                .replace("FLEET_JOIN_TOKEN=\n", "FLEET_JOIN_TOKEN=a-token.1\n"), ENV)
    check_equal(owner(server, ENV), "fleet-agent:fleet-agent 600", ENV)
    # A token that is one is tried in test_first_steps.py; here the key lets it in.
    server.sh(f"sed -i 's/^FLEET_JOIN_TOKEN=.*/FLEET_JOIN_TOKEN=/' {ENV}; systemctl restart fleet-agent")
    fleet.until(f"it is online as {NEW}", lambda: fleet.online(server.name).get("agentVersion") == NEW)
    check_equal(server.sh("ls -d /tmp/fleet-* 2>/dev/null || true"), "", "what it left in /tmp")
    server.exec("dpkg", "-P", "fleet-agent", stdin=subprocess.DEVNULL)
    hub.close()


IN_CHROOT = """set -e
mount -t tmpfs tmpfs "$1"; mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" || exit 77
mkdir -p "$1/root/root"; cp "$2" "$1/root/root/agent.deb"
inside() { chroot "$1/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 sh -ec "$2"; }
inside "$1" '
dpkg -i /root/agent.deb; dpkg -i /root/agent.deb
for u in multi-user.target.wants/fleet-agent.service sockets.target.wants/fleet-driver-host.socket basic.target.wants/fleet-driver-recover.service; do
	test -L /etc/systemd/system/$u
done
test "$(stat -c %U:%a /etc/fleet-agent/agent.env)" = fleet-agent:600
dpkg -r fleet-agent; dpkg -i /root/agent.deb
test -L /etc/systemd/system/multi-user.target.wants/fleet-agent.service
dpkg -P fleet-agent
find /etc /opt /var/lib/ /run -xdev -name "fleet*" ! -path "/run/netns/*" ! -path "/run/systemd/nspawn/*" ! -path "*/dpkg/*" ! -path "/var/lib/systemd/*" >/root/left
cat /root/left; test ! -s /root/left
! getent passwd fleet-agent
'"""


def installing_where_no_systemd_runs(_):
    """As images are made: a chroot. What is enabled starts with the first boot."""
    with tempfile.TemporaryDirectory() as folder:
        done = servers.run("unshare", "--mount", "sh", "-c", IN_CHROOT, "sh", folder, debs[OLD]["fleet-agent"], check=False)
    if done.returncode == 77:
        raise harness.Skip("no overlay over / here")
    check_equal(done.returncode, 0, f"dpkg in a chroot: {done.stdout[-600:]} {done.stderr[-600:]}")


def make_fleet():
    for version in (OLD, NEW):
        debs[version] = packages.built(version)
    return servers.fleet_of("packages", 1, set_up)()


if __name__ == "__main__":
    sys.exit(servers.main(make_fleet, [
        console_and_fleetctl_are_installed,
        a_fresh_agent_waits_and_says_so,
        story_1_first_server_onboarding,
        the_admin_has_verbs,
        installing_again_changes_nothing,
        story_5_upgrade,
        an_upgrade_in_the_middle_of_a_command,
        a_host_that_dies_in_an_upgrade,
        an_upgrade_that_brings_other_files,
        drivers_of_other_packages_are_taken_up,
        removing_keeps_the_settings,
        story_6_decommissioning,
        the_installer_refuses,
        the_installer_installs_and_upgrades,
        installing_where_no_systemd_runs,
    ]))

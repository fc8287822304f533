"""What `summoner proxy` costs, beside a stand-in for nginx-proxy's arrangement on the same nginx."""
import json, os, pathlib, re, select, shutil, signal, socket, ssl, subprocess, sys, threading, time

from . import bed
from .bed import HERE, IMAGE, LABEL, NAME, SOCKET, engine, note, row, together
from .standin import Engine

ECHO, FILTER = "summoner/echo:1", f"label={LABEL}={HERE}"
# Hosts that are there all the time; containers that come and go; each side is measured in so many blocks, in turn.
HOSTS, COMING, BLOCKS, CHANGES, BURST, MANY, SECONDS = 100, 10, 4, 100, 300, 1000, 60
# How long a route may take to come, the quiet before a start, and before a new block.
COMES, QUIET, SETTLED = 30, 0.8, 3
BRIDGE = f"{NAME}-proxy"
STANDIN = str(pathlib.Path(__file__).with_name("standin.py"))

def create(name, host, network=BRIDGE, **more):
    body = {"Image": ECHO, "Env": [f"VIRTUAL_HOST={host}", "HTTPS_METHOD=noredirect"] if host else [], "Labels": {LABEL: HERE},
            "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"NetworkMode": network, "Memory": 64 << 20}, "StopSignal": "SIGKILL", **more}
    return engine("POST", f"/containers/create?name={NAME}-{name}", body)["Id"]

def act(verb, which, talk=None):
    """Start, kill, …; by a connection that is open already when its time is measured."""
    talk = talk or Engine(SOCKET)
    # The kernel may need more than one attempt to freeze a busy container.
    for left in range(10 if "pause" in verb else 0, -1, -1):
        talk.request("POST", f"/v1.41/containers/{which}/{verb}")
        answer = talk.getresponse()
        said = answer.read()
        if answer.status < 400 or answer.status == 409:
            return
        time.sleep(0.5 if left else 0)
    raise SystemExit(f"bench: {verb} {which}: {said}")

class Side:
    """A proxy under test: its container with nginx, and the process that watches the engine."""
    def begin(self, name, body):
        self.name, body["Labels"] = name, {LABEL: HERE}
        body["HostConfig"]["NetworkMode"] = BRIDGE
        self.id = engine("POST", f"/containers/create?name={NAME}-{name}", {"Image": IMAGE, **body})["Id"]
        act("start", self.id)
        seen = engine("GET", f"/containers/{self.id}/json")
        self.address, self.pid = seen["NetworkSettings"]["Networks"][BRIDGE]["IPAddress"], seen["State"]["Pid"]

    def status(self, host):
        try:
            with socket.create_connection((self.address, 80), 2) as talk:
                talk.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return talk.recv(64)[9:12]
        except OSError:
            return b""

    def wait(self, host, status=b"200", seconds=COMES):
        """Until the host answers so; gives how long that took."""
        since = time.monotonic()
        while self.status(host) != status:
            if time.monotonic() - since > seconds:
                raise SystemExit(f"bench: {self.name} does not answer {status.decode()} for {host} within {seconds} s")
            time.sleep(0.002)
        return time.monotonic() - since

    def workers(self):
        """nginx's workers of today: a reload makes new ones."""
        seen = subprocess.run(["pgrep", "-f", "^nginx: worker process$", "--ns", str(self.pid), "--nslist", "pid"], capture_output=True, text=True)
        return set(seen.stdout.split())

class Ours(Side):
    def __init__(self, name="summoner", environment=(), binds=(), **more):
        environment = [f"DOCKER_CONTAINER_FILTERS={FILTER}", *environment]
        binds = [f"{SUMMONER}:/summoner:ro", f"{SOCKET}:/tmp/docker.sock", *binds]
        body = {"Entrypoint": ["/summoner"], "Cmd": ["proxy", "--nginx", "here"], "Env": environment}
        self.begin(name, {**body, "HostConfig": {"Binds": binds, **more}})
        self.watcher = self.pid

    def pause(self):
        act("pause", self.id)

    def resume(self):
        act("unpause", self.id)

class Theirs(Side):
    def __init__(self):
        bed.write("standin", None)
        bed.write("standin/default.conf", "server { listen 80; return 503; }\n")
        self.begin("standin", {"HostConfig": {"Binds": [f"{HERE}/standin:/etc/nginx/conf.d"]}})
        # A signal for an nginx that does not run yet would be lost.
        self.wait("nobody.bench", b"503")
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", sys.executable, "-B", STANDIN, SOCKET,
                                         f"{HERE}/standin/default.conf", BRIDGE, str(self.pid), f"{LABEL}={HERE}"], stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.watcher = self.process.pid

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        act("pause", self.id)

    def resume(self):
        act("unpause", self.id)
        self.process.send_signal(signal.SIGCONT)

def begin(hosts=HOSTS):
    """A network, the hosts, and both proxies; the stand-in sleeps."""
    bed.sweep(HERE)
    os.makedirs(HERE)
    shutil.copy(bed.program, SUMMONER)
    taken = subprocess.check_output(["ip", "-4", "route"], text=True) + json.dumps(engine("GET", "/networks"))
    subnet = next(f"10.{n}" for n in range(100, 200) if f"10.{n}." not in taken)
    engine("POST", "/networks/create", {"Name": BRIDGE, "Labels": {LABEL: HERE}, "IPAM": {"Config": [{"Subnet": f"{subnet}.0.0/16"}]}})
    names = [f"h{number}.bench" for number in range(hosts)]
    ids = together(lambda each: create(each, each), names)
    together(lambda each: act("start", each), ids)
    sides = Ours(), Theirs()
    for side in sides:
        together(lambda each: side.wait(each, seconds=COMES * 4), names)
        side.pause()
    return sides

def blocks(sides, work):
    """Each side in turn, the other one asleep; who comes first changes."""
    for block in range(BLOCKS):
        for side in sides if block % 2 else sides[::-1]:
            side.resume()
            time.sleep(SETTLED)
            work(side)
            side.pause()

def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]

def live(sides):
    coming = [(create(f"comes{number}", f"comes{number}.bench"), f"comes{number}.bench") for number in range(COMING)]
    took, talk = {side: [] for side in sides}, Engine(SOCKET)

    def work(side):
        for which, host in coming:
            time.sleep(QUIET)
            act("start", which, talk)
            took[side].append(side.wait(host))
        for which, host in coming:
            act("kill", which)
        side.wait(coming[-1][1], b"503")

    blocks(sides, work)
    ours, theirs = (took[side] for side in sides)
    row(f"start to live, {HOSTS} hosts, p50 : stand-in", [quantile(ours, 0.5)], [quantile(theirs, 0.5)], 0.5)
    row("                          p95 : stand-in", [quantile(ours, 0.95)], [quantile(theirs, 0.95)], 0.5)

class Paced(threading.Thread):
    """Clients that keep their connections and look, before they send, whether the server has closed."""
    def __init__(self, address, host, clients=4):
        # Should we be interrupted, it keeps nobody from ending.
        super().__init__(daemon=True)
        self.address, self.request = address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.talks, self.sent, self.lost, self.ends = [None] * clients, 0, 0, False

    def run(self):
        while not self.ends:
            for number, talk in enumerate(self.talks):
                if talk and select.select([talk], [], [], 0)[0]:
                    talk.close()
                    talk = None
                try:
                    talk = talk or socket.create_connection((self.address, 80), 5)
                    self.sent += 1
                    talk.sendall(self.request)
                    answer = talk.recv(65536)
                    good = answer.startswith(b"HTTP/1.1 200")
                except OSError:
                    good = False
                self.lost += not good
                self.talks[number] = talk if good else None
            time.sleep(0.02)

def lost(sides):
    which, host = create("changes", "changes.bench"), "changes.bench"
    for turn, side in enumerate(sides):
        side.resume()
        time.sleep(SETTLED)
        paced = Paced(side.address, "h0.bench")
        paced.start()
        words = ["wrk", "-t1", "-c4", "-d", "3600", "-H", "Host: h1.bench", f"http://{side.address}/"]
        with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdout=subprocess.PIPE, text=True) as full:
            for change in range(CHANGES):
                act("start" if change % 2 == 0 else "kill", which)
                side.wait(host, b"200" if change % 2 == 0 else b"503")
            full.send_signal(signal.SIGINT)
            said = full.communicate()[0]
        paced.ends = True
        paced.join()
        side.pause()
        errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", said)))
        side.lost = errors, int(re.search(r"(\d+) requests in", said)[1]), paced.lost, paced.sent
    for number, what in ((0, "full speed"), (2, "paced")):
        ours, theirs = (side.lost[number:number + 2] for side in sides)
        row(f"lost in {CHANGES} changes, {what} : stand-in", [ours[0]], [theirs[0]], 0, lambda count: f"{count:.0f}")
        note(f"of {ours[1]:,} requests; the stand-in of {theirs[1]:,}")

def burst(sides):
    made = together(lambda number: create(f"burst{number}", f"burst{number}.bench"), range(BURST))
    hosts, counted = [f"burst{number}.bench" for number in range(BURST)], {}

    def measure(side):
        seen, ends = set(), threading.Event()

        def watch():
            while not ends.wait(0.1):
                seen.update(side.workers())

        before = side.workers()
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        since = time.monotonic()
        together(lambda each: act("start", each), made, 32)
        started = time.monotonic()
        for host in hosts:
            side.wait(host, seconds=COMES * 4)
        ended = time.monotonic()
        time.sleep(1)
        ends.set()
        watcher.join()
        counted[side] = ended - since, ended - started, started - since, (len(seen | before) - len(before)) / len(before)

    for side in sides:
        side.resume()
        time.sleep(SETTLED)
        measure(side)
        together(lambda each: act("kill", each), made, 32)
        side.wait(hosts[-1], b"503", COMES * 4)
        side.pause()
    (ours, ours_after, ours_start, reloads), (theirs, theirs_after, theirs_start, more) = (counted[side] for side in sides)
    row(f"{BURST} started, last start to all live : stand-in", [ours_after], [theirs_after], 0.5)
    row("  first start to all live : stand-in", [ours], [theirs], None)
    row("  reloads : the aim", [reloads], [5], 1, lambda count: f"{count:.0f}")
    note(f"the stand-in reloaded {more:.0f} times; the starts alone took {ours_start:.1f} s and {theirs_start:.1f} s")

def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) * 1024 / 1e6

def used(pid):
    """Seconds of CPU of a process and its threads; its children are nginx, which both have."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

def watcher(sides):
    """On the host's network: a bridge takes 1,023 containers, and none of these has anything to say."""
    quiet = {"Entrypoint": ["/bin/sleep"], "Cmd": ["infinity"]}
    made = together(lambda number: create(f"many{number}", f"many{number}.bench", "host", **quiet), range(max(0, MANY - HOSTS)))
    which = create("ticks", "ticks.bench")
    together(lambda each: act("start", each), made)
    for side in sides:
        side.resume()
        act("start", which)
        side.wait("ticks.bench", seconds=COMES * 8)
        time.sleep(SETTLED * 5)
        act("kill", which)
        side.wait("ticks.bench", b"503", COMES)
        before, since = used(side.watcher), time.monotonic()
        for second in range(SECONDS):
            act("start" if second % 2 == 0 else "kill", which)
            time.sleep(max(0, since + second + 1 - time.monotonic()))
        side.cost = 100 * (used(side.watcher) - before) / (time.monotonic() - since), resident(side.watcher)
        side.pause()
    (ours, size), (theirs, other) = (side.cost for side in sides)
    row(f"watcher, {MANY:,} containers, 1 event/s : aim", [size], [40], 1, bed.megabytes)
    row("  CPU : stand-in", [ours], [theirs], 0.1, lambda percent: f"{percent:.2f} %")
    note(f"the stand-in's memory is {bed.megabytes(other)}, of which Python is most")

def authority(gateway, proxy):
    """Pebble and its name server, which says of every name that it is the proxy."""
    folder = pathlib.Path(subprocess.check_output([f"{bed.ROOT}/scripts/pebble"], text=True).strip(), "bin")
    for name, more in (("ca", ["-addext", "basicConstraints=critical,CA:TRUE"]),
                       ("pebble", ["-CA", f"{HERE}/ca.crt", "-CAkey", f"{HERE}/ca.key", "-addext", "basicConstraints=critical,CA:FALSE",
                                   "-addext", f"subjectAltName=IP:{gateway}"])):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        f"/CN=bench {name}", "-keyout", f"{HERE}/{name}.key", "-out", f"{HERE}/{name}.crt", *more], check=True, capture_output=True)
    settings = bed.write("pebble.json", json.dumps({"pebble": {
        "listenAddress": f"{gateway}:14000", "managementListenAddress": f"{gateway}:15000", "httpPort": 80, "tlsPort": 443,
        "certificate": f"{HERE}/pebble.crt", "privateKey": f"{HERE}/pebble.key", "externalAccountBindingRequired": False}}))
    off = ["-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
    words = [[folder / "pebble-challtestsrv", "-dnsserver", f"{gateway}:53", "-management", f"{gateway}:8055", "-defaultIPv4", proxy, *off],
             [folder / "pebble", "-config", settings, "-dnsserver", f"{gateway}:53", "-strict"]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {"PEBBLE_VA_NOSLEEP": "1", "PATH": os.environ["PATH"]}}
    return [subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *each], **quiet) for each in words]

def https(sides):
    """Beside hosts that there are already; the authority's own waits are switched off, its refusals of nonces are not."""
    network = engine("GET", f"/networks/{BRIDGE}")["IPAM"]["Config"][0]["Subnet"]
    gateway, proxy = network.replace("0.0/16", "0.1"), network.replace("0.0/16", "200.1")
    pathlib.Path(HERE, "trust").mkdir()
    children = authority(gateway, proxy)
    shutil.copy(f"{HERE}/ca.crt", f"{HERE}/trust/ca.crt")
    said = [f"ACME_CA_URI=https://{gateway}:14000/dir", "CA_BUNDLE=/trust/ca.crt", "ACME_EMAIL=someone@bench.test"]
    side = Ours("https", said, [f"{HERE}/trust:/trust:ro"], Dns=[gateway])
    took = []
    try:
        # Whatever address it got, the authority must find it.
        subprocess.run(["curl", "-sf", "-d", json.dumps({"ip": side.address}), f"http://{gateway}:8055/set-default-ipv4"], check=True, stdout=subprocess.DEVNULL)
        time.sleep(SETTLED)
        for number in range(COMING):
            host = f"secure{number}.bench.test"
            which = create(host, host, Env=[f"VIRTUAL_HOST={host}", f"ACME_HOST={host}"])
            act("start", which)
            took.append(secure(side, host))
    finally:
        for child in children:
            child.kill()
        engine("DELETE", f"/containers/{side.id}?force=1&v=1")
    row("start to HTTPS from Pebble, p50 : the aim", [quantile(took, 0.5)], [3], 1)
    row("                            p95 : the aim", [quantile(took, 0.95)], [3], 1)

def secure(side, host):
    """Until the host answers with a certificate of the authority; gives how long that took."""
    since, context = time.monotonic(), ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    while time.monotonic() - since < COMES:
        try:
            with socket.create_connection((side.address, 443), 2) as plain, context.wrap_socket(plain, server_hostname=host) as talk:
                talk.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                # The name of Pebble's issuers, in the certificate's own bytes.
                if talk.recv(64)[9:12] == b"200" and b"Pebble" in talk.getpeercert(True):
                    return time.monotonic() - since
        except OSError:
            pass
        time.sleep(0.01)
    log = subprocess.run(["docker", "logs", "--tail", "20", side.id], capture_output=True, text=True)
    raise SystemExit(f"bench: {host} has no certificate within {COMES} s\n{log.stdout}{log.stderr}")

PARTS = {"live": live, "lost": lost, "burst": burst, "https": https, "watcher": watcher}

def measure(parts):
    print(f"{IMAGE}, {HOSTS} hosts\n")
    bed.header()
    sides = begin()
    for part in (part for name, part in PARTS.items() if name in (parts or PARTS)):
        part(sides)

def main(words, doc):
    global SUMMONER, BURST, MANY
    SUMMONER, parts = f"{HERE}/summoner", list(words)
    if "--containers" in parts:
        at = parts.index("--containers")
        if not "".join(parts[at + 1:at + 2]).isdigit():
            sys.exit(print(doc) or 2)
        BURST = MANY = int(parts[at + 1])
        del parts[at:at + 2]
    if set(parts) - set(PARTS):
        sys.exit(print(doc) or 2)
    bed.prepare((IMAGE, ECHO), ("wrk", "nsenter", "openssl", "pgrep"), doc)
    return bed.guarded(lambda: measure(parts))

"""What all benches share: an installation of their own, peers beside it, the table, and the way back to nothing."""
import glob, json, os, pathlib, re, shutil, signal, socket, statistics, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGE, verdicts = "nginx:1.30.6", []
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SWEEPS = 10
PREFIX, LABEL, NAME = "/tmp/summoner-bench.", "summoner.bench", f"bench{os.getpid()}"
HERE = f"{PREFIX}{os.getpid()}"
SOCKET = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": HERE, "DOCKER_HOST": f"unix://{SOCKET}"}
SUMMONER = [f"{HERE}/summoner", "--config", f"{HERE}/config.yml", "--yes"]
PAIR_MINION = """{version: 1, summary: Two small containers, routes: [{port: 80}], folders: {html: {}}, secrets: {token: {}},
 smoke: {path: /, expect: [200, 403]}, needs: {memory: 10m, disk: 10m}, versions: {tags: '1[.].*', step: minor, restore: newer}}"""
# No health checks: sixty of them would be most of what is measured. No depends_on: Compose would wait half a second for each.
PAIR = """services:
  app: {image: IMAGE, environment: {T: "${SECRET_TOKEN}"}, volumes: ["${FILES}/html:/usr/share/nginx/html:ro"], restart: unless-stopped}
  cache: {image: IMAGE, command: [sleep, infinity], restart: unless-stopped}""".replace("IMAGE", IMAGE)

def run(words, cwd=None, hear=lambda line: None, stdin=subprocess.DEVNULL):
    """Runs to the end and gives the seconds that it took; a failure ends the bench with what was said."""
    since, said = time.monotonic(), []
    pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    # Should we be killed, no child goes on making things.
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], cwd=cwd or HERE, env=ENVIRONMENT, **pipes) as child:
        try:
            for line in child.stdout:
                said.append(line)
                hear(line)
        except BaseException:
            child.terminate()
            raise
    if child.returncode:
        raise SystemExit(f"bench: {' '.join(words)} ended with {child.returncode}\n{''.join(said[-40:])}")
    return time.monotonic() - since

class Stages:
    """When a command said what, in seconds since its begin."""
    def __init__(self):
        self.said = []

    def run(self, *words):
        since = time.monotonic()
        def hear(line):
            event = json.loads(line) if line.startswith("{") else {}
            self.said.append((time.monotonic() - since, event.get("message") or event.get("doing") or ""))
        return run([*SUMMONER, *words, "--progress", "json"], hear=hear)

    def __str__(self):
        return "; ".join(f"{at:.1f} s {words.replace(NAME, 'bench')}" for at, words in self.said if words)

def peak(words):
    """The largest resident set of a program, in MB. Not by Python's own wait4: Linux counts what Python held before the exec."""
    run(["time", "-q", "-f", "%M", "-o", f"{HERE}/peak", *words])
    return int(pathlib.Path(HERE, "peak").read_text()) * 1024 / 1e6

def engine(method, path, body=None):
    words = ["curl", "-sS", "--unix-socket", SOCKET, "-X", method, f"http://docker/v1.41{path}"]
    words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body else []
    answer = json.loads(subprocess.check_output(words) or "null")
    if "message" in (answer or ()) and not re.search("No such|not found|in progress", answer["message"]):
        raise SystemExit(f"bench: {method} {path}: {answer['message']}")
    return answer

def together(work, items, threads=8):
    """An interruption waits for what is under way, and begins nothing more."""
    pool = ThreadPoolExecutor(threads)
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)

def sweep(folder):
    """Removes what bears one of our labels, then the folder: the folder is what tells a later run of a killed one."""
    for label in (f"{LABEL}={folder}", f"summoner.root={folder}/data"):
        query = f"filters=%7B%22label%22%3A%5B%22{label}%22%5D%7D"
        for left in range(SWEEPS, -1, -1):
            try:
                together(lambda each: engine("DELETE", f"/containers/{each['Id']}?force=1&v=1"), engine("GET", f"/containers/json?all=1&{query}"))
                together(lambda each: engine("DELETE", f"/networks/{each['Id']}"), engine("GET", f"/networks?{query}"))
                break
            except SystemExit:
                # One that was being started when we were interrupted holds its network a moment longer.
                if not left:
                    raise
                time.sleep(1)
    if os.path.ismount(f"{folder}/data"):
        subprocess.run(["umount", f"{folder}/data"], check=True)
    shutil.rmtree(folder, ignore_errors=True)

def begin(apps, minions=(("pair", PAIR_MINION, PAIR),), more="", before=lambda: None):
    """An empty installation, with a copy of the program: a build beside us must not change what is measured."""
    global network
    sweep(HERE)
    os.makedirs(HERE)
    before()
    shutil.copy(program, SUMMONER[0])
    # 10.N.0.0/16 that neither the host nor the engine has: the lower half is Summoner's, the upper one Compose's.
    taken = subprocess.check_output(["ip", "-4", "route"], text=True) + json.dumps(engine("GET", "/networks"))
    network = next(f"10.{n}" for n in range(200 + os.getpid() % 50, 256) if f"10.{n}." not in taken)
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as https:
        ports = f"http_port: {http.getsockname()[1]}, https_port: {https.getsockname()[1]}"
    for name, minion, services in minions:
        write(f"minions/{name}/minion.yml", minion), write(f"minions/{name}/docker-compose.yml", services)
    write("config.yml", f"version: 1\ndomain: {NAME}.localhost\nemail: someone@{NAME}.localhost\n"
          f"networks: {{edge: {NAME}, range: {network}.0.0/17}}\nproxy: {{address: 127.0.0.1, {ports}}}\n{more}apps:\n{apps}")

def write(path, text, owner=0):
    """Gives the path; without text it is a folder."""
    path = pathlib.Path(HERE, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(exist_ok=True) if text is None else path.write_text(text)
    os.chown(path, owner, owner)
    return str(path)

def header():
    print(f"{'what : peer':<40} {'summoner':>9} {'peer':>9} {'ratio':>5} {'aim':>5} verdict", flush=True)

def times(seconds):
    return f"{seconds * 1000:,.0f} ms" if seconds < 9 else f"{seconds:.1f} s"

def megabytes(size):
    return f"{size:.0f} MB" if size >= 10 else f"{size:.1f} MB"

def row(what, ours, theirs, aim, shown=times):
    """A line of the table. `aim` is the highest ratio that is good; None for a line that only informs."""
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    ratio = lambda value: "" if value is None else "0" if not value else f"{value:.2f}" if value > 0.1 else f"1/{1 / value:.0f}"
    verdicts.append("" if aim is None else "ok" if ours <= aim * theirs else "MISSED")
    print(f"{what:<40} {shown(ours):>9} {shown(theirs):>9} {ratio(ours / theirs if theirs else None):>5} {ratio(aim):>5} {verdicts[-1]}".rstrip(), flush=True)
    return ours

def note(text):
    print(f"  {text}", flush=True)

def prepare(images, programs, doc):
    """The program, the images and the tools; what a killed run left goes."""
    global program
    missing = [each for each in ("docker", "curl", "time", "setpriv", *programs) if not shutil.which(each)]
    if os.geteuid() or missing:
        sys.exit(f"bench: needs root{''.join(', ' + each for each in missing)} (apt-get install {' '.join(missing)})\n{doc}")
    program = os.environ.get("SUMMONER_BIN") or f"{os.environ.get('CARGO_TARGET_DIR', f'{ROOT}/target')}/release/summoner"
    if "SUMMONER_BIN" not in os.environ:
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    subprocess.run([f"{ROOT}/scripts/images", *images], check=True, stdout=subprocess.DEVNULL)
    alive = subprocess.check_output(["pgrep", "-f", "bench (install|proxy|backup|recovery)"], text=True).split()
    for left in (left for left in glob.glob(f"{PREFIX}*") if left.removeprefix(PREFIX) not in alive):
        sweep(left)

def guarded(work):
    """Does the work and removes everything, also when interrupted; gives whether an aim was missed."""
    for each in SIGNALS:
        signal.signal(each, lambda number, _: sys.exit(128 + number))
    try:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Docker Engine {engine('GET', '/version')['Version']}, ", end="")
        work()
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        sweep(HERE)
    return "MISSED" in verdicts

"""What `summoner install` and `summoner plan` cost."""
import json, os, pathlib, subprocess, sys, time

from . import bed
from .bed import HERE, IMAGE, LABEL, NAME, PAIR, ROOT, SOCKET, SUMMONER, engine, row, run, together, write

INSTANCES, FOREIGN = 30, (250, 500, 1000)
UNCHANGED_ROUNDS, PLAN_ROUNDS, GHOST_ROUNDS = 5, 15, 3

def project(number, text, services, variables):
    """The same file for Compose, as arguments of run; a second file adds our label and a subnet and changes nothing else."""
    folder = f"compose/{number}"
    write(f"{folder}/docker-compose.yml", text)
    write(f"{folder}/.env", "".join(f"{key}={value}\n" for key, value in variables.items()))
    subnet = f"{bed.network}.{128 + number // 8}.{number % 8 * 32}/27"
    more = {"services": {each: {"labels": {LABEL: HERE}} for each in services},
            "networks": {"default": {"labels": {LABEL: HERE}, "ipam": {"config": [{"subnet": subnet}]}}}}
    write(f"{folder}/docker-compose.override.yml", json.dumps(more))
    return [compose, "-p", f"{NAME}-{number}", "up", "-d"], f"{HERE}/{folder}"

def unchanged():
    files = lambda n: os.path.dirname(write(f"files/{n}/html", None))
    ready = [project(n, PAIR, ("app", "cache"), {"SECRET_TOKEN": "0" * 32, "FILES": files(n)}) for n in range(INSTANCES)]
    together(lambda each: run(*each), ready)
    ours, loop, four = [], [], []
    for _ in range(UNCHANGED_ROUNDS):
        ours.append(run([*SUMMONER, "install"]))
        loop.append(sum(run(*each) for each in ready))
        since = time.monotonic()
        together(lambda each: run(*each), ready)
        four.append(time.monotonic() - since)
    row(f"install, unchanged : {INSTANCES} compose up in turn", ours, loop, 1 / 20)
    row("                   : four at a time", ours, four, None)

def plan():
    bare = ["curl", "-fsS", "-o", f"{HERE}/list", "--unix-socket", SOCKET, "http://docker/v1.41/containers/json?all=1"]
    body = {"Image": IMAGE, "Cmd": ["true"], "Labels": {LABEL: HERE}, "HostConfig": {"NetworkMode": "none"}}
    seen = []
    for have, want in zip((0, *FOREIGN), FOREIGN):
        together(lambda _: engine("POST", "/containers/create", body), range(want - have))
        ours, theirs = [], []
        for _ in range(PLAN_ROUNDS):
            theirs.append(run(bare))
            ours.append(run([*SUMMONER, "plan", "--check"]))
        count = len(json.loads(pathlib.Path(HERE, "list").read_text()))
        seen.append((count, row(f"plan : bare list, {count:,} containers", ours, theirs, 2)))
    (few, before), (many, after) = seen[0], seen[-1]
    row(f"plan, {many:,} : {many / few:.1f} times plan, {few:,}", [after], [before * many / few], 1)
    for command in ("plan", "install"):
        row(f"peak memory of {command} : the aim", [bed.peak([*SUMMONER, command])], [40], 1, bed.megabytes)

def ghost():
    healthy, whole, theirs = [], [], []

    def ours():
        since = time.monotonic()
        hear = lambda line: healthy.append(time.monotonic() - since) if "creating the first administrator" in line else None
        whole.append(run([*SUMMONER, "install", "--progress", "json"], hear=hear))

    def peer():
        write("secrets/db_password", "0" * 32), write("secrets/db_root_password", "0" * 32)
        content, _ = write("files/content", None, 1000), write("files/content/logs", None, 1000)
        text = (ROOT / "minions/ghost/docker-compose.yml").read_text()
        values = {"TZ": "Etc/UTC", "URL": f"https://blog.{NAME}.localhost", "SECRET_DB_PASSWORD": "0" * 32, "SECRETS": f"{HERE}/secrets",
                  "FILES": os.path.dirname(content), "DATABASE_FILES": write("database", None, 999)}
        words, folder = project(0, text, ("app", "db"), values)
        theirs.append(run([*words, "--wait"], folder))
    for n in range(GHOST_ROUNDS):
        # In turn the first: whoever comes second finds the images in memory.
        for each in (ours, peer) if n % 2 else (peer, ours):
            bed.begin("  ghost:\n")
            each()
    # No slower: both wait for the same health checks, whose ticks of 3 and 5 s leave some noise.
    row("cold Ghost until healthy : up --wait", healthy, theirs, 1.05)
    row("  with administrator, route and probe", whole, theirs, None)

PARTS = {"unchanged": unchanged, "plan": plan, "ghost": ghost}

def measure(parts):
    print(f"Compose {subprocess.check_output([compose, 'version', '--short'], text=True).strip()}; medians\n")
    bed.header()
    if parts != ("ghost",):
        bed.begin("".join(f"  p{n}: {{minion: pair, subdomain: p{n}}}\n" for n in range(INSTANCES)))
        run([*SUMMONER, "install"])
    for part in (part for name, part in PARTS.items() if name in (parts or PARTS)):
        part()

def main(parts, doc):
    global compose
    if set(parts) - set(PARTS):
        sys.exit(print(doc) or 2)
    compose = subprocess.check_output([f"{ROOT}/scripts/compose-oracle"], text=True).strip()
    bed.prepare((IMAGE, "ghost:6.59.0", "mysql:8.4.11"), (), doc)
    return bed.guarded(lambda: measure(parts))

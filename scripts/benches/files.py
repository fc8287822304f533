"""Files of an application: copied cold, and brought back; how long it stands still."""
import json, os, pathlib, random, shutil, subprocess, time

from . import bed
from .bed import HERE, IMAGE, NAME, SUMMONER, engine, note, row, run
from .databases import prose

SMALL, SMALL_BYTES, LARGE = 20_000, 16_384, 20
ROUNDS, CHANGED = 3, 100
INSTANCE, APP = f"files-{NAME}.localhost", f"files-{NAME}.localhost"
FOLDER = f"{HERE}/data/{INSTANCE}/html"
REPOSITORY, ROOM = f"{HERE}/restic", f"{HERE}/restored"
MINION = ("files", """{version: 1, summary: Files, routes: [{port: 80}], folders: {html: {}}, smoke: {path: /, expect: [200, 403]},
 needs: {memory: 10m, disk: 10m}, versions: {tags: '1[.].*', step: minor, restore: newer}}""",
 f'services:\n  app: {{image: {IMAGE}, volumes: ["${{FILES}}/html:/usr/share/nginx/html"], restart: unless-stopped}}\n')

def fill(gigabytes):
    """Small files, and large ones with the rest; half of all is text, half is as pictures are."""
    text = prose().encode()
    seed, large = random.Random(3), int((gigabytes * 1e9 - SMALL * SMALL_BYTES) / LARGE)
    for number in range(SMALL):
        folder = f"{FOLDER}/{number % 100:02}"
        if number < 100:
            os.makedirs(folder, exist_ok=True)
        at = seed.randrange(len(text) - SMALL_BYTES)
        pathlib.Path(folder, f"{number}").write_bytes(os.urandom(SMALL_BYTES) if number % 2 else text[at:at + SMALL_BYTES])
    for number in range(LARGE):
        with open(f"{FOLDER}/large{number}", "wb") as out:
            left = large
            while left > 0:
                at = seed.randrange(len(text) - (1 << 20))
                left -= out.write((os.urandom(1 << 20) if number % 2 else text[at:at + (1 << 20)])[:left])

def change(turn):
    """One of a hundred files is written anew, and a hundredth of the large ones is written over where it lies."""
    for number in range(turn % CHANGED, SMALL, CHANGED):
        pathlib.Path(FOLDER, f"{number % 100:02}", f"{number}").write_bytes(os.urandom(SMALL_BYTES))
    size = os.path.getsize(f"{FOLDER}/large0")
    for number in range(LARGE):
        with open(f"{FOLDER}/large{number}", "r+b") as out:
            out.seek((turn * 37 + number * 5) % 100 * (size // CHANGED))
            out.write(os.urandom(size // CHANGED))

def size(folder):
    # A file with two names is stored once.
    stats = [entry.stat(follow_symlinks=False) for entry in pathlib.Path(folder).rglob("*") if entry.is_file()]
    return sum({each.st_ino: each.st_size for each in stats}.values()) / 1e6

def restic(*words):
    return run(["restic", "-r", REPOSITORY, "--cache-dir", f"{HERE}/cache", "--password-file", f"{HERE}/password", "-q", *words])

def restic_begin():
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    bed.write("password", "bench")
    restic("init")

def version():
    return subprocess.run(["restic", "version"], capture_output=True, text=True).stdout.split()[1] if shutil.which("restic") else None

def files():
    """Each in turn on the same files, who comes first changing; bytes are what the repositories grew by."""
    if not version():
        return note("files : restic is not measured, since it is not there (apt-get install restic)")
    restic_begin()
    mine = f"{HERE}/data/backups"
    for turn, what in enumerate(("first", "1 % changed", "nothing changed")):
        if turn == 1:
            change(turn)
        took, grew = {}, {}
        for who in (("ours", "theirs"), ("theirs", "ours"))[turn % 2]:
            folder = mine if who == "ours" else REPOSITORY
            before = size(folder)
            # Whoever flushes must not wait for what the other left.
            os.sync()
            took[who] = run([*SUMMONER, "backup", INSTANCE]) if who == "ours" else restic("backup", FOLDER)
            grew[who] = size(folder) - before
        row(f"backup, {what} : restic", [took["ours"]], [took["theirs"]], 1)
        row("  bytes", [grew["ours"]], [grew["theirs"]], 1.1 if turn < 2 else None, bed.megabytes)
    os.sync()
    theirs = [restic("restore", "latest", "--target", ROOM)]
    shutil.rmtree(ROOM)
    run([*SUMMONER, "stop", INSTANCE])
    os.sync()
    stages = bed.Stages()
    row("restore : restic", [stages.run("restore", INSTANCE, "--only", "files")], theirs, 1)
    note(str(stages))
    run([*SUMMONER, "restore", INSTANCE, "--confirm"])

def stopped(work=lambda: None):
    """How long the app stands still around some work."""
    since = time.monotonic()
    engine("POST", f"/containers/{APP}/stop")
    work()
    engine("POST", f"/containers/{APP}/start")
    return time.monotonic() - since

def downtime(aim):
    run([*SUMMONER, "backup", INSTANCE])
    ours, bare, passes = [], [], []
    if version():
        restic_begin()
        restic("backup", FOLDER)
    for turn in range(ROUNDS):
        change(turn + 10)
        bare.append(stopped())
        if version():
            restic("backup", FOLDER)
            passes.append(stopped(lambda: restic("backup", FOLDER)))
        run([*SUMMONER, "backup", INSTANCE])
        last = json.loads(subprocess.check_output([*SUMMONER, "snapshots", INSTANCE, "--json"], env=bed.ENVIRONMENT))
        ours.append(newest(last) / 1000)
    archive = [stopped(lambda: run(["bash", "-o", "pipefail", "-c", f"tar c -C {FOLDER} . | zstd -3 -T0 -q > {HERE}/archive"]))]
    row(f"downtime of a backup : bare + {aim} s", ours, [each + aim for each in bare], 1)
    row("  : bare stop and start", ours, bare, None)
    if passes:
        row("  : restic's second pass", ours, passes, None)
    row("  : stop, tar | zstd, start", ours, archive, None)

def newest(answer):
    snapshots = answer["snapshots"] if isinstance(answer, dict) else answer
    return [each["downtime_ms"] for each in sorted(snapshots, key=lambda each: each["id"]) if each.get("downtime_ms") is not None][-1]

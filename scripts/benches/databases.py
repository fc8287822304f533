"""Databases of some size: dumped, restored, and what a plain pipe needs for the same."""
import os, pathlib, random, subprocess, time

from . import bed
from .bed import ENVIRONMENT, HERE, IMAGE, LABEL, NAME, SUMMONER, engine, note, row, run

ROUNDS = 3
# What a table's row holds besides its text, about.
ROW_BYTES, TABLES_COUNT, WORDS = 620, 4, 2000
HEALTHY = "interval: 2s, timeout: 5s, retries: 30, start_period: 120s"
APP = f'app: {{image: {IMAGE}, volumes: ["${{FILES}}/html:/usr/share/nginx/html:ro"], restart: unless-stopped}}'
MINION = """{{version: 1, summary: A database, routes: [{{port: 80}}], folders: {{html: {{}}}}, secrets: {{db_password: {{}}, db_root_password: {{}}}},
 databases: [{{service: db, kind: {kind}, name: bench, user: {user}, password: db_password{root}}}],
 smoke: {{path: /, expect: [200, 403]}}, needs: {{memory: 10m, disk: 10m}}, versions: {{tags: '1[.].*', step: minor, restore: newer}}}}"""
SERVICES = """services:
  {app}
  db:
    image: {image}
    environment: {environment}
    secrets: [db_password, db_root_password]
    volumes: ["${{DATABASE_FILES}}:{data}"]
    healthcheck: {{test: {test}, {healthy}}}
    restart: unless-stopped
    stop_grace_period: 60s
secrets: {{db_password: {{file: "${{SECRETS}}/db_password"}}, db_root_password: {{file: "${{SECRETS}}/db_root_password"}}}}
"""

class Kind:
    """One server and what is said to it; its passwords are in its own environment, as a person at a keyboard would use them."""
    def __init__(self, name, image, data, environment, test, user, root, dump, ask, take, tidy):
        self.name, self.image, self.user, self.root = name, image, user, root
        self.data, self.environment, self.test = data, environment, test
        self.dump, self.ask, self.take, self.tidy = dump, ask, take, tidy
        # The kind alone is reserved: it is the role of the container.
        self.instance = f"my{name}-{NAME}.localhost"
        self.container = f"{name}-{self.instance}"

    def minion(self):
        services = SERVICES.format(app=APP, image=self.image, environment=self.environment, data=self.data, test=self.test, healthy=HEALTHY)
        return f"my{self.name}", MINION.format(kind=self.name, user=self.user, root=self.root), services

MARIADB = Kind("mariadb", "mariadb:11.8.8", "/var/lib/mysql",
    "{MARIADB_DATABASE: bench, MARIADB_USER: bench, MARIADB_PASSWORD_FILE: /run/secrets/db_password, "
    "MARIADB_ROOT_PASSWORD_FILE: /run/secrets/db_root_password}",
    '["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"]', "bench", ", root: {user: root, password: db_root_password}",
    "MYSQL_PWD=$(cat /run/secrets/db_root_password) mariadb-dump -uroot --single-transaction --quick --hex-blob --routines --events "
    "--default-character-set=utf8mb4 --databases bench",
    "MYSQL_PWD=$(cat /run/secrets/db_root_password) mariadb -uroot --local-infile=1 bench",
    "load data local infile '/dev/stdin' into table {} character set utf8mb4;", "analyze table {};")
POSTGRESQL = Kind("postgresql", "postgres:17.11", "/var/lib/postgresql/data",
    "{POSTGRES_DB: bench, POSTGRES_USER: bench, POSTGRES_PASSWORD_FILE: /run/secrets/db_password}",
    '["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "bench", "-d", "bench"]', "bench", "",
    "pg_dump -U bench -Fc -Z0 bench", "psql -q -v ON_ERROR_STOP=1 -U bench bench", "copy {} from stdin;", "vacuum analyze {};")
KINDS = (MARIADB, POSTGRESQL)
TABLES = ("create table posts{0} (id bigint primary key, author int not null, title varchar(200) not null, at timestamp not null,"
          " body text not null); create index by_author{0} on posts{0} (author, at);")

def inside(kind, script, **more):
    """A shell in the server's container."""
    return run(["docker", "exec", "-i", kind.container, "sh", "-c", script], **more)

def prose():
    """16 MB of words: longer than zstd's window, so that what repeats is words and not the text."""
    seed = random.Random(7)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(seed.choices(letters, range(22, 0, -1), k=seed.randint(2, 11))) for _ in range(WORDS)]
    return " ".join(seed.choices(words, [1 / (n + 2) for n in range(WORDS)], k=2_800_000))

def rows(path, begin, end, text):
    """Rows of a blog as both servers read them: columns by tabs."""
    seed, last = random.Random(begin), len(text) - 1500
    with open(path, "w") as out:
        for number in range(begin, end):
            at, length = seed.randrange(last), seed.randrange(150, 950)
            out.write(f"{number}\t{number % 977}\t{text[at:at + 40]}\t2026-{number % 12 + 1:02}-{number % 28 + 1:02} 12:{number % 60:02}:00\t{text[at:at + length]}\n")

def fill(gigabytes, begin=0.0):
    """Brings the tables of both servers from one size to another."""
    first, end = (int(size * 1e9 / ROW_BYTES / TABLES_COUNT) for size in (begin, gigabytes))
    rows(f"{HERE}/rows", first, end, prose())
    for kind in KINDS:
        for number in range(TABLES_COUNT):
            if not first:
                inside(kind, f"echo '{TABLES.format(number)}' | {kind.ask}")
            words = "-c" if kind is POSTGRESQL else "-e"
            with open(f"{HERE}/rows") as source:
                inside(kind, f'{kind.ask} {words} "{kind.take.format(f"posts{number}")}"', stdin=source)
            inside(kind, f"{kind.ask} {words} '{kind.tidy.format(f'posts{number}')}'")
    os.remove(f"{HERE}/rows")

def cpu(kind):
    """Seconds of CPU that a container has used."""
    return engine("GET", f"/containers/{kind.container}/stats?stream=false&one-shot=true")["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9

def children():
    """Seconds of CPU that our own ended children have used."""
    times = os.times()
    return times.children_user + times.children_system

def limit(kind):
    """The least time that this machine can need: engine alone, compressor alone, and the CPU of both shared by all cores."""
    before = cpu(kind)
    alone = inside(kind, f"{kind.dump} > /dev/null")
    engine_cpu, before = cpu(kind) - before, children()
    compressor = run(["zstd", "-3", "-T0", "-q", "-f", f"{HERE}/dump", "-o", f"{HERE}/dump.zst"])
    return alone, compressor, (engine_cpu + children() - before) / os.cpu_count()

def keep(kind):
    """The same bytes in a file, for the compressor and for restores."""
    shell(f"docker exec {kind.container} sh -c '{kind.dump}' > {HERE}/dump")
    return os.path.getsize(f"{HERE}/dump") / 1e9

def shell(script):
    return run(["bash", "-o", "pipefail", "-c", script])

def dump():
    for kind in KINDS:
        size = keep(kind)
        ours, limits, gzip = [], [], []
        for _ in range(ROUNDS):
            limits.append(limit(kind))
            os.sync()
            ours.append(run([*SUMMONER, "dump", kind.instance]))
        gzip.append(shell(f"docker exec {kind.container} sh -c '{kind.dump}' | gzip > {HERE}/dump.gz"))
        row(f"dump, {kind.name}, {size:.1f} GB : the limit", ours, [max(each) for each in limits], 1.15)
        row("  : docker exec | gzip", ours, gzip, 1 / 4)
        alone, compressor, both = (sorted(each)[ROUNDS // 2] for each in zip(*limits))
        note(f"the limit: engine alone {alone:.1f} s, zstd -3 alone {compressor:.1f} s, CPU of both over the cores {both:.1f} s")

def restore():
    for kind in KINDS:
        size = keep(kind)
        run([*SUMMONER, "dump", kind.instance])
        theirs = [plain(kind)]
        # Stopped first: the snapshot for safety, which a plain pipe has not, is not what is measured.
        run([*SUMMONER, "stop", kind.instance])
        os.sync()
        stages = bed.Stages()
        ours = [stages.run("restore", kind.instance, "--only", "database")]
        run([*SUMMONER, "restore", kind.instance, "--confirm"])
        peer, aim = ("mariadb < file", 0.8) if kind is MARIADB else ("pg_restore -j2", 1.1)
        row(f"restore, {kind.name}, {size:.1f} GB : {peer}", ours, theirs, aim)
        note(str(stages))

def plain(kind):
    """A new server with the image's defaults, loaded by the tool alone."""
    name, folder = f"{NAME}-plain", bed.write("plain", None)
    secret = bed.write("plain-secret", "plain")
    words = ["docker", "run", "-d", "--name", name, "--label", f"{LABEL}={HERE}", "--network", "none", "--shm-size", "256m",
             "-v", f"{folder}:{kind.data}", "-v", f"{HERE}/dump:/dump:ro"]
    if kind is MARIADB:
        run([*words, "-e", "MARIADB_ROOT_PASSWORD=plain", kind.image])
        ready, load = "MYSQL_PWD=plain mariadb -h127.0.0.1 -uroot -e 'select 1'", "MYSQL_PWD=plain mariadb -uroot < /dump"
    else:
        run([*words, "-e", "POSTGRES_USER=bench", "-e", "POSTGRES_PASSWORD=plain", "-e", "POSTGRES_DB=bench", kind.image])
        ready, load = "pg_isready -h 127.0.0.1 -U bench -d bench", "pg_restore -U bench -j2 -d bench /dump"
    for _ in range(240):
        if not subprocess.run(["docker", "exec", name, "sh", "-c", ready], capture_output=True, env=ENVIRONMENT).returncode:
            break
        time.sleep(0.5)
    took = run(["docker", "exec", name, "sh", "-c", load])
    run(["docker", "rm", "-f", "-v", name])
    subprocess.run(["rm", "-rf", folder, secret], check=True)
    return took

def memory(size):
    """At a quarter of the size and at the size: what grows would show."""
    peaks = []
    for begin, end in ((0, size / 4), (size / 4, size)):
        fill(end, begin)
        peaks.append([bed.peak([*SUMMONER, "dump", kind.instance]) for kind in KINDS])
    for kind, few, many in zip(KINDS, *peaks):
        row(f"peak memory of dump, {kind.name} : the aim", [many], [64], 1, bed.megabytes)
        row("  : at a quarter of the size", [many], [few], 1.25, bed.megabytes)

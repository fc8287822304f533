"""What `summoner dump`, `backup`, `restore` and `daemon` cost."""
import json, os, pathlib, shutil, signal, subprocess, sys, time

from . import bed, databases, files
from .bed import HERE, IMAGE, NAME, SUMMONER, row, run

INSTANCES, IDLE_SECONDS, SETTLE_SECONDS = 30, 60, 15
# On a file system of its own, data has room for everything that is measured.
DISK_TIMES = 16
AIM_STILL = {"ext4": 0.4, "xfs": 0.3, "btrfs": 0.3}

def mounted(kind, gigabytes):
    """All data on a file system of its own."""
    if kind == "as it is":
        return
    image = bed.write("disk", "")
    os.truncate(image, int(gigabytes * DISK_TIMES * 1e9))
    os.makedirs(f"{HERE}/data")
    run([f"mkfs.{kind}", image])
    run(["mount", "-o", "loop", image, f"{HERE}/data"])

def installed(kind, gigabytes, *minions):
    bed.begin("".join(f"  {name}:\n" for name, *_ in minions), minions, before=lambda: mounted(kind, gigabytes))
    run([*SUMMONER, "install"])

def with_databases(*parts):
    def work(kind, gigabytes):
        installed(kind, gigabytes, *(each.minion() for each in databases.KINDS))
        if "memory" in parts:
            databases.memory(gigabytes)
        else:
            databases.fill(gigabytes)
        for part in (part for part in parts if part != "memory"):
            {"dump": databases.dump, "restore": databases.restore}[part]()
    return work

def with_files(*parts):
    def work(kind, gigabytes):
        installed(kind, gigabytes, files.MINION)
        files.fill(1.5 * gigabytes)
        if "files" in parts:
            files.files()
        if "downtime" in parts:
            files.downtime(AIM_STILL.get(kind, AIM_STILL["ext4"]))
        if "memory" in parts:
            files.change(90)
            row("peak memory of backup : the aim", [bed.peak([*SUMMONER, "backup", files.INSTANCE])], [64], 1, bed.megabytes)
    return work

def daemon(kind, gigabytes):
    """Idle: nothing of what it would do comes within a day."""
    bed.begin("".join(f"  p{n}: {{minion: pair, subdomain: p{n}}}\n" for n in range(INSTANCES)))
    run([*SUMMONER, "install"])
    with subprocess.Popen([*SUMMONER, "daemon"], env=bed.ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            time.sleep(SETTLE_SECONDS)
            before = used(child.pid)
            time.sleep(IDLE_SECONDS)
            cpu = (used(child.pid) - before) / IDLE_SECONDS
            status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6
        finally:
            child.terminate()
    row(f"daemon, idle, {INSTANCES} instances : the aim", [resident], [30], 1, bed.megabytes)
    row("  CPU", [100 * cpu], [0.1], 1, lambda percent: f"{percent:.2f} %")

def used(pid):
    """Seconds of CPU of a process, its threads and its ended children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

PARTS = ("dump", "restore", "downtime", "files", "memory", "daemon")

def measure(parts, kind, gigabytes):
    print(f"restic {files.version() or 'is not there'}, data on {'the file system of /tmp' if kind == 'as it is' else kind}, {gigabytes:g} GB\n")
    bed.header()
    wanted = lambda *names: [name for name in names if name in parts]
    # Filling is what takes long: parts that need the same share it.
    if wanted("memory", "dump", "restore"):
        with_databases(*wanted("memory", "dump", "restore"))(kind, gigabytes)
    if wanted("files", "downtime"):
        with_files(*wanted("files", "downtime", "memory"))(kind, gigabytes)
    if "daemon" in parts:
        daemon(kind, gigabytes)

def main(words, doc):
    words, kind, gigabytes = list(words), "as it is", 1.0
    while len(words) > 1 and words[0] in ("--size", "--on"):
        option, value, *words = words
        kind, gigabytes = (value, gigabytes) if option == "--on" else (kind, float(value))
    if set(words) - set(PARTS) or kind not in ("as it is", *AIM_STILL):
        sys.exit(print(doc) or 2)
    parts = words or PARTS
    images = (IMAGE, *(kind.image for kind in databases.KINDS))
    bed.prepare(images, ("zstd", "tar", *(() if kind == "as it is" else (f"mkfs.{kind}",))), doc)
    if not shutil.which("restic") and {"files", "downtime"} & set(parts):
        subprocess.run(["apt-get", "install", "-y", "-qq", "restic"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return bed.guarded(lambda: measure(parts, kind, gigabytes))

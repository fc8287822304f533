"""What a second place for snapshots, a drill and the recovery of a whole server cost."""
import os, pathlib, shutil, socket, subprocess, sys, time, urllib.request

from . import bed
from .bed import HERE, NAME, ROOT, SUMMONER, note, row, run

# Where each application keeps files of its own, and whose they are.
APPS = {"ghost": ("content/images", 1000), "wordpress": ("html/wp-content/uploads", 33), "etherpad": ("var", 0)}
FILE, BUCKET, KEY, SECRET = 1_000_000, "backups", "bench", "benchbench"
UP_SECONDS = 60

def instance(app):
    return f"{app}-{NAME}.localhost"

def fill(gigabytes):
    """Files that do not compress: what people upload."""
    for app, (folder, owner) in APPS.items():
        root = pathlib.Path(HERE, "data", instance(app), folder)
        root.mkdir(parents=True, exist_ok=True)
        for number in range(int(gigabytes * 1e9 / FILE)):
            path = root / f"upload-{number}.bin"
            path.write_bytes(os.urandom(FILE))
            os.chown(path, owner, owner)

class Store:
    """MinIO on loopback."""
    def __enter__(self):
        folder = subprocess.check_output([f"{ROOT}/scripts/stores"], text=True).split()[-1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        os.makedirs(f"{HERE}/store/{BUCKET}")
        words = ["setpriv", "--pdeathsig", "KILL", f"{folder}/bin/minio", "server", "--quiet", "--address", self.address, f"{HERE}/store"]
        environment = {**bed.ENVIRONMENT, "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET}
        self.child = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + UP_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://{self.address}/minio/health/live", timeout=2)
                break
            except OSError:
                if time.monotonic() > until:
                    raise SystemExit("bench: the object store does not answer")
                time.sleep(0.2)
        bed.ENVIRONMENT.update(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()

    def place(self, prefix):
        return f"s3+http://{self.address}/{BUCKET}/{prefix}"

    def rclone(self, *words):
        remote = ["--s3-provider", "Minio", "--s3-endpoint", f"http://{self.address}", "--s3-access-key-id", KEY, "--s3-secret-access-key", SECRET]
        return run(["rclone", "copy", "--config", "/dev/null", *remote, *words])

def burn():
    """The machine is gone; its repository lies at the store."""
    query = f"filters=%7B%22label%22%3A%5B%22summoner.root={HERE}/data%22%5D%7D"
    bed.together(lambda each: bed.engine("DELETE", f"/containers/{each['Id']}?force=1&v=1"), bed.engine("GET", f"/containers/json?all=1&{query}"))
    bed.together(lambda each: bed.engine("DELETE", f"/networks/{each['Id']}"), bed.engine("GET", f"/networks?{query}"))
    shutil.rmtree(f"{HERE}/data")
    for name in ("config.yml", ".summoner"):
        pathlib.Path(HERE, name).unlink(missing_ok=True)

def measure(parts, gigabytes):
    print(f"{gigabytes:g} GB an application: {', '.join(APPS)}\n")
    bed.header()
    bed.begin("".join(f"  {app}:\n" for app in APPS), minions=())
    with Store() as store:
        with open(f"{HERE}/config.yml", "a") as config:
            config.write(f"repositories: {{cloud: '{store.place('ours')}'}}\n")
        run([*SUMMONER, "install"])
        fill(gigabytes)
        run([*SUMMONER, "backup"])
        if "sync" in parts:
            sync(store)
        if "drill" in parts:
            drill()
        if "whole" in parts:
            whole(store)
        if "memory" in parts:
            memory(store)

def sync(store):
    theirs = store.rclone(f"{HERE}/data/backups", f":s3:{BUCKET}/theirs")
    ours = run([*SUMMONER, "sync", "cloud"])
    row("sync of all to S3, read back : rclone copy", [ours], [theirs], 1.1)

def restores():
    """Of each application, onto the one that is there: what a person would type."""
    took = {}
    for app in APPS:
        took[app] = run([*SUMMONER, "restore", instance(app)])
        run([*SUMMONER, "restore", instance(app), "--confirm"])
    return took

def drill():
    # Its own safety snapshot is no part of what a drill does: of an unchanged application it costs next to nothing.
    restore = restores()["ghost"]
    row("drill of ghost : its restore", [run([*SUMMONER, "drill", instance("ghost")])], [restore], 1.3)

def whole(store):
    run([*SUMMONER, "sync", "cloud"])
    download = store.rclone(f":s3:{BUCKET}/ours", f"{HERE}/download")
    shutil.rmtree(f"{HERE}/download")
    restore = sum(restores().values())
    burn()
    ours = run([*SUMMONER, "install", "--restore-from", store.place("ours")])
    row("whole server from S3 : download, restores", [ours], [download + restore], 1.2)
    note(f"downloads {download:.1f} s, restores {restore:.1f} s")

def memory(store):
    run([*SUMMONER, "backup"])
    row("peak memory of sync : the aim", [bed.peak([*SUMMONER, "sync", "cloud"])], [96], 1, bed.megabytes)
    burn()
    words = [*SUMMONER, "install", "--restore-from", store.place("ours")]
    row("peak memory of a recovery : the aim", [bed.peak(words)], [96], 1, bed.megabytes)

PARTS = ("sync", "drill", "whole", "memory")

def main(words, doc):
    words, gigabytes = list(words), 1.0
    while len(words) > 1 and words[0] == "--size":
        _, value, *words = words
        gigabytes = float(value)
    if set(words) - set(PARTS):
        sys.exit(print(doc) or 2)
    images = ("ghost:6.59.0", "mysql:8.4.11", "wordpress:7.1.0-php8.3-apache", "mariadb:11.8.8", "etherpad/etherpad:3.3.1", "postgres:17.11", bed.IMAGE)
    bed.prepare(images, ("rclone",), doc)
    return bed.guarded(lambda: measure(words or PARTS, gigabytes))

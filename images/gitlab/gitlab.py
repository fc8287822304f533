"""GitLab's contract: GITLAB_OMNIBUS_CONFIG, three volumes, its own database, secrets beside it, upgrade stops."""
import hashlib
import ipaddress
import json
import os
import re
import secrets
import shutil
import sqlite3
import sys
import tarfile
import time

from contract import Application, need_volume, refuse
from databases import Sqlite

ETC, DATA, LOGS = "/etc/gitlab", "/var/opt/gitlab", "/var/log/gitlab"
DATABASE = f"{DATA}/postgresql/contract.sqlite"
ITEMS = f"{DATA}/git-data"
SECRETS = f"{ETC}/gitlab-secrets.json"
BACKUPS = f"{DATA}/backups"
VERSION = os.environ["CONTRACT_VERSION"]
STOPS = (2, 5, 8, 11)


def value_of(text):
    """The Ruby values that such a configuration holds: strings, numbers, booleans, lists, File.read."""
    text = text.strip()
    read = re.fullmatch(r"File\.read\((['\"])(.+?)\1\)((?:\.\w+)*)", text)
    if read:
        try:
            with open(read[2]) as handle:
                content = handle.read()
        except OSError as error:
            refuse(f"GITLAB_OMNIBUS_CONFIG: {error}")
        return content.strip() if read[3] else content
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return re.sub(r"\\(['\"\\])", r"\1", text[1:-1])
    if text.startswith("[") and text.endswith("]"):
        return re.findall(r"['\"]([^'\"]*)['\"]", text)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False, "nil": None}.get(text, text)


def statements(text):
    """Splits at line ends and semicolons outside of quotes and brackets; drops comments."""
    now, quoted, depth, comment = "", "", 0, False
    for letter in text + "\n":
        comment = letter != "\n" and (comment or (letter == "#" and not quoted))
        if comment:
            continue
        if quoted:
            quoted = "" if letter == quoted and not now.endswith("\\") else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        if letter in ";\n" and not quoted and depth <= 0:
            if now.strip():
                yield now.strip()
            now = ""
        else:
            now += letter
    if now.strip():
        refuse(f"the configuration ends inside a statement: {now.strip().splitlines()[0][:60]}")


def read_config():
    text = ""
    if os.path.exists(f"{ETC}/gitlab.rb"):
        with open(f"{ETC}/gitlab.rb") as handle:
            text = handle.read() + "\n"
    config = {}
    for statement in statements(text + os.environ.get("GITLAB_OMNIBUS_CONFIG", "")):
        call = re.fullmatch(r"((?:\w+_)?external_url)[ (]+(.*?)\)?", statement, re.S)
        keys = re.fullmatch(r"(\w+)((?:\[['\"]\w+['\"]\])*)\s*=(?!=)\s*(.+)", statement, re.S)
        if call:
            config[call[1]] = value_of(call[2])
        elif keys:
            path = ".".join([keys[1]] + re.findall(r"['\"](\w+)['\"]", keys[2]))
            config[path] = value_of(keys[3])
        else:
            refuse(f"GITLAB_OMNIBUS_CONFIG cannot be evaluated: {statement.splitlines()[0][:60]}")
    for path in config:
        if path.split(".")[0] in ("mattermost", "mattermost_external_url", "git_data_dirs"):
            refuse(f"{path.split('.')[0]} was removed from GitLab and is rejected")
    return config


def check_upgrade():
    path = f"{DATA}/gitlab-rails/VERSION"
    new = [int(n) for n in VERSION.split(".")]
    if os.path.exists(path):
        with open(path) as handle:
            old = [int(n) for n in handle.read().strip().split(".")]
        if old > new:
            refuse(f"the data is of version {'.'.join(map(str, old))}: GitLab does not downgrade to {VERSION}")
        for major in range(old[0], new[0] + 1):
            for minor in STOPS:
                if old[:2] < [major, minor] < new[:2]:
                    refuse(f"upgrade to {major}.{minor} first: it is a required stop before {VERSION}")
    with open(path, "w") as handle:
        handle.write(VERSION + "\n")


def key_digest():
    with open(SECRETS) as handle:
        return hashlib.sha256(json.load(handle)["gitlab_rails"]["db_key_base"].encode()).hexdigest()


def serve():
    for folder in (ETC, DATA, LOGS):
        need_volume(folder)
    for folder in ("postgresql", "git-data", "gitlab-rails", "backups"):
        os.makedirs(f"{DATA}/{folder}", exist_ok=True)
    config = read_config()
    url = config.get("external_url")
    if not url or not re.match(r"https?://[^/]+", str(url)):
        refuse("external_url is not set to a full URL in GITLAB_OMNIBUS_CONFIG")
    either = lambda key: config.get(f"gitlab_rails.nginx.{key}", config.get(f"nginx.{key}"))
    if url.startswith("https") and either("listen_https") is not False:
        refuse("external_url is https but listen_https is not false: it would wait for certificates of its own")
    port = either("listen_port") or (443 if url.startswith("https") else 80)
    check_upgrade()
    with open(f"{DATA}/contract-port", "w") as handle:
        handle.write(str(port))

    if not os.path.exists(SECRETS):
        with open(SECRETS + ".new", "w") as handle:
            json.dump({"gitlab_rails": {"db_key_base": secrets.token_hex(64)}}, handle, indent=2)
        os.chmod(SECRETS + ".new", 0o600)
        os.rename(SECRETS + ".new", SECRETS)
    database = Sqlite(DATABASE)
    app = Application("GitLab", VERSION, database, ITEMS)
    if not database.users():
        password = config.get("gitlab_rails.initial_root_password")
        if password is None:
            password = secrets.token_urlsafe(32)
            with open(f"{ETC}/initial_root_password", "w") as handle:
                handle.write(f"Password: {password}\n")
            os.chmod(f"{ETC}/initial_root_password", 0o600)
        if len(str(password)) < 8:
            refuse("initial_root_password is shorter than 8 characters")
        app.add_user("root", "admin@example.com", str(password), True)
        database.set_setting("key", key_digest())
    if database.setting("key") != key_digest():
        print("gitlab-secrets.json is not the one that this data was encrypted with", file=sys.stderr, flush=True)

    allowed = [ipaddress.ip_network(n) for n in config.get("gitlab_rails.monitoring_whitelist", ["127.0.0.0/8"])]

    def gate(request):
        if request.path_only.startswith("/-/"):
            if not any(ipaddress.ip_address(request.client_address[0]) in n for n in allowed):
                return 404, {"error": "not found"}
            return None
        # As with the real one: what the lost secrets encrypted ends in error 500.
        if request.path_only != "/users/sign_in" and database.setting("key") != key_digest():
            return 500, {"error": "gitlab-secrets.json does not fit this data"}
        return None

    app.gate = gate
    app.route("GET", "/users/sign_in")(app.page)
    app.route("GET", "/-/health")(lambda request: (200, "GitLab OK"))
    app.route("GET", "/-/liveness")(lambda request: (200, {"status": "ok"}))
    app.route("GET", "/-/readiness")(lambda request: (
        200 if database.ok() else 503, {"status": "ok" if database.ok() else "failed", "master_check": [{"status": "ok"}]}))

    @app.route("POST", "/oauth/token")
    def token(request):
        user = app.find_user(request.body.get("username"), request.body.get("password") or "")
        if request.body.get("grant_type") != "password" or not user:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": app.token_for(user), "token_type": "Bearer", "expires_in": 7200, "scope": "api"}

    @app.route("GET", "/api/v4/user")
    def me(request):
        user = app.user_of(request)
        if not user:
            return 401, {"message": "401 Unauthorized"}
        return 200, {"id": user["id"], "username": user["login"], "email": user["email"], "is_admin": bool(user["admin"])}

    app.serve(int(port))


def backup_command(words):
    options = dict(w.split("=", 1) for w in words if "=" in w)
    if words[:1] == ["create"]:
        os.makedirs(BACKUPS, exist_ok=True)
        name = options.get("BACKUP") or f"{int(time.time())}_{time.strftime('%Y_%m_%d')}_{VERSION}"
        path = f"{BACKUPS}/{name}_gitlab_backup.tar"
        copy = f"{BACKUPS}/.db.sqlite"
        source, target = sqlite3.connect(DATABASE), sqlite3.connect(copy)
        source.backup(target)
        target.close()
        with tarfile.open(path + ".new", "w") as tar:
            tar.add(copy, "db/database.sqlite")
            tar.add(ITEMS, "repositories")
        os.unlink(copy)
        os.chmod(path + ".new", 0o600)
        os.rename(path + ".new", path)
        print(f"Creating backup archive: {os.path.basename(path)} ... done\nBackup {name} is done.")
    elif words[:1] == ["restore"]:
        found = [n for n in sorted(os.listdir(BACKUPS)) if n.endswith("_gitlab_backup.tar")]
        name = f"{options['BACKUP']}_gitlab_backup.tar" if "BACKUP" in options else (found[-1] if found else "none")
        if name not in found:
            sys.exit(f"The backup file {BACKUPS}/{name} does not exist!")
        if f"_{VERSION}_" not in name:
            sys.exit(f"GitLab version mismatch: your current GitLab version ({VERSION}) differs from the backup's")
        stage = f"{BACKUPS}/.restore"
        shutil.rmtree(stage, ignore_errors=True)
        with tarfile.open(f"{BACKUPS}/{name}") as tar:
            tar.extractall(stage, filter="data")
        source, target = sqlite3.connect(f"{stage}/db/database.sqlite"), sqlite3.connect(DATABASE)
        source.backup(target)
        shutil.rmtree(ITEMS)
        os.rename(f"{stage}/repositories", ITEMS)
        shutil.rmtree(stage)
        print(f"Restoring {name} ... done")
    else:
        sys.exit("usage: gitlab-backup create | restore BACKUP=<id> force=yes")

"""Nextcloud's contract: unattended install, config.php, upgrades at start, maintenance mode, occ."""
import json
import os
import re
import secrets
import sys
import socket

import contract
from contract import Application, env, need_volume, refuse
from databases import Mysql, Postgres

HTML = "/var/www/html"
CONFIG = f"{HTML}/config/config.php"
VERSION = os.environ["CONTRACT_VERSION"]
UID = 33
FLAGS = ("installed", "maintenance")


def numbers(version):
    return [int(n) for n in version.split(".")]


def quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def unquote(text):
    return re.sub(r"\\(.)", r"\1", text)


def read_config():
    """Reads the simple PHP arrays that write_config and Nextcloud itself write."""
    with open(CONFIG) as handle:
        text = handle.read()
    domains = re.search(r"'trusted_domains' =>\s*array \((.*?)\)", text, re.S)
    config = {"trusted_domains": [unquote(d) for d in re.findall(r"=> '((?:[^'\\]|\\.)*)'", domains[1] if domains else "")]}
    for name, value in re.findall(r"^  '([\w.]+)' => '((?:[^'\\]|\\.)*)',", text, re.M):
        config[name] = unquote(value)
    for flag in FLAGS:
        config[flag] = re.search(rf"^  '{flag}' => true,", text, re.M) is not None
    return config


def write_config(config):
    lines = ["<?php", "$CONFIG = array ("]
    for name, value in config.items():
        if isinstance(value, bool):
            lines.append(f"  '{name}' => {'true' if value else 'false'},")
        elif isinstance(value, list):
            lines += [f"  '{name}' => ", "  array ("]
            lines += [f"    {i} => {quote(v)}," for i, v in enumerate(value)] + ["  ),"]
        else:
            lines.append(f"  '{name}' => {quote(value)},")
    with open(CONFIG + ".new", "w") as handle:
        handle.write("\n".join(lines + [");", ""]))
    os.chmod(CONFIG + ".new", 0o640)
    if os.getuid() == 0:
        os.chown(CONFIG + ".new", UID, UID)
    os.rename(CONFIG + ".new", CONFIG)


def open_database(config):
    host, _, port = config["dbhost"].partition(":")
    how = {"host": host, "user": config["dbuser"], "password": config["dbpassword"]}
    if config["dbtype"] == "pgsql":
        return Postgres(14, dbname=config["dbname"], port=int(port or 5432), **how)
    return Mysql({"mariadb": (10, 6), "mysql": (8, 0)}, database=config["dbname"], port=int(port or 3306), **how)


def wanted_database():
    for prefix, kind, name in (("MYSQL", "mysql", "DATABASE"), ("POSTGRES", "pgsql", "DB")):
        if os.environ.get(f"{prefix}_HOST"):
            read = {key: env(f"{prefix}_{part}", file=True) for key, part in
                    (("dbhost", "HOST"), ("dbname", name), ("dbuser", "USER"), ("dbpassword", "PASSWORD"))}
            return {"dbtype": kind, **read}
    refuse("neither MYSQL_HOST nor POSTGRES_HOST is set")


def check_redis():
    host = os.environ.get("REDIS_HOST")
    if not host:
        return
    password = env("REDIS_HOST_PASSWORD", "", file=True)
    try:
        with socket.create_connection((host, int(env("REDIS_HOST_PORT", "6379"))), 5) as link:
            if password:
                link.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(password.encode()), password.encode()))
                if not link.recv(200).startswith(b"+OK"):
                    refuse("REDIS_HOST refuses REDIS_HOST_PASSWORD")
            link.sendall(b"PING\r\n")
            answer = link.recv(200)
            if not answer.startswith(b"+PONG"):
                refuse(f"REDIS_HOST does not answer PING: {answer.decode(errors='replace').strip()}")
    except OSError as error:
        refuse(f"REDIS_HOST cannot be reached: {error}")


def prepare():
    need_volume(HTML)
    check_redis()
    version_file = f"{HTML}/version.php"
    if os.path.exists(CONFIG):
        if os.stat(CONFIG).st_uid != UID:
            refuse(f"{CONFIG} belongs to uid {os.stat(CONFIG).st_uid}, not to {UID}")
        old = read_config().get("version", VERSION)
        if numbers(old) > numbers(VERSION):
            refuse(f"the data is of version {old}, higher than this image's {VERSION}: no downgrade")
        if numbers(VERSION)[0] - numbers(old)[0] > 1:
            refuse(f"from {old} to {VERSION} skips a major version: upgrade one at a time")
        open_database(read_config())
        if old != VERSION:
            print(f"Upgrading nextcloud from {old} ...", flush=True)
            write_config({**read_config(), "version": VERSION})
    else:
        install()
    with open(version_file, "w") as handle:
        handle.write(f"<?php\n$OC_VersionString = '{VERSION}';\n")
    os.chown(version_file, UID, UID)


def install():
    admin, password = env("NEXTCLOUD_ADMIN_USER", file=True), env("NEXTCLOUD_ADMIN_PASSWORD", file=True)
    config = wanted_database()
    database = open_database(config)
    if database.users():
        refuse("the database holds an installation but config/config.php is gone: restore it")
    folders = ["config", "data", "custom_apps", "themes"]
    for folder in folders:
        os.makedirs(f"{HTML}/{folder}", exist_ok=True)
        os.chown(f"{HTML}/{folder}", UID, UID)
    for name, text in (("index.php", "<?php\n"), ("occ", "#!/usr/bin/env php\n"), ("cron.php", "<?php\n")):
        with open(f"{HTML}/{name}", "w") as handle:
            handle.write(text)
        os.chown(f"{HTML}/{name}", UID, UID)
    app = Application("Nextcloud", VERSION, database, f"{HTML}/data")
    app.add_user(admin, "", password, True)
    config["trusted_domains"] = ["localhost"] + os.environ.get("NEXTCLOUD_TRUSTED_DOMAINS", "").split()
    write_config({"instanceid": "oc" + secrets.token_hex(5), "passwordsalt": secrets.token_hex(15),
                  "secret": secrets.token_hex(24), "datadirectory": f"{HTML}/data", "version": VERSION,
                  "installed": True, "maintenance": False, **config})
    print("Nextcloud was successfully installed", flush=True)


def become():
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)


def status():
    config = read_config() if os.path.exists(CONFIG) else {"installed": False, "maintenance": False}
    return {"installed": config["installed"], "maintenance": config["maintenance"], "needsDbUpgrade": False,
            "version": VERSION + ".1", "versionstring": VERSION, "edition": "", "productname": "Nextcloud",
            "extendedSupport": False}


def serve():
    config = read_config()
    app = Application("Nextcloud", VERSION, open_database(config), config["datadirectory"])

    def gate(request):
        if request.path_only == "/status.php":
            return None
        # config.php is read each time: occ changes it under the running server.
        now = read_config()
        if now["maintenance"]:
            return 503, {"error": "maintenance mode"}
        host = request.headers.get("Host", "").rsplit(":", 1)[0] if os.environ.get("OVERWRITEHOST") is None else \
            os.environ["OVERWRITEHOST"]
        if host not in now["trusted_domains"] and "*" not in now["trusted_domains"]:
            return 400, {"error": f"access through untrusted domain {host}"}
        return None

    app.gate = gate
    app.route("GET", "/status.php")(lambda request: (200, status()))
    app.route("GET", "/login")(app.page)

    @app.route("GET", "/ocs/v2.php/cloud/user")
    def user(request):
        found = app.user_of(request)
        if not found:
            return 401, {"ocs": {"meta": {"status": "failure", "statuscode": 997}, "data": []}}
        return 200, {"ocs": {"meta": {"status": "ok", "statuscode": 200, "message": "OK"},
                             "data": {"id": found["login"], "enabled": True,
                                      "groups": ["admin"] if found["admin"] else []}}}

    @app.route("GET", "/contract/cron")
    def cron(request):
        return 200, {"lastcron": app.database.setting("lastcron")}

    app.serve(80)


def occ(words):
    if os.getuid() != UID:
        sys.exit("Console has to be executed with the user that owns the file config/config.php\n"
                 f"Current user id: {os.getuid()}\nOwner id of config.php: {UID}")
    words = [w for w in words if w not in ("--no-interaction", "-n", "--no-warnings")]
    command, rest = (words + ["list"])[0], words[1:]
    config = read_config()
    if command == "status":
        if "--output=json" in rest:
            print(json.dumps(status(), separators=(",", ":")))
        else:
            for name, value in status().items():
                print(f"  - {name}: {str(value).lower() if isinstance(value, bool) else value}")
    elif command == "maintenance:mode":
        if "--on" in rest or "--off" in rest:
            write_config({**config, "maintenance": "--on" in rest})
        on = read_config()["maintenance"]
        print(f"Maintenance mode {'enabled' if on else 'disabled'}")
    elif command == "config:system:get" and rest:
        value = config.get(rest[0])
        if value is None:
            sys.exit(1)
        print("\n".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else value)
    elif command == "config:system:set" and rest:
        value = next((w.split("=", 1)[1] for w in rest if w.startswith("--value=")), "")
        if rest[0] == "trusted_domains":
            domains, index = config["trusted_domains"], int(rest[1])
            domains[index:index + 1] = [value]
            config["trusted_domains"] = domains
        else:
            config[rest[0]] = value == "true" if rest[0] in FLAGS else value
        write_config(config)
        print(f"System config value {rest[0]} set to string {value}")
    elif command == "user:resetpassword" and rest and "--password-from-env" in rest:
        login = next(w for w in rest if not w.startswith("-"))
        open_database(config).change_user(login, "password", contract.hash_password(env("OC_PASS")))
        print(f"Successfully reset password for {login}")
    elif command == "user:list":
        for user in open_database(config).users():
            print(f"  - {user['login']}: {user['login']}")
    elif command in ("background:cron", "db:add-missing-indices", "db:add-missing-columns", "maintenance:repair",
                     "maintenance:data-fingerprint", "maintenance:update:htaccess", "files:scan", "upgrade",
                     "config:app:set", "app:enable", "app:disable", "app:install", "files:scan-app-data"):
        print(f"{command}: done")
    else:
        sys.exit(f'Command "{command}" is not defined in this contract image.')

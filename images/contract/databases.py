"""The real databases behind the contract images: accounts, items and a few settings in each."""
import time

from contract import refuse

WAIT_S = 20


def connect(what, attempt, permanent):
    """Tries for WAIT_S, as the applications do; a wrong password is not waited for."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            return attempt()
        except Exception as error:  # each driver has its own tree of errors
            text = " ".join(str(error).split())
            if any(word in text for word in permanent):
                refuse(f"{what} refuses us: {text}")
            if time.monotonic() > end:
                refuse(f"{what} cannot be reached: {text}")
            time.sleep(1)


class Sql:
    """One connection a call: a restarted database is found again."""
    mark = "%s"

    def setup(self, serial):
        for table in (
            f"contract_items (id {serial}, text TEXT NOT NULL)",
            f"contract_users (id {serial}, login VARCHAR(190) NOT NULL UNIQUE, email VARCHAR(190) NOT NULL,"
            " password TEXT NOT NULL, admin INTEGER NOT NULL)",
            "contract_settings (name VARCHAR(190) PRIMARY KEY, value TEXT NOT NULL)",
        ):
            self.run("CREATE TABLE IF NOT EXISTS " + table)

    def run(self, statement, *values):
        connection = self.open()
        try:
            cursor = connection.cursor()
            cursor.execute(statement.replace("?", self.mark), values)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows
        finally:
            connection.close()

    def add_item(self, text):
        return self.insert("INSERT INTO contract_items (text) VALUES (?)", text)

    def items(self):
        return [(str(i), t) for i, t in self.run("SELECT id, text FROM contract_items ORDER BY id")]

    def add_user(self, login, email, password, admin):
        return self.insert("INSERT INTO contract_users (login, email, password, admin) VALUES (?, ?, ?, ?)",
                           login, email, password, int(admin))

    def users(self):
        names = ("id", "login", "email", "password", "admin")
        return [dict(zip(names, row)) for row in
                self.run("SELECT id, login, email, password, admin FROM contract_users ORDER BY id")]

    def change_user(self, login, field, value):
        assert field in ("password", "admin")
        self.run(f"UPDATE contract_users SET {field} = ? WHERE login = ?", value, login)

    def setting(self, name):
        rows = self.run("SELECT value FROM contract_settings WHERE name = ?", name)
        return rows[0][0] if rows else None

    def set_setting(self, name, value):
        self.run("DELETE FROM contract_settings WHERE name = ?", name)
        self.run("INSERT INTO contract_settings (name, value) VALUES (?, ?)", name, value)

    def ok(self):
        try:
            self.run("SELECT 1")
            return True
        except Exception:
            return False


class Postgres(Sql):
    def __init__(self, oldest, **how):
        import psycopg2
        self.open = lambda: psycopg2.connect(connect_timeout=5, **how)
        first = connect("PostgreSQL", self.open, ("password authentication failed", "does not exist", "pg_hba"))
        if first.server_version < oldest * 10000:
            refuse(f"PostgreSQL {first.server_version // 10000} is too old: {oldest} or newer is needed")
        first.close()
        self.setup("SERIAL PRIMARY KEY")

    def insert(self, statement, *values):
        return str(self.run(statement + " RETURNING id", *values)[0][0])


class Mysql(Sql):
    def __init__(self, oldest, **how):
        import pymysql
        self.open = lambda: pymysql.connect(connect_timeout=5, charset="utf8mb4", **how)
        first = connect("the MySQL or MariaDB server", self.open, ("(1045", "(1044", "(1049"))
        version = first.get_server_info()
        kind = "mariadb" if "MariaDB" in version else "mysql"
        numbers = tuple(int(n) for n in version.split("-")[0].split(".")[:2])
        if numbers < oldest[kind]:
            refuse(f"{kind} {version} is too old: {oldest[kind][0]}.{oldest[kind][1]} or newer is needed")
        first.close()
        self.setup("INTEGER AUTO_INCREMENT PRIMARY KEY")

    def insert(self, statement, *values):
        connection = self.open()
        try:
            cursor = connection.cursor()
            cursor.execute(statement.replace("?", self.mark), values)
            connection.commit()
            return str(cursor.lastrowid)
        finally:
            connection.close()


class Sqlite(Sql):
    """For the application that carries its database inside."""
    mark = "?"

    def __init__(self, path):
        import sqlite3
        self.open = lambda: sqlite3.connect(path, timeout=10)
        self.setup("INTEGER PRIMARY KEY AUTOINCREMENT")

    def insert(self, statement, *values):
        connection = self.open()
        try:
            cursor = connection.execute(statement, values)
            connection.commit()
            return str(cursor.lastrowid)
        finally:
            connection.close()


class Mongo:
    def __init__(self, oldest, url, replica_set):
        import pymongo
        client = pymongo.MongoClient(url, serverSelectionTimeoutMS=4000)

        def first():
            client.get_default_database("wekan").list_collection_names()
            info = client.server_info()
            if replica_set and not client.admin.command("hello").get("setName"):
                raise RuntimeError("it is no initiated replica set, which MONGO_OPLOG_URL needs")
            return info
        info = connect("MongoDB", first, ("Authentication failed", "requires authentication", "AuthenticationFailed"))
        if info["versionArray"][0] < oldest:
            refuse(f"MongoDB {info['version']} is too old: {oldest} or newer is needed")
        self.client = client
        self.db = client.get_default_database("wekan")

    def next(self, what):
        return str(self.db.contract_counters.find_one_and_update(
            {"_id": what}, {"$inc": {"n": 1}}, upsert=True, return_document=True)["n"])

    def add_item(self, text):
        number = self.next("items")
        self.db.contract_items.insert_one({"_id": number, "text": text})
        return number

    def items(self):
        return [(i["_id"], i["text"]) for i in sorted(self.db.contract_items.find(), key=lambda i: int(i["_id"]))]

    def add_user(self, login, email, password, admin):
        number = self.next("users")
        self.db.users.insert_one({"_id": number, "login": login, "email": email, "password": password, "admin": int(admin)})
        return number

    def users(self):
        return [dict(u, id=u["_id"]) for u in self.db.users.find()]

    def ok(self):
        try:
            self.client.admin.command("ping")
            return True
        except Exception:
            return False

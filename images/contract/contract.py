"""What every contract image does: read the real application's variables, refuse a broken contract, keep real rows and
files, and answer on the real port. Each application's own part is its app.py."""
import base64
import hashlib
import html
import hmac
import json
import os
import re
import secrets
import signal
import socketserver
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_LIMIT_BYTES = 64 * 1024 * 1024


def refuse(message):
    print(f"contract broken: {message}", file=sys.stderr, flush=True)
    os._exit(1)


def env(name, default=None, file=False):
    """The variable, or where the application knows NAME_FILE, that file's content. No default: it is required."""
    path = os.environ.get(name + "_FILE") if file else None
    if path and os.environ.get(name):
        refuse(f"both {name} and {name}_FILE are set (but are exclusive)")
    if path:
        try:
            with open(path) as handle:
                return handle.read().rstrip("\r\n")
        except OSError as error:
            refuse(f"{name}_FILE cannot be read: {error}")
    value = os.environ.get(name)
    if value:
        return value
    if default is None:
        refuse(f"{name} is not set")
    return default


def need_volume(path, uid=None):
    """A named volume or a bind mount, not the anonymous volume that a forgotten `volumes:` line gives."""
    with open("/proc/self/mountinfo") as lines:
        roots = {fields[4]: fields[3] for fields in map(str.split, lines)}
    if path not in roots:
        refuse(f"{path} is not a volume: what is written there is lost with the container")
    if re.search(r"/volumes/[0-9a-f]{64}/_data$", roots[path]):
        refuse(f"{path} is an anonymous volume: name it, or it is lost when the container is made anew")
    if uid is not None and os.stat(path).st_uid != uid:
        refuse(f"{path} belongs to uid {os.stat(path).st_uid}, not to {uid}")
    if uid is not None and not os.access(path, os.W_OK | os.X_OK):
        refuse(f"{path} is not writable for uid {os.getuid()}")


def hash_password(password):
    salt = secrets.token_bytes(16)
    return base64.b64encode(salt + hashlib.scrypt(password.encode(), salt=salt, n=4096, r=8, p=1)).decode()


def right_password(kept, password):
    raw = base64.b64decode(kept)
    return hmac.compare_digest(raw[16:], hashlib.scrypt(str(password).encode(), salt=raw[:16], n=4096, r=8, p=1))


class Application:
    """name, version, port, database, data (folder of the items' files), and routes {(method, path): function(request)}."""

    def __init__(self, name, version, database, data, owner=None):
        self.name, self.version, self.database = name, version, database
        self.data, self.owner = os.path.join(data, "contract"), owner
        self.tokens, self.routes = {}, {}
        self.lock = threading.Lock()
        self.gate = lambda request: None
        self.route("GET", "/")(self.page)
        self.route("GET", "/contract/items")(self.list_items)
        self.route("POST", "/contract/items")(self.add_item)

    def route(self, method, path):
        def keep(function):
            self.routes[(method, path)] = function
            return function
        return keep

    def page(self, request):
        return 200, (f"<!DOCTYPE html><title>{html.escape(self.name)}</title><h1>{html.escape(self.name)}</h1>"
                     f"<p>This is a contract image of {html.escape(self.name)} {self.version}: it stands for the real "
                     "application in tests and is not it.</p>")

    def own(self, path):
        if self.owner is not None and os.getuid() == 0:
            os.chown(path, self.owner, self.owner)

    def add_item(self, request):
        text = request.body.get("text")
        if not text:
            return 400, {"error": "text is missing"}
        with self.lock:
            number = self.database.add_item(text)
            os.makedirs(self.data, exist_ok=True)
            self.own(self.data)
            path = os.path.join(self.data, number + ".txt")
            with open(path, "w") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            self.own(path)
        return 201, {"id": number, "text": text}

    def list_items(self, request):
        items = []
        for number, text in self.database.items():
            try:
                with open(os.path.join(self.data, number + ".txt")) as handle:
                    same = handle.read() == text
            except OSError:
                same = False
            items.append({"id": number, "text": text, "file": same})
        return 200, {"items": items}

    def add_user(self, login, email, password, admin):
        for user in self.database.users():
            if login == user["login"] or (email and email == user["email"]):
                return None
        return self.database.add_user(login, email, hash_password(password), admin)

    def find_user(self, login, password=None):
        for user in self.database.users():
            if login and login in (user["login"], user["email"]):
                if password is None or right_password(user["password"], password):
                    return user
        return None

    def token_for(self, user):
        token = secrets.token_urlsafe(24)
        self.tokens[token] = user["login"]
        return token

    def user_of(self, request):
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer":
            return self.find_user(self.tokens.get(value))
        if kind == "Basic":
            try:
                login, _, password = base64.b64decode(value).decode().partition(":")
            except ValueError:
                return None
            return self.find_user(login, password)
        return None

    def serve(self, port, socket_path=None):
        def stop(*_):
            os._exit(0)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        application = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version, sys_version = "contract", ""

            def address_string(self):
                return self.client_address[0] if isinstance(self.client_address, tuple) else "local"

            def handle_one(self):
                self.path_only, _, query = self.path.partition("?")
                self.query = dict(urllib.parse.parse_qsl(query))
                length = int(self.headers.get("Content-Length") or 0)
                if length > BODY_LIMIT_BYTES:
                    return 413, {"error": "too large"}
                self.raw = self.rfile.read(length)
                self.body = {}
                if "json" in self.headers.get("Content-Type", ""):
                    try:
                        self.body = json.loads(self.raw or b"{}")
                    except ValueError:
                        return 400, {"error": "no JSON"}
                    if not isinstance(self.body, dict):
                        return 400, {"error": "no JSON object"}
                elif "form-urlencoded" in self.headers.get("Content-Type", ""):
                    self.body = dict(urllib.parse.parse_qsl(self.raw.decode("utf-8", "replace")))
                found = application.routes.get((self.command.replace("HEAD", "GET"), self.path_only))
                if not found:
                    return 404, {"error": "not found"}
                return application.gate(self) or found(self)

            def answer(self):
                try:
                    status, body, *more = self.handle_one()
                except Exception as error:  # one request must not end the server
                    status, body, more = 500, {"error": " ".join(str(error).split())}, []
                    print(f"error: {self.command} {self.path}: {error}", file=sys.stderr)
                kind = "application/json"
                if isinstance(body, str):
                    kind = "text/html; charset=utf-8" if body.startswith("<") else "text/plain; charset=utf-8"
                    data = body.encode()
                else:
                    data = json.dumps(body, separators=(",", ":")).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        if socket_path:
            class Local(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
                daemon_threads = True
            if os.path.exists(socket_path):
                os.unlink(socket_path)
            # Whoever reaches this socket may make administrators.
            before = os.umask(0o177)
            local = Local(socket_path, Request)
            os.umask(before)
            threading.Thread(target=local.serve_forever, daemon=True).start()
        print(f"{self.name} {self.version} (contract image) listens on port {port}", flush=True)
        ThreadingHTTPServer.daemon_threads = True
        ThreadingHTTPServer(("0.0.0.0", port), Request).serve_forever()

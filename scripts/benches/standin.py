"""nginx-proxy's arrangement, as small as it can be: its docker-gen waits 100 ms after an event (500 ms at most), lists and
inspects every container one after another, writes one file and says `nginx -s reload`. Source: docker-gen 0.17, its
generator.go and nginx-proxy's Procfile. usage: standin.py SOCKET FILE NETWORK PID-OF-NGINX LABEL; says `ready` when it watches
(what bears the label, so that both sides see the same containers)."""
import http.client, json, socket, subprocess, sys, threading, time, urllib.parse

WAIT, LONGEST = 0.1, 0.5
WATCHED = {"start", "stop", "die", "health_status", "connect", "disconnect"}

class Engine(http.client.HTTPConnection):
    """One connection to the engine that stays open."""
    def __init__(self, path):
        super().__init__("docker")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def get(self, path):
        self.request("GET", f"/v1.41{path}")
        return json.loads(self.getresponse().read())

def server(name, path, address, port):
    """A host as nginx-proxy's template writes it, shortened: what counts is one upstream and one server each."""
    return (f"upstream {name} {{\n  server {address}:{port};\n  keepalive 2;\n}}\nserver {{\n  server_name {name};\n  listen 80;\n"
            f"  location {path} {{ proxy_pass http://{name}; }}\n}}\n")

HEAD = """map $http_upgrade $proxy_connection { default upgrade; '' ''; }
server_names_hash_bucket_size 128;
server_names_hash_max_size 4096;
proxy_http_version 1.1;
proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $proxy_connection;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
access_log off;
server { server_name _; listen 80; return 503; }
"""

def generate(engine, file, network, pid, filters, state):
    engine.get("/info")
    engine.get("/networks")
    text = HEAD
    all_of_them = [engine.get(f"/containers/{each['Id']}/json") for each in engine.get(f"/containers/json?filters={filters}")]
    # What ended between the list and the look is left out.
    for found in sorted((each for each in all_of_them if "Config" in each), key=lambda each: each["Id"]):
        variables = dict(each.split("=", 1) for each in found["Config"]["Env"])
        networks = found["NetworkSettings"]["Networks"]
        if variables.get("VIRTUAL_HOST"):
            at = networks.get(network, {}).get("IPAddress") or "127.0.0.1"
            text += server(variables["VIRTUAL_HOST"], "/", at, variables.get("VIRTUAL_PORT", "80"))
    if text != state.get("text"):
        with open(file, "w") as out:
            out.write(text)
        state["text"] = text
        subprocess.run(["nsenter", "-t", pid, "-m", "-p", "nginx", "-s", "reload"], check=True, stderr=subprocess.DEVNULL)

def main(path, file, network, pid, label):
    filters = urllib.parse.quote(json.dumps({"label": [label]}))
    heard = threading.Condition()
    since = []

    def listen():
        events = Engine(path)
        events.request("GET", "/v1.41/events")
        answer = events.getresponse()
        print("ready", flush=True)
        while line := answer.readline():
            if line.strip() and json.loads(line).get("Action", "").split(":")[0] in WATCHED:
                with heard:
                    since.append(time.monotonic())
                    heard.notify()

    threading.Thread(target=listen, daemon=True).start()
    engine, state = Engine(path), {}
    generate(engine, file, network, pid, filters, state)
    while True:
        with heard:
            heard.wait_for(lambda: since)
            first = since[0]
            # Quiet for so long, or long enough.
            while (left := min(since[-1] + WAIT, first + LONGEST) - time.monotonic()) > 0:
                heard.wait(left)
            since.clear()
        generate(engine, file, network, pid, filters, state)

if __name__ == "__main__":
    main(*sys.argv[1:])

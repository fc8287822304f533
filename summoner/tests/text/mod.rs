//! Writes text into real applications as their users do, and reads it again as a visitor.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::Bed;

/// A text that was written, and where a visitor reads it.
pub struct Written {
    text: String,
    path: String,
}

impl Written {
    pub fn assert_there(&self, bed: &Bed) {
        let page = Site::of(bed).ask(&self.path, &[], "");
        assert!(page.contains(&self.text), "`{}` is not there:\n{page}", self.text);
    }

    pub fn assert_gone(&self, bed: &Bed) {
        let (code, page) = Site::of(bed).answer(&self.path, &[], "");
        assert!(code < 500, "{code}: {page}");
        assert!(!page.contains(&self.text), "`{}` is there:\n{page}", self.text);
    }
}

/// The one application of a bed, asked through the proxy as one visitor with one jar of cookies.
struct Site<'a> {
    bed: &'a Bed,
    url: String,
}

impl<'a> Site<'a> {
    fn of(bed: &'a Bed) -> Self {
        let status: Value = serde_json::from_str(&bed.run(&["status", "--json"]).out).expect("a status");
        let urls: Vec<&str> =
            status["instances"].as_array().expect("instances").iter().filter_map(|instance| instance["url"].as_str()).collect();
        assert_eq!(urls.len(), 1, "{urls:?}");
        Self { bed, url: urls[0].to_owned() }
    }

    fn ask(&self, path: &str, arguments: &[&str], input: &str) -> String {
        let (code, body) = self.answer(path, arguments, input);
        assert!((200..300).contains(&code), "{}{path} answered {code}:\n{body}", self.url);
        body
    }

    fn answer(&self, path: &str, arguments: &[&str], input: &str) -> (u16, String) {
        let host = self.url.trim_start_matches("https://").split(':').next().unwrap_or_default();
        let jar = self.bed.path().join("cookies");
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}", "--cacert"]).arg(self.bed.root().join("summoner/certs/ca.crt"));
        command.arg("--cookie").arg(&jar).arg("--cookie-jar").arg(&jar);
        command.args(["--resolve", &format!("{host}:{}:127.0.0.1", self.bed.https_port), "-H", &format!("Origin: {}", self.url)]);
        command.args(arguments).arg(format!("{}{path}", self.url));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("curl runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("curl listens");
        let output = child.wait_with_output().expect("curl ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = said.rsplit_once('\n').unwrap_or(("", "0"));
        (code.parse().unwrap_or(0), body.to_owned())
    }

    fn json(&self, method: &str, path: &str, value: &Value) -> String {
        self.ask(path, &["-X", method, "-H", "Content-Type: application/json", "--data-binary", "@-"], &value.to_string())
    }
}

fn credentials(bed: &Bed, app: &str) -> Value {
    serde_json::from_str(&bed.ok(&["credentials", app, "--json"]).out).expect("credentials")
}

/// A post, by Ghost's own API.
pub fn ghost(bed: &Bed, text: &str) -> Written {
    let site = Site::of(bed);
    let who = credentials(bed, "ghost");
    site.json("POST", "/ghost/api/admin/session/", &json!({"username": who["user"], "password": who["password"]}));
    let post = json!({"title": text, "html": "<p>Real text.</p>", "status": "published"});
    site.json("POST", "/ghost/api/admin/posts/?source=html", &json!({"posts": [post]}));
    Written { text: text.into(), path: "/".into() }
}

/// A post, by WordPress's XML-RPC.
pub fn wordpress(bed: &Bed, text: &str) -> Written {
    let who = credentials(bed, "wordpress");
    let string = |value: &str| format!("<value><string>{value}</string></value>");
    let member = |name: &str, value: &str| format!("<member><name>{name}</name>{}</member>", string(value));
    let post = member("post_title", text) + &member("post_content", "Real text.") + &member("post_status", "publish");
    let parameters = ["1", who["user"].as_str().unwrap_or_default(), who["password"].as_str().unwrap_or_default()].map(string);
    let call = format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>wp.newPost</methodName><params>{}<param><value><struct>{post}</struct></value></param></params></methodCall>",
        parameters.map(|value| format!("<param>{value}</param>")).concat()
    );
    let said = Site::of(bed).ask("/xmlrpc.php", &["-H", "Content-Type: text/xml", "--data-binary", "@-"], &call);
    assert!(!said.contains("<fault>"), "{said}");
    Written { text: text.into(), path: "/".into() }
}

/// A pad, by Etherpad's own API.
pub fn etherpad(bed: &Bed, text: &str) -> Written {
    let key = bed.docker(&["exec", &bed.id("etherpad"), "cat", "/opt/etherpad-lite/APIKEY.txt"]);
    let pad = text.replace(' ', "-");
    let said = Site::of(bed).ask(
        "/api/1.2.14/createPad",
        &[
            "-G",
            "--data-urlencode",
            &format!("apikey={}", key.trim()),
            "--data-urlencode",
            &format!("padID={pad}"),
            "--data-urlencode",
            &format!("text={text}"),
        ],
        "",
    );
    assert!(said.contains("\"code\":0"), "{said}");
    Written { text: text.into(), path: format!("/p/{pad}/export/txt") }
}

/// A row in the database and a file in the volume of a contract image.
pub fn contract(bed: &Bed, text: &str) -> Written {
    let site = Site::of(bed);
    site.json("POST", "/contract/items", &json!({"text": text}));
    let items: Value = serde_json::from_str(&site.ask("/contract/items", &[], "")).expect("items");
    let whole = items["items"].as_array().expect("items").iter().all(|item| item["file"] == true);
    assert!(whole, "{items}");
    Written { text: text.into(), path: "/contract/items".into() }
}

//! What a person sees: Ghost's page in Chromium, through the proxy, over HTTPS that is trusted because of the installation's
//! own authority and of nothing else. The first administrator signs in, chooses a picture and writes, before it is shown.
//!
//! Needs Chromium and certutil (libnss3-tools) besides the engine; `scripts/test` installs them. The README's picture is
//! this page: `SUMMONER_KEEP_PICTURE=wiki/ghost.png` keeps it in that file (a path from the top of the checkout);
//! without the variable nothing is left behind.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use support::Bed;

/// What Ghost writes into every page.
const WORDS: &str = "<meta name=\"generator\" content=\"Ghost 6";
/// The title of what the first administrator writes.
const TITLE: &str = "We moved in";
/// The picture at the top of the blog: a night, drawn here, so that nobody's rights are touched.
const NIGHT: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 500" preserveAspectRatio="xMidYMid slice">
<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#0f1035"/><stop offset=".6" stop-color="#3a2258"/><stop offset="1" stop-color="#b5485d"/></linearGradient></defs>
<rect width="1200" height="500" fill="url(#sky)"/><circle cx="900" cy="110" r="48" fill="#f3e6b8"/>
<path d="M130 80h3v3h-3zM260 150h2v2h-2zM380 60h3v3h-3zM520 120h2v2h-2zM610 50h3v3h-3zM720 170h2v2h-2zM1050 60h3v3h-3zM1130 150h2v2h-2z" fill="#fff"/>
<path d="M0 390Q180 300 380 380T760 350T1200 380V500H0z" fill="#40265a"/><path d="M0 440Q240 370 480 430T900 420T1200 450V500H0z" fill="#1d1235"/></svg>"##;
/// What Chromium logs when nobody it trusts signed the certificate: `net::ERR_CERT_AUTHORITY_INVALID`.
const REFUSED: &str = "net_error -202";
/// What Chromium logs when TLS fails for any reason.
const FAILED: &str = "handshake failed";
/// A browser that hangs ends after this.
const DEADLINE_S: &str = "120";

#[test]
fn a_browser_that_trusts_the_authority_shows_ghost() {
    let bed = Bed::new("browser");
    bed.config("  ghost:\n");
    bed.ok(&["install"]);

    // A stranger's browser refuses: what the next one shows is due to the authority alone.
    let (shown, log) = chromium(&bed, &["--dump-dom"]);
    assert!(!shown.contains(WORDS) && log.contains(REFUSED), "{shown}\n{log}");

    write_a_post(&bed);
    trust(&bed);
    let (shown, log) = chromium(&bed, &["--dump-dom"]);
    assert!(shown.contains(WORDS) && !log.contains(FAILED), "{shown}\n{log}");
    assert!(shown.contains(TITLE), "the post is not on the page:\n{shown}");

    let picture = bed.path().join("page.png");
    chromium(&bed, &[&format!("--screenshot={}", picture.display()), "--window-size=1200,800", "--hide-scrollbars"]);
    assert_eq!(png_size(&picture), (1200, 800));
    assert!(fs::metadata(&picture).expect("a picture").len() > 10_000, "an empty picture");
    if let Some(kept) = std::env::var_os("SUMMONER_KEEP_PICTURE") {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PathBuf::from(kept));
        fs::copy(&picture, &kept).unwrap_or_else(|error| panic!("cannot keep the picture as {}: {error}", kept.display()));
    }
}

/// What a person does first: signs in as `summoner credentials` says, makes the blog the team's own, and writes.
fn write_a_post(bed: &Bed) {
    let credentials: Value = serde_json::from_str(&bed.ok(&["credentials", "ghost", "--json"]).out).expect("credentials");
    send(bed, "POST", "session/", &json!({"username": credentials["user"], "password": credentials["password"]}));
    let drawn = bed.path().join("night.svg");
    fs::write(&drawn, NIGHT).expect("a picture for the blog");
    let uploaded = ghost(bed, "images/upload/", &["-F", &format!("file=@{};type=image/svg+xml", drawn.display())], "");
    let uploaded: Value = serde_json::from_str(&uploaded).expect("an address of the picture");
    let setting = |key: &str, value: &Value| json!({"key": key, "value": value});
    let settings = [
        setting("title", &json!("The Night Shift")),
        setting("description", &json!("Notes of a small team with a server of its own.")),
        setting("accent_color", &json!("#e2766b")),
        setting("cover_image", &uploaded["images"][0]["url"]),
    ];
    send(bed, "PUT", "settings/", &json!({"settings": settings}));
    let excerpt = "One machine, one file, two commands: how this blog came to be.";
    let text = "<p>There was a bare machine and a config.yml of six lines. Now there is this page.</p>";
    let post = json!({"title": TITLE, "html": text, "custom_excerpt": excerpt, "status": "published",
        "feature_image": uploaded["images"][0]["url"]});
    send(bed, "POST", "posts/?source=html", &json!({"posts": [post]}));
}

/// Sends a value to Ghost's API; the password goes by standard input.
fn send(bed: &Bed, method: &str, path: &str, value: &Value) {
    ghost(bed, path, &["-X", method, "-H", "Content-Type: application/json", "--data-binary", "@-"], &value.to_string());
}

/// Asks Ghost's API through the proxy, as one visitor with one jar of cookies; it must agree.
fn ghost(bed: &Bed, path: &str, arguments: &[&str], input: &str) -> String {
    let site = format!("https://blog.{}:{}", bed.domain, bed.https_port);
    let jar = bed.path().join("cookies");
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail-with-body", "--max-time", "60", "--cacert"]).arg(bed.root().join("summoner/certs/ca.crt"));
    command.arg("--cookie").arg(&jar).arg("--cookie-jar").arg(&jar);
    command.args(["--resolve", &format!("blog.{}:{}:127.0.0.1", bed.domain, bed.https_port), "-H", &format!("Origin: {site}")]);
    command.args(arguments).arg(format!("{site}/ghost/api/admin/{path}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("curl runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("curl listens");
    let output = child.wait_with_output().expect("curl ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{path}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Opens the bed's page in a profile of its own and gives what Chromium prints and logs. Certificate errors count.
fn chromium(bed: &Bed, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new("timeout");
    command.args([DEADLINE_S, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]);
    command.args(["--no-proxy-server", "--enable-logging=stderr"]);
    command.arg(format!("--user-data-dir={}", bed.path().join("profile").display()));
    command.args(arguments).arg(format!("https://blog.{}:{}/", bed.domain, bed.https_port));
    // Chromium looks for trusted authorities in the home's .pki.
    command.env("HOME", bed.path()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    let output = done(&mut command);
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Trusts the own authority, as a person does once.
fn trust(bed: &Bed) {
    let store = bed.path().join(".pki/nssdb");
    fs::create_dir_all(&store).expect("a folder for trusted authorities");
    let database = format!("sql:{}", store.display());
    done(Command::new("certutil").args(["-d", &database, "-N", "--empty-password"]));
    let authority = bed.root().join("summoner/certs/ca.crt");
    done(Command::new("certutil").args(["-d", &database, "-A", "-t", "C,,", "-n", "summoner", "-i"]).arg(authority));
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    output
}

/// Width and height, from a PNG's header.
fn png_size(path: &Path) -> (u32, u32) {
    let bytes = fs::read(path).expect("a picture");
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{} is no PNG", path.display());
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

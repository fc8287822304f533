//! What a person sees: Ghost's page in Chromium, through the proxy, over HTTPS that is trusted because of the installation's
//! own authority and of nothing else.
//!
//! Needs Chromium and certutil (libnss3-tools) besides the engine; `scripts/test` installs them.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::Bed;

/// What Ghost writes into every page.
const WORDS: &str = "<meta name=\"generator\" content=\"Ghost 6";
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

    trust(&bed);
    let (shown, log) = chromium(&bed, &["--dump-dom"]);
    assert!(shown.contains(WORDS) && !log.contains(FAILED), "{shown}\n{log}");

    let picture = bed.path().join("page.png");
    chromium(&bed, &[&format!("--screenshot={}", picture.display()), "--window-size=1200,800"]);
    assert_eq!(png_size(&picture), (1200, 800));
    assert!(fs::metadata(&picture).expect("a picture").len() > 10_000, "an empty picture");
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

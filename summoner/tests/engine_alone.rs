//! `summoner proxy` in place of nginx-proxy and its companion: a Compose file as people have them is started with Compose
//! itself, and is served over HTTPS without a change to it; whatever is pulled out comes back.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

#[path = "pebble/bed.rs"]
mod authority;
mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use authority::Kind;
use support::{Bed, Said};

/// How long anything may take on a loaded machine.
const SOON: Duration = Duration::from_secs(60);

/// As the README of nginx-proxy's companion has it, with an application, its database and their own network.
const WILD: &str = "\
services:
  db:
    image: postgres:17.11
    restart: unless-stopped
    environment:
      POSTGRES_PASSWORD: example
    networks:
      - backend

  app:
    image: nginx:1.30.6
    restart: unless-stopped
    expose:
      - \"80\"
    depends_on:
      - db
    environment:
      - VIRTUAL_HOST=blog.wild.test,www.blog.wild.test
      - VIRTUAL_PORT=80
      - LETSENCRYPT_HOST=blog.wild.test,www.blog.wild.test
      - LETSENCRYPT_EMAIL=someone@wild.test
    networks:
      - backend

networks:
  backend:
";
const HOST: &str = "blog.wild.test";

/// The proxy of a test, an authority, and a project of Compose.
struct Wild {
    bed: Bed,
    authority: authority::Bed,
    name: String,
    child: Option<Child>,
}

impl Wild {
    fn new(test: &str) -> Self {
        let bed = Bed::new(test);
        let authority = authority::Bed::in_front_of(&Kind::default(), Some(bed.http_port));
        std::fs::write(bed.path().join("docker-compose.yml"), WILD).unwrap();
        let name = format!("summoner-proxy-{}", bed.domain.replace('.', "-"));
        Self { bed, authority, name, child: None }
    }

    /// Compose itself.
    fn compose(&self, words: &[&str]) -> Said {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/compose-oracle");
        let said = Said::of(Command::new(script).output().unwrap());
        assert_eq!(said.code, 0, "{}", said.err);
        let project = self.bed.domain.replace('.', "-");
        let mut command = Command::new(PathBuf::from(said.out.trim()));
        command.args(["-p", &project]).args(words).current_dir(self.bed.path());
        Said::of(command.output().unwrap())
    }

    fn command(&self) -> Command {
        let (http, https) = (self.bed.http_port.to_string(), self.bed.https_port.to_string());
        let (data, directory) = (self.bed.root().display().to_string(), self.authority.settings().authorities[0].directory.clone());
        let words = ["proxy", "--name", &self.name, "--data", &data, "--http-port", &http, "--https-port", &https, "--ca", &directory];
        let mut command = self.bed.command(&words);
        command.env("CA_BUNDLE", &self.authority.root);
        // Nobody else's containers on this engine are ours to serve.
        command.env("DOCKER_CONTAINER_FILTERS", format!("label=com.docker.compose.project={}", self.bed.domain.replace('.', "-")));
        command
    }

    fn start(&mut self) {
        let log = |name: &str| File::options().create(true).append(true).open(self.bed.path().join(name)).unwrap();
        self.child = Some(self.command().stdout(log("out")).stderr(log("err")).spawn().unwrap());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            Said::of(Command::new("kill").arg(child.id().to_string()).output().unwrap());
            child.wait().unwrap();
        }
    }

    fn story(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.bed.path().join(name)).unwrap_or_default();
        format!("{}{}", read("out"), read("err"))
    }

    /// What https says, and who signed what it was said with.
    fn https(&self) -> (String, String) {
        let port = self.bed.https_port;
        let (resolve, url) = (format!("{HOST}:{port}:127.0.0.1"), format!("https://{HOST}:{port}/"));
        let words = ["-skv", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "--resolve", &resolve, &url];
        let said = Said::of(Command::new("curl").args(words).output().unwrap());
        let issuer = said.err.lines().find_map(|line| line.split_once("issuer: ")).map_or("", |(_, issuer)| issuer);
        (said.out, issuer.to_owned())
    }

    /// Waits until the application is served over https with a certificate of the authority; gives how long that took.
    fn until_served(&self, after: &str) -> Duration {
        let since = Instant::now();
        loop {
            let (status, issuer) = self.https();
            if status == "200" && issuer.contains("Pebble") {
                let took = since.elapsed();
                println!("{after}: {} ms", took.as_millis());
                return took;
            }
            assert!(since.elapsed() < SOON, "after {after}: {status} {issuer}\n{}", self.story());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn json(&self, command: &str) -> serde_json::Value {
        let data = self.bed.root().display().to_string();
        let said = self.bed.ok(&[command, "--data", &data, "--json"]);
        serde_json::from_str(&said.out).unwrap()
    }

    /// The proxy forgets a network once nobody asks from there, so that Compose can remove it.
    fn until_gone(&self) {
        let since = Instant::now();
        while self.json("routes")["routes"].as_array().is_some_and(|routes| !routes.is_empty()) {
            assert!(since.elapsed() < SOON, "{}", self.story());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Wild {
    fn drop(&mut self) {
        self.stop();
        self.bed.docker_said(&["rm", "-f", &self.name]);
        self.compose(&["down", "-v", "-t", "1"]);
    }
}

#[test]
fn a_compose_file_from_the_wild_is_served_over_https_and_heals() {
    let mut wild = Wild::new("wild");
    wild.start();
    let since = Instant::now();
    while !wild.story().contains("Watching docker events") {
        assert!(since.elapsed() < SOON, "{}", wild.story());
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = wild.compose(&["up", "-d"]);
    assert_eq!(said.code, 0, "{}", said.err);
    wild.until_served("docker compose up");

    let routes = wild.json("routes");
    let route = routes["routes"].as_array().unwrap().iter().find(|route| route["host"] == HOST).expect("the route is told").clone();
    assert_eq!((&route["state"], &route["reason"], &routes["live"]), (&"open".into(), &serde_json::Value::Null, &true.into()));
    let certs = wild.json("certs");
    let certificate = &certs["certificates"][0];
    assert_eq!((&certificate["host"], &certificate["state"]), (&HOST.into(), &"network".into()), "{certs}");
    assert_eq!(certificate["names"].as_array().unwrap().len(), 2);
    assert!(certificate["renew_at"].is_string() && certificate["issuer"].as_str().unwrap().contains("Pebble"), "{certs}");

    let root = wild.bed.root();
    wild.bed.docker(&["exec", &wild.name, "sh", "-c", "kill -9 -1; true"]);
    wild.bed.docker_said(&["kill", &wild.name]);
    wild.until_served("nginx was killed");
    wild.bed.docker(&["rm", "-f", &wild.name]);
    wild.until_served("its container was removed");
    std::fs::remove_dir_all(root.join("summoner/nginx")).unwrap();
    wild.bed.docker(&["rm", "-f", &wild.name]);
    wild.until_served("the configuration was removed with it");

    let orders = wild.authority.orders();
    wild.stop();
    assert_eq!(wild.https().0, "200", "nginx goes on alone");
    wild.start();
    wild.until_served("the watcher came back");
    wild.compose(&["restart", "-t", "1", "app"]);
    wild.until_served("the application was restarted");
    assert_eq!(wild.authority.orders(), orders, "a certificate that is there is not asked for again");

    std::fs::remove_file(root.join(format!("summoner/certs/{HOST}.crt"))).unwrap();
    let since = Instant::now();
    while !root.join(format!("summoner/certs/{HOST}.crt")).exists() {
        assert!(since.elapsed() < SOON, "{}", wild.story());
        std::thread::sleep(Duration::from_millis(100));
    }
    wild.until_served("the certificate was deleted");

    let said = wild.compose(&["rm", "-s", "-f", "app"]);
    assert_eq!(said.code, 0, "{}", said.err);
    wild.until_gone();
    let said = wild.compose(&["down", "-t", "1"]);
    assert_eq!(said.code, 0, "the network is free again: {}", said.err);
    let certs = wild.json("certs");
    assert!(certs["certificates"].as_array().is_some(), "{certs}");
}

//! What a hostile container, or an owner's slip, does to the others: nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::read::{Container, World};
use crate::run::{Running, serve};
use crate::{engine, tree};

/// Values that would end a directive, a block, a quoted word or a line, if anyone pasted them.
const PAYLOADS: [&str; 20] = [
    "a;injected on;",
    "a;}}injected on;server{",
    "a\ninjected on;",
    "a\r\ninjected on;\r\n",
    "a\";injected on;\"",
    "a';injected on;'",
    "a{injected on;}",
    "$host;injected on;",
    "${injected}",
    "a\\;injected on;",
    "a\\",
    "a #injected",
    "a b injected c",
    "a\tinjected\ton;",
    "{{ injected }}",
    "../../../../etc/injected",
    "max-age=1; injected on;",
    "$(injected)`injected`",
    "\u{202e}injected\u{fffd}é\u{7f}",
    "a}\n}\nserver{listen 80;server_name good0.hostile.test;return 299;}\nserver{location /{",
];
/// What a container can say, each with what makes it count.
const VARIABLES: [&str; 24] = [
    "VIRTUAL_PORT",
    "VIRTUAL_PATH",
    "VIRTUAL_DEST",
    "VIRTUAL_PROTO",
    "VIRTUAL_ROOT",
    "VIRTUAL_HOST_MULTIPORTS",
    "EXTERNAL_HTTP_PORT",
    "EXTERNAL_HTTPS_PORT",
    "CERT_NAME",
    "HTTPS_METHOD",
    "HSTS",
    "SSL_POLICY",
    "NETWORK_ACCESS",
    "SERVER_TOKENS",
    "ACME_HTTP_CHALLENGE_LOCATION",
    "ENABLE_HTTP_ON_MISSING_CERT",
    "ACME_HOST",
    "ACME_EMAIL",
    "ACME_CA_URI",
    "ACME_KEYSIZE",
    "ACMESH_DNS_API_CONFIG",
    "LETSENCRYPT_HOST",
    "LETSENCRYPT_EMAIL",
    "NAME",
];
const LABELS: [&str; 8] = [
    "http2.enable",
    "http3.enable",
    "keepalive",
    "loadbalance",
    "non-get-redirect",
    "ssl_verify_client",
    "trust-default-cert",
    "debug-endpoint",
];
/// Those whose values reach the configuration as text.
const TEXTS: [&str; 4] = ["VIRTUAL_PATH", "VIRTUAL_DEST", "HSTS", "CERT_NAME"];
const GOOD: usize = 2;

fn world() -> World {
    let mut world = World { networks: vec![("main".to_owned(), false, false)], ..World::default() };
    world.given.certs.push(("hostile.test".to_owned(), vec!["*.hostile.test".to_owned()]));
    world
}

fn container(env: &[(&str, &str)]) -> Container {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Container { env, expose: vec!["80".to_owned()], ..Container::default() }
}

/// Every variable and label with something hostile in it.
fn hostile() -> Vec<Container> {
    let mut all = Vec::new();
    for (number, payload) in PAYLOADS.iter().enumerate() {
        all.push(container(&[("VIRTUAL_HOST", payload)]));
        all.push(container(&[("VIRTUAL_HOST", &format!("x{number}.hostile.test{payload}"))]));
        all.push(container(&[("VIRTUAL_HOST", &format!("~^x{number}\\.{payload}"))]));
        for key in TEXTS {
            all.push(container(&[
                ("VIRTUAL_HOST", &format!("{}{number}.hostile.test", key.to_lowercase().replace('_', "-"))),
                (key, payload),
            ]));
        }
        let quoted = serde_json::json!(payload);
        let several = format!(
            "{{{quoted}: {{}}, \"m{number}.hostile.test\": {{{quoted}: {{\"port\": 80, \"dest\": {quoted}}}, \"/d/\": {{\"dest\": {quoted}}}}}}}"
        );
        all.push(container(&[("VIRTUAL_HOST_MULTIPORTS", &several)]));
    }
    let long = "a".repeat(10_000);
    for (number, key) in VARIABLES.iter().enumerate() {
        let host = format!("v{number}.hostile.test");
        all.push(container(&[("VIRTUAL_HOST", &host), (key, PAYLOADS[number % PAYLOADS.len()])]));
        all.push(container(&[("VIRTUAL_HOST", &format!("long-{host}")), (key, &long)]));
    }
    for (number, label) in LABELS.iter().enumerate() {
        for (turn, value) in [PAYLOADS[number], PAYLOADS[number + LABELS.len()], "a\0injected", &long].iter().enumerate() {
            let mut each = container(&[("VIRTUAL_HOST", &format!("l{number}-{turn}.hostile.test"))]);
            each.labels.push((format!("com.github.nginx-proxy.nginx-proxy.{label}"), (*value).to_owned()));
            all.push(each);
        }
    }
    all
}

/// What is nobody's: a directive of ours never bears that name, nor a server of another's host.
fn injected(tree: &[tree::Directive]) -> Vec<String> {
    let bad = |each: &&tree::Directive| {
        each.words.first().is_some_and(|word| word.contains("injected")) || each.words.iter().any(|word| word == "299")
    };
    tree::all(tree).into_iter().filter(bad).map(|each| each.words.join(" ")).collect()
}

fn configuration(running: &Running) -> Vec<tree::Directive> {
    let said = engine::exec(&running.proxy(), &["sh", "-c", "nginx -T 2>/dev/null"]);
    assert!(said.contains("configuration file"), "nginx refuses its configuration:\n{}", engine::exec(&running.proxy(), &["nginx", "-t"]));
    tree::parse(&said)
}

#[test]
fn nothing_is_injected() {
    let world = world();
    let running = Running::start("hostile", &world);
    for number in 0..GOOD {
        running.start_box(&world, &format!("good{number}"), &container(&[("VIRTUAL_HOST", &format!("good{number}.hostile.test"))]));
    }
    let good = |number: usize| {
        let url = format!("https://good{number}.hostile.test/");
        running.asked("GET", &url, &[], "200", &["host=".to_owned() + &url[8..url.len() - 1]])
    };
    assert_eq!((good(0), good(1)), (None, None));
    let before = configuration(&running);
    let all = hostile();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(each) = all.get(number) else { return };
                    running.start_box(&world, &format!("bad{number}"), each);
                }
            });
        }
    });
    // What is served now came after all of it.
    let last = container(&[("VIRTUAL_HOST", "last.hostile.test")]);
    running.start_box(&world, "last", &last);
    serve(&running, "https://last.hostile.test/");
    let after = configuration(&running);
    assert_eq!(injected(&after), Vec::<String>::new());
    for number in 0..GOOD {
        let host = format!("good{number}.hostile.test");
        let servers = tree::servers(&after, &host);
        assert!(!servers.is_empty());
        assert_eq!(servers, tree::servers(&before, &host), "{host} is not what it was");
        assert_eq!(good(number), None);
    }
}

#[test]
fn what_is_injected_would_be_seen() {
    let tree =
        tree::parse("server { server_name a;injected on;; } http { server { location / { return 299; } } }".replace(";;", ";").as_str());
    assert_eq!(injected(&tree), ["injected on", "return 299"]);
}

#[test]
fn one_broken_host_of_a_hundred_leaves_99() {
    let mut world = world();
    let hosts: Vec<String> = (0..100).map(|number| format!("h{number}.hostile.test")).collect();
    world.given.files.push(("vhost.d/h42.hostile.test".to_owned(), "this is not nginx's;\n".to_owned()));
    let running = Running::start("hostile", &world);
    let env = [("VIRTUAL_HOST", hosts.join(","))];
    let each = container(&[(env[0].0, &env[0].1), ("HTTPS_METHOD", "noredirect")]);
    running.start_box(&world, "hundred", &each);
    serve(&running, "http://h0.hostile.test/");
    let answering = || hosts.iter().filter(|host| serves(&running, host)).count();
    assert_eq!(answering(), 99, "{}", engine::logs(&running.proxy()));
    assert!(!serves(&running, &hosts[42]));
    // Another one breaks while all run: a change elsewhere still goes live, and the broken one's neighbours do not notice.
    std::fs::write(running.path("vhost.d/h7.hostile.test"), "location / {\n").unwrap();
    running.start_box(&world, "another", &container(&[("VIRTUAL_HOST", "another.hostile.test"), ("HTTPS_METHOD", "noredirect")]));
    serve(&running, "http://another.hostile.test/");
    assert!(answering() >= 98);
    // Mended, all of them answer.
    for broken in [7, 42] {
        std::fs::remove_file(running.path(&format!("vhost.d/h{broken}.hostile.test"))).unwrap();
    }
    running.start_box(&world, "third", &container(&[("VIRTUAL_HOST", "third.hostile.test"), ("HTTPS_METHOD", "noredirect")]));
    serve(&running, "http://third.hostile.test/");
    serve(&running, "http://h42.hostile.test/");
    assert_eq!(answering(), 100);
}

fn serves(running: &Running, host: &str) -> bool {
    crate::ask::ask(&running.place, "GET", &format!("http://{host}/"), &[]).status == "200"
}

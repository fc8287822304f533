//! Signed updates at BIND, and the whole flow: publish, wait, validate, take away.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use summoner::acme::dns::{Answer, Solver, TxtRecord, open, solve};
use summoner::config::dns::{Algorithm, Credential, DnsSettings, Hook, Provider, Rfc2136, Secret};
use summoner::error::Error;

use crate::bed::{Challenges, Named, SECRET, nobody, texts};

const POLICY: &str = "update-policy { grant acme zonesub TXT; grant long zonesub TXT; };";
const CHALLENGE: &str = "_acme-challenge.example.test";

fn named() -> Named {
    Named::new(&[
        ("example.test", "app A 127.0.0.1\n_acme-challenge.moved CNAME x1.validate.other.test.\nloop CNAME loop", POLICY),
        ("other.test", "", POLICY),
        ("fixed.test", "", ""),
    ])
}

fn server(at: SocketAddr) -> Rfc2136 {
    Rfc2136 {
        host: at.ip().to_string(),
        port: at.port(),
        zone: None,
        key_name: Some("acme".to_owned()),
        key: Credential::Inline(Secret::new(SECRET.to_owned())),
        algorithm: None,
        ttl: 60,
    }
}

fn settings(server: Rfc2136, resolver: SocketAddr) -> DnsSettings {
    DnsSettings { provider: Provider::Rfc2136(server), propagation: Duration::from_secs(10), resolvers: vec![resolver] }
}

fn record(name: &str) -> TxtRecord {
    TxtRecord { name: name.to_owned(), value: "v1".to_owned() }
}

async fn refused(server: &Rfc2136, name: &str) -> String {
    let settings = settings(server.clone(), "127.0.0.1:1".parse().unwrap());
    let error = open(&settings).unwrap().present(&record(name)).await.unwrap_err();
    error.to_string().replace(&format!(":{}", server.port), ":PORT")
}

#[tokio::test]
async fn each_refusal_of_a_name_server_has_its_sentence() {
    let named = named();
    let good = server(named.address);
    let all = [
        refused(&Rfc2136 { key_name: Some("amce".to_owned()), ..good.clone() }, CHALLENGE).await,
        refused(&Rfc2136 { key: Credential::Inline(Secret::new("d3Jvbmc=".to_owned())), ..good.clone() }, CHALLENGE).await,
        refused(&Rfc2136 { algorithm: Some(Algorithm::HmacSha512), ..good.clone() }, CHALLENGE).await,
        refused(&Rfc2136 { key_name: Some("stranger".to_owned()), ..good.clone() }, CHALLENGE).await,
        refused(&good, "_acme-challenge.fixed.test").await,
        refused(&good, "_acme-challenge.elsewhere.test").await,
        refused(&Rfc2136 { zone: Some("other.test".to_owned()), ..good.clone() }, CHALLENGE).await,
        refused(&Rfc2136 { zone: Some("test".to_owned()), ..good.clone() }, CHALLENGE).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    error: cannot change the TXT record of _acme-challenge.example.test
      cause: the name server 127.0.0.1 does not know the key amce
      next:  give it the key, or write its name for it: `key_name:` (here it is amce)
    error: cannot change the TXT record of _acme-challenge.example.test
      cause: the key acme of the name server 127.0.0.1 holds another secret or algorithm
      next:  copy the key again, both ends must have the same
    error: cannot change the TXT record of _acme-challenge.example.test
      cause: the name server 127.0.0.1 does not know the key acme
      next:  give it the key, or write its name for it: `key_name:` (here it is acme)
    error: cannot change the TXT record of _acme-challenge.example.test
      cause: the name server 127.0.0.1 does not let the key stranger change it
      next:  in BIND: update-policy { grant stranger name _acme-challenge.example.test TXT; }; in the zone example.test
    error: cannot change the TXT record of _acme-challenge.fixed.test
      cause: the name server 127.0.0.1 does not let the key acme change it
      next:  in BIND: update-policy { grant acme name _acme-challenge.fixed.test TXT; }; in the zone fixed.test
    error: cannot change the TXT record of _acme-challenge.elsewhere.test
      cause: the name server 127.0.0.1 serves no zone that holds it
      next:  name the zone: `zone:` beside `server:`
    error: cannot change the TXT record of _acme-challenge.example.test
      cause: it is not in the zone other.test
    error: cannot change the TXT record of _acme-challenge.example.test
      cause: the name server 127.0.0.1 is not the primary of a zone test that holds it
      next:  check `server:` and `zone:`
    ");
    assert!(named.texts(CHALLENGE).is_empty());
    let absent = refused(&server(nobody()), CHALLENGE).await;
    assert!(absent.contains("Connection refused") && absent.contains("(tried 3 times)"), "{absent}");
}

#[tokio::test]
async fn keys_come_from_their_files() {
    let named = named();
    let tsig = format!("key \"long\" {{\n\talgorithm hmac-sha512;\n\tsecret \"{SECRET}\";\n}};\n");
    let of = |name: &str, mode: u32| {
        let key = Credential::File(named.file(name, &tsig, mode));
        settings(Rfc2136 { key_name: None, key, ..server(named.address) }, named.address)
    };
    let error = open(&of("open.key", 0o644)).err().unwrap();
    assert!(error.message.starts_with("others may read the secret in"), "{error}");
    let solver = open(&of("tsig.key", 0o600)).unwrap();
    solver.present(&record(CHALLENGE)).await.unwrap();
    assert_eq!(named.texts(CHALLENGE), ["v1"]);
    solver.present(&record(CHALLENGE)).await.unwrap();
    solver.remove(&record(CHALLENGE)).await.unwrap();
    solver.remove(&record(CHALLENGE)).await.unwrap();
    assert!(named.texts(CHALLENGE).is_empty());
}

fn answers(pairs: &[(&str, &str)]) -> Vec<Answer> {
    pairs.iter().map(|(domain, value)| Answer { domain: (*domain).to_owned(), value: (*value).to_owned() }).collect()
}

#[tokio::test]
async fn a_wildcard_and_its_base_are_proven_at_one_name_beside_what_is_there() {
    let named = named();
    let settings = settings(server(named.address), named.address);
    let solver = open(&settings).unwrap();
    solver.present(&TxtRecord { name: CHALLENGE.to_owned(), value: "somebody else's".to_owned() }).await.unwrap();
    let wanted = answers(&[("example.test", "v1"), ("*.example.test", "v2"), ("app.example.test", "v3"), ("example.test", "v1")]);
    let solved =
        solve(&settings, solver.as_ref(), &wanted, async { Ok((named.texts(CHALLENGE), named.texts("_acme-challenge.app.example.test"))) });
    let solved = solved.await.unwrap();
    assert_eq!(solved.value.0, ["somebody else's", "v1", "v2"]);
    assert_eq!(solved.value.1, ["v3"]);
    assert!(solved.left.is_none(), "{:?}", solved.left);
    assert_eq!(named.texts(CHALLENGE), ["somebody else's"]);
    assert!(named.texts("_acme-challenge.app.example.test").is_empty());
}

#[tokio::test]
async fn nothing_stays_after_a_failure() {
    let named = named();
    let good = settings(server(named.address), named.address);
    let solver = open(&good).unwrap();
    let failing = async { Err::<(), _>(Error::external("the authority said no")) };
    let error = solve(&good, solver.as_ref(), &answers(&[("example.test", "v1")]), failing).await.unwrap_err();
    assert_eq!(error.message, "the authority said no");
    assert!(named.texts(CHALLENGE).is_empty());

    // A server that never serves it: another one than the one that was told.
    let other = Challenges::new();
    let blind = DnsSettings { resolvers: vec![other.address], propagation: Duration::from_secs(1), ..good.clone() };
    let never = async { Err::<(), _>(Error::internal("validated too early")) };
    let error = solve(&blind, solver.as_ref(), &answers(&[("example.test", "v1")]), never).await.unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&other.address.to_string(), "SERVER"), @r"
    error: the TXT record of _acme-challenge.example.test is not served everywhere after 1 s
      cause: SERVER has no TXT record there
             the record was given to the name server 127.0.0.1
      next:  see it yourself: dig TXT _acme-challenge.example.test
      next:  if it comes later than that, wait longer: `propagation: 10m` beside `provider:`
    ");
    assert!(named.texts(CHALLENGE).is_empty());

    // The second record cannot be published: the first goes again.
    let mixed = answers(&[("example.test", "v1"), ("fixed.test", "v2")]);
    let never = async { Err::<(), _>(Error::internal("validated too early")) };
    let error = solve(&good, solver.as_ref(), &mixed, never).await.unwrap_err();
    assert!(error.message.starts_with("cannot change the TXT record of _acme-challenge.fixed.test"), "{error}");
    assert!(named.texts(CHALLENGE).is_empty());
}

#[tokio::test]
async fn a_challenge_that_is_moved_elsewhere_is_followed() {
    let named = named();
    let settings = settings(server(named.address), named.address);
    let solver = open(&settings).unwrap();
    let seen = async { Ok(named.texts("x1.validate.other.test")) };
    let solved = solve(&settings, solver.as_ref(), &answers(&[("*.moved.example.test", "v1")]), seen).await.unwrap();
    assert_eq!(solved.value, ["v1"]);
    assert!(named.texts("x1.validate.other.test").is_empty());
}

#[tokio::test]
async fn a_hook_publishes_where_it_likes() {
    let server = Challenges::new();
    let folder = tempfile::tempdir().unwrap();
    let hook = folder.path().join("hook");
    let script = "case $3 in present) path=set-txt json=\"{\\\"host\\\":\\\"$4.\\\",\\\"value\\\":\\\"$5\\\"}\" ;; remove) path=clear-txt json=\"{\\\"host\\\":\\\"$4.\\\"}\" ;; esac\n\
                  exec 3<>/dev/tcp/$1/$2\n\
                  printf 'POST /%s HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %s\\r\\nConnection: close\\r\\n\\r\\n%s' $path ${#json} \"$json\" >&3\n\
                  read -r line <&3; case $line in *' 200 '*) ;; *) echo \"$line\"; exit 1 ;; esac\n";
    std::fs::write(&hook, script).unwrap();
    let words =
        ["bash", hook.to_str().unwrap(), &server.management.ip().to_string(), &server.management.port().to_string()].map(str::to_owned);
    let settings = DnsSettings {
        provider: Provider::Exec(Hook { command: words.to_vec(), timeout: Duration::from_secs(20) }),
        propagation: Duration::from_secs(10),
        resolvers: vec![server.address],
    };
    let solver = open(&settings).unwrap();
    let seen = async { Ok(texts(server.address, CHALLENGE)) };
    let solved = solve(&settings, solver.as_ref(), &answers(&[("example.test", "v1")]), seen).await.unwrap();
    assert_eq!((solved.value, solved.left.is_none()), (vec!["v1".to_owned()], true));
    assert!(texts(server.address, CHALLENGE).is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_know_the_key_is_no_success() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut update = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut update).unwrap();
            // "It is done", unsigned, as anyone on the way could say it: UPDATE, a response, NOERROR.
            let done = [&update[..2], &[0b1010_1000, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
            stream.write_all(&[&[0, 12], done.as_slice()].concat()).unwrap();
        }
    });
    let forged = refused(&Rfc2136 { zone: Some("example.test".to_owned()), ..server(address) }, CHALLENGE).await;
    assert!(forged.contains("its signature is not the key's"), "{forged}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_a_datagram_is_fetched_whole() {
    let many: String = (0..40).map(|at| format!("_acme-challenge TXT \"{at:0>100}\"\n")).collect();
    let named = Named::new(&[("example.test", &many, POLICY)]);
    let settings = settings(server(named.address), named.address);
    let solver = open(&settings).unwrap();
    let solved = solve(&settings, solver.as_ref(), &answers(&[("example.test", "v1")]), async { Ok(()) }).await.unwrap();
    assert!(solved.left.is_none(), "{:?}", solved.left);
}

/// Set in the process that runs alone.
const ALONE: &str = "SUMMONER_TEST_ALONE";

/// Name servers are asked on port 53, and found by `/etc/resolv.conf`: so this test runs itself again where both are its own.
#[test]
fn the_zones_own_servers_are_asked() {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(with_own_servers());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolv.conf");
    std::fs::write(&file, "nameserver 127.0.0.1\n").unwrap();
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let user: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
    let script = "ip link set lo up && ip address add 127.0.0.2/8 dev lo && mount --bind \"$1\" /etc/resolv.conf && shift && exec \"$@\"";
    let out = Command::new("unshare")
        .args(user)
        .args(["--net", "--mount", "sh", "-c", script, "sh"])
        .arg(&file)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "zones::the_zones_own_servers_are_asked"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&out.stderr));
}

async fn with_own_servers() {
    let two = "@ NS ns2\nns2 A 127.0.0.2";
    let gone = "@ NS ns2\nns2 A 127.0.0.3\n@ NS nowhere.test.";
    let spread = format!("{POLICY} also-notify {{ 127.0.0.2; }}; allow-transfer {{ any; }};");
    let first = Named::at(
        "127.0.0.1:53".parse().unwrap(),
        "recursion yes; notify-delay 0;",
        &[
            ("two.test", two, &spread),
            ("stale.test", two, POLICY),
            ("gone.test", gone, POLICY),
            ("parent.test", "@ NS ns1\n_acme-challenge NS ns1", POLICY),
            ("_acme-challenge.parent.test", "", POLICY),
            ("apart.test", "_acme-challenge NS ns2\nns2 A 127.0.0.2", POLICY),
            ("alias.test", "_acme-challenge CNAME a.two.test.", ""),
        ],
    );
    let second = Named::at(
        "127.0.0.2:53".parse().unwrap(),
        "recursion no;",
        &[("two.test", "", "primaries { 127.0.0.1; };"), ("stale.test", two, ""), ("_acme-challenge.apart.test", "", POLICY)],
    );
    let settings =
        DnsSettings { provider: Provider::Rfc2136(server(first.address)), propagation: Duration::from_secs(20), resolvers: Vec::new() };
    let solver = open(&settings).unwrap();
    let at = |domain: &str| answers(&[(domain, "v1")]);
    let run = async |settings: &DnsSettings, solver: &dyn Solver, domain: &str, server: SocketAddr, name: &str| {
        solve(settings, solver, &at(domain), async { Ok(texts(server, name)) }).await
    };

    // The secondary has it when the authority is told.
    let solved = run(&settings, solver.as_ref(), "two.test", second.address, "_acme-challenge.two.test").await.unwrap();
    assert_eq!(solved.value, ["v1"]);
    let solved = run(&settings, solver.as_ref(), "alias.test", second.address, "a.two.test").await.unwrap();
    assert_eq!(solved.value, ["v1"]);
    // One that cannot be asked is left out, one without an address too.
    let solved = run(&settings, solver.as_ref(), "gone.test", first.address, "_acme-challenge.gone.test").await.unwrap();
    assert_eq!(solved.value, ["v1"]);
    // The label itself is a zone.
    let solved = run(&settings, solver.as_ref(), "parent.test", first.address, "_acme-challenge.parent.test").await.unwrap();
    assert_eq!(solved.value, ["v1"]);
    assert!(first.texts("_acme-challenge.parent.test").is_empty());
    let theirs = DnsSettings { provider: Provider::Rfc2136(server(second.address)), ..settings.clone() };
    let apart = open(&theirs).unwrap();
    let solved = run(&theirs, apart.as_ref(), "apart.test", second.address, "_acme-challenge.apart.test").await.unwrap();
    assert_eq!(solved.value, ["v1"]);
    // One that answers and lacks it holds all back.
    let impatient = DnsSettings { propagation: Duration::from_secs(2), ..settings };
    let error = run(&impatient, solver.as_ref(), "stale.test", first.address, "_acme-challenge.stale.test").await.unwrap_err();
    let cause = error.cause.unwrap();
    assert!(cause.contains("ns1.stale.test serves it") && cause.contains("ns2.stale.test says that there is no such name"), "{cause}");
    assert!(first.texts("_acme-challenge.stale.test").is_empty());
}

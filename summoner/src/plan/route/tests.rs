use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::minion;
use crate::name::{Domain, InstanceId};

mod golden;
mod words;

/// The simplest route: for tests here and in `nginx`.
pub(crate) fn sample(host: &str) -> RouteSpec {
    let host: Domain = host.parse().unwrap();
    let instance: InstanceId = format!("ghost-{host}").parse().unwrap();
    RouteSpec {
        container: instance.to_string(),
        instance,
        host,
        aliases: Vec::new(),
        settings: minion::Route {
            service: "app".to_owned(),
            port: 2368,
            subdomain: None,
            body_bytes: 50 << 20,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            send_timeout: None,
            response_buffering: true,
            request_buffering: true,
            websocket: false,
            redirects: Vec::new(),
            headers: BTreeMap::new(),
            paths: Vec::new(),
        },
        sign_ins: Vec::new(),
        allow: Vec::new(),
        passwords: None,
        certificate: "ab12".to_owned(),
    }
}

fn full() -> RouteSpec {
    let mut spec = sample("cloud.virtualdonkey.fr");
    spec.aliases = vec!["www.virtualdonkey.fr".parse().unwrap(), "files.virtualdonkey.fr".parse().unwrap()];
    spec.settings.body_bytes = 0;
    spec.settings.read_timeout = Duration::from_secs(3610);
    (spec.settings.response_buffering, spec.settings.request_buffering, spec.settings.websocket) = (false, false, true);
    spec.settings.redirects = vec![("/.well-known/carddav".to_owned(), "/remote.php/dav/".to_owned())];
    spec.settings.headers = BTreeMap::from([
        ("Referrer-Policy".to_owned(), "no-referrer".to_owned()),
        ("X-Robots-Tag".to_owned(), "noindex; \"nofollow\" \\ {".to_owned()),
    ]);
    spec
}

fn settings(https_port: u16) -> ProxySettings {
    ProxySettings::own(80, https_port, "summoner-edge")
}

fn rendered(specs: &[RouteSpec], https_port: u16) -> Rendered {
    let settings = settings(https_port);
    render(&sites(specs, &settings), &settings)
}

fn host_text(spec: &RouteSpec, https_port: u16) -> String {
    let rendered = rendered(std::slice::from_ref(spec), https_port);
    assert_eq!(rendered.rejected, []);
    rendered.generation.files[&format!("hosts/{}.conf", spec.host)].clone()
}

#[test]
fn the_waiting_page_says_who_and_looks_again() {
    let generation = rendered(&[sample("blog.a.fr")], 443).generation;
    let page = &generation.files["pages/starting/blog.a.fr.html"];
    assert!(page.contains("<h1>Ghost is starting</h1>") && page.contains("content=\"5\"") && page.contains("again by itself in 5 seconds"));
}

#[test]
fn a_path_of_a_minion_behaves_in_its_own_way() {
    let mut spec = full();
    let path = |path: &str, to| minion::RoutePath {
        path: path.to_owned(),
        exact: false,
        to,
        body_bytes: Some(7),
        read_timeout: None,
        response_buffering: None,
        request_buffering: Some(true),
        websocket: Some(false),
    };
    spec.settings.paths = vec![path("/live/", minion::PathTarget::Port(Some(3000))), path("/gone/", minion::PathTarget::Answer(410))];
    let text = host_text(&spec, 443);
    let block = text.split("location /live/ {").nth(1).and_then(|rest| rest.split_once('}')).unwrap().0;
    for line in
        ["client_max_body_size 7;", "proxy_request_buffering on;", "proxy_buffering off;", "proxy_pass http://cloud.virtualdonkey.fr-1;"]
    {
        assert!(block.contains(line), "{line}: {block}");
    }
    assert!(!block.contains("websocket") && text.contains("server ghost-cloud.virtualdonkey.fr.summoner-edge:3000 resolve"));
    assert!(text.contains("location /gone/ {\n") && text.contains("return 410;"));
}

#[test]
fn the_id_follows_every_byte_and_no_order() {
    let (a, b) = (sample("a.fr"), sample("b.fr"));
    let id = |routes: &[RouteSpec]| rendered(routes, 443).generation.id;
    let both = id(&[a.clone(), b.clone()]);
    assert_eq!(both, id(&[b.clone(), a.clone()]));
    assert_eq!(both.len(), 16);
    let renewed = RouteSpec { certificate: "cd34".to_owned(), ..b };
    assert_ne!(both, id(&[a, renewed]), "a renewed certificate is loaded");
}

#[test]
fn what_cannot_be_written_costs_only_its_own_route() {
    let change = |change: fn(&mut RouteSpec)| {
        let mut bad = full();
        change(&mut bad);
        let both = rendered(&[sample("a.fr"), bad], 443);
        assert!(both.generation.files.contains_key("hosts/a.fr.conf"));
        assert_eq!(both.generation, rendered(&[sample("a.fr")], 443).generation, "no trace of the other");
        both.rejected.into_iter().map(|rejected| rejected.reason).collect::<String>()
    };
    let header = |spec: &mut RouteSpec, name: &str, value: &str| {
        spec.settings.headers.insert(name.to_owned(), value.to_owned());
    };
    let reasons = [
        change(|spec| spec.settings.redirects.push(("/a$b".to_owned(), "/".to_owned()))),
        change(|spec| spec.settings.redirects.push(("/a\n}".to_owned(), "/".to_owned()))),
        change(|spec| spec.settings.redirects.push(("/a".to_owned(), "//evil.org".to_owned()))),
        change(|spec| spec.container = "a;b".to_owned()),
        change(|spec| spec.certificate = "ab\n}".to_owned()),
        change(|spec| spec.settings.port = 0),
        change(|spec| spec.aliases.push("a.fr".parse().unwrap())),
        change(|spec| spec.host = "a.fr".parse().unwrap()),
    ];
    insta::assert_snapshot!(reasons.join("\n"), @r"
    the path holds '$', which cannot be written into nginx's configuration
    the path holds '\n', which cannot be written into nginx's configuration
    a redirect's target is neither a path that begins with / nor an http or https URL
    the container is not a name that a name server can know
    the certificate's fingerprint is not hexadecimal
    the application's port is 0
    its alias a.fr leads to another instance
    another instance is at a.fr already
    ");
    for (name, value) in
        [("X Y", "1"), ("X", "$host"), ("X", "é"), ("Content-Length", "1"), ("x-robots-tag", "1"), ("X", &"x".repeat(2000))]
    {
        let mut bad = full();
        header(&mut bad, name, value);
        assert_eq!(rendered(&[bad], 443).rejected.len(), 1, "{name}: {value}");
    }
}

/// nginx's own reading (`ngx_conf_read_token`), written a second time: statements as (depth, words).
fn read(text: &str) -> Vec<(usize, Vec<String>)> {
    let (mut out, mut words, mut depth) = (Vec::new(), Vec::new(), 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\n' | '\t' | '\r' => {}
            '#' if chars.by_ref().any(|c| c == '\n') => {}
            ';' | '{' | '}' => {
                assert_eq!(words.is_empty(), c == '}', "at {c}");
                if c != '}' {
                    out.push((depth, std::mem::take(&mut words)));
                }
                depth = match c {
                    '{' => depth + 1,
                    '}' => depth - 1,
                    _ => depth,
                };
            }
            quote @ ('"' | '\'') => {
                let mut word = String::new();
                loop {
                    match chars.next().unwrap() {
                        '\\' => match chars.next().unwrap() {
                            c @ ('"' | '\'' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c if c == quote => break,
                        c => word.push(c),
                    }
                }
                assert!(chars.peek().is_none_or(|c| " ;\n".contains(*c)), "nginx wants a space after a quote");
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !" \t\r\n;{".contains(*c)) {
                    assert_ne!(c, '\\');
                    word.push(c);
                }
                words.push(word);
            }
        }
    }
    assert_eq!((depth, words.len()), (0, 0));
    out
}

fn shape(text: &str) -> Vec<(usize, String, usize)> {
    read(text).into_iter().map(|(depth, words)| (depth, words[0].clone(), words.len())).collect()
}

proptest! {
    #[test]
    fn no_value_becomes_a_directive(
        name in "[A-Za-z-]{1,8}|.{0,12}", value in r#"[ -~]{0,40}|[;{}"'\\$#\n x]{0,20}|.{0,20}"#,
        from in r#"/[;{}"'\\$#\n a]{0,12}|.{0,12}"#, to in r#"/[;{}"'\\$#\n a]{0,12}|https://.{0,12}|.{0,12}"#,
        container in "[a-z][a-z0-9.-]{0,12}|.{0,12}", certificate in "[0-9a-f]{2}|.{0,6}",
    ) {
        let mut spec = sample("blog.a.fr");
        spec.settings.headers = BTreeMap::from([(name.clone(), value.clone())]);
        spec.settings.redirects = vec![(from.clone(), to.clone())];
        (spec.container, spec.certificate) = (container, certificate);
        let files = rendered(&[spec], 443).generation.files;
        let Some(text) = files.get("hosts/blog.a.fr.conf") else { return Ok(()) };

        let mut tame = sample("blog.a.fr");
        let tame_name = ["Referrer-Policy", "X-Content-Type-Options"].into_iter().find(|known| known.eq_ignore_ascii_case(&name));
        tame.settings.headers = BTreeMap::from([(tame_name.unwrap_or("X-Tame").to_owned(), "1".to_owned())]);
        tame.settings.redirects = vec![("/a".to_owned(), "/b".to_owned())];
        prop_assert_eq!(shape(text), shape(&host_text(&tame, 443)));

        let words: Vec<Vec<String>> = read(text).into_iter().map(|(_, words)| words).collect();
        prop_assert!(words.contains(&vec!["add_header".to_owned(), name, value, "always".to_owned()]));
        prop_assert!(words.contains(&vec!["location".to_owned(), "=".to_owned(), from]));
        prop_assert!(words.contains(&vec!["return".to_owned(), "301".to_owned(), to]));
    }
}

#[test]
fn a_door_lets_in_who_is_named_and_stays_closed_without_its_list() {
    let list = |fingerprint: &str| Some(site::UserFile { path: format!("{PASSWORDS}/team"), fingerprint: fingerprint.to_owned() });
    let door = |host, fingerprint| RouteSpec { allow: vec!["192.0.2.0/24".parse().unwrap()], passwords: list(fingerprint), ..sample(host) };
    let rendered = render(&sites(&[door("a.fr", "ab12"), door("b.fr", "")], &settings(443)), &settings(443));
    let text = &rendered.generation.files["hosts/a.fr.conf"];
    for line in ["allow 192.0.2.0/24;", "deny all;", "auth_basic_user_file /etc/nginx/htpasswd/team;", "auth_basic off;"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!rendered.generation.files.contains_key("hosts/b.fr.conf"));
    let reason = &rendered.rejected[0].reason;
    assert!(reason.contains("the file of names and passwords") && reason.contains("htpasswd -c"), "{reason}");
}

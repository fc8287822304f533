//! The pieces as one configuration; `tests/engine_bans.rs` runs the same file in a real nginx.

use super::*;
use crate::minion::SignIn;

const FIXTURE: &str = include_str!("../../../../tests/fixtures/bans/nginx.conf");
const SCRIPT: &str = include_str!("../../../../tests/fixtures/bans/guard.js");

fn guard(means: Means) -> Guard {
    Guard { means, folder: super::super::INSIDE.to_owned() }
}

fn sign_in(paths: &[&str], failed: &[u16], succeeded: &[u16]) -> SignIn {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    SignIn { paths, method: "POST".into(), failed: failed.to_vec(), succeeded: succeeded.to_vec(), log: None }
}

/// A site with an application of its own behind it.
fn configuration(means: Means) -> String {
    let guard = guard(means);
    let sign_ins = [sign_in(&["/login*", "/api/*/session"], &[401], &[204]), sign_in(&["/form.php"], &[200], &[302])];
    let watch = Watch { instance: "notes-a.fr".to_owned(), sign_ins: &sign_ins };
    let mut text = Text::default();
    main(&mut text, &guard);
    text.ours("user nginx");
    text.ours("error_log /dev/stderr notice");
    text.block("events", &[], |text| text.ours("worker_connections 256"));
    text.block("http", &[], |text| {
        http(text, &guard).unwrap();
        text.ours("access_log /dev/stdout");
        log(text, &guard).unwrap();
        text.block("server", &[], |text| {
            text.ours("listen 8199");
            text.ours("access_log off");
            text.ours("return 200");
            clock(text, &guard);
        });
        text.block("server", &[], |text| {
            text.ours("listen 80");
            text.ours("server_name notes.a.fr");
            server(text, Some(&watch)).unwrap();
            text.block("location", &[Param::ours("/")], |text| text.ours("proxy_pass http://127.0.0.1:8080"));
            text.block("location", &[Param::ours("/private/")], |text| {
                text.ours("auth_basic private");
                text.ours("auth_basic_user_file /etc/nginx/summoner/passwords");
                text.ours("proxy_pass http://127.0.0.1:8080");
            });
        });
        text.block("server", &[], |text| {
            text.ours("listen 127.0.0.1:8080");
            text.ours("access_log off");
            text.block("location", &[Param::ours("/login")], |text| {
                text.block("if ($arg_right)", &[], |text| text.ours("return 204"));
                text.ours("return 401");
            });
            text.block("location", &[Param::ours("/")], |text| text.ours("return 200 hello"));
        });
    });
    text.finish()
}

#[test]
fn the_fixture_is_what_is_rendered() {
    assert_eq!(configuration(Means::Script), FIXTURE, "copy the left one");
    assert_eq!(script(&guard(Means::Script)).unwrap(), SCRIPT, "copy the left one");
}

#[test]
fn without_njs_the_list_is_a_part_of_the_configuration() {
    let text = configuration(Means::Map);
    assert!(!text.contains("js_") && !text.contains("load_module"));
    assert!(text.contains("geo $summoner_ban {\n        default \"\";\n        include /etc/nginx/summoner/bans.map;\n"), "{text}");
}

#[test]
fn nothing_of_a_rule_becomes_a_directive() {
    let refused = |path: &str, method: &str, instance: &str, folder: &str| {
        let sign_ins = [SignIn { method: method.into(), ..sign_in(&[path], &[401], &[]) }];
        let mut text = Text::default();
        let guard = Guard { means: Means::Map, folder: folder.into() };
        server(&mut text, Some(&Watch { instance: instance.to_owned(), sign_ins: &sign_ins }))
            .and_then(|()| http(&mut text, &guard))
            .and_then(|()| log(&mut text, &guard))
            .is_err()
    };
    assert!(!refused("/login", "POST", "a-b.c", "/etc/nginx/summoner"));
    for path in ["login", "/a b", "/a\"", "/a;", "/a$x", "/a{", "/a\n", "/a)", "/a(?<x>", "/\u{e9}"] {
        assert!(refused(path, "POST", "a-b.c", "/run"), "{path}");
    }
    assert!(refused("/a", "POST /x", "a-b.c", "/run") && refused("/a", "post", "a-b.c", "/run"));
    assert!(refused("/a", "POST", "a$b", "/run") && refused("/a", "POST", "a\nb", "/run"));
    for folder in ["run", "/run;", "/a b", "/a'b", "/a,tag=x", "/$x"] {
        assert!(refused("/a", "POST", "a-b.c", folder), "{folder}");
    }
}

#[test]
fn an_image_tells_what_its_nginx_can() {
    for image in ["nginx:1.30.6", "nginx:1.26.0-alpine", "docker.io/library/nginx:1.30.6@sha256:ab", "registry.a.fr:5000/nginx:1.30"] {
        assert_eq!(Means::of_image(image), Means::Script, "{image}");
    }
    for image in
        ["nginx", "nginx:latest", "nginx:1.24.0", "nginx:1.30.6-alpine-slim", "me/my-nginx:1.30.6", "angie:1.30.6", "nginx@sha256:ab", ""]
    {
        assert_eq!(Means::of_image(image), Means::Map, "{image}");
    }
}

/// The rendered whole: everything where it belongs, and nothing of it where there is no guard.
#[test]
fn the_whole_configuration_holds_every_piece() {
    use crate::plan::route::{Arrangement, ProxySettings, render, sample, site};
    let own = ProxySettings::own(80, 443, "edge");
    let spec = super::super::RouteSpec { sign_ins: vec![sign_in(&["/login"], &[401], &[])], ..sample("a.fr") };
    let without = render(&[site(&spec, &own)], &own).generation;
    assert!(without.files.values().all(|text| !text.contains("summoner_ban")) && !without.files.contains_key(SCRIPT_FILE));
    for (means, arrangement) in [(Means::Script, Arrangement::Own), (Means::Map, Arrangement::Own), (Means::Map, Arrangement::Classic)] {
        let settings = ProxySettings { guard: Some(guard(means)), arrangement, ..own.clone() };
        let rendered = render(&[site(&spec, &settings)], &settings);
        assert_eq!(rendered.rejected, []);
        let files = rendered.generation.files;
        assert_eq!(files.contains_key(SCRIPT_FILE), means == Means::Script);
        let whole: String = files.values().map(String::as_str).collect();
        for piece in [
            "limit_req_zone",
            "log_format summoner_sign_in",
            "syslog:server=unix:",
            "set $summoner_rule \"ghost-a.fr 401 -\"",
            "limit_req zone",
        ] {
            assert!(whole.contains(piece), "{piece}\n{whole}");
        }
        let format = whole.find("log_format summoner_sign_in").zip(whole.find("access_log syslog:"));
        assert!(format.is_some_and(|(format, log)| format < log), "nginx takes no format that comes later\n{whole}");
        let load = whole.find("load_module").zip(whole.find("events {")).is_some_and(|(load, events)| load < events);
        assert_eq!((load, whole.contains("js_periodic")), (means == Means::Script, means == Means::Script));
    }
}

#[test]
fn no_log_of_requests_still_tells_the_guard() {
    use crate::plan::route::settings::AccessLog;
    use crate::plan::route::{ProxySettings, render};
    let settings = ProxySettings { guard: Some(guard(Means::Script)), log: AccessLog::Off, ..ProxySettings::own(80, 443, "edge") };
    let text = &render(&[], &settings).generation.files["nginx.conf"];
    assert!(!text.contains("access_log off") && text.contains("access_log syslog:"), "{text}");
}

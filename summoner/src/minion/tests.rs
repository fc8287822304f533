//! Faults as a person sees them.

use std::fs;

use super::{Catalogue, Minion, Origin, read};
use crate::fault::{Fault, Source};

/// The shortest minion.yml; the hardest are those of the catalogue, which `tests/minions.rs` walks.
const SMALL: &str = "version: 1\nsummary: s\nversions: {tags: '1'}\n";

fn minion(name: &str, text: &str) -> Result<Minion, Vec<Fault>> {
    let source = Source::new("notes/minion.yml", text);
    read(name, Origin::Catalogue, &source, &Source::new("notes/docker-compose.yml", ""))
}

fn lines(text: &str) -> String {
    let faults = minion("notes", text).unwrap_err();
    faults.iter().map(|fault| fault.line() + &fault.help.as_ref().map_or(String::new(), |help| format!(" [{help}]")) + "\n").collect()
}

#[test]
fn defaults_are_filled_in() {
    let minion = minion("notes", SMALL).unwrap();
    assert_eq!((minion.subdomain.as_str(), minion.routes.len(), minion.proxy), ("notes", 0, false));
    assert_eq!(minion.versions.services, ["app"]);
    assert!(minion.versions.matches("1") && !minion.versions.matches("11"));
}

#[test]
fn all_faults_come_at_once() {
    insta::assert_snapshot!(lines("\
version: 2
sumary: A wiki
routes:
  - {prot: 80}
  - {port: 99999, body: 50, read_timeout: 1d, subdomain: A}
secrets: {Key: {}, token: {format: hexx, length: 3}}
folders: {../etc: {}, data: {owner: www-data}}
databases: [{kind: mysql, name: n, user: u, password: db_pasword}]
administrator: {user: \"${EMIAL}\", password: tokn, create: [{exec: {command: ls -l}}, {}]}
smoke: {path: status}
quiesce: [{command: [stop, $now]}]
versions: {tags: '['}
"), @"
        notes/minion.yml:1:1: `summary` is missing
        notes/minion.yml:1:10: version 2 of minion.yml is not known; this program reads version 1 [it was written for a newer Summoner: update this one]
        notes/minion.yml:2:1: unknown key `sumary` [did you mean `summary`?]
        notes/minion.yml:4:5: `port` is missing in routes[0]
        notes/minion.yml:4:6: unknown key `prot` in routes[0] [did you mean `port`?]
        notes/minion.yml:5:12: routes[1].port must be a whole number in its range, but a number stands here
        notes/minion.yml:5:25: routes[1].body must be a size with its unit, but `50` stands here [write it as 512k, 50m or 2g]
        notes/minion.yml:5:43: routes[1].read_timeout must be a time with its unit, but `1d` stands here [write it as 30s, 5m or 1h]
        notes/minion.yml:5:58: routes[1].subdomain must be one label of a host name (lower-case letters, digits, hyphens), but `A` stands here
        notes/minion.yml:6:11: `Key` names no secret: lower-case letters, digits and `_`, a letter first
        notes/minion.yml:6:27: secrets.token.length must be 12 to 1024, but 3 stands here
        notes/minion.yml:6:36: secrets.token.format cannot be `hexx` [one of: alphanumeric, hex, base64]
        notes/minion.yml:7:11: `../etc` names no folder of the instance: a relative path without `.` and `..`
        notes/minion.yml:7:37: folders.data.owner must be uid:gid in numbers, but `www-data` stands here [such as 1000:1000: names differ between the image and the host]
        notes/minion.yml:8:55: no secret is named `db_pasword` [declare it: secrets: {db_pasword: {}}]
        notes/minion.yml:9:23: no variable is named `EMIAL` [wiki/minions.md lists the variables; a dollar sign itself is `$$`]
        notes/minion.yml:9:45: no secret is named `tokn` [did you mean `token`?]
        notes/minion.yml:9:77: administrator.create[0].exec.command must be a list, the program and its arguments, but text stands here [write [php, occ, status]: no shell splits or expands it]
        notes/minion.yml:9:86: administrator.create[1] must hold either `exec` or `request`
        notes/minion.yml:10:15: smoke.path must begin with `/`, but `status` stands here
        notes/minion.yml:11:10: quiesce without unquiesce: the application would stand still for ever
        notes/minion.yml:11:28: no variable is named `now` [wiki/minions.md lists the variables; a dollar sign itself is `$$`]
        notes/minion.yml:12:18: versions.tags is no regular expression: error: unclosed character class
        ");
}

#[test]
fn a_name_with_a_hyphen_is_refused() {
    let faults = minion("my-notes", SMALL).unwrap_err();
    insta::assert_snapshot!(faults[0].message, @"`my-notes` is not a name for an application: lower-case letters and digits, a letter first, at most 30 (no hyphen)");
}

#[test]
fn a_fault_shows_its_line() {
    insta::assert_snapshot!(minion("notes", "version: 1\nsummary: s\nversions: {tags: '1'}\nroutes:\n  - {port: 80, body: 50mib}\n").unwrap_err()[0], @"
        error: routes[0].body must be a size with its unit, but `50mib` stands here
         --> notes/minion.yml:5:22
          |
        5 |   - {port: 80, body: 50mib}
          |                      ^^^^^
          |
          = help: write it as 512k, 50m or 2g
        ");
}

#[test]
fn requests_take_the_port_of_their_route() {
    let text = format!("{SMALL}routes: [{{port: 8080}}]\nconfigure: [{{request: {{path: /a, json: {{n: 1, s: '1', t: x}}}}}}]\n");
    let minion = minion("notes", &text).unwrap();
    let super::Action::Request(request) = &minion.configure[0] else { panic!("a request") };
    assert_eq!((request.port, request.method.as_str()), (8080, "POST"));
    assert_eq!(request.body, super::Body::Json(serde_json::json!({"n": 1, "s": "1", "t": "x"})));
    assert!(lines(&format!("{SMALL}configure: [{{request: {{path: /a}}}}]\n")).contains("no route leads to the service `app`"));
}

#[test]
fn the_catalogue_in_the_binary_opens() {
    let catalogue = Catalogue::open(None).unwrap();
    assert!(catalogue.names().any(|name| name == "nginx"));
    for (name, minion) in catalogue.iter() {
        assert_eq!(minion.map(|minion| minion.name.as_str()).unwrap(), name);
    }
    insta::assert_snapshot!(catalogue.get("ngnix").unwrap_err(), @"
        error: no minion is named `ngnix`
          cause: did you mean `nginx`?
          next:  summoner minions
        ");
}

#[test]
fn a_broken_folder_takes_down_no_other() {
    let home = tempfile::tempdir().unwrap();
    for (folder, files) in [("ghost", vec!["minion.yml", "docker-compose.yml"]), ("wiki", vec!["minion.yml"]), ("my-app", vec![])] {
        fs::create_dir(home.path().join(folder)).unwrap();
        for file in files {
            fs::write(home.path().join(folder).join(file), SMALL).unwrap();
        }
    }
    fs::write(home.path().join("README.md"), "mine").unwrap();
    fs::create_dir(home.path().join("big")).unwrap();
    fs::write(home.path().join("big/minion.yml"), " ".repeat(300 << 10)).unwrap();
    let catalogue = Catalogue::open(Some(home.path())).unwrap();
    assert!(matches!(catalogue.get("ghost").unwrap().origin, Origin::Folder(_)));
    assert!(catalogue.get("nginx").is_ok());
    let shown = |name: &str| catalogue.get(name).unwrap_err().to_string().replace(&home.path().display().to_string(), "HOME");
    insta::assert_snapshot!(shown("wiki"), @r#"
        error: the minion in HOME/wiki cannot be used
          cause: it holds no docker-compose.yml
          next:  write HOME/wiki/docker-compose.yml: the wiki's page "Write your own minion" shows how
        "#);
    insta::assert_snapshot!(shown("my-app"), @"
        error: the minion in HOME/my-app cannot be used
          cause: `my-app` is not a name for an application: lower-case letters and digits, a letter first, at most 30 (no hyphen)
          next:  rename the folder HOME/my-app
        ");
    insta::assert_snapshot!(shown("big"), @"error: HOME/big/minion.yml is larger than 256 KiB");
    assert!(Catalogue::open(Some(&home.path().join("absent"))).is_ok());
}

#[test]
fn paths_behave_in_their_own_way() {
    use super::PathTarget;
    let text = |paths: &str| format!("{SMALL}routes: [{{port: 80, connect_timeout: 2s, send_timeout: 1m, paths: [{paths}]}}]\n");
    let good = "{path: /live/, port: 3000, websocket: true, buffering: {response: false}}, {path: /a, exact: true, redirect: /b}, {path: /c, answer: 404}";
    let route = minion("notes", &text(good)).unwrap().routes.remove(0);
    assert_eq!((route.connect_timeout.as_secs(), route.send_timeout.map(|time| time.as_secs())), (2, Some(60)));
    let to: Vec<&PathTarget> = route.paths.iter().map(|path| &path.to).collect();
    assert_eq!(to, [&PathTarget::Port(Some(3000)), &PathTarget::Redirect("/b".to_owned()), &PathTarget::Answer(404)]);
    assert_eq!((route.paths[0].response_buffering, route.paths[0].request_buffering, route.paths[1].exact), (Some(false), None, true));
    let all =
        ["{path: x}", "{path: /}", "{path: /x, port: 1, answer: 404}", "{path: /x, answer: 99}", "{path: /x}, {path: /x}"].map(|paths| {
            let faults = minion("notes", &text(paths)).unwrap_err();
            faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join(" | ")
        });
    assert_eq!(
        all,
        [
            "routes[0].paths[0].path is one such as /api/ below the route, but `x` stands here",
            "routes[0].paths[0].path is one such as /api/ below the route, but `/` stands here",
            "routes[0].paths[0] leads to one place: `port`, `redirect` or `answer`",
            "routes[0].paths[0].answer is a status such as 404, not 99",
            "routes[0].paths[1]: /x is there twice",
        ]
    );
}

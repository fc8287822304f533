//! Ways to sign in, as minion.yml writes them.

use crate::fault::Source;
use crate::minion::{LogPlace, Minion, Origin, read};

fn minion(sign_in: &str) -> Result<Minion, String> {
    let text = format!("version: 1\nsummary: s\nversions: {{tags: '1'}}\nsign_in:\n{sign_in}\n");
    let source = Source::new("notes/minion.yml", text);
    read("notes", Origin::Catalogue, &source, &Source::new("notes/docker-compose.yml", "")).map_err(|faults| {
        faults.iter().map(|fault| fault.line() + &fault.help.as_ref().map_or(String::new(), |help| format!(" [{help}]")) + "\n").collect()
    })
}

#[test]
fn every_key_is_read() {
    let found = minion(
        "  - {path: [/login, /v1/*/login*], method: PUT, failed: [401, 404], succeeded: [204]}\n  - path: /sign_in\n    log: {file: logs/auth.log, failed: 'bad from (?<address>[0-9.:a-f]+)$', succeeded: 'good from (?<address>.+)$'}\n  - {path: /x, log: {service: app, failed: '(?<address>.+)'}}",
    )
    .unwrap()
    .sign_in;
    assert_eq!((found[0].method.as_str(), found[1].method.as_str()), ("PUT", "POST"));
    assert_eq!((found[0].paths.len(), found[0].failed.clone(), found[0].succeeded.clone()), (2, vec![401, 404], vec![204]));
    assert_eq!(found[1].log.as_ref().unwrap().place, LogPlace::File("logs/auth.log".into()));
    assert_eq!(found[2].log.as_ref().unwrap().place, LogPlace::Service("app".into()));
}

#[test]
fn what_cannot_be_seen_is_refused() {
    insta::assert_snapshot!(minion(
        "  - {path: /login}\n  - {path: login, failed: [401]}\n  - {path: '/a b;', failed: [99], succeeded: [99]}\n  - {failed: [401]}\n  - {path: /x, failed: [401], succeeded: [401], method: BREW}\n  - {path: /x, log: {file: ../x, failed: 'a'}}\n  - {path: /x, log: {service: app, file: x, failed: '('}}\n  - {path: /x, log: {service: app}, colour: red}"
    ).unwrap_err(), @r"
    notes/minion.yml:5:5: sign_in[0] does not say how a failed sign-in looks [write `failed: [401]`, or a `log:` with the line that tells]
    notes/minion.yml:6:12: sign_in[1].path must be a path such as /login or /users/login*, but `login` stands here [letters, digits, `/`, `_`, `.`, `-`, and `*` for any characters]
    notes/minion.yml:7:12: sign_in[2].path must be a path such as /login or /users/login*, but `/a b;` stands here [letters, digits, `/`, `_`, `.`, `-`, and `*` for any characters]
    notes/minion.yml:7:30: sign_in[2].failed[0] must be a status of HTTP, 200 to 599, but 99 stands here
    notes/minion.yml:7:47: sign_in[2].succeeded[0] must be a status of HTTP, 200 to 599, but 99 stands here
    notes/minion.yml:8:5: `path` is missing in sign_in[3]
    notes/minion.yml:9:5: sign_in[4] calls 401 both failed and succeeded
    notes/minion.yml:9:57: sign_in[4].method cannot be `BREW` [one of: POST, PUT, GET, PATCH]
    notes/minion.yml:10:21: sign_in[5].log must hold either `file` or `service`
    notes/minion.yml:10:28: sign_in[5].log.file names no file of the instance: a relative path without `.` and `..`, but `../x` stands here
    notes/minion.yml:10:42: sign_in[5].log.failed has no group `address` [write (?<address>[0-9a-fA-F.:]+) where the client's address stands]
    notes/minion.yml:11:21: sign_in[6].log must hold either `file` or `service`
    notes/minion.yml:11:53: sign_in[6].log.failed is no regular expression: error: unclosed group
    notes/minion.yml:12:21: `failed` is missing in sign_in[7].log
    notes/minion.yml:12:37: unknown key `colour` in sign_in[7] [allowed: failed, log, method, path, succeeded]
    ");
}

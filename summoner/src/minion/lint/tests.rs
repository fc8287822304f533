//! Each promise broken once.

use super::inspect;
use crate::fault::Source;
use crate::minion::{Origin, read};

const MINION: &str = "\
version: 1
summary: Notes
routes: [{port: 80}]
databases: [{kind: postgresql, name: n, user: n, password: db_password}]
secrets: {db_password: {}, admin_password: {}}
folders: {data: {}}
administrator: {user: admin, password: admin_password}
smoke: {path: /}
needs: {memory: 64m, disk: 1g}
versions: {tags: '1\\.\\d+'}
";

const COMPOSE: &str = "\
services:
  app:
    image: ghcr.io/some/notes:1.4
    environment: {PASSWORD: '${ADMIN_PASSWORD}'}
    volumes: ['${FILES}/data:/data']
    healthcheck: {test: [CMD, check], interval: 5s, start_period: 60s}
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
  db:
    image: postgres:17.11
    secrets: [db_password]
    volumes: ['${DATABASE_FILES}:/var/lib/postgresql/data']
    healthcheck: {test: [CMD, pg_isready], interval: 3s, start_period: 60s}
    restart: unless-stopped
secrets: {db_password: {file: '${SECRETS}/db_password'}}
";

fn findings(minion: &str, compose: &str) -> String {
    let minion = read("notes", Origin::Catalogue, &Source::new("minion.yml", minion), &Source::new("docker-compose.yml", compose)).unwrap();
    inspect(&minion).unwrap().iter().map(|finding| format!("{finding}\n")).collect()
}

fn compose(from: &str, to: &str) -> String {
    assert!(COMPOSE.contains(from), "{from}");
    findings(MINION, &COMPOSE.replacen(from, to, 1))
}

fn minion(from: &str, to: &str) -> String {
    assert!(MINION.contains(from), "{from}");
    findings(&MINION.replacen(from, to, 1), COMPOSE)
}

#[test]
fn what_keeps_the_promises_is_left_alone() {
    assert_eq!(findings(MINION, COMPOSE), "");
}

#[test]
fn images_are_pinned() {
    insta::assert_snapshot!(compose("notes:1.4", "notes:latest"), @"
        notes: services.app.image: `latest` means another image every week: pin an exact version
        notes: versions.tags: the tag of the service app, `latest`, does not match
        ");
    insta::assert_snapshot!(compose("ghcr.io/some/notes:1.4", "localhost:5000/notes"), @"
        notes: services.app.image: `localhost:5000/notes` names no tag: pin an exact version
        notes: versions.tags: the tag of the service app, ``, does not match
        ");
    insta::assert_snapshot!(compose("postgres:17.11", "ghcr.io/some/notes:1.4"), @"notes: versions.services: `db` has app's image and must move with it: services: [app, db]");
}

#[test]
fn powers_are_refused() {
    let all =
        "restart: always\n    container_name: notes\n    privileged: true\n    ports: ['80:80']\n    network_mode: host\n    pid: host";
    insta::assert_snapshot!(compose("restart: unless-stopped", all), @"
        notes: services.app.container_name: Summoner names the containers
        notes: services.app.network_mode: Summoner gives each instance its own network
        notes: services.app.pid: no container sees the host's processes or memory
        notes: services.app.ports: only the proxy publishes ports: declare a route in minion.yml
        notes: services.app.privileged: no container of the catalogue has all powers
        notes: services.app.restart: write restart: unless-stopped, so that it runs again after a reboot
        ");
}

#[test]
fn data_stays_where_backups_look() {
    insta::assert_snapshot!(compose("'${FILES}/data:/data'", "'${FILES}/other:/data', '/etc:/etc', '/var/run/docker.sock:/s', /cache"), @"
        notes: folders: `other` is mounted into app and not declared
        notes: services.app.volumes: /cache: no backup sees a volume: mount a folder below ${FILES}
        notes: services.app.volumes: /etc: a minion mounts folders below ${FILES}, ${DATABASE_FILES} and ${SECRETS} only
        notes: services.app.volumes: whoever has the engine's socket has the host
        ");
    insta::assert_snapshot!(compose("postgresql/data", "postgresql"), @"notes: services.db.volumes: postgres:17.11: the data lies in /var/lib/postgresql/data: mount ${DATABASE_FILES} there");
    insta::assert_snapshot!(compose("postgres:17.11", "postgres:18.6"), @"notes: services.db.volumes: postgres:18.6: the data lies in /var/lib/postgresql: mount ${DATABASE_FILES} there");
}

#[test]
fn health_is_asked() {
    insta::assert_snapshot!(compose("    healthcheck: {test: [CMD, check], interval: 5s, start_period: 60s}\n", ""), @"notes: services.app.healthcheck: a check is missing that holds only while the service works");
    insta::assert_snapshot!(compose("{test: [CMD, check], interval: 5s, start_period: 60s}", "{interval: 60s}"), @"
        notes: services.app.healthcheck: `test` is missing; when the image brings its own, list the service in image_healthchecks
        notes: services.app.healthcheck: start_period is missing: the first start would count as a failure
        notes: services.app.healthcheck: write an interval of at most 15s: each start waits for the next check
        ");
    insta::assert_snapshot!(compose("condition: service_healthy", "condition: service_started"), @"notes: services.app.depends_on.db: wait for a database until it is healthy: {condition: service_healthy}");
    assert_eq!(findings(&format!("{MINION}image_healthchecks: [app]\n"), &COMPOSE.replacen("test: [CMD, check], ", "", 1)), "");
}

#[test]
fn secrets_stay_out_of_arguments() {
    insta::assert_snapshot!(compose("[CMD, check]", "[CMD, check, '${SECRET_DB_PASSWORD}']"), @"notes: services.app: a secret stands in an argument, which `docker inspect` and every process show: give it as a file");
    insta::assert_snapshot!(minion("smoke:", "configure: [{exec: {command: [set, '--password=${ADMIN_PASSWORD}']}}, {request: {path: '/?p=${ADMIN_PASSWORD}'}}]\nsmoke:"), @"
        notes: configure: a secret stands in an argument, which every process can read: use stdin or environment
        notes: configure: a secret stands in the path, which servers log: use the body or a header
        ");
    insta::assert_snapshot!(minion("db_password: {}", "db_password: {}, unused: {}"), @"notes: secrets.unused: nothing uses it");
    insta::assert_snapshot!(compose("{file: '${SECRETS}/db_password'}", "{file: /etc/passwd}"), @"
        notes: secrets.db_password: a secret is a file in ${SECRETS} and declared in minion.yml
        notes: secrets.db_password: nothing uses it
        ");
}

#[test]
fn names_lead_somewhere() {
    insta::assert_snapshot!(minion("{port: 80}", "{service: web, port: 80}"), @"notes: routes: no service is named `web`; there are: app, db");
    insta::assert_snapshot!(minion("kind: postgresql", "service: postgres, kind: postgresql"), @"
        notes: databases: no service is named `postgres`; there are: app, db
        notes: services.db: a service is `app`, a declared database, or one of the helper words such as redis, cron, worker
        ");
    insta::assert_snapshot!(minion("1\\.", "2\\."), @"notes: versions.tags: the tag of the service app, `1.4`, does not match");
    insta::assert_snapshot!(findings("version: 1\nsummary: Notes.\nroutes: [{port: 80}]\nversions: {tags: '1\\.4'}\n", "services: {app: {image: 'n:1.4', restart: unless-stopped}, web: {image: 'w:1', restart: unless-stopped}}"), @"
        notes: needs: say how much memory and disk a small team needs
        notes: services.app.healthcheck: a check is missing that holds only while the service works
        notes: services.web: a service is `app`, a declared database, or one of the helper words such as redis, cron, worker
        notes: services.web.healthcheck: a check is missing that holds only while the service works
        notes: smoke: a routed minion needs a probe that proves that a person could work
        notes: summary: one line of at most 80 characters without a full stop
        ");
}

#[test]
fn what_compose_refuses_is_a_fault() {
    let minion = read(
        "notes",
        Origin::Catalogue,
        &Source::new("minion.yml", MINION),
        &Source::new("docker-compose.yml", "services: {app: {image: 'n:1', imgae: x, command: '${NO_SUCH}'}}"),
    )
    .unwrap();
    let faults = inspect(&minion).unwrap_err();
    assert!(faults[0].to_string().contains("imgae"), "{}", faults[0]);
}

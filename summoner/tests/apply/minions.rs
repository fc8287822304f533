//! Small minions for tests, as folders of a person's own.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use summoner::minion::Catalogue;

/// Name, minion.yml, docker-compose.yml.
const ALL: [(&str, &str, &str); 3] = [("pair", PAIR, PAIR_COMPOSE), ("page", PAGE, PAGE_COMPOSE), ("store", STORE, STORE_COMPOSE)];

/// An application with a database, secrets, a folder, an administrator, settings and a smoke probe.
const PAIR: &str = r"
version: 1
summary: An application with a database
links: {home: https://example.org}
routes: [{port: 8000}]
databases:
  - {service: db, kind: postgresql, name: pair, user: pair, password: db_password}
secrets: {db_password: {}, admin_password: {}}
folders: {files: {}}
administrator:
  user: admin
  password: admin_password
  create:
    - exec: {command: [make-administrator], stdin: '${ADMIN_PASSWORD}'}
configure:
  - exec: {command: [set-up]}
smoke: {path: /, contains: welcome}
needs: {memory: 64m, disk: 10m}
versions: {tags: '\d+', step: major, restore: newer}
";
const PAIR_COMPOSE: &str = r#"
services:
  app:
    image: pair:1
    volumes: ["${FILES}/files:/files"]
    secrets: [db_password]
    healthcheck: &check {test: ["CMD", "true"], interval: 1s, timeout: 1s, retries: 3}
    depends_on: {db: {condition: service_healthy}}
    restart: unless-stopped
  db:
    image: postgres:18
    volumes: ["${DATABASE_FILES}:/var/lib/postgresql"]
    secrets: [db_password]
    healthcheck: *check
    restart: unless-stopped
secrets:
  db_password: {file: "${SECRETS}/db_password"}
"#;

/// One container and a route.
const PAGE: &str = r"
version: 1
summary: A page
links: {home: https://example.org}
routes: [{port: 80}]
smoke: {path: /, contains: hello}
needs: {memory: 32m, disk: 10m}
versions: {tags: '\d+', step: major, restore: newer}
";
const PAGE_COMPOSE: &str = r#"
services:
  app:
    image: page:1
    healthcheck: {test: ["CMD", "true"], interval: 1s, timeout: 1s, retries: 3}
    restart: unless-stopped
"#;

/// A named volume, a helper and no route.
const STORE: &str = r"
version: 1
summary: A store without a door
links: {home: https://example.org}
needs: {memory: 32m, disk: 10m}
versions: {tags: '\d+', step: major, restore: newer}
";
const STORE_COMPOSE: &str = r#"
services:
  app:
    image: store:1
    volumes: ["things:/things"]
    healthcheck: &check {test: ["CMD", "true"], interval: 1s, timeout: 1s, retries: 3}
    restart: unless-stopped
  cron:
    image: store:1
    command: ["tick"]
    healthcheck: *check
    restart: unless-stopped
volumes:
  things: {}
"#;

/// The catalogue of the binary and these, opened once.
pub fn catalogue() -> &'static Catalogue {
    static OPENED: LazyLock<Catalogue> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        Catalogue::open(Some(folder.path())).unwrap()
    });
    &OPENED
}

fn write(folder: &Path) {
    for (name, minion, compose) in ALL {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("minion.yml"), minion).unwrap();
        fs::write(folder.join("docker-compose.yml"), compose).unwrap();
    }
}

use super::page::page;
use super::text::text;
use super::*;
use crate::config::loaded;

const ONE: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const OTHER: &str = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";

fn settings(name: &str, place: Place) -> RepositorySettings {
    RepositorySettings { name: name.into(), place, keep: None, bytes_per_second: None, append_only: false, encrypt: true }
}

fn sftp() -> Place {
    Place::Sftp(Sftp {
        user: "backup".into(),
        host: "other.example.org".into(),
        port: 22,
        path: "/srv/summoner".into(),
        key_file: Some("/root/.ssh/summoner".into()),
        known_hosts: None,
    })
}

fn s3() -> Place {
    Place::S3(S3 {
        endpoint: "https://s3.example.org".into(),
        bucket: "bucket".into(),
        prefix: "team".into(),
        region: "eu-central-1".into(),
        access_key: Some("AKIAEXAMPLE".into()),
        secret_key_file: Some("/etc/summoner/s3.key".into()),
    })
}

fn team() -> Config {
    let (mut config, _) = loaded("version: 1\ndomain: a.org\nemail: you@a.org\napps: {ghost: , wekan: }\n");
    config.recipients = vec![ONE.to_owned(), OTHER.to_owned()];
    let plain = RepositorySettings { encrypt: false, ..settings("attic", Place::Folder("/mnt/disk/backups".into())) };
    config.repositories = vec![settings("elsewhere", sftp()), settings("cloud", s3()), plain];
    config
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn card(config: &Config) -> Card {
    let proof = |id: &str, verified: Option<&str>, drill: Option<Short>| Proof {
        id: id.parse().unwrap(),
        url: Some(format!("https://{}", id.split_once('-').unwrap().1)),
        verified: verified.map(at),
        drill,
    };
    let short = |id: &str, time: &str, passed, took_ms| Short { snapshot: id.parse().unwrap(), at: at(time), took_ms, passed, why: None };
    let passed = short("ghost-a.org/20261118T020000Z", "2026-11-19T04:00:00Z", true, 40_200);
    let failed = short("wiki-a.org/20261119T020000Z", "2026-11-20T04:00:00Z", false, 1);
    let proofs = vec![
        proof("ghost-a.org", Some("2026-11-21T02:00:00Z"), Some(passed)),
        proof("wekan-a.org", None, None),
        proof("wiki-a.org", Some("2026-11-21T02:00:00Z"), Some(failed)),
    ];
    Card::of(config, "0.1.0", proofs, at("2026-11-22T00:10:00Z"))
}

#[test]
fn the_card_says_where_which_key_and_what_to_type() {
    insta::assert_snapshot!(text(&card(&team())), @r#"
    RECOVERY CARD OF a.org
    made 2026-11-22 00:10 UTC by summoner 0.1.0; you@a.org; config.yml was /srv/team/config.yml

    Keep it where the server is not, on paper too. It holds no secret: what it names must lie elsewhere as well.
    A new one is due when the keys, the places or the domain change; `summoner doctor` says so.

    1  Which key is needed
       cf7e-5682-3131-5068   age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
         its private key lies  ________________________________________________
         who has it            ________________________________________________
       05fd-3231-7993-0a65   age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg
         its private key lies  ________________________________________________
         who has it            ________________________________________________
       Any one of them opens everything that was made for it. KEYFILE below is the file of its private key.

    2  Where the backups are
       this server: /srv/team/data/backups
         burns with this server
       elsewhere: sftp://backup@other.example.org/srv/summoner (encrypted)
         user backup at other.example.org, port 22
         the private key of SSH /root/.ssh/summoner
       cloud: s3+https://s3.example.org/bucket/team (encrypted)
         region eu-central-1
         the access key AKIAEXAMPLE
         its secret key /etc/summoner/s3.key
       attic: /mnt/disk/backups
         the disk
       copies of what it takes to get in lie  ________________________________________________

    3  On an empty machine
       1. An empty machine with Debian or Ubuntu, as root:
            apt-get update && apt-get install -y docker.io openssh-client
       2. The program, version 0.1.0 or newer: from a copy, or built in its sources by scripts/summon --dry-run:
            install -m 0755 summoner /usr/local/bin/summoner
       3. The private key of SSH in a file SSHKEY (mode 0600); say yes to the host that you know; this shows repository.json:
            echo ls /srv/summoner | sftp -i SSHKEY -P 22 backup@other.example.org
       4. Everything as it was: config.yml, passwords, certificates, every application with its data:
            summoner install --restore-from sftp://backup@other.example.org/srv/summoner --ssh-key SSHKEY --identity KEYFILE

    4  The same without Summoner
       1. All of it onto an empty disk:
            sftp -r -i SSHKEY -P 22 backup@other.example.org:/srv/summoner backups
            cd backups
       2. Opened with age, each file in the place of its encrypted one:
            find . -name '*.age' -exec sh -euc 'for f; do age -d -i "$0" -o "${f%.age}" "$f"; rm "$f"; done' KEYFILE {} +
       3. What there is, and one of it into a new folder (sh, tar, zstd and sha256sum do it):
            sh restore.sh
            sh restore.sh INSTANCE/TIME FOLDER

    5  What was proven when this was printed
       ghost-a.org   https://a.org
         newest whole snapshot 2026-11-21 02:00 UTC; drilled 2026-11-19 04:00 UTC in 41 s
       wekan-a.org   https://a.org
         newest whole snapshot NONE; never drilled
       wiki-a.org   https://a.org
         newest whole snapshot 2026-11-21 02:00 UTC; its drill FAILED 2026-11-20 04:00 UTC
    "#);
}

#[test]
fn without_another_place_and_without_keys_it_says_so() {
    let (config, _) = loaded("version: 1\ndomain: a.org\nemail: you@a.org\n");
    let card = Card::of(&config, "0.1.0", vec![], at("2026-11-22T00:10:00Z"));
    let said = text(&card);
    assert!(said.contains("nothing is encrypted") && said.contains("NO OTHER PLACE") && !said.contains("--identity"), "{said}");
    assert!(page(&card).contains("No other place"));
}

#[test]
fn the_page_needs_nothing_from_outside_and_escapes_what_it_shows() {
    let mut config = team();
    config.email = "a&b<script>\"'@a.org".into();
    let page = page(&card(&config));
    for outside in ["src=", "href=", "url(", "@import", "<script", "http-equiv"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("a&amp;b&lt;script&gt;&quot;&#39;@a.org"));
    for needed in [ONE, OTHER, "sftp://backup@other.example.org/srv/summoner", "/root/.ssh/summoner", "AKIAEXAMPLE", "--restore-from"] {
        assert!(page.contains(needed), "{needed}");
    }
}

#[test]
fn every_place_has_its_own_way_in() {
    let mut config = team();
    for (place, said) in [
        (
            sftp(),
            [
                "echo ls /srv/summoner | sftp -i SSHKEY -P 22 backup@other.example.org",
                "sftp -r -i SSHKEY -P 22 backup@other.example.org:/srv/summoner backups",
            ],
        ),
        (
            s3(),
            [
                "export AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=AKIAEXAMPLE AWS_SECRET_ACCESS_KEY=...",
                "aws s3 sync --endpoint-url https://s3.example.org --region eu-central-1 s3://bucket/team backups",
            ],
        ),
        (Place::Folder("/mnt/disk".into()), ["ls /mnt/disk", "cp -r /mnt/disk backups"]),
    ] {
        config.repositories = vec![settings("one", place.clone())];
        let text = text(&card(&config));
        for said in said {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(text.contains(&format!("summoner install --restore-from {place} ")), "{text}");
    }
}

#[test]
fn a_card_is_old_when_keys_places_or_the_domain_changed() {
    let config = team();
    let made = Basis::of(&config);
    assert!(made.missing_on(&made).is_empty());
    let mut now = config.clone();
    now.recipients = vec![ONE.to_owned()];
    now.repositories.remove(2);
    now.repositories[1].encrypt = false;
    now.domain = "b.org".parse().unwrap();
    assert_eq!(
        Basis::of(&now).missing_on(&made),
        [
            "the domain is b.org now".to_owned(),
            format!("the key {} is used no more", fingerprint(OTHER)),
            "cloud is new there".to_owned(),
            "attic is used no more".to_owned()
        ]
    );
    // The order of recipients is no matter.
    now = config.clone();
    now.recipients.reverse();
    assert!(Basis::of(&now).missing_on(&made).is_empty());
}

#[test]
fn nothing_is_encrypted_for_a_key_that_no_card_names() {
    let config = team();
    let made = Basis::of(&config);
    assert_eq!(made.refusal(None).as_deref(), Some("no recovery card was made"));
    assert_eq!(made.refusal(Some(&made)), None);
    let refusal = |change: &dyn Fn(&mut Config)| {
        let mut now = config.clone();
        change(&mut now);
        Basis::of(&now).refusal(Some(&made))
    };
    assert!(refusal(&|now| now.recipients = vec![ONE.to_owned()]).unwrap().contains("used no more"));
    assert!(refusal(&|now| now.repositories[0].name = "new".into()).unwrap().contains("does not name new (sftp://"));
    // Another domain and a plain place make the card old, and keep nothing from being opened.
    assert_eq!(refusal(&|now| now.domain = "b.org".parse().unwrap()), None);
    assert_eq!(refusal(&|now| now.repositories[2].name = "new".into()), None);
    let mut one = config.clone();
    one.recipients = vec![ONE.to_owned()];
    assert!(made.refusal(Some(&Basis::of(&one))).unwrap().contains(&format!("before the key {} was there", fingerprint(OTHER))));
    // Who encrypts nothing needs no card.
    one.recipients.clear();
    assert_eq!(Basis::of(&one).refusal(None), None);
}

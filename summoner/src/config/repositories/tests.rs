use std::path::Path;

use super::*;
use crate::config::load;
use crate::config::load::tests::surroundings;
use crate::fault::{Fault, Source};

fn place(text: &str) -> Result<Place, String> {
    text.parse()
}

/// What is read of these lines, and the warnings; or all faults, one a line.
fn said(text: &str) -> Result<(Vec<RepositorySettings>, Vec<String>), String> {
    let head = "version: 1\ndomain: a.org\nemail: you@a.org\nstorage: {databases: /srv/db}\nbackup: {keep: {last: 1}}\nrepositories:\n";
    let text: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let lines = |faults: &[Fault]| faults.iter().map(Fault::line).collect::<Vec<_>>();
    match load(&Source::new("config.yml", format!("{head}{text}")), &surroundings()) {
        Ok((config, warnings)) => Ok((config.repositories, lines(&warnings))),
        Err(faults) => Err(lines(&faults).join("\n")),
    }
}

#[test]
fn a_place_says_itself_again() {
    for text in [
        "/mnt/disk/backups",
        "sftp://backup@other.example.org/srv/summoner",
        "sftp://backup@other.example.org:2222/srv/my backups",
        "sftp://b_1@[2001:db8::1]:2222/srv",
        "sftp://b@192.0.2.1/srv",
        "s3+https://s3.example.org/bucket",
        "s3+https://s3.example.org:9000/bucket/a/prefix",
        "s3+http://[::1]:9000/my.bucket-1/p",
    ] {
        let found = place(text).unwrap();
        assert_eq!(found.to_string(), text);
        assert_eq!(place(&found.to_string()), Ok(found));
    }
    assert_eq!(place("/mnt//disk/./backups/").unwrap().to_string(), "/mnt/disk/backups");
    assert_eq!(place("sftp://b@A.org:22/srv/").unwrap().to_string(), "sftp://b@a.org/srv");
    assert_eq!(place("s3+https://a.org/bucket//").unwrap().to_string(), "s3+https://a.org/bucket");
    let Ok(Place::S3(s3)) = place("s3+https://s3.example.org:9000/bucket/a/b") else { panic!() };
    assert_eq!((s3.endpoint.as_str(), s3.bucket.as_str(), s3.prefix.as_str()), ("https://s3.example.org:9000", "bucket", "a/b"));
}

#[test]
fn what_is_no_place_says_what_would_be_one() {
    let texts = [
        "",
        "backups",
        "/srv/../etc",
        "/srv/a:b",
        "s3://bucket/prefix",
        "ssh://root:hunter2@host/x",
        "sftp://host/x",
        "sftp://root:hunter2@host/x",
        "sftp://-oProxyCommand=x@host/x",
        "sftp://root@-oProxyCommand=x/x",
        "sftp://root@host",
        "sftp://root@host/",
        "sftp://root@host:0/x",
        "sftp://root@host/a%20b",
        "sftp://root@host/a/../b",
        "s3+https://host",
        "s3+https://key:hunter2@host/bucket",
        "s3+https://host/Bucket",
        "s3+https://host/bucket/a b",
        "s3+https://host/bucket/a/../b",
        "s3+https://host/bucket?x=y",
    ];
    let all: Vec<String> = texts.iter().map(|text| place(text).unwrap_err()).collect();
    assert!(!all.join("\n").contains("hunter2"));
    insta::assert_snapshot!(all.join("\n"), @r"
    `` is no place for snapshots: write /folder, sftp://user@host/folder or s3+https://host/bucket
    `backups` is no place for snapshots: write /folder, sftp://user@host/folder or s3+https://host/bucket
    `/srv/../etc` holds `..`: write where the folder is
    the path of a folder for snapshots holds no :
    `s3://bucket/prefix` is no place for snapshots: write s3+https://host/bucket
    `ssh://…@host/x` is no place for snapshots: write sftp://user@host/folder
    `sftp://host/x` is no place for snapshots: say who signs in, as in sftp://backup@host/folder
    `sftp://…@host/x` is no place for snapshots: a password does not belong here; who signs in has a key, see `key_file`
    `sftp://-oProxyCommand=x@host/x` is no place for snapshots: the part before the @ is no user
    `sftp://root@-oProxyCommand=x/x` is no place for snapshots: what follows the @ is no host
    `sftp://root@host` is no place for snapshots: write sftp://user@host/folder
    `sftp://root@host/` is no place for snapshots: name a folder there, as in sftp://user@host/folder
    `sftp://root@host:0/x` is no place for snapshots: what follows the @ is no host
    `sftp://root@host/a%20b` is no place for snapshots: its path holds something else than names of folders; what it says is taken as it is, without escapes
    `sftp://root@host/a/../b` is no place for snapshots: its path holds something else than names of folders; what it says is taken as it is, without escapes
    `s3+https://host` is no place for snapshots: name the bucket, as in s3+https://host/bucket
    `s3+https://…@host/bucket` is no place for snapshots: keys do not belong here, see `access_key` and `secret_key_file`
    `s3+https://host/Bucket` is no place for snapshots: a bucket has 3 to 63 lower-case letters, digits, hyphens and dots
    `s3+https://host/bucket/a b` is no place for snapshots: what follows the bucket has letters, digits, dots, hyphens, underscores and slashes
    `s3+https://host/bucket/a/../b` is no place for snapshots: what follows the bucket has letters, digits, dots, hyphens, underscores and slashes
    `s3+https://host/bucket?x=y` is no place for snapshots: a bucket has 3 to 63 lower-case letters, digits, hyphens and dots
    ");
}

#[test]
fn a_newcomer_writes_the_place_and_an_expert_everything() {
    let (found, warnings) = said(
        "attic: /mnt/disk/backups\nbeside: ../other\nx-note: mine\nelsewhere:\n  at: sftp://backup@o.example.org:2222/srv\n  key_file: ./key\n  known_hosts: ~/.ssh/hosts\n  append_only: true\ncloud-2:\n  at: s3+https://s3.example.org/bucket/p\n  region: eu-central-1\n  access_key: AKIA\n  secret_key_file: /etc/summoner/s3.key\n  keep: {daily: 30, monthly: 24}\n  bandwidth: 10 MB\n  encrypt: false\n",
    )
    .unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let names: Vec<String> = found.iter().map(|one| format!("{} {}", one.name, one.place)).collect();
    assert_eq!(
        names,
        [
            "attic /mnt/disk/backups",
            "beside /srv/other",
            "elsewhere sftp://backup@o.example.org:2222/srv",
            "cloud-2 s3+https://s3.example.org/bucket/p"
        ]
    );
    let [attic, _, elsewhere, cloud] = found.as_slice() else { panic!() };
    assert_eq!((attic.keep, attic.bytes_per_second, attic.append_only, attic.encrypt), (None, None, false, true));
    let Place::Sftp(sftp) = &elsewhere.place else { panic!() };
    let (key, hosts) = (sftp.key_file.as_deref(), sftp.known_hosts.as_deref());
    assert_eq!((key, hosts), (Some(Path::new("/srv/team/key")), Some(Path::new("/root/.ssh/hosts"))));
    assert!(elsewhere.append_only);
    let Place::S3(s3) = &cloud.place else { panic!() };
    assert_eq!((s3.region.as_str(), s3.access_key.as_deref()), ("eu-central-1", Some("AKIA")));
    assert_eq!(cloud.keep, Some(Keep { last: 1, daily: 30, monthly: 24, ..Keep::default() }));
    assert_eq!((cloud.bytes_per_second, cloud.encrypt), (Some(10 << 20), false));
}

#[test]
fn all_faults_come_at_once() {
    insta::assert_snapshot!(
        said("Attic: /mnt/a\nnone:\nroot: /\nfiles: ./data\nsame: /srv/team/data/backups\ndb: /srv/db/x\napp: /srv/team/data/ghost-a.org/b\nup: /srv\nown: /srv/team/data/summoner\nlist: [/mnt/a]\n").unwrap_err(),
        @r"
        config.yml:7:3: `Attic` is no name for a repository
        config.yml:8:7: `at` is missing in repositories.none
        config.yml:9:9: repositories.root cannot be /: / holds other things; take a folder inside it
        config.yml:10:10: repositories.files cannot be /srv/team/data: it is storage.files
        config.yml:11:9: repositories.same cannot be /srv/team/data/backups: every backup lies there already, first of all
        config.yml:12:7: repositories.db cannot be /srv/db/x: storage.databases holds databases and nothing else
        config.yml:13:8: repositories.app cannot be /srv/team/data/ghost-a.org/b: it lies in the own folder of ghost-a.org, which is backed up and replaced as a whole
        config.yml:14:7: repositories.up cannot be /srv: it holds storage.files
        config.yml:15:8: repositories.own cannot be /srv/team/data/summoner: /srv/team/data/summoner is Summoner's own
        config.yml:16:9: repositories.list must be a mapping, but a list stands here
        ");
    insta::assert_snapshot!(
        said("a:\n  at: /mnt/a\n  key_file: /k\n  regoin: x\nb:\n  at: sftp://b@host/x\n  key_file: hunter2\n  bandwidth: fast\n  keep: {last: 0, daily: 0, weekly: 0, monthly: 0}\nc:\n  at: s3+https://host/bucket\n  access_key: hunter2/hunter2\n  secret_key_file: wJalrXUtnFEMI/K7MDENG\n  bandwidth: 1k\nd: {region: x}\ne: {at: s3+https://host/other, access_key: A}\nf: /mnt/a/b\ng: sftp://b@host/x/y\nh: s3+https://host/bucket/p\n").unwrap_err(),
        @r"
        config.yml:9:15: repositories.a.key_file belongs to a place that begins with sftp://
        config.yml:10:5: unknown key `regoin` in repositories.a
        config.yml:13:15: repositories.b.key_file: write the path of a file that holds the key: /etc/summoner/key, or ./key beside this file
        config.yml:14:16: repositories.b.bandwidth: `fast` is no number of bytes a second: write 10 MB, 512k or 1.5m
        config.yml:15:11: this keeps no backup at all
        config.yml:18:17: repositories.c.access_key: this is no access key: write the store's own name for it, such as AKIAIOSFODNN7EXAMPLE
        config.yml:19:22: repositories.c.secret_key_file: write the path of a file that holds the key: /etc/summoner/key, or ./key beside this file
        config.yml:20:16: repositories.c.bandwidth: `1k` is less than 16k a second: no night is that long
        config.yml:21:6: `at` is missing in repositories.d
        config.yml:22:46: repositories.e has only one of access_key and secret_key_file
        config.yml:23:6: repositories.a and repositories.f are the same place
        config.yml:24:6: repositories.b and repositories.g are the same place
        config.yml:25:6: repositories.c and repositories.h are the same place
        ");
    assert!(said("- /mnt/a\n").is_err());
    let many: String = (0..17).map(|at| format!("a{at}: /mnt/{at}\n")).collect();
    assert!(said(&many).unwrap_err().contains("more than 16"));
}

#[test]
fn what_is_allowed_and_unwise_is_told() {
    let (_, warnings) =
        said("near: /srv/team/data/second\nclear: s3+http://store.example.org/bucket\nhere: s3+http://127.0.0.1:9000/bucket\n").unwrap();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    config.yml:7:9: repositories.near lies in storage.files, beside what it is to save
    config.yml:8:10: repositories.clear is reached without TLS
    ");
}

#[test]
fn keys_are_shown_by_their_files() {
    let (config, _) = crate::config::loaded(crate::config::EXAMPLE);
    let shown = crate::config::show_json(&config)["repositories"].clone();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap(), @r#"
    [
      {
        "append_only": false,
        "at": "/mnt/disk/backups",
        "bandwidth": null,
        "encrypt": true,
        "keep": null,
        "name": "attic"
      },
      {
        "append_only": true,
        "at": "sftp://backup@other.example.org/srv/summoner",
        "bandwidth": null,
        "encrypt": true,
        "keep": null,
        "key_file": "/etc/summoner/other.key",
        "known_hosts": "/etc/summoner/other.hosts",
        "name": "elsewhere"
      },
      {
        "access_key": "AKIAIOSFODNN7EXAMPLE",
        "append_only": false,
        "at": "s3+https://s3.example.org/bucket/prefix",
        "bandwidth": 10485760,
        "encrypt": true,
        "keep": {
          "at_most": 50,
          "daily": 30,
          "hourly": 0,
          "last": 3,
          "monthly": 24,
          "weekly": 4,
          "within": "3d",
          "yearly": 0
        },
        "name": "cloud",
        "region": "eu-central-1",
        "secret_key_file": "/etc/summoner/s3.key"
      }
    ]
    "#);
}

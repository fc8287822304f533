//! The driver for S3 in front of `MinIO`, whole and broken.

use std::path::Path;

use summoner::backend::s3::S3 as Driver;
use summoner::backend::{self, Backend};
use summoner::config::repositories::{Place, RepositorySettings, S3};

use crate::bed::{MIB, Minio, bytes, free_port, repository};
use crate::faults::{self, Act};
use crate::suite::{names, suite, text};

/// More than one part.
const LARGE: u64 = 14 * MIB + 5;

fn through(minio: &Minio, bucket: &str, rule: impl FnMut(&faults::Asked) -> Act + Send + 'static) -> Driver {
    let port = faults::http(minio.port, rule);
    Driver::open(&S3 { endpoint: format!("http://127.0.0.1:{port}"), ..minio.settings(bucket) }).unwrap()
}

/// Uploads that were begun and neither completed nor aborted.
fn unfinished(minio: &Minio, bucket: &str, key: &str) -> bool {
    let said = minio.curl(&[], &format!("/{bucket}?prefix={}&uploads=", key.replace('/', "%2F")));
    assert!(said.contains("ListMultipartUploadsResult"), "{said}");
    said.contains("<UploadId>")
}

#[test]
fn a_bucket_keeps_the_contract() {
    let minio = Minio::new();
    let whole = minio.bucket("whole");
    suite(&Driver::open(&whole).unwrap());
    let below = S3 { prefix: "a/prefix".to_owned(), ..whole };
    suite(backend::open(&repository("cloud", Place::S3(below.clone()))).unwrap().as_ref());
    // What lies beside the prefix is none of its business, whatever its name begins with.
    let other = Driver::open(&S3 { prefix: "a/prefix2".to_owned(), ..below.clone() }).unwrap();
    other.put("b", &mut b"other".as_slice()).unwrap();
    assert!(!names(&Driver::open(&below).unwrap(), "").contains(&"b".to_owned()));

    // More than one part, copied and read back; the empty one; and more than one page of names.
    let driver = Driver::open(&minio.bucket("large")).unwrap();
    let receipt = driver.put("packs/large", &mut bytes(LARGE)).unwrap();
    assert_eq!((receipt.bytes, driver.read_back("packs/large").unwrap()), (LARGE, Some(receipt.clone())));
    driver.link("packs/large", "packs/copy").unwrap();
    assert_eq!(driver.read_back("packs/copy").unwrap(), Some(receipt));
    let exact = driver.put("packs/exact", &mut bytes(24 * MIB)).unwrap();
    assert_eq!(driver.read_back("packs/exact").unwrap(), Some(exact));
    let all: Vec<String> = (0..1010).map(|at| format!("many/{at:04}")).collect();
    std::thread::scope(|scope| {
        for some in all.chunks(300) {
            scope.spawn(|| some.iter().for_each(|name| drop(driver.put(name, &mut name.as_bytes()).unwrap())));
        }
    });
    assert_eq!(names(&driver, "many/"), all);
}

#[test]
fn a_bucket_with_object_lock_keeps_what_is_removed() {
    let minio = Minio::new();
    let said = minio.curl(&["-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true"], "/locked");
    assert!(!said.contains("<Error>"), "{said}");
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                <Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let said = minio.curl(&["-X", "PUT", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--data", rule], "/locked?object-lock=");
    assert!(!said.contains("<Error>"), "{said}");
    let driver = Driver::open(&minio.settings("locked")).unwrap();
    driver.put("a", &mut b"kept".as_slice()).unwrap();
    driver.put("large", &mut bytes(LARGE)).unwrap();
    driver.delete("a").unwrap();
    assert_eq!(text(&driver, "a"), None);
    // Hidden, not gone; and it cannot be made to go.
    let versions = minio.curl(&[], "/locked?prefix=a&versions=");
    let version =
        versions.split("<Version>").nth(1).and_then(|rest| rest.split("<VersionId>").nth(1)).and_then(|rest| rest.split('<').next());
    let gone = minio.curl(&["-X", "DELETE"], &format!("/locked/a?versionId={}", version.unwrap()));
    assert!(gone.contains("AccessDenied") || gone.contains("WORM"), "{gone}");
}

#[test]
fn a_line_that_breaks_at_any_megabyte_is_taken_up_again() {
    let minio = Minio::new();
    minio.bucket("cuts");
    for megabyte in 0..=(LARGE / MIB) {
        let name = format!("packs/{megabyte}");
        // Each part in turn: the first request that is long enough breaks, once.
        let mut broken = false;
        let driver = through(&minio, "cuts", move |asked| {
            let long = asked.method == "PUT" && asked.path.contains(&format!("partNumber={}&", 1 + megabyte / 12));
            let first = long && !broken;
            broken |= long;
            if first { Act::CutUpload(megabyte % 12 * MIB) } else { Act::Pass }
        });
        let receipt = driver.put(&name, &mut bytes(LARGE)).unwrap();
        assert_eq!(driver.read_back(&name).unwrap(), Some(receipt.clone()), "cut after {megabyte} MiB up");
        let mut broken = false;
        let driver =
            through(
                &minio,
                "cuts",
                move |_| {
                    if std::mem::replace(&mut broken, true) { Act::Pass } else { Act::CutDownload(megabyte * MIB + 700) }
                },
            );
        assert_eq!(driver.read_back(&name).unwrap(), Some(receipt), "cut after {megabyte} MiB down");
        driver.delete(&name).unwrap();
    }
}

#[test]
fn a_line_that_always_breaks_leaves_nothing() {
    let minio = Minio::new();
    minio.bucket("broken");
    let driver = through(&minio, "broken", |asked| if asked.path.contains("partNumber=2") { Act::CutUpload(MIB) } else { Act::Pass });
    let error = driver.put("packs/large", &mut bytes(LARGE)).unwrap_err();
    assert!(error.message.contains("packs/large") && error.message.contains("/broken"), "{error}");
    assert_eq!(error.next.len(), 1, "{error}");
    let free = Driver::open(&minio.settings("broken")).unwrap();
    assert_eq!(names(&free, ""), Vec::<String>::new());
    assert!(!unfinished(&minio, "broken", "packs/large"));
    // The same for one that is read: an error, not a shorter blob.
    free.put("packs/large", &mut bytes(LARGE)).unwrap();
    let driver = through(&minio, "broken", |_| Act::CutDownload(1000));
    let error = driver.read_back("packs/large").unwrap_err();
    assert!(error.message.contains("packs/large"), "{error}");
}

#[test]
fn a_store_that_is_busy_is_asked_again() {
    let minio = Minio::new();
    minio.bucket("busy");
    for answer in ["500 Internal Server Error", "503 Slow Down", "503 Slow Down|Retry-After: 1\r\n", "502 Bad Gateway"] {
        let driver = through(&minio, "busy", move |asked| if asked.number.is_multiple_of(2) { Act::Pass } else { Act::Answer(answer, "") });
        let receipt = driver.put("packs/large", &mut bytes(LARGE)).unwrap();
        assert_eq!(driver.read_back("packs/large").unwrap(), Some(receipt), "{answer}");
        assert_eq!(names(&driver, "packs/"), ["packs/large"]);
        driver.delete("packs/large").unwrap();
    }
    // One that asks for a rest gets it.
    let driver =
        through(&minio, "busy", |asked| if asked.number == 1 { Act::Answer("503 Slow Down|Retry-After: 2\r\n", "") } else { Act::Pass });
    let since = std::time::Instant::now();
    driver.put("a", &mut b"a".as_slice()).unwrap();
    assert!(since.elapsed().as_millis() >= 2000, "{:?}", since.elapsed());
    // And one that wants an hour is not waited for.
    let driver = through(&minio, "busy", |_| Act::Answer("503 Slow Down|Retry-After: 3600\r\n", "<Error><Code>SlowDown</Code></Error>"));
    let since = std::time::Instant::now();
    let error = driver.put("b", &mut b"b".as_slice()).unwrap_err();
    assert!(since.elapsed().as_secs() < 2 && error.to_string().contains("SlowDown"), "{error}");
}

#[test]
fn an_answer_that_is_lost_makes_no_second_blob_and_no_error() {
    let minio = Minio::new();
    minio.bucket("lost");
    for lost in 1..=6 {
        let driver = through(&minio, "lost", move |asked| if asked.number == lost { Act::LoseAnswer } else { Act::Pass });
        let receipt = driver.put("packs/large", &mut bytes(LARGE)).unwrap();
        assert_eq!(driver.read_back("packs/large").unwrap(), Some(receipt), "the answer {lost}");
        driver.delete("packs/large").unwrap();
    }
}

#[test]
fn each_refusal_names_the_object_and_what_to_do() {
    let minio = Minio::new();
    minio.bucket("refused");
    let full =
        "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>";
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
    let mut said = Vec::new();
    for (answer, body) in [("507 Insufficient Storage", full), ("403 Forbidden", denied)] {
        // A small one, the beginning of a large one, its second part, its end.
        for from in ["x-id", "uploads", "partNumber=2", "uploadId"] {
            let driver = through(&minio, "refused", move |asked| {
                let meant = if from == "x-id" { asked.method == "PUT" } else { asked.path.contains(from) };
                if meant && asked.method != "DELETE" { Act::Answer(answer, body) } else { Act::Pass }
            });
            let size = if from == "x-id" { 5 } else { LARGE };
            let error = driver.put("packs/one", &mut bytes(size)).unwrap_err().to_string();
            assert_eq!(names(&Driver::open(&minio.settings("refused")).unwrap(), ""), Vec::<String>::new(), "{from}");
            assert!(!unfinished(&minio, "refused", "packs/one"), "{from}");
            assert!(error.contains("packs/one") && error.contains("/refused"), "{error}");
            said.push(error.split_once('\n').unwrap().1.to_owned());
        }
    }
    said.dedup();
    insta::assert_snapshot!(said.join("\n"), @r"
      cause: the store answered 507 XMinioStorageFull: Storage backend has reached its minimum free drive threshold.
      next:  free space there, or raise the quota; then run the same command again
      cause: the store answered 403 AccessDenied: Access Denied.
      next:  check access_key and secret_key_file of that repository: its key must list the bucket refused, and get, put and delete in it
    ");
}

#[test]
fn what_is_wrong_with_the_settings_is_told() {
    let minio = Minio::new();
    let settings = minio.bucket("there");
    let said = |settings: S3| {
        let driver = Driver::open(&settings).unwrap();
        let list = driver.list("").map(|_| ()).unwrap_err();
        let get = driver.get("a").map(|_| ()).unwrap_err();
        let put = driver.put("a", &mut b"a".as_slice()).map(|_| ()).unwrap_err();
        assert!(list.message.contains(&settings.bucket) && get.message.contains("read a at") && put.message.contains("store a at"));
        format!("{list} {get} {put}")
    };
    let missing = said(S3 { bucket: "not-there".to_owned(), ..settings.clone() });
    assert_eq!(missing.matches("NoSuchBucket").count(), 3, "{missing}");
    assert!(missing.contains("make the bucket not-there"), "{missing}");
    let wrong = said(S3 { access_key: Some("somebody".to_owned()), ..settings.clone() });
    assert!(wrong.contains("check access_key"), "{wrong}");
    let closed = said(S3 { endpoint: format!("http://127.0.0.1:{}", free_port()), ..settings.clone() });
    assert!(closed.contains("can be reached from here"), "{closed}");
    let error =
        Driver::open(&S3 { secret_key_file: Some(Path::new("/nowhere/secret").into()), ..settings.clone() }).map(|_| ()).unwrap_err();
    assert!(error.message.contains("/nowhere/secret"), "{error}");
    // What is not there is no error.
    let driver = Driver::open(&settings).unwrap();
    assert!(driver.get("a").unwrap().is_none() && driver.read_back("a").unwrap().is_none());
    let error = driver.link("a", "b").unwrap_err();
    assert!(error.to_string().contains("no such object"), "{error}");
}

#[test]
fn what_a_store_believes_is_not_what_it_holds() {
    let minio = Minio::new();
    minio.bucket("liar");
    let free = Driver::open(&minio.settings("liar")).unwrap();
    let receipt = free.put("packs/one", &mut bytes(2 * MIB)).unwrap();
    let short = through(&minio, "liar", |asked| if asked.method == "GET" { Act::Shorten(MIB) } else { Act::Pass });
    let found = short.read_back("packs/one").unwrap().unwrap();
    assert!(found != receipt && found.bytes == MIB);
    // A list that does not know it yet: what was put is there for who asks by its name.
    let empty = "<ListBucketResult><Name>liar</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
    let mut lists = 0;
    let lagging = through(&minio, "liar", move |asked| {
        lists += u32::from(asked.path.contains("list-type"));
        if asked.path.contains("list-type") && lists < 3 { Act::Answer("200 OK", empty) } else { Act::Pass }
    });
    assert_eq!(names(&lagging, "packs/"), Vec::<String>::new());
    assert_eq!(lagging.read_back("packs/one").unwrap(), Some(receipt));
    assert_eq!((names(&lagging, "packs/"), names(&lagging, "packs/")), (vec![], vec!["packs/one".to_owned()]));
}

#[test]
fn a_limit_holds_for_a_bucket_too() {
    let minio = Minio::new();
    let settings = RepositorySettings { bytes_per_second: Some(MIB), ..repository("slow", Place::S3(minio.bucket("slow"))) };
    let slow = backend::open(&settings).unwrap();
    let since = std::time::Instant::now();
    slow.put("a", &mut bytes(2 * MIB)).unwrap();
    assert!(since.elapsed().as_millis() > 1800, "{:?}", since.elapsed());
}

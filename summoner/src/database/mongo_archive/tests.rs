use super::*;

enum Field<'a> {
    Text(&'a str),
    Number(i64),
    Truth(bool),
}

fn document(fields: &[(&str, Field<'_>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, field) in fields {
        let (kind, value) = match field {
            Field::Text(text) => {
                let length = u32::try_from(text.len() + 1).unwrap();
                (2, [&length.to_le_bytes(), text.as_bytes(), &[0]].concat())
            }
            Field::Number(number) => (0x12, number.to_le_bytes().to_vec()),
            Field::Truth(truth) => (8, vec![u8::from(*truth)]),
        };
        body.push(kind);
        body.extend([name.as_bytes(), &[0], &value].concat());
    }
    let length = u32::try_from(body.len() + 5).unwrap();
    [&length.to_le_bytes()[..], &body, &[0]].concat()
}

fn listed(collection: &str, kind: &str) -> Vec<u8> {
    document(&[
        ("db", Field::Text("app")),
        ("collection", Field::Text(collection)),
        ("metadata", Field::Text("{}")),
        ("type", Field::Text(kind)),
    ])
}

fn header(collection: &str, last: bool, crc: u64) -> Vec<u8> {
    let crc = Field::Number(crc.cast_signed());
    document(&[("db", Field::Text("app")), ("collection", Field::Text(collection)), ("EOF", Field::Truth(last)), ("CRC", crc)])
}

const STOP: [u8; 4] = [0xff; 4];

/// A server, two collections whose blocks alternate, a view and a time series.
fn archive() -> Vec<u8> {
    let post = document(&[("title", Field::Text("été")), ("n", Field::Number(7))]);
    let other = document(&[("x", Field::Text(&"y".repeat(300)))]);
    let crc = |documents: &[&Vec<u8>]| {
        let mut digest = CRC.digest();
        documents.iter().for_each(|document| digest.update(document));
        digest.finalize()
    };
    let server = document(&[("version", Field::Text("0.1")), ("server_version", Field::Text("7.0.40"))]);
    let list = [listed("posts", "collection"), listed("users", "collection"), listed("seen", "view"), listed("ts", "timeseries")].concat();
    let blocks = [
        [header("posts", false, 0), post.clone(), other.clone(), STOP.to_vec()].concat(),
        [header("users", false, 0), STOP.to_vec()].concat(),
        [header("posts", false, 0), post.clone(), STOP.to_vec()].concat(),
        [header("posts", true, crc(&[&post, &other, &post])), STOP.to_vec()].concat(),
        [header("users", true, 0), STOP.to_vec()].concat(),
        [header("system.buckets.ts", false, 0), other.clone(), STOP.to_vec()].concat(),
        [header("system.buckets.ts", true, crc(&[&other])), STOP.to_vec()].concat(),
    ];
    [&MAGIC.to_le_bytes()[..], &server, &list, &STOP, &blocks.concat()].concat()
}

fn walk(pieces: &[&[u8]]) -> Result<Archive, String> {
    let mut walker = Walker::new();
    for piece in pieces {
        walker.hear(piece);
    }
    walker.end()
}

#[test]
fn a_whole_archive_is_counted_however_it_is_cut() {
    let bytes = archive();
    for cut in 0..bytes.len() {
        let found = walk(&[&bytes[..cut], &bytes[cut..]]).unwrap();
        assert_eq!(found.server_version, "7.0.40");
        let counts: Vec<(&str, u64)> = found.documents.iter().map(|(name, tally)| (name.as_str(), tally.rows)).collect();
        assert_eq!(counts, [("app.posts", 3), ("app.ts", 1), ("app.users", 0)]);
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert!(walk(&single).is_ok());
}

#[test]
fn a_cut_archive_is_refused_at_every_byte() {
    let bytes = archive();
    for cut in 0..bytes.len() {
        assert!(walk(&[&bytes[..cut]]).is_err(), "{cut}");
    }
    assert!(walk(&[&bytes, b"x"]).is_err());
    assert!(walk(&[b"<html><body>Not found</body></html>"]).is_err());
}

#[test]
fn a_flipped_bit_in_documents_and_blocks_is_found() {
    let bytes = archive();
    // Before the blocks stand descriptions that no checksum covers; the hash of the artefact does.
    let begin = bytes.windows(4).position(|four| four == STOP).unwrap();
    for at in begin..bytes.len() {
        for bit in 0..8 {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << bit;
            assert!(walk(&[&wrong]).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let bytes = archive();
    let begin = bytes.windows(4).position(|four| four == STOP).unwrap();
    let mut huge = bytes[..begin].to_vec();
    huge.extend(STOP);
    huge.extend([0xfe, 0xff, 0xff, 0x7f]);
    insta::assert_snapshot!(walk(&[&huge]).unwrap_err(), @"a document of 2147483646 bytes cannot be");
    let list_only = &bytes[..begin + 4];
    insta::assert_snapshot!(walk(&[list_only]).unwrap_err(), @"the end of app.posts is missing");
    let stranger = [list_only, &header("stranger", false, 0), &STOP].concat();
    insta::assert_snapshot!(walk(&[&stranger]).unwrap_err(), @"app.stranger is not in its list");
}

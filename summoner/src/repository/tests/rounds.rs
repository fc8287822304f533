//! Backups and restores that go well.

use super::*;

#[test]
fn everything_comes_back_as_it_was() {
    for compression in [Compression::Zstd, Compression::Gzip] {
        let mut bed = Bed { compression, ..Bed::new() };
        everything(&bed.path("files"));
        let before = view(&bed.path("files"));
        let first = bed.backup();
        bed.restores(&first.manifest.id, &before);
        // Again, from what the first one saw: nothing new but the manifest.
        let second = bed.backup();
        assert_eq!(second.manifest.bytes_added, 0, "{:?}", second.manifest);
        bed.restores(&second.manifest.id, &before);
        for id in [first.manifest.id, second.manifest.id] {
            let verified = bed.repository().verify(&id, true, bed.now).unwrap();
            assert_eq!(verified.fault, None);
            assert!(bed.repository().snapshot(&id).unwrap().unwrap().is_good());
        }
    }
}

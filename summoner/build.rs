//! Packs `minions/` into one tar.gz inside the binary: the catalogue travels with the program.
//!
//! The same files give the same bytes: names are sorted, times and owners are zero.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FILES: [&str; 2] = ["docker-compose.yml", "minion.yml"];

fn main() -> io::Result<()> {
    let root = Path::new("../minions");
    // Cargo watches a folder with everything below it.
    println!("cargo:rerun-if-changed={}", root.display());
    println!("cargo:rerun-if-changed=build.rs");
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo gave no OUT_DIR"))?;
    fs::write(out.join("minions.tar.gz"), pack(root)?)
}

fn pack(root: &Path) -> io::Result<Vec<u8>> {
    let gz = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    let mut archive = tar::Builder::new(gz);
    let mut folders: Vec<PathBuf> = fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    folders.sort();
    for folder in folders.iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default();
        for file in FILES {
            let text = fs::read(folder.join(file)).map_err(|error| io::Error::other(format!("{}/{file}: {error}", folder.display())))?;
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_cksum();
            archive.append_data(&mut header, Path::new(name).join(file), text.as_slice())?;
        }
    }
    archive.into_inner()?.finish()
}

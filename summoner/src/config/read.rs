//! config.yml from the disk, with a sentence for each way in which a path is not a config.yml.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Kind};
use crate::fault::Source;
use crate::yaml::Limits;

/// Reads the text of a config.yml; never more than a config.yml may hold.
///
/// # Errors
/// When there is no such file, it is a folder, empty, binary, or too large; each says what to do next.
pub fn read(path: &Path) -> Result<Arc<Source>, Error> {
    let shown = path.display();
    let wrong = |message: String| Error::new(Kind::Config, message);
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => wrong(format!("there is no {shown}")).next("summoner init"),
        _ => Error::io("read", path, &error),
    };
    // Opening a FIFO would wait for its writer for ever, so the kind is asked for first.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(wrong(format!("{shown} is a folder, not a config.yml"))
            .next(format!("summoner --config {} …", path.join("config.yml").display())));
    }
    if !metadata.is_file() {
        return Err(wrong(format!("{shown} is not an ordinary file")).next("name a config.yml with --config"));
    }
    let most = Limits::CONFIG.bytes;
    let mut bytes = Vec::new();
    // One byte more than is allowed tells "full" from "too large" without reading the rest.
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(bound).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() > most {
        return Err(wrong(format!("{shown} is larger than {} MiB: no config.yml is", most >> 20)).next("name another file with --config"));
    }
    let not_text = |why: &str| {
        wrong(format!("{shown} is not a text file: {why}")).next("save it as plain UTF-8 text, or name another file with --config")
    };
    if bytes.contains(&0) {
        return Err(not_text("it holds a NUL byte"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        not_text(&format!("line {line} is not UTF-8"))
    })?;
    if text.trim().is_empty() {
        return Err(wrong(format!("{shown} is empty")).next("summoner init"));
    }
    Ok(Source::new(shown.to_string(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(write: impl FnOnce(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yml");
        write(&path);
        read(&path).unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "/x")
    }

    #[test]
    fn what_is_no_config_says_so() {
        let all = [
            said(|_| ()),
            said(|path| std::fs::create_dir(path).unwrap()),
            said(|path| std::fs::write(path, " \n").unwrap()),
            said(|path| std::fs::write(path, [0x7f, b'E', 0, 1]).unwrap()),
            said(|path| std::fs::write(path, b"version: 1\ndomain: caf\xe9.org\n").unwrap()),
            said(|path| std::fs::write(path, "#".repeat((1 << 20) + 1)).unwrap()),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        error: there is no /x/config.yml
          next:  summoner init
        error: /x/config.yml is a folder, not a config.yml
          next:  summoner --config /x/config.yml/config.yml …
        error: /x/config.yml is empty
          next:  summoner init
        error: /x/config.yml is not a text file: it holds a NUL byte
          next:  save it as plain UTF-8 text, or name another file with --config
        error: /x/config.yml is not a text file: line 2 is not UTF-8
          next:  save it as plain UTF-8 text, or name another file with --config
        error: /x/config.yml is larger than 1 MiB: no config.yml is
          next:  name another file with --config
        ");
    }

    #[test]
    fn a_file_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yml");
        let text = "#".repeat(1 << 20);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(read(&path).unwrap().text, text);
    }
}

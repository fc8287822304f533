//! What a wrapped tool says on stderr: the script's own lines apart from the tool's, which are kept, but not without end.

/// The tool's first words are kept, and its last; between them a flood is thrown away.
const KEPT_HEAD: usize = 16 << 10;
const KEPT_TAIL: usize = 16 << 10;
/// No line of interest is longer.
const LINE: usize = 8 << 10;

/// The stderr of one tool.
pub(super) struct Talk {
    token: String,
    line: Vec<u8>,
    head: String,
    tail: String,
    /// Whether the script could make a FIFO; none until it said so.
    pub fifo: Option<bool>,
    /// The tool's exit code, in the script's word.
    pub code: Option<i64>,
}

impl Talk {
    pub(super) fn new(token: &str) -> Self {
        Self { token: token.to_owned(), line: Vec::new(), head: String::new(), tail: String::new(), fifo: None, code: None }
    }

    /// Takes a piece; `watch` hears every whole line of the tool.
    pub(super) fn hear(&mut self, piece: &[u8], watch: &mut (dyn FnMut(&str) + Send)) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.add(&rest[..end]);
            rest = &rest[end + 1..];
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            self.whole(&line, watch);
        }
        self.add(rest);
    }

    fn add(&mut self, part: &[u8]) {
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn whole(&mut self, line: &str, watch: &mut (dyn FnMut(&str) + Send)) {
        match line.strip_prefix(self.token.as_str()).map(str::trim) {
            Some("fifo") => self.fifo = Some(true),
            Some("stream") => self.fifo = Some(false),
            Some(word) => self.code = word.strip_prefix("code=").and_then(|code| code.parse().ok()).or(self.code),
            // The progress that --verbose asks for is no complaint.
            None if line.is_empty() => {}
            None => {
                watch(line);
                if !line.starts_with("-- ") {
                    self.keep(line);
                }
            }
        }
    }

    fn keep(&mut self, line: &str) {
        if self.head.len() < KEPT_HEAD {
            self.head.push_str(line);
            self.head.push('\n');
            return;
        }
        self.tail.push_str(line);
        self.tail.push('\n');
        if self.tail.len() > 2 * KEPT_TAIL {
            let cut = self.tail.floor_char_boundary(self.tail.len() - KEPT_TAIL);
            self.tail.drain(..cut);
        }
    }

    /// What the tool complained about.
    pub(super) fn words(&self) -> String {
        format!("{}{}{}", self.head, self.tail, String::from_utf8_lossy(&self.line)).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_words_are_found_in_any_cut() {
        let all = b"abc fifo\n-- Connecting\nwarning: half a line\nabc code=12\n";
        for cut in 0..all.len() {
            let mut talk = Talk::new("abc");
            let mut heard = Vec::new();
            talk.hear(&all[..cut], &mut |line| heard.push(line.to_owned()));
            talk.hear(&all[cut..], &mut |line| heard.push(line.to_owned()));
            assert_eq!((talk.fifo, talk.code), (Some(true), Some(12)));
            assert_eq!(heard, ["-- Connecting", "warning: half a line"]);
            assert_eq!(talk.words(), "warning: half a line");
        }
    }

    #[test]
    fn a_flood_is_bounded_and_keeps_both_ends() {
        let mut talk = Talk::new("abc");
        talk.hear(b"first\n", &mut |_| {});
        for number in 0..100_000 {
            talk.hear(format!("{number} {}\n", "é".repeat(50)).as_bytes(), &mut |_| {});
        }
        talk.hear(&vec![b'x'; 1 << 20], &mut |_| {});
        talk.hear(b"\nlast\nabc code=0\n", &mut |_| {});
        let words = talk.words();
        assert!(words.starts_with("first\n") && words.ends_with("\nlast"), "{}", words.len());
        assert!(words.len() < 100 << 10 && talk.code == Some(0));
    }
}

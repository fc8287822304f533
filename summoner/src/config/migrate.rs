//! The form of 2017 into today's, line by line, so that every comment comes along.

use super::edit::scalar;
use super::legacy::{self, ROOT, default_email, words};
use super::{VERSION, today};
use crate::fault::{Fault, Faults, Source};
use crate::yaml::{Key, Limits, Node, parse};

/// Rewrites a config.yml in today's form; None when it is in today's form already.
///
/// # Errors
/// What is wrong with the file, or that its comments stand where none can be kept.
pub fn migrate(text: &str) -> Result<Option<String>, Vec<Fault>> {
    let source = Source::new("config.yml", text);
    let mut faults = Faults::new(&source);
    let root = parse(Limits::CONFIG, &mut faults);
    let Some(root) = root.filter(|root| faults.errors.is_empty() && legacy::is_legacy(root)) else {
        return faults.finish(Some(())).map(|_| None);
    };
    let written = legacy::read(&root, &mut faults);
    if !faults.errors.is_empty() || written.is_none() {
        return faults.finish(written).map(|_| None);
    }
    let new = Rewrite::new(text, &mut faults).run(&root);
    match new.filter(|new| is_whole(text, new)) {
        Some(new) => Ok(Some(new)),
        None => {
            let help = "put each key on a line of its own and comments on theirs, then try again";
            faults.error_with_help(&(0..0), "this file cannot be rewritten without losing a comment", help);
            Err(faults.errors)
        }
    }
}

/// Today's reader takes it, and no comment is missing.
fn is_whole(old: &str, new: &str) -> bool {
    let mut faults = Faults::new(&Source::new("config.yml", new));
    let read = parse(Limits::CONFIG, &mut faults).and_then(|root| today::read(&root, &mut faults));
    let mut comments = old.lines().filter_map(|line| line.find('#').map(|at| line[at..].trim_end()));
    read.is_some() && faults.errors.is_empty() && comments.all(|comment| new.contains(comment))
}

struct Rewrite<'a, 'f> {
    text: &'a str,
    lines: Vec<&'a str>,
    /// The first line below `summoner:`.
    first: usize,
    /// The first line below everything that was taken so far.
    next: usize,
    out: Vec<String>,
    faults: &'f mut Faults,
}

impl<'a, 'f> Rewrite<'a, 'f> {
    fn new(text: &'a str, faults: &'f mut Faults) -> Self {
        Self { text, lines: text.lines().collect(), first: 0, next: 0, out: Vec::new(), faults }
    }

    fn run(mut self, root: &Node) -> Option<String> {
        let (head, body) = root.as_map()?.iter().find(|(key, _)| key.text == ROOT)?;
        let start = self.line(head.span.start);
        self.out.extend(self.lines[..start].iter().map(|line| (*line).to_owned()));
        (self.first, self.next) = (start + 1, start + 1);
        let tail = self.comment_after(head.span.end);
        self.out.extend(tail);
        self.out.push(format!("version: {VERSION}"));
        let entries = body.as_map()?;
        let mut storage = false;
        for (key, node) in roots_together(entries) {
            self.comments_before(key.span.start, if storage && is_root(&key.text) { "  " } else { "" });
            match key.text.as_str() {
                "domain" => {
                    self.value("domain", node);
                    if !entries.iter().any(|(key, node)| key.text == "email" && !node.is_null()) {
                        self.out.push(format!("email: {} # 2017 had none; write yours", scalar(&default_email(node.as_str()?))));
                    }
                }
                "email" if !node.is_null() => self.value("email", node),
                // The two make one mapping, so the second must follow the first.
                "vsroot" | "dbsroot" if !node.is_null() => {
                    if !storage {
                        self.out.push("storage:".to_owned());
                        storage = true;
                    }
                    self.value(if key.text == "vsroot" { "  files" } else { "  databases" }, node);
                }
                "applications" => self.applications(key, node),
                _ => {}
            }
            self.next = self.next.max(self.line(key.span.start) + 1);
        }
        let rest = self.lines.get(self.next..).unwrap_or_default();
        self.out.extend(rest.iter().map(|line| if line.trim_start().starts_with('#') { line.trim_start() } else { line }.to_owned()));
        let eol = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        Some(self.out.join(eol) + eol)
    }

    fn value(&mut self, name: &str, node: &Node) {
        let comment = self.comment_after(node.span.end).map_or_else(String::new, |comment| format!(" {comment}"));
        self.out.push(format!("{name}: {}{comment}", &self.text[node.span.clone()]));
    }

    fn applications(&mut self, key: &Key, node: &Node) {
        let words = if node.is_null() { Vec::new() } else { words(node, self.faults) };
        let one_line = words.iter().all(|word| self.line(word.span.start) == self.line(key.span.start));
        let end = if one_line { words.last().map_or(key.span.end, |word| word.span.end) } else { key.span.end };
        let comment = self.comment_after(end).map_or_else(String::new, |comment| format!(" {comment}"));
        self.out.push(format!("apps:{comment}"));
        let mut line = self.line(key.span.start);
        for (at, word) in words.iter().enumerate() {
            // Several words on a line share what stands above it.
            if self.line(word.span.start) > line {
                line = self.line(word.span.start);
                self.comments_before(word.span.start, "  ");
            }
            // Only the last of several words on a line is followed by the line's comment.
            let last = words.get(at + 1).is_none_or(|next| self.line(next.span.start) != self.line(word.span.start));
            let comment =
                self.comment_after(word.span.end).filter(|_| last && !one_line).map_or_else(String::new, |comment| format!(" {comment}"));
            self.out.push(format!("  {}:{comment}", word.value));
            self.next = self.next.max(line + 1);
        }
    }

    /// The comments and blank lines right above the line of a place: they go where it goes.
    fn comments_before(&mut self, place: usize, indent: &str) {
        let until = self.line(place);
        let own = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let from = until - self.lines[self.first.min(until)..until].iter().rev().take_while(own).count();
        for line in &self.lines[from..until] {
            let line = line.trim();
            self.out.push(if line.is_empty() { String::new() } else { format!("{indent}{line}") });
        }
    }

    /// The comment at the end of a line, when nothing but closing signs lies before it.
    fn comment_after(&self, place: usize) -> Option<String> {
        let rest =
            self.text[place..].lines().next()?.trim_start_matches([' ', '\t', ':', ',', '"', '\'', '}', ']', '>', '|', '-', '{', '[']);
        rest.starts_with('#').then(|| rest.trim_end().to_owned())
    }

    /// The number of the line that a byte lies on, from 0.
    fn line(&self, place: usize) -> usize {
        self.text[..place].matches('\n').count()
    }
}

fn is_root(key: &str) -> bool {
    matches!(key, "vsroot" | "dbsroot")
}

/// The entries in their order, but the second root right behind the first.
fn roots_together(entries: &[(Key, Node)]) -> Vec<&(Key, Node)> {
    let (roots, mut others): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| is_root(&key.text));
    let before = entries.iter().take_while(|(key, _)| !is_root(&key.text)).count();
    others.splice(before..before, roots);
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::loaded;

    fn migrated(text: &str) -> String {
        let new = migrate(text).unwrap().unwrap();
        let (config, warnings) = loaded(&new);
        assert!(warnings.is_empty());
        assert_eq!(config, loaded(text).0, "{new}");
        assert_eq!(migrate(&new), Ok(None));
        new
    }

    #[test]
    fn the_file_of_2017_becomes_todays() {
        let text = "summoner:\n  domain: virtualdonkey.fr\n  vsroot: ~/Summoner/data\n  dbsroot: ~/Summoner/data/database\n  applications: nginx ghost nextcloud wekan\n";
        insta::assert_snapshot!(migrated(text), @r"
        version: 1
        domain: virtualdonkey.fr
        email: admin@virtualdonkey.fr # 2017 had none; write yours
        storage:
          files: ~/Summoner/data
          databases: ~/Summoner/data/database
        apps:
          nginx:
          ghost:
          nextcloud:
          wekan:
        ");
    }

    #[test]
    fn comments_come_along() {
        let text = "# our server\n\nx-a: 1\nsummoner: # all\n  # apps first\n  applications:\n    # the way in\n    - nginx # 443\n    - ghost nextcloud # two\n\n  # fast disk\n  dbsroot: \"/srv/ssd\" # new\n  # who we are\n  domain: 'a.fr' # ours\n  email: me@a.fr\n  # slow disk\n  vsroot: /srv/hdd # old\n  # last word\n\n# end\nx-b: # b\n  c: 1\n";
        insta::assert_snapshot!(migrated(text), @r#"
        # our server

        x-a: 1
        # all
        version: 1
        # apps first
        apps:
          # the way in
          nginx: # 443
          ghost:
          nextcloud: # two

        # fast disk
        storage:
          databases: "/srv/ssd" # new
          # slow disk
          files: /srv/hdd # old
        # who we are
        domain: 'a.fr' # ours
        email: me@a.fr
        # last word

        # end
        x-b: # b
          c: 1
        "#);
        assert_eq!(migrated(&text.replace('\n', "\r\n")), migrated(text).replace('\n', "\r\n"));
        for apps in [
            "nginx ghost # all",
            "\"nginx ghost\" # all",
            "[nginx, ghost] # all",
            ">\n    nginx\n    ghost",
            "nginx\n    ghost # all",
            "# none",
        ] {
            migrated(&format!("summoner:\n  domain: a.fr\n  applications: {apps}\n# end"));
        }
        migrated("summoner: {domain: a.fr, applications: ghost, vsroot: /srv/x} # all\n");
    }

    #[test]
    fn what_cannot_be_rewritten_is_left_alone() {
        assert_eq!(migrate("version: 1\ndomain: a.org\n"), Ok(None));
        let said = |text| migrate(text).unwrap_err()[0].line();
        assert_eq!(said("summoner:\n  domain: a.fr\n  vsrot: x\n"), "config.yml:3:3: unknown key `vsrot` in summoner");
        assert_eq!(
            said("summoner:\n  domain: # ours\n    a.fr\n"),
            "config.yml:1:1: this file cannot be rewritten without losing a comment"
        );
    }
}

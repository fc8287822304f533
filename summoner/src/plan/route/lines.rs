//! Which lines of nginx-proxy's one file belong to which site.

use std::collections::BTreeMap;

use super::{END, SITE};

/// The first and the last line (from 1) of each site's part, by its name.
#[must_use]
pub fn lines_of_hosts(text: &str) -> BTreeMap<String, (usize, usize)> {
    let (mut found, mut open) = (BTreeMap::new(), None);
    for (line, number) in text.lines().zip(1..) {
        if let Some(name) = line.strip_prefix(SITE) {
            open = Some((name, number));
        } else if line == END
            && let Some((name, first)) = open.take()
        {
            found.insert(name.to_owned(), (first, number));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leads_to_its_site() {
        let text = format!("frame\n{SITE}a.org\none\n{END}\n{SITE}*.b.org\n{END}\nmarker\n");
        assert_eq!(lines_of_hosts(&text), BTreeMap::from([("a.org".into(), (2, 4)), ("*.b.org".into(), (5, 6))]));
    }
}

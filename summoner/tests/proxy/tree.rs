//! nginx's configuration as nginx reads it: words, and blocks in blocks.

/// One directive; a block has children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub words: Vec<String>,
    pub children: Vec<Directive>,
}

/// Reads what `nginx -T` says; text that nginx would not accept ends the test.
pub fn parse(text: &str) -> Vec<Directive> {
    let mut stack: Vec<(Vec<String>, Vec<Directive>)> = vec![(Vec::new(), Vec::new())];
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                word.extend(['\\'].into_iter().chain(characters.next()));
                begun = true;
            }
            quote @ ('"' | '\'') if !begun => {
                begun = true;
                while let Some(inner) = characters.next().filter(|inner| *inner != quote) {
                    word.push(inner);
                    if inner == '\\' {
                        word.extend(characters.next());
                    }
                }
            }
            // A variable's own braces.
            '{' if word.ends_with('$') => {
                word.push('{');
                word.extend(std::iter::from_fn(|| characters.next_if(|inner| *inner != '}')));
                word.extend(characters.next());
            }
            '#' if !begun => while characters.next().is_some_and(|inner| inner != '\n') {},
            ' ' | '\t' | '\r' | '\n' | ';' | '{' | '}' => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
                close(character, &mut words, &mut stack);
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    assert!(stack.len() == 1 && words.is_empty(), "a block is open, or a directive has no end: {words:?}");
    stack.remove(0).1
}

fn close(character: char, words: &mut Vec<String>, stack: &mut Vec<(Vec<String>, Vec<Directive>)>) {
    match character {
        ';' => {
            let (_, children) = stack.last_mut().expect("the file itself");
            children.push(Directive { words: std::mem::take(words), children: Vec::new() });
        }
        '{' => stack.push((std::mem::take(words), Vec::new())),
        '}' => {
            assert!(words.is_empty() && stack.len() > 1, "a brace closes nothing, or not after {words:?}");
            let (words, children) = stack.pop().expect("an open block");
            stack.last_mut().expect("what is around it").1.push(Directive { words, children });
        }
        _ => {}
    }
}

/// Every directive, the inner ones too.
pub fn all(tree: &[Directive]) -> Vec<&Directive> {
    tree.iter().flat_map(|each| std::iter::once(each).chain(all(&each.children))).collect()
}

/// The servers of a host.
pub fn servers<'a>(tree: &'a [Directive], host: &str) -> Vec<&'a Directive> {
    let named = |each: &&Directive| {
        each.words.first().is_some_and(|word| word == "server")
            && each.children.iter().any(|inner| inner.words[0] == "server_name" && inner.words.iter().any(|word| word == host))
    };
    all(tree).into_iter().filter(named).collect()
}

#[test]
fn a_configuration_is_read_as_nginx_reads_it() {
    let tree = parse("http { # no; {\n server { server_name \"a b\" 'c;}' d\\;e ${x}y; location / { return 200 \"it's\"; } } }\nuser x;");
    let server = servers(&tree, "c;}")[0];
    assert_eq!(server.children[0].words, ["server_name", "a b", "c;}", "d\\;e", "${x}y"]);
    assert_eq!(server.children[1].children[0].words, ["return", "200", "it's"]);
    assert_eq!(all(&tree).len(), 6);
}

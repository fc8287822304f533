//! The case tables: a world (one proxy with its own variables and files), then its cases.
//!
//! ```text
//! env NAME=value                    before the first case: a variable of the proxy
//! net NAME [v6] [public]            a network that the proxy is on; the first is the containers' own
//! away NAME                         a network that the proxy is not on
//! host                              the proxy runs in host mode; {http} and {https} are free ports
//! joins                             the proxy may join networks by itself
//! case WORDS                        {h} is then a host name of the case's own, {n} its number, {p} a free port of this host
//! file PATH CONTENT                 below the proxy's /etc/nginx or, with html/…, its web folder
//! copy FROM TO                      one of these files, again
//! cert NAME [HOST…]                 certs/NAME.crt and .key for these names
//! box [NAME:] [VARIABLE=value] [listen=80,443/https] [expose=80,81|none] [net=a,b|host] [label.X=value] [health=…]
//! METHOD URL [WORD…] STATUS [FACT…] a request, and what must come of it: see ask.rs
//! do stop|start|kill|pause NAME     between requests; also: do connect|disconnect NAME NETWORK
//! ```
//! `{sha1:TEXT}` is the hash that files are named by. Words are separated by blanks; '…' keeps blanks; \n, \t, \\ and \' are known.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::run::free_port;

/// One proxy and everything behind it.
#[derive(Debug, Default, Clone)]
pub struct World {
    pub env: Vec<(String, String)>,
    /// Name, with IPv6, with addresses that count as public.
    pub networks: Vec<(String, bool, bool)>,
    /// Networks without the proxy.
    pub away: Vec<String>,
    pub host_mode: bool,
    /// The proxy may join other networks than its own.
    pub joins: bool,
    pub given: Given,
    pub cases: Vec<Case>,
}

/// Files and certificates.
#[derive(Debug, Default, Clone)]
pub struct Given {
    pub files: Vec<(String, String)>,
    pub certs: Vec<(String, Vec<String>)>,
    pub copies: Vec<(String, String)>,
}

#[derive(Debug, Default, Clone)]
pub struct Case {
    pub title: String,
    pub number: usize,
    /// Its line in the table.
    pub line: usize,
    pub given: Given,
    pub boxes: Vec<Container>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Default, Clone)]
pub struct Container {
    pub name: String,
    pub env: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    pub networks: Vec<String>,
    pub expose: Vec<String>,
    pub health: String,
    /// Not one of those that the proxy was told to look at.
    pub foreign: bool,
}

#[derive(Debug, Clone)]
pub enum Step {
    Ask { line: usize, method: String, url: String, words: Vec<String>, status: String, facts: Vec<String> },
    Do(Vec<String>),
}

/// Reads a table; what is wrong with it ends the test.
pub fn world(name: &str, table: &str) -> World {
    let mut world = World::default();
    let (http, https, mut port) = (free_port(), free_port(), None);
    for (number, line) in table.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(title) = text.strip_prefix("case ") {
            let (title, line, number) = (title.to_owned(), number + 1, world.cases.len() + 1);
            world.cases.push(Case { title, line, number, ..Case::default() });
            port = None;
            continue;
        }
        let case = world.cases.len();
        let host = format!("c{case}.{name}.test");
        let mut text = text.replace("{h}", &host).replace("{n}", &case.to_string()).replace("{http}", &http).replace("{https}", &https);
        if text.contains("{p}") {
            text = text.replace("{p}", port.get_or_insert_with(free_port));
        }
        text = hashed(text);
        line_of(&mut world, number + 1, &words(&text));
    }
    world
}

fn line_of(world: &mut World, line: usize, words: &[String]) {
    let Some(case) = world.cases.last_mut() else { return head(world, line, words) };
    match words[0].as_str() {
        "file" | "cert" | "copy" => given(&mut case.given, words),
        "box" => case.boxes.push(container(case.boxes.len(), line, &words[1..])),
        "do" => case.steps.push(Step::Do(words[1..].to_vec())),
        method if method.chars().all(char::is_uppercase) => {
            let at = words.iter().position(|word| is_status(word)).unwrap_or_else(|| panic!("line {line}: no status"));
            case.steps.push(Step::Ask {
                line,
                method: words[0].clone(),
                url: words[1].clone(),
                words: words[2..at].to_vec(),
                status: words[at].clone(),
                facts: words[at + 1..].to_vec(),
            });
        }
        other => panic!("line {line}: what is `{other}`?"),
    }
}

/// `{sha1:TEXT}`, which files are named by.
fn hashed(mut text: String) -> String {
    while let Some(at) = text.find("{sha1:") {
        let end = at + text[at..].find('}').expect("a closing brace");
        let mut child = Command::new("sha1sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha1sum runs");
        child.stdin.take().expect("a pipe").write_all(&text.as_bytes()[at + 6..end]).expect("a text for sha1sum");
        let said = child.wait_with_output().expect("sha1sum ends").stdout;
        text.replace_range(at..=end, &String::from_utf8_lossy(&said[..40]));
    }
    text
}

/// A number, a refused handshake, or no answer at all.
fn is_status(word: &str) -> bool {
    word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()) || matches!(word, "refused" | "none")
}

fn head(world: &mut World, line: usize, words: &[String]) {
    let has = |word: &str| words[2..].iter().any(|each| each == word);
    match words[0].as_str() {
        "env" => world.env.push(pair(&words[1])),
        "net" => world.networks.push((words[1].clone(), has("v6"), has("public"))),
        "away" => world.away.push(words[1].clone()),
        "host" => world.host_mode = true,
        "joins" => world.joins = true,
        "file" | "cert" | "copy" => given(&mut world.given, words),
        other => panic!("line {line}: what is `{other}` before the first case?"),
    }
}

fn given(given: &mut Given, words: &[String]) {
    match words[0].as_str() {
        "file" => given.files.push((words[1].clone(), words[2..].join(" "))),
        "copy" => given.copies.push((words[1].clone(), words[2].clone())),
        _ => given.certs.push((words[1].clone(), words[2..].to_vec())),
    }
}

fn pair(word: &str) -> (String, String) {
    let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("`{word}` is no NAME=value"));
    (name.to_owned(), value.to_owned())
}

fn container(number: usize, line: usize, words: &[String]) -> Container {
    let letter = char::from(b'a' + u8::try_from(number).expect("few boxes"));
    let mut made = Container { name: letter.to_string(), ..Container::default() };
    let mut listen = "80".to_owned();
    let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut exposed = None;
    for word in words {
        if let Some(name) = word.strip_suffix(':').filter(|name| !name.contains('=')) {
            name.clone_into(&mut made.name);
            continue;
        }
        let (name, value) = pair(word);
        match name.as_str() {
            "listen" => listen = value,
            "expose" => exposed = Some(value),
            "net" => made.networks = list(&value),
            "health" => made.health = value,
            "foreign" => made.foreign = true,
            _ if name.starts_with("label.") => {
                made.labels.push((name.replacen("label.", "com.github.nginx-proxy.nginx-proxy.", 1), value));
            }
            _ if name.starts_with(|first: char| first.is_ascii_uppercase()) => made.env.push((name, value)),
            _ => panic!("line {line}: what is `{word}`?"),
        }
    }
    let ports = || listen.split(',').map(|each| each.split('/').next().unwrap_or_default().to_owned()).collect();
    made.expose = exposed.map_or_else(ports, |exposed| if exposed == "none" { Vec::new() } else { list(&exposed) });
    made.env.push(("LISTEN".to_owned(), listen));
    made.env.push(("NAME".to_owned(), made.name.clone()));
    made
}

/// Words of a line; a quoted part belongs to the word that it touches.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                Some(other @ ('\\' | '\'')) => word.push(other),
                // What a regular expression escapes stays escaped.
                other => word.extend(['\\'].into_iter().chain(other)),
            },
            '\'' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => word.push(other),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

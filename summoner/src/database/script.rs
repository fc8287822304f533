//! The script around a tool in a container, and what is said to it first. The script is constant text: everything that
//! varies is a positional argument or a line on its standard input, secrets always the latter.
//!
//! What it does, in order: reads a token; makes a FIFO and says on stderr whether it could; reads which road to take and
//! the password; runs the tool with the password as a file on descriptor 4; says the tool's exit code on stderr; and stays
//! alive until it is told that everything arrived (where the way to tell it is still open), because the engine drops what is unread two seconds after a command's
//! end.

use rand::RngExt;

use super::Secret;

/// Marks everything that runs on our behalf, in the environment, so that what a crash left behind can be found.
pub(super) const MARK: &str = "SUMMONER_DATABASE_TOOL";
/// Where FIFOs are made: memory, writable even where the root file system is not.
pub(super) const FIFO_FOLDER: &str = "dev/shm";

/// Arguments: which way the data goes (out, in), the format of the password's file, the FIFO, the tool and its arguments.
const SCRIPT: &str = r#"
way=$1 form=$2 fifo=$3
shift 3
IFS= read -r token || exit 125
if (umask 077; mkfifo -- "$fifo") 2>/dev/null; then echo "$token fifo" >&2; else echo "$token stream" >&2; fi
IFS= read -r road && IFS= read -r secret || { rm -f -- "$fifo"; exit 125; }
case $road-$way in
  fifo-out) exec 3>"$fifo" ;;
  fifo-in) exec 3<"$fifo" ;;
  stream-out) exec 3>&1 ;;
  *) exec 3<&0 ;;
esac
rm -f -- "$fifo"
case $way in
  out) printf "$form" "$secret" | "$@" 4<&0 </dev/null >&3 3>&- ;;
  *) printf "$form" "$secret" | "$@" 4<&0 <&3 3<&- ;;
esac
code=$?
exec 3>&-
if [ "$road-$way" = stream-out ]; then printf %s "$token"; fi
printf '\n%s code=%s\n' "$token" "$code" >&2
if [ "$road-$way" != stream-in ]; then IFS= read -r told; fi
exit "$code"
"#;

/// A short command: the password's file on descriptor 4, the rest of standard input is the tool's. The tool's name may be several
/// with bars between: the first of them that is there.
const ASK: &str = r#"
form=$1 names=$2
shift 2
IFS= read -r secret || exit 125
IFS='|'
program=$names
for name in $names; do
  if command -v "$name" >/dev/null; then program=$name; break; fi
done
exec 3<&0
printf "$form" "$secret" | "$program" "$@" 4<&0 <&3 3<&-
"#;

/// Ends everything that bears a mark, or any mark when its value is empty. Says how many processes that were.
///
/// Never a parent before its children: they would become children of the container's first process, and where that is
/// PostgreSQL's server it takes the violent end of a child that it does not know for a crash, and restarts the database.
const END: &str = r#"
parent_of() {
  parent=
  { while read -r key value; do
    if [ "$key" = PPid: ]; then parent=$value; break; fi
  done <"$1/status"; } 2>/dev/null
}
has_children() {
  for other in /proc/[0-9]*; do
    parent_of "$other"
    if [ "$parent" = "$1" ]; then return 0; fi
  done
  return 1
}
count=0
for round in children parents; do
  for process in /proc/[0-9]*; do
    grep -qs "$1=$2" "$process/environ" || continue
    parent_of "$process"
    number=${process#/proc/}
    if [ "$round" = parents ]; then
      tries=0
      while [ "$tries" -lt 50 ] && has_children "$number"; do tries=$((tries + 1)); sleep 0.1; done
    elif [ "$parent" = 0 ]; then
      continue
    fi
    kill -9 "$number" 2>/dev/null && count=$((count + 1))
  done
done
echo "$count"
"#;

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the tool to us.
    Out,
    /// From us to the tool.
    In,
}

/// The words of the wrapper around a tool.
pub(super) fn wrapped(way: Way, form: &str, fifo: &str, tool: &[String]) -> Vec<String> {
    let way = match way {
        Way::Out => "out",
        Way::In => "in",
    };
    let fifo = format!("/{FIFO_FOLDER}/{fifo}");
    words(SCRIPT, &[way, form, &fifo], tool)
}

/// The words of a short command.
pub(super) fn asking(form: &str, tool: &[String]) -> Vec<String> {
    words(ASK, &[form], tool)
}

/// The words that end what bears a mark, or every mark.
pub(super) fn ending(mark: Option<&str>) -> Vec<String> {
    words(END, &[MARK, mark.unwrap_or_default()], &[])
}

fn words(script: &str, first: &[&str], tool: &[String]) -> Vec<String> {
    let mut words: Vec<String> = ["sh", "-c", script, "summoner"].map(str::to_owned).into();
    words.extend(first.iter().map(|word| (*word).to_owned()));
    words.extend(tool.iter().cloned());
    words
}

/// 128 random bits: nothing that a tool prints is taken for the script's own word.
pub(super) fn token() -> String {
    let bits: [u8; 16] = rand::rng().random();
    hex::encode(bits)
}

/// A password between double quotes, as both MySQL's option files and YAML understand it; one line, as it is sent.
pub(super) fn quoted(secret: Option<&Secret>) -> String {
    let mut text = String::new();
    for character in secret.map_or("", Secret::reveal).chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn run(words: &[String], stdin: &str) -> (i32, String, String) {
        let mut child =
            Command::new(&words[0]).args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn tool(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_tool_gets_its_password_as_a_file_and_its_words_as_they_are() {
        let name = format!("summoner-test-{}", token());
        let words =
            wrapped(Way::Out, "password=\"%s\"\n", &name, &tool(&["sh", "-c", "cat /dev/fd/4; echo \"$1\"; exit 3", "x", "$(id) 'a b'"]));
        let (code, out, err) = run(&words, "TOKEN\nstream\na%s\\\\#' \"\n\n");
        assert_eq!(code, 3);
        assert_eq!(out, "password=\"a%s\\\\#' \"\"\n$(id) 'a b'\nTOKEN");
        assert_eq!(err, "TOKEN fifo\n\nTOKEN code=3\n");
        assert!(!std::path::Path::new(&format!("/{FIFO_FOLDER}/{name}")).exists());
    }

    #[test]
    fn data_goes_in_after_the_three_lines() {
        let name = format!("summoner-test-{}", token());
        let words = wrapped(Way::In, "%s", &name, &tool(&["sh", "-c", "cat /dev/fd/4; wc -c"]));
        let (code, out, _) = run(&words, "TOKEN\nstream\nsecret\nline\n\0more");
        assert_eq!((code, out.replace(' ', "").as_str()), (0, "secret10\n"));
        for name in ["sh", "no-such-program|sh|cat"] {
            let (code, out, _) = run(&asking("%s.", &tool(&[name, "-c", "cat /dev/fd/4; cat"])), "secret\nselect 1;\n");
            assert_eq!((code, out.as_str()), (0, "secret.select 1;\n"));
        }
        assert_eq!(run(&asking("", &tool(&["no-such-program|none"])), "\n").0, 127);
    }

    #[test]
    fn a_silent_summoner_leaves_nothing_behind() {
        let name = format!("summoner-test-{}", token());
        let (code, _, _) = run(&wrapped(Way::Out, "", &name, &tool(&["true"])), "TOKEN\n");
        assert_eq!(code, 125);
        assert!(!std::path::Path::new(&format!("/{FIFO_FOLDER}/{name}")).exists());
    }

    #[test]
    fn passwords_are_one_quoted_line() {
        let secret = Secret::new("a\"b\\c\nd#e".into());
        assert_eq!(quoted(Some(&secret)), "a\\\"b\\\\c\\nd#e");
        assert_eq!(format!("{secret:?}"), "***");
    }
}

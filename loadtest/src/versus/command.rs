//! The comparison as a command: flags in, a table and an exit code out.
//!
//! 0 if all contenders answered right, 1 if one failed, 2 if nothing could be measured or the load
//! was the bottleneck itself. The line of progress is for terminals; the table and the JSON are whole or not written at all.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::args::JsonTarget;
use crate::outlet;
use crate::versus::args::VersusArgs;
use crate::versus::compare;
use crate::versus::contender::Who;
use crate::versus::figures::Comparison;

/// Compares until `stopped` is set; gives the exit code, or why there is none.
pub fn run(args: &VersusArgs, stopped: &Arc<AtomicBool>) -> Result<u8, String> {
    let seen = io::stderr().is_terminal();
    let tell = |who: Who, number: u32| {
        if seen {
            // A line of progress that cannot be written is no loss.
            let _ = write!(io::stderr(), "\rround {} of {}: {:<10}\r", number + 1, args.rounds, who.name());
        }
    };
    let json = args.json.as_ref().and_then(JsonTarget::file);
    outlet::check(json.into_iter().chain(args.html.as_deref())).map_err(|error| error.to_string())?;
    let line = command_line(std::env::args().skip(1));
    let found = compare(args, line, stopped, tell).map_err(|error| error.to_string())?;
    print(&found, args.json.as_ref()).map_err(|error| format!("cannot print the report: {error}"))?;
    if let Some(path) = json {
        outlet::write(path, |out| found.write_json(out)).map_err(|error| error.to_string())?;
    }
    if let Some(path) = &args.html {
        outlet::write(path, |out| found.write_html(out)).map_err(|error| error.to_string())?;
    }
    Ok(found.exit_code(args.allow_limited))
}

/// The command as it would be typed again, the program by its name alone.
fn command_line(flags: impl Iterator<Item = String>) -> String {
    let quoted = flags.map(|flag| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,/:+%".contains(c);
        if !flag.is_empty() && flag.chars().all(is_plain) {
            flag
        } else {
            format!("'{}'", flag.replace('\'', r"'\''"))
        }
    });
    std::iter::once("loadtest".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// Prints the text, on standard error where the JSON goes to standard output.
fn print(found: &Comparison, json: Option<&JsonTarget>) -> io::Result<()> {
    let (mut text, mut object) = (Vec::new(), Vec::new());
    found.write_text(&mut text)?;
    if json != Some(&JsonTarget::Stdout) {
        return io::stdout().write_all(&text);
    }
    found.write_json(&mut object)?;
    io::stderr().write_all(&text)?;
    io::stdout().write_all(&object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_typed_again() {
        let table: [(&[&str], &str); 3] = [
            (&["versus", "--only", "raw,redis"], "loadtest versus --only raw,redis"),
            (&["versus", "--flag", "redis="], "loadtest versus --flag redis="),
            (&["a b", "", "it's"], r"loadtest 'a b' '' 'it'\''s'"),
        ];
        for (flags, expected) in table {
            assert_eq!(command_line(flags.iter().map(|&flag| flag.to_owned())), expected);
        }
    }
}

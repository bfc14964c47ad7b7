//! What can be wrong with a configuration, each told with its place.
//!
//! A [`Fault`] is one key with a bad value, or one name that is no key; a
//! [`ConfigError`] is why there is no configuration. Neither ever carries a master key:
//! faults about one name its position.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::source::Source;

/// The most faults that one error prints; a file full of them is not worth more.
const FAULTS_SHOWN_MAX: usize = 100;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A line of a file, from 1.
    Line(Source, usize),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nowhere: the key keeps its default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(source, line) => write!(f, "{source}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// Which key, as `section.key`, and what is wrong and what is allowed. No secret in it.
    pub sentence: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.sentence)
    }
}

/// Why there is no configuration. The server does not start.
#[derive(thiserror::Error, Debug)]
pub enum ConfigError {
    /// The file that was named, or found, cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is no configuration: it is larger than any could be.
    #[error("{}: is larger than {bytes_max} bytes, the most that is read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// The file is no text.
    #[error("{}:{line}: is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first bad byte, from 1.
        line: usize,
    },
    /// The text is no YAML, or more of it than is read here. Told alone: what follows is unknown.
    #[error("{source_name}:{line}: {reason}")]
    Syntax {
        /// The file.
        source_name: Source,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The values are bad: every fault of file, environment and flags. Never empty.
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
}

/// One fault a line.
fn lines(faults: &[Fault]) -> String {
    let mut lines: Vec<String> = faults.iter().take(FAULTS_SHOWN_MAX).map(Fault::to_string).collect();
    if let Some(more) = faults.len().checked_sub(FAULTS_SHOWN_MAX).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_opens_with_its_place() {
        let file = Source::File(PathBuf::from("/etc/seshun/config.yml"));
        let cases = [
            (Place::Line(file, 7), "/etc/seshun/config.yml:7: wrong"),
            (Place::Line(Source::Builtin, 1), "builtin:1: wrong"),
            (Place::Environment("SESHUN_SERVER_LISTEN".into()), "SESHUN_SERVER_LISTEN: wrong"),
            (Place::Flag("--listen"), "--listen: wrong"),
        ];
        for (place, text) in cases {
            assert_eq!(Fault { place, sentence: "wrong".into() }.to_string(), text);
        }
    }

    #[test]
    fn a_hundred_faults_are_told_and_the_rest_is_counted() {
        let fault = Fault { place: Place::Flag("--x"), sentence: "wrong".into() };
        let told = |count| ConfigError::Faults(vec![fault.clone(); count]).to_string();
        assert_eq!(told(1), "--x: wrong");
        assert_eq!(told(100).lines().count(), 100);
        assert!(told(107).ends_with("\nand 7 more"));
    }
}

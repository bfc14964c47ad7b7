//! Named workloads, and one's own in a file: flags under a name.
//!
//! A profile is a YAML mapping whose keys are the command's flags without their dashes.
//! Its flags are put in front of those on the command line, which win where both speak of
//! the same thing. The built-in profiles are files of the same form, compiled in.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_yaml::Value;

/// The built-in workloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Profile {
    /// Page views above all, popular users far ahead
    ReadHeavy,
    /// Everybody logs in at once, over connections that are made anew every few seconds
    LoginStorm,
    /// Sessions that all fall due in the same second, every five seconds
    ExpiryWave,
    /// Visitors that get a session and never come back with it
    Bots,
    /// Tens of kilobytes a session, some of a megabyte
    BigSessions,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("cannot read the profile {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no YAML.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// It is YAML of another shape.
    #[error("{path}: {key} must be one text, number or true: write `flag: value`, without dashes")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The key with the odd value.
        key: String,
    },
}

impl Profile {
    /// The flags that it stands for.
    pub fn flags(self) -> Result<Vec<String>, ProfileError> {
        flags_of(self.text(), Path::new(&self.name()))
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    const fn text(self) -> &'static str {
        match self {
            Self::ReadHeavy => include_str!("../profiles/read-heavy.yml"),
            Self::LoginStorm => include_str!("../profiles/login-storm.yml"),
            Self::ExpiryWave => include_str!("../profiles/expiry-wave.yml"),
            Self::Bots => include_str!("../profiles/bots.yml"),
            Self::BigSessions => include_str!("../profiles/big-sessions.yml"),
        }
    }
}

/// The flags that a profile file stands for.
pub fn read_file(path: &Path) -> Result<Vec<String>, ProfileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ProfileError::Read { path: path.to_path_buf(), source })?;
    flags_of(&text, path)
}

fn flags_of(text: &str, path: &Path) -> Result<Vec<String>, ProfileError> {
    let odd = |key: &str| ProfileError::Shape { path: path.to_path_buf(), key: key.to_owned() };
    let tree: Value = serde_yaml::from_str(text)
        .map_err(|source| ProfileError::Syntax { path: path.to_path_buf(), source })?;
    let pairs = match tree {
        Value::Mapping(pairs) => pairs,
        Value::Null => return Ok(Vec::new()),
        _ => return Err(odd("the whole")),
    };
    let mut flags = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        let key = key.as_str().ok_or_else(|| odd("a key"))?;
        flags.push(match value {
            Value::String(text) => format!("--{key}={text}"),
            Value::Number(number) => format!("--{key}={number}"),
            Value::Bool(true) => format!("--{key}"),
            _ => return Err(odd(key)),
        });
    }
    debug_assert_eq!(flags.len(), pairs.len(), "every key is a flag");
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Result<Vec<String>, String> {
        flags_of(text, Path::new("own.yml")).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_become_flags_in_their_order() {
        let text = "# ours\nmix: read=9,update=1\nsize: 2kb\nzipf: 0.99\nsessions: 10\nepoll: true\n";
        let expected = ["--mix=read=9,update=1", "--size=2kb", "--zipf=0.99", "--sessions=10", "--epoll"];
        assert_eq!(flags(text), Ok(expected.map(str::to_owned).to_vec()));
        assert_eq!(flags(""), Ok(Vec::new()));
    }

    #[test]
    fn other_shapes_are_refused_with_the_file_and_the_key() {
        for (text, named) in [
            ("- a\n", "the whole"),
            ("mix: [read, update]\n", "mix"),
            ("mix: {read: 1}\n", "mix"),
            ("epoll: false\n", "epoll"),
            ("3: 4\n", "a key"),
        ] {
            let error = flags(text).expect_err(text);
            assert!(error.contains("own.yml") && error.contains(named), "{text:?}: {error}");
        }
        assert!(flags("mix: [").expect_err("no end").contains("own.yml"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_file(Path::new("no/such/profile.yml")).expect_err("it is not there");
        assert!(error.to_string().contains("no/such/profile.yml"), "{error}");
    }
}

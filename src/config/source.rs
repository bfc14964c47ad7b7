//! Which file the configuration comes from, and its text.
//!
//! `--config`, else `SESHUN_CONFIG`, else `./config.yml`, else `/etc/seshun/config.yml`,
//! else the copy that is compiled in. The first that is there is the one: a file that
//! is there and cannot be read is an error, not a reason to look further.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The name that stands for the compiled-in copy.
const BUILTIN: &str = "builtin";
/// The compiled-in copy.
const BUILTIN_TEXT: &str = include_str!("../../config.yml");
/// The file that is looked for in the working directory.
const LOCAL_FILE: &str = "config.yml";
/// The file that is looked for last.
pub(super) const SYSTEM_FILE: &str = "/etc/seshun/config.yml";
/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where the configuration was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A file, by its path from the root or from wherever the working directory starts.
    File(PathBuf),
    /// The compiled-in copy.
    Builtin,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Builtin => f.write_str(BUILTIN),
        }
    }
}

/// Where to look for a file.
pub(super) struct Search<'a> {
    /// What the flag or the environment names.
    pub(super) named: Option<&'a Path>,
    /// The working directory, from which relative paths count.
    pub(super) cwd: &'a Path,
    /// The file that is looked for last.
    pub(super) system_file: &'a Path,
}

impl Search<'_> {
    /// The configuration's source and text.
    pub(super) fn read(&self) -> Result<(Source, String), ConfigError> {
        match self.named {
            Some(name) if name == Path::new(BUILTIN) => return Ok(builtin()),
            Some(name) => return read_file(self.cwd.join(name)),
            None => {}
        }
        for path in [self.cwd.join(LOCAL_FILE), self.system_file.to_owned()] {
            match read_file(path) {
                Err(ConfigError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
                found => return found,
            }
        }
        Ok(builtin())
    }
}

fn builtin() -> (Source, String) {
    (Source::Builtin, BUILTIN_TEXT.to_owned())
}

fn read_file(path: PathBuf) -> Result<(Source, String), ConfigError> {
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(cause) = read {
        return Err(ConfigError::Unreadable { path, cause });
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path, bytes_max: FILE_BYTES_MAX });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((Source::File(path), text)),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            Err(ConfigError::NotUtf8 { path, line: 1 + memchr::memchr_iter(b'\n', good).count() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files in it.
    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn read(folder: &tempfile::TempDir, named: Option<&str>) -> Result<(Source, String), ConfigError> {
        let system_file = folder.path().join("system.yml");
        Search { named: named.map(Path::new), cwd: folder.path(), system_file: &system_file }.read()
    }

    #[test]
    fn the_first_file_that_is_there_is_the_one() {
        let folder = folder(&[("named.yml", b"a"), ("config.yml", b"b"), ("system.yml", b"c")]);
        let file = |name: &str| Source::File(folder.path().join(name));
        assert_eq!(read(&folder, Some("named.yml")).unwrap(), (file("named.yml"), "a".into()));
        assert_eq!(read(&folder, None).unwrap(), (file("config.yml"), "b".into()));
        std::fs::remove_file(folder.path().join("config.yml")).unwrap();
        assert_eq!(read(&folder, None).unwrap(), (file("system.yml"), "c".into()));
        std::fs::remove_file(folder.path().join("system.yml")).unwrap();
        assert_eq!(read(&folder, None).unwrap(), (Source::Builtin, BUILTIN_TEXT.into()));
    }

    #[test]
    fn builtin_is_the_compiled_in_copy_whatever_files_there_are() {
        let folder = folder(&[("config.yml", b"b"), ("builtin", b"c")]);
        assert_eq!(read(&folder, Some("builtin")).unwrap(), (Source::Builtin, BUILTIN_TEXT.into()));
        assert_eq!(read(&folder, Some("./builtin")).unwrap().1, "c");
        assert_eq!(Source::Builtin.to_string(), "builtin");
    }

    #[test]
    fn a_named_file_that_is_missing_is_an_error() {
        let folder = folder(&[("config.yml", b"b")]);
        let error = read(&folder, Some("missing.yml")).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("missing.yml"), "{error}");
    }

    #[test]
    fn what_is_there_and_cannot_be_read_ends_the_search() {
        let folder = folder(&[("system.yml", b"c")]);
        std::fs::create_dir(folder.path().join("config.yml")).unwrap();
        assert!(matches!(read(&folder, None), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn a_file_has_a_largest_size() {
        let largest = vec![b'#'; FILE_BYTES_MAX as usize];
        let larger = vec![b'#'; FILE_BYTES_MAX as usize + 1];
        let folder = folder(&[("largest.yml", &largest), ("larger.yml", &larger)]);
        assert_eq!(read(&folder, Some("largest.yml")).unwrap().1.len(), largest.len());
        assert!(matches!(read(&folder, Some("larger.yml")), Err(ConfigError::TooLarge { .. })));
        assert!(matches!(read(&folder, Some("/dev/zero")), Err(ConfigError::TooLarge { .. })));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_told_with_their_line() {
        let folder = folder(&[("config.yml", b"server:\n  listen: \xff\n")]);
        let error = read(&folder, None).unwrap_err();
        assert!(matches!(error, ConfigError::NotUtf8 { line: 2, .. }), "{error}");
    }
}

//! The files that a command writes beside its text.
//!
//! Whether they can be written is tried before the work that is to fill them: an hour of load
//! must not end with a folder that is not there. What they held before stays until then, and
//! is replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct OutletError {
    path: PathBuf,
    source: io::Error,
}

/// Fails if a file cannot be written there; one that was there is left as it is, and none else is.
pub fn check<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<(), OutletError> {
    for path in paths {
        try_one(path).map_err(|source| OutletError { path: path.to_owned(), source })?;
    }
    Ok(())
}

fn try_one(path: &Path) -> io::Result<()> {
    // A link that leads nowhere is there too, and not ours to remove.
    let was_there = path.symlink_metadata().is_ok();
    OpenOptions::new().append(true).create(true).open(path)?;
    // A run that then fails to start must not leave an empty report behind.
    if was_there { Ok(()) } else { fs::remove_file(path) }
}

/// Replaces the file with what `fill` writes.
pub fn write(path: &Path, fill: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<(), OutletError> {
    let written = || {
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        File::create(path)?.write_all(&bytes)
    };
    written().map_err(|source| OutletError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_tried_without_being_touched_and_then_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "an older report").unwrap();
        check([old.as_path(), &new]).unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "an older report");
        assert!(!new.exists(), "a run that fails to start leaves nothing");
        write(&old, |out| out.write_all(b"a report")).unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "a report");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let path = Path::new("no/such/folder/report.html");
        for result in [check([path]), write(path, |_| Ok(()))] {
            let error = result.expect_err("the folder is not there").to_string();
            assert!(error.contains("cannot write no/such/folder/report.html"), "{error}");
        }
    }
}

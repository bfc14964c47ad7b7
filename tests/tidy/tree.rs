//! The files of the repository: every one under the root but git's own and what is built.
//!
//! A walk and not `git ls-files`, so that the rules also hold in an unpacked archive and for
//! a file that is not added yet.

use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The path of each file from the root, in order.
pub fn files() -> Vec<String> {
    let ignored = ignored();
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(Path::new(ROOT).join(&folder)).expect("the tree can be read");
        for entry in entries.map(|entry| entry.expect("the tree can be read")) {
            let name = entry.file_name().into_string().expect("our names are text");
            let path = format!("{folder}{name}");
            if matches!(name.as_str(), ".git" | "target") || ignored.contains(&path) {
                continue;
            }
            if entry.file_type().expect("the tree can be read").is_dir() {
                folders.push(path + "/");
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The text of a file; bytes that are no text are replaced.
pub fn read(path: &str) -> String {
    let bytes = fs::read(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether there is a file or a folder at `path`, which may lead over `..`.
pub fn exists(path: &str) -> bool {
    Path::new(ROOT).join(path).exists()
}

/// The paths that every `.gitignore` names from its own folder on, at the root and below it.
fn ignored() -> Vec<String> {
    let of_folder = |folder: &str| -> Vec<String> {
        let text = fs::read_to_string(Path::new(ROOT).join(folder).join(".gitignore")).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix('/')).map(|path| format!("{folder}{path}")).collect()
    };
    [of_folder(""), of_folder("fuzz/")].concat()
}

#[test]
fn the_walk_finds_sources_and_skips_what_is_built() {
    let files = files();
    for path in ["Cargo.toml", "src/lib.rs", "tests/tidy/tree.rs"] {
        assert!(files.iter().any(|file| file == path), "{path}");
    }
    assert!(!files.iter().any(|file| file.starts_with("target/") || file.starts_with(".git/")));
    assert!(exists("src/../Cargo.toml") && !exists("no-such-file"));
}

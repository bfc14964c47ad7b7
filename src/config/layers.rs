//! The layers that make a configuration: defaults, file, environment, flags, in that order.
//!
//! Each layer sets its keys over the ones before it and leaves behind where each value
//! came from. A bad value is a fault in every layer, also where a later one sets the key
//! again: a mistake is told where it was made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::check;
use super::keys::{ENVIRONMENT_PREFIX, KEYS, Key, keys_of, sections};
use super::kind::Raw;
use super::tree::{Tree, show_name};
use super::{Args, Config, ConfigError, Fault, Place, Source};

/// The variable that names the file.
const FILE_VARIABLE: &str = "SESHUN_CONFIG";

/// The key that is a path.
const FOLDER_KEY: &str = "journal.dir";

/// The environment variables that are ours by their name.
pub(super) struct Environment {
    /// The file that they name.
    file: Option<PathBuf>,
    /// All others, by name.
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Those of `variables` that are ours. Text that is not UTF-8 becomes text that no key allows.
    pub(super) fn of<K: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut ours = Self { file: None, variables: BTreeMap::new() };
        for (name, value) in variables {
            let (name, value): (OsString, OsString) = (name.into(), value.into());
            let name = name.to_string_lossy().into_owned();
            if name == FILE_VARIABLE {
                ours.file = Some(value.into());
            } else if name.starts_with(ENVIRONMENT_PREFIX) {
                ours.variables.insert(name, value.to_string_lossy().into_owned());
            }
        }
        ours
    }

    /// The file that they name. An empty name is a slip that would otherwise hide behind
    /// whichever file is found instead.
    pub(super) fn file(&self) -> Result<Option<&Path>, ConfigError> {
        if self.file.as_deref() == Some(Path::new("")) {
            let sentence = "is empty; allowed is a file's path, builtin, or no such variable".into();
            return Err(ConfigError::Faults(vec![Fault {
                place: Place::Environment(FILE_VARIABLE.into()),
                sentence,
            }]));
        }
        Ok(self.file.as_deref())
    }

    /// A line for each variable that looks like ours and is none. Container platforms set
    /// some by themselves, so it is no fault.
    pub(super) fn warnings(&self) -> Vec<String> {
        let is_known = |name: &String| KEYS.iter().any(|key| key.variable() == *name);
        let unknown = self.variables.keys().filter(|name| !is_known(name));
        unknown.map(|name| format!("{} is no setting and has no effect", name.escape_debug())).collect()
    }
}

/// A configuration in the making.
#[derive(Default)]
pub(super) struct Layers {
    /// What the layers so far make.
    config: Config,
    /// Where each key's value came from; no entry for defaults.
    places: BTreeMap<String, Place>,
    /// What is wrong so far, layer by layer.
    faults: Vec<Fault>,
    /// The keys that `faults` are about.
    faulty: Vec<String>,
}

impl Layers {
    /// Sets what `tree`, the text of `source`, says.
    pub(super) fn file(&mut self, source: &Source, tree: &Tree) {
        let place = |line| Place::Line(source.clone(), line);
        for (path, line) in tree.names() {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let value = tree.value(&names);
            match names[..] {
                [section] => self.section(section, value, place(line)),
                [section, name] => match keys_of(section).find(|key| key.name == name) {
                    Some(key) => self.key(key, value.map(Raw::Tree), &|item| {
                        place(item.map_or(line, |item| tree.line(&[section, name, &item.to_string()])))
                    }),
                    None if tree.value(&[section]).is_some_and(Value::is_mapping) => {
                        self.unknown_key(path, place(line));
                    }
                    // An item where a section should be: told with the section.
                    None => {}
                },
                _ => debug_assert!(false, "a name is a section or a key in one"),
            }
        }
        self.anchor_folder(source);
    }

    /// A relative path in a file counts from that file's folder.
    fn anchor_folder(&mut self, source: &Source) {
        let is_named_there = matches!(self.places.get(FOLDER_KEY), Some(Place::Line(..)));
        if let Source::File(file) = source
            && let Some(folder) = file.parent().filter(|_| is_named_there)
        {
            self.config.journal.dir = folder.join(&self.config.journal.dir);
        }
    }

    /// Sets what the environment says.
    pub(super) fn environment(&mut self, environment: &Environment) {
        for key in KEYS {
            if let Some(text) = environment.variables.get(&key.variable()) {
                self.key(key, Some(Raw::Text(text)), &|_| Place::Environment(key.variable()));
            }
        }
    }

    /// Sets what the command line says.
    pub(super) fn flags(&mut self, args: &Args) {
        for (flag, full_name, text) in args.settings() {
            let key = KEYS.iter().find(|key| key.is(full_name));
            debug_assert!(key.is_some(), "{flag} stands for a key");
            if let Some(key) = key {
                self.key(key, Some(Raw::Text(text)), &|_| Place::Flag(flag));
            }
        }
    }

    /// The configuration, or all that is wrong with it.
    pub(super) fn finish(mut self) -> Result<Config, ConfigError> {
        for clash in check::clashes(&self.config) {
            // A key with a fault of its own has its default here, and nobody chose that.
            let is_judged = !clash.keys.iter().any(|key| self.faulty.iter().any(|faulty| faulty == key));
            if is_judged {
                let place = |key: &str| self.places.get(key).cloned().unwrap_or(Place::Default);
                let [first, second] = clash.keys.map(place);
                let fault = clash.into_fault(first, second);
                self.faults.push(fault);
            }
        }
        if self.faults.is_empty() { Ok(self.config) } else { Err(ConfigError::Faults(self.faults)) }
    }

    fn section(&mut self, name: &str, value: Option<&Value>, place: Place) {
        let sentence = if keys_of(name).next().is_none() {
            let name = show_name(&[name.to_owned()]);
            format!("{name} is no section; allowed are {}", sections().join(", "))
        } else {
            match value {
                None | Some(Value::Null | Value::Mapping(_)) => return,
                Some(_) => format!("{name} is a section: its keys stand below it, one a line"),
            }
        };
        self.faults.push(Fault { place, sentence });
    }

    fn unknown_key(&mut self, path: &[String], place: Place) {
        let section = &path[0];
        let known: Vec<_> = keys_of(section).map(|key| key.name).collect();
        if known.is_empty() {
            // The whole section is unknown and was told so.
            return;
        }
        let sentence = format!("{} is no key; {section} has {}", show_name(path), known.join(", "));
        self.faults.push(Fault { place, sentence });
    }

    /// Sets one key; `place` tells where it, or one item of its list, was written.
    fn key(&mut self, key: &Key, raw: Option<Raw>, place: &dyn Fn(Option<usize>) -> Place) {
        let full_name = key.full_name();
        let raw = raw.unwrap_or(Raw::Tree(&Value::Null));
        match key.kind.read(raw, &mut self.config) {
            Ok(()) => {
                self.places.insert(full_name, place(None));
            }
            Err(wrongs) => {
                debug_assert!(!wrongs.is_empty(), "a refusal has a reason");
                for wrong in wrongs {
                    let sentence = format!("{full_name} {}", wrong.what);
                    self.faults.push(Fault { place: place(wrong.item), sentence });
                }
                self.faulty.push(full_name);
            }
        }
    }
}

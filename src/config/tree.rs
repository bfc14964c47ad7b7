//! A file's text as a raw tree of values, with the line of each key.
//!
//! Two parsers read the text. The first hands out events with their places; it finds
//! lines and duplicate keys and refuses what a configuration has no use for: anchors,
//! aliases, tags, deep nesting, a second document. The second, serde_yaml, makes the
//! values. Nothing here knows which keys exist; no error repeats a value of the file.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};
use serde_yaml::Value;

/// The deepest nesting that is read. Section, key and list make three.
const DEPTH_MAX: usize = 16;
/// The deepest place whose line is kept: an item of a key's list.
const MARKED_DEPTH_MAX: usize = 3;
/// The longest unknown name under `auth` that is shown; every master key is longer, so one
/// that was written where a key should stand is not repeated.
const AUTH_NAME_LEN_MAX: usize = 15;
/// The longest unknown name elsewhere that is shown in full.
const NAME_LEN_MAX: usize = 40;

/// Why a text is no tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SyntaxError {
    /// The line, from 1.
    pub(super) line: usize,
    /// What is wrong there, as a sentence without its end.
    pub(super) reason: String,
}

/// A place in a tree: the names down to it, list items by their index.
pub(super) type Path = Vec<String>;

/// A file's values and the lines that they stand on.
#[derive(Debug)]
pub(super) struct Tree {
    /// A mapping of sections, or null for a file without any.
    value: Value,
    /// Every key and list item down to [`MARKED_DEPTH_MAX`], in the order of the file.
    marks: Vec<(Path, usize)>,
}

impl Tree {
    /// The tree that `text` spells.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        // First the events: they bound what the parser of values is given.
        let marks = Walk::over(text)?;
        let value: Value = serde_yaml::from_str(text).map_err(|error| SyntaxError {
            line: error.location().map_or(1, |location| location.line()),
            reason: error.to_string(),
        })?;
        if !matches!(value, Value::Null | Value::Mapping(_)) {
            return Err(SyntaxError { line: 1, reason: "sections and their keys are expected".into() });
        }
        Ok(Self { value, marks })
    }

    /// Every key of the first two levels with its line, in the order of the file.
    pub(super) fn names(&self) -> impl Iterator<Item = (&[String], usize)> {
        self.marks.iter().filter(|(path, _)| path.len() <= 2).map(|(path, line)| (path.as_slice(), *line))
    }

    /// What stands at `path`.
    pub(super) fn value(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.value, |value, name| value.as_mapping()?.get(*name))
    }

    /// The line of `path`, from 1; that of what is above it where it has none.
    pub(super) fn line(&self, path: &[&str]) -> usize {
        let is_at = |mark: &&(Path, usize)| mark.0.iter().eq(path);
        match (self.marks.iter().find(is_at), path.split_last()) {
            (Some((_, line)), _) => *line,
            (None, Some((_, above))) => self.line(above),
            (None, None) => 1,
        }
    }
}

/// A name of the file, with those above it, as an error may show it.
pub(super) fn show_name(path: &[String]) -> String {
    let is_auth = path.first().is_some_and(|section| section == "auth");
    if is_auth && path.iter().any(|name| name.len() > AUTH_NAME_LEN_MAX) {
        return "this name".into();
    }
    let name = path.join(".");
    let shown: String = name.chars().take(NAME_LEN_MAX).collect();
    let ellipsis = if shown.len() < name.len() { "…" } else { "" };
    format!("{}{ellipsis}", shown.escape_debug())
}

/// A collection that has begun and not ended.
enum Open {
    /// A mapping with the keys seen and their lines; the next event is a key or a value.
    Mapping { lines: BTreeMap<String, usize>, expects_key: bool },
    /// A list; how many items are complete.
    List { items: usize },
}

/// One pass over a text's events. Iterative: no text can exhaust the stack.
#[derive(Default)]
struct Walk {
    /// What is open, outermost first. `open.len() <= DEPTH_MAX`
    open: Vec<Open>,
    /// Where the next value stands. `path.len() <= open.len()`
    path: Path,
    /// What [`Tree::marks`] becomes.
    marks: Vec<(Path, usize)>,
    /// Documents begun: one at most.
    documents: usize,
}

impl Walk {
    /// The lines of every key and item in `text`.
    fn over(text: &str) -> Result<Vec<(Path, usize)>, SyntaxError> {
        let mut walk = Self::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| SyntaxError {
                line: error.marker().line().max(1),
                reason: error.info().to_owned(),
            })?;
            let line = span.start.line().max(1);
            walk.take(&event, line).map_err(|reason| SyntaxError { line, reason })?;
        }
        debug_assert!(walk.open.is_empty() && walk.path.is_empty(), "what has begun has ended");
        Ok(walk.marks)
    }

    fn take(&mut self, event: &Event, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err("a second document is not read".into()) } else { Ok(()) }
            }
            Event::Alias(_) => Err("an alias is not read here: write the value out".into()),
            Event::Scalar(text, _, anchor, tag) => {
                refuse_extras(*anchor, tag.is_some())?;
                self.scalar(text, line)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(*anchor, tag.is_some())?;
                self.begin(Open::Mapping { lines: BTreeMap::new(), expects_key: true }, line)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(*anchor, tag.is_some())?;
                self.begin(Open::List { items: 0 }, line)
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.open.pop();
                self.complete();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, line: usize) -> Result<(), String> {
        if let Some(Open::Mapping { lines, expects_key: expects_key @ true }) = self.open.last_mut() {
            *expects_key = false;
            let earlier = lines.insert(text.to_owned(), line);
            self.path.push(text.to_owned());
            self.mark(line);
            return match earlier {
                Some(earlier) => {
                    Err(format!("{} is given twice, first on line {earlier}", show_name(&self.path)))
                }
                None => Ok(()),
            };
        }
        // A single word is a whole value: it begins and ends here.
        self.item(line);
        self.complete();
        Ok(())
    }

    fn begin(&mut self, collection: Open, line: usize) -> Result<(), String> {
        if let Some(Open::Mapping { expects_key: true, .. }) = self.open.last() {
            return Err("a key is one word".into());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(format!("nothing is read that is nested deeper than {DEPTH_MAX} levels"));
        }
        self.item(line);
        self.open.push(collection);
        Ok(())
    }

    /// Names the value that begins, where it is a list's item.
    fn item(&mut self, line: usize) {
        if let Some(Open::List { items }) = self.open.last() {
            self.path.push(items.to_string());
            self.mark(line);
        }
    }

    /// Leaves the value that has ended.
    fn complete(&mut self) {
        match self.open.last_mut() {
            Some(Open::Mapping { expects_key, .. }) => *expects_key = true,
            Some(Open::List { items }) => *items += 1,
            None => return,
        }
        self.path.pop();
        debug_assert!(self.path.len() < self.open.len(), "a path has one name at most a level");
    }

    fn mark(&mut self, line: usize) {
        debug_assert!(line >= 1, "lines count from 1");
        if self.path.len() <= MARKED_DEPTH_MAX {
            self.marks.push((self.path.clone(), line));
        }
    }
}

/// Anchors have an id from 1 on.
fn refuse_extras(anchor: usize, has_tag: bool) -> Result<(), String> {
    match (anchor, has_tag) {
        (0, false) => Ok(()),
        (0, true) => Err("a tag is not read here: write the plain value".into()),
        _ => Err("an anchor is not read here: write the value out where it is needed".into()),
    }
}

#[cfg(test)]
mod tests;

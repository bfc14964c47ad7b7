//! The Content-Types of a shard's sessions, each kept once however many sessions have it.
//!
//! A session holds a four-byte id; the text goes when the last session lets go of it. Most
//! clients send one or two types, but one that sends a new one each time (a multipart
//! boundary) costs no more than its text and a place. Texts are bytes as they came, up to
//! 255; the empty text means that none was given and is never stored.

use super::budget::usable_size;
use super::hash::IdHasher;
use super::index::Index;
use super::slab::Slab;
use crate::types::ByteCount;

/// The longest Content-Type, in bytes.
pub const CONTENT_TYPE_LEN_MAX: usize = 255;

/// Which Content-Type a session has. Stands for one acquisition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ContentTypeId(u32);

impl ContentTypeId {
    /// No Content-Type was given.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// One text in use.
struct ContentType {
    /// `1 <= text.len() <= CONTENT_TYPE_LEN_MAX`
    text: Box<[u8]>,
    /// Sessions that have it; at least 1.
    session_count: u32,
}

/// All texts in use.
pub(super) struct ContentTypes {
    entries: Slab<ContentType>,
    index: Index,
    hasher: IdHasher,
    /// The texts, in usable bytes.
    text_bytes: usize,
}

impl ContentTypes {
    pub(super) fn new(hasher: IdHasher) -> Self {
        Self { entries: Slab::new(), index: Index::new(), hasher, text_bytes: 0 }
    }

    /// What all of it takes.
    pub(super) fn bytes(&self) -> ByteCount {
        self.entries.bytes() + self.index.bytes() + ByteCount::of_len(self.text_bytes)
    }

    /// The most that acquiring `text` will add to [`ContentTypes::bytes`].
    pub(super) fn growth(&self, text: &[u8]) -> ByteCount {
        if text.is_empty() || self.find(text).is_some() {
            return ByteCount::ZERO;
        }
        let index_growth = self.index.growth(self.hasher.hash_bytes(text));
        self.entries.growth() + index_growth + ByteCount::of_len(usable_size(text.len()))
    }

    /// The text behind `id`; empty for none.
    pub(super) fn text(&self, id: ContentTypeId) -> &[u8] {
        let entry = self.entries.get(id.0);
        debug_assert_eq!(entry.is_none(), id == ContentTypeId::NONE, "an id is released last of all");
        entry.map_or(&[], |entry| &entry.text)
    }

    /// The id of `text`, for one more session.
    pub(super) fn acquire(&mut self, text: &[u8]) -> ContentTypeId {
        debug_assert!(text.len() <= CONTENT_TYPE_LEN_MAX, "longer ones are refused further up");
        if text.is_empty() {
            return ContentTypeId::NONE;
        }
        if let Some(index) = self.find(text) {
            if let Some(entry) = self.entries.get_mut(index) {
                entry.session_count += 1;
            }
            return ContentTypeId(index);
        }
        let index = self.entries.insert(ContentType { text: text.into(), session_count: 1 });
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.insert(hasher.hash_bytes(text), index, |other| hash_of(entries, hasher, other));
        self.text_bytes += usable_size(text.len());
        ContentTypeId(index)
    }

    /// One session less has `id`.
    pub(super) fn release(&mut self, id: ContentTypeId) {
        let Some(entry) = self.entries.get_mut(id.0) else {
            debug_assert_eq!(id, ContentTypeId::NONE, "released as often as acquired");
            return;
        };
        entry.session_count -= 1;
        if entry.session_count > 0 {
            return;
        }
        let hash = hash_of(&self.entries, &self.hasher, id.0);
        if let Some(entry) = self.entries.remove(id.0) {
            self.text_bytes -= usable_size(entry.text.len());
        }
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.remove(hash, id.0, |other| hash_of(entries, hasher, other));
    }

    fn find(&self, text: &[u8]) -> Option<u32> {
        let is_it = |index| self.entries.get(index).is_some_and(|entry| *entry.text == *text);
        self.index.find(self.hasher.hash_bytes(text), is_it)
    }
}

fn hash_of(entries: &Slab<ContentType>, hasher: &IdHasher, index: u32) -> u64 {
    hasher.hash_bytes(entries.get(index).map_or(&[], |entry| &entry.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_types() -> ContentTypes {
        ContentTypes::new(IdHasher::with_seed(3))
    }

    #[test]
    fn one_text_is_kept_once() {
        let mut types = content_types();
        let json = types.acquire(b"application/json");
        let bytes = types.bytes();
        assert_eq!(types.growth(b"application/json"), ByteCount::ZERO);
        assert_eq!(types.acquire(b"application/json"), json);
        assert_eq!(types.bytes(), bytes);
        assert_ne!(types.acquire(b"application/JSON"), json);
        assert_eq!(types.text(json), b"application/json");
    }

    #[test]
    fn none_is_the_empty_text_and_costs_nothing() {
        let mut types = content_types();
        let bytes = types.bytes();
        let none = types.acquire(b"");
        assert_eq!((none, types.text(none)), (ContentTypeId::NONE, b"".as_slice()));
        types.release(none);
        assert_eq!(types.bytes(), bytes);
    }

    #[test]
    fn a_text_goes_with_its_last_session() {
        let mut types = content_types();
        let first = types.acquire(b"text/plain");
        types.release(first);
        let bytes = types.bytes();
        let id = types.acquire(&[0x80; CONTENT_TYPE_LEN_MAX]);
        types.acquire(&[0x80; CONTENT_TYPE_LEN_MAX]);
        types.release(id);
        assert_eq!(types.text(id), [0x80; CONTENT_TYPE_LEN_MAX]);
        types.release(id);
        assert_eq!(types.bytes(), bytes);
        assert_eq!(types.find(&[0x80; CONTENT_TYPE_LEN_MAX]), None);
    }

    #[test]
    fn thousands_of_texts_are_told_apart_and_announced() {
        let mut types = content_types();
        let text = |number: u32| format!("multipart/form-data; boundary={number:032}").into_bytes();
        let ids: Vec<_> = (0..5_000)
            .map(|number| {
                let announced = types.bytes() + types.growth(&text(number));
                let id = types.acquire(&text(number));
                assert!(types.bytes() <= announced, "{number}");
                id
            })
            .collect();
        for (number, id) in (0..).zip(&ids) {
            assert_eq!(types.text(*id), text(number));
        }
        ids.into_iter().for_each(|id| types.release(id));
        assert!(types.bytes() <= content_types().bytes() + ByteCount::from_kib(64), "{}", types.bytes());
    }
}

//! A bucket's name, as client apps write it, and its number, as Seshun stores it.
//!
//! A name is judged once, at the border, and then kept inline: it is copied along with each
//! request and must not cost an allocation.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The longest bucket name, in bytes.
pub const BUCKET_NAME_LEN_MAX: usize = 64;

/// A bucket's number: given once for a name, never again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BucketId(u32);

impl BucketId {
    /// The bucket with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// A bucket's name: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, case-sensitive. Kept inline, so that
/// judging a request allocates nothing.
#[derive(Clone, Copy)]
pub struct BucketName {
    /// `1 <= len <= BUCKET_NAME_LEN_MAX`
    len: u8,
    /// ASCII in the first `len` bytes, 0 behind them.
    text: [u8; BUCKET_NAME_LEN_MAX],
}

impl BucketName {
    /// The name that `text` spells, or nothing where a bucket cannot have it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (first, rest) = text.split_first()?;
        let is_name = text.len() <= BUCKET_NAME_LEN_MAX
            && first.is_ascii_alphanumeric()
            && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        if !is_name {
            return None;
        }
        let mut name = Self { len: text.len() as u8, text: [0; BUCKET_NAME_LEN_MAX] };
        name.text[..text.len()].copy_from_slice(text);
        Some(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The name's bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

impl PartialEq for BucketName {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for BucketName {}

impl Hash for BucketName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketName({})", self.as_str())
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_bucket_can_have() {
        let longest = "a".repeat(BUCKET_NAME_LEN_MAX);
        for text in ["a", "Z", "0", "cart", "my.app_v2-eu", "0.-_", longest.as_str()] {
            assert_eq!(BucketName::parse(text.as_bytes()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn names_that_no_bucket_has() {
        let too_long = "a".repeat(BUCKET_NAME_LEN_MAX + 1);
        for text in ["", ".a", "-a", "_a", "a b", "a/b", "a%2f", "é", "a\0", too_long.as_str()] {
            assert_eq!(BucketName::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn names_differ_by_case() {
        assert_ne!(BucketName::parse(b"Cart"), BucketName::parse(b"cart"));
    }
}

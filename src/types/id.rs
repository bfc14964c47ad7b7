//! Identities: of a session, of the shard that owns it, of the CPU that a core runs on.
//!
//! None of them turns into another or into a plain number by itself. A session's id is as
//! good as a password to whoever has the bucket's key, so no log line ever shows one.

use std::fmt;
use std::num::NonZeroU16;

use uuid::Uuid;

/// The length of an id with hyphens, in characters.
const HYPHENATED_LEN: usize = 36;
/// The length of an id without hyphens, in characters.
const SIMPLE_LEN: usize = 32;

/// A session's id: a UUID. Made as version 4; any version bits are taken in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// The version 4 UUID made of these random bytes (122 of the bits are used).
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The id that `text` spells: 36 characters with hyphens or 32 hex digits, in any case.
    /// Braces and `urn:uuid:`, which the parser behind it would take, are not ids here.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != HYPHENATED_LEN && text.len() != SIMPLE_LEN {
            return None; // the parser's other forms are longer, all of them
        }
        Uuid::try_parse_ascii(text).ok().map(Self)
    }

    /// The id of these 16 bytes as they are, whatever their version bits.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Writes the id as 36 lower-case characters into `text` and returns them.
    pub fn encode<'t>(&self, text: &'t mut [u8; HYPHENATED_LEN]) -> &'t str {
        self.0.hyphenated().encode_lower(text)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    /// An id opens a session to whoever has the bucket's key, so logs never see it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// Which shard: `0 <= index < ShardCount`. The core with the same index owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard that holds the registry's authority.
    pub const FIRST: Self = Self(0);

    /// The shard with this index.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The index as it is written down.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Its place in a list of all shards.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many shards there are, which is how many cores: 1 to 256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardCount(NonZeroU16);

impl ShardCount {
    /// One shard.
    pub const ONE: Self = Self(NonZeroU16::MIN);
    /// The most shards that one process has.
    pub const MAX: u16 = 256;

    /// This many shards, or nothing for 0 and for more than [`ShardCount::MAX`].
    pub fn new(count: u16) -> Option<Self> {
        let count = NonZeroU16::new(count)?;
        (count.get() <= Self::MAX).then_some(Self(count))
    }

    /// The count.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Every shard, in order.
    pub fn shards(self) -> impl ExactSizeIterator<Item = ShardId> {
        (0..self.get()).map(ShardId)
    }
}

impl fmt::Display for ShardCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A CPU's number, as the kernel counts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CpuId(usize);

impl CpuId {
    /// The CPU with this number.
    pub const fn new(number: usize) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_usize(self) -> usize {
        self.0
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0191d6b2-7e2a-4c3d-9f10-0a1b2c3d4e5f";

    #[test]
    fn an_id_is_read_in_both_forms_and_any_case() {
        let id = SessionId::parse(TEXT.as_bytes()).unwrap();
        for form in [TEXT.to_uppercase(), TEXT.replace('-', ""), TEXT.replace('-', "").to_uppercase()] {
            assert_eq!(SessionId::parse(form.as_bytes()), Some(id), "{form}");
        }
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(id.encode(&mut [0; HYPHENATED_LEN]), TEXT);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let braces = format!("{{{}}}", TEXT);
        let urn = format!("urn:uuid:{TEXT}");
        let shifted = "0191d6b27-e2a-4c3d-9f10-0a1b2c3d4e5f";
        let inner_braces = "{191d6b2-7e2a-4c3d-9f10-0a1b2c3d4e5}";
        for text in
            ["", "x", &TEXT[1..], &braces, &urn, shifted, inner_braces, &"g".repeat(32), &"-".repeat(36)]
        {
            assert_eq!(SessionId::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ids_are_made_as_version_4_and_read_with_any_version() {
        let made = SessionId::from_random([0xff; 16]).to_string();
        assert_eq!((&made[14..15], &made[19..20]), ("4", "b"));
        let all_ones = SessionId::parse("ffffffffffffffffffffffffffffffff".as_bytes()).unwrap();
        assert_eq!(SessionId::from_bytes([0xff; 16]), all_ones);
    }

    #[test]
    fn a_log_line_never_shows_an_id() {
        let id = SessionId::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(format!("{id:?}"), "SessionId(..)");
    }

    #[test]
    fn shard_counts_are_1_to_256() {
        assert!(ShardCount::new(0).is_none());
        assert!(ShardCount::new(257).is_none());
        assert_eq!(ShardCount::new(256).unwrap().shards().len(), 256);
        assert_eq!(ShardCount::ONE.shards().collect::<Vec<_>>(), [ShardId::FIRST]);
    }
}

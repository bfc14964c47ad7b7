//! Self-describing data: every blob that is stored names its run, session and version.
//!
//! A blob of 24 bytes or more opens with that name; the rest are pseudo-random words that
//! follow from it. Word `n` can be computed alone, so a blob is written into and compared
//! with a buffer without a copy of its own, and one that differs is recognised:
//!
//! ```text
//! | magic 4 | version 4 | session 8 | run 8 | words … |      little-endian; shorter blobs: words only
//! ```

use crate::rng::{GAMMA, mix};

/// What the name opens with.
const MAGIC: [u8; 4] = *b"SSHb";

/// Bytes of the name; shorter blobs carry none.
const NAME_LEN: usize = 24;

/// Bytes of a word.
const WORD_LEN: usize = 8;

/// How many versions before and after the right one are tried to recognise bytes without a name.
const NEIGHBOURS_MAX: u32 = 3;

/// What a session's data must be, without the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blob {
    /// The run's seed.
    pub run: u64,
    /// The session's number, unique in the run.
    pub session: u64,
    /// Which writing of the session's data this is; 0 is never written and has no bytes.
    pub version: u32,
    /// Its bytes. 0 where `version` is 0.
    pub len: usize,
}

/// How bytes differ from the blob that they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Another length than the blob's, and no name that explains it.
    Length {
        /// The bytes that came.
        got: usize,
    },
    /// The blob of another session or run.
    Foreign {
        /// The session that they name.
        session: u64,
    },
    /// Another version of the same session: an older one, or one that was never acknowledged.
    OtherVersion {
        /// The version that they name.
        version: u32,
    },
    /// The right bytes at first, then those of another version.
    Torn {
        /// Where the other version begins.
        at: usize,
    },
    /// Bytes that no neighbouring version explains.
    Corrupt {
        /// The first byte that differs.
        at: usize,
    },
}

impl Blob {
    /// Appends the bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.version > 0 || self.len == 0, "data that was never written has no bytes");
        out.reserve(self.len);
        let start = out.len();
        if self.len >= NAME_LEN {
            out.extend_from_slice(&self.name());
        }
        let key = self.key();
        let mut index = 0;
        while out.len() - start < self.len {
            let left = self.len - (out.len() - start);
            out.extend_from_slice(&word(key, index)[..left.min(WORD_LEN)]);
            index += 1;
        }
        debug_assert_eq!(out.len() - start, self.len, "exactly the blob's bytes are appended");
    }

    /// Whether `bytes` are this blob, and otherwise what they are.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Difference> {
        match self.first_difference(bytes) {
            None if bytes.len() == self.len => Ok(()),
            at => Err(self.recognise(bytes, at.unwrap_or(bytes.len().min(self.len)))),
        }
    }

    /// The first byte that differs within the length that both have.
    fn first_difference(&self, bytes: &[u8]) -> Option<usize> {
        let bytes = &bytes[..bytes.len().min(self.len)];
        let mut at = 0;
        if self.len >= NAME_LEN {
            let name = self.name();
            let shared = bytes.len().min(NAME_LEN);
            if bytes[..shared] != name[..shared] {
                return bytes.iter().zip(&name).position(|(got, right)| got != right);
            }
            at = shared;
        }
        let key = self.key();
        for (index, chunk) in bytes[at..].chunks(WORD_LEN).enumerate() {
            let right = word(key, index as u64);
            if chunk != &right[..chunk.len()] {
                let within = chunk.iter().zip(&right).position(|(got, right)| got != right);
                return Some(at + index * WORD_LEN + within.unwrap_or(0));
            }
        }
        None
    }

    /// Explains bytes that differ first at `at`. Slow, and only for bytes that are wrong.
    fn recognise(&self, bytes: &[u8], at: usize) -> Difference {
        debug_assert!(at <= bytes.len(), "a difference lies within the bytes, or at their end");
        if let Some((session, run, version)) = read_name(bytes) {
            if (session, run) != (self.session, self.run) {
                return Difference::Foreign { session };
            }
            if version != self.version {
                return Difference::OtherVersion { version };
            }
        }
        if bytes.len() != self.len {
            return Difference::Length { got: bytes.len() };
        }
        // Fewer bytes than a word are another version's by chance too often.
        let telling = bytes.len() - at >= WORD_LEN;
        for version in self.neighbours().filter(|_| telling) {
            let other = Self { version, ..*self };
            let mut whole = Vec::with_capacity(other.len);
            other.write(&mut whole);
            if whole[at..] == bytes[at..] {
                return if at == 0 { Difference::OtherVersion { version } } else { Difference::Torn { at } };
            }
        }
        Difference::Corrupt { at }
    }

    /// Versions near this one that have bytes, without this one.
    fn neighbours(&self) -> impl Iterator<Item = u32> {
        let this = self.version;
        let nearby = this.saturating_sub(NEIGHBOURS_MAX).max(1)..=this.saturating_add(NEIGHBOURS_MAX);
        nearby.filter(move |&version| version != this)
    }

    fn name(&self) -> [u8; NAME_LEN] {
        let mut name = [0; NAME_LEN];
        name[..4].copy_from_slice(&MAGIC);
        name[4..8].copy_from_slice(&self.version.to_le_bytes());
        name[8..16].copy_from_slice(&self.session.to_le_bytes());
        name[16..].copy_from_slice(&self.run.to_le_bytes());
        name
    }

    /// What all of the blob's words follow from.
    fn key(&self) -> u64 {
        mix(self.run ^ mix(self.session ^ mix(u64::from(self.version).wrapping_add(GAMMA))))
    }
}

#[inline]
fn word(key: u64, index: u64) -> [u8; WORD_LEN] {
    mix(key.wrapping_add(index.wrapping_mul(GAMMA))).to_le_bytes()
}

/// The session, run and version that `bytes` name.
fn read_name(bytes: &[u8]) -> Option<(u64, u64, u32)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (version, rest) = rest.split_first_chunk()?;
    let (session, rest) = rest.split_first_chunk()?;
    let (run, _) = rest.split_first_chunk()?;
    Some((u64::from_le_bytes(*session), u64::from_le_bytes(*run), u32::from_le_bytes(*version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: Blob = Blob { run: 9, session: 41, version: 5, len: 100 };

    fn bytes_of(blob: Blob) -> Vec<u8> {
        let mut bytes = Vec::new();
        blob.write(&mut bytes);
        bytes
    }

    #[test]
    fn every_length_is_written_exactly_and_recognised_as_itself() {
        for len in 0..80 {
            let blob = Blob { len, ..BLOB };
            let bytes = bytes_of(blob);
            assert_eq!(bytes.len(), len);
            assert_eq!(blob.check(&bytes), Ok(()), "of {len} bytes");
        }
    }

    #[test]
    fn one_wrong_bit_is_found_wherever_it_is() {
        let right = bytes_of(BLOB);
        for at in 0..right.len() {
            let mut bytes = right.clone();
            bytes[at] ^= 1;
            let found = BLOB.check(&bytes);
            // A flipped bit inside the name makes another name of it.
            let expected = match at {
                4..8 => Difference::OtherVersion { version: 5 ^ (1 << (8 * (at - 4))) },
                8..16 => Difference::Foreign { session: 41 ^ (1 << (8 * (at - 8))) },
                16..24 => Difference::Foreign { session: 41 },
                _ => Difference::Corrupt { at },
            };
            assert_eq!(found, Err(expected), "at byte {at}");
        }
    }

    #[test]
    fn another_sessions_blob_is_named_foreign() {
        let other = Blob { session: 7, ..BLOB };
        assert_eq!(BLOB.check(&bytes_of(other)), Err(Difference::Foreign { session: 7 }));
        let longer = Blob { len: 300, ..other };
        assert_eq!(BLOB.check(&bytes_of(longer)), Err(Difference::Foreign { session: 7 }));
    }

    #[test]
    fn another_version_is_named_at_every_length() {
        for len in [8, 16, 23, 24, 40, 1024] {
            let (blob, older) = (Blob { len, ..BLOB }, Blob { len, version: 4, ..BLOB });
            let expected = Err(Difference::OtherVersion { version: 4 });
            assert_eq!(blob.check(&bytes_of(older)), expected, "{len} bytes");
        }
    }

    #[test]
    fn a_torn_blob_is_told_from_a_corrupt_one() {
        let (right, older) = (bytes_of(BLOB), bytes_of(Blob { version: 4, ..BLOB }));
        let torn = [&right[..64], &older[64..]].concat();
        assert!(matches!(BLOB.check(&torn), Err(Difference::Torn { at: 64..72 })));
        let corrupt = [&right[..64], &[0; 36]].concat();
        assert!(matches!(BLOB.check(&corrupt), Err(Difference::Corrupt { at: 64..72 })));
    }

    #[test]
    fn a_few_bytes_at_the_end_are_never_called_torn() {
        let right = bytes_of(BLOB);
        for wrong in 1..=u8::MAX {
            let mut bytes = right.clone();
            bytes[99] ^= wrong;
            assert_eq!(BLOB.check(&bytes), Err(Difference::Corrupt { at: 99 }), "xor {wrong}");
        }
    }

    #[test]
    fn a_blob_cut_short_or_grown_is_a_wrong_length() {
        let right = bytes_of(BLOB);
        for len in 0..right.len() {
            assert_eq!(BLOB.check(&right[..len]), Err(Difference::Length { got: len }));
        }
        assert_eq!(BLOB.check(&[&right[..], b"!"].concat()), Err(Difference::Length { got: 101 }));
    }

    #[test]
    fn data_that_was_never_written_is_no_bytes() {
        let unwritten = Blob { version: 0, len: 0, ..BLOB };
        assert_eq!(unwritten.check(b""), Ok(()));
        assert_eq!(unwritten.check(b"x"), Err(Difference::Length { got: 1 }));
    }
}

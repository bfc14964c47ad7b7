//! Random bytes from the system, for session ids and API keys.
//!
//! They come from the system's CSPRNG alone, 4 KiB at a time, so that an id costs a copy
//! and not a system call. Bytes that were handed out are wiped from the buffer. Each core
//! has its own; nothing below the runtime draws.

use std::fmt;

/// Bytes that one system call brings.
const REFILL_LEN: usize = 4096;

/// The system gives no random bytes. The process ends before it listens.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes ({0}): keys and ids cannot be made")]
pub struct EntropyError(#[from] getrandom::Error);

/// A core's store of random bytes.
pub struct Entropy {
    /// Random from `used` on, 0 before it.
    buffer: Box<[u8; REFILL_LEN]>,
    /// `0 <= used <= REFILL_LEN`
    used: usize,
}

impl Entropy {
    /// A full store, or the news that the system has nothing to give.
    pub fn new() -> Result<Self, EntropyError> {
        let mut entropy = Self { buffer: Box::new([0; REFILL_LEN]), used: 0 };
        getrandom::fill(entropy.buffer.as_mut_slice())?;
        Ok(entropy)
    }

    /// 16 bytes that nobody has seen: a session id's worth.
    pub fn bytes16(&mut self) -> [u8; 16] {
        self.take()
    }

    /// 32 bytes that nobody has seen: an API key's worth.
    pub fn bytes32(&mut self) -> [u8; 32] {
        self.take()
    }

    fn take<const LEN: usize>(&mut self) -> [u8; LEN] {
        const { assert!(LEN <= REFILL_LEN, "one refill must be enough") };
        if self.used + LEN > REFILL_LEN {
            // The system has given before; it blocks only early in boot and fails never after.
            getrandom::fill(self.buffer.as_mut_slice()).expect("the system gave random bytes at start");
            self.used = 0;
        }
        let mut bytes = [0; LEN];
        let source = &mut self.buffer[self.used..self.used + LEN];
        bytes.copy_from_slice(source);
        source.fill(0);
        self.used += LEN;
        debug_assert!(self.used <= REFILL_LEN);
        bytes
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

#[cfg(test)]
mod tests {
    use ahash::AHashSet;

    use super::*;

    #[test]
    fn no_bytes_are_given_twice_over_many_refills() {
        let mut entropy = Entropy::new().unwrap();
        let mut other = Entropy::new().unwrap();
        let mut seen = AHashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(entropy.bytes16()));
            assert!(seen.insert(other.bytes16()));
            let longer = entropy.bytes32();
            assert!(longer.chunks(16).all(|half| seen.insert(half.try_into().unwrap())));
        }
    }

    #[test]
    fn what_was_given_is_wiped() {
        let mut entropy = Entropy::new().unwrap();
        for _ in 0..REFILL_LEN / 48 * 3 {
            entropy.bytes16();
            entropy.bytes32();
            assert!(entropy.buffer[..entropy.used].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn an_odd_rest_is_not_stretched() {
        let mut entropy = Entropy::new().unwrap();
        entropy.used = REFILL_LEN - 16;
        entropy.bytes32();
        assert_eq!(entropy.used, 32, "the last 16 bytes were passed over for a fresh buffer");
        entropy.used = REFILL_LEN - 32;
        entropy.bytes32();
        assert_eq!(entropy.used, REFILL_LEN);
    }

    #[test]
    fn a_log_line_shows_no_random_byte() {
        assert_eq!(format!("{:?}", Entropy::new().unwrap()), "Entropy(..)");
    }
}

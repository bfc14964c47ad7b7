//! What the interface is set to, and the page that shows the public part of it.
//!
//! One value for all cores, made at the start and never changed. The page is rendered once;
//! no master key, and nothing that would help to guess one, is on it.

use serde::Serialize;

use crate::types::{ByteCount, MasterKey, Ttl};

/// The master keys, and which of them is the example that everybody knows.
#[derive(Clone, Debug, Default)]
pub struct MasterKeyring {
    /// Keys of the operator's own.
    pub keys: Vec<MasterKey>,
    /// The key that is shipped as an example, if it is configured. Good only for a client on
    /// this machine that no proxy stands in front of.
    pub example: Option<MasterKey>,
}

impl MasterKeyring {
    /// Whether `presented` is a master key. Every key is compared, whichever it is.
    pub(super) fn opens(&self, presented: &[u8], is_local: bool) -> bool {
        let own = self.keys.iter().fold(false, |found, key| found | key.is(presented));
        let example = self.example.is_some_and(|key| key.is(presented));
        own | (example & is_local)
    }
}

/// The limits that a client may want to know.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PublicLimits {
    /// Connections at once.
    pub connections: u32,
    /// Bytes of a request's head.
    pub head: u64,
    /// Bytes of a request's target.
    pub target: u64,
    /// Fields of a request.
    pub fields: u16,
    /// Bytes of a chunked body's trailers.
    pub trailers: u64,
    /// Bytes of a chunked body's framing.
    pub chunk_overhead: u64,
    /// Bytes of answers that may wait on one connection.
    pub output: u64,
    /// Requests of one connection that are answered before others have their turn.
    pub requests_per_turn: u16,
}

/// The page under `/session/settings`.
#[derive(Serialize)]
struct Page {
    session_ttl: u32,
    max_payload: u64,
    version: &'static str,
    limits: PublicLimits,
}

/// What the interface is set to. One for all cores.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) masters: MasterKeyring,
    pub(super) query_key: bool,
    pub(super) max_ttl: Ttl,
    pub(super) payload_bytes_max: usize,
    /// The settings page, as JSON. No secret in it.
    pub(super) page: Vec<u8>,
}

/// What sessions may have.
#[derive(Clone, Copy, Debug)]
pub struct SessionRules {
    /// The TTL of sessions without their own.
    pub ttl: Ttl,
    /// The longest TTL; not shorter than `ttl`.
    pub max_ttl: Ttl,
    /// The largest payload, inclusive.
    pub max_payload: ByteCount,
}

impl Settings {
    /// Settings for these master keys, rules and limits. `query_key` says whether a key in the
    /// query is taken.
    pub fn new(masters: MasterKeyring, query_key: bool, rules: SessionRules, limits: PublicLimits) -> Self {
        debug_assert!(rules.ttl <= rules.max_ttl, "the configuration ties the two");
        let page = Page {
            session_ttl: rules.ttl.as_secs(),
            max_payload: rules.max_payload.as_u64(),
            version: env!("CARGO_PKG_VERSION"),
            limits,
        };
        // Numbers and one constant text: there is nothing in it that cannot be written.
        let page = serde_json::to_vec(&page).unwrap_or_default();
        debug_assert!(!page.is_empty());
        Self {
            masters,
            query_key,
            max_ttl: rules.max_ttl,
            payload_bytes_max: rules.max_payload.as_usize(),
            page,
        }
    }

    /// The largest body that is stored, in bytes, inclusive.
    pub fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }
}

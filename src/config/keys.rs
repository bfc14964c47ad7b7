//! The table of keys: every setting, its section, its kind and its range.
//!
//! This is the one list that file, environment, errors and `--print-config` go by. A
//! range keeps each value where the server stays sane: nothing that passes here can make
//! a queue, a buffer or a timer absurd.

use super::kind::{Kind, Range};
use crate::types::{ByteCount, Millis};

/// What the names of our environment variables begin with.
pub(super) const ENVIRONMENT_PREFIX: &str = "SESHUN_";

const HOUR: Millis = Millis::from_secs(60 * 60);
const DAY: Millis = Millis::from_secs(24 * 60 * 60);

/// What a client may take for its part of a request: long enough to be met at all.
const CLIENT_TIMEOUT: Range<Millis> = (Millis::new(100), HOUR);
/// Parts of a request that are held whole while it arrives.
const HELD_SIZE: Range<ByteCount> = (ByteCount::from_kib(1), ByteCount::from_mib(1));

/// What one session may hold. Its largest copy is in memory several times while it arrives.
const PAYLOAD_SIZE: Range<ByteCount> = (ByteCount::new(1), ByteCount::from_mib(64));
/// A path and a query: the shortest has room for a bucket, an id and an API key.
const TARGET_SIZE: Range<ByteCount> = (ByteCount::new(256), ByteCount::from_kib(64));
/// What waits for one connection.
const OUTPUT_SIZE: Range<ByteCount> = (ByteCount::from_kib(64), ByteCount::from_mib(64));
/// Each core keeps room for a reply to every one of its connections.
const CONNECTIONS: Range<u32> = (1, 1_000_000);
/// Longer than any load balancer takes to notice.
const DRAIN_DELAY: Range<Millis> = (Millis::ZERO, Millis::from_secs(10 * 60));

/// How long a wall clock is believed that the process was down; never is an answer too.
const DOWNTIME: Range<Millis> = (Millis::ZERO, Millis::from_secs(3650 * 24 * 60 * 60));

const _: () = assert!(PAYLOAD_SIZE.1.as_u64() <= u32::MAX as u64, "a payload's length fits 32 bits");

/// One setting.
pub(super) struct Key {
    /// Its section in the file.
    pub(super) section: &'static str,
    /// Its name there.
    pub(super) name: &'static str,
    /// How its value is read, and into which field.
    pub(super) kind: Kind,
}

const fn key(section: &'static str, name: &'static str, kind: Kind) -> Key {
    Key { section, name, kind }
}

/// Every key, in the order of `config.yml`.
pub(super) static KEYS: &[Key] = &[
    key("server", "listen", Kind::Address(|config| &mut config.server.listen)),
    key("server", "cores", Kind::Cores(|config| &mut config.server.cores)),
    key("server", "driver", Kind::Driver(|config| &mut config.server.driver)),
    key("admin", "listen", Kind::AddressOrOff(|config| &mut config.admin.listen)),
    key("auth", "master_keys", Kind::MasterKeys(|config| &mut config.auth.master_keys)),
    key("auth", "query_key", Kind::Switch(|config| &mut config.auth.query_key)),
    key("session", "ttl", Kind::Ttl(|config| &mut config.session.ttl)),
    key("session", "max_ttl", Kind::Ttl(|config| &mut config.session.max_ttl)),
    key("session", "max_payload", Kind::Size(|config| &mut config.session.max_payload, PAYLOAD_SIZE)),
    key("journal", "mode", Kind::Mode(|config| &mut config.journal.mode)),
    key("journal", "dir", Kind::Folder(|config| &mut config.journal.dir)),
    key("journal", "strict", Kind::Switch(|config| &mut config.journal.strict)),
    key("journal", "downtime_max", Kind::Span(|config| &mut config.journal.downtime_max, DOWNTIME)),
    key("memory", "max", Kind::Memory(|config| &mut config.memory.max)),
    key("limits", "connections", Kind::Count(|config| &mut config.limits.connections, CONNECTIONS)),
    key("limits", "head", Kind::Size(|config| &mut config.limits.head, HELD_SIZE)),
    key("limits", "target", Kind::Size(|config| &mut config.limits.target, TARGET_SIZE)),
    key("limits", "fields", Kind::SmallCount(|config| &mut config.limits.fields, (1, 256))),
    key("limits", "trailers", Kind::Size(|config| &mut config.limits.trailers, HELD_SIZE)),
    key("limits", "chunk_overhead", Kind::Size(|config| &mut config.limits.chunk_overhead, HELD_SIZE)),
    key("limits", "output", Kind::Size(|config| &mut config.limits.output, OUTPUT_SIZE)),
    key(
        "limits",
        "requests_per_turn",
        Kind::SmallCount(|config| &mut config.limits.requests_per_turn, (1, 1024)),
    ),
    key("timeouts", "head", Kind::Span(|config| &mut config.timeouts.head, CLIENT_TIMEOUT)),
    key("timeouts", "body", Kind::Span(|config| &mut config.timeouts.body, CLIENT_TIMEOUT)),
    key("timeouts", "idle", Kind::Span(|config| &mut config.timeouts.idle, (Millis::new(100), DAY))),
    key("timeouts", "write", Kind::Span(|config| &mut config.timeouts.write, CLIENT_TIMEOUT)),
    key("timeouts", "drain_delay", Kind::Span(|config| &mut config.timeouts.drain_delay, DRAIN_DELAY)),
    key("timeouts", "drain", Kind::Span(|config| &mut config.timeouts.drain, (Millis::ZERO, HOUR))),
];

impl Key {
    /// The key as people write it: `section.name`.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// Its environment variable: `SESHUN_SECTION_NAME`.
    pub(super) fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}_{}", self.section, self.name).to_ascii_uppercase()
    }

    /// Whether people mean it by `full_name`.
    pub(super) fn is(&self, full_name: &str) -> bool {
        full_name.split_once('.') == Some((self.section, self.name))
    }
}

/// The names of the sections, in order.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = KEYS.iter().map(|key| key.section).collect();
    sections.dedup();
    sections
}

/// The keys of a section, in order; none where there is no such section.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

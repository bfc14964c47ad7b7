//! From the configuration to what the runtime is started with.
//!
//! The one place where both are known: the modules below know nothing of sections and keys,
//! and the configuration knows nothing of cores and sockets.

use super::{Config, Cores, DriverChoice, JournalMode, MemoryMax};
use crate::api::{MasterKeyring, SessionRules};
use crate::journal::SyncPolicy;
use crate::mesh::NodeLimits;
use crate::runtime::{JournalSettings, LaunchSettings, Timeouts, cpus, driver, memory};
use crate::types::ByteCount;

impl Config {
    /// What the runtime is started with. Reads how much memory the system allows where the
    /// limit is a share of it.
    pub fn launch_settings(&self) -> LaunchSettings {
        LaunchSettings {
            listen: self.server.listen,
            admin_listen: self.admin.listen,
            cores: match self.server.cores {
                Cores::Auto => cpus::CoreCount::Auto,
                Cores::Exactly(count) => cpus::CoreCount::Exactly(count),
            },
            driver: match self.server.driver {
                DriverChoice::Auto => driver::DriverChoice::Auto,
                DriverChoice::IoUring => driver::DriverChoice::IoUring,
                DriverChoice::Epoll => driver::DriverChoice::Epoll,
            },
            masters: self.master_keyring(),
            query_key: self.auth.query_key,
            rules: SessionRules {
                ttl: self.session.ttl,
                max_ttl: self.session.max_ttl,
                max_payload: self.session.max_payload,
            },
            memory_max: self.memory_max(),
            connections_max: self.limits.connections,
            http_limits: self.http_limits(),
            node_limits: NodeLimits {
                output_bytes_max: self.limits.output.as_usize(),
                requests_per_turn_max: usize::from(self.limits.requests_per_turn),
            },
            timeouts: self.timeouts(),
            journal: self.journal_settings(),
        }
    }

    /// How the journal is kept; none where there is none.
    fn journal_settings(&self) -> Option<JournalSettings> {
        let policy = match self.journal.mode {
            JournalMode::Memory => return None,
            JournalMode::EverySecond => SyncPolicy::EverySecond,
            JournalMode::Always => SyncPolicy::Always,
        };
        Some(JournalSettings {
            policy,
            dir: self.journal.dir.clone(),
            is_strict: self.journal.strict,
            downtime_max: self.journal.downtime_max,
        })
    }

    fn master_keyring(&self) -> MasterKeyring {
        let of_kind = |is_example: bool| {
            let keys = self.auth.master_keys.iter();
            keys.filter(move |configured| configured.is_example == is_example)
                .map(|configured| configured.key)
        };
        MasterKeyring { keys: of_kind(false).collect(), example: of_kind(true).next() }
    }

    fn memory_max(&self) -> ByteCount {
        match self.memory.max {
            MemoryMax::Bytes(bytes) => bytes,
            MemoryMax::Percent(percent) => {
                ByteCount::new(memory::memory_allowed().as_u64() / 100 * u64::from(percent))
            }
        }
    }

    fn http_limits(&self) -> crate::http::Limits {
        crate::http::Limits {
            head_bytes_max: self.limits.head.as_usize(),
            target_bytes_max: self.limits.target.as_usize(),
            fields_max: usize::from(self.limits.fields),
            trailer_bytes_max: self.limits.trailers.as_usize(),
            chunk_overhead_bytes_max: self.limits.chunk_overhead.as_usize(),
        }
    }

    fn timeouts(&self) -> Timeouts {
        let timeouts = &self.timeouts;
        Timeouts {
            head: timeouts.head,
            body: timeouts.body,
            idle: timeouts.idle,
            write: timeouts.write,
            drain_delay: timeouts.drain_delay,
            drain: timeouts.drain,
        }
    }
}

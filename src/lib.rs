//! Seshun: a session service. Client apps keep blobs under UUIDs, in buckets guarded by API
//! keys, with TTLs that every read and write extends.
//!
//! The library holds everything but the command line, so that tests and benches reach it.
//! `docs/ARCHITECTURE.md` draws the whole.

#[cfg(not(target_os = "linux"))]
compile_error!("Seshun runs on Linux only: its event loops stand on io_uring and epoll");

pub mod admin;
pub mod api;
pub mod config;
pub mod http;
pub mod journal;
pub mod logging;
pub mod mesh;
pub mod metrics;
pub mod registry;
pub mod runtime;
pub mod shard;
pub mod store;
pub mod types;

//! A load harness for Seshun that knows only the wire.
//!
//! It makes a bucket, loads the server over keep-alive connections in a closed loop,
//! checks every answer to the byte, and removes the bucket's key. `workload` picks what to
//! do, `ledger` knows what must come back, `wire` speaks HTTP; these three are pure.
//! `client` and `control` do the I/O, and nothing here shares code with the server.

pub mod args;
pub mod blob;
mod client;
pub mod clock;
pub mod control;
mod event_loop;
mod judge;
pub mod ledger;
pub mod report;
pub mod rng;
pub mod run;
pub mod session;
pub mod stats;
pub mod verdict;
pub mod versus;
pub mod wire;
pub mod workload;

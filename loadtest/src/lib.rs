//! A load harness for Seshun that knows only the wire.
//!
//! It makes a bucket, loads the server over keep-alive connections, as fast as it answers
//! or at a rate of its own, checks every answer to the byte, and removes the bucket's key.
//! `workload` picks what to do, `pace` when, `ledger` knows what must come back, `wire`
//! speaks HTTP; these are pure. `client`, `control` and `scrape` do the I/O, and nothing
//! here shares code with the server. What was found is told by `report`, `hdr` and, for
//! several runs or servers, by `compare` and `versus`; `page` draws for all of them.

pub mod args;
pub mod blob;
mod client;
pub mod clock;
pub mod compare;
mod contest;
pub mod control;
mod core;
pub mod effort;
mod event_loop;
mod gate;
mod generate;
pub mod hdr;
pub mod host;
pub mod human;
mod judge;
pub mod ledger;
pub mod live;
pub mod outlet;
pub mod pace;
pub mod page;
pub mod profile;
pub mod report;
pub mod rng;
pub mod run;
pub mod scrape;
pub mod series;
pub mod session;
mod short_lived;
pub mod sizes;
mod slots;
pub mod spectrum;
pub mod stats;
pub mod step;
mod timer;
pub mod verdict;
pub mod versus;
pub mod wire;
pub mod workload;
pub mod zipf;

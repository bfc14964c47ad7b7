//! The process around the service: how it starts, refuses to start, speaks, and ends.
//!
//! Each test starts servers of its own, in a folder of its own, on loopback (or on a port
//! that must be refused). Waits are bounded by the harness; nothing here measures time.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod command_line;
mod configuration;
mod damage;
mod example_key;
mod journal_tools;
mod ports;
mod shutdown;
mod talking;

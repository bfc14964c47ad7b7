//! The wire contract, from the outside: every row of the interface's tables, on one core, on
//! four cores and over epoll, with a smoke run at other core counts.
//!
//! Each file holds one part of the contract. Tests share their servers, so each takes a
//! bucket of its own; HTTP's own rules are the suite `http_wire`, time is `expiry`.

#[path = "../support/mod.rs"]
mod support;

mod api_keys;
mod bodies;
mod conditions;
mod names;
mod order;
mod routes;
mod secrets;
mod smoke;
mod ttl;

use support::{SHAPES_AND_EPOLL, Server, on_each_of};

/// Runs a test on every shape that this suite is promised for.
fn on_each(test: impl Fn(&Server)) {
    on_each_of(&SHAPES_AND_EPOLL, test);
}

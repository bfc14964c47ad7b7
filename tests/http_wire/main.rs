//! HTTP/1.1 on the wire: framing, pipelining, the strict refusals, limits and timeouts.
//!
//! Requests are written byte by byte, as no client library would; answers are read by the
//! harness' strict reader. What the answers say about sessions is the suite `contract`.

#[path = "../support/mod.rs"]
mod support;

mod chunked;
mod framing;
mod large;
mod limits;
mod persistence;
mod pipelining;
mod refusals;
mod split;
mod timeouts;

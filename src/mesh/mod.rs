//! The mesh: how operations reach the shard that owns their session, and come back answered.
//!
//! Each core has a [`Node`], which holds what the core owns, and a [`Conversation`] for each
//! connection. A conversation answers what it can from its own node; requests to another
//! shard leave in a frame, whose answers come back rendered. A driver moves the bytes and
//! the frames: the event loops in production, a loop over a few nodes in tests.
//!
//! Pure, like all below it: the driver brings bytes, time, randomness and mail.

mod conversation;
mod frame;
mod node;
mod pending;
mod placement;
mod transit;
mod waits;

pub use conversation::{Conversation, Next};
pub use frame::{Frame, KeyFrame, Parcel, Ticket};
pub use node::{Mail, Node, NodeLimits, NodeParts, Random};
pub use pending::{FORWARD_TIMEOUT, Pending, Reply};
pub use placement::{Loads, Placement};
pub use transit::TransitPool;
pub use waits::{Missing, Waiting, Waits};

#[cfg(test)]
mod tests;

//! What a node is made of, handed in by whoever builds it.
//!
//! In production that is a core's thread, in tests a loop over a few nodes. Nothing in here does
//! anything by itself.

use std::sync::Arc;

use super::super::placement::Placement;
use super::super::transit::TransitPool;
use crate::api::Settings;
use crate::metrics::CoreMetrics;
use crate::registry::{Buckets, Replica};
use crate::shard::{Owners, Shard};
use crate::types::{ApiKeyBytes, ShardId};

/// Where random bytes come from: the system in production, a seed in tests.
pub trait Random {
    /// Sixteen bytes for an id.
    fn id_bytes(&mut self) -> [u8; 16];
    /// As many bytes as a key is made of.
    fn key_bytes(&mut self) -> ApiKeyBytes;
}

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Bytes of answers that may wait on one connection, or in one frame.
    pub output_bytes_max: usize,
    /// Requests of one connection that are answered before others have their turn.
    pub requests_per_turn_max: usize,
}

/// What a node is made of.
pub struct NodeParts {
    /// Which shard it owns.
    pub here: ShardId,
    /// Who owns what.
    pub owners: Owners,
    /// Its sessions.
    pub shard: Shard,
    /// Its copy of the registry, empty.
    pub replica: Replica,
    /// The buckets that there are from the start.
    pub buckets: Arc<Buckets>,
    /// What the interface is set to.
    pub settings: Arc<Settings>,
    /// How much is done at once.
    pub limits: NodeLimits,
    /// Where new sessions go.
    pub placement: Placement,
    /// The budget of bodies and answers on their way.
    pub transit: TransitPool,
    /// Where random bytes come from.
    pub random: Box<dyn Random>,
    /// Where it counts what it does.
    pub metrics: Arc<CoreMetrics>,
}

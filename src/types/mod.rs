//! Words with units: the values that every other module speaks in.
//!
//! Raw text and numbers become one of these types at the border (the wire, the
//! configuration, the clock) and are never checked again further in. Nothing here
//! does I/O, reads a clock or draws randomness, and nothing here knows HTTP.

mod api_key;
mod bucket;
mod id;
mod size;
mod time;
mod version;

pub use api_key::{API_KEY_LEN, ApiKey, ApiKeyBytes, MasterKey, MasterKeyError};
pub use bucket::{BUCKET_NAME_LEN_MAX, BucketId, BucketName};
pub use id::{CpuId, SessionId, ShardCount, ShardId};
pub use size::ByteCount;
pub use time::{Deadline, Millis, Moment, Now, Tick, Ttl, UnixMillis};
pub use version::{BootEpoch, Version};

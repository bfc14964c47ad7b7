//! The ways in which a model server may break the contract, one at a time.
//!
//! The first and the last five keep it: they are allowed to a server, and the harness must take them.

/// The one way in which a model breaks the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// One bit of the data is wrong.
    WrongByte,
    /// Another session's data.
    Foreign,
    /// The data and ETag of before the last update.
    Stale,
    /// Half of the data is of before the last update.
    Torn,
    /// The data misses its last byte.
    Short,
    /// A live session is lost.
    Lost,
    /// Nothing ever expires.
    Immortal,
    /// Sessions live for half of their TTL.
    HalfLife,
    /// DELETE removes nothing.
    Undeleted,
    /// POST makes what is missing.
    Recreated,
    /// 500
    ServerError,
    /// 401 with the right key.
    Unauthorized,
    /// The connection ends within an answer.
    Truncated,
    /// The connection ends instead of an answer.
    Closed,
    /// No answer, and the connection stays.
    Silent,
    /// A byte too many.
    Excess,
    /// No Content-Length.
    Endless,
    /// Data comes back as text/html.
    ContentType,
    /// POST leaves the ETag as it was.
    FrozenVersion,
    /// GET moves the ETag.
    RestlessVersion,
    /// A touch does not extend the TTL that is shown.
    WrongTtl,
    /// No ETag.
    NoEtag,
    /// No X-Session-Expires.
    NoExpires,
    /// Location names another id.
    Location,
    /// Ids that are no UUID of version 4.
    BadId,
    /// DELETE of a key leaves it valid.
    KeyStays,
    /// 503 now and then: allowed.
    Busy,
    /// 507 for every PUT and POST now and then: allowed.
    Full,
    /// `Connection: close` now and then: allowed.
    Closing,
    /// Answers come in pieces: allowed.
    Dribbled,
    /// Answers take their time: allowed.
    Slow,
}

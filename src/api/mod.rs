//! The REST interface: from a request's head to a call, from an outcome to a response.
//!
//! Judging goes in a fixed order: route and method (405), key (401), size and header values
//! (413, 400, 415). What a shard must decide (404, 412) comes later, as an outcome. What
//! answers a call is not known in here: it may be this core, another one, another machine.
//!
//! Pure: bytes in, calls out; outcomes in, bytes out.

mod accept;
mod fields;
mod judge;
mod key;
mod path;
mod problem;
mod render;
mod settings;

use crate::http::Persistence;
use crate::registry::Grant;
use crate::shard::Conditions;
use crate::types::{ApiKeyBytes, BucketName, SessionId, Ttl};

pub use judge::{Caller, Judge};
pub use path::session_at_end;
pub use problem::Problem;
pub use render::Renderer;
pub use settings::{MasterKeyring, PublicLimits, SessionRules, Settings};

/// The length of an id as text, with hyphens.
const ID_LEN: usize = 36;

/// The longest Content-Type that is stored, in bytes.
pub const CONTENT_TYPE_LEN_MAX: usize = 255;

/// What a request asks for, judged as far as its head allows.
#[derive(Debug)]
pub enum Call {
    /// Show the settings.
    Settings {
        /// The bucket whose key was shown, and since when; none where it was a master key.
        grant: Option<Grant>,
        /// How the answer must be written.
        reply: Reply,
    },
    /// Do something to a session.
    Session(SessionCall),
    /// Do something to a bucket's key.
    Key(KeyCall),
}

impl Call {
    /// How the answer must be written.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Settings { reply, .. } => reply,
            Self::Session(call) => &call.reply,
            Self::Key(call) => &call.reply,
        }
    }

    /// The same, for what is known only later.
    pub fn reply_mut(&mut self) -> &mut Reply {
        match self {
            Self::Settings { reply, .. } => reply,
            Self::Session(call) => &mut call.reply,
            Self::Key(call) => &mut call.reply,
        }
    }

    /// Whether the request's body is data; otherwise it is read and dropped.
    pub fn takes_data(&self) -> bool {
        let Self::Session(call) = self else { return false };
        matches!(call.intent, Intent::Create { .. } | Intent::Update { .. })
    }
}

/// A call about one session. Its data, if it has any, is the request's body.
#[derive(Debug)]
pub struct SessionCall {
    /// The bucket that the request's key opens, and since when.
    pub grant: Grant,
    /// What to do.
    pub intent: Intent,
    /// How the answer must be written.
    pub reply: Reply,
}

/// What a session call wants done.
#[derive(Debug)]
pub enum Intent {
    /// Make a session; its id is drawn when the body is complete.
    Create {
        /// A TTL of its own, clamped to the configured longest.
        own_ttl: Option<Ttl>,
    },
    /// Read one.
    Read {
        /// Which.
        id: SessionId,
        /// Whether the read extends its life.
        touch: bool,
        /// The request's preconditions.
        conditions: Conditions,
    },
    /// Replace one's data.
    Update {
        /// Which.
        id: SessionId,
        /// A new TTL of its own, clamped to the configured longest.
        own_ttl: Option<Ttl>,
        /// The request's preconditions.
        conditions: Conditions,
    },
    /// Delete one.
    Delete {
        /// Which.
        id: SessionId,
        /// The request's preconditions.
        conditions: Conditions,
    },
}

/// A call about a bucket's key.
#[derive(Clone, Copy, Debug)]
pub struct KeyCall {
    /// Whose key.
    pub bucket: BucketName,
    /// What to do with it.
    pub verb: KeyVerb,
    /// How the answer must be written.
    pub reply: Reply,
}

/// What a key call wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyVerb {
    /// Make a key.
    Make,
    /// Show it.
    Read,
    /// Remove it.
    Remove,
}

impl KeyCall {
    /// The operation to hand to the registry's authority; `random` becomes the key where one
    /// is made.
    pub fn operation(&self, random: impl FnOnce() -> ApiKeyBytes) -> crate::registry::KeyOperation {
        use crate::registry::{KeyAction, KeyOperation};
        let action = match self.verb {
            KeyVerb::Make => KeyAction::Make(random()),
            KeyVerb::Read => KeyAction::Read,
            KeyVerb::Remove => KeyAction::Remove,
        };
        KeyOperation { bucket: self.bucket, action }
    }
}

/// How a call's answer must be written. Travels with the call to whichever core answers.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The bucket that the path names, for Location and JSON bodies.
    pub bucket: Option<BucketName>,
    /// JSON rather than bare text, where there are both forms.
    pub json: bool,
    /// HEAD: all headers, no body.
    pub omit_body: bool,
    /// Whether the connection goes on after this answer.
    pub persistence: Persistence,
}

impl Reply {
    /// The answer to something that was no readable request: a full body, then close.
    pub const fn closing() -> Self {
        Self { bucket: None, json: false, omit_body: false, persistence: Persistence::Close }
    }
}

#[cfg(test)]
mod tests;

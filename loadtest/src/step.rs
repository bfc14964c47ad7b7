//! The words in which a workload says what to do next.
//!
//! A [`Step`] is one request: what is done, and to whose session. It names places, not
//! sessions: which session is there is for the ledger to know.

use crate::contest::Act;

/// Where a session is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the slot of a user who stays.
    Kept(usize),
    /// The first short-lived one to be read before its deadline.
    Early,
    /// The first short-lived one to be read after its deadline.
    Late,
    /// Among the deleted and expired ones.
    Gone(usize),
}

/// Who a session is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visit {
    /// A user who stays until logging out.
    Stays,
    /// A user who looks once more and goes without logging out; the session has a short TTL.
    Abandons,
    /// A bot, which never comes back; the session has a short TTL.
    Bot,
    /// Users of one account on several devices: the session is contested.
    Contested,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Make a session.
    Create {
        /// For whom.
        visit: Visit,
        /// With its first data.
        with_data: bool,
    },
    /// Read the session there.
    Read(Place),
    /// Replace its data.
    Update(Place),
    /// Remove it.
    Delete(Place),
    /// Use the contested session of this index.
    Contested(usize, Act),
}

impl Visit {
    /// Whether the session has a short TTL of its own.
    pub const fn is_short(self) -> bool {
        matches!(self, Self::Abandons | Self::Bot)
    }

    /// Whether the session stays until somebody removes it.
    pub const fn is_lasting(self) -> bool {
        !self.is_short()
    }
}

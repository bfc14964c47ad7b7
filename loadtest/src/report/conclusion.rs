//! How a run ended, and what the process says about it.
//!
//! Pure. What speaks against the server goes first, then what speaks against the run; a run
//! passes only where nothing speaks against either.

use serde::Serialize;

use super::Found;
use crate::args::Args;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Something was asked, and every answer was right, or one of the refusals that were allowed.
    Passed,
    /// At least one answer was wrong or did not come.
    WrongAnswers,
    /// Not one answer was right, and none was wrong.
    NothingDone,
    /// More of the answers were refusals than were allowed, and none was wrong.
    TooManyRefused,
    /// No answer was wrong, but the sessions could not be made in time, connections not be made or
    /// kept, or requests not be timed.
    Incomplete,
    /// No answer was wrong, but the generator was the bottleneck: the figures are its own.
    GeneratorLimited,
}

impl Conclusion {
    /// What the process says about it: 0 passed, 1 wrong answers or too many refusals, 2 could not run.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::WrongAnswers | Self::TooManyRefused => 1,
            Self::NothingDone | Self::Incomplete | Self::GeneratorLimited => 2,
        }
    }
}

/// What is concluded from what was found.
pub(super) fn conclude(args: &Args, found: &Found) -> Conclusion {
    let tally = &found.tally;
    let refused = tally.refused_count();
    let refused_max = (tally.answer_count() + refused) * u64::from(args.refused_max);
    // Told before that nothing was right: answers are counted from the load's beginning on.
    let is_unfilled = tally.errors.contains_key("fill_gave_up");
    // A gate without a timer lets the rest of its requests go unsent and uncounted.
    let is_cut_short =
        ["connections_given_up", "timer_failed"].iter().any(|kind| tally.errors.contains_key(kind));
    if tally.wrong_count() > 0 {
        Conclusion::WrongAnswers
    } else if is_unfilled {
        Conclusion::Incomplete
    } else if tally.right == 0 {
        Conclusion::NothingDone
    } else if refused * 100 > refused_max {
        Conclusion::TooManyRefused
    } else if is_cut_short {
        Conclusion::Incomplete
    } else if found.generator.limited.is_some() && !args.allow_limited {
        Conclusion::GeneratorLimited
    } else {
        Conclusion::Passed
    }
}

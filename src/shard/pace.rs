//! How much of what nobody waits for a core does in one turn.
//!
//! To expire what is due and to copy what lives rarely has a hurry: whoever asks for a session that is due
//! is told that it is missing, expired or not, and the log may grow for a while. But while a core does
//! it, whatever it was asked waits. So a turn without operations does a whole piece, and one with
//! some a little for each of them: about the same share of the time whether few or many share a
//! turn. What time they leave goes into whole pieces. Where it has become urgent, whoever does it
//! takes [`Pace::IDLE`].

/// How much a turn was asked so far. Whoever drives a core begins each turn with a new one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pace {
    operations: usize,
}

impl Pace {
    /// The pace of a turn that was asked nothing so far.
    pub const IDLE: Self = Self { operations: 0 };

    /// Something has come that somebody waits for.
    pub fn note(&mut self) {
        self.operations += 1;
    }

    /// How much may be done now: `whole` of it where nobody waits, otherwise one for each so many
    /// operations, at least one and at most the whole.
    pub fn piece(self, whole: usize, operations_each: usize) -> usize {
        match self.operations {
            0 => whole,
            some => some.div_ceil(operations_each).min(whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_whole_only_where_nobody_waits() {
        let pieces = [(0, 32), (1, 1), (2, 1), (3, 2), (8, 4), (63, 32), (64, 32), (65, 32), (10_000, 32)];
        for (operations, piece) in pieces {
            let mut pace = Pace::IDLE;
            (0..operations).for_each(|_| pace.note());
            assert_eq!(pace.piece(32, 2), piece, "{operations} operations");
        }
    }
}

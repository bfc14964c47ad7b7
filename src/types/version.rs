//! A session's version: what its ETag shows.
//!
//! It grows with each change of the data and not with a touch. Its upper bits are the
//! boot epoch, so that a process which starts again after a crash never gives a version
//! out a second time for other data.

/// Bits of a version that count the changes within one boot epoch.
const COUNTER_BITS: u32 = 40;

/// The number of this start of the server over the same data; 0 where nothing outlives the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct BootEpoch(u32);

impl BootEpoch {
    /// The epoch of a server that keeps nothing over a restart.
    pub const FIRST: Self = Self(0);

    /// The number of epochs that fit beside the counter.
    pub const COUNT_MAX: u32 = 1 << (u64::BITS - COUNTER_BITS);

    /// The epoch with this number, or nothing past [`BootEpoch::COUNT_MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        if number < Self::COUNT_MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// How often a session's data was changed, with the boot epoch above it. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(u64);

impl Version {
    /// The version of data that is created in `epoch`.
    pub const fn first(epoch: BootEpoch) -> Self {
        Self(((epoch.0 as u64) << COUNTER_BITS) | 1)
    }

    /// The version after this one, for a change made in `epoch`.
    pub const fn next(self, epoch: BootEpoch) -> Self {
        let first = Self::first(epoch).0;
        Self(if self.0 < first { first } else { self.0 + 1 })
    }

    /// The version of this number, or nothing for 0.
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The version that an ETag's text names; nothing where no version is written so.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let [b'1'..=b'9', ..] = text else { return None };
        str::from_utf8(text).ok()?.parse().ok().map(Self)
    }

    /// The number that an ETag shows.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_where_nothing_outlives_the_process() {
        let first = Version::first(BootEpoch::FIRST);
        assert_eq!(first.as_u64(), 1);
        assert_eq!(first.next(BootEpoch::FIRST).as_u64(), 2);
    }

    #[test]
    fn a_change_in_a_later_epoch_passes_every_version_of_the_earlier_one() {
        let (before, after) = (BootEpoch::new(3).unwrap(), BootEpoch::new(4).unwrap());
        let mut version = Version::first(before);
        for _ in 0..1000 {
            version = version.next(before);
        }
        assert!(version.next(after) > version);
        assert_eq!(version.next(after), Version::first(after));
        assert_eq!(version.next(after).next(after).as_u64(), Version::first(after).as_u64() + 1);
    }

    #[test]
    fn a_version_is_read_back_as_it_was_shown_and_in_no_other_form() {
        let shown = Version::first(BootEpoch::new(9).unwrap());
        assert_eq!(Version::parse(shown.as_u64().to_string().as_bytes()), Some(shown));
        assert_eq!(Version::new(shown.as_u64()), Some(shown));
        assert_eq!(Version::new(0), None);
        for text in ["", "0", "01", "+1", "-1", "1 ", "1x", "99999999999999999999999"] {
            assert_eq!(Version::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_epoch_that_does_not_fit_is_not_made() {
        assert!(BootEpoch::new(BootEpoch::COUNT_MAX - 1).is_some());
        assert!(BootEpoch::new(BootEpoch::COUNT_MAX).is_none());
    }
}

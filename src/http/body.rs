//! One request's body on its way from the input to whoever wants it.
//!
//! A body with a known length that fits behind its head in the input stays there and is
//! borrowed. Any other is moved into a buffer of its own, which grows with the bytes that
//! really came: what a client announces allocates nothing.

use super::chunked::{ChunkedDecoder, Decoded};
use super::{BodyLength, Limits, Refused};

/// The least that a body's own buffer starts with, in bytes.
const BODY_BYTES_INITIAL: usize = 4 * 1024;

/// What to do with a body, decided at the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyPlan {
    /// Keep it.
    Collect {
        /// The most bytes that are taken. A known length above it is to be refused at the head.
        bytes_max: usize,
    },
    /// Read it to its end and drop it, as for the body of a GET.
    Discard {
        /// The most bytes that are read for the sake of keeping the connection.
        bytes_max: usize,
    },
}

impl BodyPlan {
    pub(super) fn bytes_max(self) -> usize {
        match self {
            Self::Collect { bytes_max } | Self::Discard { bytes_max } => bytes_max,
        }
    }
}

/// A body that is being moved out of the input.
#[derive(Debug)]
pub(super) struct BodyReader {
    framing: Framing,
    /// Whether the bytes are kept.
    collects: bool,
    /// The most that `collected` will ever hold, so that its buffer need not be larger.
    bytes_max: usize,
    /// `collected.len() <= bytes_max`
    collected: Vec<u8>,
}

#[derive(Debug)]
enum Framing {
    Known {
        /// Bytes that are to come.
        bytes_left: u64,
    },
    Chunked(ChunkedDecoder),
}

impl BodyReader {
    /// A reader for a body that is framed as `length` says and is not larger than the plan allows.
    pub(super) fn new(length: BodyLength, plan: BodyPlan, limits: &Limits) -> Self {
        let bytes_max = plan.bytes_max();
        let (framing, bytes_max) = match length {
            BodyLength::None => (Framing::Known { bytes_left: 0 }, 0),
            BodyLength::Known(bytes) => {
                debug_assert!(bytes <= bytes_max as u64, "judged before a reader is made");
                (
                    Framing::Known { bytes_left: bytes },
                    bytes_max.min(usize::try_from(bytes).unwrap_or(usize::MAX)),
                )
            }
            BodyLength::Chunked => (Framing::Chunked(ChunkedDecoder::new(limits, bytes_max)), bytes_max),
        };
        Self { framing, collects: matches!(plan, BodyPlan::Collect { .. }), bytes_max, collected: Vec::new() }
    }

    /// Takes what belongs to the body from the front of `input`.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<Decoded, Refused> {
        let Self { framing, collects, bytes_max, collected } = self;
        let mut sink = |data: &[u8]| {
            if *collects {
                append_within(collected, data, *bytes_max);
            }
        };
        match framing {
            Framing::Chunked(decoder) => decoder.decode(input, sink),
            Framing::Known { bytes_left } => {
                let consumed = input.len().min(usize::try_from(*bytes_left).unwrap_or(usize::MAX));
                sink(&input[..consumed]);
                *bytes_left -= consumed as u64;
                Ok(Decoded { consumed, is_complete: *bytes_left == 0 })
            }
        }
    }

    /// What was kept so far.
    pub(super) fn collected(&self) -> &[u8] {
        &self.collected
    }

    /// The memory that the kept bytes take up.
    pub(super) fn bytes_held(&self) -> usize {
        self.collected.capacity()
    }

    /// Gives the kept bytes away, where they are kept.
    pub(super) fn take_collected(&mut self) -> Option<Vec<u8>> {
        self.collects.then(|| std::mem::take(&mut self.collected))
    }
}

/// Appends, doubling the buffer as it fills but never past `bytes_max`.
fn append_within(buffer: &mut Vec<u8>, data: &[u8], bytes_max: usize) {
    let len = buffer.len() + data.len();
    debug_assert!(len <= bytes_max, "more data than the framing let through");
    if len > buffer.capacity() {
        // Doubling alone would end at up to twice the body, which may then be kept for long.
        let roomy = len.max(buffer.capacity() * 2).max(BODY_BYTES_INITIAL);
        buffer.reserve_exact(roomy.min(bytes_max).max(len) - buffer.len());
    }
    buffer.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(length: BodyLength, bytes_max: usize) -> BodyReader {
        BodyReader::new(length, BodyPlan::Collect { bytes_max }, &Limits::default())
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut reader = collect(BodyLength::Known(1 << 20), 1 << 20);
        assert_eq!(reader.bytes_held(), 0);
        reader.read(b"x").unwrap();
        assert!(reader.bytes_held() <= BODY_BYTES_INITIAL, "{}", reader.bytes_held());
    }

    #[test]
    fn a_buffer_grows_to_the_body_and_not_past_it() {
        let len = 3 * BODY_BYTES_INITIAL + 1;
        let mut reader = collect(BodyLength::Known(len as u64), 1 << 20);
        for piece in vec![7; len].chunks(1000) {
            reader.read(piece).unwrap();
        }
        assert_eq!((reader.collected().len(), reader.bytes_held()), (len, len));
    }

    #[test]
    fn what_follows_a_body_is_left_alone() {
        let mut reader = collect(BodyLength::Known(3), 3);
        assert_eq!(reader.read(b"abcGET"), Ok(Decoded { consumed: 3, is_complete: true }));
        assert_eq!(reader.take_collected().as_deref(), Some(b"abc".as_slice()));
    }

    #[test]
    fn a_discarded_body_takes_no_memory() {
        let plan = BodyPlan::Discard { bytes_max: 100 };
        let mut reader = BodyReader::new(BodyLength::Known(10), plan, &Limits::default());
        assert_eq!(reader.read(&[0; 20]), Ok(Decoded { consumed: 10, is_complete: true }));
        assert_eq!((reader.bytes_held(), reader.take_collected()), (0, None));
    }
}

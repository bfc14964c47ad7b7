//! Takes the chunked coding off a body (RFC 9112, section 7.1).
//!
//! ```text
//!  size [; extension] CR LF   data CR LF   …   0 CR LF   [trailer CR LF]…   CR LF
//! ```
//! A machine that is fed any pieces of the body and hands the data on. Extensions and
//! trailers are checked, counted against their limits and dropped; a line feed without its
//! carriage return is never a line's end. Every judgement falls at one byte, so that it
//! does not depend on how the bytes were split.

use super::{Limits, Refused, is_token_byte, is_value_byte};

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The first digit of a size.
    SizeStart,
    /// A further digit, or what ends them.
    Size,
    /// White space between size and extension, which a recipient has to bear with.
    SizeBlank,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    /// The first byte of a trailer, or of the last line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    Complete,
}

/// How far [`ChunkedDecoder::decode`] came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Decoded {
    /// Bytes of the input that belong to the body: all of them, unless it is complete.
    pub(super) consumed: usize,
    /// Whether the body has ended.
    pub(super) is_complete: bool,
}

/// The decoder of one body.
#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    stage: Stage,
    /// While a size is read: its value so far. Then: bytes of the chunk that are to come.
    chunk_bytes_left: u64,
    /// Bytes of data that chunks begun after this one may still hold.
    body_bytes_left: u64,
    /// Bytes that size lines may still waste.
    overhead_bytes_left: usize,
    /// Bytes that trailers may still have.
    trailer_bytes_left: usize,
}

impl ChunkedDecoder {
    /// A decoder before a body's first byte; more data than `bytes_max` is refused.
    pub(super) fn new(limits: &Limits, bytes_max: usize) -> Self {
        Self {
            stage: Stage::SizeStart,
            chunk_bytes_left: 0,
            body_bytes_left: bytes_max as u64,
            overhead_bytes_left: limits.chunk_overhead_bytes_max,
            trailer_bytes_left: limits.trailer_bytes_max,
        }
    }

    /// Takes the coding off `input` and hands the data in it to `sink`, piece by piece. After
    /// a refusal the decoder is of no more use.
    pub(super) fn decode(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> Result<Decoded, Refused> {
        let mut consumed = 0;
        while consumed < input.len() && self.stage != Stage::Complete {
            if self.stage == Stage::Data {
                let rest = &input[consumed..];
                let data =
                    &rest[..rest.len().min(usize::try_from(self.chunk_bytes_left).unwrap_or(usize::MAX))];
                debug_assert!(!data.is_empty(), "an empty chunk is the last one and has no data");
                sink(data);
                consumed += data.len();
                self.chunk_bytes_left -= data.len() as u64;
                if self.chunk_bytes_left == 0 {
                    self.stage = Stage::DataReturn;
                }
            } else {
                self.stage = self.next_stage(input[consumed])?;
                consumed += 1;
            }
        }
        Ok(Decoded { consumed, is_complete: self.stage == Stage::Complete })
    }

    fn next_stage(&mut self, byte: u8) -> Result<Stage, Refused> {
        match self.stage {
            Stage::SizeStart | Stage::Size => self.judge_size(byte),
            Stage::SizeBlank | Stage::Extension => self.judge_extension(byte),
            Stage::SizeLineFeed => {
                let is_last = self.chunk_bytes_left == 0;
                expect_line_feed(byte, if is_last { Stage::TrailerStart } else { Stage::Data })
            }
            Stage::DataReturn if byte == b'\r' => Ok(Stage::DataLineFeed),
            Stage::DataLineFeed if byte == b'\n' => Ok(Stage::SizeStart),
            Stage::DataReturn | Stage::DataLineFeed => Err(Refused::ChunkUnterminated),
            Stage::TrailerLineFeed => expect_line_feed(byte, Stage::TrailerStart),
            Stage::LastLineFeed => expect_line_feed(byte, Stage::Complete),
            Stage::TrailerStart | Stage::TrailerName | Stage::TrailerValue => self.judge_trailer(byte),
            Stage::Data | Stage::Complete => Ok(self.stage), // `decode` brings neither here
        }
    }

    fn judge_size(&mut self, byte: u8) -> Result<Stage, Refused> {
        let is_first = self.stage == Stage::SizeStart;
        if let Some(digit) = char::from(byte).to_digit(16) {
            if is_first {
                self.chunk_bytes_left = 0;
            } else if self.chunk_bytes_left == 0 {
                self.spend_overhead()?; // the zero before this digit told nothing
            }
            return self.push_size_digit(digit);
        }
        if is_first {
            return Err(misplaced_line_feed(byte).unwrap_or(Refused::ChunkSizeInvalid));
        }
        // The size is complete. It fits: each of its digits was held against what is left.
        debug_assert!(self.chunk_bytes_left <= self.body_bytes_left);
        self.body_bytes_left -= self.chunk_bytes_left;
        match byte {
            b'\r' => Ok(Stage::SizeLineFeed),
            b' ' | b'\t' | b';' => self.judge_extension(byte),
            _ => Err(misplaced_line_feed(byte).unwrap_or(Refused::ChunkSizeInvalid)),
        }
    }

    /// A size that passes the limit is refused at the digit that passes it, long before the
    /// data and before the number could overflow.
    fn push_size_digit(&mut self, digit: u32) -> Result<Stage, Refused> {
        let size = self.chunk_bytes_left.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
        self.chunk_bytes_left =
            size.filter(|size| *size <= self.body_bytes_left).ok_or(Refused::BodyTooLarge)?;
        Ok(Stage::Size)
    }

    fn judge_extension(&mut self, byte: u8) -> Result<Stage, Refused> {
        let is_extension = self.stage == Stage::Extension;
        match byte {
            b'\r' if is_extension => return Ok(Stage::SizeLineFeed),
            b'\n' => return Err(Refused::BareLineFeed),
            _ => self.spend_overhead()?,
        }
        match byte {
            b';' => Ok(Stage::Extension),
            b' ' | b'\t' if !is_extension => Ok(Stage::SizeBlank),
            byte if is_extension && is_value_byte(byte) => Ok(Stage::Extension),
            _ if is_extension => Err(Refused::ChunkExtensionInvalid),
            _ => Err(Refused::ChunkSizeInvalid),
        }
    }

    fn judge_trailer(&mut self, byte: u8) -> Result<Stage, Refused> {
        if byte == b'\r' && self.stage == Stage::TrailerStart {
            return Ok(Stage::LastLineFeed);
        }
        self.trailer_bytes_left = self.trailer_bytes_left.checked_sub(1).ok_or(Refused::TrailersTooLong)?;
        match (self.stage, byte) {
            (_, b'\n') => Err(Refused::BareLineFeed),
            (Stage::TrailerName, b':') => Ok(Stage::TrailerValue),
            (Stage::TrailerStart | Stage::TrailerName, byte) if is_token_byte(byte) => Ok(Stage::TrailerName),
            (Stage::TrailerValue, b'\r') => Ok(Stage::TrailerLineFeed),
            (Stage::TrailerValue, byte) if is_value_byte(byte) => Ok(Stage::TrailerValue),
            _ => Err(Refused::TrailerInvalid),
        }
    }

    /// Only what tells nothing is counted: a client that writes small chunks is clumsy, not
    /// hostile, and its chunks are bounded by the body's own limit.
    fn spend_overhead(&mut self) -> Result<(), Refused> {
        self.overhead_bytes_left =
            self.overhead_bytes_left.checked_sub(1).ok_or(Refused::ChunkOverheadTooLong)?;
        Ok(())
    }
}

/// A carriage return was read: only a line feed may follow it.
fn expect_line_feed(byte: u8, next: Stage) -> Result<Stage, Refused> {
    if byte == b'\n' { Ok(next) } else { Err(Refused::BareCarriageReturn) }
}

/// The refusal of a line feed that stands where no carriage return came before it.
fn misplaced_line_feed(byte: u8) -> Option<Refused> {
    (byte == b'\n').then_some(Refused::BareLineFeed)
}

#[cfg(test)]
mod tests;

//! The bytes that a client sent and nobody has used yet, and the buffer they lie in.
//!
//! ```text
//!  0 ……… start ……… len ……… capacity
//!  used    unread    spare: the driver reads into it
//! ```
//! The buffer goes out to the driver for each read and comes back fuller. It starts small,
//! grows while a client sends more than it holds, and is small again when the connection
//! falls idle, because most connections of a server are idle.

/// The buffer of a connection that is idle or sends requests of the usual size, in bytes.
const INPUT_BYTES_INITIAL: usize = 2 * 1024;
/// How far the buffer grows because reads fill it, while heads are read: pipelined requests.
const INPUT_BYTES_HEADS_MAX: usize = 16 * 1024;
/// How far it grows while a body streams through it: fewer reads for a megabyte.
const INPUT_BYTES_BODY_MAX: usize = 64 * 1024;
/// The least spare room of a read.
const SPARE_BYTES_MIN: usize = 512;

const _: () = assert!(SPARE_BYTES_MIN < INPUT_BYTES_INITIAL);
const _: () =
    assert!(INPUT_BYTES_INITIAL < INPUT_BYTES_HEADS_MAX && INPUT_BYTES_HEADS_MAX < INPUT_BYTES_BODY_MAX);

/// What the next read is for, which tells how much room it is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadFor {
    /// The next request, or more of its head.
    Head,
    /// The rest of a body that stays in the buffer: so many bytes, for which there is room.
    BodyInPlace(usize),
    /// A body that passes through.
    BodyStream,
}

/// See the module's drawing. `start <= bytes.len()`
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    /// Whether the last read left no room: there may be more to be had at once.
    is_filled: bool,
    /// The longest that `bytes` was since the buffer went out empty, and more where it was full.
    len_peak: usize,
}

impl Input {
    /// Nothing, in no buffer yet.
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, is_filled: false, len_peak: 0 }
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether so many unread bytes fit the buffer as it is.
    pub(super) fn can_hold(&self, len: u64) -> bool {
        len <= self.bytes.capacity().max(INPUT_BYTES_INITIAL) as u64
    }

    /// Marks the first `len` unread bytes as used.
    pub(super) fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.unread().len());
        self.start += len;
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Adds bytes behind the unread ones.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.len_peak = self.len_peak.max(self.bytes.len());
    }

    /// Hands the buffer out for a read: the unread bytes at its front, spare room behind them.
    pub(super) fn take(&mut self, read_for: ReadFor) -> Vec<u8> {
        self.move_to_front();
        if self.bytes.is_empty() && read_for == ReadFor::Head {
            self.shrink_if_idle();
        }
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        let (spare_bytes_min, grown_bytes_max) = match read_for {
            ReadFor::Head => (SPARE_BYTES_MIN, INPUT_BYTES_HEADS_MAX),
            ReadFor::BodyInPlace(missing) => (missing, 0),
            ReadFor::BodyStream => (SPARE_BYTES_MIN, INPUT_BYTES_BODY_MAX),
        };
        if capacity == 0 {
            self.bytes.reserve_exact(INPUT_BYTES_INITIAL);
        } else if self.is_filled && capacity < grown_bytes_max {
            // The client sends faster than we read: fewer and larger reads pay at once.
            self.bytes.reserve_exact((capacity * 2).min(grown_bytes_max) - len);
        } else if capacity - len < spare_bytes_min {
            self.bytes.reserve(spare_bytes_min);
        }
        self.is_filled = false;
        std::mem::take(&mut self.bytes)
    }

    /// Takes the buffer back after a read, which may only have appended to it.
    pub(super) fn restore(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.bytes.is_empty() && self.start == 0, "the buffer was out");
        self.is_filled = !bytes.is_empty() && bytes.len() == bytes.capacity();
        // A read that left no room would have taken more: the buffer was too small for it.
        self.len_peak = self.len_peak.max(bytes.len() + usize::from(self.is_filled));
        self.bytes = bytes;
    }

    fn move_to_front(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Goes back to the small buffer after a body, and after a spell in which the small one
    /// would have done: not after every pipelined batch, which would grow it anew.
    fn shrink_if_idle(&mut self) {
        let (len_peak, capacity) = (std::mem::take(&mut self.len_peak), self.bytes.capacity());
        let did_body = capacity > INPUT_BYTES_HEADS_MAX;
        if did_body || (capacity > INPUT_BYTES_INITIAL && len_peak <= INPUT_BYTES_INITIAL) {
            self.bytes = Vec::with_capacity(INPUT_BYTES_INITIAL);
            self.is_filled = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `len` bytes as a driver does: as many as there is room for at a time.
    fn read(input: &mut Input, read_for: ReadFor, len: usize) {
        let mut left = len;
        while left > 0 {
            let mut buffer = input.take(read_for);
            let spare = buffer.capacity() - buffer.len();
            assert!(spare > 0, "no room to read into");
            let arrived = spare.min(left);
            buffer.resize(buffer.len() + arrived, b'x');
            input.restore(buffer);
            left -= arrived;
        }
    }

    fn idle_capacity(input: &mut Input) -> usize {
        let buffer = input.take(ReadFor::Head);
        let capacity = buffer.capacity();
        input.restore(buffer);
        capacity
    }

    #[test]
    fn a_connection_starts_with_a_small_buffer() {
        assert_eq!(idle_capacity(&mut Input::new()), INPUT_BYTES_INITIAL);
    }

    #[test]
    fn unread_bytes_survive_every_read() {
        let mut input = Input::new();
        input.append(b"abcdef");
        input.consume(2);
        read(&mut input, ReadFor::Head, 5000);
        assert_eq!(&input.unread()[..5], b"cdefx");
        assert_eq!(input.unread().len(), 5004);
    }

    #[test]
    fn a_streaming_body_grows_the_buffer_to_its_ceiling_and_idleness_shrinks_it() {
        let mut input = Input::new();
        for _ in 0..100 {
            let mut buffer = input.take(ReadFor::BodyStream);
            buffer.resize(buffer.capacity(), b'x');
            input.restore(buffer);
            let len = input.unread().len();
            assert!(len <= INPUT_BYTES_BODY_MAX);
            input.consume(len);
        }
        assert_eq!(input.take(ReadFor::BodyStream).capacity(), INPUT_BYTES_BODY_MAX);
        assert_eq!(idle_capacity(&mut input), INPUT_BYTES_INITIAL);
    }

    #[test]
    fn a_pipelining_client_keeps_its_buffer_until_it_stops() {
        let mut input = Input::new();
        for _ in 0..3 {
            read(&mut input, ReadFor::Head, 6000);
            let len = input.unread().len();
            input.consume(len);
        }
        let grown = idle_capacity(&mut input);
        assert!(grown > INPUT_BYTES_INITIAL && grown <= INPUT_BYTES_HEADS_MAX, "{grown}");
        read(&mut input, ReadFor::Head, 300);
        input.consume(300);
        assert_eq!(idle_capacity(&mut input), INPUT_BYTES_INITIAL);
    }

    #[test]
    fn a_buffer_that_was_too_small_for_a_batch_is_large_enough_for_the_next() {
        let mut input = Input::new();
        for batch in 0..3 {
            let mut left = 4000;
            let mut reads = 0;
            while left > 0 {
                let mut buffer = input.take(ReadFor::Head);
                let arrived = (buffer.capacity() - buffer.len()).min(left);
                buffer.resize(buffer.len() + arrived, b'x');
                input.restore(buffer);
                left -= arrived;
                reads += 1;
                // All but the last, unfinished request is used at once.
                let used = input.unread().len() - usize::from(left > 0);
                input.consume(used);
            }
            assert_eq!(reads, if batch == 0 { 2 } else { 1 });
        }
    }
}

//! The memory that a core's records lie in until they are durable.
//!
//! Records are written one behind the other into a chunk, and taken out as slices that share
//! it: a turn copies nothing and allocates nothing. A chunk is free again once the log has
//! dropped the last of its slices, and is then filled anew by the same core. A core so goes
//! round in as many chunks as are written between two syncs, and their pages stay in place.

use std::collections::VecDeque;

use bytes::BytesMut;

/// What a chunk holds, in bytes. A turn of many records should rarely meet its end.
const CHUNK_LEN: usize = 256 * 1024;
/// The most full chunks that come back to a core; those past it are given back to the system.
/// What is written while one sync runs and another waits, by one core alone: 16 MiB.
const CHUNKS_MAX: usize = 64;

/// The chunks of one core.
#[derive(Default, Debug)]
pub(super) struct Chunks {
    /// What was written and not taken yet, and the room behind it.
    filling: BytesMut,
    /// Whether `filling` is a chunk of the usual length.
    is_chunk: bool,
    /// Full ones, oldest first: an empty handle of each. `len() <= CHUNKS_MAX`
    full: VecDeque<BytesMut>,
}

impl Chunks {
    /// The most that a core holds of them, in bytes.
    pub(super) const KEPT_BYTES_MAX: usize = (CHUNKS_MAX + 1) * CHUNK_LEN;

    /// Whether nothing was written that was not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.filling.is_empty()
    }

    /// Whether a record of `len` bytes finds room behind what was written.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.filling.capacity() - self.filling.len() >= len
    }

    /// Goes on in a chunk with room for a record of `len` bytes. Everything was taken.
    pub(super) fn advance(&mut self, len: usize) {
        debug_assert!(self.filling.is_empty());
        let full = std::mem::take(&mut self.filling);
        if self.is_chunk && self.full.len() < CHUNKS_MAX {
            self.full.push_back(full);
        }
        self.is_chunk = len <= CHUNK_LEN;
        self.filling = if self.is_chunk {
            self.reclaim().unwrap_or_else(|| BytesMut::with_capacity(CHUNK_LEN))
        } else {
            BytesMut::with_capacity(len)
        };
    }

    /// Makes room for a record of `len` bytes behind what cannot be taken now. Copies that.
    pub(super) fn grow(&mut self, len: usize) {
        self.filling.reserve(len);
        self.is_chunk = false;
    }

    /// The end of what was written.
    pub(super) const fn end(&mut self) -> &mut BytesMut {
        &mut self.filling
    }

    /// What was written since this was called last. The place of a long record goes with it, so
    /// that an idle core does not hold it.
    pub(super) fn take(&mut self) -> BytesMut {
        if self.is_chunk { self.filling.split() } else { std::mem::take(&mut self.filling) }
    }

    /// Takes back what was taken just now.
    pub(super) fn put_back(&mut self, taken: BytesMut) {
        let room = std::mem::replace(&mut self.filling, taken);
        self.filling.unsplit(room);
    }

    /// The oldest full chunk, if the log has dropped all that lies in it. Younger ones are
    /// dropped after it.
    fn reclaim(&mut self) -> Option<BytesMut> {
        let mut oldest = self.full.pop_front()?;
        if oldest.try_reclaim(CHUNK_LEN) {
            return Some(oldest);
        }
        self.full.push_front(oldest);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a record of so many bytes, all of them `byte`, and takes it.
    fn written(chunks: &mut Chunks, byte: u8, len: usize) -> BytesMut {
        if !chunks.has_room(len) {
            chunks.advance(len);
        }
        chunks.end().resize(len, byte);
        chunks.take()
    }

    #[test]
    fn slices_of_a_chunk_lie_behind_each_other_and_keep_their_bytes() {
        let mut chunks = Chunks::default();
        let slices: Vec<BytesMut> = (0..100).map(|byte| written(&mut chunks, byte, 1000)).collect();
        assert!(chunks.is_empty());
        for (byte, slice) in slices.iter().enumerate() {
            assert_eq!(*slice, vec![byte as u8; 1000]);
            assert_eq!(slice.as_ptr() as usize - slices[0].as_ptr() as usize, byte * 1000);
        }
    }

    #[test]
    fn chunks_come_back_once_nothing_of_them_is_left_and_not_before() {
        let mut chunks = Chunks::default();
        let first = written(&mut chunks, 1, CHUNK_LEN / 2);
        let at = first.as_ptr();
        let second = written(&mut chunks, 2, CHUNK_LEN / 2);
        let third = written(&mut chunks, 3, CHUNK_LEN);
        drop(second);
        let fourth = written(&mut chunks, 4, CHUNK_LEN);
        assert_eq!(first, vec![1; CHUNK_LEN / 2], "half of it is still needed");
        drop((first, third));
        let fifth = written(&mut chunks, 5, CHUNK_LEN);
        assert_eq!(fifth.as_ptr(), at);
        assert_eq!((fourth, fifth), (vec![4; CHUNK_LEN][..].into(), vec![5; CHUNK_LEN][..].into()));
    }

    #[test]
    fn a_long_record_has_a_place_of_its_own_that_does_not_come_back() {
        let mut chunks = Chunks::default();
        drop(written(&mut chunks, 1, 10 * CHUNK_LEN));
        let at = written(&mut chunks, 2, CHUNK_LEN).as_ptr();
        assert!(chunks.full.is_empty());
        for byte in 0..3 {
            let slice = written(&mut chunks, byte, CHUNK_LEN);
            assert_eq!(
                (slice.as_ptr(), slice.capacity()),
                (at, CHUNK_LEN),
                "the chunk comes back all the time"
            );
        }
    }

    #[test]
    fn what_cannot_be_taken_grows_and_its_place_does_not_come_back() {
        let mut chunks = Chunks::default();
        for byte in 0..10 {
            let len = CHUNK_LEN / 4;
            match byte {
                0 => chunks.advance(len),
                _ if !chunks.has_room(len) => chunks.grow(len),
                _ => {}
            }
            chunks.end().resize((usize::from(byte) + 1) * len, byte);
        }
        let taken = chunks.take();
        assert!((0..10).all(|byte| taken[usize::from(byte) * CHUNK_LEN / 4] == byte));
        chunks.advance(CHUNK_LEN);
        assert!(chunks.full.is_empty());
    }

    #[test]
    fn chunks_past_the_limit_are_not_kept() {
        let mut chunks = Chunks::default();
        let slices: Vec<BytesMut> = (0..200).map(|byte| written(&mut chunks, byte, CHUNK_LEN)).collect();
        drop(slices);
        assert_eq!(chunks.full.len(), CHUNKS_MAX);
        drop(written(&mut chunks, 0, CHUNK_LEN));
        assert!(chunks.full.len() <= CHUNKS_MAX);
    }

    #[test]
    fn what_is_put_back_is_taken_again_with_what_follows_it() {
        let mut chunks = Chunks::default();
        let first = written(&mut chunks, 1, 100);
        let at = first.as_ptr();
        chunks.put_back(first);
        assert!(!chunks.is_empty() && chunks.has_room(1000));
        chunks.end().extend_from_slice(&[2; 50]);
        let both = chunks.take();
        assert_eq!((both.as_ptr(), both.len()), (at, 150), "nothing was copied");
        assert_eq!((&both[..100], &both[100..]), (&[1; 100][..], &[2; 50][..]));
    }
}

//! A disk that forgets: what was not synced may be there after a crash, or not, block by block.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::storage::{SegmentFile, Storage, StorageError};
use super::units::SegmentNumber;
use crate::types::ByteCount;

/// What a disk writes whole or not at all, in bytes.
const BLOCK: usize = 512;

/// Numbers that depend on a seed alone.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x5e55_4eed_0bad_cafe)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A file: as the kernel shows it, and as the platter has it.
#[derive(Clone, Default, Debug)]
struct Inode {
    shown: Vec<u8>,
    kept: Vec<u8>,
    /// Blocks that differ, as far as anybody knows who wrote them.
    dirty: BTreeSet<usize>,
    is_len_dirty: bool,
}

#[derive(Clone, Copy, Debug)]
enum DirectoryChange {
    Create(SegmentNumber, usize),
    Unlink(SegmentNumber),
}

#[derive(Clone, Debug)]
struct State {
    inodes: Vec<Inode>,
    shown: BTreeMap<SegmentNumber, usize>,
    kept: BTreeMap<SegmentNumber, usize>,
    changes: Vec<DirectoryChange>,
    random: Random,
    segment_len: u64,
    capacity: u64,
    free_bytes: u64,
    /// So many writes and syncs go well before one fails; none does where it is empty.
    writes_left: Option<u64>,
    syncs_left: Option<u64>,
    /// After the first failure everything fails.
    is_dying: bool,
    /// A backup wants nothing to be unlinked.
    is_held: bool,
    unlinks: Vec<SegmentNumber>,
    /// How many of them were slow.
    slow_unlinks: u64,
    /// Syncs of files that went well.
    syncs: u64,
    /// How often somebody has asked for the room that is left.
    looks: u64,
}

/// The disk. Clones are the same one.
#[derive(Clone, Debug)]
pub struct SimDisk(Rc<RefCell<State>>);

impl SimDisk {
    pub fn new(seed: u64, segment_len: u64, free_bytes: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            inodes: Vec::new(),
            shown: BTreeMap::new(),
            kept: BTreeMap::new(),
            changes: Vec::new(),
            random: Random::new(seed),
            segment_len,
            capacity: free_bytes,
            free_bytes,
            writes_left: None,
            syncs_left: None,
            is_dying: false,
            is_held: false,
            unlinks: Vec::new(),
            slow_unlinks: 0,
            syncs: 0,
            looks: 0,
        })))
    }

    /// The write after `count` more fails, having written some of its blocks.
    pub fn fail_write_after(&self, count: u64) {
        self.0.borrow_mut().writes_left = Some(count);
    }

    /// The sync after `count` more fails, and its blocks are clean from then on, as on Linux.
    pub fn fail_sync_after(&self, count: u64) {
        self.0.borrow_mut().syncs_left = Some(count);
    }

    /// From the next failure on nothing works any more.
    pub fn die_at_failure(&self) {
        self.0.borrow_mut().is_dying = true;
    }

    /// A backup begins, or ends.
    pub fn hold_unlinking(&self, is_held: bool) {
        self.0.borrow_mut().is_held = is_held;
    }

    pub fn free_bytes(&self) -> u64 {
        self.0.borrow().free_bytes
    }

    pub fn set_free_bytes(&self, bytes: u64) {
        self.0.borrow_mut().free_bytes = bytes;
    }

    /// What was unlinked, in order.
    pub fn unlinks(&self) -> Vec<SegmentNumber> {
        self.0.borrow().unlinks.clone()
    }

    /// How many of these took their time.
    pub fn slow_unlinks(&self) -> u64 {
        self.0.borrow().slow_unlinks
    }

    /// How many syncs of files went well.
    pub fn syncs(&self) -> u64 {
        self.0.borrow().syncs
    }

    /// How often somebody has asked for the room that is left.
    pub fn looks(&self) -> u64 {
        self.0.borrow().looks
    }

    /// Writes some dirty blocks back, as a kernel does when it likes.
    pub fn write_back_some(&self) {
        let state = &mut *self.0.borrow_mut();
        for inode in &mut state.inodes {
            let dirty: Vec<usize> = inode.dirty.iter().copied().collect();
            for block in dirty {
                if state.random.one_in(3) {
                    inode.keep(block);
                    inode.dirty.remove(&block);
                }
            }
        }
    }

    /// The process is killed: what the kernel was given, it has.
    pub fn after_kill(&self) -> Self {
        let mut state = self.0.borrow().clone();
        state.heal();
        Self(Rc::new(RefCell::new(state)))
    }

    /// The power goes: of all that was not synced, anything may be there and anything may not.
    pub fn after_power_loss(&self) -> Self {
        let mut state = self.0.borrow().clone();
        state.heal();
        let mut random = state.random.clone();
        // From one crash to the next: nearly everything is lost, or nearly nothing, or half.
        let chances = [1, 2, 2, 10, 100][random.below(5) as usize];
        let is_lossy = random.one_in(2);
        let survives = |random: &mut Random| random.one_in(chances) ^ is_lossy;
        for change in std::mem::take(&mut state.changes) {
            if survives(&mut random) {
                match change {
                    DirectoryChange::Create(number, inode) => drop(state.kept.insert(number, inode)),
                    DirectoryChange::Unlink(number) => drop(state.kept.remove(&number)),
                }
            }
        }
        state.shown = state.kept.clone();
        for inode in &mut state.inodes {
            for block in std::mem::take(&mut inode.dirty) {
                if survives(&mut random) {
                    inode.keep(block);
                }
            }
            if std::mem::take(&mut inode.is_len_dirty) && survives(&mut random) {
                inode.kept.resize(inode.shown.len(), 0);
            }
            inode.shown = inode.kept.clone();
        }
        state.random = random;
        let taken: usize = state.shown.values().map(|inode| state.inodes[*inode].shown.len()).sum();
        state.free_bytes = state.capacity.saturating_sub(taken as u64);
        Self(Rc::new(RefCell::new(state)))
    }

    /// The medium goes bad: a byte of a segment is another one from now on.
    pub fn damage(&self, number: SegmentNumber, at: usize, flipped: u8) {
        let state = &mut *self.0.borrow_mut();
        let inode = &mut state.inodes[state.shown[&number]];
        for bytes in [&mut inode.shown, &mut inode.kept] {
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= flipped);
        }
    }

    /// A segment's bytes as they are shown.
    pub fn bytes(&self, number: SegmentNumber) -> Vec<u8> {
        let state = self.0.borrow();
        state.inodes[state.shown[&number]].shown.clone()
    }
}

impl State {
    fn heal(&mut self) {
        (self.writes_left, self.syncs_left, self.is_dying, self.is_held) = (None, None, false, false);
    }

    fn io_error(operation: &'static str) -> StorageError {
        StorageError::new(operation, io::Error::other("simulated"))
    }

    /// Whether this is the operation that fails.
    fn fails(counter: &mut Option<u64>, is_dying: bool) -> bool {
        match counter {
            Some(0) => {
                if !is_dying {
                    *counter = None;
                }
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn take_room(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.free_bytes = self.free_bytes.checked_sub(bytes).ok_or(StorageError::NoSpace)?;
        Ok(())
    }
}

impl Inode {
    /// The platter takes what is shown of this block.
    fn keep(&mut self, block: usize) {
        let (start, end) = (block * BLOCK, ((block + 1) * BLOCK).min(self.shown.len()));
        if start < end {
            if self.kept.len() < end {
                self.kept.resize(end, 0);
            }
            self.kept[start..end].copy_from_slice(&self.shown[start..end]);
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if self.shown.len() < at + bytes.len() {
            self.shown.resize(at + bytes.len(), 0);
            self.is_len_dirty = true;
        }
        self.shown[at..at + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(at / BLOCK..=(at + bytes.len() - 1) / BLOCK);
        }
    }
}

impl Storage for SimDisk {
    type File = usize;

    fn list(&self) -> Result<Vec<SegmentFile>, StorageError> {
        let state = self.0.borrow();
        let file = |(number, inode): (&SegmentNumber, &usize)| SegmentFile {
            number: *number,
            len: ByteCount::of_len(state.inodes[*inode].shown.len()),
        };
        Ok(state.shown.iter().map(file).collect())
    }

    fn create(&self, number: SegmentNumber, len: ByteCount) -> Result<usize, StorageError> {
        let state = &mut *self.0.borrow_mut();
        assert!(!state.shown.contains_key(&number), "{number} is there already");
        state.take_room(len.as_u64())?;
        let shown = vec![0; len.as_usize()];
        state.inodes.push(Inode { shown, is_len_dirty: true, ..Inode::default() });
        let inode = state.inodes.len() - 1;
        state.shown.insert(number, inode);
        state.changes.push(DirectoryChange::Create(number, inode));
        Ok(inode)
    }

    fn open(&self, number: SegmentNumber) -> Result<usize, StorageError> {
        self.0.borrow().shown.get(&number).copied().ok_or_else(|| State::io_error("open"))
    }

    fn extend(&self, file: &usize, len: ByteCount) -> Result<(), StorageError> {
        let state = &mut *self.0.borrow_mut();
        let old = state.inodes[*file].shown.len() as u64;
        state.take_room(len.as_u64().saturating_sub(old))?;
        state.inodes[*file].shown.resize(len.as_usize(), 0);
        state.inodes[*file].is_len_dirty = true;
        Ok(())
    }

    fn write_at(&self, file: &usize, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), StorageError> {
        let state = &mut *self.0.borrow_mut();
        let bytes = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        if State::fails(&mut state.writes_left, state.is_dying) {
            let count = state.random.below(bytes.len() as u64 + 1) as usize;
            state.inodes[*file].write(offset as usize, &bytes[..count]);
            return Err(State::io_error("write"));
        }
        state.inodes[*file].write(offset as usize, &bytes);
        Ok(())
    }

    fn read_at(&self, file: &usize, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        let state = self.0.borrow();
        let rest = state.inodes[*file].shown.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn truncate(&self, file: &usize, len: ByteCount) -> Result<(), StorageError> {
        let state = &mut *self.0.borrow_mut();
        let inode = &mut state.inodes[*file];
        state.free_bytes += (inode.shown.len() as u64).saturating_sub(len.as_u64());
        inode.shown.truncate(len.as_usize());
        inode.is_len_dirty = true;
        inode.dirty.retain(|block| block * BLOCK < len.as_usize());
        Ok(())
    }

    fn sync(&self, file: &usize) -> Result<(), StorageError> {
        let state = &mut *self.0.borrow_mut();
        let fails = State::fails(&mut state.syncs_left, state.is_dying);
        let inode = &mut state.inodes[*file];
        for block in std::mem::take(&mut inode.dirty) {
            if !fails || state.random.one_in(2) {
                inode.keep(block);
            }
        }
        if fails {
            return Err(State::io_error("sync"));
        }
        inode.is_len_dirty = false;
        inode.kept.resize(inode.shown.len(), 0);
        state.syncs += 1;
        Ok(())
    }

    fn sync_directory(&self) -> Result<(), StorageError> {
        let state = &mut *self.0.borrow_mut();
        state.changes.clear();
        state.kept = state.shown.clone();
        Ok(())
    }

    fn unlink(&self, number: SegmentNumber) -> Result<(), StorageError> {
        let state = &mut *self.0.borrow_mut();
        if state.is_held {
            return Err(StorageError::Held);
        }
        if let Some(inode) = state.shown.remove(&number) {
            state.free_bytes += state.inodes[inode].shown.len() as u64;
            state.changes.push(DirectoryChange::Unlink(number));
            state.unlinks.push(number);
        }
        Ok(())
    }

    fn unlink_slowly(&self, number: SegmentNumber) -> Result<(), StorageError> {
        self.unlink(number)?;
        self.0.borrow_mut().slow_unlinks += 1;
        Ok(())
    }

    fn free(&self) -> Result<ByteCount, StorageError> {
        self.0.borrow_mut().looks += 1;
        Ok(ByteCount::new(self.free_bytes()))
    }

    fn segment_len(&self) -> Result<ByteCount, StorageError> {
        Ok(ByteCount::new(self.0.borrow().segment_len))
    }
}

#[test]
fn what_was_synced_is_there_after_every_power_loss_and_the_rest_only_sometimes() {
    let (mut there, mut gone) = (0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new(seed, 4096, 1 << 20);
        let number = SegmentNumber::FIRST;
        let file = disk.create(number, ByteCount::new(4096)).unwrap();
        disk.write_at(&file, 0, &[IoSlice::new(&[1; 1024])]).unwrap();
        disk.sync(&file).unwrap();
        disk.sync_directory().unwrap();
        disk.write_at(&file, 1024, &[IoSlice::new(&[2; 1024])]).unwrap();
        let bytes = disk.after_power_loss().bytes(number);
        assert_eq!(bytes[..1024], [1; 1024], "seed {seed}");
        for block in bytes[1024..2048].chunks(512) {
            assert!(block == [2; 512] || block == [0; 512], "seed {seed}: blocks are whole");
            if block[0] == 2 { there += 1 } else { gone += 1 }
        }
        assert_eq!(disk.after_kill().bytes(number)[1024..2048], [2; 1024], "seed {seed}");
    }
    assert!(there > 50 && gone > 50, "{there} survived, {gone} did not");
}

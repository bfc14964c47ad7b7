//! What a bad medium does to a log: bits of records, marks and headers flip, or whole stretches.
//!
//! Mostly of what the log knows to be synced: what lies behind that is torn by damage as by a
//! power cut, and nobody can tell the one from the other. Also says whose removals can still be
//! read, by scanning alone.

use std::collections::BTreeSet;

use super::world::Dice;
use crate::journal::sim_disk::SimDisk;
use crate::journal::{
    Entry, Found, Lost, Position, Recovery, SEGMENT_HEADER_LEN, Scan, SegmentHeader, SegmentNumber, Storage,
    record_len,
};
use crate::types::SessionId;

/// From one copy of a segment's header to the other, and a copy's length.
const COPY_SPAN: usize = SEGMENT_HEADER_LEN / 2;
const COPY_LEN: usize = 52;
/// A record's head and its tail.
const HEAD_LEN: usize = 72;
const TAIL_LEN: usize = 24;
/// What of a record is hit: its head, its tail, its body, or both ends, so that it has no name.
const PARTS: usize = 4;
const WHOLE: usize = 3;

/// A record, good or named by an end.
#[derive(Clone, Copy, Debug)]
struct Line {
    at: Position,
    len: usize,
    /// Whom it removes.
    removes: Option<SessionId>,
    /// Up to where it says that the log is synced.
    synced: Option<Position>,
}

fn lines(disk: &SimDisk, segment: SegmentNumber) -> Vec<Line> {
    let bytes = disk.bytes(segment);
    let Ok(header) = SegmentHeader::decode(&bytes, segment) else { return Vec::new() };
    let line = |found: Found<'_>| match found {
        Found::Record { at, record } => {
            let (mut removes, mut synced) = (None, None);
            match record.entry {
                Entry::Delete(id) | Entry::Expire(id) => removes = Some(id),
                Entry::Synced { upto, .. } => synced = Some(upto),
                _ => {}
            }
            let len = record_len(&bytes[at.as_usize()..]).unwrap();
            Line { at: Position { segment, offset: at }, len, removes, synced }
        }
        Found::Bad(span) => {
            let removes = if let Some(Lost::Removal(id)) = span.lost { Some(id) } else { None };
            let len = span.end.as_usize() - span.start.as_usize();
            Line { at: Position { segment, offset: span.start }, len, removes, synced: None }
        }
    };
    Scan::new(&bytes, &header).map(line).collect()
}

/// The sessions whose removal can be read in what counts.
pub(super) fn removals(disk: &SimDisk, recovery: &Recovery) -> BTreeSet<SessionId> {
    let all = recovery.segments().flat_map(|segment| lines(disk, segment));
    all.filter(|line| Some(line.at) < recovery.end()).filter_map(|line| line.removes).collect()
}

/// Wounds the log in a few places. What was hit, in words.
pub(super) fn wound(disk: &SimDisk, recovery: &Recovery, dice: &mut Dice) -> Vec<String> {
    let kept: Vec<SegmentNumber> = recovery.segments().collect();
    let all: Vec<Line> = kept.iter().flat_map(|segment| lines(disk, *segment)).collect();
    let Some(horizon) = all.iter().filter_map(|line| line.synced).max() else { return Vec::new() };
    let synced: Vec<Line> = all.iter().copied().filter(|line| line.at < horizon).collect();
    if synced.is_empty() {
        return Vec::new();
    }
    let mut hits = Vec::new();
    let removing: Vec<Line> = synced.iter().copied().filter(|line| line.removes.is_some()).collect();
    for _ in 0..1 + dice.below(5) {
        let segment = *dice.pick(&kept);
        // Headers go bad in every file that is there.
        let files = disk.list().unwrap();
        let file = dice.pick(&files).number;
        match dice.below(20) {
            0 => hits.push(hit_header(disk, file, 1, dice)),
            1 => hits.push(hit_header(disk, file, 2, dice)),
            2 => {
                let at = dice.pick(&synced).at;
                let (from, len) = (at.offset.as_usize(), 8 + dice.below(1_500));
                (from..from + len).for_each(|at| disk.damage(segment, at, dice.next() as u8));
                hits.push(format!("{len} bytes of {segment} from {from} on"));
            }
            3 => hits.push(hit_record(disk, dice.pick(&all), dice.below(PARTS), dice)),
            // The end of what is known to be synced, and what lies between that and who says so.
            4..=5 => {
                let says_so = all.iter().rposition(|line| line.synced == Some(horizon)).unwrap();
                let behind = synced.len()..says_so.max(synced.len());
                let last = &synced[synced.len().saturating_sub(4)..];
                hits.push(hit_record(disk, dice.pick(last), dice.below(PARTS), dice));
                hits.push(hit_record(disk, synced.last().unwrap(), dice.below(PARTS), dice));
                hits.extend(all.get(behind).unwrap().first().map(|line| hit_record(disk, line, WHOLE, dice)));
            }
            6..=9 if !removing.is_empty() => {
                hits.push(hit_record(disk, dice.pick(&removing), dice.below(PARTS), dice))
            }
            _ => hits.push(hit_record(disk, dice.pick(&synced), dice.below(PARTS), dice)),
        }
    }
    hits
}

fn hit_header(disk: &SimDisk, segment: SegmentNumber, copies: usize, dice: &mut Dice) -> String {
    for copy in 0..copies {
        disk.damage(segment, copy * COPY_SPAN + dice.below(COPY_LEN), 1 << dice.below(8));
    }
    format!("{copies} headers of {segment}")
}

fn hit_record(disk: &SimDisk, line: &Line, part: usize, dice: &mut Dice) -> String {
    let Line { at: Position { segment, offset }, len, .. } = *line;
    let from = offset.as_usize();
    let (head, body, tail) = (0..HEAD_LEN, HEAD_LEN..len - TAIL_LEN, len - TAIL_LEN..len);
    let (what, parts) = match part {
        0 => ("head", vec![head]),
        1 => ("tail", vec![tail]),
        2 if !body.is_empty() => ("body", vec![body]),
        _ => ("whole", vec![head, tail]),
    };
    for part in parts {
        let at = part.start + dice.below(part.len());
        disk.damage(segment, from + at, 1 << dice.below(8));
    }
    format!("{what} of {segment}:{from}+{len}")
}

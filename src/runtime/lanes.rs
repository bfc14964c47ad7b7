//! How much room each core's lanes have, and why that is enough.
//!
//! A lane allocates all of its places at once, so what it may hold is what it costs. There are
//! three a core, not one a pair of cores: room grows with the cores, and not with their square.
//! The tests add up what a core costs in memory, and print it for `docs/SCALING.md`.

use super::mailbox::MailboxRoom;
use crate::registry::CHANGES_IN_FLIGHT_MAX;
use crate::types::{ShardCount, ShardId};

/// Requests that may wait for one core; one more is refused.
const REQUESTS_WAITING_MAX: usize = 8_192;

/// The room of the lanes that lead to core `here`.
pub fn room_of(here: ShardId, shards: ShardCount, connections_max: u32) -> MailboxRoom {
    let peers = usize::from(shards.get() - 1).max(1);
    // Each change under way is one frame from the first core to each other, and one from each back.
    let changes_from = if here == ShardId::FIRST { peers } else { 1 };
    MailboxRoom {
        requests_max: REQUESTS_WAITING_MAX,
        // A connection has one forward away at a time.
        replies_max: connections_max as usize,
        controls_max: CHANGES_IN_FLIGHT_MAX * changes_from,
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a document shows what is printed")]
mod tests {
    use super::*;
    use crate::journal::CoreJournal;
    use crate::mesh::{Node, Parcel};
    use crate::registry::Replica;
    use crate::runtime::core::{Control, Peer, Request};
    use crate::shard::Shard;
    use crate::store::Store;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    /// The usual limit.
    const CONNECTIONS_MAX: u32 = 10_000;
    const CORES: [u16; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

    // What docs/SCALING.md says of a core.
    const _: () = assert!(Store::BYTES_MIN <= 16 * KIB);
    const _: () = assert!(Node::KEPT_BYTES_MAX <= 13 * MIB);
    const _: () = assert!(CoreJournal::KEPT_BYTES_MAX <= 17 * MIB);
    const _: () = assert!(Shard::DELETIONS_BYTES_MAX <= MIB);
    const _: () = assert!(Replica::BUCKET_BYTES <= 256);

    /// A place of a bounded lane: the item, and the turn in which it was written.
    const fn place<Item>() -> usize {
        size_of::<(usize, Item)>()
    }

    fn bytes_of(room: MailboxRoom) -> usize {
        room.requests_max * place::<Request>()
            + room.replies_max * place::<Parcel>()
            + room.controls_max * place::<Control>()
    }

    /// The lanes of all cores together, and the handles that each core has of each other's.
    fn bytes_at(cores: u16) -> (usize, usize) {
        let shards = ShardCount::new(cores).unwrap();
        let lanes = shards.shards().map(|here| bytes_of(room_of(here, shards, CONNECTIONS_MAX))).sum();
        (lanes, usize::from(cores).pow(2) * size_of::<Peer>())
    }

    #[test]
    fn every_change_under_way_finds_its_place() {
        for cores in CORES {
            let shards = ShardCount::new(cores).unwrap();
            for here in shards.shards() {
                let acknowledgements = CHANGES_IN_FLIGHT_MAX * usize::from(cores - 1);
                let expected = if here == ShardId::FIRST { acknowledgements } else { CHANGES_IN_FLIGHT_MAX };
                assert!(room_of(here, shards, 1).controls_max >= expected.max(1), "{here} of {cores}");
            }
        }
    }

    #[test]
    fn a_place_in_a_lane_is_a_pointer_and_little_more() {
        assert_eq!((place::<Request>(), place::<Parcel>()), (24, 24));
        assert!(place::<Control>() <= 136, "{}", place::<Control>());
    }

    #[test]
    fn lanes_grow_with_the_cores_and_not_with_their_square() {
        println!(
            "| cores | lanes, KiB a core | lanes, MiB in all | handles of peers, KiB in all |\n|---|---|---|---|"
        );
        for cores in CORES {
            let (lanes, handles) = bytes_at(cores);
            let a_core = lanes / usize::from(cores);
            println!("| {cores} | {} | {:.1} | {} |", a_core / KIB, lanes as f64 / MIB as f64, handles / KIB);
            assert!(a_core <= 448 * KIB, "{a_core} bytes a core at {cores}");
            assert!(handles <= 4 * MIB, "{handles} bytes of handles at {cores}");
        }
        let (lanes, handles) = bytes_at(64);
        assert!(lanes + handles <= 30 * MIB, "{lanes} and {handles} at 64 cores");
        print_what_a_core_keeps();
    }

    fn print_what_a_core_keeps() {
        let rows = [
            ("an empty store: wheel and index", Store::BYTES_MIN),
            ("buffers and frames kept warm, at most", Node::KEPT_BYTES_MAX),
            ("chunks of the journal, at most", CoreJournal::KEPT_BYTES_MAX),
            ("deletions remembered by id, at most", Shard::DELETIONS_BYTES_MAX),
            ("a bucket in the replica of its registry", Replica::BUCKET_BYTES),
        ];
        println!("| a core keeps | bytes |\n|---|---|");
        rows.iter().for_each(|(what, bytes)| println!("| {what} | {bytes} |"));
    }
}

//! Promises of the chunked coding: what it takes, what it refuses, and that splits change nothing.

use super::*;

const LIMITS: Limits = Limits {
    head_bytes_max: 0,
    target_bytes_max: 0,
    fields_max: 0,
    trailer_bytes_max: 20,
    chunk_overhead_bytes_max: 12,
};

const BODY_BYTES_MAX: usize = 32;

/// The data in the pieces and how many bytes the body had; `None` while it goes on.
fn decode<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Option<(Vec<u8>, usize)>, Refused> {
    let mut decoder = ChunkedDecoder::new(&LIMITS, BODY_BYTES_MAX);
    let (mut data, mut consumed) = (Vec::new(), 0);
    for piece in pieces {
        let decoded = decoder.decode(piece, |part| data.extend_from_slice(part))?;
        consumed += decoded.consumed;
        if decoded.is_complete {
            return Ok(Some((data, consumed)));
        }
        assert_eq!(decoded.consumed, piece.len(), "an unfinished body takes all there is");
    }
    Ok(None)
}

/// The same however `input` is split, or the test fails.
fn decode_split_everywhere(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Refused> {
    let whole = decode([input]);
    for at in 0..=input.len() {
        let (front, back) = input.split_at(at);
        assert_eq!(decode([front, back]), whole, "split at {at}: {:?}", String::from_utf8_lossy(input));
    }
    assert_eq!(decode(input.chunks(1)), whole, "byte by byte: {:?}", String::from_utf8_lossy(input));
    whole
}

#[test]
fn sound_bodies_lose_their_coding() {
    let rows = [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("20\r\n0123456789abcdef0123456789abcdef\r\n0\r\n\r\n", "0123456789abcdef0123456789abcdef"),
        ("0005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", "hello"),
        ("5 \t;a\r\nhello\r\n0\r\n\r\n", "hello"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("0\r\nA: b\r\nC:\r\n\r\n", ""),
        ("0\r\nA: \u{e9}\tb\r\n\r\n", ""),
    ];
    for (input, data) in rows {
        let expected = Ok(Some((data.as_bytes().to_vec(), input.len())));
        assert_eq!(decode_split_everywhere(input.as_bytes()), expected, "{input:?}");
    }
}

#[test]
fn what_follows_the_body_is_left_alone() {
    assert_eq!(decode_split_everywhere(b"1\r\na\r\n0\r\n\r\nGET"), Ok(Some((b"a".to_vec(), 11))));
}

#[test]
fn a_body_cut_short_is_never_complete() {
    let whole = b"5;a\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for at in 0..whole.len() {
        assert_eq!(decode([&whole[..at]]), Ok(None), "cut at {at}");
    }
}

#[test]
fn unsound_bodies_are_refused() {
    use Refused::*;
    let rows = [
        ("7.1", ChunkSizeInvalid, "\r\n"),
        ("7.1", ChunkSizeInvalid, ";a\r\n"),
        ("7.1", ChunkSizeInvalid, " 5\r\nhello"),
        ("7.1", ChunkSizeInvalid, "+5\r\nhello"),
        ("7.1", ChunkSizeInvalid, "-5\r\n"),
        ("7.1", ChunkSizeInvalid, "0x5\r\n"),
        ("7.1", ChunkSizeInvalid, "5_\r\n"),
        ("7.1", ChunkSizeInvalid, "5g\r\n"),
        ("7.1", ChunkSizeInvalid, "5 5\r\n"),
        ("7.1", ChunkSizeInvalid, "5 \r\nhello"),
        ("7.1", ChunkSizeInvalid, "5\0\r\n"),
        ("7.1", ChunkUnterminated, "5\r\nhelloo\r\n"),
        ("7.1", ChunkUnterminated, "5\r\nhello\n"),
        ("7.1", ChunkUnterminated, "5\r\nhello\r\r\n"),
        ("7.1.1", ChunkExtensionInvalid, "5;a\0\r\n"),
        ("7.1.1", ChunkExtensionInvalid, "5;\u{7f}\r\n"),
        ("7.1.1", ChunkOverheadTooLong, "5;aaaaaaaaaaaa"),
        ("7.1.1", ChunkOverheadTooLong, "1;aaaaa\r\na\r\n1;aaaaa\r\na\r\n1;"),
        ("7.1", ChunkOverheadTooLong, "00000000000000"),
        ("7.1.1", ChunkOverheadTooLong, "1             "),
        ("2.2", BareLineFeed, "\n"),
        ("2.2", BareLineFeed, "5\nhello\r\n"),
        ("2.2", BareLineFeed, "5;a\nhello\r\n"),
        ("2.2", BareLineFeed, "5 \nhello\r\n"),
        ("2.2", BareLineFeed, "0\r\n\n"),
        ("2.2", BareLineFeed, "0\r\nA: b\n\r\n"),
        ("2.2", BareCarriageReturn, "5\rhello\r\n"),
        ("2.2", BareCarriageReturn, "5;a\rb\r\n"),
        ("2.2", BareCarriageReturn, "0\r\n\rA"),
        ("2.2", BareCarriageReturn, "0\r\nA: b\rc\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\n A: b\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\nA: b\r\n c\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\n: b\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\nA : b\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\nA\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\nA: \0\r\n"),
        ("7.1.2", TrailersTooLong, "0\r\nA: 345678901234567890"),
        ("9110 15.5.14", BodyTooLarge, "21"),
        ("9110 15.5.14", BodyTooLarge, "1f\r\n0123456789abcdef0123456789abcde\r\n2"),
        ("9110 15.5.14", BodyTooLarge, "ffffffffffffffff"),
        ("9110 15.5.14", BodyTooLarge, "10000000000000005\r\nhello"),
    ];
    for (section, refused, input) in rows {
        assert_eq!(decode_split_everywhere(input.as_bytes()), Err(refused), "{section}: {input:?}");
    }
}

#[test]
fn a_size_that_overflows_is_refused_even_without_a_limit_on_the_body() {
    let mut decoder = ChunkedDecoder::new(&LIMITS, usize::MAX);
    let refused = decoder.decode(b"ffffffffffffffff0\r\n", |_| panic!("there is no data"));
    assert_eq!(refused, Err(Refused::BodyTooLarge));
}

#[test]
fn many_small_chunks_are_no_overhead() {
    let body = ["1\r\na\r\n".repeat(BODY_BYTES_MAX), "0\r\n\r\n".to_owned()].concat();
    assert_eq!(decode([body.as_bytes()]), Ok(Some((vec![b'a'; BODY_BYTES_MAX], body.len()))));
}

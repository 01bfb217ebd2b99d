//! Streams of frames, whole, fragmented and cut into reads at any byte.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::*;
use crate::encode::{
    Mask, put_close_masked, put_frame, put_pong_masked, put_text, put_text_masked,
};

mod laws;

const MASK: Mask = [0x11, 0x92, 0x33, 0xf4];
const LIMIT: usize = 1000;

/// Delivers scripted pieces, each by one read, and lets every read wait once before it.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    waited: bool,
    /// The largest spare capacity that was offered to a read: the parser's buffer.
    widest: Arc<AtomicUsize>,
}

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            pieces: pieces.into_iter().filter(|p| !p.is_empty()).collect(),
            waited: false,
            widest: Arc::default(),
        }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.widest.store(buf.remaining(), Ordering::Relaxed);
        self.waited = !self.waited;
        if self.waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let len = piece.len().min(buf.remaining());
            buf.put_slice(&piece[..len]);
            if len < piece.len() {
                self.pieces.push_front(piece.split_off(len));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Everything that a reader gives until it ends, and how it ended.
async fn read_all(mut reader: MessageReader<Pieces>) -> (Vec<Incoming>, ReadError) {
    let mut messages = Vec::new();
    loop {
        match reader.next().await {
            Ok(message) => messages.push(message),
            Err(error) => return (messages, error),
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn frame(fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut buf = Vec::new();
    put_frame(&mut buf, fin, opcode, payload, Some(MASK));
    buf
}

/// A client frame with any first byte and payload, for what `put_frame` would not write.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut buf = frame(true, OpCode::Text, payload);
    buf[0] = first;
    buf
}

fn text(text: &str) -> Incoming {
    Incoming::Text(text.into())
}

fn close_of(code: Option<u16>, reason: &str) -> Incoming {
    Incoming::Close {
        code,
        reason: reason.into(),
    }
}

/// How the stream of a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// After its last byte, between or inside frames.
    Eof,
    /// With a close frame; nothing after it is read.
    Closed,
    TooBig,
    NotUtf8,
    Breaks(Violation),
}

impl End {
    fn of(error: &ReadError) -> Self {
        match error {
            ReadError::TooBig { .. } => Self::TooBig,
            ReadError::Protocol(violation) => Self::Breaks(*violation),
            ReadError::NotUtf8 => Self::NotUtf8,
            ReadError::Eof => Self::Eof,
            ReadError::Ended => Self::Closed,
            ReadError::Io(e) => panic!("{e}"),
        }
    }

    fn close_code(self) -> Option<u16> {
        match self {
            Self::Eof | Self::Closed => None,
            Self::TooBig => Some(1009),
            Self::NotUtf8 => Some(1007),
            Self::Breaks(_) => Some(1002),
        }
    }
}

/// Reads `stream` in one piece, byte by byte, and cut in two at every byte.
fn check(name: &str, stream: &[Vec<u8>], messages: &[Incoming], end: End) {
    let stream = stream.concat();
    let cuts = (0..stream.len()).map(|at| vec![stream[..at].to_vec(), stream[at..].to_vec()]);
    let bytes = stream.iter().map(|b| vec![*b]).collect();
    for pieces in cuts.chain([bytes]) {
        let lens: Vec<usize> = pieces.iter().map(Vec::len).collect();
        let (got, error) = run(read_all(MessageReader::server(Pieces::new(pieces), LIMIT)));
        assert_eq!(got, messages, "{name}, reads of {lens:?}");
        assert_eq!(End::of(&error), end, "{name}, reads of {lens:?}");
        assert_eq!(error.close_code(), end.close_code(), "{name}");
    }
}

#[test]
fn messages_and_control_frames() {
    let (t, b, c) = (OpCode::Text, OpCode::Binary, OpCode::Continuation);
    let ping = || frame(true, OpCode::Ping, b"p");
    let pinged = || Incoming::Ping(Bytes::from_static(b"p"));
    check("nothing", &[], &[], End::Eof);
    check(
        "one of each",
        &[
            frame(true, t, "é".as_bytes()),
            frame(true, b, &[0, 255]),
            ping(),
            frame(true, OpCode::Pong, b""),
            frame(true, t, b""),
        ],
        &[
            text("é"),
            Incoming::Binary(Bytes::from_static(&[0, 255])),
            pinged(),
            Incoming::Pong(Bytes::new()),
            text(""),
        ],
        End::Eof,
    );
    check(
        "control frames between fragments come first",
        &[
            frame(false, t, b"a"),
            ping(),
            frame(false, c, b""),
            frame(true, OpCode::Pong, b""),
            frame(true, c, b"b"),
            frame(false, b, b"\xff"),
            frame(true, c, b"\xfe"),
        ],
        &[
            pinged(),
            Incoming::Pong(Bytes::new()),
            text("ab"),
            Incoming::Binary(Bytes::from_static(b"\xff\xfe")),
        ],
        End::Eof,
    );
    check(
        "a code point in two fragments",
        &[
            frame(false, t, b""),
            frame(false, c, &[0xc3]),
            frame(true, c, &[0xa9]),
        ],
        &[text("é")],
        End::Eof,
    );
    check(
        "control frames of the largest size",
        &[
            frame(true, OpCode::Ping, &[1; 125]),
            frame(true, OpCode::Pong, &[2; 125]),
        ],
        &[
            Incoming::Ping(Bytes::from_static(&[1; 125])),
            Incoming::Pong(Bytes::from_static(&[2; 125])),
        ],
        End::Eof,
    );
    check(
        "half a fragmented message",
        &[frame(false, t, b"a")],
        &[],
        End::Eof,
    );
}

#[test]
fn the_limit_is_over_all_fragments() {
    let (t, c) = (OpCode::Text, OpCode::Continuation);
    let full = "x".repeat(LIMIT);
    let over = "x".repeat(LIMIT + 1);
    let x = full.as_bytes();
    check("N", &[frame(true, t, x)], &[text(&full)], End::Eof);
    check(
        "N + 1",
        &[frame(true, t, over.as_bytes())],
        &[],
        End::TooBig,
    );
    check(
        "N in fragments, with a ping when there is no room left",
        &[
            frame(false, t, &x[..600]),
            frame(false, c, &x[..400]),
            frame(true, OpCode::Ping, &[1; 125]),
            frame(true, c, b""),
            frame(true, t, x),
        ],
        &[
            Incoming::Ping(Bytes::from_static(&[1; 125])),
            text(&full),
            text(&full),
        ],
        End::Eof,
    );
    check(
        "N + 1 in fragments",
        &[frame(false, t, &x[..600]), frame(true, c, &x[..401])],
        &[],
        End::TooBig,
    );
    check(
        "one byte over, in a fragment that is small itself",
        &[frame(false, t, x), frame(true, c, b"y")],
        &[],
        End::TooBig,
    );
    let mut declares_much = vec![0x82, 0xff];
    declares_much.extend(u64::MAX.to_be_bytes());
    declares_much.extend(MASK);
    check(
        "a head that declares 2^64 - 1 bytes",
        &[declares_much],
        &[],
        End::TooBig,
    );
}

#[test]
fn broken_protocol() {
    use Violation::*;
    let (t, b, c) = (OpCode::Text, OpCode::Binary, OpCode::Continuation);
    let mut unmasked = Vec::new();
    put_text(&mut unmasked, b"a");
    let cases: [(&str, Vec<Vec<u8>>, Violation); 14] = [
        (
            "continuation first",
            vec![frame(true, c, b"a")],
            StrayContinuation,
        ),
        (
            "text restart",
            vec![frame(false, t, b"a"), frame(false, t, b"b")],
            InterruptedMessage,
        ),
        (
            "whole text inside",
            vec![frame(false, t, b"a"), frame(true, t, b"b")],
            InterruptedMessage,
        ),
        (
            "binary inside text",
            vec![frame(false, t, b"a"), frame(true, b, b"b")],
            InterruptedMessage,
        ),
        ("not masked", vec![unmasked], Unmasked),
        ("ping of 126", vec![raw(0x89, &[0; 126])], LongControlFrame),
        ("pong of 126", vec![raw(0x8a, &[0; 126])], LongControlFrame),
        ("close of 126", vec![raw(0x88, &[3; 126])], LongControlFrame),
        (
            "fragmented ping",
            vec![frame(false, OpCode::Ping, b"")],
            FragmentedControlFrame,
        ),
        (
            "fragmented close",
            vec![frame(false, OpCode::Close, b"")],
            FragmentedControlFrame,
        ),
        ("reserved bit", vec![raw(0xc1, b"a")], ReservedBits),
        ("unknown opcode", vec![raw(0x83, b"a")], UnknownOpcode),
        (
            "unknown control opcode",
            vec![raw(0x8b, b"a")],
            UnknownOpcode,
        ),
        (
            "close of one byte",
            vec![frame(true, OpCode::Close, b"a")],
            InvalidClose,
        ),
    ];
    for (name, stream, violation) in cases {
        check(name, &stream, &[], End::Breaks(violation));
    }
}

#[test]
fn text_has_to_be_utf8() {
    let (t, c) = (OpCode::Text, OpCode::Continuation);
    let surrogate = [0xed, 0xa0, 0x80];
    check("whole", &[frame(true, t, &[0xff])], &[], End::NotUtf8);
    check(
        "surrogate",
        &[frame(true, t, &surrogate)],
        &[],
        End::NotUtf8,
    );
    check("cut off", &[frame(true, t, &[0xc3])], &[], End::NotUtf8);
    check(
        "cut off in the last fragment",
        &[frame(false, t, b"a"), frame(true, c, &[0xc3])],
        &[],
        End::NotUtf8,
    );
    check(
        "close reason",
        &[frame(true, OpCode::Close, &[3, 232, 0xff])],
        &[],
        End::NotUtf8,
    );
}

#[test]
fn closes() {
    let mut rest = Vec::new();
    put_text_masked(&mut rest, b"never read", MASK);
    let with_code = |code: u16| frame(true, OpCode::Close, &code.to_be_bytes());
    for code in [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
        let expected = [close_of(Some(code), "")];
        check(
            "good code",
            &[with_code(code), rest.clone()],
            &expected,
            End::Closed,
        );
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        let end = End::Breaks(Violation::InvalidClose);
        check("bad code", &[with_code(code), rest.clone()], &[], end);
    }
    let empty = frame(true, OpCode::Close, b"");
    check("no code", &[empty], &[close_of(None, "")], End::Closed);
    let mut reason = Vec::new();
    put_close_masked(&mut reason, 1008, "slow consumer", MASK);
    let expected = [close_of(Some(1008), "slow consumer")];
    check("reason", &[reason], &expected, End::Closed);
    check(
        "inside a fragmented message",
        &[frame(false, OpCode::Text, b"a"), with_code(1001)],
        &[close_of(Some(1001), "")],
        End::Closed,
    );
}

#[test]
fn a_client_refuses_masked_frames() {
    let mut stream = Vec::new();
    put_text(&mut stream, "é".as_bytes());
    put_text_masked(&mut stream, "é".as_bytes(), MASK);
    let reader = MessageReader::client(Pieces::new([stream]), LIMIT);
    let (messages, error) = run(read_all(reader));
    assert_eq!(messages, [text("é")]);
    assert_eq!(End::of(&error), End::Breaks(Violation::Masked));
}

#[test]
fn the_limit_can_be_raised_between_messages() {
    let mut stream = Vec::new();
    put_text_masked(&mut stream, &[b'x'; 10], MASK);
    put_text_masked(&mut stream, &[b'x'; 11], MASK);
    run(async {
        let mut reader = MessageReader::server(Pieces::new([stream]), 10);
        assert!(reader.next().await.is_ok());
        reader.set_limit(11);
        assert!(reader.next().await.is_ok());
    });
}

#[test]
fn a_dropped_call_ends_the_reader() {
    let mut stream = Vec::new();
    put_pong_masked(&mut stream, b"", MASK);
    run(async {
        let mut reader = MessageReader::server(Pieces::new([stream]), LIMIT);
        let mut call = Box::pin(reader.next());
        let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(call);
        assert!(matches!(reader.next().await, Err(ReadError::Ended)));
    });
}

#[test]
fn unfragmented_payloads_are_views_of_the_read_buffer() {
    let mut stream = Vec::new();
    put_frame(&mut stream, true, OpCode::Binary, &[1; 40], Some(MASK));
    put_frame(&mut stream, true, OpCode::Binary, &[2; 40], Some(MASK));
    run(async {
        let mut reader = MessageReader::server(Pieces::new([stream]), LIMIT);
        let mut next = async || match reader.next().await {
            Ok(Incoming::Binary(bytes)) => bytes,
            other => panic!("{other:?}"),
        };
        let (first, second) = (next().await, next().await);
        let head = 2 + MASK.len();
        assert_eq!(first.as_ptr().wrapping_add(40 + head), second.as_ptr());
    });
}

/// The buffer that waits for the next message after one of `len` bytes, which has been dropped
/// or not.
fn idle_buffer_after(len: usize, trailing: &[u8]) -> usize {
    let mut stream = Vec::new();
    put_frame(&mut stream, true, OpCode::Binary, &vec![1; len], Some(MASK));
    stream.extend_from_slice(trailing);
    let pieces = Pieces::new([stream]);
    let widest = Arc::clone(&pieces.widest);
    run(async {
        let mut reader = MessageReader::server(pieces, 1 << 20);
        drop(reader.next().await.unwrap());
        assert!(matches!(reader.next().await, Err(ReadError::Eof)));
        // What the last read could have taken, plus what was left over before it.
        widest.load(Ordering::Relaxed) + trailing.len()
    })
}

#[test]
fn a_large_message_does_not_leave_a_large_buffer() {
    assert!(idle_buffer_after(100, b"") <= 8192);
    assert!(idle_buffer_after(KEEP_BUFFER_UP_TO, b"") <= 2 * KEEP_BUFFER_UP_TO);
    assert_eq!(idle_buffer_after(KEEP_BUFFER_UP_TO + 1, b""), 8192);
    assert_eq!(idle_buffer_after(1 << 20, b""), 8192);
    // The first bytes of the next frame are in the buffer: it may not be replaced.
    assert!(idle_buffer_after(1 << 20, &[0x81]) > 0);
}

/// Whether a reader that has had `sent` leaves its parser, after as many messages as `calls`, and if `is_waiting` in
/// the middle of waiting for another.
fn leaves_parser(sent: &[u8], calls: usize, is_waiting: bool) -> bool {
    let pieces = Pieces::new([sent.to_vec()]);
    run(async {
        let mut reader = MessageReader::server(pieces, 1 << 20);
        for _ in 0..calls {
            let _ = reader.next().await;
        }
        if is_waiting {
            let mut next = std::pin::pin!(reader.next());
            let mut is_pending = |cx: &mut Context<'_>| next.as_mut().poll(cx).is_pending();
            assert!(std::future::poll_fn(|cx| Poll::Ready(is_pending(cx))).await);
        }
        let (stream, spare) = reader.into_parts();
        assert!(stream.is_some());
        spare.is_some()
    })
}

#[test]
fn a_parser_serves_one_stream_after_another() {
    let mut first = Vec::new();
    put_frame(&mut first, true, OpCode::Text, b"first", Some(MASK));
    let mut second = Vec::new();
    put_frame(&mut second, true, OpCode::Text, b"second", Some(MASK));
    run(async {
        let mut reader = MessageReader::server(Pieces::new([first.clone()]), LIMIT);
        assert_eq!(reader.next().await.unwrap(), text("first"));
        let (_, spare) = reader.into_parts();
        let stream = Pieces::new([second.clone(), first.clone()]);
        let mut reader = MessageReader::server_with(spare.unwrap(), stream, LIMIT);
        let meter = reader.meter();
        assert_eq!(reader.next().await.unwrap(), text("second"));
        assert_eq!(meter.taken(), second.len() as u64);
        assert_eq!(reader.next().await.unwrap(), text("first"));
        assert!(matches!(reader.next().await, Err(ReadError::Eof)));
    });
}

#[test]
fn a_parser_is_left_only_empty_and_with_room() {
    let mut whole = Vec::new();
    put_frame(&mut whole, true, OpCode::Text, b"whole", Some(MASK));
    let mut begun = whole.clone();
    begun.push(0x81);
    let mut fragment = Vec::new();
    put_frame(&mut fragment, false, OpCode::Text, b"begun", Some(MASK));
    let mut with_ping = fragment.clone();
    put_frame(&mut with_ping, true, OpCode::Ping, b"", Some(MASK));
    let mut close = Vec::new();
    put_frame(&mut close, true, OpCode::Close, b"", Some(MASK));
    let mut bad_close = Vec::new();
    put_frame(&mut bad_close, true, OpCode::Close, b"x", Some(MASK));
    let of_size = |size: u64| {
        let mut frame = Vec::new();
        let head = 4 + MASK.len();
        let payload = vec![b'x'; usize::try_from(size).unwrap() - head];
        put_frame(&mut frame, true, OpCode::Text, &payload, Some(MASK));
        frame
    };
    for (name, sent, calls, expected) in [
        ("a message", whole.clone(), 1, true),
        ("nothing", whole.clone(), 0, true),
        ("more than was read", begun.clone(), 1, false),
        ("the end", whole.clone(), 2, false),
        ("a fragment", with_ping.clone(), 1, false),
        ("a close", close.clone(), 1, true),
        (
            "more behind a close",
            [close, begun.clone()].concat(),
            1,
            false,
        ),
        ("a close that is none", bad_close, 1, false),
        ("as much as is reused", of_size(REUSE_UP_TO), 1, true),
        ("one byte more", of_size(REUSE_UP_TO + 1), 1, false),
    ] {
        assert_eq!(leaves_parser(&sent, calls, false), expected, "{name}");
    }
    for (name, sent, calls, expected) in [
        ("before the first message", Vec::new(), 0, true),
        ("behind a message", whole, 1, true),
        ("within a frame", begun, 1, false),
        ("within a message", with_ping, 1, false),
    ] {
        assert_eq!(leaves_parser(&sent, calls, true), expected, "{name}");
    }
}

//! What holds for every stream.

use proptest::prelude::*;

use super::*;

/// A message or control frame to be sent, with the places where its text is cut into fragments.
#[derive(Debug, Clone)]
enum Sent {
    Data {
        is_text: bool,
        payload: String,
        cuts: Vec<prop::sample::Index>,
    },
    Control {
        is_ping: bool,
        payload: Vec<u8>,
    },
}

fn sent() -> impl Strategy<Value = Sent> {
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    prop_oneof![
        3 => (any::<bool>(), "[a-zé☃😀]{0,60}", cuts)
            .prop_map(|(is_text, payload, cuts)| Sent::Data { is_text, payload, cuts }),
        1 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..126))
            .prop_map(|(is_ping, payload)| Sent::Control { is_ping, payload }),
    ]
}

impl Sent {
    fn put(&self, buf: &mut Vec<u8>, masks: &mut impl Iterator<Item = Mask>) {
        match self {
            Self::Control { is_ping, payload } => {
                let opcode = if *is_ping { OpCode::Ping } else { OpCode::Pong };
                put_frame(buf, true, opcode, payload, masks.next());
            }
            Self::Data {
                is_text,
                payload,
                cuts,
            } => {
                let bytes = payload.as_bytes();
                let mut ends: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
                ends.push(bytes.len());
                ends.sort_unstable();
                let mut start = 0;
                for (i, end) in ends.iter().enumerate() {
                    let opcode = match (i, is_text) {
                        (0, true) => OpCode::Text,
                        (0, false) => OpCode::Binary,
                        _ => OpCode::Continuation,
                    };
                    let fin = i + 1 == ends.len();
                    put_frame(buf, fin, opcode, &bytes[start..*end], masks.next());
                    start = *end;
                }
            }
        }
    }

    fn expected(&self) -> Incoming {
        match self {
            Self::Data {
                is_text: true,
                payload,
                ..
            } => text(payload),
            Self::Data { payload, .. } => Incoming::Binary(payload.clone().into()),
            Self::Control {
                is_ping: true,
                payload,
            } => Incoming::Ping(payload.clone().into()),
            Self::Control { payload, .. } => Incoming::Pong(payload.clone().into()),
        }
    }
}

proptest! {
    /// Neither fragmentation, nor masks, nor how the bytes arrive changes the messages.
    #[test]
    fn any_split_gives_the_same_messages(
        sent in prop::collection::vec(sent(), 0..8),
        masks in prop::collection::vec(any::<Mask>(), 1..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut stream = Vec::new();
        let mut masks = masks.into_iter().cycle();
        for one in &sent {
            one.put(&mut stream, &mut masks);
        }
        let mut ends: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        let mut start = 0;
        let pieces = Pieces::new(ends.into_iter().map(|end| {
            let piece = stream[start..end].to_vec();
            start = end;
            piece
        }));
        let (got, error) = run(read_all(MessageReader::server(pieces, LIMIT)));
        let expected: Vec<Incoming> = sent.iter().map(Sent::expected).collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!(End::of(&error), End::Eof);
    }

    /// Any bytes at all end in an error or a close, never in a panic or a message over the limit.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (messages, _) = run(read_all(MessageReader::server(Pieces::new([bytes]), 100)));
        for message in messages {
            match message {
                Incoming::Text(text) => prop_assert!(text.len() <= 100),
                Incoming::Binary(bytes) => prop_assert!(bytes.len() <= 100),
                Incoming::Ping(b) | Incoming::Pong(b) => prop_assert!(b.len() <= 125),
                Incoming::Close { reason, .. } => prop_assert!(reason.len() <= 123),
            }
        }
    }
}

//! Three ways from a frame's text to a verdict: the gateway's, one pass of serde without checks, and a JSON tree judged
//! by a JSON Schema validator. Number 1 of the table compares them.

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use jsonschema::Validator;
use openclaw_protocol::call;
use openclaw_protocol::methods::Method;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, json};

/// The schema of the protocol, as the repository publishes it.
const BUNDLE: &str = include_str!("../../../schema/dist/protocol.schema.json");

/// A frame to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Case {
    /// `chat.send` of 123 bytes.
    Chat,
    /// `agent` of about 500 bytes.
    Agent,
    /// `connect` of about 1.9 KB.
    Connect,
    /// `chat.send` of about 20 KB.
    LongChat,
}

/// A way to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Parser {
    /// What the gateway does.
    Gateway,
    /// serde into types with the same members; nothing but types is checked.
    Serde,
    /// `serde_json::Value`, then the schema of the frame and that of the params.
    Tree,
}

impl Case {
    /// All, smallest first.
    pub(crate) const ALL: [Self; 4] = [Self::Chat, Self::Agent, Self::Connect, Self::LongChat];

    /// The frame.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Chat => r#"{"type":"req","id":"17","method":"chat.send","params":{"sessionKey":"main","message":"hello","idempotencyKey":"k-0000017"}}"#.to_owned(),
            Self::LongChat => chat(&"All work and no play makes a dull benchmark. ".repeat(460)),
            Self::Agent => agent(),
            Self::Connect => connect(),
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Chat | Self::LongChat => Method::ChatSend,
            Self::Agent => Method::Agent,
            Self::Connect => Method::Connect,
        }
    }

    fn definition(self) -> &'static str {
        match self {
            Self::Chat | Self::LongChat => "ChatSendParams",
            Self::Agent => "AgentParams",
            Self::Connect => "ConnectParams",
        }
    }
}

impl Parser {
    /// All, the gateway's first.
    pub(crate) const ALL: [Self; 3] = [Self::Gateway, Self::Serde, Self::Tree];
}

fn chat(message: &str) -> String {
    let params = json!({ "sessionKey": "main", "message": message, "idempotencyKey": "k-000018" });
    crate::frames::request("18", "chat.send", &params)
}

fn agent() -> String {
    let params = json!({
        "message": "Look through what came in since yesterday evening, tell me what needs an answer today, \
            and draft one for each of those that can be answered without me. Leave the rest as it is.",
        "agentId": "main",
        "sessionKey": "agent:main:main",
        "thinking": "low",
        "deliver": false,
        "channel": "last",
        "timeout": 600,
        "lane": "main",
        "extraSystemPrompt": "Answer in two sentences.",
        "idempotencyKey": "6e1f7d1c-3d0c-4d57-9d3b-2f5f2f0d7a11",
    });
    crate::frames::request("19", "agent", &params)
}

fn connect() -> String {
    let permission = |i: usize| (format!("permission{i:02}"), json!(i.is_multiple_of(2)));
    let commands = [
        "canvas.present",
        "canvas.hide",
        "canvas.navigate",
        "canvas.eval",
        "canvas.snapshot",
        "camera.snap",
        "camera.clip",
        "screen.record",
        "location.get",
        "system.run",
        "system.which",
        "system.notify",
    ];
    let params = json!({
        "minProtocol": 3,
        "maxProtocol": 3,
        "client": {
            "id": "openclaw-macos",
            "displayName": "Studio in the attic",
            "version": "2026.1.30",
            "platform": "macOS 15.2.0",
            "deviceFamily": "Mac",
            "modelIdentifier": "Mac14,13",
            "mode": "node",
            "instanceId": "3c6b8b9e-52a4-4f0c-8a1d-0f7f1a4f2b90",
        },
        "caps": ["canvas", "camera", "screen", "location", "system"],
        "commands": commands,
        "permissions": (0..34).map(permission).collect::<serde_json::Map<_, _>>(),
        "pathEnv": "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "role": "node",
        "scopes": [],
        "device": {
            "id": "5f".repeat(32),
            "publicKey": "A".repeat(43),
            "signature": "B".repeat(86),
            "signedAt": 1_769_800_000_000_u64,
            "nonce": "0f8fad5b-d9cb-469f-a165-70867728950e",
        },
        "auth": { "token": "c7".repeat(32) },
        "locale": "en-GB",
        "userAgent": "openclaw-macos/2026.1.30 (Macintosh; Intel Mac OS X 15_2_0) AppleWebKit/605.1.15",
    });
    crate::frames::request("1", "connect", &params)
}

/// One way, ready to read one frame over and over.
pub(crate) struct Reader {
    parser: Parser,
    text: String,
    frame: Validator,
    params: Validator,
}

impl Reader {
    /// Prepares, and makes sure that the frame is accepted.
    pub(crate) fn new(case: Case, parser: Parser) -> Result<Self> {
        let text = case.text();
        let bundle: Value = serde_json::from_str(BUNDLE)?;
        let validator = |definition: &str| {
            let schema = json!({
                "$ref": format!("#/definitions/{definition}"),
                "definitions": bundle["definitions"],
            });
            jsonschema::draft7::new(&schema).context("the schema is not valid")
        };
        let reader = Self {
            parser,
            text,
            frame: validator("RequestFrame")?,
            params: validator(case.definition())?,
        };
        let request = call::read_request(&reader.text, Method::from_name);
        let method = request
            .ok()
            .and_then(|request| request.params)
            .map(|call| call.method());
        ensure!(method == Some(case.method()), "{case:?} is refused");
        ensure!(reader.read(), "{case:?} is refused by {parser:?}");
        Ok(reader)
    }

    /// Bytes of the frame.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Reads the frame once. Whether it is accepted.
    pub(crate) fn read(&self) -> bool {
        let text = black_box(self.text.as_str());
        match self.parser {
            Parser::Gateway => black_box(call::read_request(text, Method::from_name)).is_ok(),
            Parser::Serde => black_box(serde_json::from_str::<Unchecked<'_>>(text))
                .is_ok_and(|frame| frame.is_request),
            Parser::Tree => {
                let tree = serde_json::from_str::<Value>(text);
                black_box(tree).is_ok_and(|tree| {
                    self.frame.is_valid(&tree) && self.params.is_valid(&tree["params"])
                })
            }
        }
    }
}

/// A request frame in one pass: params go straight into the type of the method, which comes before them.
struct Unchecked<'a> {
    is_request: bool,
    #[expect(dead_code, reason = "making them is what is measured")]
    parts: (Cow<'a, str>, Cow<'a, str>, Params),
}

#[expect(dead_code, reason = "making them is what is measured")]
enum Params {
    Chat(Box<Chat>),
    Agent(Box<Agent>),
    Connect(Box<Connect>),
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Type,
    Id,
    Method,
    Params,
}

/// A text that is borrowed where it can be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Unchecked<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Frame;
        impl<'de> Visitor<'de> for Frame {
            type Value = Unchecked<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a request frame")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut is_request, mut id, mut method, mut params) = (false, None, None, None);
                while let Some(member) = map.next_key()? {
                    match member {
                        Member::Type => is_request = map.next_value::<Text<'de>>()?.0 == "req",
                        Member::Id => id = Some(map.next_value::<Text<'de>>()?.0),
                        Member::Method => method = Some(map.next_value::<Text<'de>>()?.0),
                        Member::Params => {
                            params = match method.as_deref() {
                                Some("chat.send") => Some(Params::Chat(map.next_value()?)),
                                Some("agent") => Some(Params::Agent(map.next_value()?)),
                                Some("connect") => Some(Params::Connect(map.next_value()?)),
                                _ => map.next_value::<IgnoredAny>().map(|_| None)?,
                            };
                        }
                    }
                }
                let missing = || A::Error::custom("not a request frame");
                let parts = (
                    id.ok_or_else(missing)?,
                    method.ok_or_else(missing)?,
                    params.ok_or_else(missing)?,
                );
                Ok(Unchecked { is_request, parts })
            }
        }
        deserializer.deserialize_map(Frame)
    }
}

mod unchecked;
use unchecked::{Agent, Chat, Connect};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_sizes_that_are_printed() {
        for (case, least, most) in [
            (Case::Chat, 123, 123),
            (Case::Agent, 450, 550),
            (Case::Connect, 1850, 1950),
            (Case::LongChat, 20_000, 21_000),
        ] {
            let len = case.text().len();
            assert!((least..=most).contains(&len), "{case:?}: {len}");
        }
    }

    #[test]
    fn every_parser_accepts_every_frame() {
        for case in Case::ALL {
            for parser in Parser::ALL {
                assert!(
                    Reader::new(case, parser).unwrap().read(),
                    "{case:?}, {parser:?}"
                );
            }
        }
    }
}

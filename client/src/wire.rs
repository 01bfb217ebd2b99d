//! Frames as text: requests out, responses and events in.
//!
//! The generated frame types hold payloads as JSON trees. These hold them as text, so that each is
//! parsed once, into the type that the caller asks for; tests hold them against the schema.

use std::borrow::Cow;

use openclaw_protocol::types::{
    ErrorShape, EventFrameType, RequestFrameType, ResponseFrameType, StateVersion,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The text of a request frame.
pub(crate) fn request<P>(id: &str, method: &str, params: &P) -> serde_json::Result<String>
where
    P: Serialize + ?Sized,
{
    #[derive(Serialize)]
    struct Frame<'a, P: ?Sized> {
        #[serde(rename = "type")]
        kind: RequestFrameType,
        id: &'a str,
        method: &'a str,
        params: &'a P,
    }
    let kind = RequestFrameType::Req;
    serde_json::to_string(&Frame {
        kind,
        id,
        method,
        params,
    })
}

/// A frame from the gateway.
#[derive(Debug)]
pub(crate) enum Inbound<'a> {
    Response {
        id: String,
        response: Response,
    },
    Event {
        name: String,
        /// `None` when it is absent or `null`.
        payload: Option<&'a RawValue>,
        seq: Option<u64>,
        state_version: Option<StateVersion>,
    },
}

/// What a response says.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) ok: bool,
    pub(crate) payload: Option<Box<RawValue>>,
    pub(crate) error: Option<ErrorShape>,
}

/// Reads a frame of the gateway. Members that are not known are skipped: a newer gateway may send
/// them. `None` for what is no such frame, which clients ignore (contract 12).
pub(crate) fn read(text: &str) -> Option<Inbound<'_>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Frame<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        id: Option<String>,
        ok: Option<bool>,
        event: Option<String>,
        #[serde(borrow)]
        payload: Option<&'a RawValue>,
        error: Option<ErrorShape>,
        seq: Option<u64>,
        state_version: Option<StateVersion>,
    }
    let frame: Frame<'_> = serde_json::from_str(text).ok()?;
    if frame.kind == ResponseFrameType::Res.as_str() {
        return Some(Inbound::Response {
            id: frame.id?,
            response: Response {
                ok: frame.ok?,
                payload: frame.payload.map(RawValue::to_owned),
                error: frame.error,
            },
        });
    }
    if frame.kind == EventFrameType::Event.as_str() {
        return Some(Inbound::Event {
            name: frame.event?,
            payload: frame.payload,
            seq: frame.seq,
            state_version: frame.state_version,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::rt::{SecretValue, accepts};
    use openclaw_protocol::tables;
    use openclaw_protocol::types::{EventFrame, RequestFrame, ResponseFrame};
    use serde_json::{Value, json};

    use super::*;

    /// The examples of a definition in the schema.
    fn examples(definition: &str) -> impl Iterator<Item = &'static str> {
        let found = openclaw_protocol::examples::ALL
            .iter()
            .find(|examples| examples.definition == definition);
        found.unwrap().valid.iter().copied()
    }

    fn value(payload: Option<&RawValue>) -> Option<Value> {
        payload.map(|p| serde_json::from_str(p.get()).unwrap())
    }

    #[test]
    fn requests_are_what_the_schema_says() {
        for params in [json!({}), json!({"a": "é\n"}), Value::Null] {
            let text = request("7", "health", &params).unwrap();
            assert!(accepts(&tables::REQUEST_FRAME, &text), "{text}");
            let frame: RequestFrame = serde_json::from_str(&text).unwrap();
            assert_eq!((&*frame.id, &*frame.method), ("7", "health"));
            assert_eq!(frame.params.unwrap_or_default().into_exposed(), params);
        }
    }

    #[test]
    fn responses_are_read_as_the_generated_type_reads_them() {
        for text in examples("ResponseFrame") {
            let expected: ResponseFrame = serde_json::from_str(text).unwrap();
            let Some(Inbound::Response { id, response }) = read(text) else {
                panic!("{text}");
            };
            assert_eq!(id, &*expected.id);
            assert_eq!(response.ok, expected.ok);
            assert_eq!(response.error, expected.error);
            let expected = expected.payload.map(SecretValue::into_exposed);
            let expected = expected.filter(|payload| !payload.is_null());
            assert_eq!(value(response.payload.as_deref()), expected);
        }
    }

    #[test]
    fn events_are_read_as_the_generated_type_reads_them() {
        for text in examples("EventFrame") {
            let expected: EventFrame = serde_json::from_str(text).unwrap();
            match read(text) {
                Some(Inbound::Event {
                    name,
                    payload,
                    seq,
                    state_version,
                }) => {
                    assert_eq!(name, &*expected.event);
                    assert_eq!(value(payload), expected.payload);
                    assert_eq!(seq, expected.seq);
                    assert_eq!(state_version, expected.state_version);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_frame_of_a_gateway_is_ignored() {
        let cases = [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":"res"}"#,
            r#"{"type":"res","id":"1"}"#,
            r#"{"type":"res","id":5,"ok":true}"#,
            r#"{"type":"event"}"#,
            r#"{"type":"event","event":"tick","seq":-1}"#,
            r#"{"type":"req","id":"1","method":"health"}"#,
            r#"{"type":"later","id":"1","ok":true,"event":"x"}"#,
            r#"{"id":"1","ok":true}"#,
        ];
        for text in cases {
            assert!(read(text).is_none(), "{text}");
        }
        assert!(read(r#"{"later":1,"ok":true,"id":"1","type":"res"}"#).is_some());
    }
}

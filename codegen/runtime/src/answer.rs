//! Answers to requests: two-stage results and the text of response frames.
//!
//! Handlers return [`Staged`] and [`Failure`]; generated dispatch turns them into
//! an [`Answer`], which the connection writes (contract 3, response frames).

use std::future::Future;
use std::pin::Pin;

use serde::{Serialize, Serializer};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The payload type of failures that carry none: it has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPayload {}

impl Serialize for NoPayload {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

/// Why a request failed, as its response says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure<E, X = NoPayload> {
    /// The `error` member.
    pub error: E,
    /// The `payload` member, which a few methods send beside the error.
    pub payload: Option<X>,
}

impl<E, X> From<E> for Failure<E, X> {
    fn from(error: E) -> Self {
        Self {
            error,
            payload: None,
        }
    }
}

/// What a method with a two-stage result returns: `A` first, later `F`.
pub enum Staged<A, F, E, X = NoPayload> {
    /// Only the first response; no final one follows.
    First(A),
    /// The final response at once.
    Final(Result<F, Failure<E, X>>),
    /// The first response now, the final one under the same id when it is there.
    Both {
        /// Sent at once.
        first: A,
        /// Sent when it completes.
        then: BoxFuture<'static, Result<F, Failure<E, X>>>,
    },
}

/// The frame texts that answer one request.
pub enum Answer {
    /// One response.
    One(Vec<u8>),
    /// A response now and another with the same id later.
    Two {
        /// Sent at once.
        first: Vec<u8>,
        /// Sent when it completes.
        then: BoxFuture<'static, Vec<u8>>,
    },
}

/// Room for the envelope and a small payload, so that most replies allocate once.
const FRAME_CAPACITY: usize = 256;

/// What follows the id when a reply cannot be written as JSON. It takes a map with
/// keys that are not strings or a failing hand-written `Serialize`, a defect of ours.
const UNWRITABLE: &[u8] =
    br#","ok":false,"error":{"code":"UNAVAILABLE","message":"the reply could not be written"}}"#;

/// The text `{"type":"res","id":…,"ok":true,"payload":…}`.
///
/// A payload that does not serialise becomes an `UNAVAILABLE` error response.
/// `id` is a string but for requests whose own id was not one.
pub fn ok_frame(id: &(impl Serialize + ?Sized), payload: &(impl Serialize + ?Sized)) -> Vec<u8> {
    frame(id, |text| {
        text.extend_from_slice(br#","ok":true,"payload":"#);
        serde_json::to_writer(text, payload)
    })
}

/// The text `{"type":"res","id":…,"ok":false,"payload":…,"error":…}`, without
/// `payload` where there is none.
///
/// An error or payload that does not serialise becomes an `UNAVAILABLE` error
/// response. `id` is a string but for requests whose own id was not one.
pub fn error_frame(
    id: &(impl Serialize + ?Sized),
    error: &(impl Serialize + ?Sized),
    payload: Option<&(impl Serialize + ?Sized)>,
) -> Vec<u8> {
    frame(id, |text| {
        text.extend_from_slice(br#","ok":false"#);
        if let Some(payload) = payload {
            text.extend_from_slice(br#","payload":"#);
            serde_json::to_writer(&mut *text, payload)?;
        }
        text.extend_from_slice(br#","error":"#);
        serde_json::to_writer(text, error)
    })
}

fn frame(
    id: &(impl Serialize + ?Sized),
    rest: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Vec<u8> {
    let mut text = Vec::with_capacity(FRAME_CAPACITY);
    text.extend_from_slice(br#"{"type":"res","id":"#);
    let id_start = text.len();
    if serde_json::to_writer(&mut text, id).is_err() {
        text.truncate(id_start);
        text.extend_from_slice(br#""invalid""#);
    }
    let id_end = text.len();
    if rest(&mut text).is_ok() {
        text.push(b'}');
    } else {
        text.truncate(id_end);
        text.extend_from_slice(UNWRITABLE);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Fails to serialise after it has written something.
    fn unwritable() -> BTreeMap<Vec<u8>, u8> {
        BTreeMap::from([(vec![1], 1)])
    }

    fn check(frame: Vec<u8>, expected: &str) {
        assert_eq!(String::from_utf8(frame).unwrap(), expected);
    }

    #[test]
    fn response_texts() {
        check(
            ok_frame("A-1", &[1, 2]),
            r#"{"type":"res","id":"A-1","ok":true,"payload":[1,2]}"#,
        );
        check(
            ok_frame("quote\" \n é", &()),
            r#"{"type":"res","id":"quote\" \n é","ok":true,"payload":null}"#,
        );
        check(
            error_frame("A-1", &["e"], None::<&NoPayload>),
            r#"{"type":"res","id":"A-1","ok":false,"error":["e"]}"#,
        );
        check(
            error_frame("A-1", &["e"], Some(&1)),
            r#"{"type":"res","id":"A-1","ok":false,"payload":1,"error":["e"]}"#,
        );
        // A request whose id was no string gets it back as it was.
        check(
            error_frame(&7, "e", None::<&NoPayload>),
            r#"{"type":"res","id":7,"ok":false,"error":"e"}"#,
        );
    }

    #[test]
    fn what_cannot_be_written_becomes_an_error() {
        let expected = r#"{"type":"res","id":"A-1","ok":false,"error":{"code":"UNAVAILABLE","message":"the reply could not be written"}}"#;
        check(ok_frame("A-1", &unwritable()), expected);
        check(ok_frame("A-1", &("partly", unwritable())), expected);
        check(
            error_frame("A-1", &unwritable(), None::<&NoPayload>),
            expected,
        );
        check(error_frame("A-1", "e", Some(&unwritable())), expected);
        check(
            ok_frame(&unwritable(), &1),
            r#"{"type":"res","id":"invalid","ok":true,"payload":1}"#,
        );
    }

    #[test]
    fn an_error_alone_is_a_failure_without_payload() {
        let failure: Failure<&str> = "e".into();
        assert_eq!(failure.error, "e");
        assert!(failure.payload.is_none());
    }
}

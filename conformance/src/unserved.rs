//! Methods that a gateway does not serve yet. A gateway may be tested before it has all of the protocol: it leaves such a
//! method out of hello-ok and answers it with the one error that means it. Such an answer stands for the recorded one, and the
//! report names the method, so that a session tests all the rest of what it recorded.
//!
//! What hello-ok offers is the gateway's own list; nothing about a gateway is written down here.

use std::collections::BTreeSet;

use serde_json::Value;

/// What the error says after the method's name (`errors.methodUnfinished` of the schema).
const NOT_THERE: &str = " is not available in this version of the gateway";

/// The methods that hello-ok offered on a connection; none while there was no hello-ok.
#[derive(Debug, Clone, Default)]
pub struct Offered(Option<BTreeSet<String>>);

impl Offered {
    /// Notes a frame of the connection.
    pub fn note(&mut self, frame: &Value) {
        let is_hello = frame
            .pointer("/payload/type")
            .is_some_and(|t| t == "hello-ok");
        if !is_hello {
            return;
        }
        let methods = frame.pointer("/payload/features/methods");
        let methods = methods.and_then(Value::as_array).into_iter().flatten();
        let names = methods.filter_map(Value::as_str).map(str::to_owned);
        self.0 = Some(names.collect());
    }

    /// The method that an answer (`label` is `res <method>`) says is not served, if hello-ok said so too.
    pub fn unserved<'a>(&self, label: &'a str, answer: &Value) -> Option<&'a str> {
        let method = label.strip_prefix("res ")?;
        let is_refused = answer.get("ok").is_some_and(|ok| ok == false);
        let error = answer.get("error")?;
        let words = error.get("message")?.as_str()?.strip_prefix(method)?;
        let means_it = is_refused
            && words == NOT_THERE
            && error.get("code").is_some_and(|code| code == "UNAVAILABLE");
        let is_left_out = self.0.as_ref().is_some_and(|names| !names.contains(method));
        (means_it && is_left_out).then_some(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openclaw_protocol::protocol::errors;
    use serde_json::json;

    #[test]
    fn only_the_answer_that_means_it_counts() {
        let hello = json!({"type": "res", "ok": true, "payload": {"type": "hello-ok", "features": {"methods": ["health"]}}});
        let answer = |method: &str| {
            let error = errors::METHOD_UNFINISHED.with(&[("method", method)]);
            json!({"type": "res", "id": "1", "ok": false, "error": error})
        };
        let with = |pointer: &str, value: Value| {
            let mut answer = answer("tts.status");
            *answer.pointer_mut(pointer).unwrap() = value;
            answer
        };
        for (frames, label, answer, unserved) in [
            (
                &[&hello][..],
                "res tts.status",
                answer("tts.status"),
                Some("tts.status"),
            ),
            // Offered, but not served.
            (&[&hello], "res health", answer("health"), None),
            // Another method's answer, another error, no answer.
            (&[&hello], "res tts.status", answer("tts.enable"), None),
            (
                &[&hello],
                "res tts.status",
                with("/error/code", json!("INVALID_REQUEST")),
                None,
            ),
            (
                &[&hello],
                "res tts.status",
                with("/error/message", json!("tts.status failed")),
                None,
            ),
            (&[&hello], "res tts.status", with("/ok", json!(true)), None),
            (&[&hello], "event tts.status", answer("tts.status"), None),
            (&[], "res tts.status", answer("tts.status"), None),
        ] {
            let mut offered = Offered::default();
            frames.iter().for_each(|frame| offered.note(frame));
            assert_eq!(
                offered.unserved(label, &answer),
                unserved,
                "{label} {answer}"
            );
        }
    }
}

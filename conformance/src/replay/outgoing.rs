//! What a client sends: the recorded text with today's ids, times, signature, paths and ports in it. Everything else of the
//! text, the order of its keys included, stays as it was.

use serde_json::Value;

use crate::binding::Binder;
use crate::keys::{SignedWith, TestKeys};

/// The home folder of the recorded gateway.
const RECORDED_HOME: &str = "/home/user";
/// Its port.
const RECORDED_PORT: u16 = 18789;
/// Port of the model server of the recordings.
const RECORDED_MODEL_PORT: u16 = 18999;
/// Names under which a gateway is reached.
const HOSTS: [&str; 5] = [
    "127.0.0.1",
    "localhost",
    "[::1]",
    "gateway.example",
    "ts.net",
];
/// Numbers from here on are times of day in milliseconds (July 2017 and later).
const EARLIEST_TIME_MS: u64 = 1_500_000_000_000;
/// Digits of a time of day in milliseconds, from 2001 to 2286.
const TIME_DIGITS: usize = 13;

/// What a gateway calls by other names than the recorded one: its home folder and its ports.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Own name, recorded name; longest own name first.
    pairs: Vec<(String, String)>,
}

impl Names {
    /// For a gateway with this home folder and these ports.
    pub fn new(home: Option<&str>, port: u16, model_port: Option<u16>) -> Self {
        let mut pairs = vec![(
            format!("\"port\":{port}"),
            format!("\"port\":{RECORDED_PORT}"),
        )];
        for escaped in ["port\\\": ", "port\\\":"] {
            pairs.push((
                format!("{escaped}{port}"),
                format!("{escaped}{RECORDED_PORT}"),
            ));
        }
        pairs.extend(HOSTS.map(|h| (format!("{h}:{port}"), format!("{h}:{RECORDED_PORT}"))));
        pairs.extend(home.map(|home| (home.to_owned(), RECORDED_HOME.to_owned())));
        pairs.extend(model_port.map(|port| {
            (
                format!("127.0.0.1:{port}"),
                format!("127.0.0.1:{RECORDED_MODEL_PORT}"),
            )
        }));
        pairs.sort_by_key(|(own, _)| std::cmp::Reverse(own.len()));
        Self { pairs }
    }

    /// A text of the gateway as the recorded one would have said it.
    pub fn to_recorded(&self, text: &str) -> String {
        let replace = |text: String, (own, recorded): &(String, String)| {
            if text.contains(own.as_str()) {
                text.replace(own, recorded)
            } else {
                text
            }
        };
        self.pairs.iter().fold(text.to_owned(), replace)
    }

    /// A recorded text of a client as this gateway has to get it.
    pub fn to_own(&self, text: &str) -> String {
        let replace = |text: String, (own, recorded): &(String, String)| {
            if text.contains(recorded.as_str()) {
                text.replace(recorded, own)
            } else {
                text
            }
        };
        self.pairs.iter().fold(text.to_owned(), replace)
    }
}

/// What is different today.
pub(super) struct Today<'a> {
    pub(super) names: &'a Names,
    pub(super) binder: &'a Binder,
    pub(super) keys: &'a TestKeys,
    /// Milliseconds from the moment in the recording to now.
    pub(super) shift_ms: Option<i64>,
    /// Recorded and actual shared secret, where they differ.
    pub(super) token: Option<(&'a str, &'a str)>,
}

/// The text to send today for the recorded `text`.
pub(super) fn outgoing(text: &str, sign: Option<&SignedWith>, today: &Today<'_>) -> String {
    let mut text = today.names.to_own(text);
    for (recorded, actual) in today.binder.substitutions() {
        if text.contains(recorded) {
            text = text.replace(recorded, actual);
        }
    }
    if let Some((recorded, actual)) = today.token {
        let quoted = |token: &str| format!("\"token\":{}", Value::from(token));
        text = text.replace(&quoted(recorded), &quoted(actual));
    }
    if let Some(shift) = today.shift_ms {
        text = shifted(&text, shift);
    }
    sign.and_then(|with| signed(&text, with, today.keys))
        .unwrap_or(text)
}

fn signed(text: &str, with: &SignedWith, keys: &TestKeys) -> Option<String> {
    let frame: Value = serde_json::from_str(text).ok()?;
    let params = frame.get("params")?;
    let recorded = params.pointer("/device/signature")?.as_str()?;
    Some(text.replace(recorded, &keys.sign(params, with)?))
}

/// Moves every number that is a time of day.
fn shifted(text: &str, shift_ms: i64) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut kept, mut at) = (0, 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let digits = bytes[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let is_value = at > 0 && matches!(bytes[at - 1], b':' | b',' | b'[');
        let time = text[at..at + digits]
            .parse::<u64>()
            .ok()
            .filter(|n| *n >= EARLIEST_TIME_MS);
        if let (true, TIME_DIGITS, Some(time)) = (is_value, digits, time) {
            out.push_str(&text[kept..at]);
            out.push_str(&time.saturating_add_signed(shift_ms).to_string());
            kept = at + digits;
        }
        at += digits;
    }
    out.push_str(&text[kept..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SignatureVersion;
    use std::path::Path;

    fn keys() -> TestKeys {
        TestKeys::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("keys.json")).unwrap()
    }

    #[test]
    fn names_go_both_ways() {
        let names = Names::new(Some("/tmp/x"), 4000, Some(4001));
        for (own, recorded) in [
            (
                r#"{"path":"/tmp/x/.openclaw"}"#,
                r#"{"path":"/home/user/.openclaw"}"#,
            ),
            ("http://127.0.0.1:4000", "http://127.0.0.1:18789"),
            ("http://127.0.0.1:4001/v1", "http://127.0.0.1:18999/v1"),
            (r#"{"port":4000}"#, r#"{"port":18789}"#),
            (
                r#"{"raw":"{\"port\": 4000}"}"#,
                r#"{"raw":"{\"port\": 18789}"}"#,
            ),
            ("nothing", "nothing"),
        ] {
            assert_eq!(names.to_recorded(own), recorded);
            assert_eq!(names.to_own(recorded), own);
        }
    }

    #[test]
    fn only_times_of_day_are_moved() {
        for (text, expected) in [
            (
                r#"{"atMs":1795403127752,"n":5}"#,
                r#"{"atMs":1795403127762,"n":5}"#,
            ),
            (
                r#"[1795403127752,1795403127753]"#,
                r#"[1795403127762,1795403127763]"#,
            ),
            (r#"{"s":"at 1795403127752"}"#, r#"{"s":"at 1795403127752"}"#),
            (
                r#"{"n":1495403127752,"m":17954031277521}"#,
                r#"{"n":1495403127752,"m":17954031277521}"#,
            ),
        ] {
            assert_eq!(shifted(text, 10), expected);
        }
    }

    #[test]
    fn ids_secret_and_signature_are_of_today() {
        let keys = keys();
        let with = SignedWith {
            key: "alpha".into(),
            version: SignatureVersion::V2,
            scopes: vec![],
        };
        let frame = |nonce: &str, token: &str, at: u64, signature: &str| {
            format!(
                r#"{{"params":{{"z":1,"client":{{"id":"cli","mode":"cli"}},"auth":{{"token":"{token}"}},"device":{{"publicKey":"_z0O0WMGnyks_8TYty4TYzoWBM9svAOTmWDi-cvVlms","signature":"{signature}","signedAt":{at},"nonce":"{nonce}"}}}}}}"#
            )
        };
        let mut binder = Binder::default();
        binder
            .bind("nonce", "recorded-nonce", "todays-nonce")
            .unwrap();
        let (names, token) = (Names::default(), Some(("tok", "secret")));
        let today = Today {
            names: &names,
            binder: &binder,
            keys: &keys,
            shift_ms: Some(1000),
            token,
        };
        let sent = outgoing(
            &frame("recorded-nonce", "tok", 1_795_403_127_752, "old"),
            Some(&with),
            &today,
        );
        let value: Value = serde_json::from_str(&sent).unwrap();
        let signature = value["params"]["device"]["signature"].as_str().unwrap();
        assert_eq!(
            sent,
            frame("todays-nonce", "secret", 1_795_403_128_752, signature)
        );
        assert_eq!(keys.how_signed(&value["params"]), Some(with));
        let broken = outgoing(&frame("n", "tok", 5, "old"), None, &today);
        assert_eq!(
            broken,
            frame("n", "secret", 5, "old"),
            "a wrong signature stays wrong"
        );
    }
}

//! The ledger: what replies used, added up by quarter of an hour and model. A reply is entered by the write that stores it, so
//! that `usage.cost` reads a few records instead of all transcripts, and what was spent stays known when a conversation is
//! cut or deleted.
//!
//! A quarter of an hour, because every time zone of today begins its days at one. A ledger grows by a record for each
//! quarter in which a model answered, far slower than the transcripts beside it.

use std::ops::ControlFlow;

use serde::{Deserialize, Deserializer, Serialize};

use crate::agent::backend::Usage;
use crate::hex::sha256_hex;
use crate::store::{Reader, StoreError, Table, Writer};

/// Time that one record covers.
pub(super) const QUARTER_MS: u64 = 15 * 60 * 1000;
/// Longest name of a model that is part of a record's key as it is; names come from the configuration and from imported
/// files.
const MAX_STORED_NAME: usize = 128;

/// What a model used in one quarter of an hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spent {
    /// Who answered.
    pub(super) provider: String,
    /// Which of its models.
    pub(super) model: String,
    /// Tokens by kind.
    pub(super) tokens: Usage,
    /// All tokens, as the provider counts them.
    pub(super) total: u64,
    /// What the replies with a known price cost.
    pub(super) cost: f64,
    /// Replies without one.
    pub(super) unpriced: u64,
    /// Their tokens, which are part of `tokens` too.
    pub(super) unpriced_tokens: Usage,
}

/// What a stored reply used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    role: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    model: String,
    timestamp: u64,
    usage: Used,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    #[serde(flatten)]
    tokens: Usage,
    total_tokens: Option<u64>,
    cost: Option<UsedCost>,
}

#[derive(Debug, Deserialize)]
struct UsedCost {
    total: Option<f64>,
}

impl Reply {
    /// Of a message in the shape of transcripts. None if it is no reply, or tells not what it used.
    pub fn of<'de>(message: impl Deserializer<'de>) -> Option<Self> {
        let reply = Self::deserialize(message).ok()?;
        (reply.role == "assistant" && reply.total() > 0).then_some(reply)
    }

    fn total(&self) -> u64 {
        let Used {
            tokens,
            total_tokens,
            ..
        } = &self.usage;
        total_tokens.unwrap_or_else(|| tokens.total())
    }
}

/// Enters a reply.
///
/// # Errors
/// Whatever the store says; a damaged record begins anew.
pub fn enter(writer: &mut Writer<'_>, reply: &Reply) -> Result<(), StoreError> {
    let key = key(reply.timestamp / QUARTER_MS, &reply.provider, &reply.model);
    let mut spent = match writer.get::<Spent>(Table::Usage, &key) {
        Ok(found) => found.unwrap_or_default(),
        Err(StoreError::Damaged { .. }) => Spent::default(),
        Err(other) => return Err(other),
    };
    spent.provider.clone_from(&reply.provider);
    spent.model.clone_from(&reply.model);
    let tokens = &reply.usage.tokens;
    add(&mut spent.tokens, tokens);
    spent.total = spent.total.saturating_add(reply.total());
    let price = reply.usage.cost.as_ref().and_then(|cost| cost.total);
    match price.filter(|price| price.is_finite() && *price >= 0.0) {
        Some(price) => spent.cost += price,
        None => {
            spent.unpriced += 1;
            add(&mut spent.unpriced_tokens, tokens);
        }
    }
    writer.put(Table::Usage, &key, &spent)
}

/// Visits what was spent from the quarter of an hour on that holds `since_ms`, newest first, each with the beginning of its
/// quarter.
pub(super) fn visit(
    reader: &Reader<'_>,
    since_ms: u64,
    mut each: impl FnMut(u64, Spent),
) -> Result<(), StoreError> {
    let first = since_ms / QUARTER_MS;
    reader.scan_back(Table::Usage, &[], |key, spent| {
        let quarter = key
            .first_chunk()
            .map_or(0, |quarter| u64::from_be_bytes(*quarter));
        if quarter < first {
            return ControlFlow::Break(());
        }
        each(quarter * QUARTER_MS, spent);
        ControlFlow::Continue(())
    })
}

/// Adds tokens; foreign transcripts hold any numbers.
pub(super) fn add(sum: &mut Usage, more: &Usage) {
    for (sum, more) in [
        (&mut sum.input, more.input),
        (&mut sum.output, more.output),
        (&mut sum.cache_read, more.cache_read),
        (&mut sum.cache_write, more.cache_write),
    ] {
        *sum = sum.saturating_add(more);
    }
}

fn key(quarter: u64, provider: &str, model: &str) -> Vec<u8> {
    let name = format!("{provider}/{model}");
    let mut key = quarter.to_be_bytes().to_vec();
    if name.len() <= MAX_STORED_NAME {
        key.extend_from_slice(name.as_bytes());
    } else {
        key.extend_from_slice(sha256_hex(&name).as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, WriteError};
    use serde_json::{Value, json};

    async fn enter_all(store: &Store, messages: &[Value]) {
        let replies: Vec<Reply> = messages.iter().filter_map(Reply::of).collect();
        let entered: Result<(), WriteError<StoreError>> = store
            .write(move |writer| replies.iter().try_for_each(|reply| enter(writer, reply)))
            .await;
        entered.map_err(|error| error.to_string()).unwrap();
    }

    fn spent(store: &Store, since_ms: u64) -> Vec<(u64, Spent)> {
        let mut all = Vec::new();
        store
            .read(|reader| visit(reader, since_ms, |at, spent| all.push((at, spent))))
            .unwrap();
        all
    }

    #[test]
    fn only_replies_that_tell_what_they_used_count() {
        let reply = json!({"role": "assistant", "timestamp": 5, "usage": {"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0}});
        let with = |name: &str, value: Value| {
            let mut reply = reply.clone();
            reply[name] = value;
            reply
        };
        let no_tokens =
            json!({"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 0});
        for (message, total) in [
            (reply.clone(), Some(3)),
            (
                with(
                    "usage",
                    json!({"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 9}),
                ),
                Some(9),
            ),
            (
                with("usage", json!({"input": 1, "totalTokens": 4})),
                Some(4),
            ),
            (with("usage", no_tokens), None),
            (with("usage", json!({"input": -1})), None),
            (with("usage", Value::Null), None),
            (with("role", json!("user")), None),
            (with("timestamp", json!("yesterday")), None),
            (json!("text"), None),
        ] {
            let found = Reply::of(&message).map(|reply| reply.total());
            assert_eq!(found, total, "{message}");
        }
    }

    #[tokio::test]
    async fn replies_add_up_by_quarter_and_model() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let long = "m".repeat(600);
        let reply = |at: u64, model: &str, cost: Value| {
            json!({"role": "assistant", "provider": "p", "model": model, "timestamp": at, "usage": {
                "input": 10, "output": 5, "cacheRead": 2, "cacheWrite": 1, "totalTokens": 18, "cost": cost
            }})
        };
        let priced = |total: f64| json!({"total": total});
        enter_all(
            &store,
            &[
                reply(0, "a", priced(0.5)),
                reply(QUARTER_MS - 1, "a", priced(0.25)),
                reply(QUARTER_MS - 1, "a", Value::Null),
                reply(QUARTER_MS, "a", priced(-1.0)),
                reply(QUARTER_MS, &long, priced(0.0)),
            ],
        )
        .await;
        let one = Usage {
            input: 10,
            output: 5,
            cache_read: 2,
            cache_write: 1,
        };
        let of = |model: &str, times: u64, cost: f64, unpriced: u64| {
            let tokens = |times: u64| Usage {
                input: one.input * times,
                output: one.output * times,
                cache_read: one.cache_read * times,
                cache_write: one.cache_write * times,
            };
            Spent {
                provider: "p".into(),
                model: model.into(),
                tokens: tokens(times),
                total: 18 * times,
                cost,
                unpriced,
                unpriced_tokens: tokens(unpriced),
            }
        };
        let mut found = spent(&store, 0);
        found.sort_by_key(|(at, spent)| (*at, spent.model.len()));
        let expected = [
            (0, of("a", 3, 0.75, 1)),
            (QUARTER_MS, of("a", 1, 0.0, 1)),
            (QUARTER_MS, of(&long, 1, 0.0, 0)),
        ];
        assert_eq!(found, expected);
        for (since, records) in [(QUARTER_MS - 1, 3), (QUARTER_MS, 2), (2 * QUARTER_MS, 0)] {
            assert_eq!(spent(&store, since).len(), records, "{since}");
        }
    }
}

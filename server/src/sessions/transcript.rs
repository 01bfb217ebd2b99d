//! Transcripts: the messages of a session in order, one record a message, numbered from 0.
//!
//! A number is given inside the write that stores the message, on the store's one writer thread, so two writers can
//! neither collide nor leave a hole. Messages are JSON objects in the reference's shape ([`crate::agent`] makes them)
//! and are read back as text wherever nobody needs to look inside.

use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use crate::hex::sha256_hex;
use crate::store::{Reader, StoreError, Table, Writer};

/// Longest session id that is part of a record's key as it is; ids are UUIDs unless a client chose one.
const MAX_STORED_ID: usize = 128;

fn prefix(session_id: &str) -> Vec<u8> {
    let mut key = if session_id.len() <= MAX_STORED_ID && !session_id.contains('\0') {
        session_id.as_bytes().to_vec()
    } else {
        sha256_hex(session_id).into_bytes()
    };
    key.push(0);
    key
}

fn record_key(session_id: &str, index: u64) -> Vec<u8> {
    let mut key = prefix(session_id);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

fn index_of(key: &[u8]) -> u64 {
    key.last_chunk()
        .map_or(0, |index| u64::from_be_bytes(*index))
}

/// Adds a message and returns its number.
pub fn append(
    writer: &mut Writer<'_>,
    session_id: &str,
    message: &(impl Serialize + ?Sized),
) -> Result<u64, StoreError> {
    let index = next_index(&writer.reader(), session_id)?;
    writer.put(Table::Transcripts, &record_key(session_id, index), message)?;
    Ok(index)
}

/// Takes the message with this number back, and tells whether it did: only the last one, lest a hole stays.
pub fn take_back(
    writer: &mut Writer<'_>,
    session_id: &str,
    index: u64,
) -> Result<bool, StoreError> {
    if next_index(&writer.reader(), session_id)? != index + 1 {
        return Ok(false);
    }
    writer.delete(Table::Transcripts, &record_key(session_id, index))
}

/// How many messages there are. One step a message, without reading them.
pub fn count(reader: &Reader<'_>, session_id: &str) -> Result<u64, StoreError> {
    reader.count(Table::Transcripts, &prefix(session_id))
}

/// Whether there is no message.
pub fn is_empty(reader: &Reader<'_>, session_id: &str) -> Result<bool, StoreError> {
    Ok(next_index(reader, session_id)? == 0)
}

/// Copies all messages to another transcript under the same numbers. Damaged ones are left out.
pub fn copy(writer: &mut Writer<'_>, from: &str, to: &str) -> Result<(), StoreError> {
    for index in first_index(&writer.reader(), from)?..next_index(&writer.reader(), from)? {
        match writer.get::<Box<RawValue>>(Table::Transcripts, &record_key(from, index)) {
            Ok(Some(message)) => {
                writer.put(Table::Transcripts, &record_key(to, index), &message)?
            }
            Ok(None) | Err(StoreError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Removes all messages but the last `keep`, which stay under their numbers.
pub fn cut(writer: &mut Writer<'_>, session_id: &str, keep: u64) -> Result<(), StoreError> {
    let reader = writer.reader();
    let (first, next) = (
        first_index(&reader, session_id)?,
        next_index(&reader, session_id)?,
    );
    for index in first..next.saturating_sub(keep) {
        writer.delete(Table::Transcripts, &record_key(session_id, index))?;
    }
    Ok(())
}

/// Removes all messages.
pub fn remove(writer: &mut Writer<'_>, session_id: &str) -> Result<(), StoreError> {
    writer.delete_prefix(Table::Transcripts, &prefix(session_id))?;
    Ok(())
}

/// Whether messages were cut off its beginning.
pub fn is_cut(reader: &Reader<'_>, session_id: &str) -> Result<bool, StoreError> {
    Ok(first_index(reader, session_id)? > 0)
}

/// Number of the first message that is there; 0 if there is none.
fn first_index(reader: &Reader<'_>, session_id: &str) -> Result<u64, StoreError> {
    let mut first = 0;
    reader.scan::<IgnoredAny>(Table::Transcripts, &prefix(session_id), |key, _| {
        first = index_of(key);
        ControlFlow::Break(())
    })?;
    Ok(first)
}

/// Number that the next message will get.
fn next_index(reader: &Reader<'_>, session_id: &str) -> Result<u64, StoreError> {
    let mut next = 0;
    reader.scan_back::<IgnoredAny>(Table::Transcripts, &prefix(session_id), |key, _| {
        next = index_of(key) + 1;
        ControlFlow::Break(())
    })?;
    Ok(next)
}

/// The last `limit` messages, oldest first, each as `show` makes it; what `show` makes nothing of is passed over.
/// Stops before the message that would bring the JSON array of the stored texts over `max_bytes`; one message is
/// returned in any case.
pub fn tail<T>(
    reader: &Reader<'_>,
    session_id: &str,
    limit: usize,
    max_bytes: usize,
    mut show: impl FnMut(&RawValue) -> Option<T>,
) -> Result<Vec<T>, StoreError> {
    let mut messages = Vec::new();
    // An array of n texts has n - 1 commas and two brackets.
    let mut bytes = 1;
    if limit == 0 {
        return Ok(messages);
    }
    reader.scan_back(
        Table::Transcripts,
        &prefix(session_id),
        |_, message: Box<RawValue>| {
            bytes += message.get().len() + 1;
            if bytes > max_bytes && !messages.is_empty() {
                return ControlFlow::Break(());
            }
            messages.extend(show(&message));
            if messages.len() == limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )?;
    messages.reverse();
    Ok(messages)
}

/// Visits messages from the last one back until `each` breaks.
pub fn back(
    reader: &Reader<'_>,
    session_id: &str,
    mut each: impl FnMut(&RawValue) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    reader.scan_back(
        Table::Transcripts,
        &prefix(session_id),
        |_, message: Box<RawValue>| each(&message),
    )
}

/// Visits messages from the first one on until `each` breaks.
pub fn head<V: DeserializeOwned>(
    reader: &Reader<'_>,
    session_id: &str,
    mut each: impl FnMut(V) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    reader.scan(Table::Transcripts, &prefix(session_id), |_, message| {
        each(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, WriteError};
    use serde_json::{Value, json};

    async fn write<T: Send + 'static>(
        store: &Store,
        change: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        store
            .write(change)
            .await
            .map_err(|error: WriteError<StoreError>| error.to_string())
            .unwrap()
    }

    fn texts(store: &Store, id: &str, limit: usize, max_bytes: usize) -> Vec<String> {
        store
            .read(|reader| {
                tail(reader, id, limit, max_bytes, |text| {
                    Some(text.get().to_owned())
                })
            })
            .unwrap()
    }

    #[tokio::test]
    async fn messages_keep_their_order_and_sessions_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let long = "s".repeat(600);
        for index in 0..300_u64 {
            let long = long.clone();
            let written = write(&store, move |writer| {
                append(writer, "s", &json!({"n": index}))?;
                append(writer, "s2", &json!({"other": true}))?;
                append(writer, &long, &json!({"long": index}))
            });
            assert_eq!(written.await, index);
        }
        assert_eq!(
            texts(&store, "s", 2, 1000),
            [r#"{"n":298}"#, r#"{"n":299}"#]
        );
        assert_eq!(texts(&store, "s", 1000, usize::MAX).len(), 300);
        assert_eq!(texts(&store, &long, 1, 1000), [r#"{"long":299}"#]);
        assert_eq!(texts(&store, "nobody", 5, 1000), [""; 0]);
        let mut first = Vec::new();
        let each = |message: Value| {
            first.push(message["n"].as_u64().unwrap());
            if first.len() == 2 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        store.read(|reader| head(reader, "s", each)).unwrap();
        assert_eq!(first, [0, 1]);
    }

    #[tokio::test]
    async fn the_byte_limit_counts_the_array_as_it_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        write(&store, |writer| {
            append(writer, "s", &json!("aaaa"))?;
            append(writer, "s", &json!("bbbb"))
        })
        .await;
        let whole = r#"["aaaa","bbbb"]"#.len();
        assert_eq!(texts(&store, "s", 10, whole).len(), 2);
        assert_eq!(texts(&store, "s", 10, whole - 1), [r#""bbbb""#]);
        assert_eq!(
            texts(&store, "s", 10, 1),
            [r#""bbbb""#],
            "one is always shown"
        );
    }

    #[tokio::test]
    async fn a_cut_keeps_the_end_and_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let next = write(&store, |writer| {
            for n in 0..5 {
                append(writer, "s", &json!(n))?;
            }
            copy(writer, "s", "whole")?;
            cut(writer, "s", 2)?;
            cut(writer, "s", 3)?;
            copy(writer, "s", "rest")?;
            append(writer, "s", &json!(5))
        })
        .await;
        assert_eq!(next, 5, "numbers go on");
        let counts = store
            .read(|reader| {
                Ok((
                    count(reader, "s")?,
                    is_empty(reader, "s")?,
                    is_empty(reader, "t")?,
                ))
            })
            .unwrap();
        assert_eq!(counts, (3, false, true));
        assert_eq!(texts(&store, "s", 10, 1000), ["3", "4", "5"]);
        assert_eq!(texts(&store, "rest", 10, 1000), ["3", "4"]);
        assert_eq!(texts(&store, "whole", 10, 1000), ["0", "1", "2", "3", "4"]);
        write(&store, |writer| {
            remove(writer, "whole")?;
            cut(writer, "rest", 0)
        })
        .await;
        for gone in ["whole", "rest"] {
            assert_eq!(texts(&store, gone, 10, 1000), [""; 0]);
        }
        let mut seen = 0;
        let each = |_: &RawValue| {
            seen += 1;
            ControlFlow::Break(())
        };
        store.read(|reader| back(reader, "s", each)).unwrap();
        assert_eq!(seen, 1);
    }

    #[tokio::test]
    async fn only_the_last_message_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        write(&store, |writer| {
            for n in 0..3 {
                append(writer, "s", &json!(n))?;
            }
            take_back(writer, "s", 1)?;
            take_back(writer, "s", 2)?;
            append(writer, "s", &json!("new"))
        })
        .await;
        assert_eq!(texts(&store, "s", 10, 1000), ["0", "1", r#""new""#]);
    }
}

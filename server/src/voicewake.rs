//! The words that wake a listening device (contract 8.7): kept in the store, told to everybody when they change, and to
//! each node when it connects. Called by `methods`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::{limits, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::VoiceWakeTriggers;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Clock;
use crate::hub::EventSink;
use crate::nodes::NodeLine;
use crate::store::{Store, StoreError, Table};

/// Key of the one record in [`Table::VoiceWake`].
const KEY: &[u8] = b"triggers";

/// The words. One writer at a time: whoever changes them.
pub struct VoiceWake {
    store: Store,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    /// Held while everybody is told, so that a node that connects meanwhile does not get an older list after a newer one.
    triggers: Mutex<Vec<NonEmptyString>>,
    /// Makes changes follow one another in memory as they do on disk.
    turn: tokio::sync::Mutex<()>,
}

/// What is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    triggers: Vec<NonEmptyString>,
    updated_at_ms: u64,
}

impl VoiceWake {
    /// The stored words, or the defaults.
    ///
    /// # Errors
    /// The store cannot be read. A damaged record counts as none: listening for the usual words beats not starting.
    pub fn load(
        store: Store,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, StoreError> {
        let stored = store.read(|reader| reader.get::<Record>(Table::VoiceWake, KEY));
        let stored = match stored {
            Err(StoreError::Damaged { .. }) => None,
            stored => stored?,
        };
        let triggers = stored.map_or_else(Vec::new, |record| record.triggers);
        Ok(Self {
            store,
            clock,
            events,
            triggers: Mutex::new(or_defaults(triggers)),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The words.
    #[must_use]
    pub fn get(&self) -> VoiceWakeTriggers {
        VoiceWakeTriggers::new(self.triggers().clone())
    }

    /// Other words, or with none left of them the defaults. They are on disk when everybody is told.
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed then.
    pub async fn set(&self, wanted: &[Value]) -> Result<VoiceWakeTriggers, StoreError> {
        let triggers = or_defaults(usable(wanted));
        let turn = self.turn.lock().await;
        let record = Record {
            triggers: triggers.clone(),
            updated_at_ms: self.clock.now_ms(),
        };
        let written = self
            .store
            .write(move |writer| writer.put(Table::VoiceWake, KEY, &record));
        written.await.map_err(StoreError::from)?;
        let changed = VoiceWakeTriggers::new(triggers);
        let mut present = self.triggers();
        present.clone_from(&changed.triggers);
        self.events.emit(Event::VoicewakeChanged(changed.clone()));
        drop(present);
        drop(turn);
        Ok(changed)
    }

    /// Tells a node that has connected.
    pub fn greet(&self, line: &impl NodeLine) {
        let triggers = self.triggers();
        let event = Event::VoicewakeChanged(VoiceWakeTriggers::new(triggers.clone()));
        line.send(&event);
    }

    fn triggers(&self) -> MutexGuard<'_, Vec<NonEmptyString>> {
        self.triggers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words of a request that can be used: texts that are not blank, trimmed, cut, not too many.
fn usable(wanted: &[Value]) -> Vec<NonEmptyString> {
    wanted
        .iter()
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .take(limits::VOICE_WAKE_TRIGGERS as usize)
        .map(|word| word.chars().take(limits::VOICE_WAKE_TRIGGER_CHARS as usize))
        .filter_map(|chars| NonEmptyString::new(chars.collect::<String>()))
        .collect()
}

fn or_defaults(words: Vec<NonEmptyString>) -> Vec<NonEmptyString> {
    if !words.is_empty() {
        return words;
    }
    [
        texts::VOICE_WAKE_DEFAULT_FIRST,
        texts::VOICE_WAKE_DEFAULT_SECOND,
        texts::VOICE_WAKE_DEFAULT_THIRD,
    ]
    .into_iter()
    .filter_map(NonEmptyString::new)
    .collect()
}

impl std::fmt::Debug for VoiceWake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VoiceWake").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;

    #[derive(Default)]
    struct Told(Mutex<Vec<Event>>);

    impl EventSink for Told {
        fn emit(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    fn words(list: &[NonEmptyString]) -> Vec<&str> {
        list.iter().map(NonEmptyString::as_str).collect()
    }

    #[test]
    fn words_are_trimmed_cut_and_counted() {
        let max = limits::VOICE_WAKE_TRIGGERS as usize;
        let chars = limits::VOICE_WAKE_TRIGGER_CHARS as usize;
        let many: Vec<Value> = (0..=max).map(|n| json!(n.to_string())).collect();
        let cut = "é".repeat(chars);
        for (wanted, expected) in [
            (
                json!([" hey ", "computer", "", 5, "computer"]),
                vec!["hey", "computer", "computer"],
            ),
            (json!([]), vec![]),
            (json!(["  ", null, {}]), vec![]),
            (json!([format!("{cut}x")]), vec![cut.as_str()]),
            (json!([cut]), vec![cut.as_str()]),
        ] {
            assert_eq!(
                words(&usable(wanted.as_array().unwrap())),
                expected,
                "{wanted}"
            );
        }
        assert_eq!(usable(&many[..max]).len(), max);
        assert_eq!(usable(&many).len(), max);
        assert_eq!(
            words(&or_defaults(Vec::new())),
            ["openclaw", "claude", "computer"]
        );
    }

    #[tokio::test]
    async fn words_outlive_the_process_and_everybody_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Told::default());
        let load = || {
            let store = Store::open(dir.path()).unwrap();
            let clock = Arc::new(ManualClock::new(5));
            VoiceWake::load(store, clock, Arc::clone(&told) as Arc<dyn EventSink>).unwrap()
        };
        let wake = load();
        assert_eq!(
            words(&wake.get().triggers),
            ["openclaw", "claude", "computer"]
        );
        let set = wake.set(&[json!("hey")]).await.unwrap();
        assert_eq!(words(&set.triggers), ["hey"]);
        let event = Event::VoicewakeChanged(set);
        assert_eq!(told.0.lock().unwrap().as_slice(), [event]);
        drop(wake);
        let wake = load();
        assert_eq!(words(&wake.get().triggers), ["hey"]);
        wake.set(&[]).await.unwrap();
        drop(wake);
        assert_eq!(
            words(&load().get().triggers),
            ["openclaw", "claude", "computer"]
        );
    }
}

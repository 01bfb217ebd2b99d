//! Who is here: one entry for each device or client, and the gateway's own (contract 9.1, odd 27).
//!
//! Pure; the hub holds it under its lock and passes the time in. An entry lives as long as one of its connections;
//! after that, and for beacons without a connection, until [`limits::PRESENCE_TTL_MS`] after it was last heard of.
//! Lists show the newest [`limits::PRESENCE_MAX`]. Each entry keeps its JSON text, so that a list is put together
//! without serialising what did not change.

use std::collections::{BTreeMap, HashMap};

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{ClientMode, PresenceEntry, PresenceEvent, StateVersion};

use super::beacon::Beacon;
use crate::connection::Caller;
use crate::limits::MAX_NAMELESS_GONE;
use crate::ws::EventFrame;

/// All entries.
#[derive(Debug)]
pub struct Presence {
    /// The gateway itself; heard of whenever somebody asks.
    own: PresenceEntry,
    /// Its JSON text before and behind the time, which is all of it that changes; `None` where the time was not found.
    own_json: Option<[String; 2]>,
    entries: HashMap<String, Record>,
    /// Keys by age of the last change; a later change has a larger stamp.
    order: BTreeMap<u64, String>,
    /// As `order`, without those that are connected: what goes when its time is over or there are too many.
    gone: BTreeMap<u64, String>,
    last_stamp: u64,
    nameless_gone: usize,
}

#[derive(Debug)]
struct Record {
    entry: PresenceEntry,
    json: String,
    stamp: u64,
    connections: usize,
    /// Neither device nor instance id: the key is the id of a connection.
    is_nameless: bool,
    /// `text` was made here and follows the other members.
    text_is_ours: bool,
}

/// Names the entry of a connection, for [`Presence::disconnect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceKey(String);

/// Is this client shown at all? Command lines come and go with each command.
#[must_use]
pub fn is_tracked(caller: &Caller) -> bool {
    caller.client.mode != ClientMode::Cli
}

impl Presence {
    /// Nobody but the gateway.
    #[must_use]
    pub fn new(own: PresenceEntry) -> Self {
        Self {
            own_json: around_time(&own),
            own,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            gone: BTreeMap::new(),
            last_stamp: 0,
            nameless_gone: 0,
        }
    }

    /// A tracked client has connected. What it says about itself replaces what was known; roles and scopes are added
    /// to those known.
    pub fn connect(&mut self, caller: &Caller, now_ms: u64) -> PresenceKey {
        let client = &caller.client;
        let named = caller
            .device_id
            .as_deref()
            .or(client.instance_id.as_deref());
        let key = normal_key(named.unwrap_or(&caller.conn_id));
        let id = || NonEmptyString::or(client.id.to_string(), "client");
        let old = self.take(&key);
        let known = old.as_ref().map(|record| &record.entry);
        let mut entry = PresenceEntry::new(now_ms);
        entry.host = Some(client.display_name.clone().unwrap_or_else(id));
        entry.ip = caller.remote_ip.as_deref().and_then(NonEmptyString::new);
        entry.version = Some(client.version.clone());
        entry.platform = Some(client.platform.clone());
        entry.device_family = client.device_family.clone();
        entry.model_identifier = client.model_identifier.clone();
        entry.mode = NonEmptyString::new(client.mode.to_string());
        entry.device_id = caller.device_id.as_deref().and_then(NonEmptyString::new);
        entry.instance_id = named.and_then(NonEmptyString::new);
        entry.reason = NonEmptyString::new("connect");
        entry.roles = merged(known.and_then(|e| e.roles.as_ref()), [caller.role.as_str()]);
        entry.scopes = merged(
            known.and_then(|e| e.scopes.as_ref()),
            caller.scopes.iter().map(String::as_str),
        );
        let beacons_text = old
            .as_ref()
            .filter(|record| !record.text_is_ours)
            .and_then(|record| record.entry.text.clone());
        let text_is_ours = beacons_text.is_none();
        entry.text = beacons_text.or_else(|| {
            let host = entry.host.as_deref().unwrap_or_default();
            Some(format!("Node: {host} · mode {}", client.mode))
        });
        let connections = old.map_or(0, |record| record.connections) + 1;
        self.put(
            key.clone(),
            entry,
            connections,
            named.is_none(),
            text_is_ours,
        );
        PresenceKey(key)
    }

    /// A connection has ended. Whether that changed anything: only the last one of an entry does.
    pub fn disconnect(&mut self, key: &PresenceKey, now_ms: u64) -> bool {
        let Some(mut record) = self.take(&key.0) else {
            return false;
        };
        let is_last = record.connections <= 1;
        if is_last {
            record.entry.reason = NonEmptyString::new("disconnect");
            record.entry.ts = now_ms;
        } else {
            // Back where it was in the order: nothing was heard of it.
            record.connections -= 1;
            self.restore(key.0.clone(), record);
            return false;
        }
        self.put(
            key.0.clone(),
            record.entry,
            0,
            record.is_nameless,
            record.text_is_ours,
        );
        true
    }

    /// Somebody told about a client. Members that the beacon does not name keep their value. Returns the entry before
    /// and after.
    pub fn beacon(
        &mut self,
        beacon: &Beacon,
        now_ms: u64,
    ) -> (Option<PresenceEntry>, PresenceEntry) {
        let key = normal_key(beacon.key());
        let old = self.take(&key);
        let connections = old.as_ref().map_or(0, |record| record.connections);
        let is_nameless = old.as_ref().is_some_and(|record| record.is_nameless);
        let before = old.map(|record| record.entry);
        let after = beacon.merged_into(before.clone(), now_ms);
        self.put(key, after.clone(), connections, is_nameless, false);
        (before, after)
    }

    /// The entries, newest first, the gateway's own in front.
    pub fn list(&mut self, now_ms: u64) -> Vec<PresenceEntry> {
        self.refresh(now_ms);
        std::iter::once(self.own.clone())
            .chain(self.newest().map(|record| record.entry.clone()))
            .collect()
    }

    /// [`Self::list`] as JSON text.
    pub fn list_json(&mut self, now_ms: u64) -> String {
        self.refresh(now_ms);
        let mut digits = itoa::Buffer::new();
        let anew;
        let own = match &self.own_json {
            Some([before, behind]) => [before, digits.format(self.own.ts), behind],
            None => {
                anew = json_of(&self.own);
                [anew.as_str(), "", ""]
            }
        };
        let others = self.newest().map(|record| record.json.len() + 1);
        let len = own.map(str::len).iter().sum::<usize>() + others.sum::<usize>() + "[]".len();
        let mut text = String::with_capacity(len);
        text.push('[');
        text.extend(own);
        for record in self.newest() {
            text.push(',');
            text.push_str(&record.json);
        }
        text.push(']');
        text
    }

    fn newest(&self) -> impl Iterator<Item = &Record> {
        let others = limits::PRESENCE_MAX as usize - 1;
        self.order
            .values()
            .rev()
            .take(others)
            .filter_map(|key| self.entries.get(key))
    }

    /// Drops who has been gone for too long, and hears of the gateway itself.
    fn refresh(&mut self, now_ms: u64) {
        self.own.ts = now_ms;
        while let Some((_, key)) = self.gone.first_key_value() {
            let heard_of = self.entries.get(key).map_or(0, |record| record.entry.ts);
            if now_ms.saturating_sub(heard_of) <= limits::PRESENCE_TTL_MS {
                break;
            }
            let key = key.clone();
            self.take(&key);
        }
    }

    /// Removes an entry with all traces.
    fn take(&mut self, key: &str) -> Option<Record> {
        let record = self.entries.remove(key)?;
        self.order.remove(&record.stamp);
        if self.gone.remove(&record.stamp).is_some() && record.is_nameless {
            self.nameless_gone -= 1;
        }
        Some(record)
    }

    /// Adds an entry as the newest.
    fn put(
        &mut self,
        key: String,
        entry: PresenceEntry,
        connections: usize,
        is_nameless: bool,
        text_is_ours: bool,
    ) {
        self.last_stamp += 1;
        let record = Record {
            json: json_of(&entry),
            entry,
            stamp: self.last_stamp,
            connections,
            is_nameless,
            text_is_ours,
        };
        self.restore(key, record);
        self.bound();
    }

    /// Adds an entry at the place in the order that it has.
    fn restore(&mut self, key: String, record: Record) {
        self.order.insert(record.stamp, key.clone());
        if record.connections == 0 {
            self.gone.insert(record.stamp, key.clone());
            self.nameless_gone += usize::from(record.is_nameless);
        }
        self.entries.insert(key, record);
    }

    /// Lets the oldest of the gone go while there are too many.
    fn bound(&mut self) {
        while self.nameless_gone > MAX_NAMELESS_GONE {
            let is_nameless = |key: &&String| {
                self.entries
                    .get(*key)
                    .is_some_and(|record| record.is_nameless)
            };
            let Some(oldest) = self.gone.values().find(is_nameless).cloned() else {
                return;
            };
            self.take(&oldest);
        }
        while self.gone.len() > limits::PRESENCE_MAX as usize {
            let Some(oldest) = self.gone.first_key_value().map(|(_, key)| key.clone()) else {
                return;
            };
            self.take(&oldest);
        }
    }
}

/// Keys are compared without regard to case and outer blanks.
fn normal_key(text: &str) -> String {
    text.trim().to_lowercase()
}

/// `new` added to `old`, each once; absent when there are none.
fn merged<'a>(
    old: Option<&Vec<NonEmptyString>>,
    new: impl IntoIterator<Item = &'a str>,
) -> Option<Vec<NonEmptyString>> {
    let mut all = old.cloned().unwrap_or_default();
    for text in new.into_iter().filter_map(NonEmptyString::new) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    (!all.is_empty()).then_some(all)
}

/// The JSON text of an entry before and behind the number that is its time.
fn around_time(entry: &PresenceEntry) -> Option<[String; 2]> {
    let mut entry = entry.clone();
    entry.ts = 0;
    let text = json_of(&entry);
    // Within a string the quotes would have backslashes in front.
    let (before, behind) = text.split_once(r#""ts":0"#)?;
    Some([format!(r#"{before}"ts":"#), behind.to_owned()])
}

/// Entries hold nothing that cannot be written as JSON.
fn json_of(entry: &PresenceEntry) -> String {
    serde_json::to_string(entry).unwrap_or_else(|_| r#"{"ts":0}"#.to_owned())
}

/// The presence event for a list that is JSON text already.
pub(super) fn frame(list: &str, version: &StateVersion) -> EventFrame {
    // The frame of an empty list, opened where its entries go.
    let empty = Event::Presence(PresenceEvent::new(Vec::new()));
    let mut start = empty.frame_start();
    start.truncate(start.len() - "[]}".len());
    start.extend_from_slice(list.as_bytes());
    start.push(b'}');
    EventFrame::new(start, empty.droppable()).with_state_version(version.presence, version.health)
}

#[cfg(test)]
mod tests;

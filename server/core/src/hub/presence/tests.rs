use openclaw_protocol::types::SystemEventParams;
use serde_json::{Value, json};

use super::*;
use crate::connection::CallerInfo;

const TTL: u64 = limits::PRESENCE_TTL_MS;

fn presence() -> Presence {
    let mut own = PresenceEntry::new(0);
    own.mode = NonEmptyString::new("gateway");
    Presence::new(own)
}

fn named(name: &str) -> Caller {
    caller(name, |info| {
        info.client.instance_id = NonEmptyString::new(name)
    })
}

fn caller(name: &str, change: impl FnOnce(&mut CallerInfo)) -> Caller {
    Caller::of_test(name, |info| {
        info.client.display_name = NonEmptyString::new(name);
        change(info);
    })
}

fn beacon(text: &str) -> Beacon {
    let params: SystemEventParams = serde_json::from_value(json!({"text": text})).unwrap();
    Beacon::new(params).unwrap()
}

/// `host reason` of every entry but the gateway's own; also that the JSON text says the same as the list.
fn shown(presence: &mut Presence, now_ms: u64) -> Vec<String> {
    let list = presence.list(now_ms);
    let json: Value = serde_json::from_str(&presence.list_json(now_ms)).unwrap();
    assert_eq!(serde_json::to_value(&list).unwrap(), json);
    assert_eq!(list[0].mode.as_deref(), Some("gateway"));
    assert_eq!(list[0].ts, now_ms);
    let words = |entry: &PresenceEntry| {
        let host = entry
            .host
            .as_deref()
            .or(entry.text.as_deref())
            .unwrap_or_default();
        format!("{host} {}", entry.reason.as_deref().unwrap_or_default())
    };
    list[1..].iter().map(words).collect()
}

#[test]
fn a_connect_is_described_by_what_the_client_says() {
    let mut presence = presence();
    presence.connect(
        &caller("phone", |info| {
            info.device_id = Some("Device".into());
            info.client.instance_id = NonEmptyString::new("instance");
            info.client.device_family = NonEmptyString::new("iPhone");
            info.remote_ip = Some("192.0.2.1".into());
        }),
        5,
    );
    presence.connect(&caller("plain", |info| info.client.display_name = None), 6);
    let list = serde_json::to_value(&presence.list(7)[1..]).unwrap();
    let expected = json!([
        {
            "host": "test", "version": "1.0.0", "platform": "linux", "mode": "test", "reason": "connect",
            "text": "Node: test · mode test", "ts": 6, "roles": ["operator"], "scopes": ["operator.admin"],
        },
        {
            "host": "phone", "ip": "192.0.2.1", "version": "1.0.0", "platform": "linux", "deviceFamily": "iPhone",
            "mode": "test", "reason": "connect", "text": "Node: phone · mode test", "ts": 5, "deviceId": "Device",
            "roles": ["operator"], "scopes": ["operator.admin"], "instanceId": "Device",
        },
    ]);
    assert_eq!(list, expected);
}

#[test]
fn a_reconnect_adds_roles_and_scopes_and_replaces_the_rest() {
    let mut presence = presence();
    let first = caller("a", |info| {
        info.client.instance_id = NonEmptyString::new("ME");
        info.client.device_family = NonEmptyString::new("Mac");
        info.scopes = vec!["operator.read".into()];
    });
    let second = caller("b", |info| {
        info.client.instance_id = NonEmptyString::new("me");
        info.role = openclaw_protocol::protocol::Role::Node;
        info.scopes = vec!["operator.read".into(), "x".into()];
    });
    presence.connect(&first, 1);
    presence.connect(&second, 2);
    let list = serde_json::to_value(&presence.list(3)[1..]).unwrap();
    assert_eq!(
        list,
        json!([{
            "host": "b", "version": "1.0.0", "platform": "linux", "mode": "test", "reason": "connect",
            "text": "Node: b · mode test", "ts": 2, "roles": ["operator", "node"],
            "scopes": ["operator.read", "x"], "instanceId": "me",
        }])
    );
    let none = caller("c", |info| info.scopes = Vec::new());
    presence.connect(&none, 4);
    assert_eq!(presence.list(4)[1].scopes, None);
}

#[test]
fn an_entry_lives_as_long_as_its_last_connection() {
    let mut presence = presence();
    let a = presence.connect(&named("a"), 1);
    let again = presence.connect(&named("A"), 2);
    assert_eq!(a, again);
    assert_eq!(
        shown(&mut presence, 10 * TTL),
        ["A connect"],
        "quiet, but here"
    );
    assert!(!presence.disconnect(&a, 10 * TTL));
    assert_eq!(shown(&mut presence, 20 * TTL), ["A connect"]);
    assert!(presence.disconnect(&a, 20 * TTL));
    assert_eq!(shown(&mut presence, 21 * TTL), ["A disconnect"]);
    assert!(shown(&mut presence, 21 * TTL + 1).is_empty());
    assert!(!presence.disconnect(&a, 22 * TTL), "nobody of that name");
}

#[test]
fn the_newest_come_first() {
    let mut presence = presence();
    let a = presence.connect(&named("a"), 1);
    presence.connect(&named("b"), 2);
    presence.beacon(&beacon("words"), 3);
    assert_eq!(
        shown(&mut presence, 4),
        ["words ", "b connect", "a connect"]
    );
    presence.disconnect(&a, 5);
    assert_eq!(
        shown(&mut presence, 6),
        ["a disconnect", "words ", "b connect"]
    );
    presence.connect(&named("b"), 7);
    presence.connect(&named("a"), 8);
    assert_eq!(
        shown(&mut presence, 9),
        ["a connect", "b connect", "words "]
    );
    presence.connect(&named("c"), 10);
    presence.connect(&named("a"), 11);
    presence.connect(&named("d"), 12);
    presence.disconnect(&a, 13);
    assert_eq!(
        shown(&mut presence, 14)[..3],
        ["d connect", "a connect", "c connect"],
        "not the last one: no change"
    );
}

#[test]
fn beacons_of_a_connected_client_change_its_entry() {
    let mut presence = presence();
    let key = presence.connect(&named("box"), 1);
    let (before, after) = presence.beacon(&beacon("Node: box · app 2"), 2);
    assert_eq!(before.unwrap().version.as_deref(), Some("1.0.0"));
    assert_eq!(after.version.as_deref(), Some("2"));
    assert_eq!(
        shown(&mut presence, 9 * TTL),
        ["box connect"],
        "still connected"
    );
    presence.connect(&named("box"), 3);
    assert_eq!(
        presence.list(3)[1].text.as_deref(),
        Some("Node: box · app 2"),
        "its own words stay"
    );
    presence.disconnect(&key, 4);
    assert!(presence.disconnect(&key, 4));
    assert_eq!(shown(&mut presence, 4), ["box disconnect"]);
}

#[test]
fn beacons_expire() {
    let mut presence = presence();
    presence.beacon(&beacon("a"), 1);
    presence.beacon(&beacon("b"), 2);
    assert_eq!(shown(&mut presence, TTL + 1), ["b ", "a "]);
    assert_eq!(shown(&mut presence, TTL + 2), ["b "]);
    assert!(shown(&mut presence, TTL + 3).is_empty());
}

#[test]
fn the_gone_are_bounded() {
    let max = limits::PRESENCE_MAX as usize;
    let mut presence = presence();
    for n in 0..max {
        presence.beacon(&beacon(&format!("b{n}")), 1);
    }
    assert_eq!(presence.gone.len(), max);
    assert!(presence.entries.contains_key("b0"));
    presence.beacon(&beacon("one more"), 1);
    assert_eq!((presence.gone.len(), presence.entries.len()), (max, max));
    assert!(!presence.entries.contains_key("b0"), "the oldest went");
}

#[test]
fn nameless_clients_leave_few_traces() {
    let mut presence = presence();
    let keys: Vec<_> = (0..=MAX_NAMELESS_GONE)
        .map(|n| presence.connect(&caller(&format!("c{n}"), |_| ()), 1))
        .collect();
    presence.beacon(&beacon("words"), 1);
    for key in &keys[..MAX_NAMELESS_GONE] {
        presence.disconnect(key, 2);
    }
    assert_eq!(presence.entries.len(), MAX_NAMELESS_GONE + 2);
    presence.disconnect(&keys[MAX_NAMELESS_GONE], 2);
    let shown = shown(&mut presence, 2);
    assert_eq!(shown.len(), MAX_NAMELESS_GONE + 1);
    assert!(!shown.contains(&"c0 disconnect".to_owned()) && shown.contains(&"words ".to_owned()));
    assert_eq!(presence.nameless_gone, MAX_NAMELESS_GONE);
}

#[test]
fn lists_are_bounded_however_many_are_connected() {
    let max = limits::PRESENCE_MAX as usize;
    let mut presence = presence();
    for n in 0..max - 1 {
        presence.connect(&named(&format!("c{n}")), 1);
    }
    assert_eq!(presence.list(1).len(), max);
    presence.connect(&named("one more"), 1);
    let list = presence.list(1);
    assert_eq!(list.len(), max);
    assert_eq!(list[1].host.as_deref(), Some("one more"));
    assert_eq!(list[max - 1].host.as_deref(), Some("c1"));
}

#[test]
fn command_lines_are_not_tracked() {
    let cli = caller("cli", |info| info.client.mode = ClientMode::Cli);
    assert!(!is_tracked(&cli) && is_tracked(&named("a")));
}

mod lines;

use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ClientMode, HealthAgent, HealthSessions, ShutdownEvent, SystemEventParams, TickEvent,
};
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::connection::Caller;
use crate::ws::fake::FakeWire;

/// A hub and what its clients have received.
struct Fixture {
    hub: Arc<Hub>,
}

struct Client {
    membership: Membership,
    outbox: Arc<Outbox>,
    wire: FakeWire,
}

fn fixture() -> Fixture {
    let clock = Arc::new(ManualClock::new(1000));
    Fixture {
        hub: Arc::new(Hub::new(clock, PresenceEntry::new(0))),
    }
}

fn summary(count: u64) -> HealthSummary {
    let sessions = HealthSessions::new("/s".into(), count, Vec::new());
    HealthSummary::new(
        true,
        1,
        0,
        Default::default(),
        Vec::new(),
        Default::default(),
        0,
        "main".into(),
        Vec::<HealthAgent>::new(),
        sessions,
    )
}

fn tick(ts: u64) -> Event {
    Event::Tick(TickEvent::new(ts))
}

fn beacon(text: &str) -> Beacon {
    let params: SystemEventParams = serde_json::from_value(json!({"text": text})).unwrap();
    Beacon::new(params).unwrap()
}

impl Fixture {
    /// A connection in its handshake.
    fn enter(&self) -> Client {
        let wire = FakeWire::with_room(usize::MAX);
        let outbox = Arc::new(Outbox::new(wire.clone(), 10_000));
        Client {
            membership: self.hub.enter(Arc::clone(&outbox)),
            outbox,
            wire,
        }
    }

    fn connect(&self, name: &str) -> Client {
        self.connect_as(&Caller::of_test(name, |_| ()))
    }

    fn connect_as(&self, caller: &Caller) -> Client {
        let mut client = self.enter();
        client
            .membership
            .accept(caller, &client.outbox, |snapshot| {
                format!(
                    r#"{{"hello":{},"health":{},"versions":[{},{}]}}"#,
                    snapshot.presence,
                    snapshot.health,
                    snapshot.version.presence,
                    snapshot.version.health
                )
                .into_bytes()
            });
        client
    }
}

impl Client {
    /// What has come since the last call; the hub's flusher is not running, so this flushes.
    fn take(&self) -> Vec<Value> {
        self.outbox.flush();
        self.wire
            .take_texts()
            .iter()
            .map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
            .collect()
    }

    /// `event seq presence-version health-version` of what has come.
    fn events(&self) -> Vec<String> {
        let words = |frame: Value| {
            let version = &frame["stateVersion"];
            match (frame["event"].as_str(), version.is_object()) {
                (Some(event), true) => {
                    format!(
                        "{event} {} {} {}",
                        frame["seq"], version["presence"], version["health"]
                    )
                }
                (Some(event), false) => format!("{event} {}", frame["seq"]),
                (None, _) => frame.as_str().unwrap_or("hello").to_owned(),
            }
        };
        self.take().into_iter().map(words).collect()
    }
}

#[test]
fn a_newcomer_gets_hello_then_its_own_presence_and_health() {
    let fixture = fixture();
    fixture.hub.publish_health(summary(3));
    let client = fixture.connect("a");
    let frames = client.take();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0]["versions"], json!([2, 2]));
    assert_eq!(frames[0]["hello"].as_array().unwrap().len(), 2);
    assert_eq!(frames[0]["health"]["sessions"]["count"], 3);
    assert_eq!(frames[1]["payload"]["presence"], frames[0]["hello"]);
    assert_eq!(frames[2]["payload"], frames[0]["health"]);
    for (frame, seq) in frames[1..].iter().zip(1..) {
        assert_eq!(frame["seq"], seq);
        assert_eq!(frame["stateVersion"], json!({"presence": 2, "health": 2}));
    }
}

#[test]
fn a_command_line_is_not_in_presence_and_is_not_sent_it() {
    let fixture = fixture();
    let cli = Caller::of_test("cli", |info| info.client.mode = ClientMode::Cli);
    let client = fixture.connect_as(&cli);
    let frames = client.take();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0]["versions"], json!([1, 1]));
    assert_eq!(frames[0]["health"], json!({}));
    drop(client);
    assert_eq!(fixture.hub.presence().len(), 1);
}

#[test]
fn everybody_gets_the_same_events_under_their_own_numbers() {
    let fixture = fixture();
    let early = fixture.connect("a");
    fixture.hub.emit(tick(1));
    let late = fixture.connect("b");
    fixture.hub.emit(tick(2));
    fixture.hub.publish_health(summary(0));
    assert_eq!(
        early.events(),
        [
            "hello",
            "presence 1 2 1",
            "tick 2",
            "tick 3",
            "health 4 3 2"
        ]
    );
    assert_eq!(
        late.events(),
        ["hello", "presence 1 3 1", "tick 2", "health 3 3 2"]
    );
}

#[test]
fn handshakes_get_no_broadcasts() {
    let fixture = fixture();
    let client = fixture.enter();
    fixture.hub.emit(tick(1));
    assert!(client.take().is_empty());
    let stats = fixture.hub.stats();
    assert_eq!((stats.connections, stats.accepted, stats.queued), (1, 0, 0));
}

#[test]
fn connects_are_gathered_into_one_presence_event() {
    let fixture = fixture();
    let a = fixture.connect("a");
    let b = fixture.connect("b");
    let c = fixture.connect("c");
    for client in [&a, &b, &c] {
        client.take();
    }
    assert!(fixture.hub.announce_presence() > 0);
    assert_eq!(a.events(), ["presence 2 4 1"]);
    assert_eq!(b.events(), ["presence 2 4 1"]);
    assert!(c.events().is_empty(), "its own event said it all");
    drop(b);
    fixture.hub.announce_presence();
    assert_eq!((a.events().len(), c.events().len()), (1, 1));
    assert_eq!(fixture.hub.announce_presence(), 0, "nothing new");
    assert!(a.events().is_empty());
}

#[test]
fn a_beacon_tells_everybody_at_once() {
    let fixture = fixture();
    let a = fixture.connect("a");
    let b = fixture.connect("b");
    a.take();
    b.take();
    let (before, after) = fixture.hub.beacon(&beacon("words"));
    assert_eq!((before, after.text.as_deref()), (None, Some("words")));
    for client in [&a, &b] {
        let frames = client.take();
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0]["stateVersion"]["presence"], 4);
        assert_eq!(
            frames[0]["payload"]["presence"].as_array().unwrap().len(),
            4
        );
    }
    assert_eq!(
        fixture.hub.announce_presence(),
        0,
        "the window has nothing left to tell"
    );
}

#[test]
fn unchanged_health_reaches_newcomers_only() {
    let fixture = fixture();
    fixture.hub.publish_health(summary(1));
    let old = fixture.connect("a");
    old.take();
    fixture.hub.renew_health(summary(2));
    assert!(old.take().is_empty());
    let new = fixture.connect("b");
    let frames = new.take();
    assert_eq!(frames[0]["health"]["sessions"]["count"], 2);
    assert_eq!(frames[0]["versions"], json!([3, 2]));
    assert_eq!(frames[2]["payload"]["sessions"]["count"], 2);
}

#[test]
fn slow_readers_lose_droppable_events_or_the_connection() {
    let fixture = fixture();
    let slow = fixture.connect("slow");
    let good = fixture.connect("good");
    slow.take();
    good.take();
    slow.wire.0.lock().unwrap().room = 0;
    for n in 0..1000 {
        fixture.hub.emit(tick(n));
        good.outbox.flush();
    }
    let stats = fixture.hub.stats();
    assert_eq!(stats.dropped, slow.outbox.dropped());
    assert!(stats.dropped > 500 && stats.too_slow == 0);
    let reason = NonEmptyString::or("x".repeat(200), "-");
    fixture
        .hub
        .emit(Event::Shutdown(ShutdownEvent::new(reason)));
    assert_eq!(fixture.hub.stats().too_slow, 1);
    assert_eq!(slow.outbox.closing().unwrap().reason, "slow consumer");
    assert_eq!(good.events().len(), 1001);
    fixture.hub.emit(tick(0));
    slow.wire.make_room(usize::MAX);
    let events = slow.events();
    assert_eq!(events.last().unwrap(), "close 1008 slow consumer");
    assert_eq!(events[0], "tick 2", "what was queued is delivered");
}

#[test]
fn leaving_frees_the_place_for_another_one() {
    let fixture = fixture();
    let first = fixture.connect("a");
    let stale = Membership {
        hub: Arc::clone(&fixture.hub),
        key: first.membership.key,
        presence: None,
        is_retired: false,
    };
    drop(first);
    let second = fixture.connect("b");
    assert_eq!(
        stale.key.slot_for_test(),
        second.membership.key.slot_for_test()
    );
    drop(stale);
    second.take();
    fixture.hub.emit(tick(1));
    assert_eq!(
        second.events().len(),
        1,
        "a late farewell of the first one changes nothing"
    );
    assert_eq!(fixture.hub.stats().accepted, 1);
}

#[tokio::test]
async fn stopping_tells_everybody_and_turns_newcomers_away() {
    let fixture = fixture();
    let client = fixture.connect("a");
    let stranger = fixture.enter();
    client.take();
    fixture
        .hub
        .stop(Event::Shutdown(ShutdownEvent::new(NonEmptyString::or(
            "gateway stopping",
            "-",
        ))));
    let frames = client.take();
    assert_eq!(frames[0]["payload"], json!({"reason": "gateway stopping"}));
    assert_eq!(frames[1], "close 1012 service restart");
    assert_eq!(stranger.take(), ["close 1012 service restart"]);
    assert_eq!(fixture.enter().take(), ["close 1012 service restart"]);
    let hub = Arc::clone(&fixture.hub);
    let emptied = tokio::spawn(async move { hub.emptied().await });
    tokio::task::yield_now().await;
    assert!(!emptied.is_finished());
    drop((client, stranger));
    emptied.await.unwrap();
}

#[tokio::test]
async fn the_flusher_writes_once_for_each_client_and_burst() {
    let fixture = fixture();
    let clients = [fixture.connect("a"), fixture.connect("b")];
    for client in &clients {
        client.take();
        client.wire.0.lock().unwrap().writes = 0;
    }
    let hub = Arc::clone(&fixture.hub);
    let flusher = tokio::spawn(async move { hub.run_flusher().await });
    for n in 0..16 {
        fixture.hub.emit(tick(n));
    }
    tokio::task::yield_now().await;
    for client in &clients {
        let writes = client.wire.0.lock().unwrap().writes;
        assert_eq!((writes, client.wire.take_texts().len()), (1, 16));
    }
    fixture.hub.emit(tick(17));
    tokio::task::yield_now().await;
    assert_eq!(clients[1].wire.take_texts().len(), 1);
    flusher.abort();
}

#[tokio::test(start_paused = true)]
async fn the_presence_window_is_short_for_few() {
    let fixture = fixture();
    let watcher = fixture.connect("a");
    watcher.take();
    let hub = Arc::clone(&fixture.hub);
    let task = tokio::spawn(async move { hub.run_presence().await });
    let start = tokio::time::Instant::now();
    let other = fixture.connect("b");
    while watcher.take().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = start.elapsed();
    assert!(
        took >= limits::PRESENCE_WINDOW && took < 2 * limits::PRESENCE_WINDOW,
        "{took:?}"
    );
    drop(other);
    tokio::time::sleep(2 * limits::PRESENCE_WINDOW).await;
    assert_eq!(watcher.take().len(), 1);
    task.abort();
}

#[test]
fn events_of_many_threads_come_in_one_order() {
    let fixture = fixture();
    let clients = [
        fixture.connect("a"),
        fixture.connect("b"),
        fixture.connect("c"),
    ];
    for client in &clients {
        client.take();
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let hub = &fixture.hub;
            scope.spawn(move || {
                for n in 0..25 {
                    hub.emit(tick(thread * 1000 + n));
                }
            });
        }
    });
    let order = |client: &Client| -> Vec<Value> {
        client
            .take()
            .into_iter()
            .map(|frame| frame["payload"]["ts"].clone())
            .collect()
    };
    let first = order(&clients[0]);
    assert_eq!(first.len(), 100);
    assert_eq!(order(&clients[1]), first);
    assert_eq!(order(&clients[2]), first);
}

#[test]
fn nodes_get_what_the_schema_gives_them() {
    let fixture = fixture();
    let node = Caller::of_test("n", |info| {
        info.role = Role::Node;
        info.scopes = Vec::new();
    });
    let node = fixture.connect_as(&node);
    node.take();
    fixture.hub.emit(tick(1));
    let expected = usize::from(EventKind::Tick.spec().roles.contains(&Role::Node));
    assert_eq!(node.events().len(), expected);
}

#[test]
fn presence_keeps_to_its_rate() {
    let second = limits::PRESENCE_BYTES_PER_SECOND;
    let window = limits::PRESENCE_WINDOW;
    for (bytes, expected) in [
        (0, Duration::ZERO),
        (second / 10, Duration::ZERO),
        (second, Duration::from_secs(1) - window),
        (20 * second, Duration::from_secs(20) - window),
    ] {
        assert_eq!(pause_after(bytes), expected, "{bytes}");
    }
}

#[test]
fn a_retired_connection_hears_nothing_but_keeps_its_place() {
    let fixture = fixture();
    let mut client = fixture.connect("a");
    client.take();
    client.membership.retire();
    fixture.hub.emit(tick(1));
    assert!(client.take().is_empty());
    let stats = fixture.hub.stats();
    assert_eq!((stats.connections, stats.accepted), (1, 0));
    assert_eq!(
        fixture.hub.presence()[1].reason.as_deref(),
        Some("disconnect")
    );
    drop(client);
    assert_eq!(fixture.hub.stats().connections, 0);
}

/// The schema has no version before 3; to a client of one, every event is newer.
#[test]
fn events_newer_than_the_negotiated_version_are_not_sent() {
    let fixture = fixture();
    fixture.hub.publish_health(summary(1));
    let before = Caller::of_test("before", |caller| caller.protocol = 2);
    let (newest, older) = (fixture.connect("newest"), fixture.connect_as(&before));
    assert_eq!(older.take().len(), 1, "hello alone");
    newest.take();
    fixture.hub.emit(tick(1));
    fixture.hub.publish_health(summary(2));
    assert_eq!(newest.take().len(), 2);
    assert!(older.take().is_empty());
}

#[test]
fn connections_of_a_device_and_role_are_dismissed() {
    let fixture = fixture();
    let of = |conn: &str, device: Option<&str>, role: Role| {
        fixture.connect_as(&Caller::of_test(conn, |info| {
            info.device_id = device.map(str::to_owned);
            info.role = role;
        }))
    };
    let own = of("own", Some("d"), Role::Operator);
    let meant = of("meant", Some("d"), Role::Operator);
    let others = [
        of("node", Some("d"), Role::Node),
        of("other", Some("e"), Role::Operator),
        of("none", None, Role::Operator),
    ];
    // Still in its handshake, as one of each.
    let coming = fixture.enter();
    coming.membership.claim("d", Role::Operator);
    let stranger = fixture.enter();
    stranger.membership.claim("d", Role::Node);
    let mut gone = of("gone", Some("d"), Role::Operator);
    gone.membership.retire();

    fixture.hub.dismiss("d", Role::Operator, Some("own"));
    let is_over = |client: &Client| client.outbox.is_over();
    assert!(is_over(&meant) && is_over(&coming));
    assert!(!is_over(&own) && !is_over(&stranger) && !is_over(&gone));
    assert!(!others.iter().any(is_over));
    fixture.hub.dismiss("d", Role::Operator, None);
    assert!(is_over(&own) && !others.iter().any(is_over));
}

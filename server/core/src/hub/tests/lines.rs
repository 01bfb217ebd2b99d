//! Events for one connection alone, and copies for those who subscribed.

use openclaw_protocol::types::{AgentEvent, AgentEventData, AgentStream, VoiceWakeTriggers};

use super::*;
use crate::limits::MAX_SUBSCRIPTIONS;
use crate::nodes::NodeLine;

fn node(name: &str) -> Caller {
    Caller::of_test(name, |info| {
        info.role = Role::Node;
        info.scopes.clear();
    })
}

fn agent_event(session_key: Option<&str>) -> Event {
    let data: AgentEventData = serde_json::from_value(json!({"phase": "start"})).unwrap();
    let run = NonEmptyString::or("r", "r");
    let mut event = AgentEvent::new(run, AgentStream::Lifecycle, 1, data);
    event.session_key = session_key.and_then(NonEmptyString::new);
    Event::Agent(event)
}

fn words() -> Event {
    let word = NonEmptyString::or("hey", "hey");
    Event::VoicewakeChanged(VoiceWakeTriggers::new(vec![word]))
}

#[test]
fn an_event_for_one_has_no_number_and_makes_no_gap() {
    let fixture = fixture();
    let (one, other) = (fixture.connect_as(&node("n")), fixture.connect("o"));
    one.take();
    other.take();
    let line = one.membership.line();
    fixture.hub.emit(tick(1));
    assert!(line.send(&words()));
    fixture.hub.emit(tick(2));
    assert_eq!(one.events(), ["tick 2", "voicewake.changed null", "tick 3"]);
    assert_eq!(other.events(), ["tick 2", "tick 3"]);
}

#[test]
fn a_subscriber_gets_copies_of_its_conversation() {
    let fixture = fixture();
    let (one, other) = (
        fixture.connect_as(&node("n")),
        fixture.connect_as(&node("o")),
    );
    one.take();
    other.take();
    let line = one.membership.line();
    assert!(line.subscribe("main"));
    for event in [
        agent_event(Some("main")),
        agent_event(Some("Main")),
        agent_event(None),
        tick(1),
    ] {
        fixture.hub.emit(event);
    }
    fixture.hub.publish_health(summary(1));
    let expected = [
        "agent 2",
        "agent null",
        "agent 3",
        "agent 4",
        "tick 5",
        "tick null",
        "health 6 3 2",
        "health null",
    ];
    assert_eq!(one.events(), expected);
    assert_eq!(
        other.events(),
        ["agent 2", "agent 3", "agent 4", "tick 5", "health 6 3 2"]
    );
    line.unsubscribe("main");
    fixture.hub.emit(agent_event(Some("main")));
    fixture.hub.emit(tick(2));
    assert_eq!(one.events(), ["agent 7", "tick 8"]);
}

#[test]
fn a_line_ends_with_its_connection() {
    let fixture = fixture();
    let mut one = fixture.connect_as(&node("n"));
    let line = one.membership.line();
    assert!(line.subscribe("main"));
    one.membership.retire();
    one.take();
    assert!(!line.send(&words()) && !line.subscribe("main"));
    fixture.hub.emit(agent_event(Some("main")));
    assert!(one.events().is_empty());
    drop(one);
    let next = fixture.connect_as(&node("m"));
    next.take();
    assert!(!line.send(&words()), "the place is another one's now");
    line.close(close::REPLACED);
    fixture.hub.emit(agent_event(Some("main")));
    assert_eq!(next.events(), ["agent 2"]);
    let line = next.membership.line();
    line.close(close::REPLACED);
    assert!(next.outbox.is_over() && !line.send(&words()));
}

#[test]
fn subscriptions_and_unread_copies_are_bounded() {
    let fixture = fixture();
    let one = fixture.connect_as(&node("n"));
    let line = one.membership.line();
    for n in 0..MAX_SUBSCRIPTIONS {
        assert!(line.subscribe(&n.to_string()));
    }
    assert!(!line.subscribe("one too many"));
    one.take();
    let sent = (0..10_000).take_while(|_| line.send(&words())).count();
    assert!((10..1_000).contains(&sent), "{sent}");
    assert!(one.outbox.pending() <= 10_000 && !one.outbox.is_over());
}

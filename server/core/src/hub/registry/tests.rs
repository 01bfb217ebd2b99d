use std::cell::Cell;

use super::*;
use crate::ws::fake::FakeWire;

/// A member that gets `reduced` with less in them.
fn member(registry: &mut Registry, protocol: u64, reduced: Audience) -> (Arc<Outbox>, FakeWire) {
    let wire = FakeWire::with_room(usize::MAX);
    let outbox = Arc::new(Outbox::new(wire.clone(), 10_000));
    let key = registry.enter(Arc::clone(&outbox));
    registry.accept(key, &Caller::of_test("x", |_| ()), 0);
    let member = registry.member(key).unwrap();
    member.protocol = protocol;
    member.audience &= !reduced;
    member.reduced = reduced;
    registry.reduced |= reduced;
    (outbox, wire)
}

/// `n` and the distance from the first `seq` of what has come.
fn seen((outbox, wire): &(Arc<Outbox>, FakeWire)) -> Vec<(u64, u64)> {
    outbox.flush();
    let numbers: Vec<(u64, u64)> = wire
        .take_texts()
        .iter()
        .map(|text| {
            let frame: serde_json::Value = serde_json::from_str(text).unwrap();
            (frame["n"].as_u64().unwrap(), frame["seq"].as_u64().unwrap())
        })
        .collect();
    let first = numbers.first().map_or(0, |(_, seq)| *seq);
    numbers.iter().map(|(n, seq)| (*n, seq - first)).collect()
}

#[test]
fn older_clients_get_less_and_no_gap() {
    let mut registry = Registry::default();
    let tick = bit(EventKind::Tick);
    let newest = member(&mut registry, 5, 0);
    let older = member(&mut registry, 4, tick);
    let oldest = member(&mut registry, 3, tick);
    let frame = |n: u64| EventFrame::new(format!(r#"{{"n":{n}"#).into_bytes(), false);
    let mut dirty = Vec::new();
    let tally = registry.deliver(EventKind::Shutdown, &frame(0), &mut dirty, |_| true);
    assert_eq!(tally.queued, 3, "whole for everybody");
    let later = member(&mut registry, 4, tick);
    let asked = Cell::new(0);
    let reduce = |version| {
        asked.set(asked.get() + 1);
        frame(version)
    };
    let tally = registry.deliver_reduced(EventKind::Tick, reduce, &mut dirty, |_| true);
    assert_eq!((tally.queued, asked.get()), (3, 2), "made once a version");
    assert_eq!(seen(&newest), [(0, 0)]);
    assert_eq!(seen(&older), [(0, 0), (4, 1)]);
    assert_eq!(seen(&oldest), [(0, 0), (3, 1)]);
    assert_eq!(seen(&later), [(4, 0)]);
    assert_eq!(dirty.len(), 4, "each once");
    // The whole way: tick has no newer members, so nothing is missing.
    let tally = registry.deliver(EventKind::Tick, &frame(9), &mut dirty, |_| true);
    assert_eq!(tally.queued, 4);
    assert_eq!(seen(&oldest), [(9, 0)]);
}

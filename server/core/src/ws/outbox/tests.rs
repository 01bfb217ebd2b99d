use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use proptest::prelude::*;

use super::*;
use crate::ws::fake::{FakeWire, texts};

const BUDGET: usize = 1000;

fn outbox(room: usize) -> (Outbox, FakeWire) {
    let wire = FakeWire::with_room(room);
    (Outbox::new(wire.clone(), BUDGET), wire)
}

/// An event whose frame for a one-digit `seq` is `size` bytes long, head included.
fn event(size: usize, droppable: bool) -> EventFrame {
    let head = if size > 127 { 4 } else { 2 };
    let fixed = head + r#"{"p":"""#.len() + r#","seq":1"#.len() + "}".len();
    let start = format!(r#"{{"p":"{}""#, "x".repeat(size - fixed));
    EventFrame::new(start, droppable)
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wakes_of(outbox: &Outbox) -> Arc<Wakes> {
    let wakes = Arc::new(Wakes::default());
    outbox.register(&Waker::from(Arc::clone(&wakes)));
    wakes
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn events_get_the_numbers_of_this_connection() {
    let (outbox, wire) = outbox(usize::MAX);
    let plain = EventFrame::new(&br#"{"a":1"#[..], true);
    let versioned = EventFrame::new(&br#"{"b":2"#[..], true).with_state_version(3, 4);
    assert_eq!(outbox.event(&plain), Delivery::Queued);
    outbox.send(b"{}".to_vec());
    assert_eq!(outbox.event(&versioned), Delivery::Queued);
    assert_eq!(outbox.flush(), Flush::Done);
    assert_eq!(
        wire.take_texts(),
        [
            r#"{"a":1,"seq":1}"#,
            "{}",
            r#"{"b":2,"seq":2,"stateVersion":{"presence":3,"health":4}}"#
        ]
    );
    assert_eq!(wire.0.lock().unwrap().writes, 1, "gathered into one write");
}

#[test]
fn an_idle_outbox_holds_no_buffer() {
    let (outbox, _wire) = outbox(usize::MAX);
    outbox.send(vec![b'x'; COPY_UP_TO + 1]);
    outbox.event(&event(300, true));
    assert_eq!(outbox.flush(), Flush::Done);
    let state = outbox.lock();
    assert_eq!((state.tail.capacity(), state.queue.capacity()), (0, 0));
}

#[test]
fn the_budget_decides_over_events() {
    // Bytes that are owed already, size of the event, may it be dropped, what becomes of it.
    for (owed, size, droppable, expected) in [
        (100, BUDGET - 100, true, Delivery::Queued),
        (100, BUDGET - 100 + 1, true, Delivery::Dropped),
        (100, BUDGET - 100, false, Delivery::Queued),
        (100, BUDGET - 100 + 1, false, Delivery::TooSlow),
        // Nothing is owed, so nobody is slow.
        (0, 2 * BUDGET, true, Delivery::Queued),
        (0, 2 * BUDGET, false, Delivery::Queued),
    ] {
        let (outbox, wire) = outbox(0);
        if owed > 0 {
            outbox.send(vec![b'o'; owed - 2]);
        }
        assert_eq!(outbox.pending(), owed);
        let wakes = wakes_of(&outbox);
        let delivery = outbox.event(&event(size, droppable));
        assert_eq!(delivery, expected, "{owed} + {size}, droppable {droppable}");
        let owed = usize::from(owed > 0);
        match delivery {
            Delivery::Queued => {
                assert_eq!(outbox.pending(), size + owed * 100);
                assert!(outbox.pending() <= BUDGET || owed == 0);
            }
            Delivery::Dropped => assert_eq!((outbox.dropped(), outbox.is_over()), (1, false)),
            Delivery::TooSlow => {
                assert_eq!(wakes.count(), 1);
                assert_eq!(
                    outbox.event(&event(60, true)),
                    Delivery::Over,
                    "nothing follows a close frame"
                );
                wire.make_room(usize::MAX);
                outbox.flush();
                assert_eq!(
                    wire.take_texts().last().unwrap(),
                    "close 1008 slow consumer"
                );
            }
            Delivery::Over => unreachable!(),
        }
    }
}

#[test]
fn a_dropped_event_uses_up_its_number() {
    let (outbox, wire) = outbox(0);
    for _ in 0..3 {
        outbox.event(&event(400, true));
    }
    wire.make_room(usize::MAX);
    outbox.flush();
    outbox.event(&event(60, true));
    outbox.flush();
    let seqs: Vec<_> = wire
        .take_texts()
        .iter()
        .map(|text| text[text.rfind(':').unwrap() + 1..text.len() - 1].to_owned())
        .collect();
    assert_eq!(seqs, ["1", "2", "4"]);
}

#[test]
fn replies_are_never_refused_but_congest() {
    let (outbox, _wire) = outbox(0);
    outbox.send(vec![b'x'; BUDGET / 2 - 4]);
    assert_eq!(
        (outbox.pending(), outbox.is_congested()),
        (BUDGET / 2, false)
    );
    outbox.send(Vec::new());
    assert!(outbox.is_congested());
    outbox.send(vec![b'x'; BUDGET]);
    assert!(outbox.pending() > BUDGET && !outbox.is_over());
}

#[test]
fn the_first_close_counts_and_ends_everything() {
    let (outbox, wire) = outbox(usize::MAX);
    let wakes = wakes_of(&outbox);
    outbox.send(b"before".to_vec());
    outbox.close(1012, "service restart");
    outbox.close(1008, "later");
    outbox.close_reply(Some(1000));
    outbox.send(b"after".to_vec());
    outbox.pong(b"after");
    assert_eq!(outbox.event(&event(60, false)), Delivery::Over);
    assert_eq!(wakes.count(), 1);
    assert_eq!(outbox.flush(), Flush::Done);
    assert_eq!(wire.take_texts(), ["before", "close 1012 service restart"]);
    assert_eq!(outbox.closing().unwrap().code, Some(1012));
}

#[test]
fn close_replies_echo_the_code_or_its_absence() {
    for (code, expected) in [(Some(4000), &[0x88, 2, 15, 160][..]), (None, &[0x88, 0])] {
        let (outbox, wire) = outbox(usize::MAX);
        outbox.close_reply(code);
        outbox.flush();
        assert_eq!(wire.take(), expected);
    }
}

#[test]
fn the_socket_is_told_when_the_end_follows() {
    for (is_end, last_writes) in [(false, 0), (true, 1)] {
        let (outbox, wire) = outbox(usize::MAX);
        outbox.send(b"before".to_vec());
        outbox.close_reply(Some(1000));
        let flushed = if is_end {
            outbox.flush_last()
        } else {
            outbox.flush()
        };
        assert_eq!(flushed, Flush::Done);
        assert_eq!(wire.take_texts(), ["before", "close 1000 "]);
        let socket = wire.0.lock().unwrap();
        assert_eq!((socket.writes, socket.last_writes), (1, last_writes));
    }
}

#[test]
fn the_task_is_woken_once_for_each_time_the_socket_blocks() {
    let (outbox, wire) = outbox(5);
    let wakes = wakes_of(&outbox);
    outbox.send(b"0123456789".to_vec());
    assert_eq!((outbox.flush(), wakes.count()), (Flush::Blocked, 1));
    outbox.send(b"more".to_vec());
    assert_eq!((outbox.flush(), wakes.count()), (Flush::Blocked, 1));
    wire.make_room(13);
    assert_eq!((outbox.flush(), wakes.count()), (Flush::Done, 1));
    assert_eq!(wire.take_texts(), ["0123456789", "more"]);
    // As a task does whenever it runs.
    outbox.register(&Waker::from(Arc::clone(&wakes)));
    outbox.send(b"0123456789".to_vec());
    assert_eq!((outbox.flush(), wakes.count()), (Flush::Blocked, 2));
}

#[test]
fn a_lost_connection_frees_what_was_queued() {
    let (outbox, wire) = outbox(5);
    let wakes = wakes_of(&outbox);
    outbox.send(vec![b'x'; 500]);
    wire.0.lock().unwrap().broken = true;
    let lost = Flush::Failed(ErrorKind::ConnectionReset);
    assert_eq!((outbox.flush(), outbox.pending()), (lost, 0));
    assert!(outbox.is_over() && wakes.count() == 1);
    outbox.send(vec![b'x'; 500]);
    assert_eq!((outbox.flush(), outbox.pending()), (lost, 0));
}

#[test]
fn a_reader_that_never_catches_up_does_not_make_memory_grow() {
    let (outbox, wire) = outbox(0);
    outbox.send(vec![b'x'; 100]);
    for _ in 0..10_000 {
        outbox.send(vec![b'x'; 98]);
        wire.make_room(100);
        outbox.flush();
        wire.take();
    }
    let state = outbox.lock();
    let held: usize = state.queue.iter().map(Chunk::len).sum::<usize>() + state.tail.len();
    assert!(held <= 2 * MAX_TAIL, "{held} bytes held for 102 unsent");
}

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    Event(usize),
    Pong(usize),
    Room(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![
        0..200usize,
        COPY_UP_TO - 5..COPY_UP_TO + 5,
        60_000..70_000usize
    ];
    let step = prop_oneof![
        size.clone().prop_map(Step::Send),
        size.clone().prop_map(Step::Event),
        (0..126usize).prop_map(Step::Pong),
        (0..20_000usize).prop_map(Step::Room),
        (100_000..300_000usize).prop_map(Step::Room),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever is appended and however the socket takes it, the frames come out whole and in order, and the count of
    /// pending bytes is what is missing.
    #[test]
    fn frames_come_out_as_they_went_in(steps in steps()) {
        let wire = FakeWire::default();
        let outbox = Outbox::new(wire.clone(), usize::MAX);
        let mut expected: Vec<String> = Vec::new();
        let mut seq = 0;
        let mut received = Vec::new();
        for (step, letter) in steps.iter().zip(('a'..='z').cycle()) {
            let fill = |n: usize| letter.to_string().repeat(n);
            match *step {
                Step::Send(n) => {
                    outbox.send(fill(n).into_bytes());
                    expected.push(fill(n));
                }
                Step::Event(n) => {
                    seq += 1;
                    prop_assert_eq!(outbox.event(&EventFrame::new(fill(n), false)), Delivery::Queued);
                    expected.push(format!(r#"{},"seq":{seq}}}"#, fill(n)));
                }
                Step::Pong(n) => {
                    outbox.pong(fill(n).as_bytes());
                    expected.push(fill(n));
                }
                Step::Room(n) => {
                    let before = outbox.pending();
                    wire.make_room(n);
                    let outcome = outbox.flush();
                    prop_assert_eq!(outcome == Flush::Done, outbox.pending() == 0);
                    let written = wire.take();
                    prop_assert_eq!(before - outbox.pending(), written.len());
                    received.extend(written);
                }
            }
        }
        wire.make_room(usize::MAX);
        prop_assert_eq!(outbox.flush(), Flush::Done);
        received.extend(wire.take());
        prop_assert_eq!(outbox.written(), received.len() as u64);
        prop_assert_eq!(texts(&received), expected);
    }
}

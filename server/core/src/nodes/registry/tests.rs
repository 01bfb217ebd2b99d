use openclaw_protocol::rt::NonEmptyString;
use proptest::prelude::*;

use super::*;

/// Names of the nodes that the tests have.
const NODES: [&str; 3] = ["one", "two", "three"];
const BOUNDS: Bounds = Bounds {
    per_node: 3,
    total: 5,
};

fn node(node_id: &str, conn_id: &str) -> Arc<Node> {
    let text = |text: &str| NonEmptyString::or(text, "-");
    Arc::new(Node {
        node_id: text(node_id),
        conn_id: conn_id.to_owned(),
        has_device: true,
        display_name: None,
        platform: text("linux"),
        version: text("1"),
        device_family: None,
        model_identifier: None,
        remote_ip: None,
        caps: Vec::new(),
        commands: Vec::new(),
        permissions: None,
        path_env: None,
        connected_at_ms: 0,
    })
}

fn registry() -> Registry<&'static str, u32> {
    Registry::new(BOUNDS)
}

#[test]
fn the_end_of_a_replaced_connection_changes_nothing() {
    let mut registry = registry();
    let first = registry.connect(node("one", "c1"), "line 1");
    assert!(first.replaced.is_none() && first.orphans.is_empty());
    assert_eq!(registry.begin("one", "i1", "cmd", 1), Ok(&"line 1"));
    let second = registry.connect(node("one", "c2"), "line 2");
    assert_eq!(second.replaced.unwrap().1, "line 1");
    let left = Orphan {
        command: "cmd".to_owned(),
        reply: 1,
    };
    assert_eq!(second.orphans, [left], "asked of the old connection");
    assert_eq!(registry.begin("one", "i2", "cmd", 2), Ok(&"line 2"));
    assert!(registry.leave("one", first.generation).is_empty());
    assert_eq!(registry.node("one").unwrap().conn_id, "c2");
    assert_eq!(registry.line("one", "c1"), None);
    assert_eq!(registry.line("one", "c2"), Some(&"line 2"));
    assert_eq!(registry.answer("c1", "i2"), None, "not asked of this one");
    assert_eq!(registry.answer("c2", "i2"), Some(2));
    assert_eq!(registry.answer("c2", "i2"), None, "once");
    assert!(registry.leave("one", second.generation).is_empty());
    assert!(registry.node("one").is_none());
}

#[test]
fn open_commands_are_bounded_by_node_and_in_total() {
    let mut registry = registry();
    assert_eq!(
        registry.begin("one", "x", "cmd", 0),
        Err(NoPlace::NotConnected)
    );
    registry.connect(node("one", "c1"), "1");
    registry.connect(node("two", "c2"), "2");
    for (n, (node_id, expected)) in [
        ("one", Ok(&"1")),
        ("one", Ok(&"1")),
        ("one", Ok(&"1")),
        ("one", Err(NoPlace::TooMany)),
        ("two", Ok(&"2")),
        ("two", Ok(&"2")),
        ("two", Err(NoPlace::TooMany)),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            registry.begin(node_id, &n.to_string(), "cmd", 0),
            expected,
            "{n}"
        );
    }
    assert_eq!(registry.give_up("0"), Some(0));
    assert_eq!(registry.begin("two", "again", "cmd", 0), Ok(&"2"));
}

#[test]
fn programs_belong_to_the_connection_that_was_asked() {
    let mut registry = registry();
    let old = node("one", "c1");
    registry.connect(Arc::clone(&old), "1");
    registry.found(&old, ["gh".to_owned()].into());
    assert!(registry.has_bin("gh") && !registry.has_bin("jq"));
    registry.connect(node("one", "c2"), "2");
    assert!(!registry.has_bin("gh"));
    registry.found(&old, ["gh".to_owned()].into());
    assert!(!registry.has_bin("gh"), "it answers too late");
}

#[derive(Debug, Clone)]
enum Step {
    Connect(usize),
    /// Ends the nth connection that was ever made, perhaps again.
    Leave(usize),
    Invoke(usize),
    /// The nth connection answers the nth command, rightly or not.
    Answer(usize, usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..NODES.len()).prop_map(Step::Connect),
        2 => (0..12usize).prop_map(Step::Leave),
        5 => (0..NODES.len()).prop_map(Step::Invoke),
        4 => (0..12usize, 0..40usize).prop_map(|(c, i)| Step::Answer(c, i)),
        2 => (0..40usize).prop_map(Step::GiveUp),
    ]
}

proptest! {
    #[test]
    fn every_command_has_one_outcome(steps in proptest::collection::vec(step(), 0..200)) {
        let mut registry: Registry<&str, usize> = Registry::new(BOUNDS);
        // Connections by their number: node, generation. The present one of each node.
        let mut connections: Vec<(usize, u64)> = Vec::new();
        let mut present = [None; NODES.len()];
        // Commands by their number: the connection that was asked, and how often each came back.
        let mut asked: Vec<usize> = Vec::new();
        let mut outcomes: Vec<u32> = Vec::new();
        let back = |outcomes: &mut Vec<u32>, replies: Vec<usize>| {
            for reply in replies {
                outcomes[reply] += 1;
            }
        };
        let orphans = |left: Vec<Orphan<usize>>| left.into_iter().map(|left| left.reply).collect();
        for step in steps {
            match step {
                Step::Connect(which) => {
                    let number = connections.len();
                    let made = registry.connect(node(NODES[which], &number.to_string()), "line");
                    prop_assert_eq!(made.replaced.is_some(), present[which].is_some());
                    back(&mut outcomes, orphans(made.orphans));
                    connections.push((which, made.generation));
                    present[which] = Some(number);
                }
                Step::Leave(number) => if let Some(&(which, generation)) = connections.get(number) {
                    back(&mut outcomes, orphans(registry.leave(NODES[which], generation)));
                    if present[which] == Some(number) {
                        present[which] = None;
                    }
                },
                Step::Invoke(which) => {
                    let id = asked.len();
                    match (registry.begin(NODES[which], &id.to_string(), "cmd", id), present[which]) {
                        (Ok(_), Some(number)) => {
                            asked.push(number);
                            outcomes.push(0);
                        }
                        (Err(NoPlace::NotConnected), None) | (Err(NoPlace::TooMany), Some(_)) => {}
                        (found, present) => prop_assert!(false, "{:?} with {:?}", found, present),
                    }
                }
                Step::Answer(number, id) => {
                    let is_open = outcomes.get(id) == Some(&0);
                    let reply = registry.answer(&number.to_string(), &id.to_string());
                    let is_right = is_open && asked.get(id) == Some(&number);
                    prop_assert_eq!(reply, is_right.then_some(id));
                    back(&mut outcomes, reply.into_iter().collect());
                }
                Step::GiveUp(id) => {
                    let is_open = outcomes.get(id) == Some(&0);
                    let reply = registry.give_up(&id.to_string());
                    prop_assert_eq!(reply, is_open.then_some(id));
                    back(&mut outcomes, reply.into_iter().collect());
                }
            }
            let (total, most) = registry.open();
            prop_assert_eq!(total, outcomes.iter().filter(|times| **times == 0).count());
            prop_assert!(total <= BOUNDS.total && most <= BOUNDS.per_node);
            for (which, name) in NODES.iter().enumerate() {
                let conn = registry.node(name).map(|node| node.conn_id.clone());
                prop_assert_eq!(conn, present[which].map(|number| number.to_string()));
            }
        }
        for (which, generation) in connections {
            back(&mut outcomes, orphans(registry.leave(NODES[which], generation)));
        }
        prop_assert!(outcomes.iter().all(|times| *times == 1), "{:?}", outcomes);
        prop_assert_eq!(registry.open(), (0, 0));
    }
}

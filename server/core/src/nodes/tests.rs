use std::sync::atomic::{AtomicBool, Ordering};

use openclaw_protocol::protocol::Role;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;

/// A connection that keeps what it is sent.
#[derive(Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    closed: Mutex<Option<Close>>,
    is_full: AtomicBool,
}

#[derive(Clone, Default)]
struct FakeLine(Arc<Seen>);

impl NodeLine for FakeLine {
    fn send(&self, event: &Event) -> bool {
        if self.0.is_full.load(Ordering::SeqCst) {
            return false;
        }
        self.0.events.lock().unwrap().push(event.clone());
        true
    }

    fn subscribe(&self, session_key: &str) -> bool {
        session_key.len() < 10
    }

    fn unsubscribe(&self, _: &str) {}

    fn close(&self, close: Close) {
        *self.0.closed.lock().unwrap() = Some(close);
    }
}

impl FakeLine {
    fn requests(&self) -> Vec<NodeInvokeRequestEvent> {
        let events = self.0.events.lock().unwrap();
        let of_request = |event: &Event| match event {
            Event::NodeInvokeRequest(request) => Some(request.clone()),
            _ => None,
        };
        events.iter().filter_map(of_request).collect()
    }
}

fn nodes() -> Nodes {
    Nodes::new(Policy::default(), Arc::new(ManualClock::new(7)))
}

fn caller(conn_id: &str, device: Option<&str>, platform: &str) -> Caller {
    Caller::of_test(conn_id, |info| {
        info.role = Role::Node;
        info.device_id = device.map(str::to_owned);
        info.client.platform = NonEmptyString::or(platform, "-");
    })
}

fn offer(commands: &[&str]) -> Offer {
    Offer {
        commands: commands
            .iter()
            .copied()
            .filter_map(NonEmptyString::new)
            .collect(),
        ..Offer::default()
    }
}

fn reply(payload: Value) -> InvokeReply {
    InvokeReply {
        ok: true,
        payload: Some(payload),
        payload_json: None,
        error: None,
    }
}

/// A Linux node `n` that offers `system.run`, and its line.
fn linux(nodes: &Nodes, conn_id: &str) -> (NodePlace, FakeLine) {
    let line = FakeLine::default();
    let caller = caller(conn_id, Some("n"), "linux");
    let place = nodes.connect(&caller, offer(&["system.run", "camera.snap"]), line.clone());
    (place, line)
}

fn ask(nodes: &Nodes, timeout_ms: Option<u64>) -> JoinHandle<Result<InvokeAnswer, InvokeError>> {
    let nodes = nodes.clone();
    tokio::spawn(async move {
        let mut ask = Invocation::new("n", "system.run");
        ask.params = Some(json!({"a": 1}));
        ask.timeout_ms = timeout_ms;
        ask.idempotency_key = NonEmptyString::new("k");
        nodes.invoke(ask).await
    })
}

/// Lets spawned tasks run until they wait.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_goes_there_and_back() {
    let nodes = nodes();
    let (_place, line) = linux(&nodes, "c1");
    let asked = ask(&nodes, Some(500));
    settle().await;
    let request = line.requests().remove(0);
    assert_eq!(request.params_json.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(request.timeout_ms, Some(500));
    assert_eq!(request.idempotency_key.as_deref(), Some("k"));
    assert!(
        !nodes.answer("c2", &request.id, reply(json!(0))),
        "not asked"
    );
    assert!(nodes.answer("c1", &request.id, reply(json!(1))));
    assert!(!nodes.answer("c1", &request.id, reply(json!(2))), "once");
    assert_eq!(asked.await.unwrap().unwrap().payload, Some(json!(1)));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_asked_is_refused_at_once() {
    let nodes = nodes();
    let (_place, line) = linux(&nodes, "c1");
    for (node_id, command, expected) in [
        ("nobody", "system.run", "the node is not connected"),
        ("n", "", "the node may not be asked for : command required"),
        (
            "n",
            "camera.snap",
            "the node may not be asked for camera.snap: command not allowlisted",
        ),
        (
            "n",
            "system.which",
            "the node may not be asked for system.which: command not declared by node",
        ),
    ] {
        let error = nodes
            .invoke(Invocation::new(node_id, command))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert!(line.requests().is_empty());
    let unlisted = nodes.clone();
    tokio::spawn(async move {
        let ask = Invocation::new("n", "system.execApprovals.get");
        unlisted.invoke_unlisted(ask).await
    });
    settle().await;
    assert_eq!(line.requests().len(), 1, "the gateway's own need no list");
    line.0.is_full.store(true, Ordering::SeqCst);
    assert_eq!(ask(&nodes, None).await.unwrap(), Err(InvokeError::NotSent));
}

#[tokio::test(start_paused = true)]
async fn who_may_ask_may_not_decide_or_change_rules() {
    let (run, set) = ("system.run", "system.execApprovals.set");
    let get = "system.execApprovals.get";
    let command = json!({"command": ["/bin/true"]});
    let with = |name: &str, value: Value| {
        let mut params = command.clone();
        params[name] = value;
        params
    };
    let (write, decides, admin) = ("operator.write", "operator.approvals", "operator.admin");
    for (scopes, command, params, needed) in [
        (&[write][..], run, command.clone(), None),
        (&[write], run, with("approved", json!(false)), None),
        (&[write], run, with("approvalDecision", Value::Null), None),
        (&[write], run, with("approved", json!(true)), Some(decides)),
        (&[write], run, with("approved", json!("yes")), Some(decides)),
        (
            &[write],
            run,
            with("approvalDecision", json!("allow-always")),
            Some(decides),
        ),
        (&[write, decides], run, with("approved", json!(true)), None),
        (&[admin], run, with("approved", json!(true)), None),
        (&[write], set, json!({"file": {}}), Some(admin)),
        (&[write, decides], set, json!({"file": {}}), Some(admin)),
        (&[write, decides], get, json!({}), Some(admin)),
        (&[admin], set, json!({"file": {}}), None),
    ] {
        let nodes = nodes();
        let line = FakeLine::default();
        let caller = caller("c1", Some("n"), "linux");
        let _place = nodes.connect(&caller, offer(&[run, set, get]), line.clone());
        let scopes: Vec<_> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let mut ask = Invocation::new("n", command);
        ask.params = Some(params.clone());
        ask.timeout_ms = Some(0);
        let error = nodes.invoke_for(&scopes, ask).await.unwrap_err();
        let said = needed.map(|scope| format!("missing scope: {scope}"));
        let expected = said.unwrap_or_else(|| "node invoke timed out".to_owned());
        assert_eq!(&*error.shape().message, expected, "{scopes:?} {params}");
        let reached = line.requests().len();
        assert_eq!(
            reached,
            usize::from(needed.is_none()),
            "{scopes:?} {params}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn time_ends_a_command() {
    for (timeout_ms, expected) in [(Some(0), 0), (Some(500), 500), (None, 30_000)] {
        let nodes = nodes();
        let (_place, line) = linux(&nodes, "c1");
        let begun = tokio::time::Instant::now();
        assert_eq!(
            ask(&nodes, timeout_ms).await.unwrap(),
            Err(InvokeError::TimedOut)
        );
        let took = begun.elapsed().as_millis();
        assert!(
            (expected..expected + 5).contains(&took),
            "{timeout_ms:?}: {took}"
        );
        let request = line.requests().remove(0);
        assert!(!nodes.answer("c1", &request.id, reply(json!(1))), "late");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_or_is_replaced_answers_no_more() {
    let nodes = nodes();
    let (place, line) = linux(&nodes, "c1");
    let asked = ask(&nodes, None);
    settle().await;
    let (newer, newer_line) = linux(&nodes, "c2");
    let left = || {
        Err(InvokeError::Left {
            command: "system.run".to_owned(),
        })
    };
    assert_eq!(asked.await.unwrap(), left());
    assert_eq!(*line.0.closed.lock().unwrap(), Some(close::REPLACED));
    drop(place);
    assert_eq!(nodes.get("n").unwrap().conn_id, "c2", "the newer one stays");
    let asked = ask(&nodes, None);
    settle().await;
    assert_eq!(newer_line.requests().len(), 1);
    drop(newer);
    assert_eq!(asked.await.unwrap(), left());
    assert!(nodes.get("n").is_none());
}

#[tokio::test(start_paused = true)]
async fn programs_of_one_name_do_not_close_each_other() {
    let nodes = nodes();
    let first = FakeLine::default();
    let connect = |conn_id, line: &FakeLine| {
        nodes.connect(
            &caller(conn_id, None, "linux"),
            Offer::default(),
            line.clone(),
        )
    };
    let _first = connect("c1", &first);
    let _second = connect("c2", &FakeLine::default());
    assert_eq!(nodes.connected().len(), 1);
    assert_eq!(*first.0.closed.lock().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_nothing() {
    let nodes = nodes();
    let (_place, line) = linux(&nodes, "c1");
    for _ in 0..=MAX_INVOKES_PER_NODE {
        let asked = ask(&nodes, None);
        settle().await;
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
    }
    assert_eq!(nodes.registry().open(), (0, 0));
    let asked: Vec<_> = (0..MAX_INVOKES_PER_NODE)
        .map(|_| ask(&nodes, None))
        .collect();
    settle().await;
    assert_eq!(ask(&nodes, None).await.unwrap(), Err(InvokeError::Busy));
    assert_eq!(line.requests().len(), 2 * MAX_INVOKES_PER_NODE + 1);
    drop(asked);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_those_of_the_present_connection() {
    let nodes = nodes();
    let (old, _line) = linux(&nodes, "c1");
    let first = caller("c1", Some("n"), "linux");
    assert!(nodes.subscribe(&first, "main"));
    assert!(!nodes.subscribe(&first, "much too long"));
    let (_new, _line) = linux(&nodes, "c2");
    assert!(!nodes.subscribe(&first, "main"), "replaced");
    assert!(nodes.subscribe(&caller("c2", Some("n"), "linux"), "main"));
    drop(old);
}

#[tokio::test(start_paused = true)]
async fn a_mac_is_asked_for_programs() {
    let wanted: BTreeSet<String> = ["gh".to_owned(), "x;y".to_owned()].into();
    for (commands, expected, answer) in [
        (
            &["system.which", "system.run"][..],
            Some(("system.which", r#"{"bins":["gh"]}"#)),
            json!({"bins": ["gh"]}),
        ),
        (
            &["system.run"],
            Some((
                "system.run",
                r#"{"command":["/bin/sh","-lc","command -v gh >/dev/null 2>&1 && echo gh\ntrue"]}"#,
            )),
            json!({"stdout": "gh\n"}),
        ),
        (&["canvas.present"], None, Value::Null),
    ] {
        let nodes = nodes();
        let line = FakeLine::default();
        let place = nodes.connect(
            &caller("c1", Some("m"), "macos 15"),
            offer(commands),
            line.clone(),
        );
        let (asking, node, bins) = (nodes.clone(), Arc::clone(place.node()), wanted.clone());
        let probe = tokio::spawn(async move { asking.probe(&node, &bins).await });
        settle().await;
        let request = line.requests().pop();
        let found = request.as_ref().map(|request| {
            (
                request.command.as_str(),
                request.params_json.as_deref().unwrap(),
            )
        });
        assert_eq!(found, expected, "{commands:?}");
        if let Some(request) = request {
            assert_eq!(request.timeout_ms, Some(15_000));
            assert!(nodes.answer("c1", &request.id, reply(answer)));
        }
        let given = probe.await.unwrap();
        assert_eq!(given, expected.map(|_| ["gh".to_owned()].into()));
        assert_eq!(nodes.has_bin("gh"), expected.is_some());
    }
}

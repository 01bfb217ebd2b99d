//! Every role, every set of scopes, every method, through the real dispatcher, beside a table of who may do what that is
//! written out here from contract section 5 and knows nothing of the schema.

use std::collections::BTreeMap;

use super::*;

const SCOPES: [&str; 6] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
    // Accepted by the handshake, and good for nothing.
    "operator.unheard-of",
];

// The methods of the outbox are our own: who may look at it and who may change what others sent.
const NODES: &str = "node.invoke.result node.event skills.bins";

const APPROVALS: &str = "exec.approval.request exec.approval.resolve";

const PAIRING: &str = "node.pair.request node.pair.list node.pair.approve node.pair.reject node.pair.verify \
    device.pair.list device.pair.approve device.pair.reject device.token.rotate device.token.revoke node.rename";

const READ: &str = "health logs.tail channels.status status usage.status usage.cost tts.status tts.providers models.list \
    agents.list agent.identity.get skills.status voicewake.get sessions.list sessions.preview cron.list cron.status \
    cron.runs system-presence last-heartbeat node.list node.describe chat.history outbox.list outbox.get";

const WRITE: &str = "send agent agent.wait wake talk.mode tts.enable tts.disable tts.convert tts.setProvider voicewake.set \
    node.invoke chat.send chat.abort browser.request";

const ADMIN: &str = "config.get config.set config.patch config.apply config.schema wizard.start wizard.next \
    wizard.cancel wizard.status update.run exec.approvals.get exec.approvals.set exec.approvals.node.get \
    exec.approvals.node.set channels.logout skills.install skills.update cron.add cron.update cron.remove cron.run \
    sessions.patch sessions.reset sessions.delete sessions.compact sessions.resolve set-heartbeats system-event \
    chat.inject poll web.login.start web.login.wait voicecall.initiate voicecall.start voicecall.continue \
    voicecall.speak voicecall.end voicecall.status connect outbox.retry outbox.cancel";

const UNKNOWN: &str = "nobody.knows";

/// The refusal that a caller gets, if any.
fn refusal(role: &str, scopes: &[&str], method: &str) -> Option<String> {
    let listed = |list: &str| list.split_whitespace().any(|name| name == method);
    let has = |scope: &str| scopes.contains(&scope);
    if listed(NODES) != (role == "node") {
        return Some(format!("unauthorized role: {role}"));
    }
    if role == "node" {
        return None;
    }
    // An operator that asks for no scopes gets all.
    if scopes.is_empty() || has("operator.admin") {
        return (method == UNKNOWN).then(|| format!("unknown method: {UNKNOWN}"));
    }
    let (needed, is_granted) = if listed(APPROVALS) {
        ("operator.approvals", has("operator.approvals"))
    } else if listed(PAIRING) {
        ("operator.pairing", has("operator.pairing"))
    } else if listed(READ) {
        (
            "operator.read",
            has("operator.read") || has("operator.write"),
        )
    } else if listed(WRITE) {
        ("operator.write", has("operator.write"))
    } else {
        ("operator.admin", false)
    };
    (!is_granted).then(|| format!("missing scope: {needed}"))
}

/// What the dispatcher says: a refusal, or nothing where the method was reached.
fn said(answer: &Value) -> Option<String> {
    let message = answer["error"]["message"].as_str()?;
    let starts = ["unauthorized role: ", "missing scope: ", "unknown method: "];
    starts
        .iter()
        .any(|start| message.starts_with(start))
        .then(|| message.to_owned())
}

#[tokio::test]
async fn every_role_scope_set_and_method() {
    let bench = Bench::new();
    let table = [NODES, APPROVALS, PAIRING, READ, WRITE, ADMIN, UNKNOWN].join(" ");
    let methods: Vec<&str> = table.split_whitespace().collect();
    let mut all: Vec<&str> = Method::ALL.iter().map(|method| method.name()).collect();
    all.push(UNKNOWN);
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let listed: Vec<&'static str> = [NODES, APPROVALS, PAIRING, READ, WRITE, ADMIN, UNKNOWN]
        .iter()
        .flat_map(|list| list.split_whitespace())
        .collect();
    assert_eq!(sorted(listed), sorted(all), "the table has every method");

    let mut combinations = 0;
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for role in ["operator", "node"] {
        for set in 0..1_u32 << SCOPES.len() {
            let scopes: Vec<&str> = SCOPES
                .into_iter()
                .enumerate()
                .filter_map(|(bit, scope)| (set >> bit & 1 == 1).then_some(scope))
                .collect();
            let mut client = bench.open().await;
            let mut connect = connect();
            connect["params"]["role"] = json!(role);
            connect["params"]["scopes"] = json!(scopes);
            connect["params"]["client"]["mode"] = json!("cli");
            client.send(&connect).await;
            assert_eq!(client.answer("c").await["payload"]["type"], "hello-ok");
            for method in &methods {
                // Params that no method takes, so that none does anything; the check comes before them.
                let answer = client.call("m", method, json!(0)).await;
                let (said, expected) = (said(&answer), refusal(role, &scopes, method));
                assert_eq!(
                    said, expected,
                    "{role} with {scopes:?} calls {method}: {answer}"
                );
                combinations += 1;
                *outcomes
                    .entry(said.unwrap_or_else(|| "reached".to_owned()))
                    .or_default() += 1;
            }
        }
    }
    assert_eq!(combinations, 2 * 64 * methods.len());
    println!(
        "{combinations} combinations of role, scopes and method, 0 disagreements: {outcomes:?}"
    );
}

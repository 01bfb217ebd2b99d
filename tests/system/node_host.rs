//! Our own node host and the questions about commands, with real processes.

use std::process::Stdio;
use std::time::Duration;

use openclaw_client::{Client, ClientConfig, GatewayCalls};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    ClientId, ClientMode, ConnectClient, ExecApprovalsNodeGetParams, NodeInvokeParams,
    NodeListParams,
};
use openclaw_tests::{Gateway, Home, PATIENCE};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

const TOKEN: (&str, &str) = ("OPENCLAW_GATEWAY_TOKEN", "tok");

fn text(text: &str) -> NonEmptyString {
    NonEmptyString::or(text, "-")
}

/// A node host in a home of its own, once it is connected; and its id.
async fn node(home: &Home, gateway: &Gateway) -> (Child, NonEmptyString) {
    let port = gateway.port.to_string();
    let arguments = ["node", "run", "--port", &port, "--display-name", "Workshop"];
    let mut command = home.command(&arguments);
    let mut child = command
        .env(TOKEN.0, TOKEN.1)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the node starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let connected = async {
        while let Some(line) = lines.next_line().await.expect("its output") {
            if let Some(id) = line.strip_prefix("Connected as node ") {
                return text(id);
            }
        }
        panic!("the node ended before it was connected");
    };
    let id = timeout(PATIENCE, connected).await.expect("it connects");
    (child, id)
}

async fn operator(gateway: &Gateway) -> Client {
    let who = ConnectClient::new(ClientId::Test, text("1"), text("linux"), ClientMode::Test);
    let mut config = ClientConfig::new(&gateway.url(), who).expect("a URL");
    config.token = Some(SecretString::new(TOKEN.1));
    Client::connect(config).await.expect("connected")
}

async fn invoke(
    client: &Client,
    node: &NonEmptyString,
    command: &str,
    params: Value,
) -> Result<Value, String> {
    let mut call = NodeInvokeParams::new(node.clone(), text(command), text("key"));
    call.params = Some(params);
    let answer = client.node_invoke(&call).await;
    answer
        .map(|result| result.payload.unwrap_or_default())
        .map_err(|error| error.to_string())
}

/// Variables of commands that talk to the gateway of a port.
fn here(port: &str) -> [(&str, &str); 2] {
    [TOKEN, ("OPENCLAW_GATEWAY_PORT", port)]
}

async fn is_connected(client: &Client, id: &NonEmptyString) -> bool {
    let list = client.node_list(&NodeListParams::new()).await;
    let nodes = list.expect("the nodes").nodes;
    nodes
        .iter()
        .any(|node| node.node_id == *id && node.connected)
}

#[tokio::test]
async fn a_node_runs_commands_for_its_gateway() {
    let (home, far) = (Home::new(), Home::new());
    let mut gateway = Gateway::start(&home, &["--token", TOKEN.1]).await;
    let (mut child, id) = node(&far, &gateway).await;
    let client = operator(&gateway).await;

    let found = invoke(
        &client,
        &id,
        "system.which",
        json!({"bins": ["sh", "no-such-bin"]}),
    )
    .await;
    let found = found.expect("it looks");
    assert!(
        found["bins"]["sh"]
            .as_str()
            .is_some_and(|path| path.ends_with("/sh")),
        "{found}"
    );
    assert!(found["bins"].get("no-such-bin").is_none());

    // A node without rules wants a person to be asked; with a yes it runs.
    let echo = |more: Value| {
        let mut params = json!({"command": ["/bin/sh", "-c", "echo from-node"], "cwd": "/"});
        if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
            params.extend(more.clone());
        }
        params
    };
    let refused = invoke(&client, &id, "system.run", echo(json!({}))).await;
    assert_eq!(
        refused,
        Err("SYSTEM_RUN_DENIED: approval required".to_owned())
    );
    let ran = invoke(
        &client,
        &id,
        "system.run",
        echo(json!({"approvalDecision": "allow-once"})),
    )
    .await;
    let expected = json!({
        "exitCode": 0, "timedOut": false, "success": true, "stdout": "from-node\n", "stderr": "", "error": null,
    });
    assert_eq!(ran, Ok(expected.clone()));

    // Its rules can be read and replaced from the gateway; then it runs what they allow.
    let rules = client
        .exec_approvals_node_get(&ExecApprovalsNodeGetParams::new(id.clone()))
        .await;
    let rules = rules.expect("its rules");
    assert_eq!(
        rules["path"],
        json!(far.path().join(".openclaw/exec-approvals.json"))
    );
    let file = far.path().join("rules.json");
    std::fs::write(
        &file,
        r#"{"version":1,"defaults":{"security":"full","ask":"off"}}"#,
    )
    .expect("written");
    let (port, file) = (gateway.port.to_string(), file.display().to_string());
    let arguments = ["approvals", "set", "--file", &file, "--node", &id];
    let set = home.run_with(&arguments, &here(&port)).await;
    assert_eq!(set.code, Some(0), "{}", set.err);
    assert!(set.out.contains("security full, ask off"), "{}", set.out);
    assert_eq!(
        invoke(&client, &id, "system.run", echo(json!({}))).await,
        Ok(expected)
    );

    // It comes back when the gateway was away, and ends when it is told to.
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    client.close().await;
    let gateway = Gateway::start_at(&home, gateway.port, &["--token", TOKEN.1], &[]).await;
    let client = operator(&gateway).await;
    let back = async {
        while !is_connected(&client, &id).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, back).await.expect("it comes back");
    let again = invoke(&client, &id, "system.run", echo(json!({}))).await;
    assert_eq!(again.expect("it runs")["stdout"], "from-node\n");
    let pid = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    rustix::process::kill_process(pid.expect("running"), Signal::TERM).expect("signalled");
    let status = timeout(PATIENCE, child.wait())
        .await
        .expect("it ends")
        .expect("its status");
    assert_eq!(status.code(), Some(0));
}

/// A question in the background, as the command line asks it.
fn ask(home: &Home, gateway: &Gateway) -> Child {
    let params = json!({"id": "my-question", "command": "make install", "agentId": "main", "timeoutMs": 60_000});
    let (params, port) = (params.to_string(), gateway.port.to_string());
    let arguments = [
        "call",
        "exec.approval.request",
        "--params",
        &params,
        "--timeout",
        "60000",
    ];
    let mut command = home.command(&arguments);
    command
        .envs(here(&port))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("it asks")
}

async fn pending(home: &Home, gateway: &Gateway) -> Vec<String> {
    let port = gateway.port.to_string();
    let ran = home
        .run_with(&["approvals", "pending", "--json"], &here(&port))
        .await;
    let shown: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    let shown = shown.as_array().expect("a list");
    shown
        .iter()
        .map(|asked| format!("{} {}", asked["id"], asked["request"]["command"]))
        .collect()
}

#[tokio::test]
async fn a_question_survives_a_kill_and_is_decided_on_the_command_line() {
    let home = Home::new();
    let mut gateway = Gateway::start(&home, &["--token", TOKEN.1]).await;
    let asking = ask(&home, &gateway);
    let question = ["\"my-question\" \"make install\"".to_owned()];
    let announced = async { while pending(&home, &gateway).await.is_empty() {} };
    timeout(PATIENCE, announced).await.expect("it is asked");
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    let lost = timeout(PATIENCE, asking.wait_with_output())
        .await
        .expect("it notices")
        .expect("its end");
    assert_eq!(lost.status.code(), Some(1));

    let gateway = Gateway::start(&home, &["--token", TOKEN.1]).await;
    assert_eq!(pending(&home, &gateway).await, question);
    let port = gateway.port.to_string();
    let resolve = async |word: &str| {
        let arguments = ["approvals", "resolve", "my-question", word];
        home.run_with(&arguments, &here(&port)).await
    };
    let decided = resolve("allow-once").await;
    assert_eq!(
        (decided.code, decided.out.as_str()),
        (Some(0), "my-question: allow-once\n"),
        "{}",
        decided.err
    );
    let late = resolve("deny").await;
    assert_eq!(late.code, Some(1));
    assert!(late.err.contains("unknown approval id"), "{}", late.err);
    assert!(pending(&home, &gateway).await.is_empty());
    // Whoever asks again gets the decision.
    let again = timeout(PATIENCE, ask(&home, &gateway).wait_with_output())
        .await
        .expect("an answer")
        .expect("its end");
    let answer: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(
        (&answer["id"], &answer["decision"]),
        (&json!("my-question"), &json!("allow-once"))
    );
}

#[tokio::test]
async fn the_allowlist_of_this_machine_is_kept_on_the_command_line() {
    let home = Home::new();
    let add = home
        .run(&["approvals", "allowlist", "add", "/usr/bin/ls"])
        .await;
    assert_eq!(add.code, Some(0), "{}", add.err);
    let shown = home.run(&["approvals", "get", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(
        shown["file"]["agents"]["main"]["allowlist"][0]["pattern"],
        "/usr/bin/ls"
    );
    // The gateway of this machine shows the same rules.
    let gateway = Gateway::start(&home, &[]).await;
    let port = gateway.port.to_string();
    let variables = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    let remote = home
        .run_with(&["approvals", "get", "--gateway", "--json"], &variables)
        .await;
    let remote: Value =
        serde_json::from_str(&remote.out).unwrap_or_else(|_| panic!("{}", remote.err));
    assert_eq!(remote, shown);
    let remove = [
        "approvals",
        "allowlist",
        "remove",
        "/usr/bin/ls",
        "--gateway",
    ];
    let removed = home.run_with(&remove, &variables).await;
    assert_eq!(removed.code, Some(0), "{}", removed.err);
    let shown = home.run(&["approvals", "get"]).await;
    assert!(
        shown.out.contains("Allowed programs: none"),
        "{}",
        shown.out
    );
}

//! Servers as agents meet them: a program of the shell, and an HTTP server on a real socket. Times are real; every test ends on
//! an event.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::link::MAX_TOOLS;
use super::server::REST;
use super::*;
use crate::config::Tools;

/// A server that notes each of its starts, tells the tools in `$TOOLS` and does what the arguments say.
const PROGRAM: &str = r#"
echo started >>starts
echo "the key is $KEY" >&2
reply() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"; }
say() { reply '"result":{"content":[{"type":"text","text":"'"$1"'"}]}'; }
while read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*)
      reply '"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"}}';;
    *'"method":"tools/list"'*) reply '"result":{"tools":['"$TOOLS"']}';;
    *'"do":"die"'*) exit 1;;
    *'"do":"hang"'*) ;;
    *'"do":"refuse"'*) reply '"error":{"code":-32602,"message":"no such thing"}';;
    *'"do":"fail"'*) reply '"result":{"content":[{"type":"text","text":"it is closed"}],"isError":true}';;
    *'"do":"tell"'*) say "$KEY ${OPENCLAW_GATEWAY_TOKEN-none}";;
    *'"do":"change"'*)
      TOOLS='{"name":"listen","inputSchema":{"type":"object"}}'
      echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
      say changed;;
    *'"method":"tools/call"'*) say done;;
  esac
done
"#;

const LOOK: &str = r#"{"name":"look","description":"Looks.","inputSchema":{"type":"object","properties":{"do":{"type":"string"}}}}"#;

fn environment() -> Environment {
    let path = std::env::var("PATH").unwrap();
    Environment::new(
        "/",
        [
            ("PATH", path),
            ("OPENCLAW_GATEWAY_TOKEN", "secret".to_owned()),
        ],
    )
}

fn mcp(servers: Value) -> Mcp {
    let config = serde_json::from_value(json!({"servers": servers})).unwrap();
    Mcp::new(&config, &environment())
}

fn program(dir: &Path, tools: &str) -> Value {
    json!({"command": "sh", "args": ["-c", PROGRAM], "cwd": dir, "env": {"TOOLS": tools, "KEY": "k-1"}})
}

async fn offered(mcp: &Mcp) -> Vec<Served> {
    let policy = Policy {
        all: &Tools::default(),
        own: None,
    };
    mcp.offered(&policy).await
}

/// Lets tokio's clock stand still until this is dropped: a blocking task is under way, so it does not run ahead while everybody
/// waits for programs.
fn standstill() -> std::sync::mpsc::Sender<()> {
    let (still, until) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || until.recv());
    tokio::time::pause();
    still
}

fn names(served: &[Served]) -> Vec<String> {
    served
        .iter()
        .map(|tool| tool.spec().name.to_string())
        .collect()
}

fn starts(dir: &Path) -> usize {
    let noted = std::fs::read_to_string(dir.join("starts")).unwrap_or_default();
    noted.lines().count()
}

async fn check(tool: &Served, what: &str, told: Result<&str, &str>) {
    let output = tool.call(&json!({"do": what})).await;
    let told = match told {
        Ok(text) => Output::good(text),
        Err(text) => Output::bad(text),
    };
    assert_eq!(output, told, "{what}");
}

#[tokio::test]
async fn tools_of_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let mcp = mcp(
        json!({"my hub": program(dir.path(), LOOK), "off": {"command": "/nonexistent", "enabled": false}}),
    );
    assert_eq!(starts(dir.path()), 0, "it is started when it is needed");
    let tools = offered(&mcp).await;
    assert_eq!(names(&tools), ["mcp__my_hub__look"]);
    let spec = tools[0].spec();
    assert_eq!(spec.description, "Looks.");
    assert_eq!(spec.parameters["properties"]["do"]["type"], "string");
    check(&tools[0], "look", Ok("done")).await;
    check(&tools[0], "tell", Ok("k-1 none")).await;
    check(&tools[0], "fail", Err("it is closed")).await;
    let refused = "The server of this tool: it says: no such thing.";
    check(&tools[0], "refuse", Err(refused)).await;
    let output = tools[0].call(&json!("{\"do")).await;
    assert_eq!(output, Output::bad("The arguments are not a JSON object."));
    check(&tools[0], "change", Ok("changed")).await;
    assert_eq!(names(&offered(&mcp).await), ["mcp__my_hub__listen"]);
    assert_eq!(starts(dir.path()), 1);
}

#[tokio::test]
async fn a_policy_that_permits_none_starts_none() {
    let dir = tempfile::tempdir().unwrap();
    let mcp = mcp(json!({"hub": program(dir.path(), LOOK)}));
    for (lists, count, started) in [
        (json!({"deny": ["group:mcp"]}), 0, 0),
        (json!({"allow": ["read", "mcp__club"]}), 0, 0),
        (json!({"allow": ["mcp__hub__other"]}), 0, 1),
        (json!({"allow": ["mcp__hub__look"]}), 1, 1),
    ] {
        let all: Tools = serde_json::from_value(lists.clone()).unwrap();
        let policy = Policy {
            all: &all,
            own: None,
        };
        let tools = mcp.offered(&policy).await;
        assert_eq!(
            (tools.len(), starts(dir.path())),
            (count, started),
            "{lists}"
        );
    }
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_with_rests() {
    let _still = standstill();
    let dir = tempfile::tempdir().unwrap();
    let mcp = mcp(json!({"hub": program(dir.path(), LOOK)}));
    let tool = offered(&mcp).await.remove(0);
    let lost = "The server of this tool: it ended, or was lost, before it answered; it may have done what it was asked for.";
    check(&tool, "look", Ok("done")).await;
    check(&tool, "die", Err(lost)).await;
    // It has done well before, so it is started at once.
    check(&tool, "look", Ok("done")).await;
    check(&tool, "die", Err(lost)).await;
    check(&tool, "die", Err(lost)).await;
    assert_eq!(starts(dir.path()), 3);
    let resting = "The server of this tool: it does not last; it is started again in 1 s.";
    check(&tool, "look", Err(resting)).await;
    assert_eq!(offered(&mcp).await.len(), 0);
    assert_eq!(starts(dir.path()), 3);
    tokio::time::advance(REST).await;
    check(&tool, "look", Ok("done")).await;
    assert_eq!(starts(dir.path()), 4);
}

#[tokio::test]
async fn a_call_without_an_answer_ends() {
    let dir = tempfile::tempdir().unwrap();
    let tool = offered(&mcp(json!({"hub": program(dir.path(), LOOK)})))
        .await
        .remove(0);
    // From here on the clock goes on as soon as everybody waits.
    tokio::time::pause();
    let silent = "The server of this tool: it did not answer within 60000 ms; it may have done what it was asked for.";
    check(&tool, "hang", Err(silent)).await;
    tokio::time::resume();
    check(&tool, "look", Ok("done")).await;
    assert_eq!(starts(dir.path()), 1);
}

/// Makes a FIFO `life`; the handle comes when somebody has said `up` into it. Reading it further comes to its end when nobody
/// who lives holds it open.
fn life(dir: &Path) -> JoinHandle<File> {
    let path = dir.join("life");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut life = File::open(path).unwrap();
        let mut word = [0; 3];
        life.read_exact(&mut word).unwrap();
        life
    })
}

async fn is_dead(mut life: File) {
    let rest = tokio::task::spawn_blocking(move || life.read_to_end(&mut Vec::new()).unwrap());
    assert_eq!(rest.await.unwrap(), 0);
}

#[tokio::test]
async fn a_start_that_hangs_ends() {
    let dir = tempfile::tempdir().unwrap();
    let life = life(dir.path());
    let _still = standstill();
    let mcp = mcp(json!({"hub": {
        "command": "sh", "args": ["-c", "exec 3>life; echo up >&3; sleep 1000 & sleep 1000"], "cwd": dir.path(),
    }}));
    let starting = tokio::spawn(async move { offered(&mcp).await.len() });
    let life = life.await.unwrap();
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(starting.await.unwrap(), 0);
    is_dead(life).await;
}

#[tokio::test]
async fn nothing_outlives_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let life = life(dir.path());
    let stubborn = format!("exec 3>life; echo up >&3; sleep 1000 & {PROGRAM} sleep 1000");
    let mut server = program(dir.path(), LOOK);
    server["args"][1] = json!(stubborn);
    let mcp = mcp(json!({"hub": server}));
    let tool = offered(&mcp).await.remove(0);
    check(&tool, "look", Ok("done")).await;
    mcp.stop();
    is_dead(life.await.unwrap()).await;
    let stopping = "The server of this tool: the gateway is stopping.";
    check(&tool, "look", Err(stopping)).await;
}

#[tokio::test]
async fn servers_that_cannot_be_used_have_no_tools() {
    for server in [
        json!({"command": "/nonexistent"}),
        json!({"command": "false"}),
        json!({"command": "echo", "args": ["hello"]}),
        json!({"url": "http://127.0.0.1:1/mcp"}),
        json!({"url": "ftp://host/"}),
        json!({}),
    ] {
        let shown = server.to_string();
        assert_eq!(
            offered(&mcp(json!({"hub": server}))).await.len(),
            0,
            "{shown}"
        );
    }
}

#[tokio::test]
async fn tools_and_servers_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let tool = |n: usize| format!(r#"{{"name":"t{n}","inputSchema":{{"type":"object"}}}}"#);
    for (count, told) in [(MAX_TOOLS, MAX_TOOLS), (MAX_TOOLS + 1, MAX_TOOLS)] {
        let tools: Vec<String> = (0..count).map(tool).collect();
        let mcp = mcp(json!({"hub": program(dir.path(), &tools.join(","))}));
        assert_eq!(offered(&mcp).await.len(), told, "{count}");
    }
    let schema = |bytes: usize| {
        let rest = r#"{"type":"object","title":""}"#.len();
        format!(
            r#"{{"name":"t","inputSchema":{{"type":"object","title":"{}"}}}}"#,
            "x".repeat(bytes - rest)
        )
    };
    for (bytes, told) in [(32 * 1024, 1), (32 * 1024 + 1, 0)] {
        let mcp = mcp(json!({"hub": program(dir.path(), &schema(bytes))}));
        assert_eq!(offered(&mcp).await.len(), told, "{bytes}");
    }
    for (count, used) in [(MAX_SERVERS, MAX_SERVERS), (MAX_SERVERS + 1, MAX_SERVERS)] {
        let servers = (0..count).map(|n| (format!("s{n}"), json!({"command": "x"})));
        let servers: serde_json::Map<String, Value> = servers.collect();
        assert_eq!(mcp(Value::Object(servers)).servers.len(), used, "{count}");
    }
}

type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// A server over HTTP; the headers of every request that it answers.
async fn web() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp?key=in-url", listener.local_addr().unwrap());
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, Arc::clone(&noted)));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    (url, seen)
}

async fn answer(
    request: Request<Incoming>,
    seen: Seen,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let asked = body.collect().await.unwrap().to_bytes();
    let plain = |code: u16| Response::builder().status(code);
    if head.method != Method::POST {
        return Ok(plain(405).body(Full::default()).unwrap());
    }
    if head
        .headers
        .get("authorization")
        .is_none_or(|shown| shown != "Bearer tok")
    {
        let refusal = plain(401).header("www-authenticate", "Bearer");
        return Ok(refusal.body(Full::default()).unwrap());
    }
    seen.lock().unwrap().push(head.headers);
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    let result = match asked["method"].as_str().unwrap() {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "s", "version": "1"}}),
        "tools/list" => {
            let tool: Value = serde_json::from_str(LOOK).unwrap();
            json!({"tools": [tool]})
        }
        "tools/call" => {
            json!({"content": [{"type": "text", "text": asked["params"]["arguments"]["do"]}]})
        }
        _ => return Ok(plain(202).body(Full::default()).unwrap()),
    };
    let reply = json!({"jsonrpc": "2.0", "id": asked["id"], "result": result});
    let response = plain(200).header("content-type", "application/json");
    Ok(response
        .body(Full::new(Bytes::from(reply.to_string())))
        .unwrap())
}

#[tokio::test]
async fn tools_of_an_address() {
    let (url, seen) = web().await;
    let server = json!({"url": url, "headers": {"Authorization": "Bearer tok", "X-Team": "blue"}});
    let tools = offered(&mcp(json!({"web": server}))).await;
    assert_eq!(names(&tools), ["mcp__web__look"]);
    check(&tools[0], "hello", Ok("hello")).await;
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter().all(|headers| headers["x-team"] == "blue"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_address_that_wants_a_login_says_so() {
    let (url, seen) = web().await;
    let config = json!({"servers": {"web": {"url": url}}});
    let mcp = Mcp::new(&serde_json::from_value(config).unwrap(), &environment());
    let trouble = mcp.servers[0].tools().await.unwrap_err();
    let told = "it asks for a login; mcp.servers.*.headers can show one";
    assert_eq!(trouble.to_string(), told);
    assert!(seen.lock().unwrap().is_empty());
}

//! A node on another machine: it runs in a network namespace of its own, so that the gateway really is elsewhere for it.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use openclaw_tests::{Gateway, Home, PATIENCE, binary};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

const TOKEN: &str = "the-token-of-this-gateway";

/// A network namespace that reaches ours by one cable; removed when dropped.
struct Elsewhere {
    name: String,
    /// Our end of the cable.
    here: Ipv4Addr,
    /// The other end.
    there: Ipv4Addr,
}

/// `ip` with these arguments, or what it complained of.
fn ip(arguments: &[&str]) -> Result<(), String> {
    let ran = Command::new("ip").args(arguments).output();
    let ran = ran.map_err(|error| format!("ip: {error}"))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&ran.stderr).trim()
        )),
    }
}

impl Elsewhere {
    /// `Err` where we may not make namespaces; once there is one, everything else has to work.
    fn new() -> Result<Self, String> {
        let process = std::process::id();
        // One of the 32,768 networks of four addresses in 198.18.0.0/15, which is for tests between hosts.
        let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + process % (1 << 15) * 4;
        let elsewhere = Self {
            name: format!("oc-{process}"),
            here: Ipv4Addr::from(network + 1),
            there: Ipv4Addr::from(network + 2),
        };
        ip(&["netns", "add", &elsewhere.name])?;
        elsewhere.plug_in().expect("a cable to the namespace");
        Ok(elsewhere)
    }

    fn cable(&self) -> [String; 2] {
        ["h", "t"].map(|end| format!("{}{end}", self.name))
    }

    fn plug_in(&self) -> Result<(), String> {
        let [here, there] = &self.cable();
        let name = self.name.as_str();
        let addresses = [self.here, self.there].map(|address| format!("{address}/30"));
        ip(&[
            "link", "add", here, "type", "veth", "peer", "name", there, "netns", name,
        ])?;
        ip(&["addr", "add", &addresses[0], "dev", here])?;
        ip(&["link", "set", here, "up"])?;
        ip(&["-n", name, "addr", "add", &addresses[1], "dev", there])?;
        ip(&["-n", name, "link", "set", there, "up"])
    }

    /// Starts the command there, in a home.
    fn spawn(&self, home: &Home, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
        // `ip netns exec` becomes the command, so killing it kills that.
        let mut child = tokio::process::Command::new("ip")
            .args(["netns", "exec", &self.name])
            .arg(binary())
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .env("OPENCLAW_GATEWAY_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the command starts");
        let output = child.stdout.take().expect("its output");
        (child, BufReader::new(output).lines())
    }
}

impl Drop for Elsewhere {
    #[allow(clippy::print_stdout)] // what stays behind on the host is for whoever reads the log
    fn drop(&mut self) {
        // The cable goes first: a process that still ends there may keep the namespace, and its end with it, for a while.
        for arguments in [
            ["link", "del", &self.cable()[0]],
            ["netns", "del", &self.name],
        ] {
            if let Err(error) = ip(&arguments) {
                println!("{error}");
            }
        }
    }
}

/// The rest of the first line that begins so.
async fn said(lines: &mut Lines<BufReader<ChildStdout>>, beginning: &str) -> String {
    let found = async {
        while let Some(line) = lines.next_line().await.expect("its output") {
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
        panic!("it ended before it said {beginning:?}");
    };
    timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("it did not say {beginning:?}"))
}

/// What a command of an operator beside the gateway answers.
async fn operator(home: &Home, gateway: &Gateway, arguments: &[&str]) -> Value {
    let url = gateway.url();
    let all = [arguments, &["--json", "--url", &url, "--token", TOKEN]].concat();
    let ran = home.run(&all).await;
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{arguments:?}: {}", ran.out))
}

#[tokio::test]
async fn a_node_elsewhere_is_let_in_by_an_operator_and_works() {
    let elsewhere = match Elsewhere::new() {
        Ok(elsewhere) => elsewhere,
        Err(error) => {
            println!("skipped, network namespaces cannot be made here: {error}");
            return;
        }
    };
    let (home, far) = (Home::new(), Home::new());
    let gateway = Gateway::start(&home, &["--bind", "lan", "--token", TOKEN]).await;
    let (host, port) = (elsewhere.here.to_string(), gateway.port.to_string());
    let arguments = ["node", "run", "--host", &host, "--port", &port];
    let arguments = [arguments.as_slice(), &["--display-name", "Outpost"]].concat();
    let (node, mut lines) = elsewhere.spawn(&far, &arguments);

    // It knows the token, but it is not of this host: somebody has to let it in.
    let waits = "Waiting for approval. On the gateway: openclaw devices approve ";
    let request = said(&mut lines, waits).await;
    let devices = operator(&home, &gateway, &["devices", "list"]).await;
    let pending = devices["pending"].as_array().expect("requests");
    assert_eq!(pending.len(), 1, "{devices}");
    assert_eq!(
        (&pending[0]["requestId"], &pending[0]["role"]),
        (&json!(request), &json!("node"))
    );
    assert_eq!(pending[0]["remoteIp"], json!(elsewhere.there));
    let nodes = operator(&home, &gateway, &["nodes", "list"]).await;
    assert_eq!(nodes["nodes"], json!([]));

    operator(&home, &gateway, &["devices", "approve", &request]).await;
    let id = said(&mut lines, "Connected as node ").await;
    assert_eq!(pending[0]["deviceId"], json!(id));
    let which = ["nodes", "invoke", "--node", "Outpost", "--command"];
    let which = [
        &which[..],
        &["system.which", "--params", r#"{"bins":["sh"]}"#],
    ]
    .concat();
    let found = operator(&home, &gateway, &which).await;
    let shell = found["payload"]["bins"]["sh"].as_str().expect("a path");
    assert!(shell.ends_with("/sh"), "{found}");

    // Thrown out, it is gone at once. (It may come back, for it knows the shared token: odd 8.)
    let revoke = ["devices", "revoke", "--device", &id, "--role", "node"];
    operator(&home, &gateway, &revoke).await;
    said(&mut lines, "Connection lost: ").await;
    drop(node);
}

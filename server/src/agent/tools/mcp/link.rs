//! A connection to a server that is ready: its client, its tools, calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
    PaginatedRequestParams,
};
use rmcp::service::{
    ClientInitializeError, NotificationContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;

use super::address::{Address, Program};
use super::leash::Leash;
use super::names;
use crate::agent::backend::ToolSpec;
use crate::agent::http_client;
use crate::child::Group;

/// Largest message of a server that is taken; what is told of it is far less.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Tools of one server that are told to models; further ones are passed over. No provider takes more in all.
pub(super) const MAX_TOOLS: usize = 128;
/// Longest description of a tool that is told, in bytes.
const MAX_DESCRIPTION: usize = 2 * 1024;
/// Largest schema of a tool's arguments that is told, in bytes of JSON; a tool with a larger one is passed over.
const MAX_SCHEMA: usize = 32 * 1024;
/// Longest text of a server's error that is passed on, in bytes.
const MAX_ERROR: usize = 1024;
/// Longest line of a program's log that is passed on, in bytes.
const MAX_LOG_LINE: u64 = 2 * 1024;
/// How long the connection to an address may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a server cannot be used, or gave no answer. The texts are for models and logs: they hold neither secrets nor addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The configuration leads to no server.
    #[error("{0}")]
    Config(&'static str),
    /// The system does not start it.
    #[error("it cannot be started: {0}")]
    NotStarted(String),
    /// It was not ready in time.
    #[error("it was not ready within {0} ms")]
    Slow(u128),
    /// It cannot be reached, or ended before it was ready.
    #[error("it ended, or could not be reached, before it was ready")]
    NotReady,
    /// It wants to know who we are.
    #[error("it asks for a login; mcp.servers.*.headers can show one")]
    Login,
    /// It says no.
    #[error("it says: {0}")]
    Refused(String),
    /// It did not answer a call in time.
    #[error("it did not answer within {0} ms; it may have done what it was asked for")]
    NoAnswer(u128),
    /// It is gone.
    #[error("it ended, or was lost, before it answered; it may have done what it was asked for")]
    Lost,
    /// It was started not long ago and did not last.
    #[error("it does not last; it is started again in {0} s")]
    Resting(u64),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// A tool of a server.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Its name at the server.
    pub(super) name: String,
    /// What models are told.
    pub(super) spec: ToolSpec,
}

/// A connection to a server. Dropping it ends it.
pub(super) struct Link {
    client: RunningService<RoleClient, Watcher>,
    changed: Arc<AtomicBool>,
    /// The program, which ends with the connection.
    _child: Option<Child>,
}

/// Our side of a connection: it hears of changes and allows servers nothing of their own.
struct Watcher {
    changed: Arc<AtomicBool>,
}

impl ClientHandler for Watcher {
    fn get_info(&self) -> ClientConfig {
        let own = Implementation::new("openclaw", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), own)
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.store(true, Ordering::Release);
    }
}

impl Link {
    /// Starts or reaches a server and says hello. The caller bounds the time.
    pub(super) async fn open(
        name: &str,
        address: &Arc<Address>,
        leash: &Leash,
    ) -> Result<Self, Trouble> {
        let changed = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            changed: Arc::clone(&changed),
        };
        let (client, child) = match &**address {
            Address::Nowhere(why) => return Err(Trouble::Config(*why)),
            Address::Program(program) => {
                let mut child = program.start()?;
                if !leash.hold(Group::of(&child)) {
                    return Err(Trouble::Stopping);
                }
                let (Some(stdin), Some(stdout), Some(stderr)) =
                    (child.stdin.take(), child.stdout.take(), child.stderr.take())
                else {
                    return Err(Trouble::NotReady);
                };
                let (name, address) = (name.to_owned(), Arc::clone(address));
                tokio::spawn(async move {
                    if let Address::Program(program) = &*address {
                        log(&name, program, stderr).await;
                    }
                });
                let transport =
                    AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MAX_MESSAGE);
                let client = watcher.serve(transport).await;
                (client.map_err(|error| not_ready(&error))?, Some(child))
            }
            Address::Web { url, headers } => {
                let client = http_client::client(url, CONNECT).map_err(|_| Trouble::NotReady)?;
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers.clone())
                    .max_sse_event_size(MAX_MESSAGE)
                    .max_json_response_size(MAX_MESSAGE)
                    .max_error_response_size(MAX_ERROR);
                let transport = StreamableHttpClientTransport::with_client(client, config);
                let client = watcher.serve(transport).await;
                (client.map_err(|error| not_ready(&error))?, None)
            }
        };
        Ok(Self {
            client,
            changed,
            _child: child,
        })
    }

    /// Whether the server is gone.
    pub(super) fn is_over(&self) -> bool {
        self.client.is_closed() || self.client.is_transport_closed()
    }

    /// Whether the server has said that its tools are others now, since this was last asked.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// The tools of the server; their names begin with `prefix`.
    pub(super) async fn tools(&self, prefix: &str) -> Result<Vec<Listed>, Trouble> {
        let (mut names, mut listed, mut cursor) = (names::Tools::of(prefix), Vec::new(), None);
        let mut passed_over = 0_usize;
        loop {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.client.list_tools(Some(params)).await;
            let page = page.map_err(|error| failed(&error))?;
            // A page without tools brings us no further.
            let is_last = page.tools.is_empty();
            for tool in page.tools {
                let parameters = Value::Object((*tool.input_schema).clone());
                if listed.len() == MAX_TOOLS || parameters.to_string().len() > MAX_SCHEMA {
                    passed_over += 1;
                    continue;
                }
                let description = tool.description.unwrap_or_default();
                let end = description.floor_char_boundary(MAX_DESCRIPTION);
                listed.push(Listed {
                    spec: ToolSpec {
                        name: names.name(&tool.name).into(),
                        description: description[..end].to_owned().into(),
                        parameters,
                    },
                    name: tool.name.into_owned(),
                });
            }
            cursor = page.next_cursor;
            if cursor.is_none() || is_last || listed.len() == MAX_TOOLS {
                break;
            }
        }
        if passed_over > 0 {
            tracing::warn!(
                prefix,
                passed_over,
                "a server has more tools, or larger ones, than models are told"
            );
        }
        Ok(listed)
    }

    /// Calls a tool. The caller bounds the time; dropping the future tells the server that nobody waits.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<CallToolResult, Trouble> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let called = self.client.call_tool(params).await;
        called.map_err(|error| failed(&error))
    }
}

fn not_ready(error: &ClientInitializeError) -> Trouble {
    if error.is_authorization_required() {
        return Trouble::Login;
    }
    match error {
        ClientInitializeError::JsonRpcError(error) => Trouble::Refused(short(&error.message)),
        _ => Trouble::NotReady,
    }
}

fn failed(error: &ServiceError) -> Trouble {
    if error.auth_challenge().is_some() {
        return Trouble::Login;
    }
    match error {
        ServiceError::McpError(error) => Trouble::Refused(short(&error.message)),
        ServiceError::UnexpectedResponse | ServiceError::InputRequiredRoundsExceeded { .. } => {
            Trouble::Refused("something that is not understood".to_owned())
        }
        _ => Trouble::Lost,
    }
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_ERROR)].to_owned()
}

/// Writes a program's log into ours, without the secrets that it was given, until it ends.
async fn log(server: &str, program: &Program, stderr: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        let mut piece = (&mut lines).take(MAX_LOG_LINE);
        match piece.read_until(b'\n', &mut line).await {
            Ok(1..) => {
                let line = String::from_utf8_lossy(&line);
                let line = program.without_secrets(line.trim_end());
                tracing::debug!(server, line, "a server of tools says");
            }
            _ => return,
        }
    }
}

//! `mcp`: servers of the Model Context Protocol, whose tools agents may use.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use openclaw_schema_runtime::SecretString;
use schemars::JsonSchema;
use serde::Deserialize;

/// Time for a start when nothing is configured, in ms: `npx` may have to fetch the program first.
const DEFAULT_CONNECTION_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(30_000).unwrap();
/// Time for a call when nothing is configured, in ms.
const DEFAULT_REQUEST_TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(60_000).unwrap();

/// `mcp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Mcp {
    /// Servers by name; their tools are called `mcp__<name>__<tool>`. An entry of the usual `mcpServers` can be put here as it
    /// is.
    pub servers: BTreeMap<String, McpServer>,
}

/// One of `mcp.servers`: a program that is started, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct McpServer {
    /// Whether it is used.
    pub enabled: bool,
    /// The program, by name or path; it speaks on its standard input and output.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that it gets beside a few harmless ones of the gateway (`PATH`, `HOME`, …).
    #[schemars(with = "BTreeMap<String, String>", extend("x-secret" = true))]
    pub env: BTreeMap<String, SecretString>,
    /// Directory that it works in; the home directory when absent.
    #[serde(alias = "workingDirectory")]
    pub cwd: Option<String>,
    /// Address of a server that speaks streamable HTTP, in place of a program.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub url: Option<SecretString>,
    /// Headers added to every request to it.
    #[schemars(with = "BTreeMap<String, String>", extend("x-secret" = true))]
    pub headers: BTreeMap<String, SecretString>,
    /// How it is spoken to; known from `command` or `url` when absent.
    #[serde(alias = "type")]
    pub transport: Option<McpTransport>,
    /// Longest start, in ms.
    pub connection_timeout_ms: NonZeroU64,
    /// Longest call, in ms.
    pub request_timeout_ms: NonZeroU64,
}

impl Default for McpServer {
    fn default() -> Self {
        Self {
            enabled: true,
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            url: None,
            headers: BTreeMap::new(),
            transport: None,
            connection_timeout_ms: DEFAULT_CONNECTION_TIMEOUT_MS,
            request_timeout_ms: DEFAULT_REQUEST_TIMEOUT_MS,
        }
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum McpTransport {
    /// A program, on its standard input and output.
    Stdio,
    /// Streamable HTTP.
    #[serde(alias = "http")]
    StreamableHttp,
    /// The HTTP transport that streamable HTTP has replaced; it is not spoken here.
    Sse,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_example_of_the_documents_is_a_configuration() {
        let page = include_str!("../../../../docs/tools.md");
        let example = page
            .split("```")
            .find_map(|part| part.strip_prefix("json5\n"));
        let config: Config = json5::from_str(example.unwrap()).unwrap();
        let servers = config.mcp.servers;
        assert_eq!(servers["files"].command.as_deref(), Some("npx"));
        assert_eq!(
            servers["hub"].url.as_ref().map(SecretString::expose),
            Some("https://example.com/mcp")
        );
        assert!(servers["hub"].enabled && servers["hub"].headers.len() == 1);
    }

    #[test]
    fn entries_of_mcp_servers_can_be_taken_over() {
        for (text, transport) in [
            (
                r#"{"type": "stdio", "command": "x", "args": [], "env": {}}"#,
                McpTransport::Stdio,
            ),
            (
                r#"{"type": "http", "url": "http://h/"}"#,
                McpTransport::StreamableHttp,
            ),
            (
                r#"{"transport": "streamable-http", "url": "http://h/"}"#,
                McpTransport::StreamableHttp,
            ),
            (r#"{"type": "sse", "url": "http://h/"}"#, McpTransport::Sse),
        ] {
            let server: McpServer = serde_json::from_str(text).unwrap();
            assert_eq!(server.transport, Some(transport), "{text}");
        }
    }
}

//! Where a server is: a program to start or an address to speak to, as the configuration says.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::Stdio;

use openclaw_schema_runtime::SecretString;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use tokio::process::{Child, Command};

use super::link::Trouble;
use crate::agent::http_client;
use crate::child;
use crate::config::{McpServer, McpTransport};
use crate::paths::Environment;

/// Where a server is. Not to be printed: it holds secrets.
pub(super) enum Address {
    /// A program.
    Program(Program),
    /// An address.
    Web {
        /// Where.
        url: Url,
        /// What is sent along.
        headers: HashMap<HeaderName, HeaderValue>,
    },
    /// What is wrong with the configuration.
    Nowhere(&'static str),
}

/// A program to start. Not to be printed: it holds secrets.
pub(super) struct Program {
    command: PathBuf,
    args: Vec<String>,
    variables: BTreeMap<String, String>,
    /// Values of its own variables, which its log may not show.
    secrets: Vec<SecretString>,
    cwd: PathBuf,
}

impl Address {
    /// What a configuration means.
    pub(super) fn of(server: &McpServer, environment: &Environment) -> Self {
        let command = server.command.as_deref().map(str::trim);
        let command = command.filter(|command| !command.is_empty());
        let url = server.url.as_ref().map(|url| url.expose().trim());
        let url = url.filter(|url| !url.is_empty());
        match (command, url, server.transport) {
            (_, _, Some(McpTransport::Sse)) => {
                Self::Nowhere("the transport sse is not spoken; use streamable-http")
            }
            (Some(_), Some(_), None) => Self::Nowhere("it has both a command and a url"),
            (Some(command), _, None | Some(McpTransport::Stdio)) => {
                Self::Program(Program::of(command, server, environment))
            }
            (_, Some(url), None | Some(McpTransport::StreamableHttp)) => Self::web(url, server),
            _ => Self::Nowhere("it has no command and no url"),
        }
    }

    fn web(url: &str, server: &McpServer) -> Self {
        let Some(url) = http_client::web_url(url) else {
            return Self::Nowhere("its url must begin with http:// or https://");
        };
        let mut headers = HashMap::new();
        for (name, value) in &server.headers {
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            let value = HeaderValue::from_str(value.expose());
            let (Ok(name), Ok(mut value)) = (name, value) else {
                return Self::Nowhere("its headers hold characters that no header can");
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Self::Web { url, headers }
    }
}

impl Program {
    fn of(command: &str, server: &McpServer, environment: &Environment) -> Self {
        let mut variables: BTreeMap<String, String> = child::plain_variables(environment)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let own = server.env.iter();
        variables.extend(own.map(|(name, value)| (name.clone(), value.expose().to_owned())));
        Self {
            command: environment.expand(command),
            args: server.args.clone(),
            variables,
            secrets: server.env.values().cloned().collect(),
            cwd: environment.expand(server.cwd.as_deref().unwrap_or("~")),
        }
    }

    /// Starts it in a process group of its own.
    pub(super) fn start(&self) -> Result<Child, Trouble> {
        let child = Command::new(&self.command)
            .args(&self.args)
            .env_clear()
            .envs(&self.variables)
            .current_dir(&self.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        child.map_err(|error| Trouble::NotStarted(error.to_string()))
    }

    /// A line of its log without the secrets that it was given.
    pub(super) fn without_secrets(&self, line: &str) -> String {
        let secrets = self.secrets.iter().map(SecretString::expose);
        secrets
            .filter(|secret| !secret.is_empty())
            .fold(line.to_owned(), |line, secret| {
                line.replace(secret, "[redacted]")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(config: Value, expected: &str) {
        let server: McpServer = serde_json::from_value(config.clone()).unwrap();
        let environment = Environment::new(
            "/home/ann",
            [("PATH", "/bin"), ("OPENCLAW_GATEWAY_TOKEN", "secret")],
        );
        let found = match Address::of(&server, &environment) {
            Address::Program(program) => format!(
                "{} {} {:?} in {}",
                program.command.display(),
                program.args.join(" "),
                program.variables,
                program.cwd.display()
            ),
            Address::Web { url, headers } => {
                let shown = format!("{headers:?}");
                assert!(!shown.contains("tok"), "{shown}");
                format!("{url} {}", headers.len())
            }
            Address::Nowhere(why) => why.to_owned(),
        };
        assert_eq!(found, expected, "{config}");
    }

    #[test]
    fn what_configurations_mean() {
        check(
            json!({"command": "npx", "args": ["-y", "x"], "env": {"KEY": "k"}}),
            r#"npx -y x {"KEY": "k", "PATH": "/bin"} in /home/ann"#,
        );
        check(
            json!({"command": "~/bin/x", "workingDirectory": "~/w", "type": "stdio", "env": {"PATH": "/b"}}),
            r#"/home/ann/bin/x  {"PATH": "/b"} in /home/ann/w"#,
        );
        check(
            json!({"url": "https://host/mcp", "headers": {"Authorization": "Bearer tok"}, "type": "http"}),
            "https://host/mcp 1",
        );
        check(
            json!({"command": "x", "url": "http://host/", "transport": "streamable-http"}),
            "http://host/ 0",
        );
        check(json!({}), "it has no command and no url");
        check(json!({"command": " "}), "it has no command and no url");
        check(
            json!({"command": "x", "url": "http://host/"}),
            "it has both a command and a url",
        );
        check(
            json!({"url": "http://host/", "transport": "sse"}),
            "the transport sse is not spoken; use streamable-http",
        );
        check(
            json!({"url": "file:///x"}),
            "its url must begin with http:// or https://",
        );
        check(
            json!({"url": "http://host/", "headers": {"a": "b\nc"}}),
            "its headers hold characters that no header can",
        );
    }

    #[test]
    fn lines_of_the_log_hold_no_secrets() {
        let config = json!({"command": "x", "env": {"KEY": "k-1", "NONE": ""}});
        let server: McpServer = serde_json::from_value(config).unwrap();
        let environment = Environment::new("/", Vec::<(String, String)>::new());
        let Address::Program(program) = Address::of(&server, &environment) else {
            panic!("it is a program");
        };
        assert_eq!(
            program.without_secrets("k-1 is the key k-1"),
            "[redacted] is the key [redacted]"
        );
    }
}

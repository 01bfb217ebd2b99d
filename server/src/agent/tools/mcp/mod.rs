//! Servers of the Model Context Protocol (`mcp.servers`): programs and addresses whose tools agents may use.
//!
//! [`Server`] starts one when it is first needed and again when it is gone, never more often than its rest allows. [`link`] is
//! the connection, [`address`] what the configuration says about it, [`names`] gives the tools names that every model takes, and
//! [`result`] makes what they bring text. Used by [`super::Toolbox`]; the gateway ends what was started with [`Mcp::stop`].

mod address;
mod leash;
mod link;
mod names;
mod result;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;

use super::policy::Policy;
use super::{Output, ToolSpec};
use crate::config;
use crate::paths::Environment;
use address::Address;
use names::GROUP;
use server::Server;

/// Servers that are used; further ones are passed over. Each is a process or a connection, and its tools are told to models with
/// every turn.
pub(super) const MAX_SERVERS: usize = 32;

/// The servers. Clones share them.
#[derive(Clone, Default)]
pub struct Mcp {
    servers: Arc<[Arc<Server>]>,
}

/// A tool of a server.
#[derive(Clone)]
pub(super) struct Served {
    server: Arc<Server>,
    /// Its name at the server.
    name: String,
    spec: ToolSpec,
}

impl Mcp {
    /// The servers of a configuration; none is started yet. `environment` is what programs get a few variables of.
    #[must_use]
    pub fn new(config: &config::Mcp, environment: &Environment) -> Self {
        let enabled = config.servers.iter().filter(|(_, server)| server.enabled);
        let mut names = names::Servers::default();
        let mut servers = Vec::new();
        for (name, server) in enabled {
            if servers.len() == MAX_SERVERS {
                tracing::warn!(
                    server = name,
                    "more than {MAX_SERVERS} servers of tools: passed over"
                );
                continue;
            }
            let address = Address::of(server, environment);
            let prefix = names.prefix(name);
            servers.push(Arc::new(Server::new(name, prefix, address, server)));
        }
        Self {
            servers: servers.into(),
        }
    }

    /// The tools that `policy` permits. Starts the servers that may have some and do not run; those that cannot be used have
    /// none.
    pub(super) async fn offered(&self, policy: &Policy<'_>) -> Vec<Served> {
        let wanted = self.servers.iter().filter(|server| {
            let prefix = server.prefix();
            policy.permits_some(&[GROUP, prefix], &format!("{prefix}__"))
        });
        let listed = join_all(wanted.map(|server| async move { (server, server.tools().await) }));
        let mut offered = Vec::new();
        for (server, tools) in listed.await {
            let Ok(tools) = tools else { continue };
            let permitted = tools
                .iter()
                .filter(|tool| policy.permits(&[GROUP, server.prefix(), &tool.spec.name]));
            offered.extend(permitted.map(|tool| Served {
                server: Arc::clone(server),
                name: tool.name.clone(),
                spec: tool.spec.clone(),
            }));
        }
        offered
    }

    /// Ends the programs that were started, and starts no more.
    pub fn stop(&self) {
        for server in &*self.servers {
            server.stop();
        }
    }
}

impl Served {
    /// What models are told.
    pub(super) fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// Uses it.
    pub(super) async fn call(&self, arguments: &Value) -> Output {
        match arguments {
            Value::Object(arguments) => self.server.call(&self.name, arguments.clone()).await,
            _ => Output::bad("The arguments are not a JSON object."),
        }
    }
}

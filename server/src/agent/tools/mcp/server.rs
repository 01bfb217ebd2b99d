//! One server: started when it is needed, asked with a time limit, started again when it is gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::super::Output;
use super::address::Address;
use super::leash::Leash;
use super::link::{Link, Listed, Trouble};
use super::result;
use crate::config::McpServer;

/// Rest after a first start that came to nothing; doubled for each further one.
pub(super) const REST: Duration = Duration::from_secs(1);
/// Longest rest. Each start that comes to nothing may hold up a turn for as long as starts may take.
pub(super) const MAX_REST: Duration = Duration::from_secs(600);

/// A server.
pub(super) struct Server {
    name: String,
    prefix: String,
    address: Arc<Address>,
    start_limit: Duration,
    call_limit: Duration,
    /// One start at a time; whoever needs the server meanwhile waits for it.
    state: Mutex<State>,
    leash: Leash,
}

#[derive(Default)]
struct State {
    running: Option<(Arc<Link>, Arc<[Listed]>)>,
    /// Starts since something last went well.
    starts: u32,
    /// When the next one may be.
    rest_until: Option<Instant>,
}

impl Server {
    /// A server that is not started yet; the names of its tools begin with `prefix`.
    pub(super) fn new(name: &str, prefix: String, address: Address, config: &McpServer) -> Self {
        Self {
            name: name.to_owned(),
            prefix,
            address: Arc::new(address),
            start_limit: Duration::from_millis(config.connection_timeout_ms.get()),
            call_limit: Duration::from_millis(config.request_timeout_ms.get()),
            state: Mutex::default(),
            leash: Leash::default(),
        }
    }

    /// What the names of its tools begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Its tools. Starts it if it does not run.
    pub(super) async fn tools(&self) -> Result<Arc<[Listed]>, Trouble> {
        Ok(self.running().await?.1)
    }

    /// Calls one of its tools. Starts it if it does not run.
    pub(super) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Output {
        let link = match self.running().await {
            Ok((link, _)) => link,
            Err(trouble) => return Output::bad(told(&trouble)),
        };
        let called = timeout(self.call_limit, link.call(tool, arguments)).await;
        let called = called.unwrap_or(Err(Trouble::NoAnswer(self.call_limit.as_millis())));
        match called {
            Ok(result) => {
                let mut state = self.state.lock().await;
                (state.starts, state.rest_until) = (0, None);
                result::output(result)
            }
            Err(trouble) => {
                tracing::info!(server = self.name, %trouble, "a call of a tool gave nothing");
                if trouble == Trouble::Lost {
                    self.forget(&link).await;
                }
                Output::bad(told(&trouble))
            }
        }
    }

    /// A connection is of no use any more.
    async fn forget(&self, lost: &Arc<Link>) {
        let mut state = self.state.lock().await;
        let is_it = |(link, _): &(Arc<Link>, _)| Arc::ptr_eq(link, lost);
        if state.running.as_ref().is_some_and(is_it) {
            state.running = None;
            self.leash.let_go();
        }
    }

    /// Ends its program, and starts it no more.
    pub(super) fn stop(&self) {
        self.leash.cut();
    }

    async fn running(&self) -> Result<(Arc<Link>, Arc<[Listed]>), Trouble> {
        let mut state = self.state.lock().await;
        if self.leash.is_cut() {
            return Err(Trouble::Stopping);
        }
        if let Some((link, tools)) = &mut state.running {
            if !link.is_over() {
                if link.has_changed()
                    && let Ok(Ok(now)) = timeout(self.call_limit, link.tools(&self.prefix)).await
                {
                    *tools = now.into();
                }
                return Ok((Arc::clone(link), Arc::clone(tools)));
            }
            tracing::warn!(server = self.name, "a server of tools is gone");
            state.running = None;
            self.leash.let_go();
        }
        self.start(&mut state).await
    }

    async fn start(&self, state: &mut State) -> Result<(Arc<Link>, Arc<[Listed]>), Trouble> {
        let now = Instant::now();
        if let Some(rest) = state
            .rest_until
            .and_then(|until| until.checked_duration_since(now))
            && !rest.is_zero()
        {
            // Whole seconds, the last one too.
            return Err(Trouble::Resting(
                rest.as_secs() + u64::from(rest.subsec_nanos() > 0),
            ));
        }
        state.rest_until = Some(now + rest(state.starts));
        state.starts = state.starts.saturating_add(1);
        let opened = async {
            let link = Link::open(&self.name, &self.address, &self.leash).await?;
            let tools = link.tools(&self.prefix).await?;
            Ok((Arc::new(link), Arc::from(tools)))
        };
        let opened = timeout(self.start_limit, opened).await;
        let opened = opened.unwrap_or_else(|_| Err(Trouble::Slow(self.start_limit.as_millis())));
        match opened {
            Ok((link, tools)) => {
                let count = <[Listed]>::len(&tools);
                tracing::info!(
                    server = self.name,
                    tools = count,
                    "a server of tools is ready"
                );
                state.running = Some((Arc::clone(&link), Arc::clone(&tools)));
                Ok((link, tools))
            }
            Err(trouble) => {
                tracing::warn!(server = self.name, %trouble, "a server of tools cannot be used");
                self.leash.let_go();
                Err(trouble)
            }
        }
    }
}

/// What a model is told.
fn told(trouble: &Trouble) -> String {
    format!("The server of this tool: {trouble}.")
}

/// The rest after a start with so many before it that came to nothing.
fn rest(starts: u32) -> Duration {
    let factor = 1_u32.checked_shl(starts).unwrap_or(u32::MAX);
    REST.saturating_mul(factor).min(MAX_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_up_to_a_limit() {
        for (starts, seconds) in [
            (0, 1),
            (1, 2),
            (9, 512),
            (10, 600),
            (31, 600),
            (32, 600),
            (u32::MAX, 600),
        ] {
            assert_eq!(rest(starts), Duration::from_secs(seconds), "{starts}");
        }
    }
}

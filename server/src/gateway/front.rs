//! What clients meet: who may come in, the surfaces of HTTP, and what answers a connection. Called by [`super::start`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_core::http::{Admission, Caps, Site};
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::SessionDefaults;
use tokio::time::Instant;

use super::domain::{Domain, Ground};
use crate::config::{self, Config, GatewayAuth, Startup};
use crate::connection::auth::Auth;
use crate::connection::handshake::Policy;
use crate::connection::limiter::Limiter;
use crate::connection::locality::Trust;
use crate::connection::tailscale::{self, Whois};
use crate::connection::{Counters, Deadlines, Facts, HelloTemplate, Service, Shared};
use crate::exec_rules::RulesFile;
use crate::http::{Api, ApiParts, Doors, HookParts, Hooks, HooksOff, Web};
use crate::methods::{Methods, UNFINISHED};
use crate::paths::Environment;
use crate::refusals::Refusals;
use crate::sessions::KeyRules;
use crate::usage::{Costs, Quotas};

/// What both doors, WebSocket and HTTP, judge by.
pub(super) struct Guard {
    policy: Arc<Policy>,
    /// Wrong secrets.
    limiter: Arc<Limiter>,
    /// Members of the tailnet.
    whois: Arc<Whois>,
    /// Who was not let in.
    refusals: Arc<Refusals>,
}

impl Guard {
    /// The guard of a gateway on a machine with these addresses.
    pub(super) fn new(ground: &Ground, addresses: &[IpAddr]) -> Self {
        let Ground {
            config,
            startup,
            clock,
            ..
        } = ground;
        let program = whois_program(startup, &ground.environment);
        let whois = Whois::new(program, ground.work.clone(), Arc::clone(clock));
        Self {
            policy: Arc::new(policy(&config.gateway, &startup.auth, addresses)),
            limiter: Arc::default(),
            whois: Arc::new(whois),
            refusals: Arc::new(Refusals::since(clock.now_ms())),
        }
    }
}

/// What a configuration says about connecting. `auth` is the resolved secret, `own_addresses` are as for [`Trust::new`].
fn policy(gateway: &config::Gateway, auth: &GatewayAuth, own_addresses: &[IpAddr]) -> Policy {
    let control_ui = &gateway.control_ui;
    Policy {
        auth: Auth::new(auth.mode, auth.secret().map(SecretString::expose)),
        trust: Trust::new(
            &gateway.trusted_proxies,
            own_addresses,
            &control_ui.allowed_origins,
        ),
        allow_insecure_auth: control_ui.allow_insecure_auth,
        disable_device_auth: control_ui.dangerously_disable_device_auth,
        strict_devices: gateway.auth.strict_devices,
        allow_tailscale: auth.allow_tailscale,
    }
}

/// What the port serves.
pub(super) fn site(ground: &Ground, domain: &Domain, guard: &Guard) -> Site {
    let Ground { config, clock, .. } = ground;
    let beats = domain.heartbeats.clone();
    let main = domain.sessions.rules().default_agent.clone();
    let hooks = HookParts {
        runs: domain.runs.clone(),
        events: Arc::clone(&domain.events),
        clock: Arc::clone(clock),
        wake: Some(Arc::new(move || beats.request(&main, HOOK_REASON))),
        refusals: Arc::clone(&guard.refusals),
    };
    let doors = Doors {
        policy: Arc::clone(&guard.policy),
        limiter: Arc::clone(&guard.limiter),
        whois: Arc::clone(&guard.whois),
        refusals: Arc::clone(&guard.refusals),
        clock: Arc::clone(clock),
    };
    let api = Api::new(
        config,
        ApiParts {
            runs: domain.runs.clone(),
            taps: Arc::clone(&domain.taps),
            doors,
            hooks: hooks_of(config, &guard.policy, hooks),
        },
    );
    let caps = Caps {
        total: config.gateway.connections.max.get().into(),
        per_network: config.gateway.connections.max_per_address.get().into(),
    };
    let admission = Admission::new(caps, Arc::clone(&guard.refusals));
    Site::new(Arc::new(admission), guard.policy.trust.clone())
        .with_surfaces(Arc::new(Web::new(api)))
}

/// What all connections share. `version` and `host` are what hello-ok says.
pub(super) fn shared(
    ground: &Ground,
    domain: Domain,
    guard: Guard,
    version: String,
    host: String,
    started: Instant,
) -> Shared {
    let facts = Facts {
        version,
        commit: ground.environment.get("GIT_COMMIT").map(str::to_owned),
        host,
        config_path: ground.paths.config_file.display().to_string(),
        state_dir: ground.paths.state_dir.display().to_string(),
        session_defaults: session_defaults(&ground.config, domain.sessions.rules()),
        unfinished: UNFINISHED,
    };
    Shared {
        hub: Arc::clone(&ground.hub),
        pairing: domain.pairing.clone(),
        nodes: domain.nodes.clone(),
        service: Arc::new(methods(ground, domain, &guard)) as Arc<dyn Service>,
        policy: guard.policy,
        hello: HelloTemplate::new(&facts),
        clock: Arc::clone(&ground.clock),
        handshakes: Arc::new(Deadlines::new(Duration::from_millis(
            limits::HANDSHAKE_TIMEOUT_MS,
        ))),
        started,
        counters: Counters::default(),
        refusals: guard.refusals,
        limiter: guard.limiter,
        whois: guard.whois,
    }
}

fn methods(ground: &Ground, domain: Domain, guard: &Guard) -> Methods {
    let costs = Costs::new(domain.sessions.clone(), TimeZone::system());
    Methods {
        costs: Arc::new(costs),
        quotas: Quotas::new(&ground.config),
        heartbeats: domain.heartbeats,
        cron: domain.cron,
        hub: Arc::clone(&ground.hub),
        health: domain.health,
        runs: domain.runs,
        pairing: domain.pairing,
        node_pairing: domain.node_pairing,
        sessions: domain.sessions,
        approvals: domain.approvals,
        exec_rules: RulesFile::of_home(&ground.environment.home),
        outbox: domain.outbox,
        events: domain.events,
        nodes: domain.nodes,
        voicewake: domain.voicewake,
        refusals: Arc::clone(&guard.refusals),
        clock: Arc::clone(&ground.clock),
        work: ground.work.clone(),
    }
}

/// The hooks, if they are on. Hooks that cannot be served do not keep the gateway from starting.
fn hooks_of(config: &Config, policy: &Policy, parts: HookParts) -> Option<Hooks> {
    match Hooks::new(&config.hooks, policy.trust.clone(), parts) {
        Ok(hooks) => Some(hooks),
        Err(HooksOff::NotEnabled) => None,
        Err(why) => {
            tracing::error!(%why, "hooks are not served");
            None
        }
    }
}

/// Why heartbeats that hooks ask for are made, as their prompt and the log say.
const HOOK_REASON: &str = "hook";

/// The program that is asked who a member of the tailnet is.
fn whois_program(startup: &Startup, environment: &Environment) -> PathBuf {
    let given = environment.own("TAILSCALE_COMMAND").map(|(_, value)| value);
    let configured = startup.tailscale.command.as_deref();
    environment.expand(given.or(configured).unwrap_or(tailscale::PROGRAM))
}

fn session_defaults(config: &Config, rules: &KeyRules) -> Option<SessionDefaults> {
    let main = rules.main(&rules.default_agent);
    let mut defaults = SessionDefaults::new(
        NonEmptyString::new(rules.default_agent.as_str())?,
        NonEmptyString::new(rules.main_key.as_str())?,
        NonEmptyString::new(main.canonical())?,
    );
    defaults.scope = config.session.scope.as_str().parse().ok();
    Some(defaults)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;
    use crate::config::AuthMode;
    use crate::connection::auth::Credentials;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn policies_come_from_the_configuration() {
        let gateway: config::Gateway = serde_json::from_value(json!({
            "trustedProxies": ["10.0.0.1"],
            "controlUi": {"allowInsecureAuth": true, "allowedOrigins": ["https://ui.example"]},
        }))
        .unwrap();
        let secrets = GatewayAuth {
            mode: AuthMode::Password,
            token: Some(SecretString::new("tok")),
            password: Some(SecretString::new("pw")),
            allow_tailscale: false,
        };
        let policy = policy(&gateway, &secrets, &[LOOPBACK]);
        assert!(
            policy.allow_insecure_auth && !policy.disable_device_auth && !policy.strict_devices
        );
        let expected = Trust::new(
            &["10.0.0.1".into()],
            &[LOOPBACK],
            &["https://ui.example".into()],
        );
        assert_eq!(policy.trust, expected);
        assert_eq!(
            policy.auth.check(&Credentials::new(None, Some("pw"))),
            Ok(())
        );
        assert!(
            policy
                .auth
                .check(&Credentials::new(Some("tok"), None))
                .is_err()
        );
    }
}

//! Which secret clients have to show: contract 2.7 over the command line, the configuration and the environment.

use openclaw_schema_runtime::SecretString;

use super::Overrides;
use super::types::{AuthMode, Config, TailscaleMode};
use crate::paths::Environment;

/// How clients prove who they are. Fixed while the gateway runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayAuth {
    /// Which of the secrets counts.
    pub mode: AuthMode,
    /// The shared token, if one is known. Never blank.
    pub token: Option<SecretString>,
    /// The shared password, if one is known. Never blank.
    pub password: Option<SecretString>,
    /// Whether a verified Tailscale identity is enough.
    pub allow_tailscale: bool,
}

impl GatewayAuth {
    /// What is in force. Each secret: command line, else configuration, else environment. The mode: command line, else
    /// configuration, else `password` if there is a password, else `token`.
    #[must_use]
    pub fn resolve(config: &Config, environment: &Environment, overrides: &Overrides) -> Self {
        let configured = &config.gateway.auth;
        let token = first_secret(
            [&overrides.token, &configured.token],
            environment.own("GATEWAY_TOKEN"),
        );
        let password = first_secret(
            [&overrides.password, &configured.password],
            environment.own("GATEWAY_PASSWORD"),
        );
        let mode = overrides.auth_mode.or(configured.mode).unwrap_or({
            if password.is_some() {
                AuthMode::Password
            } else {
                AuthMode::Token
            }
        });
        let tailscale = overrides.tailscale.unwrap_or(config.gateway.tailscale.mode);
        let allow_tailscale = configured
            .allow_tailscale
            .unwrap_or(tailscale == TailscaleMode::Serve && mode != AuthMode::Password);
        Self {
            mode,
            token,
            password,
            allow_tailscale,
        }
    }

    /// The secret that the mode asks for.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretString> {
        match self.mode {
            AuthMode::Token => self.token.as_ref(),
            AuthMode::Password => self.password.as_ref(),
        }
    }
}

fn first_secret(
    given: [&Option<SecretString>; 2],
    from_environment: Option<(String, &str)>,
) -> Option<SecretString> {
    given
        .into_iter()
        .flatten()
        .find(|secret| !secret.expose().trim().is_empty())
        .cloned()
        .or_else(|| from_environment.map(|(_, value)| SecretString::new(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// `expected`: mode, token, password, allow_tailscale.
    fn check(
        gateway: Value,
        variables: &[(&str, &str)],
        overrides: Overrides,
        expected: (AuthMode, Option<&str>, Option<&str>, bool),
    ) {
        let config: Config = serde_json::from_value(json!({ "gateway": gateway })).unwrap();
        let environment = Environment::new("/home/u", variables.iter().copied());
        let auth = GatewayAuth::resolve(&config, &environment, &overrides);
        let found = (
            auth.mode,
            auth.token.as_ref().map(SecretString::expose),
            auth.password.as_ref().map(SecretString::expose),
            auth.allow_tailscale,
        );
        assert_eq!(found, expected, "{gateway} {variables:?} {overrides:?}");
    }

    fn flags() -> Overrides {
        Overrides::default()
    }

    #[test]
    fn the_token_comes_from_flag_then_config_then_environment() {
        use AuthMode::Token;
        let both = [
            ("CLAWDBOT_GATEWAY_TOKEN", "old"),
            ("OPENCLAW_GATEWAY_TOKEN", "env"),
        ];
        check(json!({}), &[], flags(), (Token, None, None, false));
        check(json!({}), &both, flags(), (Token, Some("env"), None, false));
        check(
            json!({}),
            &both[..1],
            flags(),
            (Token, Some("old"), None, false),
        );
        check(
            json!({"auth": {"token": "cfg"}}),
            &both,
            flags(),
            (Token, Some("cfg"), None, false),
        );
        check(
            json!({"auth": {"token": "  "}}),
            &both,
            flags(),
            (Token, Some("env"), None, false),
        );
        let flag = Overrides {
            token: Some("flag".into()),
            ..flags()
        };
        check(
            json!({"auth": {"token": "cfg"}}),
            &both,
            flag,
            (Token, Some("flag"), None, false),
        );
    }

    #[test]
    fn the_mode_follows_the_password_unless_it_is_said() {
        use AuthMode::{Password, Token};
        let env = [("OPENCLAW_GATEWAY_PASSWORD", "pw")];
        check(
            json!({}),
            &env,
            flags(),
            (Password, None, Some("pw"), false),
        );
        check(
            json!({"auth": {"token": "t"}}),
            &env,
            flags(),
            (Password, Some("t"), Some("pw"), false),
        );
        check(
            json!({"auth": {"mode": "token", "token": "t"}}),
            &env,
            flags(),
            (Token, Some("t"), Some("pw"), false),
        );
        let flag = Overrides {
            auth_mode: Some(Password),
            ..flags()
        };
        check(
            json!({"auth": {"mode": "token"}}),
            &[],
            flag,
            (Password, None, None, false),
        );
        let flag = Overrides {
            password: Some("flag".into()),
            ..flags()
        };
        check(
            json!({"auth": {"mode": "token"}}),
            &env,
            flag,
            (Token, None, Some("flag"), false),
        );
    }

    #[test]
    fn tailscale_identity_counts_when_served_and_not_in_password_mode() {
        use AuthMode::{Password, Token};
        let serve = json!({"tailscale": {"mode": "serve"}});
        check(serve.clone(), &[], flags(), (Token, None, None, true));
        check(
            json!({"tailscale": {"mode": "funnel"}}),
            &[],
            flags(),
            (Token, None, None, false),
        );
        check(
            json!({"tailscale": {"mode": "serve"}, "auth": {"mode": "password"}}),
            &[],
            flags(),
            (Password, None, None, false),
        );
        check(
            json!({"tailscale": {"mode": "serve"}, "auth": {"allowTailscale": false}}),
            &[],
            flags(),
            (Token, None, None, false),
        );
        check(
            json!({"auth": {"allowTailscale": true}}),
            &[],
            flags(),
            (Token, None, None, true),
        );
        let off = Overrides {
            tailscale: Some(TailscaleMode::Off),
            ..flags()
        };
        check(serve, &[], off, (Token, None, None, false));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let auth = GatewayAuth {
            mode: AuthMode::Token,
            token: Some("s3cret".into()),
            password: Some("s3cret".into()),
            allow_tailscale: false,
        };
        assert!(!format!("{auth:?}").contains("s3cret"));
    }
}

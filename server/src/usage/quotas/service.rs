//! The providers that tell how much of their quotas is used, by whom they are asked with the credentials of
//! `models.providers`. None of them documents it; where an answer is understood no more, `usage.status` says so.

use jiff::Timestamp;
use openclaw_protocol::types::UsageWindow;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::config::ProviderAuth;

/// Most windows of one provider that are shown; real ones have two or three.
const MAX_WINDOWS: usize = 16;
/// Longest name of a plan that is shown, in characters.
const MAX_PLAN: usize = 64;

/// Seconds of an hour and a day.
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A provider that tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Claude subscriptions.
    Anthropic,
    /// ChatGPT subscriptions.
    OpenaiCodex,
    /// GLM coding plans.
    Zai,
}

/// What a provider told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// Its quotas.
    pub(super) windows: Vec<UsageWindow>,
    /// The account's plan.
    pub(super) plan: Option<String>,
}

impl Service {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Anthropic, Self::OpenaiCodex, Self::Zai];

    /// Provider id, in the configuration and on the wire.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenaiCodex => "openai-codex",
            Self::Zai => "zai",
        }
    }

    /// Its name for people.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Anthropic => "Claude",
            Self::OpenaiCodex => "Codex",
            Self::Zai => "z.ai",
        }
    }

    /// Whether it knows a quota for this sort of key. An API key that is paid by use has none.
    pub(super) fn takes(self, auth: ProviderAuth) -> bool {
        match self {
            Self::Anthropic | Self::OpenaiCodex => {
                matches!(auth, ProviderAuth::Oauth | ProviderAuth::Token)
            }
            Self::Zai => auth != ProviderAuth::AwsSdk,
        }
    }

    /// Where it is asked: on the server of its models.
    pub(super) fn url(self, base: &Url) -> Option<Url> {
        base.join(match self {
            Self::Anthropic => "/api/oauth/usage",
            Self::OpenaiCodex => "/backend-api/wham/usage",
            Self::Zai => "/api/monitor/usage/quota/limit",
        })
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
    }

    /// The headers that it wants beside the token.
    pub(super) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self == Self::Anthropic {
            headers.insert(
                "anthropic-beta",
                HeaderValue::from_static("oauth-2025-04-20"),
            );
        }
        headers
    }

    /// What an answer says; none if that cannot be understood.
    pub(super) fn read(self, answer: &[u8]) -> Option<Told> {
        let mut told = match self {
            Self::Anthropic => anthropic(serde_json::from_slice(answer).ok()?),
            Self::OpenaiCodex => codex(serde_json::from_slice(answer).ok()?),
            Self::Zai => zai(serde_json::from_slice(answer).ok()?)?,
        };
        told.windows.truncate(MAX_WINDOWS);
        told.plan = told
            .plan
            .map(|plan| plan.trim().chars().take(MAX_PLAN).collect())
            .filter(|plan: &String| !plan.is_empty());
        Some(told)
    }
}

fn window(label: impl Into<String>, percent: f64, reset_at: Option<u64>) -> UsageWindow {
    let mut window = UsageWindow::new(label.into(), percent.clamp(0.0, 100.0));
    window.reset_at = reset_at;
    window
}

/// The name of a span of time.
fn span(seconds: u64) -> String {
    match seconds {
        0..DAY => format!("{}h", seconds.div_ceil(HOUR)),
        DAY => "Day".to_owned(),
        _ if seconds == 7 * DAY => "Week".to_owned(),
        _ => format!("{}d", seconds / DAY),
    }
}

#[derive(Deserialize)]
struct Anthropic {
    five_hour: Option<AnthropicWindow>,
    seven_day: Option<AnthropicWindow>,
    seven_day_sonnet: Option<AnthropicWindow>,
    seven_day_opus: Option<AnthropicWindow>,
}

#[derive(Deserialize)]
struct AnthropicWindow {
    utilization: Option<f64>,
    resets_at: Option<String>,
}

fn anthropic(answer: Anthropic) -> Told {
    let windows = [
        ("5h", answer.five_hour),
        ("Week", answer.seven_day),
        ("Sonnet", answer.seven_day_sonnet),
        ("Opus", answer.seven_day_opus),
    ];
    let shown = |(label, quota): (&str, Option<AnthropicWindow>)| {
        let quota = quota?;
        let reset_at = quota.resets_at.and_then(|at| at.parse::<Timestamp>().ok());
        let reset_at = reset_at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        Some(window(label, quota.utilization?, reset_at))
    };
    Told {
        windows: windows.into_iter().filter_map(shown).collect(),
        plan: None,
    }
}

#[derive(Deserialize)]
struct Codex {
    plan_type: Option<String>,
    rate_limit: Option<CodexLimits>,
}

#[derive(Deserialize)]
struct CodexLimits {
    primary_window: Option<CodexWindow>,
    secondary_window: Option<CodexWindow>,
}

#[derive(Deserialize)]
struct CodexWindow {
    used_percent: f64,
    limit_window_seconds: u64,
    reset_at: Option<u64>,
}

fn codex(answer: Codex) -> Told {
    let windows = answer.rate_limit.map_or([None, None], |limits| {
        [limits.primary_window, limits.secondary_window]
    });
    let shown = |quota: CodexWindow| {
        let reset_at = quota.reset_at.map(|seconds| seconds.saturating_mul(1000));
        window(
            span(quota.limit_window_seconds),
            quota.used_percent,
            reset_at,
        )
    };
    Told {
        windows: windows.into_iter().flatten().map(shown).collect(),
        plan: answer.plan_type,
    }
}

#[derive(Deserialize)]
struct Zai {
    success: Option<bool>,
    data: Option<ZaiData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ZaiData {
    #[serde(default)]
    limits: Vec<ZaiLimit>,
    #[serde(alias = "plan", alias = "level")]
    plan_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ZaiLimit {
    r#type: String,
    #[serde(default)]
    unit: Value,
    #[serde(default)]
    number: u64,
    percentage: f64,
    next_reset_time: Option<u64>,
}

/// A refusal comes with status 200 and says `success: false`.
fn zai(answer: Zai) -> Option<Told> {
    if answer.success == Some(false) {
        return None;
    }
    let data = answer.data?;
    let shown = |quota: ZaiLimit| {
        let unit = match quota.unit.as_u64() {
            Some(1) => "d",
            Some(3) => "h",
            Some(5) => "m",
            _ => "",
        };
        let label = match quota.r#type.as_str() {
            "TOKENS_LIMIT" if unit.is_empty() => "Tokens".to_owned(),
            "TOKENS_LIMIT" => format!("Tokens ({}{unit})", quota.number),
            "TIME_LIMIT" => "Monthly".to_owned(),
            _ => return None,
        };
        Some(window(label, quota.percentage, quota.next_reset_time))
    };
    Some(Told {
        windows: data.limits.into_iter().filter_map(shown).collect(),
        plan: data.plan_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `label percent reset` of each window and the plan.
    fn read(service: Service, answer: &Value) -> Option<String> {
        let Told { windows, plan } = service.read(answer.to_string().as_bytes())?;
        let windows = windows.iter().map(|window| {
            let reset = window.reset_at.map_or("-".to_owned(), |at| at.to_string());
            format!("{} {} {reset}", window.label, window.used_percent)
        });
        let windows: Vec<String> = windows.collect();
        Some(format!(
            "{}; {}",
            windows.join(", "),
            plan.unwrap_or_default()
        ))
    }

    #[test]
    fn answers() {
        use Service::{Anthropic, OpenaiCodex, Zai};
        for (service, answer, told) in [
            (
                Anthropic,
                json!({"five_hour": {"utilization": 24.5, "resets_at": "2026-01-02T19:59:59.5+00:00"}, "seven_day": {"utilization": 101, "resets_at": null}, "seven_day_opus": null, "seven_day_sonnet": {"utilization": 1}, "extra_usage": {"is_enabled": false}}),
                Some("5h 24.5 1767383999500, Week 100 -, Sonnet 1 -; "),
            ),
            (Anthropic, json!({}), Some("; ")),
            (Anthropic, json!([]), None),
            (
                OpenaiCodex,
                json!({"plan_type": "pro", "rate_limit": {"primary_window": {"used_percent": 3, "limit_window_seconds": 18000, "reset_at": 1_767_000_000}, "secondary_window": {"used_percent": 9, "limit_window_seconds": 604_800}}}),
                Some("5h 3 1767000000000, Week 9 -; pro"),
            ),
            (
                OpenaiCodex,
                json!({"plan_type": " ", "rate_limit": null}),
                Some("; "),
            ),
            (
                OpenaiCodex,
                json!({"rate_limit": {"primary_window": {}}}),
                None,
            ),
            (
                Zai,
                json!({"code": 200, "success": true, "data": {"planName": "Max", "limits": [
                    {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": 40, "nextResetTime": 1_767_000_000_000_u64},
                    {"type": "TOKENS_LIMIT", "unit": 6, "number": 1, "percentage": 4},
                    {"type": "TIME_LIMIT", "percentage": -1}, {"type": "OTHER", "percentage": 1}
                ]}}),
                Some("Tokens (5h) 40 1767000000000, Tokens 4 -, Monthly 0 -; Max"),
            ),
            (
                Zai,
                json!({"code": 401, "success": false, "msg": "token expired"}),
                None,
            ),
        ] {
            assert_eq!(read(service, &answer).as_deref(), told, "{answer}");
        }
    }

    #[test]
    fn what_is_shown_is_bounded() {
        for (count, shown) in [(MAX_WINDOWS, MAX_WINDOWS), (MAX_WINDOWS + 1, MAX_WINDOWS)] {
            let limits = vec![json!({"type": "TIME_LIMIT", "percentage": 1}); count];
            let answer = json!({"data": {"limits": limits, "plan": "p".repeat(MAX_PLAN + 1)}});
            let told = Service::Zai.read(answer.to_string().as_bytes()).unwrap();
            assert_eq!(told.windows.len(), shown);
            assert_eq!(told.plan.map(|plan| plan.len()), Some(MAX_PLAN));
        }
    }

    #[test]
    fn spans_have_names() {
        for (seconds, name) in [
            (1, "1h"),
            (5 * HOUR, "5h"),
            (DAY, "Day"),
            (7 * DAY, "Week"),
            (30 * DAY, "30d"),
        ] {
            assert_eq!(span(seconds), name);
        }
    }
}

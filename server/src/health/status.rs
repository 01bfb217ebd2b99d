//! `status`: heartbeats, what waits for the agent, recent conversations with their token use (contract 9.7).

use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    SessionRow, SessionsDefaults, SessionsListParams, StatusAgentSessions, StatusHeartbeat,
    StatusHeartbeatAgent, StatusSessionDefaults, StatusSessionRow, StatusSessions, StatusSummary,
};

use super::Health;
use crate::store::StoreError;

/// Most that is shown of a context window in use: beyond it the number only says "far too much".
const MAX_PERCENT: u64 = 999;
/// Characters of a session id in the flags of its row.
const SHORT_ID: usize = 8;

pub(super) fn status(health: &Health) -> Result<StatusSummary, StoreError> {
    let config = &health.config;
    let default_id = config.agents.default_id();
    let choice = health.runs.models().choose(default_id, None);
    let now_ms = health.clock.now_ms();
    let list = |agent: Option<&str>| -> Result<Vec<StatusSessionRow>, StoreError> {
        let params = SessionsListParams {
            limit: Some(limits::STATUS_RECENT_SESSIONS),
            agent_id: agent.and_then(NonEmptyString::new),
            include_global: agent.is_none().then_some(true),
            include_unknown: agent.is_none().then_some(true),
            ..SessionsListParams::default()
        };
        let defaults = SessionsDefaults::new(None, None, None);
        let found = health.sessions.list(&params, now_ms, defaults)?;
        let row = |row| shown(row, now_ms, &choice.model, choice.context_tokens);
        Ok(found.sessions.into_iter().map(row).collect())
    };
    let mut paths = Vec::new();
    let mut by_agent = Vec::new();
    let mut beats = Vec::new();
    for (id, agent) in health.agents() {
        let summary = health.sessions.summary(id, 0);
        paths.push(summary.path.clone());
        by_agent.push(StatusAgentSessions::new(
            id.to_owned(),
            summary.path,
            summary.count,
            list(Some(id))?,
        ));
        let beat = health.heartbeat(agent);
        beats.push(StatusHeartbeatAgent::new(
            id.to_owned(),
            beat.enabled,
            beat.every,
            beat.every_ms,
        ));
    }
    let main = health.sessions.rules().main(default_id);
    Ok(StatusSummary::new(
        StatusHeartbeat::new(default_id.to_owned(), beats),
        Vec::new(),
        health.events.peek(main.canonical()),
        StatusSessions::new(
            paths,
            health.sessions.summary_of_all(0).count,
            StatusSessionDefaults::new(Some(choice.model.clone()), Some(choice.context_tokens)),
            list(None)?,
            by_agent,
        ),
    ))
}

fn shown(row: SessionRow, now_ms: u64, model: &str, context_tokens: u64) -> StatusSessionRow {
    let context = row.context_tokens.unwrap_or(context_tokens);
    let total = row.total_tokens;
    let percent = (context > 0).then(|| ((total * 100 + context / 2) / context).min(MAX_PERCENT));
    let flags = flags(&row);
    let mut shown = StatusSessionRow::new(
        row.key.clone(),
        row.kind,
        row.updated_at,
        row.updated_at.map(|at| now_ms.saturating_sub(at)),
        total,
        Some(context.saturating_sub(total)),
        percent,
        Some(row.model.unwrap_or_else(|| model.to_owned())),
        Some(context),
        flags,
    );
    shown.agent_id = agent_of(&row.key).map(str::to_owned);
    shown.session_id = row.session_id;
    shown.thinking_level = row.thinking_level;
    shown.verbose_level = row.verbose_level;
    shown.reasoning_level = row.reasoning_level;
    shown.elevated_level = row.elevated_level;
    shown.system_sent = row.system_sent;
    shown.aborted_last_run = row.aborted_last_run;
    shown.input_tokens = row.input_tokens;
    shown.output_tokens = row.output_tokens;
    shown
}

/// `main` of `agent:main:…`.
fn agent_of(key: &str) -> Option<&str> {
    key.strip_prefix("agent:")?.split(':').next()
}

fn flags(row: &SessionRow) -> Vec<String> {
    let levels = [
        ("think", &row.thinking_level),
        ("verbose", &row.verbose_level),
        ("reasoning", &row.reasoning_level),
        ("elevated", &row.elevated_level),
    ];
    let mut flags: Vec<String> = levels
        .into_iter()
        .filter_map(|(name, level)| level.as_ref().map(|level| format!("{name}:{level}")))
        .collect();
    if row.system_sent == Some(true) {
        flags.push("system".to_owned());
    }
    if row.aborted_last_run == Some(true) {
        flags.push("aborted".to_owned());
    }
    if let Some(id) = &row.session_id {
        flags.push(format!("id:{}", id.get(..SHORT_ID).unwrap_or(id)));
    }
    flags
}

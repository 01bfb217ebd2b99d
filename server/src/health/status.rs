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
    let default_id = &health.default_id();
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
    for ((id, _), beat) in health.agents().into_iter().zip(&health.beats) {
        let summary = health.sessions.summary(&id, 0);
        paths.push(summary.path.clone());
        by_agent.push(StatusAgentSessions::new(
            id.clone(),
            summary.path,
            summary.count,
            list(Some(&id))?,
        ));
        let beat = beat.summary();
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
        health.events.peek(&main),
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

#[cfg(test)]
mod tests {
    use openclaw_protocol::types::SessionKind;

    use super::*;

    #[test]
    fn a_row_tells_how_full_its_context_is() {
        for (total, context, remaining, percent) in [
            (0, Some(200), 200, Some(0)),
            (50, Some(200), 150, Some(25)),
            (199, Some(200), 1, Some(100)),
            (5_000, Some(100), 0, Some(MAX_PERCENT)),
            (5, None, 995, Some(1)),
            (5, Some(0), 0, None),
        ] {
            let mut row = SessionRow::new(
                "agent:work:main".to_owned(),
                SessionKind::Direct,
                Some(900),
                total,
            );
            row.context_tokens = context;
            let shown = shown(row, 1_000, "m", 1_000);
            assert_eq!(
                shown.remaining_tokens,
                Some(remaining),
                "{total} of {context:?}"
            );
            assert_eq!(shown.percent_used, percent, "{total} of {context:?}");
            assert_eq!(
                (shown.age, shown.agent_id.as_deref()),
                (Some(100), Some("work"))
            );
        }
    }

    #[test]
    fn flags_stand_in_their_order() {
        let mut row = SessionRow::new("global".to_owned(), SessionKind::Global, None, 0);
        assert!(flags(&row).is_empty());
        row.thinking_level = Some("low".to_owned());
        row.elevated_level = Some("ask".to_owned());
        row.system_sent = Some(true);
        row.aborted_last_run = Some(true);
        row.session_id = Some("0123456789".to_owned());
        assert_eq!(
            flags(&row),
            [
                "think:low",
                "elevated:ask",
                "system",
                "aborted",
                "id:01234567"
            ]
        );
        assert_eq!(agent_of(&row.key), None);
    }
}

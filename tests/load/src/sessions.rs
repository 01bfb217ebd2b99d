//! How the gateway does with many conversations: `openclaw-load sessions`. A state directory with few and one with many
//! are filled through `openclaw sessions import`; then the same requests go to a gateway on each.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::conn::Conn;
use crate::process::Server;
use crate::stats::median;
use crate::{frames, machine};

/// For the first health summary and whatever else follows the start.
const SETTLE: Duration = Duration::from_millis(300);

/// Requests that each time is the median of.
const REPEATS: usize = 9;

/// Time between the last changes of two conversations: the newest changed now.
const SPACING_MS: u64 = 60_000;

/// What is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The gateway's executable.
    pub(crate) gateway: PathBuf,
    /// Conversations of the small state.
    pub(crate) few: usize,
    /// Conversations of the large one.
    pub(crate) many: usize,
    /// Messages of each.
    pub(crate) messages: usize,
    /// Starts that each median is of.
    pub(crate) rounds: usize,
}

/// Figures of one state: what, unit, value.
type Figures = Vec<(&'static str, &'static str, f64)>;

/// The requests, by what they show.
fn requests(count: usize) -> Vec<(&'static str, &'static str, Value)> {
    let middle = json!(format!("agent:main:talk-{}", count / 2));
    vec![
        (
            "sessions.list limit 50",
            "sessions.list",
            json!({"limit": 50}),
        ),
        (
            "sessions.list limit 50 with titles and last words",
            "sessions.list",
            json!({"limit": 50, "includeDerivedTitles": true, "includeLastMessage": true}),
        ),
        (
            "sessions.list search",
            "sessions.list",
            json!({"search": "talk-7", "limit": 50}),
        ),
        ("sessions.list, all rows", "sessions.list", json!({})),
        (
            "chat.history limit 200",
            "chat.history",
            json!({"sessionKey": middle, "limit": 200}),
        ),
        (
            "sessions.preview of one",
            "sessions.preview",
            json!({"keys": [middle]}),
        ),
        (
            "sessions.resolve by key",
            "sessions.resolve",
            json!({"key": middle}),
        ),
        (
            "sessions.patch of a label",
            "sessions.patch",
            json!({"key": middle, "label": "Named"}),
        ),
    ]
}

/// Measures and prints one table.
pub(crate) async fn run(plan: &Plan) -> Result<()> {
    let mut columns = Vec::new();
    for count in [plan.few, plan.many] {
        writeln!(io::stderr(), "filling a state with {count} conversations")?;
        let home = fill(&plan.gateway, count, plan.messages)?;
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            rounds.push(measure(plan, home.path(), count).await?);
        }
        columns.push(medians(&rounds));
    }
    let [few, many] = columns.as_slice() else {
        unreachable!("two states were measured");
    };
    let mut text = format!(
        "| {} messages each, medians of {} starts | {} conversations | {} | ratio |\n|---|---|---|---|\n",
        plan.messages, plan.rounds, plan.few, plan.many
    );
    for ((what, unit, few), (_, _, many)) in few.iter().zip(many) {
        writeln!(
            text,
            "| {what} | {few:.1} {unit} | {many:.1} {unit} | {:.2} |",
            many / few
        )?;
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// A home whose gateway has `count` conversations.
fn fill(gateway: &Path, count: usize, messages: usize) -> Result<TempDir> {
    let (home, from) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let dir = from.path().join("agents/main/sessions");
    std::fs::create_dir_all(&dir)?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let now = u64::try_from(now)?;
    let mut index = serde_json::Map::new();
    for n in 0..count {
        let id = format!("{n:08x}-0000-4000-8000-000000000000");
        let updated_at = now.saturating_sub(n as u64 * SPACING_MS);
        let mut lines = String::new();
        for line in 0..messages {
            let role = ["user", "assistant"][line % 2];
            let words =
                format!("message {line} of conversation {n}, about as long as a short sentence");
            let content = json!([{"type": "text", "text": words}]);
            let message = json!({"role": role, "content": content, "timestamp": updated_at});
            writeln!(lines, "{}", json!({"type": "message", "message": message}))?;
        }
        std::fs::write(dir.join(format!("{id}.jsonl")), lines)?;
        let entry = json!({
            "sessionId": id, "updatedAt": updated_at, "systemSent": true, "chatType": "direct", "lastChannel": "webchat",
            "origin": {"label": "Client A", "provider": "webchat", "surface": "webchat", "chatType": "direct"},
            "deliveryContext": {"channel": "webchat"}, "inputTokens": 10, "outputTokens": 5, "totalTokens": 10,
            "modelProvider": "mock", "model": "echo-1", "contextTokens": 128_000
        });
        index.insert(format!("agent:main:talk-{n}"), entry);
    }
    std::fs::write(dir.join("sessions.json"), Value::Object(index).to_string())?;
    let status = Command::new(gateway)
        .args(["sessions", "import", "--json", "--from"])
        .arg(from.path())
        .env_clear()
        .env("HOME", home.path())
        .stdout(Stdio::null())
        .status()
        .context("cannot start the import")?;
    ensure!(status.success(), "the import failed: {status}");
    Ok(home)
}

async fn measure(plan: &Plan, home: &Path, count: usize) -> Result<Figures> {
    let server = Server::gateway(&plan.gateway, home)?;
    let mut figures: Figures = vec![(
        "exec to listening",
        "ms",
        server.started_in.as_secs_f64() * 1e3,
    )];
    tokio::time::sleep(SETTLE).await;
    let mib = |kib: u64| kib as f64 / 1024.0;
    figures.push((
        "RSS after start",
        "MiB",
        mib(machine::rss_kib(server.pid())?),
    ));
    let mut conn = Conn::to_gateway(server.address).await?;
    for (what, method, params) in requests(count) {
        let mut times = Vec::with_capacity(REPEATS);
        for n in 0..REPEATS {
            let frame = frames::masked([frames::request(&n.to_string(), method, &params)]);
            let before = Instant::now();
            conn.send(&frame).await?;
            conn.replies(1)
                .await
                .with_context(|| format!("{what} was not answered"))?;
            times.push(before.elapsed().as_secs_f64() * 1e3);
        }
        figures.push((what, "ms", median(&times)));
    }
    figures.push(("peak RSS", "MiB", mib(machine::peak_rss_kib(server.pid())?)));
    Ok(figures)
}

/// The rounds' medians, figure by figure.
fn medians(rounds: &[Figures]) -> Figures {
    let first = rounds.first().map(Vec::as_slice).unwrap_or_default();
    let of = |(number, (what, unit, _)): (usize, &(&'static str, &'static str, f64))| {
        let values: Vec<f64> = rounds
            .iter()
            .filter_map(|figures| figures.get(number))
            .map(|(_, _, value)| *value)
            .collect();
        (*what, *unit, median(&values))
    };
    first.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_own_median() {
        let round = |start, list| vec![("start", "ms", start), ("list", "ms", list)];
        let rounds = [round(1.0, 9.0), round(3.0, 7.0), round(2.0, 8.0)];
        assert_eq!(medians(&rounds), round(2.0, 8.0));
        assert_eq!(medians(&[]), []);
    }
}

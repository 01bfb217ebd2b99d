//! Jobs that are due once, about when the gateway is killed.

use std::time::Duration;

use openclaw_client::Client;
use openclaw_tests::PATIENCE;
use openclaw_tests::model::Model;
use serde_json::{Value, json};

use super::asked::{call, history};
use super::whole;

/// Between two looks at the log of a job.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A job.
pub(super) struct Job {
    id: String,
    pub(super) words: String,
    /// Its words are a turn of its own and not a note for the main conversation.
    is_turn: bool,
}

impl Job {
    /// Adds one that is due at `at` (ms).
    pub(super) async fn add(client: &Client, words: String, is_turn: bool, at: u64) -> Job {
        let mut job = json!({
            "name": words, "enabled": true, "schedule": {"kind": "at", "atMs": at}, "wakeMode": "next-heartbeat",
            "sessionTarget": "main", "payload": {"kind": "systemEvent", "text": words},
        });
        if is_turn {
            job["sessionTarget"] = json!("isolated");
            job["payload"] = json!({"kind": "agentTurn", "message": words});
        }
        let added = call(client, "cron.add", &job).await.expect("a job");
        let id = added["id"].as_str().expect("an id").to_owned();
        Job { id, words, is_turn }
    }

    async fn log(&self, client: &Client) -> Vec<Value> {
        let log = call(client, "cron.runs", &json!({"id": self.id})).await;
        let log = log.expect("a log");
        log["entries"].as_array().cloned().expect("entries")
    }

    /// Waits until it has run, once; whether that was cut.
    pub(super) async fn settle(&self, client: &Client, model: &Model) -> bool {
        let looking = async {
            loop {
                let entries = self.log(client).await;
                if !entries.is_empty() {
                    return entries;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let entries = tokio::time::timeout(PATIENCE, looking).await;
        let entries = entries.unwrap_or_else(|_| panic!("{} does not run", self.words));
        assert_eq!(entries.len(), 1, "{}: {entries:?}", self.words);
        let is_cut = entries[0]["status"] == "error";
        if is_cut {
            let error = entries[0]["error"].as_str().expect("why");
            assert!(
                error.contains("stopped during this run"),
                "{}: {error}",
                self.words
            );
        }
        if self.is_turn {
            // The reply is noted for the main conversation, whose turns have the words, too.
            let calls = model.asked_from(&format!("[cron:{} ", self.id));
            assert!(
                calls == 1 || is_cut && calls == 0,
                "{} was asked {calls} times",
                self.words
            );
            let own = format!("cron:{}", self.id);
            let messages = history(client, &own).await;
            let times = whole::count(&messages, "user", &self.words);
            assert!(times == 1 || is_cut && times == 0, "{messages:?}");
            whole::check(&own, &messages);
        }
        is_cut
    }

    /// A note is in the main conversation once, or not at all if the job was cut before it.
    pub(super) fn check_note(&self, main: &[Value], is_cut: bool) {
        let times = whole::count(main, "user", &self.words);
        if !self.is_turn {
            assert!(
                times == 1 || is_cut && times == 0,
                "{} was told {times} times",
                self.words
            );
        }
    }

    /// After one more life: it has not run again. It is removed, lest there be too many.
    pub(super) async fn retire(&self, client: &Client) {
        let log = self.log(client).await;
        assert_eq!(log.len(), 1, "{}: {log:?}", self.words);
        let removed = call(client, "cron.remove", &json!({"id": self.id})).await;
        removed.expect("removed");
    }
}

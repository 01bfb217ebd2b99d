//! What lists show of conversations in which only `agent` calls have spoken.

use serde_json::{Value, json};

use super::super::requests::Manner;
use super::super::runs::Runs;
use super::{START, World};
use crate::sessions::Entry;

impl World {
    /// Title and last words of a conversation in a list.
    fn listed(&self, key: &str) -> (String, Option<String>) {
        let params =
            json!({"search": key, "includeDerivedTitles": true, "includeLastMessage": true});
        let params = serde_json::from_value(params).unwrap();
        let defaults = openclaw_protocol::types::SessionsDefaults::new(None, None, None);
        let sessions = self.runs.sessions().list(&params, START, defaults);
        let row = sessions.unwrap().sessions.remove(0);
        (row.derived_title.unwrap(), row.last_message_preview)
    }

    async fn call(&self, message: &str, id: &str) {
        let params = json!({"message": message, "sessionKey": "side", "idempotencyKey": id});
        self.agent_answers(params).await;
    }

    async fn chatted(&self, message: &str, id: &str) {
        self.chat("side", message, id).await;
        self.until(&format!("{id} chat 3 final \"ok\"")).await;
    }

    async fn reset(&self) {
        let key = self.runs.sessions().key("side");
        let reset = self
            .runs
            .sessions()
            .write(move |changes| changes.reset(&key, START));
        reset.await.unwrap();
    }

    /// The words that a list shows of the conversation, or that it shows none but its id.
    fn shows(&self) -> Option<(String, String)> {
        let (title, last) = self.listed("side");
        let id = self.history("side")["sessionId"].as_str().unwrap()[..8].to_owned();
        match last {
            Some(last) => Some((title, last)),
            None => {
                assert!(title.starts_with(&id), "{title} {id}");
                None
            }
        }
    }
}

fn words(title: &str) -> Option<(String, String)> {
    Some((title.to_owned(), "ok".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_chat_turn_brings_the_words_of_agent_calls_into_lists() {
    let world = World::new([]).await;
    world.call("one", "r-1").await;
    assert_eq!(world.shows(), None);
    world.call("two", "r-2").await;
    assert_eq!(world.shows(), None, "nor a second call");
    world.chatted("three", "c-1").await;
    assert_eq!(world.shows(), words("one"));
    world.call("four", "r-3").await;
    assert_eq!(world.shows(), words("one"), "for good");
    world.reset().await;
    world.call("five", "r-4").await;
    assert_eq!(world.shows(), None, "until another transcript begins");
    world.reset().await;
    world.chatted("six", "c-2").await;
    assert_eq!(world.shows(), words("six"));
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_no_chat_turn() {
    let world = World::new([]).await;
    world
        .settle("side", |entry| entry.verbose_level = Some("on".into()))
        .await;
    world.call("one", "r-1").await;
    assert_eq!(world.shows(), None);
    let key = world.runs.sessions().key("side");
    let entry = world.runs.sessions().entry(&key).unwrap().unwrap();
    let shown = json!(entry.shown());
    assert!(
        entry.agent_calls_only && shown.get("agentCallsOnly").is_none(),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_before_stays_shown() {
    let world = World::new([]).await;
    let key = world.runs.sessions().key("side");
    let before = world.runs.sessions().write(move |changes| {
        let entry = Entry::new(START);
        changes.put_entry(&key, &entry)?;
        changes.append(
            &entry.session_id,
            &json!({"role": "user", "content": "before"}),
        )
    });
    before.await.unwrap();
    world.call("one", "r-1").await;
    assert_eq!(world.shows(), words("before"));
}

#[tokio::test(start_paused = true)]
async fn turns_of_nodes_hooks_and_jobs_are_shown() {
    let params = |id: &str| -> Value {
        json!({"message": "go", "sessionKey": "side", "idempotencyKey": id})
    };
    let turn = async |runs: &Runs, id: &str| {
        let params = serde_json::from_value(params(id)).unwrap();
        let begun = runs.begin_turn(params, Manner::default()).await.unwrap();
        begun.unwrap().over().await;
    };
    let world = World::new([]).await;
    turn(&world.runs, "n-1").await;
    assert_eq!(world.shows(), words("go"));
    world.call("one", "r-1").await;
    assert_eq!(world.shows(), words("go"));
    let world = World::new([]).await;
    world.call("one", "r-1").await;
    turn(&world.runs, "n-1").await;
    assert_eq!(world.shows(), words("one"), "as behind a chat turn");
}

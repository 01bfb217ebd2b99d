//! One life of the gateway: the script that it is killed in, and what must hold after the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use openclaw_client::{CallError, Client, Clock, Notice};
use openclaw_tests::Home;
use openclaw_tests::model::Model;
use serde_json::{Value, json};

use super::asked::{Asked, Kind, call, history, wait};
use super::jobs::Job;
use super::whole::{self, SENT};
use crate::dice::Dice;

/// Requests of each kind; the script has about as many as a life lasts for.
const CHATS: u64 = 6;
const AGENTS: u64 = 6;
const SENDS: u64 = 8;
const NOTES: u64 = 3;
/// What a cut run says.
const CUT: &str = "gateway restarted during the run";

/// What came of all rounds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    acknowledged: usize,
    unanswered: usize,
    /// Runs that ended before their kill, and those that it cut.
    pub(super) ended: usize,
    pub(super) cut: usize,
    sent: usize,
    notes: usize,
    jobs: usize,
    jobs_cut: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            acknowledged,
            unanswered,
            ended,
            cut,
            sent,
            notes,
            jobs,
            jobs_cut,
        } = self;
        write!(
            f,
            "{acknowledged} requests acknowledged, {unanswered} without an answer; runs: {ended} ended before their kill, {cut} cut; \
             {sent} messages sent; {notes} notes told; {jobs} jobs run, {jobs_cut} of them cut; lost 0, doubled 0"
        )
    }
}

/// See the head of this file.
pub(super) struct Round {
    asked: Vec<Asked>,
    jobs: Vec<Job>,
    /// Ends of runs that clients were told before the kill.
    told: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl Round {
    /// Adds the jobs, due within `window_ms`, and writes the script.
    pub(super) async fn begin(
        client: &Client,
        number: u64,
        dice: &mut Dice,
        window_ms: u64,
    ) -> Round {
        let mut jobs = Vec::new();
        for is_turn in [false, true] {
            let words = format!("job {number}{}.", if is_turn { "t" } else { "n" });
            let at = Clock::system().now_ms() + dice.throw(window_ms);
            jobs.push(Job::add(client, words, is_turn, at).await);
        }
        let mut asked = Vec::new();
        for (kind, count) in [
            (Kind::Chat, CHATS),
            (Kind::Agent, AGENTS),
            (Kind::Send, SENDS),
            (Kind::Note, NOTES),
        ] {
            for n in 0..count {
                let name = match kind {
                    Kind::Chat => "chat",
                    Kind::Agent => "agent",
                    Kind::Send => SENT.trim(),
                    Kind::Note => "note",
                };
                let session = match kind {
                    // Its turns are told what waits.
                    Kind::Agent if n % 2 == 0 => "main".to_owned(),
                    Kind::Note => "main".to_owned(),
                    // Beside the runs, and in between.
                    Kind::Send if n % 2 == 0 => format!("life-{number}-chat"),
                    _ => format!("life-{number}-{name}"),
                };
                asked.push(Asked {
                    kind,
                    session,
                    key: format!("{name}-{number}-{n}"),
                    words: format!("{name} {number}-{n}."),
                    uses_tool: matches!(kind, Kind::Chat | Kind::Agent) && n % 3 == 1,
                    acknowledged: false,
                });
            }
        }
        Round {
            asked,
            jobs,
            told: Arc::default(),
        }
    }

    /// Makes the requests, kind beside kind and one after the other, until the gateway is gone.
    pub(super) async fn play(&mut self, client: &Client) {
        let mut events = client.events();
        let told = Arc::clone(&self.told);
        let listening = tokio::spawn(async move {
            while let Some(notice) = events.next().await {
                let event = match notice {
                    Notice::Event(event) => event,
                    Notice::Disconnected(_) => break,
                    other => panic!("{other:?}"),
                };
                let payload: Value = serde_json::from_str(event.payload.get()).expect("JSON");
                let state = payload["state"].as_str().unwrap_or("delta");
                if event.name == "chat" && state != "delta" {
                    let run = payload["runId"].as_str().expect("a run").to_owned();
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.entry(run).or_default().push(state.to_owned());
                }
            }
        });
        let kinds = [Kind::Chat, Kind::Agent, Kind::Send, Kind::Note];
        let users = kinds.map(|kind| {
            let mut script: Vec<Asked> = self
                .asked
                .iter()
                .filter(|asked| asked.kind == kind)
                .cloned()
                .collect();
            let client = client.clone();
            tokio::spawn(async move {
                for asked in &mut script {
                    let (method, params) = asked.request();
                    match call(&client, method, &params).await {
                        Ok(_) => asked.acknowledged = true,
                        Err(CallError::NotConnected | CallError::Disconnected(_)) => break,
                        Err(error) => panic!("{asked:?}: {error}"),
                    }
                }
                script
            })
        });
        let mut asked = Vec::new();
        for user in users {
            asked.extend(user.await.expect("a script"));
        }
        self.asked = asked;
        listening.await.expect("events");
    }

    /// What was acknowledged, in words.
    pub(super) fn shown(&self) -> String {
        let acknowledged = self.asked.iter().filter(|asked| asked.acknowledged).count();
        format!(
            "{acknowledged} of {} requests acknowledged",
            self.asked.len()
        )
    }

    /// After the restart: compares what there is with what was acknowledged, then asks for everything again under the same
    /// keys, and compares again.
    pub(super) async fn settle(
        &self,
        client: &Client,
        model: &Model,
        home: &Home,
        tally: &mut Tally,
    ) {
        for asked in &self.asked {
            *if asked.acknowledged {
                &mut tally.acknowledged
            } else {
                &mut tally.unanswered
            } += 1;
        }
        let mut cut = BTreeSet::new();
        for asked in self.asked.iter().filter(|asked| asked.is_run()) {
            if !self.settle_run(client, model, asked, tally).await {
                cut.insert(&asked.key);
            }
        }
        for asked in self.asked.iter().filter(|asked| asked.kind == Kind::Send) {
            let (method, params) = asked.request();
            let again = call(client, method, &params).await;
            again.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
            tally.sent += 1;
        }
        let mut jobs = Vec::new();
        for job in &self.jobs {
            let is_cut = job.settle(client, model).await;
            tally.jobs += 1;
            tally.jobs_cut += usize::from(is_cut);
            jobs.push((job, is_cut));
        }
        // A turn that is told whatever still waits.
        let params = json!({"sessionKey": "main", "message": "drain", "idempotencyKey": format!("drain {}", self.jobs[0].words)});
        call(client, "agent", &params).await.expect("accepted");
        let ended = wait(client, params["idempotencyKey"].as_str().expect("a key")).await;
        assert_eq!(ended["status"], "ok", "{ended}");
        let mut histories = BTreeMap::new();
        let sessions = self.asked.iter().map(|asked| asked.session.clone());
        let sessions: BTreeSet<String> = sessions.chain(["main".to_owned()]).collect();
        for session in sessions {
            let messages = history(client, &session).await;
            // The main conversation goes on over all lives; only its end is looked at.
            if session != "main" {
                whole::check(&session, &messages);
            }
            histories.insert(session, messages);
        }
        let main = &histories["main"];
        let first = main.iter().position(|message| message["role"] == "user");
        whole::check("main", &main[first.unwrap_or(0)..]);
        let ran = std::fs::read_to_string(home.path().join("work/ran")).unwrap_or_default();
        for asked in &self.asked {
            let messages = &histories[&asked.session];
            let role = if asked.kind == Kind::Send {
                "assistant"
            } else {
                "user"
            };
            let times = whole::count(messages, role, &asked.words);
            match (asked.kind, asked.acknowledged) {
                // It cannot be asked for again: nobody knows whether it was kept.
                (Kind::Note, false) => assert!(times <= 1, "{asked:?} is there {times} times"),
                _ => assert_eq!(times, 1, "{asked:?} is there {times} times"),
            }
            tally.notes += usize::from(asked.kind == Kind::Note && times == 1);
            let done = ran.matches(&asked.words).count();
            let expected = match (asked.uses_tool, cut.contains(&asked.key)) {
                (false, _) => 0..=0,
                (true, false) => 1..=1,
                (true, true) => 0..=1,
            };
            assert!(
                expected.contains(&done),
                "{asked:?} used its tool {done} times"
            );
        }
        for (job, is_cut) in jobs {
            job.check_note(main, is_cut);
        }
    }

    /// Whether the run has ended well.
    async fn settle_run(
        &self,
        client: &Client,
        model: &Model,
        asked: &Asked,
        tally: &mut Tally,
    ) -> bool {
        let told = self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&asked.key)
            .cloned();
        let told = told.unwrap_or_default();
        assert!(
            told.len() <= 1,
            "{asked:?} was told to have ended as {told:?}"
        );
        let before = model.asked(&asked.words);
        let ended = call(
            client,
            "agent.wait",
            &json!({"runId": asked.key, "timeoutMs": 0}),
        )
        .await
        .expect("an answer");
        let status = ended["status"].as_str().expect("a status");
        match (status, told.first().map(String::as_str)) {
            ("ok", None | Some("final")) => tally.ended += 1,
            ("error", None) => {
                assert_eq!(ended["error"], CUT, "{asked:?}");
                tally.cut += 1;
            }
            ("timeout", None) if !asked.acknowledged => {}
            other => panic!("{asked:?} has become {other:?}: {ended}"),
        }
        // Whoever asks again under the same key gets the same end, or the first run of it.
        let (method, params) = asked.request();
        let again = call(client, method, &params).await;
        let after = wait(client, &asked.key).await;
        match status {
            "timeout" => assert_eq!(
                (again.is_ok(), &after["status"]),
                (true, &json!("ok")),
                "{asked:?}: {again:?}"
            ),
            "ok" => assert_eq!(
                (again.is_ok(), &after),
                (true, &ended),
                "{asked:?}: {again:?}"
            ),
            _ => {
                let refusal = again.expect_err("it has failed").to_string();
                assert!(refusal.contains(CUT), "{asked:?}: {refusal}");
                assert_eq!(after, ended);
            }
        }
        let calls = model.asked(&asked.words);
        assert!(
            status == "timeout" || calls == before,
            "{asked:?} was repeated"
        );
        assert!(
            calls <= 1 + usize::from(asked.uses_tool),
            "{asked:?} was asked {calls} times"
        );
        status != "error"
    }

    /// After one more life: no job has run again.
    pub(super) async fn retire(&self, client: &Client) {
        for job in &self.jobs {
            job.retire(client).await;
        }
    }
}

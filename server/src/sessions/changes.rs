//! Whole changes of a session inside one write: settings, a new start, removal, a shorter transcript (contract 9.6).

use openclaw_protocol::types::SessionsPatchParams;

use super::archive::{self, Archived, Reason};
use super::key::SessionKey;
use super::patch::{self, ModelFacts, PatchRefusal};
use super::{Changes, Entry, entry, heads, transcript};
use crate::store::StoreError;

/// A member of other releases that a reset keeps.
const SKILLS: &str = "skillsSnapshot";

/// What became of a transcript that was to be made shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compacted {
    /// There is no such session.
    NoSession,
    /// Nothing was said in it.
    NoTranscript,
    /// No message has to go.
    Short {
        /// Messages in it.
        messages: u64,
        /// Lines of its file: the messages and, unless it was cut before, the records of its head.
        lines: u64,
    },
    /// It was cut to `kept` messages; the whole is kept apart.
    Cut {
        /// Messages left.
        kept: u64,
        /// The whole.
        whole: Archived,
    },
}

impl Changes<'_, '_> {
    /// Applies a patch; a session that does not exist is made. On a refusal nothing is changed.
    pub fn patch(
        &mut self,
        key: &SessionKey,
        patch: &SessionsPatchParams,
        models: &ModelFacts,
        now: u64,
    ) -> Result<Result<Entry, PatchRefusal>, StoreError> {
        let mut changed = self.entry(key)?.unwrap_or_else(|| Entry::new(now));
        let wanted = patch.label.as_ref().and_then(Option::as_ref);
        // The only rule about other sessions; they are read for it alone.
        let is_taken = match wanted {
            Some(label) => self.has_label(label.trim(), key)?,
            None => false,
        };
        if let Err(refusal) = patch::apply(&mut changed, key, patch, models, &|_| is_taken) {
            return Ok(Err(refusal));
        }
        if changed.session_id.is_empty() {
            changed.session_id = Entry::new(now).session_id;
        }
        changed.touch(now);
        self.put_entry(key, &changed)?;
        Ok(Ok(changed))
    }

    /// Whether a session other than `key` has this label.
    fn has_label(&mut self, label: &str, key: &SessionKey) -> Result<bool, StoreError> {
        let mut found = false;
        entry::visit_tags(&self.writer().reader(), None, |_, other, tag| {
            found = tag.label.as_deref() == Some(label) && other != key.canonical();
            if found {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        })?;
        Ok(found)
    }

    /// Begins a new transcript with the same settings; a session that does not exist is made. The old transcript stays.
    pub fn reset(&mut self, key: &SessionKey, now: u64) -> Result<Entry, StoreError> {
        let old = self.entry(key)?;
        if let Some(old) = &old {
            self.put_away(key, &old.session_id, Reason::Left, now)?;
        }
        let fresh = anew(old.unwrap_or_default(), now);
        self.put_entry(key, &fresh)?;
        Ok(fresh)
    }

    /// Begins a new transcript and keeps everything else: the same people, settings and place. A session that does not
    /// exist is made.
    pub fn begin_anew(&mut self, key: &SessionKey, now: u64) -> Result<Entry, StoreError> {
        let Some(mut entry) = self.entry(key)? else {
            let entry = Entry::new(now);
            self.put_entry(key, &entry)?;
            return Ok(entry);
        };
        self.put_away(key, &entry.session_id, Reason::Left, now)?;
        entry.session_id = Entry::new(now).session_id;
        entry.input_tokens = None;
        entry.output_tokens = None;
        entry.total_tokens = None;
        entry.aborted_last_run = Some(false);
        entry.touch(now);
        self.put_entry(key, &entry)?;
        Ok(entry)
    }

    /// Removes a session. With its transcript if that is wanted, which is kept apart. None if there is no such session.
    pub fn delete(
        &mut self,
        key: &SessionKey,
        with_transcript: bool,
        now: u64,
    ) -> Result<Option<Vec<Archived>>, StoreError> {
        let Some(old) = self.entry(key)? else {
            // A damaged record is none, and goes.
            entry::remove(self.writer(), key)?;
            return Ok(None);
        };
        let reason = if with_transcript {
            Reason::Deleted
        } else {
            Reason::Left
        };
        let archived = self.put_away(key, &old.session_id, reason, now)?;
        self.forget_events(key)?;
        self.remove_entry(key)?;
        Ok(Some(
            archived.into_iter().filter(|_| with_transcript).collect(),
        ))
    }

    /// Cuts a session's transcript to the last `keep` lines of its file. The head goes first, and is no reason to cut: every
    /// file has it anew. Token counts go, since nobody knows them any more.
    pub fn compact(
        &mut self,
        key: &SessionKey,
        keep: u64,
        now: u64,
    ) -> Result<Compacted, StoreError> {
        let known = self
            .entry(key)?
            .filter(|known| !known.session_id.is_empty());
        let Some(mut known) = known else {
            return Ok(Compacted::NoSession);
        };
        let id = known.session_id.clone();
        let reader = self.writer().reader();
        let messages = transcript::count(&reader, &id)?;
        if messages == 0 {
            return Ok(Compacted::NoTranscript);
        }
        if messages <= keep {
            let head = if transcript::is_cut(&reader, &id)? {
                0
            } else {
                heads::records(&reader, &id, &known)?.len() as u64
            };
            let lines = head + messages;
            return Ok(Compacted::Short { messages, lines });
        }
        let Some(whole) = self.put_away(key, &id, Reason::Cut, now)? else {
            return Ok(Compacted::NoTranscript);
        };
        transcript::cut(self.writer(), &id, keep)?;
        known.input_tokens = None;
        known.output_tokens = None;
        known.total_tokens = None;
        known.touch(now);
        self.put_entry(key, &known)?;
        Ok(Compacted::Cut { kept: keep, whole })
    }

    fn put_away(
        &mut self,
        key: &SessionKey,
        session_id: &str,
        reason: Reason,
        now: u64,
    ) -> Result<Option<Archived>, StoreError> {
        let owner = (key.agent(), key.canonical());
        archive::put_away(self.writer(), owner, session_id, reason, now)
    }
}

/// What a reset keeps of an entry.
fn anew(old: Entry, now: u64) -> Entry {
    let mut fresh = Entry {
        updated_at: old.updated_at,
        system_sent: Some(false),
        aborted_last_run: Some(false),
        thinking_level: old.thinking_level,
        verbose_level: old.verbose_level,
        reasoning_level: old.reasoning_level,
        response_usage: old.response_usage,
        model: old.model,
        context_tokens: old.context_tokens,
        send_policy: old.send_policy,
        label: old.label,
        origin: old.origin,
        last_channel: old.last_channel,
        last_to: old.last_to,
        input_tokens: Some(0),
        output_tokens: Some(0),
        total_tokens: Some(0),
        session_id: Entry::new(now).session_id,
        ..Entry::default()
    };
    let skills = old.extra.into_iter().filter(|(name, _)| name == SKILLS);
    fresh.extra.extend(skills);
    fresh.touch(now);
    fresh
}

#[cfg(test)]
mod tests {
    use super::super::{Sessions, open_in};
    use super::*;
    use serde_json::{Value, json};
    use std::ops::ControlFlow;

    async fn filled(
        dir: &std::path::Path,
        raw: &str,
        entry: Value,
        messages: u64,
    ) -> (Sessions, SessionKey) {
        let sessions = open_in(dir);
        let key = sessions.key(raw);
        let entry: Entry = serde_json::from_value(entry).unwrap();
        let stored = key.clone();
        let write = sessions.write(move |changes| {
            changes.put_entry(&stored, &entry)?;
            for n in 0..messages {
                changes.append(
                    &entry.session_id,
                    &json!({"role": "user", "content": n.to_string()}),
                )?;
            }
            Ok(())
        });
        write.await.unwrap();
        (sessions, key)
    }

    fn archived(sessions: &Sessions, agent: &str) -> Vec<(String, Vec<String>)> {
        let mut found = Vec::new();
        sessions
            .read(|reader| {
                let mut rows = Vec::new();
                archive::visit(reader, agent, |row| {
                    rows.push(row);
                    ControlFlow::Continue(())
                })?;
                for row in rows {
                    found.push((row.name, texts(reader, &row.transcript)?));
                }
                Ok(())
            })
            .unwrap();
        found
    }

    fn texts(reader: &crate::store::Reader<'_>, id: &str) -> Result<Vec<String>, StoreError> {
        let mut texts = Vec::new();
        transcript::head(reader, id, |message: Value| {
            texts.push(message["content"].as_str().unwrap_or_default().to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(texts)
    }

    fn said(sessions: &Sessions, id: &str) -> Vec<String> {
        sessions.read(|reader| texts(reader, id)).unwrap()
    }

    #[tokio::test]
    async fn a_reset_keeps_the_settings_and_the_old_transcript() {
        let dir = tempfile::tempdir().unwrap();
        let before = json!({
            "sessionId": "old", "updatedAt": 5, "systemSent": true, "thinkingLevel": "low", "verboseLevel": "on",
            "reasoningLevel": "on", "responseUsage": "full", "model": "echo-1", "modelProvider": "mock", "contextTokens": 9,
            "sendPolicy": "allow", "label": "L", "origin": {"label": "A"}, "lastChannel": "webchat", "lastTo": "x",
            "skillsSnapshot": {"prompt": ""}, "providerOverride": "mock", "modelOverride": "m", "execHost": "node",
            "groupId": "g", "spawnedBy": "agent:main:main", "deliveryContext": {"channel": "webchat"}, "inputTokens": 10,
            "compactionCount": 2
        });
        let (sessions, key) = filled(dir.path(), "work", before, 2).await;
        let reset = key.clone();
        let fresh = sessions
            .write(move |changes| changes.reset(&reset, 3))
            .await
            .unwrap();
        let mut shown = serde_json::to_value(&fresh).unwrap();
        let id = shown.as_object_mut().unwrap().remove("sessionId").unwrap();
        assert_ne!(id, "old");
        let after = json!({
            "updatedAt": 5, "systemSent": false, "abortedLastRun": false, "thinkingLevel": "low", "verboseLevel": "on",
            "reasoningLevel": "on", "responseUsage": "full", "model": "echo-1", "contextTokens": 9, "sendPolicy": "allow",
            "label": "L", "origin": {"label": "A"}, "lastChannel": "webchat", "lastTo": "x", "skillsSnapshot": {"prompt": ""},
            "inputTokens": 0, "outputTokens": 0, "totalTokens": 0
        });
        assert_eq!(shown, after);
        assert_eq!(sessions.entry(&key).unwrap(), Some(fresh));
        let left = ("old.jsonl".to_owned(), vec!["0".to_owned(), "1".to_owned()]);
        assert_eq!(archived(&sessions, "main"), [left]);
        let unknown = sessions.key("never");
        let made = sessions
            .write(move |changes| changes.reset(&unknown, 7))
            .await
            .unwrap();
        assert_eq!((made.updated_at, made.total_tokens), (Some(7), Some(0)));
        assert_eq!(
            archived(&sessions, "main").len(),
            1,
            "nothing said, nothing kept"
        );
    }

    #[tokio::test]
    async fn a_deletion_puts_the_transcript_away() {
        let time = 1_795_404_123_385;
        for (with_transcript, name) in [
            (true, "s.jsonl.deleted.2026-11-23T03-22-03.385Z"),
            (false, "s.jsonl"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (sessions, key) = filled(
                dir.path(),
                "x",
                json!({"sessionId": "s", "updatedAt": 1}),
                2,
            )
            .await;
            let gone = key.clone();
            let write = sessions.write(move |changes| changes.delete(&gone, with_transcript, time));
            let names: Vec<String> = write
                .await
                .unwrap()
                .unwrap()
                .into_iter()
                .map(|row| row.name)
                .collect();
            let shown: &[&str] = if with_transcript { &[name] } else { &[] };
            assert_eq!(names, shown);
            let kept = (name.to_owned(), vec!["0".to_owned(), "1".to_owned()]);
            assert_eq!(archived(&sessions, "main"), [kept]);
            assert_eq!(sessions.entry(&key).unwrap(), None);
            assert_eq!(sessions.summary("main", 5).count, 0);
            assert_eq!(said(&sessions, "s").is_empty(), with_transcript);
            let again = sessions.write(move |changes| changes.delete(&key, true, time));
            assert_eq!(again.await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_cut_keeps_the_whole_apart() {
        let dir = tempfile::tempdir().unwrap();
        let entry = json!({"sessionId": "s", "updatedAt": 1, "inputTokens": 1, "outputTokens": 1, "totalTokens": 1, "label": "L"});
        let (sessions, key) = filled(dir.path(), "x", entry, 3).await;
        let compact =
            |key: SessionKey, keep| sessions.write(move |changes| changes.compact(&key, keep, 2));
        assert_eq!(
            compact(sessions.key("none"), 2).await.unwrap(),
            Compacted::NoSession
        );
        let short = |messages, lines| Compacted::Short { messages, lines };
        assert_eq!(
            compact(key.clone(), 3).await.unwrap(),
            short(3, 4),
            "with its head"
        );
        let Compacted::Cut { kept, whole } = compact(key.clone(), 2).await.unwrap() else {
            panic!("not cut");
        };
        assert_eq!(
            (kept, whole.name.as_str()),
            (2, "s.jsonl.bak.1970-01-01T00-00-00.002Z")
        );
        assert_eq!(said(&sessions, "s"), ["1", "2"]);
        assert_eq!(said(&sessions, &whole.transcript), ["0", "1", "2"]);
        let after = serde_json::to_value(sessions.entry(&key).unwrap()).unwrap();
        assert_eq!(
            after,
            json!({"sessionId": "s", "updatedAt": 2, "label": "L"})
        );
        assert_eq!(
            compact(key.clone(), 400).await.unwrap(),
            short(2, 2),
            "the head went with the cut"
        );
        let silent = sessions.key("silent");
        let made = silent.clone();
        sessions
            .write(move |changes| changes.put_entry(&made, &Entry::new(1)))
            .await
            .unwrap();
        assert_eq!(compact(silent, 2).await.unwrap(), Compacted::NoTranscript);
    }

    #[tokio::test]
    async fn a_label_belongs_to_one_session() {
        let dir = tempfile::tempdir().unwrap();
        let (sessions, key) = filled(
            dir.path(),
            "one",
            json!({"sessionId": "s", "label": "Taken"}),
            0,
        )
        .await;
        let facts = ModelFacts {
            default: patch::ModelName {
                provider: "mock".into(),
                model: "echo-1".into(),
            },
            wish: None,
        };
        let patch = |key: &SessionKey, label: &str| {
            let params: SessionsPatchParams =
                serde_json::from_value(json!({"key": key.canonical(), "label": label})).unwrap();
            let (key, facts) = (key.clone(), facts.clone());
            sessions.write(move |changes| changes.patch(&key, &params, &facts, 9))
        };
        assert_eq!(
            patch(&key, "Taken")
                .await
                .unwrap()
                .unwrap()
                .label
                .as_deref(),
            Some("Taken")
        );
        for other in ["two", "agent:ops:two"] {
            let other = sessions.key(other);
            let refused = patch(&other, " Taken ").await.unwrap().unwrap_err();
            assert_eq!(refused.to_string(), "label already in use: Taken");
            assert_eq!(sessions.entry(&other).unwrap(), None, "not even made");
            let made = patch(&other, "Free").await.unwrap().unwrap();
            assert_eq!(
                (made.label.as_deref(), made.updated_at),
                (Some("Free"), Some(9))
            );
            let renamed = patch(&other, other.canonical()).await.unwrap();
            assert!(renamed.is_ok());
        }
    }
}

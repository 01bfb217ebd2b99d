//! `agent` and `agent.wait`: from params to a run, and from its end to an answer (contract 6.6).

use std::time::Duration;

use openclaw_protocol::protocol::{ErrorCode, errors, limits};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::{Failure, Staged};
use openclaw_protocol::types::{
    AgentAccepted, AgentFailure, AgentFinal, AgentParams, AgentWaitParams, AgentWaitResult,
    ErrorShape,
};

use super::aftermath::{Aftermath, Delivery, problem};
use super::commands::{self, Meaning, Task};
use super::outcome::{End, Ended, Reply, Space};
use super::run::Job;
use super::runs::{Admission, Ask, Refusal, Runs};
use super::{attachments, wire, words};
use crate::outbox::Pending;
use crate::sessions::key::normalise_agent_id;
use crate::sessions::{Entry, ModelWish, SessionKey};
use crate::store::StoreError;
use crate::text::given;

/// What `agent` answers.
pub(super) type AgentAnswer = Staged<AgentAccepted, AgentFinal, AgentFailure>;

/// How a turn is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manner {
    /// An operator begins it with `agent`: lists show no words of a conversation that knows no others.
    pub is_agent_call: bool,
    /// The words are for the model, also when they begin as a command does: they may be anybody's, and commands are
    /// for operators.
    pub is_only_words: bool,
    /// Model for this turn alone; one that a patch of the conversation may choose.
    pub model: Option<String>,
    /// What the end of the turn does elsewhere, beside what the params ask for.
    pub aftermath: Aftermath,
}

/// A reply is no longer there although its run ended well.
const REPLY_GONE: &str = "Error: the run has ended, but its reply is no longer stored";

impl Runs {
    /// `agent`: accepts a turn, or tells what became of it when its key is known.
    ///
    /// # Errors
    /// The refusals of contract 6.6 in their order; `UNAVAILABLE` when there is no room or the store fails.
    pub async fn agent(&self, params: AgentParams) -> Result<AgentAnswer, ErrorShape> {
        let manner = Manner {
            is_agent_call: true,
            ..Manner::default()
        };
        self.agent_in(params, manner).await
    }

    /// As [`Self::agent`], for a turn that no operator begins.
    ///
    /// # Errors
    /// As there, and those of `sessions.patch` for the model.
    pub async fn agent_in(
        &self,
        params: AgentParams,
        manner: Manner,
    ) -> Result<AgentAnswer, ErrorShape> {
        let id = params.idempotency_key.clone();
        if let Some(known) = self.known(Space::Agent, &id).await {
            return Ok(self.agent_answer(id, known).await);
        }
        let ask = self.agent_ask(params, manner)?;
        let admission = self.admit(ask).await.map_err(Refusal::shape)?;
        Ok(self.agent_answer(id, admission).await)
    }

    /// `agent.wait`: how a run ended, or that it has not within the time.
    pub async fn agent_wait(&self, params: AgentWaitParams) -> AgentWaitResult {
        let timeout =
            Duration::from_millis(params.timeout_ms.unwrap_or(limits::AGENT_WAIT_DEFAULT_MS));
        let ended = self.wait(&params.run_id, timeout).await;
        wire::wait_result(params.run_id, ended)
    }

    async fn agent_answer(&self, id: NonEmptyString, admission: Admission) -> AgentAnswer {
        match admission {
            Admission::New(run) => Staged::Both {
                first: AgentAccepted::new(id.clone(), run.accepted_at),
                then: Box::pin(async move {
                    match run.over().await {
                        Some(closing) => {
                            let delivery = closing.delivery.as_ref();
                            agent_outcome(id, &closing.ended, closing.reply.as_ref(), delivery)
                                .await
                        }
                        None => Err(wire::agent_failure(id, REPLY_GONE)),
                    }
                }),
            },
            Admission::Running(run) => Staged::First(AgentAccepted::new(id, run.accepted_at)),
            Admission::Ended(ended) => self.ended_answer(id, &ended).await,
        }
    }

    /// The answer to the key of a run that has ended. One whose reply is on its way to people is not over for its client.
    async fn ended_answer(&self, id: NonEmptyString, ended: &Ended) -> AgentAnswer {
        let Some(record) = self.record_of(&id) else {
            return Staged::Final(agent_outcome(id, ended, None, None).await);
        };
        if let Some(problem) = &record.undelivered {
            return Staged::Final(Err(wire::agent_failure(id, problem)));
        }
        let delivery = record.aftermath.delivery.and_then(|delivery| {
            let remembered = self.parts().outbox.remembered(&delivery.order);
            remembered.unwrap_or_else(|error| {
                tracing::error!(%error, "what became of a reply could not be read");
                None
            })
        });
        if delivery.as_ref().is_some_and(Pending::is_under_way) {
            return Staged::First(AgentAccepted::new(id, record.accepted_at));
        }
        let reply = record.reply.as_ref();
        Staged::Final(agent_outcome(id, ended, reply, delivery.as_ref()).await)
    }

    pub(super) fn agent_ask(&self, params: AgentParams, manner: Manner) -> Result<Ask, ErrorShape> {
        let attached = params.attachments.as_deref().unwrap_or_default();
        let images = attachments::images(attached).map_err(|error| error.shape())?;
        for channel in [&params.channel, &params.reply_channel]
            .into_iter()
            .flatten()
        {
            let is_there = self.parts().outbox.has_channel(channel);
            if !is_there && !words::is_known_channel(channel) {
                return Err(errors::AGENT_UNKNOWN_CHANNEL.with(&[("channel", channel.trim())]));
            }
        }
        let target = self.session_of(&params)?;
        if let Some(target) = &target {
            self.parts().check_send_policy(&target.session)?;
        }
        let of_run = target.as_ref().map(|target| &target.session);
        let asked = Delivery::of_agent(&params, of_run, self.clock().now_ms());
        let aftermath = Aftermath {
            delivery: asked.or(manner.aftermath.delivery),
            note: manner.aftermath.note,
        };
        let model = match manner.model {
            Some(model) => Some(self.model_of_turn(target.as_ref(), &model)?),
            None => None,
        };
        let meaning = commands::parse(&params.message).filter(|meaning| {
            // Without a conversation there is nothing to command, and a picture is for the model.
            !manner.is_only_words
                && target.is_some()
                && (images.is_empty() || matches!(meaning, Meaning::Turn(_)))
        });
        let mut thinking = given(params.thinking.as_deref());
        let (text, task) = match meaning {
            None => (params.message.to_string(), Task::Turn),
            Some(Meaning::Command(command)) => (params.message.to_string(), Task::Command(command)),
            Some(Meaning::Turn(turn)) => {
                let level = turn.thinking.map(|level| level.as_str().to_owned());
                thinking = level.or(thinking);
                (turn.text, Task::of_turn(turn.anew))
            }
        };
        let job = Job {
            text,
            images,
            thinking,
            timeout: params
                .timeout
                .map_or_else(|| self.parts().default_timeout(), Duration::from_secs),
            expires: None,
            model,
            extra_system: given(params.extra_system_prompt.as_deref()),
            task,
            hops: 0,
        };
        let changes = EntryChanges {
            label: params.label.map(String::from),
            spawned_by: given(params.spawned_by.as_deref()),
            group: given(params.group_id.as_deref()).map(|id| Group {
                id,
                channel: given(params.channel.as_deref()),
                room: given(params.group_channel.as_deref()),
                space: given(params.group_space.as_deref()),
            }),
            session_id: target.as_ref().and_then(|target| target.new_id.clone()),
        };
        let on_entry = Box::new(move |entry: &mut Entry| changes.apply(entry));
        let session = target.map(|target| (target.session, target.shown));
        Ok(Ask {
            space: Space::Agent,
            id: params.idempotency_key,
            session,
            is_agent_call: manner.is_agent_call,
            on_entry,
            job,
            quiet: false,
            aftermath,
        })
    }

    /// The model that a name means, as `provider/model`, if it may be chosen.
    fn model_of_turn(&self, target: Option<&Target>, name: &str) -> Result<String, ErrorShape> {
        let rules = self.sessions().rules();
        let session = target.map_or_else(
            || rules.main(&rules.default_agent),
            |target| target.session.clone(),
        );
        let facts = self.model_facts(&session, Some(Some(name)));
        match facts.wish {
            Some(Ok(ModelWish::Other(model))) => Ok(model.joined()),
            Some(Err(refusal)) => Err(refusal.shape()),
            Some(Ok(ModelWish::Default)) | None => Ok(facts.default.joined()),
        }
    }

    /// The conversation that is meant: by key, else the agent's main one, else by transcript, else (an address is given)
    /// the default agent's main one.
    fn session_of(&self, params: &AgentParams) -> Result<Option<Target>, ErrorShape> {
        let rules = self.sessions().rules();
        let agent = match &params.agent_id {
            Some(sent) if !sent.trim().is_empty() => {
                let agent = normalise_agent_id(sent);
                if !self.parts().is_agent(&agent) {
                    return Err(errors::AGENT_UNKNOWN_AGENT.with(&[("agentId", sent)]));
                }
                Some(agent)
            }
            _ => None,
        };
        if let Some(key) = params
            .session_key
            .as_ref()
            .filter(|key| !key.trim().is_empty())
        {
            let of_key = rules.agent_of(key);
            if let Some(agent) = agent.filter(|agent| *agent != of_key) {
                return Err(mismatch("agent", &agent, &of_key));
            }
            let shown = NonEmptyString::or(key.as_str(), "main");
            return Ok(Some(Target {
                session: rules.canonicalise(key),
                shown,
                new_id: None,
            }));
        }
        if let Some(agent) = agent {
            return Ok(Some(Target::canonical(rules.main(&agent))));
        }
        if let Some(id) = given(params.session_id.as_deref()) {
            let found = self
                .sessions()
                .find_by_id(&id)
                .map_err(|error| sessions_unreadable(&error))?;
            return Ok(Some(match found {
                Some(session) => Target::canonical(session),
                None => Target {
                    new_id: Some(id.clone()),
                    ..Target::canonical(rules.canonicalise(&id))
                },
            }));
        }
        Ok(
            given(params.to.as_deref())
                .map(|_| Target::canonical(rules.main(&rules.default_agent))),
        )
    }
}

/// The last answer of a run: what was said, unless it was to go to people and has not.
async fn agent_outcome(
    id: NonEmptyString,
    ended: &Ended,
    reply: Option<&Reply>,
    delivery: Option<&Pending>,
) -> Result<AgentFinal, Failure<AgentFailure>> {
    match &ended.end {
        End::Completed => {
            let Some(reply) = reply else {
                return Err(wire::agent_failure(id, REPLY_GONE));
            };
            if let Some(delivery) = delivery
                && let Err(error) = delivery.outcome().await
            {
                return Err(wire::agent_failure(id, &problem(&error)));
            }
            Ok(wire::agent_final(id, reply))
        }
        End::Failed(error) => Err(wire::agent_failure(id, error)),
        End::Aborted(reason) => Err(wire::agent_failure(id, &reason.words())),
    }
}

/// The refusal of an agent and a session key that do not belong together.
pub(super) fn mismatch(method: &str, agent: &str, of_key: &str) -> ErrorShape {
    errors::AGENT_SESSION_MISMATCH.with(&[
        ("method", method),
        ("agentId", agent),
        ("sessionAgentId", of_key),
    ])
}

/// The store cannot be read; why is for the log.
pub(super) fn sessions_unreadable(error: &StoreError) -> ErrorShape {
    tracing::error!(%error, "sessions could not be read");
    ErrorCode::Unavailable.error("sessions could not be read")
}

impl Refusal {
    /// The error for the client.
    pub(super) fn shape(self) -> ErrorShape {
        ErrorCode::Unavailable.error(self.to_string())
    }
}

/// The conversation that an `agent` request means.
struct Target {
    session: SessionKey,
    /// Its key in the client's spelling, or the canonical one.
    shown: NonEmptyString,
    /// Id of the transcript, where the request names one that does not exist.
    new_id: Option<String>,
}

impl Target {
    fn canonical(session: SessionKey) -> Self {
        let shown = NonEmptyString::or(session.canonical(), "main");
        Self {
            session,
            shown,
            new_id: None,
        }
    }
}

/// What an `agent` request changes in its session's entry.
struct EntryChanges {
    session_id: Option<String>,
    label: Option<String>,
    spawned_by: Option<String>,
    group: Option<Group>,
}

struct Group {
    id: String,
    channel: Option<String>,
    room: Option<String>,
    space: Option<String>,
}

impl EntryChanges {
    fn apply(self, entry: &mut Entry) {
        let set = |member: &mut Option<String>, value: Option<String>| {
            if value.is_some() {
                *member = value;
            }
        };
        if let Some(id) = self.session_id {
            entry.session_id = id;
        }
        set(&mut entry.label, self.label);
        set(&mut entry.spawned_by, self.spawned_by);
        if let Some(group) = self.group {
            entry.group_id = Some(group.id);
            set(&mut entry.channel, group.channel);
            set(&mut entry.group_channel, group.room);
            set(&mut entry.space, group.space);
        }
    }
}

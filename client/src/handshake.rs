//! From nothing to hello-ok: dial, upgrade, challenge, connect (contract 2).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::events::{Event, EventKind};
use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::{OLDEST_VERSION, VERSION, limits};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ConnectAuth, ConnectDevice, ConnectParams, ErrorShape, HelloOk};
use openclaw_websocket::encode::{put_pong_masked, put_text_masked};
use openclaw_websocket::{Incoming, Masks, MessageReader, ReadError};
use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

use crate::config::ClientConfig;
use crate::error::{ConnectError, Disconnect};
use crate::identity::{DeviceIdentity, SignedFields};
use crate::link::Link;
use crate::token_store::{TokenStore, TokenStoreError};
use crate::upgrade::{Upgraded, upgrade};
use crate::wire::{self, Inbound, Response};

/// How long the challenge is waited for; without it the first version of the signature is sent.
const CHALLENGE_WAIT: Duration = Duration::from_millis(limits::CHALLENGE_WAIT_MS);

/// Id of the connect request, the only one in flight then.
const CONNECT_ID: &str = "connect";

/// Connects once. A stored device token is tried first; when the gateway refuses it and there is a
/// shared token, the stored one is forgotten and the shared one tried (contract 12).
pub(crate) async fn establish(config: &ClientConfig) -> Result<Link, ConnectError> {
    let stored = stored_token(config).await;
    let first = stored.as_ref().or(config.token.as_ref());
    let link = match attempt(config, first).await {
        Err(ConnectError::Unauthorized { .. })
            if stored.is_some() && config.token.is_some() && stored != config.token =>
        {
            if let Some(stored) = stored {
                forget_token(config, stored).await;
            }
            attempt(config, config.token.as_ref()).await
        }
        outcome => outcome,
    }?;
    keep_token(config, &link.hello).await;
    Ok(link)
}

/// One attempt with one token, within the time limit.
async fn attempt(
    config: &ClientConfig,
    token: Option<&SecretString>,
) -> Result<Link, ConnectError> {
    let after = config.connect_timeout;
    match tokio::time::timeout(after, handshake(config, token)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::Timeout {
            url: config.endpoint.to_string(),
            after,
        }),
    }
}

async fn handshake(
    config: &ClientConfig,
    token: Option<&SecretString>,
) -> Result<Link, ConnectError> {
    let url = || config.endpoint.to_string();
    let socket = config
        .dial
        .dial(&config.endpoint)
        .await
        .map_err(|error| ConnectError::dial(url(), error))?;
    let socket =
        upgrade(&config.endpoint, socket)
            .await
            .map_err(|error| ConnectError::NotAGateway {
                url: url(),
                why: error.to_string(),
            })?;
    let (reader, writer) = tokio::io::split(socket);
    let mut reader = MessageReader::client(reader, config.max_message);
    let mut out = Out {
        writer,
        masks: Masks::new(),
    };
    let hello = introduce(config, token, &mut reader, &mut out)
        .await
        .map_err(|failure| failure.into_error(config))?;
    Ok(Link {
        reader,
        writer: out.writer,
        masks: out.masks,
        hello: Arc::new(hello),
    })
}

/// Why there is no hello.
enum Failure {
    /// The gateway said so.
    Refused(Box<ErrorShape>),
    /// The connection ended.
    Ended(Disconnect),
    /// The hello cannot be read.
    BadHello(String),
    /// There is nothing to send.
    BadConfig(String),
}

impl Failure {
    fn into_error(self, config: &ClientConfig) -> ConnectError {
        let url = config.endpoint.to_string();
        match self {
            Self::Refused(error) => ConnectError::refused(error),
            Self::Ended(cause) => ConnectError::Ended { url, cause },
            Self::BadHello(why) => ConnectError::BadHello { url, why },
            Self::BadConfig(why) => ConnectError::BadConfig(why),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Ended(Disconnect::Broken(error.to_string()))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Ended(match error.close_code() {
            Some(_) => Disconnect::BadPeer(error.to_string()),
            None => Disconnect::Broken(error.to_string()),
        })
    }
}

/// The writing side of a connection before hello-ok.
struct Out {
    writer: WriteHalf<Upgraded>,
    masks: Masks,
}

impl Out {
    async fn text(&mut self, text: &str) -> std::io::Result<()> {
        let mut frame = Vec::new();
        put_text_masked(&mut frame, text.as_bytes(), self.masks.next_mask()?);
        self.bytes(&frame).await
    }

    async fn pong(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = Vec::new();
        put_pong_masked(&mut frame, payload, self.masks.next_mask()?);
        self.bytes(&frame).await
    }

    async fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }
}

/// Waits for the challenge, answers it with the connect request, and waits for the hello.
async fn introduce(
    config: &ClientConfig,
    token: Option<&SecretString>,
    reader: &mut MessageReader<ReadHalf<Upgraded>>,
    out: &mut Out,
) -> Result<HelloOk, Failure> {
    let challenge_until = Instant::now() + CHALLENGE_WAIT;
    let mut introduced = false;
    loop {
        // A read may not be dropped and begun anew. So when no challenge comes, the request leaves
        // while the same read goes on.
        let mut read = pin!(reader.next());
        let mut message = None;
        if !introduced {
            message = timeout_at(challenge_until, &mut read).await.ok();
            if message.is_none() {
                out.text(&connect_request(config, token, None)?).await?;
                introduced = true;
            }
        }
        let message = match message {
            Some(message) => message,
            None => read.await,
        };
        let text = match message? {
            Incoming::Text(text) => text,
            Incoming::Ping(payload) => {
                out.pong(&payload).await?;
                continue;
            }
            Incoming::Binary(_) | Incoming::Pong(_) => continue,
            Incoming::Close { code, reason } => {
                let reason = reason.to_string();
                return Err(Failure::Ended(Disconnect::ByGateway { code, reason }));
            }
        };
        match wire::read(&text) {
            Some(Inbound::Response { id, response }) if introduced && id == CONNECT_ID => {
                return hello(response);
            }
            Some(Inbound::Event { name, payload, .. }) if !introduced => {
                let challenge = match EventKind::from_name(&name) {
                    Some(kind) => payload.and_then(|p| Event::decode(kind, p.get()).ok()),
                    None => None,
                };
                if let Some(Event::ConnectChallenge(challenge)) = challenge {
                    let request = connect_request(config, token, Some(challenge.nonce))?;
                    out.text(&request).await?;
                    introduced = true;
                }
            }
            _ => {}
        }
    }
}

fn hello(response: Response) -> Result<HelloOk, Failure> {
    if !response.ok {
        return Err(match response.error {
            Some(error) => Failure::Refused(Box::new(error)),
            None => Failure::BadHello("it refuses without an error".to_owned()),
        });
    }
    let payload = response.payload.as_deref().unwrap_or(RawValue::NULL);
    serde_json::from_str(payload.get()).map_err(|e| Failure::BadHello(e.to_string()))
}

/// The text of the connect request.
fn connect_request(
    config: &ClientConfig,
    token: Option<&SecretString>,
    nonce: Option<NonEmptyString>,
) -> Result<String, Failure> {
    let mut params = ConnectParams::new(OLDEST_VERSION, VERSION, config.client.clone());
    params.role = NonEmptyString::new(config.role.as_str());
    params.scopes = some(config.scopes.iter().map(|s| s.as_str()));
    params.caps = some(config.caps.iter().map(String::as_str));
    params.commands = some(config.commands.iter().map(String::as_str));
    params.permissions = Some(config.permissions.clone()).filter(|p| !p.is_empty());
    params.path_env.clone_from(&config.path_env);
    params.locale.clone_from(&config.locale);
    params.user_agent.clone_from(&config.user_agent);
    params.auth = (token.is_some() || config.password.is_some()).then(|| ConnectAuth {
        token: token.cloned(),
        password: config.password.clone(),
    });
    if let Some(identity) = &config.identity {
        params.device = Some(device(config, identity, token, nonce)?);
    }
    wire::request(CONNECT_ID, Method::Connect.name(), &params)
        .map_err(|e| Failure::BadConfig(e.to_string()))
}

/// A list for the wire: absent when empty. Empty texts mean nothing and are left out.
fn some<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<NonEmptyString>> {
    let texts: Vec<NonEmptyString> = texts.filter_map(NonEmptyString::new).collect();
    Some(texts).filter(|texts| !texts.is_empty())
}

/// The device's proof over the very fields that are sent.
fn device(
    config: &ClientConfig,
    identity: &DeviceIdentity,
    token: Option<&SecretString>,
    nonce: Option<NonEmptyString>,
) -> Result<ConnectDevice, Failure> {
    let scopes: Vec<&str> = config.scopes.iter().map(|scope| scope.as_str()).collect();
    let signed_at = config.clock.now_ms();
    let payload = SignedFields {
        device_id: identity.device_id(),
        client_id: config.client.id.as_str(),
        client_mode: config.client.mode.as_str(),
        role: config.role.as_str(),
        scopes: &scopes,
        signed_at,
        token: token.map_or("", SecretString::expose),
        nonce: nonce.as_deref(),
    }
    .payload();
    let text = |text: &str| {
        NonEmptyString::new(text)
            .ok_or_else(|| Failure::BadConfig("the device identity is empty".to_owned()))
    };
    let mut device = ConnectDevice::new(
        text(identity.device_id())?,
        text(&identity.public_key())?,
        text(&identity.sign(&payload))?,
        signed_at,
    );
    device.nonce = nonce;
    Ok(device)
}

/// The token that the gateway gave this device for the role. A store that cannot be read is as
/// good as none: the shared secret still works.
async fn stored_token(config: &ClientConfig) -> Option<SecretString> {
    with_store(config, |store, device, role| store.get(device, role))
        .await
        .flatten()
}

async fn forget_token(config: &ClientConfig, token: SecretString) {
    with_store(config, move |store, device, role| {
        store.forget(device, role, &token)
    })
    .await;
}

/// Stores the token that came with a hello, unless it is there already.
async fn keep_token(config: &ClientConfig, hello: &HelloOk) {
    let Some(auth) = hello.auth.clone() else {
        return;
    };
    let now_ms = config.clock.now_ms();
    with_store(config, move |store, device, _| {
        if store.get(device, &auth.role)?.as_ref() == Some(&auth.device_token) {
            return Ok(());
        }
        let scopes: Vec<String> = auth.scopes.into_iter().map(String::from).collect();
        store.put(device, &auth.role, &auth.device_token, &scopes, now_ms)
    })
    .await;
}

/// Works on the token store, off the threads that must not block. `None` without a store, without
/// a device, or when it failed, which is logged.
async fn with_store<T, W>(config: &ClientConfig, work: W) -> Option<T>
where
    T: Send + 'static,
    W: FnOnce(&TokenStore, &str, &str) -> Result<T, TokenStoreError> + Send + 'static,
{
    let store = config.token_store.clone()?;
    let device = config.identity.as_ref()?.device_id().to_owned();
    let role = config.role;
    let outcome = tokio::task::spawn_blocking(move || work(&store, &device, role.as_str()))
        .await
        .ok()?;
    outcome
        .inspect_err(|error| tracing::warn!(%error, "going on without the device's token"))
        .ok()
}

//! Which token is sent, kept and forgotten.

use openclaw_protocol::protocol::errors;
use openclaw_protocol::types::HelloAuth;
use serde_json::json;

use crate::fake::{FakeGateway, both, challenge, error, gateway, hello};
use crate::token_store::TOKENS_FILE;
use crate::{Client, ClientConfig, ConnectError, DeviceIdentity, TokenStore};

const ROLE: &str = "operator";

struct Case {
    dir: tempfile::TempDir,
    gateway: FakeGateway,
    config: ClientConfig,
    store: TokenStore,
}

/// A device with a stored and a shared token, as far as there are any.
fn device(stored: Option<&str>, shared: Option<&str>) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let store = TokenStore::new(dir.path().join(TOKENS_FILE));
    let identity = DeviceIdentity::from_seed(&[3; 32]);
    if let Some(token) = stored {
        store
            .put(identity.device_id(), ROLE, &token.into(), &[], 1)
            .unwrap();
    }
    let (gateway, mut config) = gateway();
    config.identity = Some(identity);
    config.token_store = Some(store.clone());
    config.token = shared.map(Into::into);
    Case {
        dir,
        gateway,
        config,
        store,
    }
}

impl Case {
    fn stored(&self) -> Option<String> {
        let device = DeviceIdentity::from_seed(&[3; 32]);
        let token = self.store.get(device.device_id(), ROLE).unwrap();
        token.map(|token| token.expose().to_owned())
    }
}

/// Connects to a gateway that knows only `right`. Gives the tokens that were tried, whether the
/// client got in, and what is stored afterwards.
async fn try_tokens(
    stored: Option<&str>,
    shared: Option<&str>,
    right: Option<&str>,
) -> (Vec<Option<String>>, bool, Option<String>) {
    let mut case = device(stored, shared);
    let mut tried = Vec::new();
    let outcome = {
        let gateway = &mut case.gateway;
        let tried = &mut tried;
        let serve = async move {
            loop {
                let mut peer = gateway.accept().await;
                peer.send(&challenge()).await;
                let auth = peer.connect_request().await.auth;
                let token = auth.and_then(|a| a.token).map(|t| t.expose().to_owned());
                let good = token.as_deref() == right;
                tried.push(token);
                if good {
                    peer.answer("connect", &json!(hello())).await;
                    std::future::pending::<()>().await;
                }
                peer.fail("connect", &error(&errors::TOKEN_MISMATCH), None)
                    .await;
            }
        };
        tokio::select! {
            outcome = Client::connect(case.config.clone()) => outcome,
            () = serve => unreachable!(),
        }
    };
    if let Err(error) = &outcome {
        assert!(
            matches!(error, ConnectError::Unauthorized { .. }),
            "{error:?}"
        );
    }
    (tried, outcome.is_ok(), case.stored())
}

#[tokio::test(start_paused = true)]
async fn the_stored_token_comes_first_and_the_shared_one_once_after_it() {
    type Token = Option<&'static str>;
    /// Stored, shared and right token; those tried, whether one was right, and what is stored then.
    type Row = (Token, Token, Token, (&'static [Token], bool, Token));
    let cases: [Row; 8] = [
        (None, None, None, (&[None], true, None)),
        (
            None,
            Some("shared"),
            Some("shared"),
            (&[Some("shared")], true, None),
        ),
        (
            None,
            Some("shared"),
            Some("other"),
            (&[Some("shared")], false, None),
        ),
        (
            Some("own"),
            None,
            Some("own"),
            (&[Some("own")], true, Some("own")),
        ),
        (
            Some("own"),
            Some("shared"),
            Some("own"),
            (&[Some("own")], true, Some("own")),
        ),
        // With nothing else to try, the stored token may become good again.
        (
            Some("own"),
            None,
            Some("other"),
            (&[Some("own")], false, Some("own")),
        ),
        (
            Some("own"),
            Some("shared"),
            Some("shared"),
            (&[Some("own"), Some("shared")], true, None),
        ),
        (
            Some("own"),
            Some("shared"),
            Some("other"),
            (&[Some("own"), Some("shared")], false, None),
        ),
    ];
    for (stored, shared, right, (tried, admitted, left)) in cases {
        let outcome = try_tokens(stored, shared, right).await;
        let tried = tried.iter().map(|t| t.map(str::to_owned)).collect();
        assert_eq!(
            outcome,
            (tried, admitted, left.map(str::to_owned)),
            "stored {stored:?}, shared {shared:?}, right {right:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_refusal_of_the_token_brings_the_shared_one() {
    let mut case = device(Some("own"), Some("shared"));
    let refusal = error(&errors::PAIRING_REQUIRED);
    let (outcome, _) = both(
        Client::connect(case.config.clone()),
        case.gateway.refuse(&refusal),
    )
    .await;
    assert!(matches!(outcome, Err(ConnectError::PairingRequired { .. })));
    assert_eq!(case.stored().as_deref(), Some("own"));
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_hello_is_kept() {
    let mut case = device(None, Some("shared"));
    let mut hello = hello();
    let scopes = vec!["operator.read".try_into().unwrap()];
    hello.auth = Some(HelloAuth::new(
        "given".into(),
        ROLE.try_into().unwrap(),
        scopes,
    ));
    let connect = Client::connect(case.config.clone());
    let (outcome, _peer) = both(connect, case.gateway.admit_with(hello)).await;
    outcome.unwrap();
    assert_eq!(case.stored().as_deref(), Some("given"));
    let text = std::fs::read_to_string(case.store.path()).unwrap();
    assert!(text.contains("operator.read"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_no_obstacle() {
    let mut case = device(None, Some("shared"));
    // A folder in place of the file.
    case.config.token_store = Some(TokenStore::new(case.dir.path()));
    let connect = Client::connect(case.config.clone());
    let (outcome, _peer) = both(connect, case.gateway.admit()).await;
    outcome.unwrap();
}

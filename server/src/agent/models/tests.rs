use std::path::Path;

use serde_json::json;

use tokio::time::Instant;

use super::super::backend::Usage;
use super::catalogue::DEFAULT_CONTEXT_TOKENS;
use super::cool_down::COOL_DOWN;
use super::*;
use crate::sessions::Entry;

fn models(config: serde_json::Value) -> Models {
    Models::new(Arc::new(serde_json::from_value(config).unwrap()))
}

fn configured() -> Models {
    models(json!({
        "agents": {
            "defaults": {"model": {"primary": "mock/echo-1"}, "models": {"mock/echo-2": {"alias": "Second"}}},
            "list": [{"id": "main"}, {"id": "Ops", "model": "other/big"}]
        },
        "models": {"providers": {
            "mock": {"baseUrl": "http://127.0.0.1:1/v1", "apiKey": "k", "models": [
                {"id": "echo-1", "contextWindow": 128_000, "cost": {"input": 2, "output": 10, "cacheRead": 1, "cacheWrite": 3}},
                {"id": "echo-2", "reasoning": true, "input": ["text", "image"]}
            ]},
            "claude": {"baseUrl": "http://127.0.0.1:1", "api": "anthropic-messages", "models": [{"id": "c", "maxTokens": 900}]},
            "other": {"baseUrl": "http://127.0.0.1:1", "api": "google-generative-ai"},
            "broken": {"baseUrl": "nowhere"}
        }}
    }))
}

#[track_caller]
fn check(
    models: &Models,
    agent: &str,
    entry: Option<Entry>,
    chosen: &str,
    backend: Result<(), &str>,
) {
    let choice = models.choose(agent, entry.as_ref());
    assert_eq!(format!("{}/{}", choice.provider, choice.model), chosen);
    let found = models
        .backend(&choice, Path::new("/w"))
        .map(drop)
        .map_err(|error| error.to_string());
    assert_eq!(found, backend.map_err(str::to_owned), "{chosen}");
}

fn session(provider: Option<&str>, model: &str) -> Option<Entry> {
    let provider_override = provider.map(str::to_owned);
    Some(Entry {
        model_override: Some(model.into()),
        provider_override,
        ..Entry::default()
    })
}

#[test]
fn who_answers() {
    let models = configured();
    check(&models, "main", None, "mock/echo-1", Ok(()));
    check(
        &models,
        "nobody",
        Some(Entry::default()),
        "mock/echo-1",
        Ok(()),
    );
    check(
        &models,
        "main",
        session(None, "second"),
        "mock/echo-2",
        Ok(()),
    );
    check(
        &models,
        "main",
        session(None, "echo-2"),
        "mock/echo-2",
        Ok(()),
    );
    check(
        &models,
        "main",
        session(Some("mock"), "a/b"),
        "mock/a/b",
        Ok(()),
    );
    check(
        &models,
        "main",
        session(None, "echo/echo"),
        "echo/echo",
        Ok(()),
    );
    let unsupported = "model provider \"other\": the api \"google-generative-ai\" is not supported";
    check(&models, "ops", None, "other/big", Err(unsupported));
    check(&models, "main", session(None, "c"), "claude/c", Ok(()));
    check(
        &models,
        "main",
        session(None, "broken/x"),
        "broken/x",
        Err("model provider \"broken\": baseUrl is not a URL"),
    );
    let missing = "no provider \"gone\" is configured for the model \"gone/x\" (models.providers)";
    check(
        &models,
        "main",
        session(None, "gone/x"),
        "gone/x",
        Err(missing),
    );
    check(&self::models(json!({})), "main", None, "echo/echo", Ok(()));
    check(
        &models,
        "main",
        session(None, "claude-cli/opus"),
        "claude-cli/opus",
        Ok(()),
    );
    let program = models.choose("main", session(None, "codex-cli/default").as_ref());
    assert_eq!((program.api, program.images), (CLI, false));
    let echo = models.choose("main", session(None, "echo/echo").as_ref());
    assert_eq!((echo.api, echo.images), (ECHO, true));
}

#[test]
fn what_is_known_of_a_model() {
    let models = configured();
    let first = models.choose("main", None);
    assert_eq!(
        (
            first.api,
            first.context_tokens,
            first.reasoning,
            first.images
        ),
        ("openai-completions", 128_000, false, false)
    );
    let usage = Usage {
        input: 1_000_000,
        output: 500_000,
        cache_read: 2_000_000,
        cache_write: 0,
    };
    let price = Price {
        input: 2.0,
        output: 5.0,
        cache_read: 2.0,
        cache_write: 0.0,
    };
    assert_eq!((first.price(&usage), price.total()), (Some(price), 9.0));
    let second = models.choose("main", session(None, "mock/echo-2").as_ref());
    assert_eq!(
        (second.context_tokens, second.reasoning, second.images),
        (DEFAULT_CONTEXT_TOKENS, true, true)
    );
    let echo =
        self::models(json!({"agents": {"defaults": {"contextTokens": 5000}}})).choose("main", None);
    assert_eq!((echo.api, echo.context_tokens), ("echo", 5000));
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_in_which_order() {
    let models = models(json!({
        "agents": {
            "defaults": {"model": {"primary": "a/1", "fallbacks": ["b/1", "a/1", "c/1"]}},
            "list": [{"id": "main"}, {"id": "ops", "model": {"primary": "c/1", "fallbacks": ["a/2"]}}, {"id": "solo", "model": "b/1"}]
        },
        "models": {"providers": {
            "a": {"baseUrl": "http://a"}, "b": {"baseUrl": "http://b"}, "c": {"baseUrl": "http://c"}
        }}
    }));
    let order = |agent: &str, entry: Option<Entry>| {
        let first = models.choose(agent, entry.as_ref());
        let names = models.candidates(agent, &first).into_iter();
        let names = names.map(|choice| format!("{}/{}", choice.provider, choice.model));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order("main", None), "a/1 b/1 c/1");
    assert_eq!(order("main", session(None, "x/1")), "x/1 b/1 a/1 c/1");
    assert_eq!(order("ops", None), "c/1 a/2");
    assert_eq!(order("solo", None), "b/1");
    models.failed("a");
    assert_eq!(order("main", None), "b/1 c/1 a/1");
    models.failed("b");
    assert_eq!(order("main", None), "c/1 a/1 b/1");
    models.succeeded("a");
    assert_eq!(order("main", None), "a/1 c/1 b/1");
    tokio::time::advance(COOL_DOWN.0).await;
    assert_eq!(order("main", None), "a/1 b/1 c/1");
    models.failed("b");
    tokio::time::advance(COOL_DOWN.0).await;
    assert_eq!(
        order("main", None),
        "a/1 c/1 b/1",
        "twice as long the second time"
    );
    tokio::time::advance(COOL_DOWN.0).await;
    assert_eq!(order("main", None), "a/1 b/1 c/1");
    for _ in 0..40 {
        models.failed("b");
    }
    tokio::time::advance(COOL_DOWN.1).await;
    assert_eq!(order("main", None), "a/1 b/1 c/1", "an hour is enough");
    models.failed("made up");
    assert!(!models.cool_down.is_cooling("made up", Instant::now()));
}

#[test]
fn clients_are_made_once() {
    let models = configured();
    for _ in 0..3 {
        for model in ["echo-1", "echo-2", "x"] {
            models
                .backend(
                    &models.choose("main", session(Some("mock"), model).as_ref()),
                    Path::new("/w"),
                )
                .map(drop)
                .unwrap();
        }
    }
    assert_eq!(models.clients.lock().unwrap().len(), 1);
}

//! A gateway that is killed (SIGKILL) at random moments of one script: people talk to agents that use tools, messages are
//! sent, jobs come due, notes wait for the next turn. After each restart: nothing acknowledged is lost, nothing happened
//! twice, every run has one end, and every conversation is whole.
//!
//! `OPENCLAW_KILL_POINTS` and `OPENCLAW_KILL_SEED` as in [`crate::kills`].

mod asked;
mod jobs;
mod round;
mod whole;

use std::time::Duration;

use openclaw_client::Client;
use openclaw_tests::model::{Dialect, Model};
use openclaw_tests::{Gateway, Home};
use rustix::process::Signal;
use serde_json::json;

use crate::dice::{Dice, setting};
use crate::remote::operator;
use round::{Round, Tally};

/// Kills of a usual run. Each takes a second or two: most of it is the start of the gateway and the tries after it.
const POINTS: u64 = 20;
/// The kill comes within this time of the first request: about as long as the script takes.
const WINDOW_MS: u64 = 500;
/// Between two pieces of the model's answers.
const PACE: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let points = setting("OPENCLAW_KILL_POINTS", POINTS);
    let seed = setting("OPENCLAW_KILL_SEED", u64::from(std::process::id()));
    println!("{points} kills, OPENCLAW_KILL_SEED={seed}");
    let mut dice = Dice::new(seed);
    let model = Model::start(PACE).await;
    let home = Home::new();
    let config = json!({
        "gateway": {"mode": "local", "auth": {"token": "tok"}},
        "models": model.config(Dialect::OpenAi),
        "agents": {"defaults": {"model": "mock/m", "workspace": home.path().join("work")}},
        "tools": {"exec": {"security": "full", "ask": "off"}},
    });
    home.write_config(&config.to_string());
    let (mut tally, mut before) = (Tally::default(), None::<Round>);
    let mut gateway = Gateway::start(&home, &[]).await;
    for point in 0..points {
        let client = connect(&gateway).await;
        let delay = Duration::from_millis(dice.throw(WINDOW_MS));
        let mut round = Round::begin(&client, point, &mut dice, WINDOW_MS).await;
        let killing = async {
            // The one wait that is meant: the moment of the kill is what is tried.
            tokio::time::sleep(delay).await;
            gateway.signal(Signal::KILL);
        };
        tokio::join!(killing, round.play(&client));
        gateway.ended().await;
        gateway = Gateway::start(&home, &[]).await;
        println!(
            "kill {point} after {} ms: {}",
            delay.as_millis(),
            round.shown()
        );
        let client = connect(&gateway).await;
        round.settle(&client, &model, &home, &mut tally).await;
        if let Some(before) = before.replace(round) {
            before.retire(&client).await;
        }
    }
    println!("{tally}");
    assert_eq!(model.violations(), Vec::<String>::new());
    assert!(tally.cut > 0, "no kill met a run");
    assert!(tally.ended > 0, "no run ended before its kill");
}

async fn connect(gateway: &Gateway) -> Client {
    let client = Client::connect(operator(gateway.port, "tok")).await;
    client.expect("an operator")
}

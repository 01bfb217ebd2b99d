//! `cron`, `nodes` and `canvas` in runs: real jobs and a real registry, devices that answer by a list.

mod devices;
mod jobs;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::{self, Close, Role};
use openclaw_protocol::rt::{BoxFuture, NonEmptyString};
use openclaw_protocol::types::{
    ClientId, ClientMode, ConnectClient, CronJob, NodeInvokeRequestEvent,
};
use serde_json::{Value, json};

use super::super::Reached;
use super::super::backend::scripted::{Step, say};
use super::tools::{call, results};
use super::{START, World};
use crate::clock::ManualClock;
use crate::connection::{Caller, CallerInfo};
use crate::cron::{self, Cron, Outcome, Worker};
use crate::hub::{Admitted, EventSink};
use crate::nodes::{self, InvokeReply, NodeLine, NodePlace, Nodes, Offer};
use crate::pairing::{Pairing, TokenKey};
use crate::store::Store;

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: Event) {}
}

impl Admitted for Nobody {
    fn dismiss(&self, _: &str, _: Role, _: Option<&str>) {}
}

/// Does jobs at once.
struct Quick;

impl Worker for Quick {
    fn work(&self, job: CronJob) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { Outcome::ok(Some(format!("did {}", job.name.as_str()))) })
    }
}

/// A device that answers each command by a list and keeps what it was asked.
#[derive(Clone)]
struct Device {
    nodes: Nodes,
    conn_id: String,
    answers: Arc<BTreeMap<&'static str, Result<Value, &'static str>>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl NodeLine for Device {
    fn send(&self, event: &Event) -> bool {
        let Event::NodeInvokeRequest(request) = event else {
            return false;
        };
        let device = self.clone();
        let request = request.clone();
        tokio::spawn(async move { device.answer(&request) });
        true
    }

    fn subscribe(&self, _: &str) -> bool {
        false
    }

    fn unsubscribe(&self, _: &str) {}

    fn close(&self, _: Close) {}
}

impl Device {
    fn answer(&self, request: &NodeInvokeRequestEvent) {
        let params = request.params_json.as_deref().unwrap_or("null");
        let params = serde_json::from_str(params).unwrap();
        let command = request.command.to_string();
        self.asked.lock().unwrap().push((command.clone(), params));
        let reply = match &self.answers[command.as_str()] {
            Ok(payload) => InvokeReply {
                ok: true,
                payload: Some(payload.clone()),
                payload_json: None,
                error: None,
            },
            Err(why) => InvokeReply {
                ok: false,
                payload: None,
                payload_json: None,
                error: serde_json::from_value(json!({"message": why})).unwrap(),
            },
        };
        assert!(self.nodes.answer(&self.conn_id, &request.id, reply));
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

/// The rest of a gateway.
struct Rest {
    cron: Cron,
    nodes: Nodes,
    _dir: tempfile::TempDir,
}

async fn rest(world: &World) -> Rest {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let store = Store::open(&dir.path().join("store")).unwrap();
    let cron = Cron::open(cron::Parts {
        store: store.clone(),
        clock: clock.clone(),
        events: Arc::new(Nobody),
        worker: Arc::new(Quick),
        work: tokio::runtime::Handle::current(),
        enabled: true,
        store_path: "/state/cron/jobs.json".to_owned(),
    })
    .await
    .unwrap();
    let key = TokenKey::load_or_create(dir.path()).unwrap();
    let pairing = Pairing::load(store, key, clock.clone(), Arc::new(Nobody)).unwrap();
    let nodes = Nodes::new(nodes::Policy::default(), clock);
    world.runs.parts().reach.fill(Reached {
        cron: cron.clone(),
        nodes: nodes.clone(),
        pairing,
    });
    Rest {
        cron,
        nodes,
        _dir: dir,
    }
}

impl Rest {
    fn device(
        &self,
        (id, name, platform): (&str, &str, &str),
        answers: impl IntoIterator<Item = (&'static str, Result<Value, &'static str>)>,
    ) -> (Device, NodePlace) {
        let device = Device {
            nodes: self.nodes.clone(),
            conn_id: format!("c-{id}"),
            answers: Arc::new(answers.into_iter().collect()),
            asked: Arc::default(),
        };
        let mut client = ConnectClient::new(
            ClientId::NodeHost,
            NonEmptyString::or("1.0.0", "-"),
            NonEmptyString::or(platform, "-"),
            ClientMode::Node,
        );
        client.display_name = NonEmptyString::new(name);
        let caller = Caller::new(CallerInfo {
            conn_id: device.conn_id.clone(),
            protocol: protocol::VERSION,
            role: Role::Node,
            scopes: Vec::new(),
            client,
            device_id: Some(id.to_owned()),
            remote_ip: None,
            is_local: true,
        });
        let commands = device.answers.keys();
        let offer = Offer {
            commands: commands
                .filter_map(|name| NonEmptyString::new(*name))
                .collect(),
            ..Offer::default()
        };
        let place = self.nodes.connect(&caller, offer, device.clone());
        (device, place)
    }
}

/// Has a model make `calls`, all in one reply, and returns what it was told of each.
async fn use_tools(config: Value, calls: &[(&str, Value)]) -> (World, Vec<(String, bool)>) {
    let world = World::configured(config, Vec::<Vec<Step>>::new()).await;
    let told = use_more(&world, calls).await;
    (world, told)
}

async fn use_more(world: &World, calls: &[(&str, Value)]) -> Vec<(String, bool)> {
    let ids: Vec<String> = (0..calls.len()).map(|n| n.to_string()).collect();
    let calls = calls.iter().zip(&ids);
    let calls: Vec<_> = calls
        .map(|((name, arguments), id)| (id.as_str(), *name, arguments.clone()))
        .collect();
    world.model.reply(call(&calls));
    world.model.reply(say(&["ok"]));
    let id = uuid::Uuid::new_v4().to_string();
    assert_eq!(world.turn("go", &id).await[1]["status"], "ok");
    let asked = world.model.asked().len();
    let mut told = results(world, asked - 1);
    told.split_off(told.len() - calls.len())
}

fn json_of((text, is_error): &(String, bool)) -> Value {
    assert!(!is_error, "{text}");
    serde_json::from_str(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_policy_takes_tools_away() {
    let config = json!({"tools": {"deny": ["group:nodes", "cron"]}});
    let world = World::configured(config, Vec::<Vec<Step>>::new()).await;
    let _rest = rest(&world).await;
    world.turn("go", "r").await;
    let offered = world.model.asked()[0]
        .tools
        .iter()
        .map(|tool| tool.name.to_string())
        .collect::<Vec<_>>();
    assert!(offered.contains(&"canvas".to_owned()), "{offered:?}");
    assert!(
        !offered.contains(&"nodes".to_owned()) && !offered.contains(&"cron".to_owned()),
        "{offered:?}"
    );
}

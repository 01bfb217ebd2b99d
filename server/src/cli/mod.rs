//! The `openclaw` command. [`run`] is all that `main` calls.

mod agent;
mod approvals;
mod client;
mod connect;
mod cron;
mod cron_args;
mod devices;
mod doctor;
mod gateway_args;
mod message;
mod node;
mod nodes;
mod outbox;
mod pairing;
pub(crate) mod print;
mod protocol;
mod sessions;
mod system;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

pub use gateway_args::{FlagError, GatewayArgs, WsLog};

use crate::gateway;
use crate::paths::Environment;

/// The gateway and the commands that talk to it.
#[derive(Debug, Parser)]
#[command(name = "openclaw", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground, or call it
    #[command(args_conflicts_with_subcommands = true)]
    Gateway {
        #[command(flatten)]
        run: Box<GatewayArgs>,
        #[command(subcommand)]
        command: Option<GatewayCommand>,
    },
    /// Call a method of the gateway
    Call(client::CallArgs),
    /// Ask the gateway how it is
    Health(client::HealthArgs),
    /// Show conversations and what waits
    Status(connect::PlainArgs),
    /// Say something to an agent and print its answer as it comes
    Agent(agent::AgentArgs),
    /// Send something to people through a channel, without an agent
    Message {
        #[command(subcommand)]
        command: message::MessageCommand,
    },
    /// Show what is on its way to people, try it again, or call it off
    Outbox {
        #[command(subcommand)]
        command: outbox::OutboxCommand,
    },
    /// Look for what is wrong or risky in this host's set-up; exit code 1 when something is wrong
    Doctor(doctor::DoctorArgs),
    /// Show nodes, or run commands on them
    Nodes {
        #[command(subcommand)]
        command: nodes::NodesCommand,
    },
    /// Decide which devices may connect, and with which tokens
    Devices {
        #[command(subcommand)]
        command: devices::DevicesCommand,
    },
    /// Decide about everything that waits to be let in: devices, and nodes of the older pairing
    Pairing {
        #[command(subcommand)]
        command: pairing::PairingCommand,
    },
    /// Say which programs may run, and answer questions about commands
    Approvals {
        #[command(subcommand)]
        command: approvals::ApprovalsCommand,
    },
    /// Lend this machine to a gateway
    Node {
        #[command(subcommand)]
        command: NodeCommand,
    },
    /// List conversations, or move them in and out as files
    Sessions {
        #[command(subcommand)]
        command: sessions::SessionsCommand,
    },
    /// Jobs that run by the clock
    Cron {
        #[command(subcommand)]
        command: cron::CronCommand,
    },
    /// Texts for the agent, heartbeats, who is here
    System {
        #[command(subcommand)]
        command: system::SystemCommand,
    },
    /// Say where the protocol is documented, or write the documents to files
    Protocol {
        #[command(subcommand)]
        command: Option<ProtocolCommand>,
    },
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Run commands of this machine for a gateway, in the foreground
    Run(node::NodeRunArgs),
}

#[derive(Debug, Subcommand)]
enum ProtocolCommand {
    /// Write JSON Schema, OpenRPC, AsyncAPI or the reference page of the protocol
    Export(protocol::ExportArgs),
}

#[derive(Debug, Subcommand)]
enum GatewayCommand {
    /// Run the gateway in the foreground
    Run(Box<GatewayArgs>),
    /// Call a method of the gateway
    Call(client::CallArgs),
}

/// Parses the command line and carries it out. Exit codes: 0 done; 1 it failed, or the gateway's flags are wrong; 2 the
/// command line of a client command is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is not worth another error.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                // Supervisors know 1 as the gateway's word for bad values (contract 11.4).
                _ if arguments.get(1).is_some_and(|word| word == "gateway") => ExitCode::FAILURE,
                _ => ExitCode::from(2),
            };
        }
    };
    let environment = Environment::of_process();
    match cli.command {
        Command::Gateway { run, command } => match command {
            None => gateway::main(*run, environment),
            Some(GatewayCommand::Run(run)) => gateway::main(*run, environment),
            Some(GatewayCommand::Call(args)) => block_on(client::call(args, &environment)),
        },
        Command::Call(args) => block_on(client::call(args, &environment)),
        Command::Health(args) => block_on(client::health(args, &environment)),
        Command::Status(args) => block_on(client::status(args, &environment)),
        Command::Agent(args) => block_on(agent::agent(args, &environment)),
        Command::Message { command } => block_on(message::message(command, &environment)),
        Command::Outbox { command } => block_on(outbox::outbox(command, &environment)),
        Command::Doctor(args) => doctor::doctor(&args, &environment),
        Command::Nodes { command } => block_on(nodes::nodes(command, &environment)),
        Command::Devices { command } => block_on(devices::devices(command, &environment)),
        Command::Pairing { command } => block_on(pairing::pairing(command, &environment)),
        Command::Approvals { command } => block_on(approvals::run(command, &environment)),
        Command::Node {
            command: NodeCommand::Run(args),
        } => block_on(node::run(args, &environment)),
        Command::Sessions { command } => sessions::run(command, &environment),
        Command::Cron { command } => block_on(cron::cron(command, &environment)),
        Command::System { command } => block_on(system::system(command, &environment)),
        Command::Protocol { command: None } => protocol::explain(),
        Command::Protocol {
            command: Some(ProtocolCommand::Export(args)),
        } => protocol::export(&args),
    }
}

fn block_on(command: impl Future<Output = Result<(), client::Failure>>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(client::finish(command)),
        Err(error) => {
            print::complain(&format!("cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}
